"""Ending on Ctrl-C and SIGTERM: by a flag that loops look at, so that what was begun is finished and counted."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stopping"]


@contextmanager
def stopping(*numbers: signal.Signals) -> Iterator[threading.Event]:
    """Set an event at the first of the signals; the second Ctrl-C interrupts at once.

    The handlers that were there come back at the end. Outside the main thread, where no handler can be set, the event
    stays as it is.

    Args:
        numbers: the signals; Ctrl-C and SIGTERM if none are given.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # A handler interrupts the main thread wherever it stands, also where it holds the event's lock: setting the event
    # there would wait for itself. A SimpleQueue may be put to from a handler; a thread hands it on.
    asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
    heard = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard = True
        asked.put(True)

    def hand_on() -> None:
        if asked.get():
            stop.set()

    handing = threading.Thread(target=hand_on, name="signals", daemon=True)
    handing.start()
    before = {number: signal.signal(number, ask) for number in numbers or (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        asked.put(False)
        handing.join()
