"""Streams from memory and through a gateway: the same records in the same order, over the death of the gateway too."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tapehub
from tapehub import DataHub, HubNotRunning, Tick
from tapehub.gateway.access import Scope, Tokens
from tapehub.hub import marks
from tapehub.hub.intervals import IntervalEnd
from tapehub.model.states import State
from tests.models.market import EUR, GBP, NINE, candle, flow, moment, quotes, tick
from tests.models.two_hubs import WAYS, TwoWays, fresh_symbol, plain, two_ways
from tests.models.waiting import free_port
from tests.servers.processes import Process

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoWays]:
    with two_ways(tmp_path_factory.mktemp("ways")) as both:
        yield both


@pytest.fixture(params=WAYS)
def hub(request: pytest.FixtureRequest, ways: TwoWays) -> Any:
    return ways.by(request.param)


def read(stream: Any, count: int) -> list[Any]:
    """Poll so many records, in their order."""
    out: list[Any] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(out) < count and time.monotonic() < deadline:
        batch = stream.poll(1000, timeout_s=1.0)
        out += [*batch, *batch.records]
    return out


def mixed(hub: DataHub, symbol: str) -> None:
    """Publish something of many kinds."""
    hub.publish(quotes([n * 0.5 for n in range(500)], [1.1 + n / 1e4 for n in range(500)]), symbol=symbol)
    hub.update_candle_1m(candle(2, 1.2, symbol))
    hub.update_tick(tick(10, 1.3, symbol))  # late: it revises
    hub.update_order_flow(flow(5, symbol, ofi_60s=2.0))
    marks.gap(hub, symbol, "feed", NINE, NINE + 1, "cut")
    marks.state(hub, symbol, "feed", State.STALE, "silent", NINE + 5)
    marks.quarantine(hub, symbol, "feed", 5, NINE, raw=b"\x00\xff", detail="odd")
    hub.note("long " * 2_000, symbol)
    hub.advance(moment(600))
    hub.publish(quotes([700 + n for n in range(50)]), symbol=symbol)
    hub.clear_symbol(symbol)


def sort_of(one: object) -> type:
    return next(sort for sort in (Tick, IntervalEnd, object) if isinstance(one, sort))


@pytest.mark.parametrize("kinds", ["tick", "all", ["candle", "note", "gap"], ["tick", "interval"], "interval"], ids=str)
def test_streams_are_equal_record_for_record(ways: TwoWays, kinds: Any) -> None:
    symbol = fresh_symbol()
    ways.local.update_tick(tick(0, 1.1, symbol))  # its definition passes a stream that knows it already
    with (
        ways.local.stream(symbol, kinds, timeframes=["1m", "5m"]) as by_memory,
        ways.remote.stream(symbol, kinds, timeframes=["1m", "5m"]) as by_gateway,
    ):
        assert by_gateway.position == by_memory.position
        mixed(ways.local, symbol)
        expected = read_all(by_memory)
        got = read(by_gateway, len(expected))
        # A poll gives ticks, and beside them other records and the ends of intervals: so many at a time.
        for sort in (Tick, IntervalEnd, object):
            told, wanted = ([plain(one) for one in all_ if sort_of(one) is sort] for all_ in (got, expected))
            assert told == wanted
        assert len(expected) > 0
        assert by_gateway.lost == 0
        assert len(by_gateway.poll(10)) == 0


def read_all(stream: Any) -> list[Any]:
    out: list[Any] = []
    while len(batch := stream.poll(700)) or batch.records:
        out += [*batch, *batch.records]
    return out


def test_batches_hold_the_rows_of_the_log(ways: TwoWays) -> None:
    symbol = fresh_symbol()
    with ways.local.stream(symbol) as by_memory, ways.remote.stream(symbol) as by_gateway:
        ways.local.publish(quotes([1, 2, 3]), symbol=symbol)
        expected = by_memory.poll()
        got = by_gateway.poll(timeout_s=PATIENCE_S)
        rest = [got, *(by_gateway.poll(timeout_s=1.0) for _ in range(3 - len(got)))]
        assert b"".join(one.numpy().tobytes() for one in rest) == expected.numpy().tobytes()


def test_iterating_gives_objects_in_order(hub: Any, ways: TwoWays) -> None:
    symbol = fresh_symbol()
    with hub.stream([symbol], ["tick", "note"]) as stream:
        ways.local.update_tick(tick(1, 1.1, symbol))
        ways.local.note("between", symbol)
        ways.local.update_tick(tick(2, 1.2, symbol))
        one, note, other = (next(stream) for _ in range(3))
        assert isinstance(one, Tick)
        assert (one.bid, note.payload, other.bid) == (1.1, b"between", 1.2)
        assert one.pip_size == 0.0001
        assert stream.position > other.seq


def test_poll_is_bounded_and_ends_at_other_kinds(hub: Any, ways: TwoWays) -> None:
    symbol = fresh_symbol()
    with hub.stream(symbol, ["tick", "note"]) as stream:
        ways.local.publish(quotes([1, 2, 3]), symbol=symbol)
        for text in ("a", "b"):
            ways.local.note(text, symbol)
        ways.local.publish(quotes([4, 5]), symbol=symbol)
        if hub is ways.remote:
            deadline = time.monotonic() + PATIENCE_S
            while len(stream._following.items) < 7 and time.monotonic() < deadline:
                time.sleep(0.01)
        shapes = []
        for most in (2, 10, 10):
            batch = stream.poll(most)
            shapes.append((len(batch), len(batch.records)))
        assert shapes == [(2, 0), (1, 2), (2, 0)]
        assert stream.poll(5).lost == 0


@pytest.mark.parametrize("most", [1, 7, 10])
def test_no_record_is_left_out_where_a_poll_is_full(hub: Any, ways: TwoWays, most: int) -> None:
    symbol = fresh_symbol()
    with hub.stream(symbol, ["note", "candle"]) as stream:
        for number in range(30):
            ways.local.note(str(number), symbol)
        got: list[Any] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(got) < 30 and time.monotonic() < deadline:
            batch = stream.poll(most, timeout_s=0.5)
            assert len(batch.records) <= most
            got += batch.records
        assert [one.payload for one in got] == [str(number).encode() for number in range(30)]


def test_stream_goes_back_to_a_place_or_the_oldest(hub: Any, ways: TwoWays) -> None:
    symbol = fresh_symbol()
    seqs = [ways.local.update_tick(tick(n, 1.1, symbol)) for n in range(5)]
    with hub.stream(symbol, start=seqs[3]) as stream:
        assert [one.seq for one in read(stream, 2)] == seqs[3:]
    with hub.stream(symbol, start="oldest") as stream:
        assert [next(stream).seq for _ in range(5)] == seqs


def test_async_stream_waits_and_iterates(hub: Any, ways: TwoWays) -> None:
    symbol = fresh_symbol()

    async def follow() -> list[float]:
        async with hub.astream(symbol) as stream:
            assert len(await stream.poll(timeout_s=0.05)) == 0
            asyncio.get_running_loop().call_later(0.1, publish)
            found = [(await anext(stream)).bid, (await anext(stream)).bid]
            publish()
            batch = await stream.poll(timeout_s=PATIENCE_S)
            assert stream.lost == 0
            return [*found, *batch["bid"]][:3]

    def publish() -> None:
        ways.local.publish(quotes([1, 2], [1.5, 1.6]), symbol=symbol)

    assert asyncio.run(asyncio.wait_for(follow(), PATIENCE_S)) == [1.5, 1.6, 1.5]


# ---------------------------------------------------------------- a gateway that dies


class Restarted:
    """A hub whose gateway is killed and started again on the same port."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self.gateway = Process(self.path, role="serving", port=self.port)
        self.url = self.gateway.answer()

    def kill(self, how: int = signal.SIGKILL) -> None:
        self.gateway.kill(how)
        self.gateway.end()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DataHub]:
    with DataHub.open(tmp_path / "hub", create=True, segment_lines=1 << 14) as hub:
        hub.set_clock("event")
        yield hub


@pytest.fixture
def restarted(local: DataHub) -> Iterator[Restarted]:
    made = Restarted(local.path)
    try:
        yield made
    finally:
        made.gateway.end()


def connect(restarted: Restarted) -> Any:
    return tapehub.connect(restarted.url, token_file=restarted.path / "access" / "owner.token", timeout_s=20.0)


def test_stream_goes_on_where_it_ended_when_the_gateway_was_killed(local: DataHub, restarted: Restarted) -> None:
    with connect(restarted) as remote, remote.stream(kinds=["tick", "note"]) as stream:
        local.publish(quotes([n * 0.1 for n in range(3_000)]), symbol=EUR)
        first = read(stream, 1_000)
        restarted.kill()
        local.publish(quotes([300 + n * 0.1 for n in range(2_000)]), symbol=GBP)
        local.note("while it was away")
        restarted.start()
        local.publish(quotes([600 + n * 0.1 for n in range(1_000)]), symbol=EUR)
        got = first + read(stream, 6_001 - len(first))
        seqs = [one.seq for one in got]
        assert len(seqs) == 6_001
        assert seqs == sorted(set(seqs))
        assert stream.lost == 0
        assert remote.get_latest_tick(GBP) == local.get_latest_tick(GBP)


def test_ends_of_intervals_are_told_once_over_a_cut(local: DataHub, restarted: Restarted) -> None:
    with (
        local.stream(kinds="interval", timeframes=["1m"]) as by_memory,
        connect(restarted) as remote,
        remote.stream(kinds="interval", timeframes=["1m"]) as by_gateway,
    ):
        local.update_tick(tick(0, 1.1, EUR))  # quiet from here on, and not to be forgotten
        local.publish(quotes([float(n) for n in range(0, 300, 10)]), symbol=GBP)
        local.advance(moment(200))
        expected = read_all(by_memory)
        got = read(by_gateway, len(expected))
        restarted.kill()
        local.advance(moment(400))
        restarted.start()
        local.advance(moment(800))
        later = read_all(by_memory)
        assert {one.symbol for one in later} == {EUR, GBP}
        got += read(by_gateway, len(later))
        assert all(isinstance(one, IntervalEnd) for one in got)
        assert sorted(map(repr, got)) == sorted(map(repr, expected + later))


def test_reads_go_on_with_a_gateway_that_came_back_and_tell_when_none_does(
    local: DataHub, restarted: Restarted
) -> None:
    local.update_tick(tick(1))
    with connect(restarted) as remote:
        assert remote.get_latest_tick(EUR) == local.get_latest_tick(EUR)
        restarted.kill()
        restarted.start()
        assert remote.get_latest_tick(EUR) == local.get_latest_tick(EUR)  # over a connection that was kept, and is gone
        restarted.kill(signal.SIGTERM)
        remote._wire.timeout_s = 0.5
        for call in (lambda: remote.get_latest_tick(EUR), lambda: remote.update_tick(tick(2)), remote.stream):
            told = refused(call)
            assert restarted.url in told
            assert '"tapehub up"' in told


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(HubNotRunning) as caught:
        call()
    return str(caught.value)


def test_revoked_token_ends_the_stream_with_the_reason(local: DataHub, restarted: Restarted) -> None:
    tokens = Tokens.open(restarted.path)
    secret = tokens.new("guest", Scope.READ)
    time.sleep(1.1)  # tokens that were made are taken up within a second
    with tapehub.connect(restarted.url, token=secret) as remote, remote.stream() as stream:
        local.update_tick(tick(1))
        assert next(stream).bid == 1.1
        with pytest.raises(tapehub.ConfigError, match="may read, this needs publish"):
            remote.update_tick(tick(2))
        tokens.revoke("guest")
        with pytest.raises(tapehub.ConfigError, match="not known here") as caught:
            stream.poll(timeout_s=PATIENCE_S)
        assert secret.reveal()[8:] not in str(caught.value)


def test_candles_that_share_a_cause_are_told_once_where_a_late_reader_meets_the_others(ways: TwoWays) -> None:
    symbol = fresh_symbol()
    ways.local.update_tick(tick(0, 1.1, symbol))
    start = ways.local.head
    for _ in range(3):
        mixed(ways.local, symbol)
    with ways.local.stream(symbol, ["candle", "note", "gap"], start=start) as by_memory:
        expected = [plain(one) for one in read_all(by_memory)]
    for _ in range(3):  # each begins in the log, and goes on with what is read for all
        with ways.remote.stream(symbol, ["candle", "note", "gap"], start=start) as by_gateway:
            assert [plain(one) for one in read(by_gateway, len(expected))] == expected
            assert len(by_gateway.poll(10).records) == 0
