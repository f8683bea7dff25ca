"""Whatever a hub is asked, it answers the same from its memory and through a gateway, errors included."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tapehub.hub import marks
from tapehub.hub.remote import reading
from tapehub.model.states import GapStatus, State
from tests.models.intervals import SECOND
from tests.models.market import EUR, GBP, NINE, candle, flow, moment, quotes, tick
from tests.models.two_hubs import TwoWays, outcome, two_ways

VOLATILE = {"processes", "readers", "checkpoint", "synced", "days_left", "warm_start_errors"}


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoWays]:
    with two_ways(tmp_path_factory.mktemp("ways")) as both:
        fill(both)
        yield both


def fill(ways: TwoWays) -> None:
    """Have something of every kind: quotes of two sources, pushed and built candles, late ticks, marks of a feed."""
    hub = ways.local
    hub.publish(quotes([n * 0.7 for n in range(2_000)], [1.1 + n % 13 / 1e4 for n in range(2_000)]), symbol=EUR)
    hub.publish(quotes([n * 3.0 for n in range(500)], 1.3), symbol=GBP, source="feed", verified=True)
    hub.update_tick(tick(1_500, 1.2, EUR, bid_size=2.5))
    hub.update_tick(tick(30, 1.05))  # late: minute 0 is revised
    hub.update_candle_1m(candle(3, 1.15, source="mine", volume_type="real"))
    hub.update_candle_1m(candle(40, 1.15, GBP))
    hub.update_order_flow(flow(5, ofi_60s=0.1 + 0.2, order_flow_bias="BEARISH"))
    hub.update_tick(tick(1_501, 99.0, "ODD_NAME.X"))
    marks.gap(hub, GBP, "feed", NINE, NINE + SECOND, "cut", GapStatus.FILLED)
    marks.gap(hub, GBP, "feed", NINE + 5 * SECOND, None, "mute")
    marks.state(hub, GBP, "feed", State.STALE, "silent for 6 s", NINE + 9 * SECOND)
    quote = (NINE, NINE + 1, 1.5, float("nan"), 0.0, 0.0)
    marks.quarantine(hub, GBP, "feed", 5, NINE, quote=quote, detail="ask below bid", not_stored=3)
    marks.quarantine(hub, GBP, "feed", 1, NINE + 2, raw=b"\x00\xff" * 9, detail="no JSON")
    marks.comparison(hub, GBP, "feed", NINE, 3, {"close": [1.1, 1.2]}, NINE)
    hub.note("resté là", EUR)


ASKED: dict[str, Callable[[Any], Any]] = {
    "latest tick": lambda hub: hub.get_latest_tick(EUR),
    "latest of another source": lambda hub: hub.get_latest_tick("GBP/USD"),
    "latest of an undeclared": lambda hub: hub.get_latest_tick("ODD_NAME.X"),
    "latest of nobody": lambda hub: hub.get_latest_tick("XAU_USD"),
    "latest candles": lambda hub: hub.get_latest_candles(EUR, 20),
    "latest hours": lambda hub: hub.get_latest_candles(EUR, timeframe="1h"),
    "order flow": lambda hub: hub.get_latest_order_flow(EUR),
    "no order flow": lambda hub: hub.get_latest_order_flow(GBP),
    "ticks": lambda hub: hub.ticks(EUR, 300),
    "ticks by time": lambda hub: hub.ticks(EUR, start=moment(10), end=moment(60)),
    "ticks by place": lambda hub: hub.ticks(EUR, start=150, end=1_000),
    "ticks by both": lambda hub: hub.ticks(EUR, 7, start=moment(10.5), end=900),
    "ticks of the far past": lambda hub: hub.ticks(EUR, start=moment(-(10**9))),
    "all ticks": lambda hub: hub.ticks(EUR, start=0),
    "ticks of nobody": lambda hub: hub.ticks("XAU_USD"),
    **{
        f"candles {frame}": lambda hub, frame=frame: hub.candles(EUR, frame, forming=True)
        for frame in ("1s", "5s", "15s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w")
    },
    "candles by time": lambda hub: hub.candles(EUR, "1m", start=moment(60), end=moment(600)),
    "candles by place": lambda hub: hub.candles(EUR, "1m", start=900),
    "candles of a source": lambda hub: hub.candles(GBP, "1m", source="feed"),
    "candles of no source": lambda hub: hub.candles(GBP, "1m", source="other"),
    "history": lambda hub: hub.history(EUR, "1m"),
    "history by time": lambda hub: hub.history(EUR, "5m", start=moment(300), end=moment(900) + timedelta(seconds=1)),
    "history by place": lambda hub: hub.history(EUR, "1s", start=500, end=900, limit=50),
    "snapshot": lambda hub: hub.snapshot(EUR, "1m", 30),
    "snapshot of a feed": lambda hub: hub.snapshot(GBP, "5m"),
    "snapshot of nobody": lambda hub: hub.snapshot("XAU_USD"),
    "state": lambda hub: [hub.state(name) for name in (EUR, GBP, "XAU_USD")],
    "state of a source": lambda hub: [hub.state(GBP, name) for name in ("feed", "direct", "nobody")],
    "staleness": lambda hub: [hub.check_staleness(name) for name in (EUR, GBP, "XAU_USD")],
    "gaps": lambda hub: hub.gaps(GBP),
    "gaps of a source": lambda hub: [hub.gaps(GBP, "feed"), hub.gaps(GBP, "other"), hub.gaps(EUR)],
    "quarantined": lambda hub: repr(hub.quarantined()),  # a text: a price is nan
    "quarantined of one": lambda hub: repr([hub.quarantined(GBP, 1), hub.quarantined(EUR)]),
    "comparisons": lambda hub: [hub.comparisons(), hub.comparisons(GBP, 1), hub.comparisons(EUR)],
    "instruments": lambda hub: hub.instruments,
    "sources": lambda hub: hub.sources,
    "calendar": lambda hub: (hub.calendar(EUR).name, hub.calendar(EUR).to_bytes()),
    "ledger": lambda hub: hub.ledger(),
    "status": lambda hub: {name: value for name, value in hub.get_status().items() if name not in VOLATILE},
    "who is there": lambda hub: [{**row, "get_tick_calls": 0, "get_candles_calls": 0} for row in hub.processes()],
    "server": lambda hub: hub.server(),
    "verify": lambda hub: hub.verify(),
    "place": lambda hub: [str(hub.path), hub.head, hub.epoch, hub.hub_id, hub.now()],
    "not fresh": lambda hub: hub.require_fresh(GBP, 0.001),
    "fresh of nobody": lambda hub: hub.require_fresh("XAU_USD", 1),
    "no timeframe": lambda hub: hub.candles(EUR, "2m"),
    "no timeframe of history": lambda hub: hub.history(EUR, "2m"),
    "no timeframe of a snapshot": lambda hub: hub.snapshot(EUR, "2m"),
    "negative limit": lambda hub: hub.ticks(EUR, -5),
    "negative limit of candles": lambda hub: hub.get_latest_candles(EUR, -5),
    "no symbol": lambda hub: hub.get_latest_tick(""),
    "long symbol": lambda hub: hub.snapshot("x" * 40),
    "control characters": lambda hub: hub.get_latest_tick("a\nb"),
    "no clock": lambda hub: hub.set_clock("moon"),
    "clock without anchor": lambda hub: hub.set_clock("virtual"),
    "no kind": lambda hub: hub.stream(kinds="moon"),
    "no start": lambda hub: hub.stream(start="then"),
    "no array": lambda hub: hub.publish(quotes([1]), symbol=EUR, symbols=[EUR]),
    "no field": lambda hub: hub.publish(quotes([1])[["bid"]], symbol=EUR),
    "bad row": lambda hub: hub.publish(quotes([1], -1.0), symbol=EUR),
}


@pytest.mark.parametrize("name", ASKED)
def test_answers_are_equal_value_for_value(ways: TwoWays, name: str) -> None:
    by_gateway, by_memory = outcome(lambda: ASKED[name](ways.remote)), outcome(lambda: ASKED[name](ways.local))
    assert by_gateway == by_memory


@pytest.mark.parametrize("limit", [None, 0, 99, 100, 101, 250, 5_000])
@pytest.mark.parametrize("end", [None, moment(700), 1_500], ids=str)
def test_what_takes_several_requests_is_the_same(
    ways: TwoWays, monkeypatch: pytest.MonkeyPatch, limit: int | None, end: Any
) -> None:
    ways.local.update_tick(tick(5, 1.1, EUR))  # late in the log, and early in time
    monkeypatch.setattr(reading, "ROWS_MAX", 100)
    for start in (0, moment(3)):
        asked = [
            outcome(lambda hub=hub, start=start: hub.ticks(EUR, limit, start, end)) for hub in (ways.remote, ways.local)
        ]
        assert asked[0] == asked[1]
