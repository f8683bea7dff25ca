"""The one process that adds the clock's watermarks; what changes when it comes and goes."""

import os
import re
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.errors import HubHeld
from tapehub.hub.server import HubServer
from tapehub.hub.status import silent_s
from tests.models.damage import delete
from tests.models.intervals import SECOND, starts_of
from tests.models.market import EUR, GBP, NINE, QUOTE, drained, quotes, tick
from tests.models.memory import lose_memory
from tests.models.recordings import lean_ticks

OPTIONS = {"segment_lines": 1 << 12, "sync": "none"}


def test_a_second_server_is_refused_with_the_holders_pid_and_start(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        began = f"{server.started:%Y-%m-%d %H:%M}"
        with pytest.raises(HubHeld, match=rf"process {os.getpid()}, started {began}.*serves this hub already: .*hub"):
            HubServer(tmp_path / "hub", **OPTIONS)
        assert server.hub.server() is not None
        assert server.hub.server()[0] == os.getpid()
    with HubServer(tmp_path / "hub", **OPTIONS) as again:
        assert again.status()["server"][0] == os.getpid()


def test_a_hub_without_a_server_says_so(hub: DataHub) -> None:
    assert hub.server() is None
    assert hub.get_status()["server"] is None
    assert hub.get_status()["clock"]["closed_by"] == "ticks"


def test_under_a_server_only_its_watermarks_close_intervals(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        server.set_clock("event")
        hub = server.hub
        hub.publish(quotes([10, 70]), symbol=EUR)
        assert hub.get_status()["clock"]["closed_by"] == "server"
        assert hub.get_latest_candles(EUR) == []
        hub.update_tick(tick(20))
        assert hub.get_status()["stats"]["late_applied"] == 0, "lateness is decided by log order alone"
        server.beat()
        assert [one.volume for one in hub.get_latest_candles(EUR)] == [2.0]
        hub.update_tick(tick(30))
        assert hub.get_status()["stats"]["late_applied"] == 1


def test_a_beat_logs_one_watermark_a_second_of_the_hub_clock(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        server.set_clock("event")
        with server.hub.stream(kinds="watermark") as stream:
            for second in (5, 5.9, 6.2, 6.4, 6.5, 9):
                server.hub.update_tick(tick(second))
                server.beat()
                server.beat()
            assert [(one.ts_event - NINE) / SECOND for one in drained(stream)] == [4, 5, 6, 8]


def test_a_server_is_silent_since_its_last_beat(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert silent_s(hub) == 0.0, "there was none"
    with HubServer(hub.path) as server:
        server.beat()
        beat_ns = int(hub._hub_state()["server_heartbeat_ns"])
        for later_ns, expected in ((0, 0.0), (44_000_000_000, 44.0), (-1, 0.0)):
            monkeypatch.setattr(time, "clock_gettime_ns", lambda clock, at=beat_ns + later_ns: at)
            assert silent_s(hub) == expected


def test_an_interval_of_a_silent_symbol_ends_with_the_clock(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        server.set_clock("event")
        hub = server.hub
        with hub.stream(EUR, kinds="interval") as stream:
            hub.update_tick(tick(10))
            hub.update_tick(tick(130, symbol=GBP))
            server.beat()
            assert [(one.outcome, one.start) for one in drained(stream)] == [
                ("final", NINE),
                ("no_ticks", NINE + 60 * SECOND),
            ]


def test_when_the_server_leaves_the_ticks_close_intervals_again(tmp_path: Path) -> None:
    server = HubServer(tmp_path / "hub", **OPTIONS)
    with DataHub.open(tmp_path / "hub") as hub:
        server.set_clock("event")
        server.close()
        server.close()
        assert hub.get_status()["clock"]["closed_by"] == "ticks"
        hub.publish(quotes([10, 70]), symbol=EUR)
        assert len(hub.get_latest_candles(EUR)) == 1


def test_a_server_that_runs_closes_candles_by_itself(tmp_path: Path) -> None:
    stop = threading.Event()
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        server.set_clock("virtual", anchor_ns=NINE, rate=300.0)
        runs = threading.Thread(target=server.run, args=(stop,))
        runs.start()
        try:
            with DataHub.open(tmp_path / "hub") as hub, hub.stream(EUR, kinds="interval") as stream:
                told: list[Any] = []
                while not any(one.outcome == "final" for one in told):  # a tick may be late, at this pace
                    hub.update_tick(tick((hub.now() - NINE) / SECOND))
                    told += stream.poll(timeout_s=0.02).records
                while told[-1].outcome == "final":
                    told.append(next(stream))
                assert told[-1].outcome == "no_ticks"
                assert all(one.end == other.start for one, other in pairwise(told))
                final = [one for one in told if one.outcome == "final"]
                assert [one.candle.ts_event for one in final] == [one.start for one in final]
                assert hub.get_latest_candles(EUR)[-1].ts_event == final[-1].start
        finally:
            stop.set()
            runs.join()


def test_a_file_of_2014_into_a_running_server_gives_candles_of_2014_none_late(
    shared_data: Path, tmp_path: Path
) -> None:
    rows = lean_ticks(shared_data, "oanda", "20140506")
    rows = rows[rows["ask"] >= rows["bid"]]
    _replay_into_a_running_server(tmp_path / "hub", rows)


def test_old_ticks_into_a_running_server_are_not_late(tmp_path: Path) -> None:
    rows = np.zeros(20_000, QUOTE)
    rows["ts_event"] = NINE - 10 * 365 * 86_400 * SECOND + np.arange(20_000) * 700_000_000
    rows["bid"] = 1.3 + np.sin(np.arange(20_000) / 50) / 100
    rows["ask"] = rows["bid"] + 0.0001
    _replay_into_a_running_server(tmp_path / "hub", rows)


def _replay_into_a_running_server(path: Path, rows: np.ndarray) -> None:
    """Begin a replay when the server, on the wall clock, has logged watermarks of today."""
    stop = threading.Event()
    with HubServer(path, **OPTIONS) as server:
        runs = threading.Thread(target=server.run, args=(stop,))
        runs.start()
        try:
            with server.hub.stream(kinds="watermark", start="oldest") as stream:
                next(stream)
            with DataHub.open(path) as hub:
                hub.set_clock("event")
                for begin in range(0, len(rows), 1_000):
                    hub.publish(rows[begin : begin + 1_000], symbol=EUR)
                hub.advance(int(rows["ts_event"].max()) + 60 * SECOND)
                got = hub.candles(EUR, "1m", limit=1 << 20).numpy()
                starts, counts = np.unique(starts_of("1m", rows["ts_event"]), return_counts=True)
                assert got["timestamp"].tolist() == starts.tolist()
                assert got["ticks"].tolist() == counts.tolist()
                assert set(got["status"].tolist()) == {1}
                stats = hub.get_status()["stats"]
                assert (stats["late_applied"], stats["late_unapplied"]) == (0, 0)
                # An event clock goes as far as it was advanced.
                assert hub.now() == int(rows["ts_event"].max()) + 60 * SECOND
        finally:
            stop.set()
            runs.join()


def test_a_server_names_itself_among_the_processes(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", name="my server", **OPTIONS) as server:
        (one,) = server.status()["processes"]
        assert (one["name"], one["pid"], one["alive"]) == ("my server", os.getpid(), True)
        assert re.fullmatch(r"[0-9a-f]{32}", server.status()["hub_id"])


def test_a_clock_before_1990_ends_no_server(tmp_path: Path) -> None:
    """A board without a battery boots in 1970; its server goes on, and beats once the time is set."""
    stop = threading.Event()
    with HubServer(tmp_path / "hub", **OPTIONS) as server:
        server.set_clock("virtual", anchor_ns=10**15, rate=1.0)
        runs = threading.Thread(target=server.run, args=(stop,))
        runs.start()
        try:
            while "1990" not in server.last_error:
                assert runs.is_alive()
            server.set_clock("virtual", anchor_ns=NINE, rate=1.0)
            while int(server.hub._hub_state()["watermark_ns"]) < NINE - SECOND:
                assert runs.is_alive()
        finally:
            stop.set()
            runs.join()


def test_a_server_takes_the_lock_of_the_hub_that_was_made_in_the_place_of_its_own(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", retention_days=3, **OPTIONS) as server:
        delete(tmp_path / "hub")
        with DataHub.open(tmp_path / "hub", create=True, **OPTIONS) as new:
            assert new.server() is None
            beat_until(server, lambda: new.server() is not None)
            assert new.get_status()["clock"]["closed_by"] == "server"
            assert (new.server() or (0,))[0] == os.getpid()
            with pytest.raises(HubHeld):
                HubServer(tmp_path / "hub", **OPTIONS)


def test_a_server_leaves_a_hub_alone_that_another_one_made_in_the_place_of_its_own(tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub", name="first", **OPTIONS) as first:
        delete(tmp_path / "hub")
        with HubServer(tmp_path / "hub", name="second", **OPTIONS) as second:
            with pytest.raises(HubHeld, match="serves this hub already"):
                beat_until(first, lambda: False)
            before = second.hub._hub_state()["server_heartbeat_ns"]
            with pytest.raises(HubHeld):
                first.beat()
            assert second.hub._hub_state()["server_heartbeat_ns"] == before
            first.close()
            assert (second.hub.server() or (0, 0, ""))[2] == "second"
            assert second.status()["clock"]["closed_by"] == "server"
            second.beat()


def test_a_server_that_fails_as_it_begins_gives_its_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tapehub.hub.server.log_sessions", full)
        with pytest.raises(OSError, match="No space left") as kept:
            HubServer(tmp_path / "hub", **OPTIONS)
    HubServer(tmp_path / "hub", **OPTIONS).close()
    assert kept.value.errno == 28  # and with it the frames that hold what had begun


def beat_until(server: HubServer, holds: Callable[[], bool]) -> None:
    for _ in range(500):
        server.beat()
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("what was to come of beats never did")


def test_after_the_memory_was_lost_the_server_says_anew_who_it_is(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    with HubServer(tmp_path / "hub", memory_root=memory, **OPTIONS) as server:
        server.beat()
        lose_memory(memory, server.hub)
        server.beat()
        found = server.hub.server()
        assert found is not None
        pid, since, name = found
        assert (pid, name) == (os.getpid(), "server")
        assert abs((since - server.started).total_seconds()) < 60
        assert server.status()["clock"]["closed_by"] == "server"
