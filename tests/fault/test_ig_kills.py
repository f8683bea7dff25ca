"""The IG collector killed in mid-stream, and its venue cut off: each quote is in the log or in a gap that says why."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub
from tapehub.feeds.sim import Settings, SimulatorThread, SyntheticSource
from tests.models.accepted import published, quoted, unexplained
from tests.models.intervals import SECOND
from tests.models.waiting import until
from tests.servers.ig import TUESDAY
from tests.servers.processes import ROOT

SYMBOLS = ("EUR_USD", "USD_JPY")
TICKS_PER_S = 60.0


def test_an_ig_collector_killed_twice_loses_no_accepted_tick(tmp_path: Path) -> None:
    kill_ig_collectors(tmp_path, kills=2, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_twenty_ig_collectors_killed(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    for name, value in kill_ig_collectors(tmp_path, kills=20, seed=2).items():
        record_property(name, value)


def kill_ig_collectors(folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    source = SyntheticSource(SYMBOLS, 1, TICKS_PER_S)
    # Twenty collectors a minute would wait for IG's usual 30 requests, less the share of orders, as they must.
    settings = Settings(distinct_snapshot=False, allowance_application=1200, allowance_account=600)
    seen: Counter[tuple[str, int, float, float]] = Counter()
    with DataHub.open(folder / "hub", create=True, segment_lines=1 << 16) as hub:
        hub.set_clock("virtual", anchor_ns=TUESDAY, rate=1.0)
        with (
            SimulatorThread(settings, source=source, clock=hub.now) as sim,
            hub.stream(start="oldest") as stream,
        ):

            def read() -> int:
                batch = stream.poll(1 << 14)
                seen.update((tick.symbol, tick.ts_event, tick.bid, tick.ask) for tick in batch)
                return len(batch)

            command = [sys.executable, "-m", "tests.servers.collecting_ig", str(hub.path), sim.rest_url, *SYMBOLS]
            for number in range(kills):
                before = hub.ledger()["ticks"]
                with subprocess.Popen(command, cwd=ROOT) as collector:
                    try:
                        until(lambda before=before: hub.ledger()["ticks"] > before + 50, "fifty ticks more")  # type: ignore[misc]
                        if number % 2 == 0:  # the venue first: the kill finds the collector recovering, or just back
                            sim.inject("cut", how=chance.choice(("close", "reset")))
                        time.sleep(chance.random() * 0.4)
                    finally:
                        collector.kill()
                while read():
                    pass
            logins = sim.log.logins
        ledger, end = hub.ledger(), hub.now()
        assert ledger["balanced"]
        assert logins == kills, "each process logs in once"
        for symbol in SYMBOLS:
            got = Counter(published(hub, symbol))
            assert Counter({row[1:]: n for row, n in seen.items() if row[0] == symbol}) == got, (
                "a reader saw other ticks"
            )
            # Two quotes of one millisecond and one price are one to the gate: IG tells no more of their times.
            venue = set(quoted(source, symbol, TUESDAY - SECOND, end))
            assert not set(got) - venue, "the venue never said that"
            first, last = min(got)[0], max(got)[0]
            missing = [row for row in sorted(venue - set(got)) if first < row[0] < last]
            assert missing, "nobody collected between two collectors"
            assert unexplained(hub, symbol, missing) == []
            # One that was killed while its connection was cut had begun the gap itself.
            assert any(gap["cause"].startswith(("collector restarted", "connection lost")) for gap in hub.gaps(symbol))
        return {"kills": kills, "ticks": ledger["ticks"], "lost_in_producer": ledger["lost_in_producer"]}
