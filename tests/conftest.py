"""Fixtures every test may use, and the rules every test is held to.

No test reaches another machine, sees the user's own hub, or leaves a process or a shared-memory file behind: the first
two are made impossible here, the third fails the run.
"""

import ipaddress
import json
import os
import platform
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tapehub import DataHub

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
SHARED_MEMORY = Path("/dev/shm")
# Lines of a segment. The usual 64 MiB are written to once when they are made, which costs more than most tests do.
SMALL = 1 << 14

# Every process of this run inherits the mark, however it was started and whoever its parent is by now.
SESSION_MARK = f"TAPEHUB_TEST_SESSION={uuid.uuid4().hex}"
# Helpers of multiprocessing that live until the interpreter ends.
LASTING_HELPERS = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")

# The same examples in every run, no time limit for one (the machine may be busy), no database left in the tree.
settings.register_profile("tapehub", derandomize=True, deadline=None, database=None, print_blob=True)
settings.load_profile("tapehub")


# A shell without job control has what it sends to the background ignore Ctrl-C, and all its children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker have the page's tests, as its first: each that has some starts a browser and a hub for them."""
    items.sort(key=lambda item: "browser" not in item.path.parts)


@pytest.fixture
def hub_dir(tmp_path: Path) -> Path:
    """Name a directory for a hub that does not exist yet."""
    return tmp_path / "hub"


@pytest.fixture
def hub(hub_dir: Path) -> Iterator["DataHub"]:
    """Open a new hub, and close it afterwards."""
    from tapehub import DataHub

    opened = DataHub.open(hub_dir, create=True, segment_lines=SMALL)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Find the real captures, or skip the test."""
    if not (SHARED_DATA / "README.md").is_file():
        pytest.skip("needs the real market data in ../shared/data (relative to the repository root), which is absent")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHUB_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("TAPEHUB_NAME", raising=False)
    # Whatever listens at the usual port is the user's, or that of another test.
    monkeypatch.setenv("TAPEHUB_GATEWAY__PORT", "0")


@pytest.fixture(autouse=True, scope="session")
def _no_other_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _loopback_only(getattr(socket.socket, name)))
        yield


def _loopback_only(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise RuntimeError(f"a test connected to {address!r}, expected a loopback address: tests run offline")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True, scope="session")
def _nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    name, _, value = SESSION_MARK.partition("=")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        yield
    processes = _processes_of_this_run()
    for _ in range(40):  # one that was told to end may take a moment
        if not processes:
            break
        time.sleep(0.05)
        processes = _processes_of_this_run()
    files = _shared_memory_files(tmp_path_factory.getbasetemp())
    assert not files, f"tests left files in shared memory: {files}"
    assert not processes, f"tests left processes running: {processes}"


def _shared_memory_files(ours: Path) -> list[str]:
    """Name the memory directories of hubs below ``ours``: each holds a file that says which hub it belongs to."""
    found = []
    for folder in SHARED_MEMORY.glob("tapehub*") if SHARED_MEMORY.is_dir() else ():
        try:
            origin = Path((folder / "hub").read_text())
        except OSError:  # gone meanwhile
            continue
        if origin.is_relative_to(ours):
            found.append(folder.name)
    return sorted(found)


def _processes_of_this_run() -> list[str]:
    """Name every live process that carries this run's mark or descends from this process.

    A forked child shows the environment its parent was started with, without the mark, so descent is looked at too.
    """
    parents: dict[int, int] = {}
    commands: dict[int, bytes] = {}
    marked = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").strip()
        except OSError:  # gone meanwhile, or another user's
            continue
        pid = int(entry.name)
        parents[pid] = int(parent)
        if state != "Z" and not any(helper in command for helper in LASTING_HELPERS):
            commands[pid] = command
        if SESSION_MARK.encode() in environment:
            marked.add(pid)

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return [
        f"{pid}: {command.decode(errors='replace')}"
        for pid, command in sorted(commands.items())
        if pid != os.getpid() and (pid in marked or descends(pid))
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-report", metavar="PATH", help="write outcome and recorded properties of each test as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--chaos-report"):
        config.pluginmanager.register(ChaosReport(config.rootpath / config.getoption("--chaos-report")), "chaos-report")


class ChaosReport:
    """Collects what each test found: its outcome, its duration and whatever it gave to `record_property`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.tests.append(
                {
                    "test": report.nodeid,
                    "phase": report.when,
                    "outcome": report.outcome,
                    "duration_s": round(report.duration, 3),
                    "properties": dict(report.user_properties),
                }
            )

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        report = {
            "exit_status": int(exitstatus),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "tests": sorted(self.tests, key=lambda test: str(test["test"])),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(report, indent=2) + "\n")
