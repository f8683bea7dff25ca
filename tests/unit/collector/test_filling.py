"""A plan carried out: candles with provenance in the hub, gaps told of, points booked whatever happens."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.collector.allowance import Allowance, Ledger
from tapehub.collector.backfill import MINUTE, Plan, Request, plan_requests
from tapehub.collector.filling import Filling, lacking, mark_in
from tapehub.errors import AllowanceExceeded, FeedError
from tapehub.feeds.prices import AllowanceNote, PriceReply, PriceRow
from tapehub.hub import marks
from tapehub.model.calendars import calendar_of
from tapehub.model.records import CandleFlag

T0 = 1_780_401_600_000_000_000  # a Tuesday, 12:00 UTC
NOW = T0 + 600 * MINUTE
FX = calendar_of("fx")
RICH = Allowance(10_000, 10_000)


class Venue:
    """Has a candle for every minute but those it is told to lack; counts what it is asked for."""

    source = "ig"

    def __init__(self) -> None:
        self.absent: set[int] = set()
        self.remaining = 10_000
        self.asked: list[int] = []
        self.scale = 1.0
        self.fault: Callable[[str], Exception | None] = lambda symbol: None
        self.change: dict[int, dict[str, Any]] = {}

    def fetch(self, symbol: str, start_ns: int, end_ns: int, resolution: str) -> PriceReply:
        assert resolution == "1m"
        if (fault := self.fault(symbol)) is not None:
            raise fault
        rows = []
        for minute in range(start_ns, end_ns, MINUTE):
            self.asked.append((minute - T0) // MINUTE)
            if (minute - T0) // MINUTE in self.absent:
                continue
            mid = self.scale * (1.15 + (minute - T0) // MINUTE * 1e-5)
            bid = tuple(mid + d * self.scale for d in (-3e-5, 1e-4, -1e-4, 2e-5))
            ask = tuple(price + 6e-5 * self.scale for price in bid)
            row = PriceRow(minute, bid, ask, 42.0)  # type: ignore[arg-type]
            rows.append(row._replace(**self.change.get((minute - T0) // MINUTE, {})))
        self.remaining -= len(rows)
        return PriceReply(tuple(rows), AllowanceNote(self.remaining, 10_000, 604_799))


@pytest.fixture
def hub(hub_dir: Path) -> Iterator[DataHub]:
    """Open a hub whose clock stands at ten in the evening, with an hour of ticks, six minutes of them missing."""
    with DataHub.open(hub_dir, create=True) as opened:
        opened.set_clock("virtual", anchor_ns=NOW, rate=1e-6)
        ticks = np.zeros(60 * 6, [("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])
        ticks["ts_event"] = T0 + np.arange(360) * 10_000_000_000
        ticks["bid"], ticks["ask"] = 1.15, 1.15006
        kept = ~np.isin(np.arange(360) // 6, [20, 21, 22, 40, 41, 50])
        opened.publish(ticks[kept], "EUR_USD", source="ig", verified=True)
        opened.advance(NOW)
        yield opened


@pytest.fixture
def venue() -> Venue:
    return Venue()


class Marks(list[tuple[str, int, int, str]]):
    def __call__(self, symbol: str, source: str, start_ns: int, end_ns: int, status: str, cause: str) -> None:
        assert source == "ig"
        assert cause
        self.append((symbol, (start_ns - T0) // MINUTE, (end_ns - T0) // MINUTE, status))


def ledger(hub: DataHub, **options: Any) -> Ledger:
    return Ledger(hub.path / "allowance-ig.json", hub.now, **options)


def filling(hub: DataHub, venue: Venue, mark: Any = None) -> Filling:
    return Filling(hub, venue, ledger(hub), calendar_of=lambda symbol: FX, mark=mark)


def plan(hub: DataHub, first: int = 0, last: int = 60, symbol: str = "EUR_USD", **options: Any) -> Plan:
    missing = lacking(hub, symbol, "ig", FX, T0 + first * MINUTE, T0 + last * MINUTE)
    return plan_requests({symbol: missing}, RICH, **options)


def test_only_the_missing_minutes_are_asked_for_and_end_up_in_the_hub(hub: DataHub, venue: Venue) -> None:
    before = hub.history("EUR_USD").numpy()
    done = filling(hub, venue).run(plan(hub))["EUR_USD"]
    assert sorted(venue.asked) == [20, 21, 22, 40, 41, 50]
    assert (done.asked, done.candles, done.absent, done.refused) == (6, 6, 0, 0)
    rows = hub.history("EUR_USD").numpy()
    assert ((rows["timestamp"] - T0) // MINUTE).tolist() == list(range(60))
    filled = rows[(rows["flags"] & int(CandleFlag.BACKFILL)) != 0]
    assert ((filled["timestamp"] - T0) // MINUTE).tolist() == [20, 21, 22, 40, 41, 50]
    assert set(filled["volume"].tolist()) == {42.0}
    assert {hub.sources[source] for source in filled["source"].tolist()} == {"ig"}
    assert np.isin(before, rows).all()
    assert plan(hub).now == ()
    assert hub.get_status()["stats"]["candles_received"] == 0  # those are what callers pushed


@pytest.mark.parametrize(("basis", "offset"), [("mid", 3e-5), ("bid", 0.0), ("ask", 6e-5)])
def test_candles_are_of_the_price_the_hub_is_built_from(
    tmp_path: Path, venue: Venue, basis: str, offset: float
) -> None:
    with DataHub.open(tmp_path / "hub", create=True, price_basis=basis) as hub:
        hub.set_clock("virtual", anchor_ns=NOW, rate=1e-6)
        filling(hub, venue).run(plan(hub, 0, 2))
        row = hub.history("EUR_USD", source="ig").numpy()[0]
        expected = [1.15 + change + offset for change in (-3e-5, 1e-4, -1e-4, 2e-5)]
        assert [row[name] for name in ("open", "high", "low", "close")] == pytest.approx(expected, abs=1e-12)


def test_longer_candles_are_rolled_up_from_what_was_filled(hub: DataHub, venue: Venue) -> None:
    filling(hub, venue).run(plan(hub))
    hours = hub.candles("EUR_USD", "1h").numpy()
    assert hours["high"].max() == pytest.approx(1.15 + 50e-5 + 1e-4 + 3e-5)


def test_what_the_venue_lacks_is_marked_and_not_asked_for_again(hub: DataHub, venue: Venue) -> None:
    venue.absent = {21, 22, 50}
    marks = Marks()
    done = filling(hub, venue, marks).run(plan(hub))["EUR_USD"]
    assert (done.candles, done.absent) == (3, 3)
    assert sorted(marks) == [("EUR_USD", 21, 23, "unfillable"), ("EUR_USD", 50, 51, "unfillable")]


def test_minutes_of_just_now_stay_open_when_the_venue_is_late(hub: DataHub, venue: Venue) -> None:
    venue.absent = {595, 599}
    marks = Marks()
    filling(hub, venue, marks).run(plan(hub, 580, 600))
    assert marks == []


def test_a_gap_of_which_nothing_is_lacking_is_marked_as_filled_a_partial_one_as_unfillable(
    hub: DataHub, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = [
        {"start": T0 + 20 * MINUTE - 1, "end": T0 + 23 * MINUTE, "cause": "cut", "status": "open"},
        {"start": T0 + 40 * MINUTE, "end": T0 + 42 * MINUTE, "cause": "cut", "status": "open"},
        {"start": T0 + 55 * MINUTE, "end": None, "cause": "cut", "status": "open"},
        {"start": T0 + 300 * MINUTE, "end": T0 + 301 * MINUTE, "cause": "cut", "status": "open"},
    ]
    monkeypatch.setattr(DataHub, "gaps", lambda self, symbol, source=None: list(gaps))
    venue.absent = {41}

    def mark(symbol: str, source: str, start_ns: int, end_ns: int, status: str, cause: str) -> None:
        marks(symbol, source, start_ns, end_ns, status, cause)
        gaps.append({"start": start_ns, "end": end_ns, "cause": cause, "status": status})

    marks = Marks()
    filling(hub, venue, mark).run(plan(hub))
    assert 19 in venue.asked  # the gap reaches into it
    assert set(range(55, 60)) <= set(venue.asked)
    assert sorted(marks) == [
        ("EUR_USD", 19, 23, "filled"), ("EUR_USD", 40, 42, "unfillable"), ("EUR_USD", 41, 42, "unfillable"),
    ]  # fmt: skip


def test_the_hub_itself_keeps_what_became_of_its_gaps(hub: DataHub, venue: Venue) -> None:
    def gap(first: float, last: float | None) -> None:
        end = None if last is None else T0 + round(last * MINUTE)
        marks.gap(hub, "EUR_USD", "ig", T0 + round(first * MINUTE), end, "cut", at_ns=hub.now())

    def told() -> list[tuple[float, float, str]]:
        return [
            ((row["start"] - T0) / MINUTE, (row["end"] - T0) / MINUTE, row["status"])
            for row in hub.gaps("EUR_USD", "ig")
        ]

    gap(19.5, 23.25)
    gap(40, 42)
    gap(50, 51)
    venue.absent = {40, 50}
    run = filling(hub, venue, mark_in(hub))
    run.run(plan(hub))
    assert sorted(venue.asked) == [19, 20, 21, 22, 23, 40, 41, 50]
    assert (19.5, 23.25, "filled") in told()
    assert (40, 42, "unfillable") in told()
    assert (50, 51, "unfillable") in told()
    venue.asked.clear()
    filling(hub, venue, mark_in(hub)).run(plan(hub))
    assert venue.asked == []
    again = lacking(hub, "EUR_USD", "ig", FX, T0, T0 + 60 * MINUTE, again=True)
    assert ((again - T0) // MINUTE).tolist() == [40, 50]


def test_points_are_booked_before_and_corrected_by_the_reply(hub: DataHub, venue: Venue) -> None:
    seen = []
    fetch = venue.fetch

    def spy(*args: Any) -> PriceReply:
        seen.append(ledger(hub).read().booked)
        return fetch(*args)

    venue.fetch = spy  # type: ignore[method-assign]
    filling(hub, venue).run(plan(hub))
    assert seen == [1, 2, 3]
    assert ledger(hub).read().remaining == 9_994
    assert ledger(hub).read().booked == 0


def test_a_failed_request_leaves_its_points_booked_and_stops_its_symbol_alone(hub: DataHub, venue: Venue) -> None:
    venue.fault = lambda symbol: FeedError("no such epic") if symbol == "GBP_USD" else None
    both = plan_requests(
        {
            "GBP_USD": T0 + np.array([1, 5], np.int64) * MINUTE,
            "EUR_USD": lacking(hub, "EUR_USD", "ig", FX, T0, T0 + 60 * MINUTE),
        },
        RICH,
    )
    done = filling(hub, venue).run(both)
    assert done["EUR_USD"].candles == 6
    assert (done["GBP_USD"].candles, done["GBP_USD"].asked, done["GBP_USD"].skipped) == (0, 1, 1)
    assert done["GBP_USD"].failure == "no such epic"
    assert ledger(hub).read().booked == 1


def test_a_venue_that_says_the_allowance_is_gone_ends_the_run_and_the_book_knows(hub: DataHub, venue: Venue) -> None:
    calls: list[str] = []
    venue.fault = lambda symbol: (calls.append(symbol), AllowanceExceeded("403"))[1] if len(calls) == 1 else None
    fetch = venue.fetch

    def counted(*args: Any) -> PriceReply:
        reply = fetch(*args)
        calls.append("")
        return reply

    venue.fetch = counted  # type: ignore[method-assign]
    run = filling(hub, venue)
    with pytest.raises(AllowanceExceeded):
        run.run(plan(hub))
    assert run.filled["EUR_USD"].candles == 1
    assert ledger(hub).read().available == 0


def test_what_another_process_spent_meanwhile_stops_the_run_before_the_request(hub: DataHub, venue: Venue) -> None:
    made = plan(hub)
    ledger(hub).book(9_999)
    run = filling(hub, venue)
    with pytest.raises(AllowanceExceeded, match="needs 2 points"):
        run.run(made)
    assert venue.asked == [50]


@pytest.mark.parametrize("scale", [100.0, 10_000.0, 0.01])
def test_history_on_another_scale_than_the_hub_is_refused(hub: DataHub, venue: Venue, scale: float) -> None:
    venue.scale = scale
    head = hub.head
    done = filling(hub, venue).run(plan(hub))["EUR_USD"]
    assert done.candles == 0
    assert f"divide its history by {scale:g}?" in done.failure
    assert "hub's candle of 2026-06-02 12:" in done.failure
    assert hub.head == head


def test_without_any_candle_the_plausible_band_is_what_is_compared_with(hub: DataHub, venue: Venue) -> None:
    venue.scale = 10_000.0
    done = filling(hub, venue).run(plan(hub, 0, 3, symbol="GBP_USD"))["GBP_USD"]
    assert "plausible are 0.8 to 2.4" in done.failure
    venue.scale = 1.0
    assert filling(hub, venue).run(plan(hub, 0, 3, symbol="GBP_USD"))["GBP_USD"].candles == 3


@pytest.mark.parametrize(
    "change",
    [
        {"bid": None},
        {"ask": None},
        {"bid": (1.15, 1.14, 1.16, 1.15), "ask": (1.16, 1.15, 1.17, 1.16)},
        {"ask": (1.0, 1.0, 1.0, 1.0)},
        {"bid": (1.15, float("nan"), 1.1, 1.15)},
        {"bid": (-1.0, 1.0, -1.0, 1.0), "ask": (-1.0, 1.0, -1.0, 1.0)},
        {"bid": (115.0, 115.0, 115.0, 115.0), "ask": (115.0, 115.0, 115.0, 115.0)},
        {"volume": float("nan")},
    ],
)
def test_a_row_that_is_no_candle_is_refused_alone_and_not_paid_for_twice(
    hub: DataHub, venue: Venue, change: dict[str, Any]
) -> None:
    venue.change = {21: change}
    marks = Marks()
    done = filling(hub, venue, marks).run(plan(hub))["EUR_USD"]
    assert (done.candles, done.refused, done.absent) == (5, 1, 0)
    assert len(done.remarks) == 1
    assert marks == [("EUR_USD", 21, 22, "unfillable")]


def test_rows_beside_the_span_are_counted_and_not_published(hub: DataHub, venue: Venue) -> None:
    fetch = venue.fetch
    venue.fetch = lambda symbol, start, end, resolution: fetch(symbol, start - MINUTE, end + MINUTE, resolution)  # type: ignore[method-assign]
    done = filling(hub, venue).run(plan(hub))["EUR_USD"]
    assert (done.candles, done.beside) == (6, 6)


def test_an_answer_of_other_times_altogether_stops_the_symbol_and_marks_nothing(hub: DataHub, venue: Venue) -> None:
    fetch = venue.fetch
    hour = 60 * MINUTE
    venue.fetch = lambda symbol, start, end, resolution: fetch(symbol, start - hour, end - hour, resolution)  # type: ignore[method-assign]
    marks = Marks()
    done = filling(hub, venue, marks).run(plan(hub))["EUR_USD"]
    assert (done.candles, done.asked, done.skipped) == (0, 1, 5)
    assert "times of another zone" in done.failure
    assert marks == []


def test_a_reply_with_rows_that_could_not_be_read_marks_nothing_as_absent(hub: DataHub, venue: Venue) -> None:
    fetch = venue.fetch

    def damaged(*args: Any) -> PriceReply:
        reply = fetch(*args)
        return reply._replace(rows=reply.rows[1:], unreadable=("row 0: why",))

    venue.fetch = damaged  # type: ignore[method-assign]
    marks = Marks()
    done = filling(hub, venue, marks).run(plan(hub))["EUR_USD"]
    assert (done.candles, done.refused, done.absent) == (3, 3, 3)
    assert marks == []


def test_progress_is_told_of_each_request(hub: DataHub, venue: Venue) -> None:
    told: list[Request] = []
    made = plan(hub)
    filling(hub, venue).run(made, told.append)
    assert tuple(told) == made.now
