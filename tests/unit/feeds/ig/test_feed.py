"""The IG feed over the official client, against the simulated venue: what comes in."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds import MarketStatus, Quotes, Repair, StatusKind, VenueCandle
from tapehub.feeds.ig import IgFeed
from tests.servers.ig import CREDENTIALS, SYMBOLS, TUESDAY, watching

FIVE = ("EUR_USD", "USD_JPY", "GBP_USD", "AUD_USD", "USD_CAD")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize("form", ["CFD", "TODAY"])
def test_values_are_exact_however_the_venue_scales_them(form: str) -> None:
    async def test() -> None:
        async with watching(SYMBOLS, form=form) as watched:
            await watched.flowing(SYMBOLS, 25)
            for symbol, decimals in (("EUR_USD", 5), ("USD_JPY", 3), ("GBP_USD", 5)):
                watched.assert_as_quoted(symbol, decimals)
            assert not watched.unread()
            ts_recv = [row for event in watched.of(Quotes) for row in event.records["ts_recv"].tolist()]
            assert min(ts_recv) > TUESDAY

    run(test)


def test_every_tick_of_the_session_comes_once() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), ticks_per_s=50.0) as watched:
            await watched.flowing(("EUR_USD",), 60)
            watched.assert_complete("EUR_USD", 5)

    run(test)


def test_prices_scaled_differently_from_the_snapshot_are_refused_by_name_and_not_published() -> None:
    def wrong(sim: Any) -> None:
        sim.inject("scaled", item="USD_JPY", factor=10)

    async def test() -> None:
        async with watching(SYMBOLS, before=wrong) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED, "USD_JPY"))
            await watched.flowing(("EUR_USD", "GBP_USD"))
            assert "USDJPY" in watched.statuses(StatusKind.REFUSED)[0].detail
            watched.assert_as_quoted("USD_JPY", 3)
            have = len(watched.quotes("USD_JPY"))
            watched.sim.inject("clear", code="scaled")
            await watched.flowing(("USD_JPY",))
            assert len(watched.quotes("USD_JPY")) > have
            assert len(watched.statuses(StatusKind.SUBSCRIBED, "USD_JPY")) == 2

    run(test)


def test_a_bad_epic_is_refused_by_name_while_the_others_flow() -> None:
    async def test() -> None:
        async with watching(SYMBOLS, epics={"GBP_USD": "CS.D.NOSUCH.CFD.IP"}) as watched:
            await watched.flowing(("EUR_USD", "USD_JPY"))
            [refused] = watched.statuses(StatusKind.REFUSED)[:1]
            assert refused.symbols == ("GBP_USD",)
            assert "CS.D.NOSUCH.CFD.IP" in refused.detail
            assert not watched.statuses(StatusKind.DISCONNECTED)

    run(test)


def test_a_symbol_that_no_table_has_is_looked_up() -> None:
    async def test() -> None:
        async with watching(("EUR_SEK",)) as watched:
            await watched.flowing(("EUR_SEK",))
            watched.assert_as_quoted("EUR_SEK", 5)
            assert watched.requests("GET /markets 200")
            assert watched.feed.book.name("CS.D.EURSEK.CFD.IP") == "EUR_SEK"

    run(test)


def test_an_epic_that_streaming_refuses_takes_no_other_down_and_is_tried_again() -> None:
    async def test() -> None:
        async with watching(SYMBOLS) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("bad_epic", item="GBP_USD")
            watched.feed.repair(Repair.RESUBSCRIBE, ("GBP_USD",))
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED, "GBP_USD"))
            assert "21" in watched.statuses(StatusKind.REFUSED, "GBP_USD")[0].detail
            await watched.flowing(("EUR_USD", "USD_JPY"))
            watched.sim.inject("clear", code="bad_epic")
            await watched.flowing(("GBP_USD",))
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1

    run(test)


def test_five_symbols_on_three_subscriptions_refuse_two_by_name() -> None:
    async def test() -> None:
        async with watching(FIVE, venue={"subscription_limit": 3}) as watched:
            await watched.flowing(FIVE[:3])
            refused = watched.statuses(StatusKind.REFUSED)
            assert [event.symbols for event in refused] == [("AUD_USD",), ("USD_CAD",)]
            assert all("beyond the 3 that IG allows" in event.detail for event in refused)
            assert not watched.quotes("AUD_USD")
            assert len([entry for entry in watched.sim.log.entries if entry.event == "session created"]) == 1
            assert "TRADE:HB.U.HEARTBEAT.IP" in watched.feed.remarks

    run(test)


def test_heartbeats_and_market_states_come() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.HEARTBEAT))
            watched.sim.inject("market_state", item="EUR_USD", state="SUSPENDED")
            await watched.until(lambda: watched.of(MarketStatus)[-1].detail == "SUSPENDED")
            assert watched.of(MarketStatus)[0].is_open is True
            assert watched.of(MarketStatus)[-1].is_open is None

    run(test)


def test_states_come_by_rest_where_the_budget_has_no_item_for_them() -> None:
    async def test() -> None:
        settings = {"subscriptions_max": 1, "status_every_s": 0.3}
        async with watching(("EUR_USD",), settings=settings) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("market_state", item="EUR_USD", state="CLOSED")
            await watched.until(lambda: watched.of(MarketStatus)[-1].detail == "CLOSED")

    run(test)


def test_candles_of_the_venue_come_finished_and_a_lost_end_is_flagged() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), rate=40.0, ticks_per_s=1.0) as watched:
            await watched.until(lambda: len(watched.of(VenueCandle)) >= 2)
            assert all(candle.confirmed for candle in watched.of(VenueCandle))
            watched.sim.inject("lose_candle_end", item="EUR_USD")
            await watched.until(lambda: not watched.of(VenueCandle)[-1].confirmed)
            starts = [candle.start for candle in watched.of(VenueCandle)]
            assert starts == sorted(set(starts))
            assert all(start % 60_000_000_000 == 0 for start in starts)
            whole = watched.of(VenueCandle)[1]
            oracle = watched.oracle("EUR_USD", 5)
            bids = [bid for ts, bid, _ in oracle if 0 <= ts - whole.start < 60 * 10**9]
            assert whole.bid == (bids[0], max(bids), min(bids), bids[-1])
            assert whole.ticks == len(bids)

    run(test)


def test_an_exception_in_a_callback_is_counted_and_the_next_update_flows() -> None:
    broken = threading.Event()

    def failing(clock: Callable[[], int]) -> Callable[[], int]:
        def now() -> int:
            if threading.current_thread() is not threading.main_thread() and broken.is_set():
                broken.clear()
                raise RuntimeError("the clock stopped")
            return clock()

        return now

    async def test() -> None:
        async with watching(("EUR_USD",), now=failing) as watched:
            await watched.flowing(("EUR_USD",))
            broken.set()
            await watched.until(watched.unread)
            [event] = watched.unread()
            assert "onItemUpdate: RuntimeError: the clock stopped" in event.why
            assert watched.feed.faults == 1
            await watched.flowing(("EUR_USD",))

    run(test)


def test_a_feed_without_symbols_or_with_an_epic_of_nobody_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="has no symbol"):
        IgFeed((), credentials=CREDENTIALS, now=lambda: 0)
    with pytest.raises(ConfigError, match="stands for no symbol known here"):
        IgFeed(("CS.D.WHATEVER.CFD.IP",), credentials=CREDENTIALS, now=lambda: 0)
    assert IgFeed(("CS.D.EURUSD.MINI.IP", "usd/jpy"), credentials=CREDENTIALS, now=lambda: 0).symbols == (
        "EUR_USD",
        "USD_JPY",
    )
