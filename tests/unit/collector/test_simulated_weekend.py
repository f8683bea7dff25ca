"""A weekend at the simulated venue, through IG's protocol and the core: the venue's script, no socket, no real time.

49 hours of the venue's clock in seconds, the same log for the same seed. `test_weekend` beside this one scripts the
feed's events; here they are what the feed's protocol makes of the venue's own lines.
"""

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
from tapehub.feeds.sim import ManualClock, RecordedSource, Settings, Venue, read_script, timed
from tapehub.model.states import State
from tests.models.accepted import batch_candles, built_candles, published, quoted, unexplained
from tests.models.intervals import MINUTE, SECOND
from tests.models.lively import Lively
from tests.models.terminal import Terminal
from tests.models.weekend import CLOSE, FRIDAY, OPEN, SUNDAY, Watcher, in_state, log_hash

SCRIPT = Path(__file__).resolve().parents[2] / "models" / "weekend.toml"
EPICS = {"EUR_USD": "CS.D.EURUSD.CFD.IP", "GBP_USD": "CS.D.GBPUSD.TODAY.IP", "USD_JPY": "CS.D.USDJPY.CFD.IP"}
SYMBOLS = tuple(EPICS)
CUT, FORGOTTEN = FRIDAY + 9 * MINUTE + 20 * SECOND, FRIDAY + 47 * 60 * MINUTE + 42 * MINUTE
MUTE, MUTE_FOR = ("GBP_USD", FRIDAY + 16 * MINUTE), 28 * SECOND
BAD = {"crossed": 2, "malformed": 1, "non-positive": 1, "scale": 1}


@dataclass
class Run:
    """What came of a weekend."""

    hub: DataHub
    core: Core
    venue: Venue
    terminal: Terminal
    states: list[Record]
    last_bars: dict[str, int]  # symbol -> when Friday's last bar was reported final
    hash: str


def play(folder: Path, seed: int, until: int = SUNDAY) -> Run:
    hub = DataHub.open(folder / "hub", create=True, segment_lines=1 << 16, sync="none")
    hub.set_clock("event", anchor_ns=FRIDAY)
    clock = ManualClock(FRIDAY)
    source = RecordedSource(Lively([(FRIDAY - MINUTE, CLOSE), (OPEN, SUNDAY)], seed))
    venue = Venue(
        source, clock, Settings(heartbeat_s=15.0, distinct_snapshot=False), seed=seed, steady=clock,
        script=timed(read_script(SCRIPT), FRIDAY),
    )  # fmt: skip
    core = Core(hub, "ig", SYMBOLS, random=random.Random(seed), now_ns=FRIDAY)
    terminal = Terminal(venue, EPICS)
    watcher = Watcher(hub)
    now = FRIDAY
    while now < until:
        clock.now_ns = now
        venue.advance()
        for event in terminal.read(now):
            core.on_event(event, now)
        for request in core.on_time(now):
            terminal.repair(request, now)
        watcher.on_time(now)
        now += MINUTE if CLOSE + MINUTE < now < OPEN - 2 * MINUTE else SECOND // 2
    core.stop(until)
    return Run(hub, core, venue, terminal, watcher.finish(), watcher.last_bars, log_hash(hub))


@pytest.fixture(scope="module")
def weekend() -> Iterator[Run]:
    with tempfile.TemporaryDirectory() as folder:
        run = play(Path(folder), seed=5)
        try:
            yield run
        finally:
            run.hub.close()


def test_only_the_mute_item_is_ever_stale_and_is_subscribed_anew(weekend: Run) -> None:
    symbol, at = MUTE
    stale = in_state(weekend.states, State.STALE)
    assert [one for one, _ in stale] == [symbol]
    assert at < stale[0][1] < at + MUTE_FOR
    assert {(request.step, request.symbols) for _, request in weekend.terminal.requests} == {
        (Repair.RESUBSCRIBE, (symbol,))
    }
    assert all(at < asked < at + MUTE_FOR + MINUTE for asked, _ in weekend.terminal.requests)


def test_each_cut_is_dead_for_all_and_a_closed_market_is_no_alarm(weekend: Run) -> None:
    dead = [(symbol, at) for symbol, at in in_state(weekend.states, State.DEAD) if at < SUNDAY]
    for cut in (CUT, FORGOTTEN):
        assert {symbol for symbol, at in dead if cut <= at <= cut + SECOND} == set(SYMBOLS)
    assert len(dead) == 2 * len(SYMBOLS)
    closed = in_state(weekend.states, State.CLOSED)
    assert {symbol for symbol, _ in closed} == set(SYMBOLS)
    assert all(CLOSE <= at <= CLOSE + 5 * SECOND for _, at in closed)
    assert [one for one in weekend.states if CLOSE + 5 * SECOND < one.ts_event < OPEN] == []


def test_nothing_is_reconnected_in_quiet_hours(weekend: Run) -> None:
    said = [(one.event, one.ts_ns) for one in weekend.venue.journal.entries if one.event.startswith("session ")]
    assert [event for event, _ in said] == ["session created", "session recovered", "session created"]
    assert [at for _, at in said if CLOSE <= at < OPEN] == []
    # A recovered session needs no tokens; only what replaced the forgotten one did, and the old ones had expired.
    assert weekend.venue.journal.logins == 2


def test_every_quote_is_published_or_stands_in_quarantine_or_in_a_gap(weekend: Run) -> None:
    for symbol in SYMBOLS:
        venue = Counter(quoted(weekend.venue.source, symbol, FRIDAY - MINUTE, SUNDAY))
        got = Counter(published(weekend.hub, symbol))
        assert got.total() > 1000
        assert max(got.values()) == 1
        assert not got - venue, "the venue never said that"
        missing = [row for row in sorted(venue - got) if row[0] >= FRIDAY]
        bad = {"EUR_USD": 3, "GBP_USD": 1, "USD_JPY": 1}[symbol]
        left = unexplained(weekend.hub, symbol, missing)
        assert len(left) <= bad, "each of them was made a bad one by the script"


def test_every_outage_is_a_gap_and_the_closed_market_is_in_none(weekend: Run) -> None:
    for symbol in SYMBOLS:
        *gaps, stopped = weekend.hub.gaps(symbol)
        causes = [gap["cause"] for gap in gaps]
        assert causes[0] == "connection reset"
        assert causes[-1] == "connection close"
        assert len(causes) == 3 if symbol == MUTE[0] else 2
        assert (stopped["cause"], stopped["end"]) == ("collector stopped", None)
        assert all(gap["end"] <= CLOSE or gap["start"] >= OPEN for gap in gaps)
        if symbol == MUTE[0]:
            assert "while others flow" in causes[1]
            assert gaps[1]["start"] <= MUTE[1] + SECOND
            assert gaps[1]["end"] >= MUTE[1] + MUTE_FOR


def test_the_ledger_balances_at_every_hop(weekend: Run) -> None:
    heard, received = weekend.terminal.heard, weekend.terminal.protocol.received
    counts = weekend.core.publisher.counts
    assert set(counts) == set(SYMBOLS)
    for symbol in SYMBOLS:
        # The wire, the protocol, the publisher, the log: the same number at each, or it is accounted for.
        assert heard[symbol] == received[symbol] == counts[symbol].received
        assert counts[symbol].balance == 0
        assert counts[symbol].published == len(published(weekend.hub, symbol))
        assert counts[symbol].duplicates > 50
    total, ledger = weekend.core.publisher.total, weekend.hub.ledger()
    assert dict(total.quarantined) == BAD
    assert (ledger["received"], ledger["ticks"]) == (sum(heard.values()), total.published)
    assert (ledger["duplicates"], ledger["quarantined"]) == (total.duplicates, sum(BAD.values()))
    assert ledger["balanced"]
    assert ledger["lost_in_producer"] == 0
    assert len(weekend.hub.quarantined()) == sum(BAD.values())
    (garbled,) = (row for row in weekend.hub.quarantined("GBP_USD") if "raw" in row)
    assert b"n/a" in garbled["raw"]


def test_candles_equal_those_of_polars_over_the_accepted_ticks(weekend: Run) -> None:
    for symbol in SYMBOLS:
        assert built_candles(weekend.hub, symbol) == batch_candles(published(weekend.hub, symbol))


def test_the_venues_own_candles_are_compared_and_the_lost_end_is_named(weekend: Run) -> None:
    rows = weekend.hub.comparisons(limit=1000)
    flagged = [row for row in rows if not row["confirmed"] and row["agrees"] is not None]
    # Its end was not said, and the next candle showed that it was over: it is compared all the same.
    assert [(row["symbol"], row["start"], row["agrees"]) for row in flagged] == [
        ("EUR_USD", FRIDAY + 14 * MINUTE, True)
    ]
    agreeing = [row for row in rows if row["confirmed"] and row["agrees"]]
    assert len(agreeing) > 150


def test_fridays_last_bar_does_not_wait_for_sunday(weekend: Run) -> None:
    assert set(weekend.last_bars) == set(SYMBOLS)
    assert all(CLOSE < at <= CLOSE + 2 * SECOND for at in weekend.last_bars.values())


def test_the_same_seed_and_script_give_the_same_log(weekend: Run, tmp_path: Path) -> None:
    again = play(tmp_path, seed=5)
    again.hub.close()
    assert (again.hash, again.venue.journal.digest) == (weekend.hash, weekend.venue.journal.digest)


def test_another_seed_gives_another_log(tmp_path: Path) -> None:
    hashes = []
    for folder, seed in (("one", 5), ("same", 5), ("other", 6)):
        (tmp_path / folder).mkdir()
        run = play(tmp_path / folder, seed, until=FRIDAY + 2 * MINUTE)
        run.hub.close()
        hashes.append(run.hash)
    assert hashes[0] == hashes[1] != hashes[2]
