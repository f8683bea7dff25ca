"""A weekend with every kind of fault, through the core at full speed: no false alarm, nothing lost, nothing hidden."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tapehub import DataHub, Record
from tapehub.collector.core import Core
from tapehub.feeds.feed import Repair
from tapehub.model.states import State
from tests.models.intervals import MINUTE, SECOND
from tests.models.weekend import (
    CLOSE,
    CUTS,
    FRIDAY,
    LOST_CANDLE,
    MUTE,
    OPEN,
    SOURCE,
    SUNDAY,
    SYMBOLS,
    Watcher,
    Weekend,
    batch_candles,
    in_state,
    log_hash,
)  # fmt: skip


@dataclass
class Run:
    """What came of a weekend."""

    hub: DataHub
    core: Core
    script: Weekend
    states: list[Record]
    last_bars: dict[str, int]  # symbol -> when Friday's last bar was reported final
    hash: str


def play(folder: Path, seed: int) -> Run:
    hub = DataHub.open(folder / "hub", create=True, segment_lines=1 << 14, sync="none")
    hub.set_clock("event", anchor_ns=FRIDAY)
    script = Weekend(seed)
    core = Core(hub, SOURCE, SYMBOLS, random=random.Random(seed), now_ns=FRIDAY, heartbeat=True, follows_events=False)
    watcher = Watcher(hub)
    for now, event in script.events():
        if event is not None:
            core.on_event(event, now)
            continue
        for request in core.on_time(now):
            script.ask(request, now)
        watcher.on_time(now)
    core.stop(SUNDAY)
    return Run(hub, core, script, watcher.finish(), watcher.last_bars, log_hash(hub))


@pytest.fixture(scope="module")
def weekend() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        run = play(Path(folder), seed=7)
        try:
            yield run
        finally:
            run.hub.close()


def test_only_the_mute_item_is_ever_stale(weekend: Run) -> None:
    symbol, at = MUTE
    stale = in_state(weekend.states, State.STALE)
    assert [one for one, _ in stale] == [symbol]
    assert at < stale[0][1] < at + MINUTE


def test_a_mute_item_is_subscribed_anew_and_nothing_else_is_asked_for(weekend: Run) -> None:
    ((at, request),) = weekend.script.requests
    assert (request.step, request.symbols) == (Repair.RESUBSCRIBE, (MUTE[0],))
    assert at < CLOSE
    assert in_state(weekend.states, State.LIVE)[-1][1] > OPEN


def test_each_cut_is_dead_for_all_and_a_closed_market_is_no_alarm(weekend: Run) -> None:
    dead = in_state(weekend.states, State.DEAD)
    for at, _ in CUTS:
        assert {symbol for symbol, when in dead if when == at} == set(SYMBOLS)
    closed = dict(in_state(weekend.states, State.CLOSED))
    assert set(closed) == set(SYMBOLS)
    assert all(CLOSE <= at <= CLOSE + SECOND for at in closed.values())
    alarms = [one for one in weekend.states if CLOSE + SECOND < one.ts_event < OPEN]
    assert alarms == []


def test_the_end_is_dead_because_the_collector_stopped(weekend: Run) -> None:
    last = weekend.states[-len(SYMBOLS) :]
    assert {(one.symbol, one.fixed[0] & 0xFF, one.payload) for one in last} == {
        (symbol, int(State.DEAD), b"collector stopped") for symbol in SYMBOLS
    }
    assert weekend.hub.state("EUR_USD") == "dead"


def test_every_outage_is_a_gap_and_the_closed_market_is_in_none(weekend: Run) -> None:
    for symbol in SYMBOLS:
        gaps = weekend.hub.gaps(symbol)
        causes = [gap["cause"] for gap in gaps]
        expected = ["connection reset"] * 2
        if symbol == MUTE[0]:
            expected.insert(1, next(cause for cause in causes if "while others flow" in cause))
        assert causes[: len(expected)] == expected
        (stopped,) = gaps[len(expected) :]
        assert (stopped["cause"], stopped["end"]) == ("collector stopped", None)
        for gap in gaps[:-1]:
            assert gap["end"] <= CLOSE or gap["start"] >= OPEN
            assert gap["status"] == "open"
        (start, length), _ = CUTS
        assert start - 15 * SECOND < gaps[0]["start"] <= start
        assert start + length - SECOND < gaps[0]["end"] < start + length + 15 * SECOND


def test_the_ledger_balances_for_each_instrument_and_in_the_hub(weekend: Run) -> None:
    script, counts = weekend.script, weekend.core.publisher.counts
    accepted = Counter(symbol for symbol, *_ in script.accepted)
    assert {symbol: count.published for symbol, count in counts.items() if symbol} == dict(accepted)
    assert all(count.balance == 0 for count in counts.values())
    total = weekend.core.publisher.total
    assert (total.received, total.duplicates, dict(total.quarantined)) == (script.sent, script.duplicates, script.bad)
    ledger = weekend.hub.ledger()
    assert (ledger["received"], ledger["ticks"]) == (script.sent, len(script.accepted))
    assert (ledger["duplicates"], ledger["quarantined"]) == (script.duplicates, sum(script.bad.values()))
    assert ledger["lost_in_producer"] == 0
    assert ledger["balanced"]
    reported = ledger["feeds"][SOURCE]
    assert {symbol: row["in_flight"] for symbol, row in reported.items()} == dict.fromkeys(counts, 0)


def test_every_bad_quote_is_in_quarantine_with_what_it_said(weekend: Run) -> None:
    rows = weekend.hub.quarantined()
    assert len(rows) == sum(weekend.script.bad.values())
    scale = next(row for row in rows if "input_scale" in row["detail"])
    assert scale["bid"] > 10_000
    assert "input_scale = 0.0001" in scale["detail"]
    assert any(row.get("raw") == b"U,1,1|\xff" for row in rows)


def test_candles_equal_those_of_a_batch_over_the_accepted_ticks(weekend: Run) -> None:
    for symbol in SYMBOLS:
        rows = weekend.hub.candles(symbol, "1m", limit=4000, forming=True).numpy()
        built = [
            tuple(float(row[name]) if name != "timestamp" else int(row[name]) for name in
                  ("timestamp", "open", "high", "low", "close", "ticks"))
            for row in rows
        ]  # fmt: skip
        assert built == batch_candles(weekend.script.accepted, symbol)


def test_fridays_last_bar_does_not_wait_for_sunday(weekend: Run) -> None:
    assert set(weekend.last_bars) == set(SYMBOLS)
    assert all(CLOSE < at <= CLOSE + 2 * SECOND for at in weekend.last_bars.values())


def test_the_venues_own_candles_agree_and_a_lost_one_is_named(weekend: Run) -> None:
    rows = weekend.hub.comparisons(limit=1000)
    lost = [row for row in rows if not row["confirmed"]]
    assert {row["symbol"] for row in lost if row["start"] == LOST_CANDLE} == set(SYMBOLS)
    compared = [row for row in rows if row["confirmed"]]
    assert len(compared) > 100
    assert all(row["agrees"] for row in compared)


def test_the_same_seed_gives_the_same_log(weekend: Run, tmp_path: Path) -> None:
    again = play(tmp_path, seed=7)
    again.hub.close()
    assert again.hash == weekend.hash
