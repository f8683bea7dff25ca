"""One hub for every process of the machine, and no second one: proved with real processes."""

import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import tapehub
from tapehub import DataHub, HubError, HubNotRunning
from tapehub.errors import HubHeld
from tapehub.hub.server import HubServer
from tests.models.market import EUR, GBP, moment, quotes, tick
from tests.servers.processes import Process, processes

OPTIONS: dict[str, Any] = {"create": True, "segment_lines": 1 << 12, "sync": "none"}
NOTICED_WITHIN_S = 1.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def memory(tmp_path: Path) -> str:
    """Give a place for memory files of hubs that are deleted under their users."""
    (tmp_path / "memory").mkdir()
    return str(tmp_path / "memory")


def test_three_processes_attach_to_the_same_hub_and_see_the_same_counters(path: Path) -> None:
    with processes(path, 3, **OPTIONS) as (one, two, three):
        one.ask("set_clock", mode="event")
        assert one.ask("publish", seconds=[1, 61, 121]) == 3
        two.ask("update", second=130, symbol=GBP)
        seen = [process.ask("who") for process in (one, two, three)]
        assert len({who.pop("pid") for who in seen}) == 3
        assert seen[0] == seen[1] == seen[2]
        assert seen[0]["ticks"] == 4
        assert [process.ask("follow", count=4) for process in (one, two, three)] == [one.ask("follow", count=4)] * 3


def test_a_second_server_is_refused_by_pid_and_start_time(path: Path) -> None:
    with processes(path, 2, **OPTIONS) as (one, two):
        held = one.ask("serve")
        refused = two.ask("serve")
        assert refused["error"] == "HubHeld"
        began = datetime.fromisoformat(held["started"])
        assert f"process {one.pid}, started {began:%Y-%m-%d %H:%M}" in refused["message"]
        assert str(path) in refused["message"]
        assert one.ask("unserve")
        assert two.ask("serve")["pid"] == two.pid


def test_a_dead_servers_place_is_taken_over(path: Path) -> None:
    with processes(path, 2, **OPTIONS) as (one, two):
        one.ask("set_clock", mode="event")
        one.ask("serve")
        one.ask("update", second=1)
        assert two.ask("serve")["error"] == "HubHeld"
        one.kill()
        assert two.ask("serve")["pid"] == two.pid
        assert two.ask("bid") == 1.1
        two.ask("update", second=2, bid=1.2)
        assert two.ask("who")["ticks"] == 2


def test_this_process_is_refused_by_a_servers_name_too(path: Path) -> None:
    with Process(path, **OPTIONS) as one:
        one.ask("serve")
        with pytest.raises(HubHeld, match=f"process {one.pid}, started "):
            HubServer(path)


# ---------------------------------------------------------------- connect


def test_connect_gives_one_object_a_process_from_every_thread(path: Path) -> None:
    with DataHub.open(path, **OPTIONS):
        hub = tapehub.connect(path)
        try:
            assert tapehub.connect(str(path)) is hub
            assert tapehub.connect(path / ".." / "hub") is hub
            with Process(path) as other:
                assert other.ask("connections") == [True] * 8
                assert other.ask("who")["hub_id"] == hub.hub_id
        finally:
            hub.close()
        again = tapehub.connect(path)
        assert again is not hub
        again.close()


def test_connect_finds_the_hub_by_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHUB_HOME", str(path.parent))
    monkeypatch.setenv("TAPEHUB_NAME", "hub")
    with pytest.raises(HubNotRunning, match="tapehub up --hub"):
        tapehub.connect()
    with DataHub.open(path, **OPTIONS) as hub, tapehub.connect() as found:
        assert found.hub_id == hub.hub_id


def test_threads_publish_and_read_one_handle_at_once(path: Path) -> None:
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        failed: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for n in range(300):
                    hub.update_tick(tick(n, 1 + number / 10, f"SYM_{number % 4}"))
                    hub.publish(quotes([float(n)] * 3), symbol=f"SYM_{number % 4}")
                    assert hub.get_latest_tick(f"SYM_{number % 4}") is not None
                    hub.get_latest_candles(f"SYM_{number % 4}", 5, "5s")
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert not failed
        assert hub.ledger()["ticks"] == 8 * 300 * 4
        assert hub.ledger()["balanced"]
        assert hub.ledger()["acknowledged"] >= 8 * 300 * 4
        assert hub.verify().ok


# ---------------------------------------------------------------- fork and spawn


def in_a_fork(work: Callable[[], object]) -> int:
    """Run in a forked child and give its exit status: 0 when all went well."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            sys.__stderr__.write(f"in the forked child: {error!r}\n")
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_uses_the_hub_it_inherited(path: Path) -> None:
    with DataHub.open(path, **OPTIONS) as hub, hub.stream() as stream:
        hub.set_clock("event")
        hub.update_tick(tick(1, 1.1))

        def child() -> None:
            assert hub.get_latest_tick(EUR) == tick(1, 1.1)
            assert [one.seq for one in stream.poll()] == [hub.get_latest_tick(EUR).seq]
            hub.update_tick(tick(2, 1.2))
            assert hub.publish(quotes([3, 4]), symbol=EUR) == 2
            assert len(hub.ticks(EUR)) == 4
            mine = {row["pid"] for row in hub.processes() if row["alive"]}
            assert mine == {os.getpid(), os.getppid()}, "it has a slot of its own"

        assert in_a_fork(child) == 0
        assert hub.update_tick(tick(5, 1.5)) == hub.head - 1
        assert len(stream.poll()) == len(hub.ticks(EUR)) == 5
        rows = {row["pid"]: row for row in hub.processes()}
        assert rows.pop(os.getpid())["alive"]
        assert [(row["published"] >= 3, row["alive"]) for row in rows.values()] == [(True, False)]
        assert hub.ledger()["balanced"]
        assert hub.verify().ok


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_that_closes_or_ends_takes_nothing_from_its_parent(path: Path) -> None:
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        view = hub.log()
        kept = view.tobytes()

        def child() -> None:
            hub.update_tick(tick(1))
            hub.close()

        assert in_a_fork(child) == 0
        assert in_a_fork(hub.close) == 0
        assert in_a_fork(lambda: None) == 0
        assert view.tobytes() == kept
        assert hub.get_latest_tick(EUR) == tick(1)
        hub.update_tick(tick(2))
        assert [row["alive"] for row in hub.processes() if row["pid"] == os.getpid()] == [True]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_parent_and_forked_children_publish_at_once(path: Path) -> None:
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        hub.update_tick(tick(0))
        children = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                try:
                    for n in range(500):
                        hub.update_tick(tick(n, 2.0 + number))
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(pid)
        for n in range(500):
            hub.update_tick(tick(n, 1.5))
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        assert len(hub.ticks(EUR, 5_000)) == 2_001
        assert hub.ledger()["balanced"]
        assert hub.verify().ok


def test_spawned_children_connect_to_the_same_hub(path: Path) -> None:
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        with Process(path) as one, Process(path) as two:
            assert one.ask("update", second=1) < two.ask("update", second=2) < hub.head
        assert len(hub.ticks(EUR)) == 2


def test_a_pool_of_spawned_workers_shares_the_hub(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.servers.pooled import publish_one

    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            ids = pool.starmap(publish_one, [(str(path), float(n)) for n in range(6)])
            pool.close()
            pool.join()
        assert set(ids) == {hub.hub_id}
        assert len(hub.ticks(EUR)) == 6


# ---------------------------------------------------------------- replaced, deleted, restarted


def until_noticed(read: Callable[[], Any], old: object) -> tuple[Any, float]:
    """Read until the answer is another than the old one; give it, and how long the old one was still served."""
    began = time.monotonic()
    while True:
        try:
            got = read()
        except HubError as error:
            got = type(error).__name__
        if got != old or time.monotonic() - began > 10:
            return got, time.monotonic() - began
        time.sleep(0.01)


def delete(path: Path) -> None:
    """Remove a hub's directory, also while its upkeep still makes files in there."""
    while path.exists():
        shutil.rmtree(path, ignore_errors=True)


def make_hub(path: Path, bid: float) -> None:
    with DataHub.open(path, **OPTIONS) as hub:
        hub.set_clock("event")
        hub.update_tick(tick(1, bid))


def test_a_deleted_hub_is_noticed_and_its_last_value_is_not_served_again(path: Path, memory: str) -> None:
    with Process(path, **OPTIONS, memory_root=memory) as other:
        other.ask("update", second=1, bid=1.25)
        with DataHub.open(path) as hub:
            assert hub.get_latest_tick(EUR).bid == 1.25
            delete(path)
            for read in (lambda: hub.get_latest_tick(EUR).bid, lambda: other.ask("bid")):
                got, took_s = until_noticed(read, 1.25)
                assert got == "HubNotRunning"
                assert took_s < NOTICED_WITHIN_S + 0.5
            for call in (
                lambda: hub.update_tick(tick(2)),
                lambda: hub.get_latest_candles(EUR),
                lambda: hub.ticks(EUR),
                lambda: hub.snapshot(EUR),
                hub.get_status,
            ):
                with pytest.raises(HubNotRunning, match="was deleted while this process was attached"):
                    call()


def test_a_replaced_hub_is_found_again_by_the_same_handle(path: Path, tmp_path: Path, memory: str) -> None:
    make_hub(path, 1.25)
    make_hub(tmp_path / "new", 1.75)
    with DataHub.open(path, memory_root=memory) as hub, hub.stream(start="oldest") as stream:
        old_id = hub.hub_id
        assert len(stream.poll()) == 1
        path.rename(tmp_path / "away")
        (tmp_path / "new").rename(path)
        got, took_s = until_noticed(lambda: hub.get_latest_tick(EUR).bid, 1.25)
        assert got == 1.75
        assert took_s < NOTICED_WITHIN_S + 0.5
        assert hub.hub_id != old_id
        hub.update_tick(tick(5, 1.8))
        assert [one.bid for one in stream.poll()][-1:] == [1.8]
        with DataHub.open(path) as other:
            assert other.get_latest_tick(EUR).bid == 1.8


def test_a_hub_made_again_after_it_was_deleted_is_found_by_the_same_handle(path: Path, memory: str) -> None:
    make_hub(path, 1.25)
    with DataHub.open(path, memory_root=memory) as hub:
        assert hub.get_latest_tick(EUR).bid == 1.25
        delete(path)
        got, _ = until_noticed(lambda: hub.get_latest_tick(EUR).bid, 1.25)
        assert got == "HubNotRunning"
        with DataHub.open(path, **OPTIONS, memory_root=memory) as made:
            made.set_clock("event")
            made.update_tick(tick(1, 1.5))
            assert hub.get_latest_tick(EUR).bid == 1.5
            hub.update_tick(tick(2, 1.6))
            assert made.get_latest_tick(EUR).bid == 1.6


def test_a_waiting_reader_notices_a_deleted_hub(path: Path, memory: str) -> None:
    make_hub(path, 1.25)
    with DataHub.open(path, memory_root=memory) as hub, hub.stream() as stream:
        seen: list[str] = []

        def read() -> None:
            try:
                next(stream)
            except HubError as error:
                seen.append(type(error).__name__)

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.05)
        delete(path)
        reader.join(10)
        assert seen == ["HubNotRunning"]


def test_the_last_to_leave_a_deleted_hub_takes_its_memory_along(path: Path, memory: str) -> None:
    make_hub(path, 1.25)
    with DataHub.open(path, memory_root=memory) as hub, DataHub.open(path) as other:
        delete(path)
        for one in (hub, other):
            assert until_noticed(lambda one=one: one.get_latest_tick(EUR).bid, 1.25)[0] == "HubNotRunning"  # type: ignore[misc]
    assert list(Path(memory).iterdir()) == []


def test_the_data_outlive_every_process(path: Path) -> None:
    with Process(path, **OPTIONS) as one:
        one.ask("set_clock", mode="event")
        one.ask("publish", seconds=[1, 61, 121])
        who = one.ask("who")
        one.kill(signal.SIGKILL)
    with DataHub.open(path) as hub:
        assert (hub.hub_id, hub.epoch, hub.head) == (who["hub_id"], who["epoch"], who["head"])
        assert [one.timestamp for one in hub.get_latest_candles(EUR)] == [moment(0), moment(60)]
        hub.update_tick(tick(200))


def test_many_processes_that_open_a_new_hub_at_once_give_it_one_calendar(path: Path) -> None:
    with processes(path, 6, **OPTIONS) as all_of_them:
        assert len({process.ask("who")["head"] for process in all_of_them}) == 1
    with DataHub.open(path) as hub:
        assert hub.ledger()["by_kind"]["calendar"] == 1


def test_a_name_alone_never_opens_the_default_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHUB_HOME", str(tmp_path))
    for name in ("default", "paper"):
        tapehub.DataHub.open(tapehub.hub_path(name), create=True).close()
    with pytest.raises(tapehub.ConfigError, match=r"name 'paper' without a path: .* connect\(hub_path\('paper'\)\)"):
        tapehub.connect(name="paper")
    with tapehub.connect(tapehub.hub_path("paper"), name="mine") as hub:
        assert hub.path.name == "paper"
