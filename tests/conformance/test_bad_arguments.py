"""What cannot be meant is refused alike by memory and through a gateway: with one class, and nothing changed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tapehub import InvalidRecord
from tests.models.market import EUR, NINE, candle, flow, quotes, tick
from tests.models.two_hubs import TwoWays, plain, two_ways


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoWays]:
    with two_ways(tmp_path_factory.mktemp("ways")) as both:
        both.local.publish(quotes([0, 1, 2]), symbol=EUR)
        yield both


Call = Callable[[Any], Any]

SYMBOLS: dict[str, Any] = {
    "None": None, "a number": 5, "bytes": b"EUR_USD", "a list": [EUR], "empty": "", "blank": "  ", "long": "x" * 40,
    "64 long": "é" * 40, "a line break": "a\nb", "a slash": "/", "a nul": "a\0b",
}  # fmt: skip
LIMITS: dict[str, Any] = {
    "None": None, "negative": -1, "half": 1.5, "text": "7", "huge": 1 << 70, "True": True,
    "a time": datetime(2024, 3, 5),
    "numpy": np.int64(2),
}  # fmt: skip
BOUNDS: dict[str, Any] = {
    "text": "2024-03-05", "a float": 1.5, "negative": -5, "huge": 1 << 70, "nan": float("nan"), "True": True,
    "a list": [1],
    "naive": datetime(2024, 3, 5, 9), "year 1": datetime(1, 1, 1, tzinfo=UTC),
    "year 9999": datetime(9999, 1, 1, tzinfo=UTC),
    "numpy": np.int64(2), "datetime64": np.datetime64("2024-03-05T09:00"),
}  # fmt: skip
SOURCES: dict[str, Any] = {
    "a number": 5,
    "empty": "",
    "long": "x" * 40,
    "nobody": "nobody",
    "a list": ["direct"],
    "a nul": "a\0b",
}
FRAMES: dict[str, Any] = {"None": None, "a number": 60, "empty": "", "unknown": "2m", "a list": ["1m"]}

OF_SYMBOL: dict[str, Callable[[Any, Any], Any]] = {
    "get_latest_tick": lambda hub, one: hub.get_latest_tick(one),
    "get_latest_candles": lambda hub, one: hub.get_latest_candles(one),
    "get_latest_order_flow": lambda hub, one: hub.get_latest_order_flow(one),
    "ticks": lambda hub, one: hub.ticks(one),
    "candles": lambda hub, one: hub.candles(one),
    "history": lambda hub, one: hub.history(one),
    "snapshot": lambda hub, one: hub.snapshot(one),
    "require_fresh": lambda hub, one: hub.require_fresh(one, 1e9),
    "state": lambda hub, one: hub.state(one),
    "check_staleness": lambda hub, one: hub.check_staleness(one),
    "gaps": lambda hub, one: hub.gaps(one),
    "quarantined": lambda hub, one: hub.quarantined(one),
    "comparisons": lambda hub, one: hub.comparisons(one),
    "calendar": lambda hub, one: hub.calendar(one).id,
    "clear_symbol": lambda hub, one: hub.clear_symbol(one) * 0,
    "warm_start_candles": lambda hub, one: hub.warm_start_candles(one, []),
    "publish": lambda hub, one: hub.publish(quotes([9])[:0], symbol=one),
    "publish many": lambda hub, one: hub.publish(quotes([9])[:0], symbols=one),
    "note": lambda hub, one: hub.note("x" if one is not None else None, one) * 0,
    "stream": lambda hub, one: hub.stream(5 if one is None else one).close(),
}
OF_LIMIT: dict[str, Callable[[Any, Any], Any]] = {
    "get_latest_candles": lambda hub, one: hub.get_latest_candles(EUR, one),
    "ticks": lambda hub, one: hub.ticks(EUR, one),
    "candles": lambda hub, one: hub.candles(EUR, "1m", one),
    "history": lambda hub, one: hub.history(EUR, "1m", one),
    "snapshot": lambda hub, one: hub.snapshot(EUR, "1m", one),
    "quarantined": lambda hub, one: hub.quarantined(EUR, one),
    "comparisons": lambda hub, one: hub.comparisons(EUR, one),
    "warm_start_all": lambda hub, one: hub.warm_start_all([], lambda symbol, limit: [], one),
}
OF_BOUND: dict[str, Callable[[Any, Any], Any]] = {
    f"{name} {which}": lambda hub, one, name=name, which=which: getattr(hub, name)(EUR, **{which: one})
    for name in ("ticks", "candles", "history")
    for which in ("start", "end")
} | {"stream": lambda hub, one: hub.stream(start=one).close(), "advance": lambda hub, one: hub.advance(one) * 0}
OF_SOURCE: dict[str, Callable[[Any, Any], Any]] = {
    "candles": lambda hub, one: hub.candles(EUR, source=one),
    "history": lambda hub, one: hub.history(EUR, source=one),
    "state": lambda hub, one: hub.state(EUR, one),
    "gaps": lambda hub, one: hub.gaps(EUR, one),
    "publish": lambda hub, one: hub.publish(quotes([9])[:0], symbol=EUR, source=one),
}
OF_FRAME: dict[str, Callable[[Any, Any], Any]] = {
    "get_latest_candles": lambda hub, one: hub.get_latest_candles(EUR, timeframe=one),
    "candles": lambda hub, one: hub.candles(EUR, one),
    "history": lambda hub, one: hub.history(EUR, one),
    "snapshot": lambda hub, one: hub.snapshot(EUR, one),
    "stream": lambda hub, one: hub.stream(kinds="interval", timeframes=one).close(),
}
OTHERS: dict[str, Call] = {
    **{f"update_tick {one!r}": lambda hub, one=one: hub.update_tick(one) for one in (None, 5, {}, {"symbol": EUR})},
    **{f"update_candle_1m {one!r}": lambda hub, one=one: hub.update_candle_1m(one) for one in (None, 5, {})},
    **{f"update_order_flow {one!r}": lambda hub, one=one: hub.update_order_flow(one) for one in (None, 5, {})},
    "a candle of hours": lambda hub: hub.update_candle_1m(candle(1, timeframe="1h")),
    "a candle without a high": lambda hub: hub.update_candle_1m(candle(1, high=1.0)),
    "flow that is nan": lambda hub: hub.update_order_flow(flow(1, ofi_60s=float("nan"))),
    "flow below 0": lambda hub: hub.update_order_flow(flow(1, best_bid=-1.0)),
    "a tick below 0": lambda hub: hub.update_tick(tick(1, -1.0)),
    "a tick of 1970": lambda hub: hub.update_tick(tick(-NINE / 1e9 + 1)),
    **{
        f"publish {type(one).__name__} {one!r:.20}": lambda hub, one=one: hub.publish(one, symbol=EUR)
        for one in (None, [], 5, [(1, 2, 3)], np.zeros(3), quotes([1, 2]).reshape(2, 1), "abc")
    },
    "publish without a symbol": lambda hub: hub.publish(quotes([1])),
    "publish to symbols, without an index": lambda hub: hub.publish(quotes([1]), symbols=[EUR]),
    "publish to no symbols": lambda hub: hub.publish(quotes([1])[:0], symbols=[]),
    **{
        f"warm_start_candles {one!r}": lambda hub, one=one: hub.warm_start_candles(EUR, one)
        for one in (None, 5, [None], [5], [{}])
    },
    **{
        f"warm_start_all by {one!r}": lambda hub, one=one: hub.warm_start_all([EUR], one)
        for one in (None, 5, "fetch", [])
    },
    **{
        f"warm_start_all of {one!r}": lambda hub, one=one: hub.warm_start_all(one, lambda symbol, limit: [])
        for one in (None, 5, [None], [""], EUR)
    },
    **{f"note {one!r:.20}": lambda hub, one=one: hub.note(one) for one in (None, 5, b"x", "\ud800")},
    **{f"clock {one!r}": lambda hub, one=one: hub.set_clock(one) for one in (None, 5, "", "moon", "virtual")},
    **{
        f"rate {one!r}": lambda hub, one=one: hub.set_clock("virtual", anchor_ns=NINE, rate=one)
        for one in (0, -1, 1e9, float("nan"), float("inf"), "2", None)
    },
    **{
        f"anchor {one!r}": lambda hub, one=one: hub.set_clock("virtual", anchor_ns=one) for one in (1.5, "now", 1 << 70)
    },
    **{f"skew {one!r}": lambda hub, one=one: hub.set_clock("wall", skew_ns=one) for one in (1.5, "x", None, 1 << 70)},
    **{f"advance {one!r}": lambda hub, one=one: hub.advance(one) for one in (None, "now", 5, True, 1.5, float("nan"))},
    **{
        f"fresh within {one!r}": lambda hub, one=one: hub.require_fresh(EUR, one)
        for one in (None, "1", float("nan"), -1, float("inf"), 1e12)
    },
    **{
        f"staleness of {one!r}": lambda hub, one=one: hub.check_staleness(EUR, one)
        for one in (5, "tick", {}, {"moon": 1}, {"tick": None}, {"tick": "2"}, {"tick": float("nan")}, {"tick": -1})
    },
    **{
        f"stream {name}={one!r}": lambda hub, name=name, one=one: hub.stream(**{name: one}).close()
        for name, given in {
            "kinds": (None, 5, "", "moon", [], ["moon"], [5]),
            "start": (None, "then", 1.5, True, -1, 10**9),
            "on_lap": (None, "wait", 5),
            "wait": (None, "moon", 5),
            "timeframes": ([], "2m", 5),
            "symbols": ([5], [""], 5),
        }.items()
        for one in given
    },
    "a stream of intervals of no timeframe": lambda hub: hub.stream(kinds="interval", timeframes=[]).close(),
    "a durable stream without a name": lambda hub: hub.stream(durable=True),
}
CALLS: dict[str, Call] = {
    **{
        f"{name}: {what} as {argument}": lambda hub, call=call, value=value: call(hub, value)
        for argument, values, calls in (
            ("symbol", SYMBOLS, OF_SYMBOL), ("limit", LIMITS, OF_LIMIT), ("bound", BOUNDS, OF_BOUND),
            ("source", SOURCES, OF_SOURCE), ("timeframe", FRAMES, OF_FRAME),
        )
        for name, call in calls.items()
        for what, value in values.items()
    },
    **OTHERS,
}  # fmt: skip


def answer(hub: Any, call: Call) -> Any:
    """Give what a call returns, or the class of its error."""
    try:
        return plain(call(hub))
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_refused_alike(ways: TwoWays, name: str) -> None:
    before = ways.local.head
    by_memory, by_gateway = answer(ways.local, CALLS[name]), answer(ways.remote, CALLS[name])
    assert by_gateway == by_memory
    if isinstance(by_memory, str) and by_memory.endswith("Error"):
        assert ways.local.head == before


@pytest.mark.parametrize("read", ["ticks", "candles", "history"])
@pytest.mark.parametrize("bound", ["start", "end"])
@pytest.mark.parametrize("given", ["2026-06-02", 1.5, [1]], ids=str)
def test_a_bound_that_is_none_is_named_with_what_is_accepted(ways: TwoWays, read: str, bound: str, given: Any) -> None:
    for hub in (ways.local, ways.remote):
        with pytest.raises(InvalidRecord, match=rf"^{bound} is .*, expected a sequence number or a datetime"):
            getattr(hub, read)(EUR, **{bound: given})
