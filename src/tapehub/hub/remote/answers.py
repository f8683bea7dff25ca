"""What a gateway tells of a hub, in the types that a local hub gives."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from tapehub.hub.remote import values
from tapehub.model.sessions import CalendarId, Sessions

__all__ = ["calendar", "gap", "ledger", "quarantined", "status"]

Told = dict[str, Any]

# What the gateway adds for pages.
_MORE: Final = frozenset({"now", "simulated", "made_up", "version"})


def status(told: Told) -> Told:
    """Give what `DataHub.get_status` gives."""
    out = {name: value for name, value in told.items() if name not in _MORE}
    out["last_updates"] = {
        symbol: {kind: values.moment(at) for kind, at in times.items()}
        for symbol, times in told["last_updates"].items()
    }
    out["clock"] = {**told["clock"], "now": values.moment(told["clock"]["now"])}
    server = told["server"]
    out["server"] = None if server is None else (server["pid"], values.moment(server["started"]), server["name"])
    return out


def ledger(told: Told) -> Told:
    """Give what `DataHub.ledger` gives."""
    return told


def calendar(told: Told) -> Sessions:
    """Give what `DataHub.calendar` gives."""
    return Sessions.from_bytes(CalendarId[told["calendar"].upper()], b64decode(told["table"]))


def gap(told: Told) -> Told:
    """Give a row of `DataHub.gaps`."""
    return {
        "start": values.ns(told["start"]),
        "end": None if told["end"] is None else values.ns(told["end"]),
        "cause": told["cause"],
        "status": told["status"],
        "seq": told["seq"],
    }


def quarantined(told: Told) -> Told:
    """Give a row of `DataHub.quarantined`."""
    out = {name: value for name, value in told.items() if name != "reason_number"}
    out["reason"] = told["reason_number"]
    for name in ("ts", "ts_event", "ts_recv"):
        if name in out:
            out[name] = values.ns(out[name])
    for name in ("bid", "ask", "bid_size", "ask_size"):
        if name in out and out[name] is None:  # what was not finite has no number in JSON
            out[name] = float("nan")
    if "raw" in out:
        out["raw"] = b64decode(out["raw"])
    return out
