"""What the numbers and the payload of a record mean, for those who do not know its kind."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tapehub.gateway.instants import iso
from tapehub.hub.marks import LINK, LOSS
from tapehub.hub.record import Record
from tapehub.model.states import GapStatus, State
from tapehub.quality import Reason

__all__ = ["about", "reason_label"]

_QUOTE = struct.Struct("<qqddff")


def about(record: Record) -> dict[str, Any]:
    """Say what a record means; empty where its kind has no more to say, or its payload is of a later version."""
    found = _KINDS.get(record.kind)
    if found is None:
        return {}
    try:
        return found(record)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, struct.error):
        return {}


def reason_label(number: int) -> str:
    """Name a reason for quarantine, also one that this version does not know."""
    return Reason(number).label if number in Reason._value2member_map_ else f"reason-{number}"


def _signed(number: int) -> int:
    return number - (1 << 64) * (number >> 63)


def _state(record: Record) -> dict[str, Any]:
    state = State(min(record.fixed[0] & 0xFF, max(State)))
    return {
        "state": state.label,
        "cause": record.payload.decode(errors="replace"),
        "since": iso(_signed(record.fixed[1])) if record.fixed[1] else None,
    }


def _gap(record: Record) -> dict[str, Any]:
    told = json.loads(record.payload)
    end = told["end"]
    return {
        "start": iso(_signed(record.fixed[0])),
        "end": None if end is None else iso(end),
        "cause": told["cause"],
        "status": GapStatus(told["status"]).label,
    }


def _quarantine(record: Record) -> dict[str, Any]:
    (size,) = struct.unpack_from("<H", record.payload)
    told = json.loads(record.payload[2 : 2 + size])
    body = record.payload[2 + size :]
    out = {"reason": reason_label(record.fixed[0]), "not_stored": record.fixed[1], **told}
    if record.fixed[0] != Reason.MALFORMED and len(body) == _QUOTE.size:
        ts_event, ts_recv, *numbers = _QUOTE.unpack(body)
        out |= {"ts_event": iso(ts_event), "ts_recv": iso(ts_recv)}
        out |= dict(zip(("bid", "ask", "bid_size", "ask_size"), numbers, strict=True))
    else:
        out["raw"] = b64encode(body).decode()
    return out


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
    "comparison": lambda record: {"start": iso(_signed(record.fixed[0])), **json.loads(record.payload)},
    "ledger": _ledger,
    "epoch": lambda record: {"epoch": record.fixed[0]},
}
