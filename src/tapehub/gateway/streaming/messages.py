"""What goes over the socket: the client's messages read and judged, the server's written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tapehub.gateway.encoding import dumps
from tapehub.gateway.problems import Problem
from tapehub.gateway.settings import Limits
from tapehub.gateway.streaming.pace import shared_rate
from tapehub.gateway.streaming.selection import KINDS
from tapehub.hub.lineage import Identity

__all__ = ["PROTOCOL", "Subscribe", "bad", "batch", "error", "number_of", "read_message", "read_subscribe"]

PROTOCOL: Final = 1
_ID_MAX = (1 << 31) - 1
_SEQ_MAX = (1 << 63) - 1
_RATE_HZ = 20.0
_OPS = ("subscribe", "unsubscribe", "ping")
_FIELDS = frozenset(
    "op id symbols kinds timeframes policy rate_hz snapshot start epoch hub_id".split()
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Hold what a client subscribes to."""

    id: int
    symbols: tuple[str, ...] | None
    kinds: tuple[str, ...]
    timeframes: tuple[str, ...]
    lossless: bool
    rate_hz: float
    snapshot: bool
    start: int | str
    under: Identity | None


def batch(number: int, epoch: int, following: int, lost: int, body: str, *, snapshot: bool = False) -> str:
    """Write a batch; its records are written already."""
    mark = '"snapshot":true,' if snapshot else ""
    return f'{{"op":"batch","id":{number},"epoch":{epoch},"next":{following},"lost":{lost},{mark}"records":[{body}]}}'


def error(number: int | None, problem: Problem) -> str:
    """Write that a message could not be served."""
    return dumps({"op": "error", "id": number, "problem": problem.body()})


def read_message(text: str | bytes) -> dict[str, Any]:
    """Read a client's message.

    Raises:
        Problem: it is no JSON object with an `op` there is.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise bad("message", str(text[:64]), f"JSON ({wrong})") from None
    if not isinstance(message, dict):
        raise bad("message", type(message).__name__, "an object")
    if message.get("op") not in _OPS:
        raise bad("op", message.get("op"), f"one of {', '.join(_OPS)}")
    return message


def number_of(message: Mapping[str, Any]) -> int:
    """Read the id of a subscription.

    Raises:
        Problem: it is none.
    """
    number = message.get("id")
    if type(number) is not int or not 0 <= number <= _ID_MAX:
        raise bad("id", number, f"an integer from 0 to {_ID_MAX}")
    return number


def read_subscribe(message: Mapping[str, Any], limits: Limits) -> Subscribe:
    """Read a subscription.

    Raises:
        Problem: a field cannot be; it says which.
    """
    if unknown := sorted(set(message) - _FIELDS):
        raise bad("field", unknown[0], f"one of {', '.join(sorted(_FIELDS))}")
    policy = message.get("policy", "conflate")
    if policy not in ("conflate", "lossless"):
        raise bad("policy", policy, "conflate or lossless")
    lossless = policy == "lossless"
    kinds = _names(message, "kinds", ["tick"], len(KINDS))
    for kind in kinds:
        if kind not in KINDS:
            raise bad("kinds", kind, f"of {', '.join(KINDS)}")
    if "interval" in kinds and not lossless:
        raise bad("kinds", "interval", "it under the policy lossless; candle is what conflate has")
    symbols = message.get("symbols", "*")
    start, under = _start(message, lossless)
    return Subscribe(
        id=number_of(message),
        symbols=None if symbols == "*" else _names(message, "symbols", [], limits.symbols),
        kinds=kinds,
        timeframes=_names(message, "timeframes", ["1m"], 11),
        lossless=lossless,
        rate_hz=_rate(message, limits),
        snapshot=_flag(message, "snapshot"),
        start=start,
        under=under,
    )


def _start(message: Mapping[str, Any], lossless: bool) -> tuple[int | str, Identity | None]:
    start, epoch, hub_id = message.get("start", "now"), message.get("epoch"), message.get("hub_id", "")
    is_number = type(start) is int and 0 <= start <= _SEQ_MAX
    if not is_number and start not in ("now", "oldest"):
        raise bad("start", start, "now, oldest or a sequence number")
    if start != "now" and not lossless:
        raise bad("start", start, "now under the policy conflate; lossless goes on from anywhere")
    if epoch is not None and (type(epoch) is not int or not 0 <= epoch <= _SEQ_MAX):
        raise bad("epoch", epoch, "the epoch of a batch")
    if not isinstance(hub_id, str) or len(hub_id) > 64:
        raise bad("hub_id", hub_id, "the hub_id of the hello")
    return start, Identity(hub_id, epoch) if is_number and epoch is not None else None


def _rate(message: Mapping[str, Any], limits: Limits) -> float:
    rate = message.get("rate_hz", min(_RATE_HZ, limits.rate_hz))
    if type(rate) not in (int, float) or not math.isfinite(rate) or not 0.01 <= rate <= limits.rate_hz:
        raise bad("rate_hz", rate, f"a number from 0.01 to {limits.rate_hz:g}")
    return shared_rate(float(rate))


def _flag(message: Mapping[str, Any], field: str) -> bool:
    value = message.get(field, True)
    if type(value) is not bool:
        raise bad(field, value, "true or false")
    return value


def _names(message: Mapping[str, Any], field: str, default: list[str], most: int) -> tuple[str, ...]:
    names = message.get(field, default)
    if not isinstance(names, list) or not 1 <= len(names) <= most:
        shown = f"{len(names)} names" if isinstance(names, list) else names
        raise bad(field, shown, f"a list of 1 to {most} names")
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= 64:
            raise bad(field, name, "names of 1 to 64 characters")
    return tuple(names)


def bad(where: str, value: Any, expected: str) -> Problem:
    """Say which field of a message cannot be, and what was expected."""
    shown = repr(value)[:100]
    detail = f"{where} is {shown}: expected {expected}; correct {where}"
    return Problem(
        "invalid-request", detail, where=where, value=shown, expected=expected, remedy=f"correct {where}"
    )  # fmt: skip
