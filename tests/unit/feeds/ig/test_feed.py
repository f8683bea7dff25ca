"""The IG feed over the official client, against the simulated venue: what comes in."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds import MarketStatus, Quotes, Repair, StatusKind, VenueCandle
from tapehub.feeds.ig import IgFeed
from tapehub.feeds.ig.stream import Fault, Inbox, ItemRefused, Lost, State, Update
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
            assert {event.subscriptions for event in watched.statuses(StatusKind.SUBSCRIBED)} == {(3, 3)}
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
            assert watched.of(MarketStatus)[-1].is_open is False

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


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "unauthorised.access.to.equity.exception"), (403, "some.new.code"), (500, "system.error")],
)
def test_an_epic_that_rest_refuses_or_breaks_on_takes_no_other_down(status: int, code: str) -> None:
    def refuse(sim: Any) -> None:
        for path in ("/markets", "/markets/CS.D.AUDUSD.CFD.IP"):
            sim.inject("rest_error", item=path, status=status, code=code)

    async def test() -> None:
        async with watching(("AUD_USD", "EUR_USD", "USD_JPY"), before=refuse) as watched:
            await watched.flowing(("EUR_USD", "USD_JPY"))
            refused = watched.statuses(StatusKind.REFUSED)[0]
            assert refused.symbols == ("AUD_USD",)
            assert code in refused.detail
            assert all(one.detail.count("AUD_USD:") == 1 for one in watched.statuses(StatusKind.REFUSED))
            watched.sim.inject("clear", code="rest_error")
            await watched.flowing(("AUD_USD",))
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1

    run(test)


def test_a_rest_api_that_is_down_is_no_epics_fault() -> None:
    def down(sim: Any) -> None:
        sim.inject("rest_error", item="/markets*", status=503)

    async def test() -> None:
        async with watching(FIVE, before=down, settings={"retry_first_s": 60.0}) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED))
            assert watched.statuses(StatusKind.REFUSED)[0].symbols == ()
            assert len(watched.requests("GET /markets")) == 4, "not one for each epic"

    run(test)


def test_a_symbol_that_becomes_available_takes_the_place_of_what_is_no_tick() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("bad_epic", item="GBP_USD")

    async def test() -> None:
        async with watching(("EUR_USD", "GBP_USD"), venue={"subscription_limit": 3}, before=refuse) as watched:
            await watched.flowing(("EUR_USD",))
            await watched.until(lambda: watched.feed.remarks)
            watched.sim.inject("clear", code="bad_epic")
            await watched.flowing(("GBP_USD",))
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1
            assert "gave way to ticks of GBP_USD" in watched.feed.remarks["PRICE:***:CS.D.EURUSD.CFD.IP"]
            assert not watched.unread()

    run(test)


def test_a_symbol_for_which_there_is_no_place_is_refused_with_the_budgets_reason() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("bad_epic", item="GBP_USD")

    async def test() -> None:
        symbols = ("EUR_USD", "GBP_USD", "USD_JPY")
        async with watching(symbols, venue={"subscription_limit": 2}, before=refuse) as watched:
            await watched.flowing(("EUR_USD", "USD_JPY"))
            watched.sim.inject("clear", code="bad_epic")
            taken = "all 2 subscriptions that IG allows are taken by ticks"
            await watched.until(lambda: any(taken in one.detail for one in watched.statuses(StatusKind.REFUSED)))
            await watched.flowing(("EUR_USD", "USD_JPY"))
            assert not watched.quotes("GBP_USD")

    run(test)


def test_limits_that_ig_did_not_tell_are_assumed_aloud_and_read_later() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("rest_error", item="/operations/application", status=500)

    async def test() -> None:
        async with watching(("EUR_USD",), before=refuse, settings={"status_every_s": 0.2}) as watched:
            await watched.flowing(("EUR_USD",))
            assert "40 subscriptions and 10 requests a minute are assumed" in watched.feed.remarks["limits"]
            watched.sim.inject("clear", code="rest_error")
            await watched.until(lambda: "limits" not in watched.feed.remarks)

    run(test)


def test_the_account_number_is_in_nothing_that_is_said_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    name = "PRICE:SIM01:CS.D.EURUSD.CFD.IP"

    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.flowing(("EUR_USD",))
            feed = watched.feed
            assert feed._keeper is not None
            keeper, protocol = feed._keeper, feed._keeper._protocol
            feed._handle(Update(name, {"DLG_FLAG": "TRADEABLE"}, 1, 0), keeper, protocol)
            feed._handle(Update("CHART:CS.D.EURUSD.CFD.IP:TICK", {"BID": "1"}, 1, 0, "EUR_USD"), keeper, protocol)
            feed._handle(Lost(name, 3, 1), keeper, protocol)
            feed._handle(Fault(name, "onItemUpdate: why", 1), keeper, protocol)
            keeper.item_refused(ItemRefused(name, -1, "Insufficient permissions", 0))
            await watched.flowing(("EUR_USD",))
            late, lost, fault = watched.unread()
            assert (late.symbol, late.why) == ("EUR_USD", "an update of a subscription that is over")
            assert "dropped 3 updates of PRICE:***:CS.D.EURUSD.CFD.IP" in lost.why
            assert fault.raw == b"PRICE:***:CS.D.EURUSD.CFD.IP"
            assert protocol.passed_over == {"PRICE:***:CS.D.EURUSD.CFD.IP": 1}, "a market state is no quote"
            assert "SIM01" not in repr(watched.events) + repr(feed.remarks) + repr(feed.account.current)  # type: ignore[union-attr]

    with caplog.at_level(logging.DEBUG):
        run(test)
    assert "IG refused PRICE:***" in caplog.text
    assert "SIM01" not in "".join(one.getMessage() for one in caplog.records if one.name.startswith("tapehub"))


def test_a_quote_is_counted_when_it_comes_whatever_becomes_of_it() -> None:
    received: list[int] = []

    async def test() -> None:
        async with watching(SYMBOLS, on_received=received.append) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("garbled", item="EUR_USD", count=3)
            await watched.until(lambda: len(watched.unread()) == 3)
            keeper = watched.feed._keeper
            assert keeper is not None
        handed = len(watched.quotes()) + len(watched.unread())
        left = watched.feed.take_left()
        assert sum(received) == handed + sum(left.values()) == sum(keeper._protocol.received.values())
        assert watched.feed.take_left() == {}

    run(test)


def test_what_finds_no_room_is_counted_one_by_one_and_what_the_server_says_always_finds_some() -> None:
    async def test() -> None:
        received: list[int] = []
        inbox = Inbox(asyncio.get_running_loop(), lambda: None, received.append, entries_max=2)
        for number in range(5):
            inbox.put(Update("CHART:A:TICK", {}, number, 1, "A"))
        inbox.put(Update("PRICE:X:A", {}, 9, 1))
        inbox.put(State("DISCONNECTED", 1, 9))
        assert sum(received) == 5, "a market state is no quote"
        assert inbox.overflowed == {"A": 3, "": 1}
        assert [type(entry) for entry in inbox.close()] == [Update, Update, State]
        inbox.put(Update("CHART:A:TICK", {}, 9, 1, "A"))
        assert (len(inbox), sum(received)) == (0, 5), "nobody takes it any more"

    run(test)
