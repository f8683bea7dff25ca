"""Long requests wait for one another: each that is served has its time, and who waits is not hung up on meanwhile."""

import pickle
import threading
from typing import Any, cast

import pytest

from tapehub.gateway.manager.frames import BadFrame
from tapehub.gateway.manager.session import Service, Session
from tapehub.gateway.manager.settings import Limits, ManagerSettings

LONG = pickle.dumps(("tapehub", "get_latest_tick", ("x" * 1000,), {}))


def service(**limits: Any) -> Service:
    settings = ManagerSettings(key=b"k" * 32, limits=Limits(small_bytes=10, **limits))
    return Service(cast(Any, None), settings, lambda line: None)


def freed(held: threading.Semaphore, after_s: float) -> threading.Timer:
    """Take a place, and give it back after a time."""
    assert held.acquire(timeout=0)
    timer = threading.Timer(after_s, held.release)
    timer.start()
    return timer


def test_request_waits_to_be_read_until_all_others_have_had_their_time() -> None:
    one = service(patience_s=0.1, large_at_once=50)
    timer = freed(one._large, 0.3)
    assert one.parse(LONG)[0][1] == "get_latest_tick"
    timer.join()


def test_request_waits_for_room_until_all_others_have_had_their_time() -> None:
    one = service(patience_s=0.1, large_at_once=1, connections=50)
    timer = freed(one.room, 0.3)
    session = Session(one, cast(Any, None), lambda: None)
    session._make_room()
    timer.join()
    assert not one.room.acquire(timeout=0)
    session._leave_room()
    assert one.room.acquire(timeout=0)


def test_no_request_waits_for_ever() -> None:
    one = service(patience_s=0.01, large_at_once=1, connections=2)
    with one._large, pytest.raises(BadFrame, match="for too long"):
        one.parse(LONG)
    with one.room, pytest.raises(BadFrame, match="for too long"):
        Session(one, cast(Any, None), lambda: None)._make_room()
