"""A hub closed while other threads are in it: they come back with an error, and nothing is taken from under them."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, threading
from tapehub import DataHub, HubClosed, Tick

def wait(hub, entered):
    try:
        with hub.stream() as stream:
            entered.set()
            while True:
                stream.poll(10, timeout_s=1.0)
    except HubClosed:
        pass

def publish(hub, entered):
    try:
        while True:
            hub.update_tick(Tick("EUR_USD", 1.1, 1.2))
            hub.flush()
            entered.set()
    except HubClosed:
        pass

for round_ in range(12):
    hub = DataHub.open(sys.argv[1], create=True, segment_lines=1 << 14)
    threads = []
    for target in (wait, wait, publish):
        entered = threading.Event()
        threads.append(threading.Thread(target=target, args=(hub, entered)))
        threads[-1].start()
        assert entered.wait(10)
    hub.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
print("closed")
"""


def test_threads_that_wait_or_publish_come_back_when_the_hub_is_closed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, tmp_path / "hub"], capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout.strip()) == (0, "closed"), done.stderr
