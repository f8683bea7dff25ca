"""A helper process never outlives whoever started it, even when it hangs."""

import subprocess
import sys

HANGS = """
import time
from tapehub.app.workers import Conversation
talk = Conversation(ends_within_s=0.2)
print("up", flush=True)
while True:
    time.sleep(1)
"""


def test_one_that_hangs_ends_when_its_input_has_closed() -> None:
    process = subprocess.Popen([sys.executable, "-c", HANGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
        process.stdin.close()
        assert process.wait(20) == 1
