"""Connections that do not come to the point: closed, and in nobody's way."""

import socket
import time
from contextlib import ExitStack

from tapehub import DataHub
from tests.models.gateway import WITHIN_S, Served, served


def connect(web: Served, said: bytes = b"") -> socket.socket:
    host, _, port = web.gateway.url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), WITHIN_S)
    made.sendall(said)
    return made


def ends(connection: socket.socket) -> bool:
    """Wait until it is closed from the other side; whatever is said before is passed over."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def ask(web: Served) -> bytes:
    host = web.gateway.url.removeprefix("http://")
    return f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def is_answered(connection: socket.socket) -> bool:
    """Take an answer to its end."""
    seen = b""
    while b'{"alive":true}' not in seen:
        part = connection.recv(4096)
        if not part:
            return False
        seen += part
    return b"200 OK" in seen


def test_who_says_nothing_or_only_part_is_closed(hub: DataHub) -> None:
    with served(hub, head_s=0.3) as web, ExitStack() as stack:
        for said in (b"", b"G", ask(web)[:-4]):
            assert ends(stack.enter_context(connect(web, said)))


def test_who_dribbles_a_second_request_is_closed(hub: DataHub) -> None:
    with served(hub, head_s=0.3) as web, connect(web, ask(web)) as connection:
        assert is_answered(connection)
        connection.sendall(b"GET /he")
        assert ends(connection)


def test_who_asks_and_waits_between_two_requests_stays(hub: DataHub) -> None:
    with served(hub, head_s=0.2) as web, connect(web) as connection:
        for _ in range(3):
            connection.sendall(ask(web))
            assert is_answered(connection)
            time.sleep(0.5)


def test_a_stream_stays(hub: DataHub) -> None:
    with served(hub, head_s=0.2) as web, web.stream() as client:
        client.subscribe(1)
        time.sleep(0.6)
        client.say(op="ping")
        client.next("pong")


def test_the_longest_silent_one_makes_room_for_the_next(hub: DataHub) -> None:
    # Twice as many connections as streams may be open at once, silent ones included: those are at most half of them.
    with served(hub, websockets_max=10, websockets_each=10) as web, ExitStack() as stack:
        silent = [stack.enter_context(connect(web)) for _ in range(40)]
        assert web.http.get("/healthz").status_code == 200
        assert all(ends(one) for one in silent[:30])
        silent[-1].sendall(ask(web))
        assert is_answered(silent[-1])
