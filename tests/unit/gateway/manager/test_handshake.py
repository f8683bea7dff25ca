"""The proof of the key, against CPython's own on the other side."""

import os
import socket
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

import pytest

from tapehub.gateway.manager.frames import BadFrame, Frames, TooLong
from tapehub.gateway.manager.handshake import KeyRefused, admit, answer, challenge, enter, is_right

KEY = b"the key of this test"


def ends() -> tuple[Frames, Connection]:
    """Join ours and CPython's end of one connection."""
    ours, theirs = socket.socketpair()
    return Frames(ours, 5.0), Connection(theirs.detach())


@pytest.mark.parametrize("theirs_key", [KEY, b"another"], ids=["right", "wrong"])
@pytest.mark.parametrize("we_admit", [True, False], ids=["server", "client"])
def test_both_ends_prove_the_key_to_cpythons(we_admit: bool, theirs_key: bytes) -> None:
    frames, theirs = ends()
    failed: list[str] = []

    def other() -> None:
        try:
            if we_admit:
                answer_challenge(theirs, theirs_key)
                deliver_challenge(theirs, theirs_key)
            else:
                deliver_challenge(theirs, theirs_key)
                answer_challenge(theirs, theirs_key)
        except (AuthenticationError, EOFError, OSError) as error:
            failed.append(type(error).__name__)
        theirs.close()

    thread = threading.Thread(target=other)
    thread.start()
    paused: list[float] = []
    try:
        if we_admit:
            admit(frames.send, lambda: frames.receive(256), KEY, os.urandom, lambda: paused.append(1))
        else:
            enter(frames.send, lambda: frames.receive(256), KEY, os.urandom)
        assert theirs_key == KEY
    except KeyRefused:
        assert theirs_key != KEY
        assert paused == [1] * we_admit
    thread.join()
    frames.close()
    assert failed == ([] if theirs_key == KEY else ["AuthenticationError"])


@pytest.mark.parametrize("drawn", [b"0" * 20, b"{sha256}" + b"1" * 40, b"{sha3_384}" + b"2" * 40, b"{md5}" + b"3" * 40])
def test_answers_are_right_for_their_challenge_and_key_alone(drawn: bytes) -> None:
    given = answer(KEY, drawn)
    assert is_right(KEY, drawn, given)
    assert not is_right(b"another", drawn, given)
    assert not is_right(KEY, drawn[:-1] + b"x", given)
    assert not is_right(KEY, drawn, given[:-1] + bytes([given[-1] ^ 1]))
    assert not is_right(KEY, drawn, b"")
    assert not is_right(KEY, drawn, b"{sha256}")


@pytest.mark.parametrize("drawn", [b"", b"short", b"{sha256}", b"{rot13}" + b"0" * 40, b"0" * 21])
def test_a_challenge_that_is_none_is_not_answered(drawn: bytes) -> None:
    with pytest.raises(KeyRefused):
        answer(KEY, drawn)


def test_no_challenge_is_drawn_twice() -> None:
    assert len({challenge(os.urandom) for _ in range(100)}) == 100


def test_messages_pass_to_and_from_cpythons_connection() -> None:
    frames, theirs = ends()
    for size in (0, 1, 5, 16_384, 16_385, 300_000):
        body = os.urandom(size)
        thread = threading.Thread(target=theirs.send_bytes, args=(body,))
        thread.start()
        assert frames.receive(1 << 20) == body
        thread.join()
        thread = threading.Thread(target=frames.send, args=(body,))
        thread.start()
        assert theirs.recv_bytes() == body
        thread.join()
    theirs.close()
    assert frames.receive(100) is None
    frames.close()


def test_messages_that_come_together_are_taken_one_by_one() -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours, 5.0)
    theirs.sendall(b"\0\0\0\1a\0\0\0\2bc\0\0\0\0")
    assert [frames.receive(10) for _ in range(3)] == [b"a", b"bc", b""]
    theirs.close()
    frames.close()


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"\xff\xff\xff\xff" + b"\0" * 8, "over 2 GiB"),
        (b"\x80\0\0\0", "length is -2147483648"),
        (b"\0\0\1\0abc", "256 bytes was announced, expected at most 100"),
        (b"\0\0", "ended inside a length"),
        (b"\0\0\0\x09abc", "ended after 7 of 13 bytes"),
    ],
)
def test_a_length_is_judged_before_anything_is_kept(sent: bytes, error: str) -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours, 5.0)
    theirs.sendall(sent)
    theirs.close()
    with pytest.raises(BadFrame, match=error):
        frames.receive(100)
    frames.close()


def test_a_message_that_is_too_long_is_thrown_away_and_the_next_one_read() -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours, 5.0)
    thread = threading.Thread(target=theirs.sendall, args=(b"\0\x10\0\0" + bytes(1 << 20),))
    thread.start()
    with pytest.raises(TooLong):
        frames.receive(100, skip_max=1 << 20)
    thread.join()
    theirs.sendall(b"\0\0\0\1a")
    assert frames.receive(100) == b"a"
    theirs.close()
    frames.close()


def test_a_message_must_come_in_time_once_it_has_begun() -> None:
    ours, theirs = socket.socketpair()
    frames = Frames(ours, 0.05)
    ended: list[object] = []

    def wait() -> None:
        try:
            ended.append(frames.receive(100, idle=True))
        except BadFrame as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)  # longer than its patience, and nothing has begun
    assert not ended
    theirs.sendall(b"\0\0")
    thread.join()
    assert ended == ["a message that had begun did not come in full within 0.05 s"]
    theirs.close()
    frames.close()
