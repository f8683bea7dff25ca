"""The mutual proof of the key with which CPython opens every connection: without sockets, and without pickle.

Both ends prove that they hold the key by the HMAC of what the other drew at random; the key itself never travels. A
client of Python 3.12 or later answers with SHA-256, one of 3.11 or earlier with MD5 over the same bytes (an HMAC, for
which no weakness of MD5 is known that would help here).

Source: CPython 3.13, Lib/multiprocessing/connection.py, "Authentication Handshake Protocol Description".
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from tapehub.errors import TapehubError

__all__ = ["WELCOME", "KeyRefused", "admit", "answer", "challenge", "enter", "is_right"]

MESSAGE_BYTES_MAX = 256
WELCOME = b"#WELCOME#"
_CHALLENGE = b"#CHALLENGE#"
_FAILURE = b"#FAILURE#"
_DIGESTS = (b"md5", b"sha256", b"sha384", b"sha3_256", b"sha3_384")
_MD5_BYTES = 16
_OLD_CHALLENGE_BYTES = 20
_RANDOM_BYTES = 40


class KeyRefused(TapehubError):
    """Report that the other end does not hold the key, or does not speak this protocol."""


def challenge(random: Callable[[int], bytes]) -> bytes:
    """Draw what the other end has to answer; one of Python 3.11 takes the whole as random bytes."""
    return b"{sha256}" + random(_RANDOM_BYTES)


def answer(key: bytes, drawn: bytes) -> bytes:
    """Answer a challenge, as old or as new as it is.

    Raises:
        KeyRefused: it is none.
    """
    if len(drawn) == _OLD_CHALLENGE_BYTES:
        return hmac.new(key, drawn, "md5").digest()
    name, _ = _split(drawn)
    if len(drawn) < _OLD_CHALLENGE_BYTES:
        raise KeyRefused(f"the other end drew {len(drawn)} bytes, expected at least {_OLD_CHALLENGE_BYTES}")
    return b"{%s}%s" % (name, hmac.new(key, drawn, name.decode()).digest())


def is_right(key: bytes, drawn: bytes, given: bytes) -> bool:
    """Tell whether an answer proves the key, in a time that does not depend on how wrong it is."""
    try:
        name, mac = (b"md5", given) if len(given) == _MD5_BYTES else _split(given)
    except KeyRefused:
        return False
    return hmac.compare_digest(hmac.new(key, drawn, name.decode()).digest(), mac)


def admit(
    send: Callable[[bytes], None],
    receive: Callable[[], bytes | None],
    key: bytes,
    random: Callable[[int], bytes],
    pause: Callable[[], None],
) -> None:
    """Let a client prove the key, then prove it to the client.

    Args:
        pause: waits before a wrong answer is called wrong, so that trying many takes long.

    Raises:
        KeyRefused: it does not hold the key, hung up, or does not speak this protocol.
    """
    drawn = challenge(random)
    send(_CHALLENGE + drawn)
    if not is_right(key, drawn, _said(receive)):
        pause()
        send(_FAILURE)
        raise KeyRefused("the client answered with another key")
    send(WELCOME)
    # Only to one that holds the key already: nobody can have challenges of a third party answered here.
    _prove(send, receive, key)


def enter(
    send: Callable[[bytes], None], receive: Callable[[], bytes | None], key: bytes, random: Callable[[int], bytes]
) -> None:
    """Prove the key to a server, then let the server prove it.

    Raises:
        KeyRefused: one of the two holds another key, or it does not speak this protocol.
    """
    _prove(send, receive, key)
    drawn = challenge(random)
    send(_CHALLENGE + drawn)
    if not is_right(key, drawn, _said(receive)):
        send(_FAILURE)
        raise KeyRefused("the server answered with another key")
    send(WELCOME)


def _prove(send: Callable[[bytes], None], receive: Callable[[], bytes | None], key: bytes) -> None:
    asked = _said(receive)
    if not asked.startswith(_CHALLENGE):
        raise KeyRefused("the other end asked for no proof of the key, as multiprocessing does")
    send(answer(key, asked[len(_CHALLENGE) :]))
    if _said(receive) != WELCOME:
        raise KeyRefused("the other end holds another key")


def _said(receive: Callable[[], bytes | None]) -> bytes:
    message = receive()
    if message is None:
        raise KeyRefused("the other end hung up before it had proved the key")
    return message


def _split(message: bytes) -> tuple[bytes, bytes]:
    name, closed, rest = message.removeprefix(b"{").partition(b"}")
    if not (message.startswith(b"{") and closed and name in _DIGESTS):
        raise KeyRefused(f"the other end names no digest, expected one of {b', '.join(_DIGESTS).decode()}")
    return name, rest
