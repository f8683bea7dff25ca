"""Tools that say how far the data can be trusted: states, gaps, ledger, instruments, why there are no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tapehub.gateway.instants import iso
from tapehub.gateway.mcp.asking import ROWS_MAX, LongReads, SomeSymbol, named, rounded
from tapehub.gateway.mcp.shapes import (
    Finding,
    Gap,
    GapsAnswer,
    Instrument,
    InstrumentsAnswer,
    LedgerAnswer,
    Standing,
    StateRow,
    StatesAnswer,
    WhyAnswer,
)
from tapehub.gateway.mcp.standing import standing_of, standing_of_all, state_name
from tapehub.gateway.states import cause_of, channel_states
from tapehub.hub.gapbook import gap_book
from tapehub.model.timeframes import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapehub.hub import DataHub

__all__ = ["TrustTools"]

Symbols = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]] | None,
    Field(max_length=20, description="Names of instruments; null: all"),
]


class TrustTools:
    """Say how far the data can be trusted. Any thread.

    Args:
        hub: gives the hub.
        long: bounds what reads the log.
        why: the doctor: ``sentence``, ``ok``, ``link``, ``chain`` for some symbols, or all when there are none.
    """

    def __init__(
        self, hub: Callable[[], DataHub], long: LongReads, why: Callable[[DataHub, Sequence[str]], dict[str, Any]]
    ) -> None:
        self._hub = hub
        self._long = long
        self._why = why

    def instruments(self) -> InstrumentsAnswer:
        """List the instruments of this hub with pip size, decimals, sources; and the timeframes there are."""
        hub = self._hub()
        rows = sorted(hub.instruments.items())
        return InstrumentsAnswer(
            standing=standing_of_all(hub),
            instruments=[
                Instrument(symbol=symbol, **{name: row[name] for name in Instrument.model_fields if name in row})
                for symbol, row in rows[:ROWS_MAX]
            ],
            timeframes=list(NAMES),
            more=len(rows) > ROWS_MAX,
        )

    def states(self, symbol: SomeSymbol = None) -> StatesAnswer:
        """Tell the liveness of an instrument, or of all, source by source, and why it is so."""
        hub = self._hub()
        name = None if symbol is None else named(hub, symbol)
        rows = [row for row in channel_states(hub) if name in (None, row.symbol)]
        return StatesAnswer(
            standing=_standing(hub, name),
            states=[
                StateRow(
                    symbol=row.symbol,
                    source=row.source,
                    state=state_name(row.state),
                    age_s=rounded(row.age_s),
                    since=iso(row.since_ns) if row.since_ns else None,
                    cause=cause_of(hub, row),
                    primary=row.primary,
                )
                for row in rows[:ROWS_MAX]
            ],
            more=len(rows) > ROWS_MAX,
        )

    def gaps(
        self,
        symbol: SomeSymbol = None,
        limit: Annotated[int, Field(ge=1, le=ROWS_MAX, description="The newest so many")] = 50,
    ) -> GapsAnswer:
        """List the spans in which there was no live feed, with cause, and whether they were filled since."""
        hub = self._hub()
        name = None if symbol is None else named(hub, symbol)
        names = list(hub.instruments) if name is None else [name]
        with self._long.one():
            rows = [{"symbol": one, **gap} for one in names for gap in gap_book(hub).of(hub, one)]
        rows.sort(key=lambda row: row["start"])
        return GapsAnswer(
            standing=_standing(hub, name),
            gaps=[
                Gap(
                    symbol=row["symbol"],
                    start=iso(row["start"]),
                    end=None if row["end"] is None else iso(row["end"]),
                    cause=row["cause"],
                    status=row["status"],
                )
                for row in rows[max(0, len(rows) - limit) :]
            ],
            more=len(rows) > limit,
        )

    def ledger(self) -> LedgerAnswer:
        """Account for every record: whether what was received is what was published, refused or set aside."""
        hub = self._hub()
        told = hub.ledger()
        return LedgerAnswer(
            standing=standing_of_all(hub),
            **{name: told[name] for name in LedgerAnswer.model_fields if name in told},
        )

    def why_no_data(self, symbols: Symbols = None) -> WhyAnswer:
        """Say in one sentence why there are no data, or that there are; and what each link from hub to candles says."""
        hub = self._hub()
        names = [named(hub, symbol) for symbol in symbols or ()]
        told = self._why(hub, names)
        return WhyAnswer(
            standing=_standing(hub, names[0]) if len(names) == 1 else standing_of_all(hub, names or None),
            sentence=told["sentence"],
            ok=told["ok"],
            link=told["link"],
            chain=[
                Finding(link=one["link"], outcome=one["outcome"], sentence=one["sentence"]) for one in told["chain"]
            ],
        )


def _standing(hub: DataHub, name: str | None) -> Standing:
    return standing_of_all(hub) if name is None else standing_of(hub, name)
