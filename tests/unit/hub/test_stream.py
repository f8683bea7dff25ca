"""Following the log: order, waiting, loss told as a number, cursors that hold data back."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tapehub import ConfigError, DataHub, HubClosed, Lapped
from tests.models.market import EUR, GBP, JPY, candle, drained, flow, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub

TINY = {"segment_lines": 1 << 10, "retention_bytes": 4 * (1 << 10) * 64, "segments_ahead": 1}


def test_a_stream_gives_what_came_after_it_in_log_order(hub: DataHub) -> None:
    hub.update_tick(tick(0))
    with hub.stream() as stream:
        seqs = [hub.update_tick(tick(n, symbol=symbol)) for n in (5, 3, 9) for symbol in (EUR, GBP)]
        assert [one.seq for one in itertools.islice(stream, 6)] == seqs
        seqs = [hub.update_tick(tick(n)) for n in (5, 3)]
        assert stream.poll()["seq"].tolist() == seqs
        assert len(stream.poll()) == 0
        assert (stream.delivered, stream.lost) == (8, 0)


def test_a_stream_begins_where_it_is_told(hub: DataHub) -> None:
    seqs = [hub.update_tick(tick(n)) for n in range(6)]
    for start, expected in (("oldest", seqs), ("now", []), (seqs[3], seqs[3:]), (seqs[2] + 1, seqs[3:]), (0, seqs)):
        with hub.stream(start=start) as stream:
            assert stream.poll()["seq"].tolist() == expected, start
            assert stream.position == hub.head


def test_poll_keeps_to_its_bound(hub: DataHub) -> None:
    with hub.stream() as stream:
        hub.publish(quotes([float(n) for n in range(10)]), symbol=EUR)
        assert [len(stream.poll(4)) for _ in range(4)] == [4, 4, 2, 0]


def test_polling_and_iterating_can_take_turns(hub: DataHub) -> None:
    with hub.stream() as stream:
        seqs = [hub.update_tick(tick(n)) for n in range(41)]
        got = []
        for n in range(10):
            got += stream.poll(2)["seq"].tolist()
            got += [one.seq for one in itertools.islice(stream, 2)]
            if n == 4:
                got += stream.poll(1)["seq"].tolist()
        assert got == seqs


def test_only_the_wanted_symbols_come(hub: DataHub) -> None:
    with hub.stream(EUR) as one, hub.stream(["EUR/USD", "JPYUSD", GBP]) as two:
        for n in range(5):
            for symbol in (EUR, GBP, JPY):
                hub.update_tick(tick(n, symbol=symbol))
        assert {tick.symbol for tick in one.poll()} == {EUR}
        assert [tick.symbol for tick in two.poll()] == [EUR, GBP] * 5


def test_a_stream_of_a_symbol_that_is_not_there_yet_misses_nothing(hub: DataHub) -> None:
    with hub.stream(EUR) as stream:
        for source in ("oanda", "fxcm"):
            hub.publish(quotes([1, 2, 3]), symbol=EUR, source=source)
            assert [one.ts_event % 10**10 // 10**9 for one in itertools.islice(stream, 3)] == [1, 2, 3]
        waiting = threading.Timer(0.1, hub.publish, [quotes([7, 8])], {"symbol": EUR, "source": "third"})
        waiting.start()
        assert [one.timestamp for one in itertools.islice(stream, 2)] == [moment(7), moment(8)]
        waiting.join()


def test_only_the_wanted_kinds_come_and_in_order(hub: DataHub) -> None:
    with (
        hub.stream(kinds=["tick", "candle", "order_flow", "clear"]) as all_of_them,
        hub.stream(kinds="order_flow") as flows,
        hub.stream(kinds=["watermark", "clock"]) as clock,
    ):
        hub.update_tick(tick(0))
        hub.update_order_flow(flow(1, ofi_60s=4.0))
        hub.update_tick(tick(2))
        hub.update_candle_1m(candle(5))
        hub.clear_symbol(EUR)
        hub.advance(moment(9))
        hub.set_clock("event")
        hub.update_tick(tick(3))
        got = drained(all_of_them)
        assert [getattr(one, "kind", type(one).__name__) for one in got] == [
            "Tick", "OrderFlowMetrics", "Tick", "Candle", "clear", "Tick",
        ]  # fmt: skip
        assert drained(flows) == [flow(1, ofi_60s=4.0)]
        mark, new_clock = drained(clock)
        assert (mark.kind, mark.timestamp, new_clock.kind) == ("watermark", moment(8.5), "clock")


def test_iteration_keeps_the_order_of_ticks_and_other_kinds(hub: DataHub) -> None:
    with hub.stream(kinds=["tick", "clear"]) as stream:
        for n in range(4):
            hub.update_tick(tick(n))
            hub.update_tick(tick(n))
            hub.clear_all()
        kinds = [getattr(one, "kind", "tick") for one in itertools.islice(stream, 12)]
        assert kinds == ["tick", "tick", "clear"] * 4


def test_everything_is_a_kind_too(hub: DataHub) -> None:
    with hub.stream(kinds="all", start="oldest") as stream:
        hub.update_tick(tick(0))
        assert [getattr(one, "kind", "tick") for one in drained(stream)] == [
            "calendar", "clock", "definition", "source", "channel", "tick",
        ]  # fmt: skip


@pytest.mark.parametrize("wait", ["block", "spin", "sleep"])
def test_a_waiting_reader_is_woken(hub: DataHub, wait: str) -> None:
    seen: list[int] = []
    with hub.stream(wait=wait) as stream:
        reader = threading.Thread(target=lambda: seen.extend(one.seq for one in itertools.islice(stream, 3)))
        reader.start()
        seqs = []
        for n in range(3):
            time.sleep(0.02)
            seqs.append(hub.update_tick(tick(n)))
        reader.join()
    assert seen == seqs


def test_a_sleeping_reader_looks_round_in_naps_and_asks_nobody_to_wake_it(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) % 3 == 0:
            hub.update_tick(tick(len(naps)))

    def woken(*asked: object) -> bool:
        raise AssertionError(f"a futex wait: {asked}")

    clock = SimpleNamespace(monotonic=time.monotonic, monotonic_ns=time.monotonic_ns, sleep=nap)
    monkeypatch.setattr("tapehub.hub.stream.time", clock)
    monkeypatch.setattr(DataHub, "_wait", woken)
    with hub.stream(wait="sleep") as stream:
        assert len(stream.poll(timeout_s=30)) == 1
        assert len(naps) == 3
        next(stream)
        assert len(naps) == 6
        assert set(naps) == {naps[0]}
    with hub.stream(kinds=["tick", "interval"], wait="sleep") as stream:
        next(stream)
        assert len(naps) == 9


def test_poll_waits_as_long_as_it_is_told(hub: DataHub) -> None:
    with hub.stream() as stream:
        assert len(stream.poll(timeout_s=0.05)) == 0
        later = threading.Timer(0.05, hub.update_tick, [tick(1)])
        later.start()
        assert len(stream.poll(timeout_s=30)) == 1
        later.join()


def test_a_closed_stream_or_hub_says_so(open_hub: OpenHub) -> None:
    hub = open_hub()
    stream, other = hub.stream(), hub.stream()
    stream.close()
    stream.close()
    with pytest.raises(HubClosed):
        stream.poll()
    with pytest.raises(HubClosed):
        next(stream)
    hub.close()
    with pytest.raises(HubClosed):
        other.poll()
    other.close()


def test_readers_are_listed_by_name_with_their_lag(hub: DataHub) -> None:
    with hub.stream(name="archive") as stream, hub.stream(name="slow"):
        hub.publish(quotes([1, 2, 3]), symbol=EUR)
        stream.poll()
        rows = {row["name"]: row for row in hub.readers()}
        assert (rows["archive"]["lag"], rows["archive"]["delivered"], rows["archive"]["lost"]) == (0, 3, 0)
        assert rows["slow"]["lag"] > 3
    assert hub.readers() == []


# ---------------------------------------------------------------- laps


class Tape:
    """A hub of tiny segments: one handle writes, another, read-only and so lazily mapped, is the slow reader's."""

    def __init__(self, open_hub: OpenHub) -> None:
        self._open = open_hub
        self.writer = open_hub(**TINY)
        self.writer.set_clock("event")
        self.reader = open_hub(read_only=True)
        self._second = 0.0

    def publish(self, count: int) -> None:
        """Publish ticks of one symbol, a millisecond apart."""
        self.writer.publish(quotes((self._second + np.arange(count) / 1000).tolist()), symbol=EUR)
        self._second += count / 1000

    def drop(self, *, expected: bool = True) -> int:
        """Checkpoint, let the upkeep of a new writer drop what is over the bounds, and give the oldest line."""
        before = steady = self.oldest
        since = 0
        self.writer._checkpoint()
        self.writer.close()
        self.writer = self._open(**TINY)
        while since < 15 or (expected and steady == before):  # upkeep drops segments one by one
            time.sleep(0.01)
            since = since + 1 if self.oldest == steady else 0
            steady = self.oldest
        return steady

    @property
    def oldest(self) -> int:
        return int(self.reader.get_status()["oldest"])

    def ticks_left(self, hub: DataHub | None = None) -> list[int]:
        """List the sequences of all ticks that are still on the tape; a handle that looks has them mapped."""
        lines = (hub or self.writer).log()["seq"]
        numbers = self.oldest + np.arange(len(lines))
        return numbers[lines == numbers].tolist()


@pytest.fixture
def tape(open_hub: OpenHub) -> Iterator[Tape]:
    one = Tape(open_hub)
    yield one
    one.reader.close()  # first: who leaves last takes the memory files along, and a read-only one cannot


def test_a_lapped_reader_is_told_how_many_records_it_lost_and_resumes_at_the_oldest(tape: Tape) -> None:
    """It finishes the segment that it has mapped, and is lapped at its end."""
    with tape.reader.stream(start="oldest") as stream:
        tape.publish(60)
        got = stream.poll(50)["seq"].tolist()
        for n in range(10):
            tape.writer.update_order_flow(flow(0.5 + n / 1000))
            tape.publish(1_000)
        passed = tape.writer._records_before((1 << 10) + 64)
        mine = [one for one in tape.ticks_left(tape.writer) if one < 1 << 10]
        oldest = tape.drop()
        lost = 0
        while len(batch := stream.poll(1 << 20)) or batch.lost:
            got += batch["seq"].tolist()
            lost += batch.lost
        left = tape.ticks_left()
        assert left[0] >= oldest > 64
        assert got == mine + left
        assert lost == stream.lost == tape.reader._records_before(oldest) - passed > 1_000


def test_a_reader_that_iterates_counts_its_loss_exactly_too(tape: Tape) -> None:
    with tape.reader.stream(start="oldest") as stream:
        tape.publish(100)
        got = [one.seq for one in itertools.islice(stream, 30)]
        assert stream.position == got[-1] + 1
        got += [one.seq for one in itertools.islice(stream, 30)]
        tape.publish(10_000)
        passed = tape.writer._records_before((1 << 10) + 64)
        mine = [one for one in tape.ticks_left(tape.writer) if one < 1 << 10]
        oldest = tape.drop()
        left = tape.ticks_left()
        got += [one.seq for one in itertools.takewhile(lambda one: one.seq != left[-1], stream)]
        assert [*got, left[-1]] == mine + left
        assert stream.lost == tape.reader._records_before(oldest) - passed > 1_000


def test_on_lap_raise_raises_once_and_goes_on(tape: Tape) -> None:
    with tape.reader.stream(on_lap="raise", start=64) as stream:
        tape.publish(10_000)
        oldest = tape.drop()
        with pytest.raises(Lapped, match=r"\d+ records were dropped .* it goes on at") as caught:
            drained(stream)
        assert caught.value.oldest == oldest
        assert caught.value.lost == stream.lost > 1_000
        assert stream.poll(1)["seq"].tolist() == tape.ticks_left()[:1]


def test_a_start_that_was_dropped_is_a_lap_too(tape: Tape) -> None:
    tape.publish(10_000)
    oldest = tape.drop()
    with tape.reader.stream(start=100) as stream:
        assert stream.poll(1).lost > 0
        assert stream.poll(1)["seq"].tolist() == tape.ticks_left()[:1]
    with tape.reader.stream(start="oldest") as stream:
        assert stream.position == oldest
        assert stream.poll(1).lost == 0


def test_reads_by_bounds_survive_dropped_segments(tape: Tape) -> None:
    tape.publish(10_000)
    oldest = tape.drop()
    left = tape.ticks_left()
    for hub in (tape.reader, tape.writer):
        assert hub.ticks(EUR, start=0)["seq"].tolist() == left
        assert hub.ticks(EUR, 9_999)["seq"].tolist() == left
        assert hub.ticks(EUR, 10)["seq"].tolist() == left[-10:]
        assert hub.log(0, 1)["seq"][0] & ((1 << 48) - 1) == oldest
        assert hub.history(EUR, "1d").numpy().size == 0
        assert hub.get_latest_tick(EUR).seq == left[-1]
        assert hub.verify().ok


# ---------------------------------------------------------------- durable cursors


def test_a_durable_stream_goes_on_where_it_committed(open_hub: OpenHub, tmp_path: Path) -> None:
    hub = open_hub()
    with hub.stream(name="archive", durable=True) as stream:
        seqs = [hub.update_tick(tick(n)) for n in range(6)]
        assert stream.poll(3)["seq"].tolist() == seqs[:3]
        stream.commit()
        assert stream.poll(2)["seq"].tolist() == seqs[3:5]
    hub.close()
    with (
        DataHub.open(tmp_path / "hub") as again,
        again.stream(name="archive", durable=True) as stream,
        again.stream(name="other", durable=True) as other,
    ):
        assert stream.poll()["seq"].tolist() == seqs[3:]
        assert len(other.poll()) == 0


def test_a_durable_cursor_holds_retention_back_up_to_its_cap(tape: Tape) -> None:
    with tape.reader.stream(name="archive", durable=True, start=64) as stream:
        tape.publish(100)
        assert len(stream.poll(50)) == 50
        stream.commit()
        held = stream.position
        tape.publish(5_000)  # over the bound of four segments, not over twice that
        assert tape.drop(expected=False) <= held
        assert len(stream.poll(1 << 20)) == 5_050
        stream.commit()
        tape.publish(10_000)
        held = stream.position
        oldest = tape.drop()
        assert held < oldest, "beyond the cap it is dropped like anyone else's"
        assert sum(stream.poll(1 << 20).lost for _ in range(30)) == stream.lost > 0


def test_what_was_left_of_a_commit_in_mid_write_holds_nothing_back(tape: Tape) -> None:
    with tape.reader.stream(name="archive", durable=True, start=64) as stream:
        stream.commit()
        left = tape.reader.path / "cursors" / "archive"
        left.rename(left.with_name(".archive.killed"))
        tape.publish(5_000)
        assert stream.position < tape.drop()


def test_a_durable_stream_needs_a_name_and_only_it_can_commit(hub: DataHub) -> None:
    with pytest.raises(ConfigError, match="expected a name that fits a file"):
        hub.stream(durable=True)
    with pytest.raises(ConfigError, match="expected a name that fits a file"):
        hub.stream(durable=True, name="a/b")
    with pytest.raises(ConfigError, match="expected a name that fits a file"):
        hub.stream(durable=True, name=".archive")
    with hub.stream(name="x") as stream, pytest.raises(ConfigError, match="not durable"):
        stream.commit()


def test_start_inside_a_long_record_goes_on_at_the_next_one(hub: DataHub) -> None:
    long = hub.note("x" * 1000)
    after = hub.note("short")
    for start in range(long, after + 1):
        with hub.stream(kinds="note", start=start) as stream:
            assert [one.seq for one in stream.poll(10).records][-1] == after
            assert stream.position == hub.head


def test_readers_of_a_symbol_hear_that_it_was_cleared_whatever_its_source(hub: DataHub) -> None:
    hub.publish(quotes([1]), symbol=EUR, source="first")
    hub.publish(quotes([1]), symbol=GBP, source="second")
    with hub.stream(GBP, kinds="clear") as stream:
        seq = hub.clear_symbol(GBP)
        assert [one.seq for one in stream.poll(10).records] == [seq]
    assert hub.ticks(GBP, 10).numpy().size == 0
    assert hub.ticks(EUR, 10).numpy().size == 1
