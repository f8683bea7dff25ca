"""The session of Kraken's feed against a venue on the loopback: cut, mute, refused, repaired."""

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tapehub.errors import ConfigError, FeedError
from tapehub.feeds import Event, Malformed, MarketStatus, Quotes, Repair, Status, StatusKind
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.kraken import KrakenFeed
from tapehub.model.instruments import normalise
from tests.servers.kraken import KrakenVenue, Top, made_up

SYMBOLS = ("EUR_USD", "USD_JPY")
NAMES = ("EUR/USD", "USD/JPY")


def feed(venue: KrakenVenue, symbols: Any = SYMBOLS, **options: Any) -> KrakenFeed:
    quick = Backoff(Random(1), first_s=0.01, ceiling_s=0.05)
    return KrakenFeed(symbols, url=venue.url, **{"backoff": quick, **options})


def collect(made: KrakenFeed, enough: Callable[[list[Event]], bool]) -> list[Event]:
    async def run() -> list[Event]:
        seen: list[Event] = []
        stream = made.events()
        async for event in stream:
            seen.append(event)
            if enough(seen):
                break
        await stream.aclose()
        return seen

    return asyncio.run(run())


def kinds(seen: list[Event]) -> list[StatusKind]:
    return [event.kind for event in seen if isinstance(event, Status)]


def rows(seen: list[Event]) -> list[tuple[Any, ...]]:
    return [
        (event.symbols[record[-1]], *record[2:6]) for event in seen if isinstance(event, Quotes)
        for record in event.records.tolist()
    ]  # fmt: skip


def times(kind: StatusKind, count: int) -> Callable[[list[Event]], bool]:
    return lambda seen: kinds(seen).count(kind) >= count


def quotes(count: int) -> Callable[[list[Event]], bool]:
    return lambda seen: len(rows(seen)) >= count


def test_every_quote_arrives_once_in_order_after_the_confirmations() -> None:
    tops = made_up(NAMES, 200)
    with KrakenVenue(tops) as venue:
        seen = collect(feed(venue), quotes(400))
    assert isinstance(seen[1], MarketStatus)
    assert kinds(seen)[:3] == [StatusKind.CONNECTED, StatusKind.SUBSCRIBED, StatusKind.SUBSCRIBED]
    assert rows(seen) == [
        (normalise(top.symbol), float(top.bid), float(top.ask), float(top.bid_qty), float(top.ask_qty)) for top in tops
    ]
    assert StatusKind.HEARTBEAT in kinds(seen)


def test_a_cut_connection_is_said_opened_again_and_subscribed_again() -> None:
    with KrakenVenue(made_up(NAMES, 5)) as venue:

        def enough(seen: list[Event]) -> bool:
            if len(rows(seen)) == 10 and kinds(seen)[-1] is StatusKind.HEARTBEAT:
                venue.cut()
            return kinds(seen).count(StatusKind.SUBSCRIBED) == 4

        seen = collect(feed(venue), enough)
        assert len(venue.requests) == 2
    found = [kind for kind in kinds(seen) if kind is not StatusKind.HEARTBEAT]
    assert found[3:5] == [StatusKind.DISCONNECTED, StatusKind.CONNECTED]
    (end,) = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.DISCONNECTED]
    assert "ConnectionClosed" in end.detail


def test_a_mute_connection_is_pinged_then_given_up() -> None:
    with KrakenVenue(made_up(NAMES, 5), mute_first=1, answers_pings=False) as venue:
        seen = collect(feed(venue, ping_after_s=0.05, silence_s=0.15), quotes(10))
        assert [message["method"] for message in venue.requests[0]] == ["subscribe", "ping"]
        assert len(venue.requests) == 2
    (end,) = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.DISCONNECTED]
    assert end.detail == "no message for 0.15 s, a ping included"


def test_a_connection_that_answers_pings_is_kept_though_nothing_is_subscribed() -> None:
    with KrakenVenue(unlisted=NAMES) as venue:
        seen = collect(feed(venue, ping_after_s=0.02, silence_s=5.0), times(StatusKind.HEARTBEAT, 4))
        assert len(venue.requests) == 1
    refused = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.REFUSED]
    assert [event.symbols for event in refused] == [("EUR_USD",), ("USD_JPY",)]


def test_a_connection_that_beats_for_longer_than_the_silence_allowed_is_kept() -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:

        def enough(seen: list[Event]) -> bool:
            own = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.HEARTBEAT]
            return sum(not event.detail for event in own) >= 60  # not the answers to pings

        seen = collect(feed(venue, ping_after_s=0.3, silence_s=0.8), enough)
        assert len(venue.requests) == 1
    assert StatusKind.DISCONNECTED not in kinds(seen)


def test_one_unlisted_symbol_is_refused_by_name_and_the_other_flows() -> None:
    with KrakenVenue(made_up(NAMES, 5), unlisted=("USD/JPY",)) as venue:
        seen = collect(feed(venue), quotes(5))
    (refused,) = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.REFUSED]
    assert refused.symbols == ("USD_JPY",)
    assert "not supported USD/JPY" in refused.detail
    assert {row[0] for row in rows(seen)} == {"EUR_USD"}


def test_resubscribing_happens_on_the_same_connection() -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:
        made = feed(venue)

        def enough(seen: list[Event]) -> bool:
            if len(rows(seen)) == 2 and isinstance(seen[-1], Quotes):
                made.repair(Repair.RESUBSCRIBE, ("USD_JPY",))
            return kinds(seen).count(StatusKind.SUBSCRIBED) == 3

        collect(made, enough)
        (asked,) = venue.requests
    assert [(message["method"], message["params"]["symbol"]) for message in asked[1:]] == [
        ("unsubscribe", ["USD/JPY"]),
        ("subscribe", ["USD/JPY"]),
    ]


@pytest.mark.parametrize("step", [Repair.RECONNECT, Repair.RELOGIN])
def test_reconnecting_opens_a_new_connection_and_closes_the_old_one(step: Repair) -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:
        made = feed(venue)

        def enough(seen: list[Event]) -> bool:
            if len(rows(seen)) == 2 and isinstance(seen[-1], Quotes):
                made.repair(step)
            return len(rows(seen)) == 4

        seen = collect(made, enough)
        assert len(venue.requests) == 2
    (end,) = [event for event in seen if isinstance(event, Status) and event.kind is StatusKind.DISCONNECTED]
    assert end.detail == f"asked to {step.value}"


def test_leaving_closes_the_connection() -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:

        async def run() -> None:
            stream = feed(venue).events()
            async for event in stream:
                if isinstance(event, Quotes):
                    break
            assert venue.open_links == 1
            await stream.aclose()
            while venue.open_links:
                await asyncio.sleep(0.01)

        asyncio.run(run())


def test_cancelling_closes_the_connection() -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:

        async def consume(seen: asyncio.Event) -> None:
            async for event in feed(venue).events():
                if isinstance(event, Quotes):
                    seen.set()

        async def run() -> None:
            seen = asyncio.Event()
            task = asyncio.create_task(consume(seen))
            await seen.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while venue.open_links:
                await asyncio.sleep(0.01)

        asyncio.run(run())


def test_an_absent_venue_is_tried_again_and_again() -> None:
    with KrakenVenue() as venue:
        url = venue.url
    made = KrakenFeed(SYMBOLS, url=url, backoff=Backoff(Random(1), 0.001, 0.01))
    seen = collect(made, times(StatusKind.DISCONNECTED, 3))
    assert all(isinstance(event, Status) and url in event.detail for event in seen)


def test_bytes_that_are_no_text_are_kept_and_the_connection_lives() -> None:
    tops = made_up(NAMES, 1)
    with KrakenVenue(tops, extra=[b"\xff\xfe", '{"channel":"ticker"}']) as venue:

        def enough(seen: list[Event]) -> bool:
            last = seen[-1]
            after = sum(isinstance(event, Malformed) for event in seen) == 2
            return after and isinstance(last, Status) and last.kind is StatusKind.HEARTBEAT

        seen = collect(feed(venue), enough)
        assert len(venue.requests) == 1
    assert [event.raw for event in seen if isinstance(event, Malformed)] == [b"\xff\xfe", b'{"channel":"ticker"}']


def test_two_consumers_at_once_are_refused() -> None:
    with KrakenVenue(made_up(NAMES, 1)) as venue:

        async def run() -> None:
            made = feed(venue)
            first = made.events()
            await anext(first)
            with pytest.raises(FeedError, match="being iterated already"):
                await anext(made.events())
            await first.aclose()
            again = made.events()
            assert isinstance(await anext(again), Status)
            await again.aclose()

        asyncio.run(run())


def test_receive_times_are_of_the_clock_that_was_given() -> None:
    with KrakenVenue(made_up(NAMES, 3)) as venue:
        ticks = iter(range(1_000, 2_000))
        seen = collect(feed(venue, now=lambda: next(ticks)), quotes(6))
    stamps = [event.ts_recv for event in seen if isinstance(event, Status)]
    assert stamps == sorted(stamps)
    assert all(1_000 <= int(event.records["ts_recv"][0]) < 2_000 for event in seen if isinstance(event, Quotes))


@pytest.mark.parametrize(
    "options", [{"url": "https://example.invalid"}, {"ping_after_s": 5.0, "silence_s": 5.0}, {"symbols": ["US500"]}]
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        KrakenFeed(**options)


def test_waits_grow_to_the_ceiling_with_jitter_and_begin_anew_after_a_success() -> None:
    waits = Backoff(Random(7), first_s=1.0, ceiling_s=8.0)
    drawn = [waits.next_s() for _ in range(50)]
    for wait, due in zip(drawn, [1, 2, 4] + [8] * 47, strict=True):
        assert due / 2 <= wait <= due
    assert len(set(drawn)) == 50
    again = Backoff(Random(7), first_s=1.0, ceiling_s=8.0)
    assert [again.next_s() for _ in range(50)] == drawn
    again.reset()
    assert again.next_s() <= 1.0
    assert again.next_s(at_least_s=60.0) == 60.0


def captured(shared_data: Path) -> list[Top]:
    """Bring a capture of v1 into the shape of v2: the prices and sizes as their very text, the time it was received."""
    tops = []
    with gzip.open(shared_data / "kraken/cryptofeed-KRAKEN.ws.49.0.gz", "rt") as lines:
        for line in lines:
            stamp, _, text = line.partition(": ")
            if not text.startswith("["):
                continue
            _, body, _, pair = json.loads(text)
            when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(float(stamp) * 1e6))
            name = normalise(pair).replace("_", "/")
            tops.append(
                Top(name, body["b"][0], body["b"][2], body["a"][0], body["a"][2], f"{when:%Y-%m-%dT%H:%M:%S.%fZ}")
            )
    return tops


def test_captured_prices_and_sizes_arrive_to_the_last_digit(shared_data: Path) -> None:
    tops = captured(shared_data)
    assert len(tops) == 18
    symbols = list(dict.fromkeys(normalise(top.symbol) for top in tops))
    assert "BTC_CHF" in symbols
    with KrakenVenue(tops) as venue:
        seen = collect(feed(venue, symbols), quotes(len(tops)))
    for got, top in zip(rows(seen), tops, strict=True):
        assert got[:3] == (normalise(top.symbol), float(top.bid), float(top.ask))
        assert got[3:] == pytest.approx((float(top.bid_qty), float(top.ask_qty)), rel=1e-7)
    stamped = [int(event.records["ts_event"][0]) for event in seen if isinstance(event, Quotes)]
    assert stamped[0] // 1_000_000_000 == 1_618_678_132
