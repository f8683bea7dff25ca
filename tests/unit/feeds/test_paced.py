"""A recorded series as if it happened now: nothing before its time, nothing lost, from the present when begun anew."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from tapehub.feeds import Quotes, Status, StatusKind
from tapehub.feeds.feed import empty_quotes
from tapehub.feeds.paced import Paced

SECOND = 1_000_000_000


class Clock:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now_ns = 50 * SECOND

    def __call__(self) -> int:
        return self.now_ns


def series(start_ns: int) -> Iterator[Quotes]:
    for batch in range(3):
        records = empty_quotes(4)
        records["ts_event"] = start_ns + (batch * 4 + np.arange(4)) * SECOND // 10
        records["bid"] = batch * 4 + np.arange(4) + 1
        yield Quotes(records, ("EUR_USD",), ("synthetic",))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    async def sleep(seconds: float) -> None:
        made.now_ns += round(max(seconds, 0.001) * SECOND)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return made


def collect(feed: Paced, clock: Clock) -> tuple[list[StatusKind], list[tuple[int, float]]]:
    async def run() -> tuple[list[StatusKind], list[tuple[int, float]]]:
        statuses, rows = [], []
        async for event in feed.events():
            if isinstance(event, Status):
                statuses.append(event.kind)
            else:
                assert isinstance(event, Quotes)
                assert int(event.records["ts_event"].max()) <= clock()
                rows += [(int(row["ts_event"]), float(row["bid"])) for row in event.records]
        return statuses, rows

    return asyncio.run(run())


def test_every_quote_comes_once_in_order_and_not_before_its_time(clock: Clock) -> None:
    statuses, rows = collect(Paced("synthetic", ["EUR_USD"], series, clock), clock)
    assert statuses == [StatusKind.CONNECTED, StatusKind.ENDED]
    assert rows == [(50 * SECOND + index * SECOND // 10, index + 1.0) for index in range(12)]


def test_iterated_again_it_goes_on_from_the_present(clock: Clock) -> None:
    feed = Paced("synthetic", ["EUR_USD"], series, clock)
    collect(feed, clock)
    clock.now_ns = 900 * SECOND
    assert collect(feed, clock)[1][0][0] == 900 * SECOND


def test_what_fell_behind_goes_at_once_and_together(clock: Clock) -> None:
    def late(start_ns: int) -> Iterator[Quotes]:
        return series(start_ns - 100 * SECOND)

    before = clock.now_ns
    assert len(collect(Paced("synthetic", ["EUR_USD"], late, clock), clock)[1]) == 12
    assert clock.now_ns - before < SECOND
