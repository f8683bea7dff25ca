"""The library's team on a made-up market: four runs, each with a reader of its own, as four processes have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np

from tapehub import DataHub, OrderFlowMetrics
from tapehub.agents import Agent, Runner
from tapehub.agents.finding import make
from tapehub.feeds.quotes import Quotes
from tests.models.paper import SECOND, publish, rng, series, settings

TEAM = ("momentum", "order_flow", "validator", "trader")
STEP_NS = 15 * SECOND

# A made-up pair moves less in a minute than a real one.
PARAMETERS: dict[str, dict[str, Any]] = {
    "validator": {"atr_min_pips": 0.1, "spread_max_atr": 5.0, "confidence_alone": 0.6, "confidence_min": 0.4},
}


def members(symbols: Sequence[str]) -> dict[str, Agent]:
    """Make the four, by name."""
    return {name: make(name, {**PARAMETERS.get(name, {}), "symbols": list(symbols)}) for name in TEAM}


def flow_of(symbol: str, at: int, before: float, after: float, number: int) -> OrderFlowMetrics:
    """Make up order flow that leans the way prices went, more or less, and abstains now and then."""
    lean = 1.0 if after > before else -1.0
    total = 0.0 if number % 17 == 0 else 100.0 + 7 * (number % 11)
    return OrderFlowMetrics(
        symbol, "6E", at, ofi_60s=lean * 40.0 * (1 + number % 3), net_volume_delta=lean * total * 0.4,
        total_volume=total,
        top_of_book_imbalance=lean * (0.1 * (number % 7)), toxicity_score=0.1 * (number % 5), updates_count=number + 1,
    )  # fmt: skip


def slices(quotes: Quotes) -> Iterator[Quotes]:
    """Cut quotes into spans of `STEP_NS`."""
    records = quotes.records
    marks = np.arange(records["ts_event"][0], records["ts_event"][-1] + STEP_NS, STEP_NS)
    cuts = [*np.searchsorted(records["ts_event"], marks).tolist(), len(records)]
    for begin, end in pairwise(cuts):
        if end > begin:
            yield Quotes(records[begin:end], quotes.symbols, quotes.sources)


def play(
    hub: DataHub,
    span: tuple[str, str],
    symbols: Sequence[str] = ("EUR_USD",),
    *,
    seed: int = 1,
    flow: bool = True,
    limits: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Let the team live through a market; give its runs, ended in order, by name."""
    batches = list(series(seed, *span, symbols))
    publish(hub, batches[0])
    made, number = members(symbols), 0
    with ExitStack() as stack:
        runners = {
            name: stack.enter_context(
                Runner(hub, [made[name]], [name], name=name, settings=settings(**(limits or {})), rng=rng(seed + place))
            )
            for place, name in enumerate(TEAM)
        }
        for batch in batches[1:]:
            for part in slices(batch):
                before = {symbol: hub.get_latest_tick(symbol) for symbol in symbols}
                publish(hub, part)
                for symbol in symbols:
                    now, was = hub.get_latest_tick(symbol), before[symbol]
                    if flow and now is not None and was is not None:
                        number += 1
                        at = int(part.records["ts_event"][-1])
                        hub.update_order_flow(flow_of(symbol, at, was.mid, now.mid, number))
                settle(runners)
        for runner in runners.values():
            runner.end()
    return {name: runner.run for name, runner in runners.items()}


def settle(runners: Mapping[str, Runner]) -> None:
    """Let everybody read until nobody has more to say."""
    while sum(runner.step(0) for runner in runners.values()):
        pass
