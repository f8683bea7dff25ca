"""The ledger of the historical allowance: booked before, corrected after, one truth for every process."""

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapehub.collector.allowance import Ledger
from tapehub.errors import AllowanceExceeded, ConfigError
from tapehub.feeds.prices import AllowanceNote

WEEK_S = 604_800
T0 = 1_780_401_600_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = T0

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allowance-ig.json"


def test_what_no_reply_was_seen_of_is_assumed_and_says_so(path: Path, clock: Clock) -> None:
    allowance = Ledger(path, clock, total_assumed=10_000, reserve=500).read()
    assert (allowance.available, allowance.as_read) == (9_500, False)
    assert "assumed" in str(allowance)
    assert not path.exists()


def test_points_are_on_disk_before_the_request_and_corrected_by_the_reply(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    booking = ledger.book(300)
    assert Ledger(path, clock).read().available == 9_700
    after = ledger.settle(booking, AllowanceNote(9_990, 10_000, WEEK_S - 1))
    assert (after.remaining, after.booked, after.available, after.as_read) == (9_990, 0, 9_990, True)
    assert Ledger(path, clock).read() == after


def test_the_reserve_is_never_spent_and_is_kept_for_the_next_process(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock, reserve=9_900)
    with pytest.raises(AllowanceExceeded, match=r"needs 101 points.*9,900 are reserved.*100 to spend") as caught:
        ledger.book(101)
    assert (caught.value.needed, caught.value.available) == (101, 100)
    ledger.book(100)
    assert Ledger(path, clock).read().available == 0
    assert Ledger(path, clock, reserve=0).read().available == 9_900


def test_a_request_that_never_left_costs_nothing(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    ledger.release(ledger.book(300))
    assert ledger.read().available == 10_000


def test_a_reply_without_the_number_leaves_the_points_booked_until_a_later_one_tells(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    ledger.settle(ledger.book(300), None)
    assert ledger.read().available == 9_700
    ledger.settle(ledger.book(1), AllowanceNote(9_999, 10_000, WEEK_S))
    assert ledger.read().available == 9_699
    clock.sleep(601)
    ledger.settle(ledger.book(1), AllowanceNote(9_998, 10_000, WEEK_S - 601))
    assert ledger.read().available == 9_998


def test_what_no_reply_ever_told_of_counts_for_a_week(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    ledger.book(300)
    clock.sleep(WEEK_S)
    assert ledger.read().available == 10_000
    ledger.book(1)
    assert len(json.loads(path.read_text())["bookings"]) == 1


def test_a_new_term_grants_everything_anew(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    ledger.settle(ledger.book(300), AllowanceNote(12, 10_000, 3600))
    assert ledger.read().available == 12
    with pytest.raises(AllowanceExceeded, match="2026-06-02 13:00 UTC"):
        ledger.book(13)
    ledger.book(5)
    clock.sleep(3600)
    assert ledger.read().available == 10_000
    ledger.book(5)
    assert ledger.read().available == 9_995


def test_a_reply_that_was_overtaken_does_not_raise_what_is_left(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    first, second = ledger.book(100), ledger.book(100)
    ledger.settle(second, AllowanceNote(9_800, 10_000, WEEK_S))
    clock.sleep(3)
    ledger.settle(first, AllowanceNote(9_900, 10_000, WEEK_S - 1))
    assert ledger.read().remaining == 9_800


def test_the_venue_may_refuse_although_the_book_says_otherwise(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock)
    assert ledger.exhausted(ledger.book(100)).available == 0
    clock.sleep(WEEK_S)
    assert ledger.read().available == 10_000


def test_points_of_a_killed_process_stay_booked_until_a_later_reply_tells(path: Path, clock: Clock) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from tapehub.collector.allowance import Ledger\n"
        f"Ledger(Path(sys.argv[1]), lambda: {T0}).book(4_000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    ledger = Ledger(path, clock)
    assert ledger.read().available == 6_000
    clock.sleep(5)
    ledger.settle(ledger.book(10), AllowanceNote(9_990, 10_000, WEEK_S))
    assert ledger.read().available == 5_990  # its request may still be under way
    clock.sleep(700)
    ledger.settle(ledger.book(10), AllowanceNote(9_980, 10_000, WEEK_S - 705))
    assert ledger.read().available == 9_980


def _book_many(path: str, count: int) -> None:
    ledger = Ledger(Path(path), lambda: T0)
    for _ in range(count):
        ledger.book(7)


def test_processes_at_once_spend_no_point_twice(path: Path, clock: Clock) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_book_many, args=(str(path), 10)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert Ledger(path, clock).read().booked == 3 * 10 * 7
    numbers = [row["number"] for row in json.loads(path.read_text())["bookings"]]
    assert len(set(numbers)) == 30


def test_the_files_are_those_of_the_hub_whatever_the_umask(path: Path, clock: Clock) -> None:
    before = os.umask(0)
    try:
        Ledger(path, clock).book(1)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1}'])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(path: Path, clock: Clock, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="no allowance ledger"):
        Ledger(path, clock).book(1)
    assert path.read_text() == text


def test_a_negative_reserve_is_refused(path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="expected 0 points or more"):
        Ledger(path, clock, reserve=-1)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 4_000), st.booleans(), st.integers(0, 3)), max_size=8))
def test_requests_that_pass_the_ledger_never_exceed_what_the_venue_grants(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, int]]
) -> None:
    """A venue that counts what is asked, replies in any order or not at all: it never has to refuse."""
    clock = Clock()
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "allowance-ig.json", clock)
    venue = 10_000
    under_way = []
    for points, replies, which in steps:
        clock.sleep(1)
        try:
            booking = ledger.book(points)
        except AllowanceExceeded:
            continue
        venue -= points
        assert venue >= 0
        under_way.append((booking, venue if replies else None))
        if len(under_way) > which:
            done, left = under_way.pop(which)
            ledger.settle(done, None if left is None else AllowanceNote(left, 10_000, WEEK_S))
        assert ledger.read().available <= venue


def test_a_share_is_left_to_orders_until_somebody_chooses_a_reserve(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock, reserved_share=0.25)
    assert (ledger.read().reserve, ledger.read().available) == (2_500, 7_500)
    ledger.settle(ledger.book(10), AllowanceNote(990, 999, 3600))
    assert ledger.read().reserve == 250, "of the total that the venue says, rounded up"
    assert Ledger(path, clock).read().reserve == 250, "also for whoever does not know the share"
    chosen = Ledger(path, clock, reserve=0, reserved_share=0.25)
    chosen.release(chosen.book(1))
    assert ledger.read().reserve == 0, "chosen, and remembered"


def test_a_reserve_that_an_earlier_version_wrote_down_was_chosen(path: Path, clock: Clock) -> None:
    ledger = Ledger(path, clock, reserve=77)
    ledger.release(ledger.book(1))
    told = json.loads(path.read_text())
    del told["chosen"]
    path.write_text(json.dumps(told))
    assert Ledger(path, clock, reserved_share=0.25).read().reserve == 77
