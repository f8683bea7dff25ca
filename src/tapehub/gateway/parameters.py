"""Parameters that several routes take, with their bounds and examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query

from tapehub.gateway.instants import EXAMPLE, instant, iso
from tapehub.gateway.problems import Problem
from tapehub.model.timeframes import NAMES

__all__ = [
    "EndQuery", "LimitQuery", "OptionalSymbol", "SourceQuery", "StartQuery", "SymbolPath", "TimeframeQuery",
    "bound", "check_limit", "moment",
]  # fmt: skip

_SYMBOL_MAX = 64
_SEQ_MAX = (1 << 63) - 1
_BOUND = rf"A sequence number, or an event time such as {EXAMPLE}."

SymbolPath = Annotated[
    str,
    Path(min_length=1, max_length=_SYMBOL_MAX, description="Any name of the instrument.", examples=["EUR_USD"]),
]
OptionalSymbol = Annotated[
    str | None,
    Query(min_length=1, max_length=_SYMBOL_MAX, description="All instruments when absent.", examples=["EUR_USD"]),
]
TimeframeQuery = Annotated[str, Query(max_length=32, description=" ".join(NAMES), examples=["1m"])]
SourceQuery = Annotated[
    str | None, Query(min_length=1, max_length=31, description="The primary one when absent.", examples=["ig"])
]
StartQuery = Annotated[str | None, Query(max_length=64, description=_BOUND, examples=["2026-06-02T12:00:00Z"])]
EndQuery = Annotated[
    str | None, Query(max_length=64, description=f"{_BOUND} Not included.", examples=["2026-06-02T13:00:00Z"])
]
LimitQuery = Annotated[int, Query(ge=0, le=1_000_000, description="The newest so many.", examples=[100])]


class Moment(datetime):
    """Be a datetime that keeps the nanoseconds: the hub asks for them by the name that pandas gave them."""

    nanosecond = 0


def moment(ts_ns: int) -> datetime:
    """Make a datetime of ns UTC."""
    whole, rest = divmod(ts_ns, 1_000_000_000)
    base = datetime.fromtimestamp(whole, UTC)
    made = Moment(
        base.year, base.month, base.day, base.hour, base.minute, base.second, rest // 1000, tzinfo=UTC
    )  # fmt: skip
    made.nanosecond = rest % 1000
    return made


def bound(text: str | None, where: str) -> int | datetime | None:
    """Read a bound: a sequence number, or an event time.

    Raises:
        Problem: it is neither.
    """
    if text is None or not text.strip():
        return None
    if text.isascii() and text.isdigit():
        if int(text) > _SEQ_MAX:
            raise Problem(
                "invalid-request", f"query.{where} is {text}: expected a sequence number below 2^63",
                where=f"query.{where}", value=text, expected="a sequence number below 2^63",
                remedy=f"correct query.{where}",
            )  # fmt: skip
        return int(text)
    try:
        return moment(instant(text, f"query.{where}"))
    except ValueError as error:
        raise Problem(
            "invalid-request", f"{error}, or a sequence number", where=f"query.{where}", value=text, expected=_BOUND,
            remedy=f"write {where}={iso(0)}",
        ) from None  # fmt: skip


def check_limit(limit: int, most: int) -> int:
    """Hold a limit against what this form of answer may have.

    Raises:
        Problem: it is above.
    """
    if limit > most:
        raise Problem(
            "invalid-request",
            f"query.limit is {limit}: expected at most {most} rows in this form; ask for less, page by start and end, "
            f"or accept Arrow",
            where="query.limit", value=str(limit), expected=f"0 to {most}", remedy="ask for less, or accept Arrow",
        )  # fmt: skip
    return limit
