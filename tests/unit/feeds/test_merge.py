"""Merged recordings conserve every tick, in order of time, ties by file; memory stays bounded."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.errors import RecordingError
from tapehub.feeds import QUOTE
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay import Recording, merge

Times = list[list[int]]


def recording(
    name: str, batches: Times, ts_min: int | None = None, opened: Callable[[], None] = lambda: None
) -> Recording:
    def read() -> Iterator[Records]:
        opened()
        row = 0
        for times in batches:
            records = empty_quotes(len(times))
            records["ts_event"] = times
            records["bid"] = np.arange(row, row + len(times))
            row += len(times)
            yield records

    symbol, _, source = name.partition("@")
    return Recording(Path(name), symbol, source or "test", "made", read, ts_min=ts_min)


def cut(times: list[int], sizes: list[int]) -> Times:
    batches, at = [], 0
    for size in [*sizes, len(times)]:
        if at < len(times):
            batches.append(times[at : at + size])
        at += size
    return batches


files = st.lists(
    st.tuples(
        st.lists(st.integers(0, 30), max_size=40).map(sorted), st.lists(st.integers(1, 9), max_size=6), st.booleans()
    ),
    max_size=5,
)


@given(files, st.integers(1, 12))
def test_merging_equals_a_stable_sort_of_everything(
    made: list[tuple[list[int], list[int], bool]], records_max: int
) -> None:
    recordings, expected = [], []
    for i, (times, sizes, is_bounded) in enumerate(made):
        bound = min(times) - 1 if is_bounded and times else None
        recordings.append(recording(f"S{i}", cut(times, sizes), bound))
        expected += [(ts, i, row) for row, ts in enumerate(times)]
    expected.sort(key=lambda item: item[0])
    got = []
    for batch in merge(recordings, records_max):
        assert 0 < len(batch.records) <= records_max
        assert batch.symbols == tuple(f"S{i}" for i in range(len(made)))
        got += [(int(r["ts_event"]), int(r["instrument"]), int(r["bid"])) for r in batch.records]
    assert got == expected


def test_files_of_one_symbol_and_source_share_an_index() -> None:
    made = [recording("A@x", [[1]]), recording("A@y", [[2]]), recording("B@x", [[3]]), recording("A@x", [[4]])]
    batches = list(merge(made))
    assert batches[0].symbols == ("A", "A", "B")
    assert batches[0].sources == ("x", "y", "x")
    assert [int(i) for batch in batches for i in batch.records["instrument"]] == [0, 1, 2, 0]


def test_runs_by_source_keep_the_order() -> None:
    made = [recording("A@x", [[1, 2, 5, 6]]), recording("A@y", [[3, 4, 7]])]
    runs = [(source, run["ts_event"].tolist()) for batch in merge(made) for source, run in batch.by_source()]
    flat = [(source, ts) for source, times in runs for ts in times]
    assert flat == [("x", 1), ("x", 2), ("y", 3), ("y", 4), ("x", 5), ("x", 6), ("y", 7)]


def test_a_file_is_opened_no_sooner_than_it_can_matter() -> None:
    log: list[str] = []
    made = [
        recording(name, [[ts, ts + 1], [ts + 2]], ts, partial(log.append, name))
        for name, ts in (("b", 100), ("a", 0), ("c", 200))
    ]
    log.extend(str(batch.records["ts_event"][-1]) for batch in merge(made))  # a generator: entries come as batches do
    assert log.index("b") > log.index("2")
    assert log.index("c") > log.index("102")


def test_a_tick_before_the_stated_bound_is_refused() -> None:
    with pytest.raises(RecordingError, match="a tick at 5 ns: expected none before 10"):
        list(merge([recording("A", [[5]], 10)]))


def test_a_shared_batch_is_not_written_to() -> None:
    fixed = np.zeros(3, dtype=QUOTE)
    fixed.setflags(write=False)
    made = Recording(Path("b"), "B", "x", "made", lambda: iter([fixed]))
    merged = list(merge([recording("A", [[0]]), made]))
    assert sum(len(batch.records) for batch in merged) == 4
    assert fixed["instrument"].tolist() == [0, 0, 0]


def test_nothing_merges_to_nothing() -> None:
    assert list(merge([])) == []
    assert list(merge([recording("A", [])])) == []
