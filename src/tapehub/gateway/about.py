"""What the numbers and the payload of a record mean, for those who do not know its kind."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tapehub.gateway.instants import iso
from tapehub.hub.marks import LINK, LOSS, read_quarantine, signed
from tapehub.hub.record import Record
from tapehub.model.states import GapStatus, State
from tapehub.quality import Reason

__all__ = ["about", "reason_label"]


def about(record: Record) -> dict[str, Any]:
    """Say what a record means; empty where its kind has no more to say, or its payload is of a later version."""
    found = _KINDS.get(record.kind)
    if found is None:
        return {}
    try:
        return found(record)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError):
        return {}


def reason_label(number: int) -> str:
    """Name a reason for quarantine, also one that this version does not know."""
    return Reason(number).label if number in Reason._value2member_map_ else f"reason-{number}"


def _state(record: Record) -> dict[str, Any]:
    state = State(min(record.fixed[0] & 0xFF, max(State)))
    return {
        "state": state.label,
        "cause": record.payload.decode(errors="replace"),
        "since": iso(signed(record.fixed[1])) if record.fixed[1] else None,
    }


def _gap(record: Record) -> dict[str, Any]:
    told = json.loads(record.payload)
    end = told["end"]
    return {
        "start": iso(signed(record.fixed[0])),
        "end": None if end is None else iso(end),
        "cause": told["cause"],
        "status": GapStatus(told["status"]).label,
    }


def _quarantine(record: Record) -> dict[str, Any]:
    told = read_quarantine(record.flags, record.payload)
    written: dict[str, Callable[[Any], str]] = {
        "raw": lambda raw: b64encode(raw).decode(), "ts_event": iso, "ts_recv": iso,
    }  # fmt: skip
    told |= {name: write(told[name]) for name, write in written.items() if name in told}
    return {"reason": reason_label(record.fixed[0]), "not_stored": record.fixed[1], **told}


def _ledger(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(record.payload)
    what = {LINK: "link", LOSS: "loss"}.get(record.fixed[0] & 0xFF, "counts")
    return {"what": what, **told}


_KINDS: dict[str, Callable[[Record], dict[str, Any]]] = {
    "state": _state,
    "gap": _gap,
    "quarantine": _quarantine,
    "note": lambda record: {"text": record.payload.decode(errors="replace")},
    "clear": lambda record: {"symbol": record.symbol or None},
    "watermark": lambda record: {"until": iso(record.ts_event)},
    "comparison": lambda record: {"start": iso(signed(record.fixed[0])), **json.loads(record.payload)},
    "ledger": _ledger,
    "epoch": lambda record: {"epoch": record.fixed[0]},
}
