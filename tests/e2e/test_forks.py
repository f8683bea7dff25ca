"""Forked while another thread is inside a call of the hub: the child has that call's count, and no thread to end it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tapehub import DataHub

PARENT = """
import os, signal, sys, threading, time
from tapehub import DataHub, Tick

hub = DataHub.open(sys.argv[1], create=True, segment_lines=1 << 12)
hub.set_clock("event")
hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=1_780_401_600_000_000_000))
stream = hub.stream("EUR_USD")
waiting = threading.Thread(target=lambda: next(stream), daemon=True)
waiting.start()
time.sleep(0.2)  # by now it waits for the log
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # what hangs is ended: the parent tells it by the signal
    if sys.argv[2] == "publish":
        hub.update_tick(Tick("GBP_USD", 1.3, 1.4, timestamp=1_780_401_600_000_000_001))
    if sys.argv[3] == "close":
        hub.close()
        os._exit(0)
    sys.exit(0)  # through atexit, which closes every hub
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=1_780_401_600_000_000_002))
waiting.join(10)
assert not waiting.is_alive(), "the parent's call goes on"
hub.close()
sys.exit(status)
"""


@pytest.mark.parametrize("does", ["publish", "nothing"])
@pytest.mark.parametrize("ends", ["close", "exit"])
def test_child_of_a_process_whose_thread_waits_closes_its_hub(hub_dir: Path, does: str, ends: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PARENT, str(hub_dir), does, ends],
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    with DataHub.open(hub_dir) as hub:
        assert hub.ledger()["ticks"] == (3 if does == "publish" else 2)
