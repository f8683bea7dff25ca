"""Browsers that log in, and WebSockets that stay open."""

import threading
from pathlib import Path

from tapehub.gateway.access import Hosts, Limits, Scope, Sessions, Tokens
from tapehub.gateway.access.credentials import PROTOCOL
from tests.models.asgi import request, websocket
from tests.models.door import OWN, Door

# ---------------------------------------------------------------- sessions


def test_login_link_sets_a_cookie_no_script_can_read_and_leads_away_from_the_token(door: Door) -> None:
    answer = request(door.guard, f"/login?token={door.owner}")
    assert (answer.status, answer.header("location")) == (303, "/")
    name, *rules = answer.header("set-cookie").split("; ")
    assert rules == ["Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Strict"]
    assert name.startswith("tapehub-8765=")
    assert door.owner not in str(answer)
    assert answer.header("cache-control") == "no-store"
    assert answer.header("referrer-policy") == "no-referrer"


def test_cookie_under_tls_is_bound_to_the_host_and_secure(door: Door) -> None:
    answer = request(door.guard, f"/login?token={door.owner}", scheme="https")
    assert answer.header("set-cookie").startswith("__Host-tapehub-8765=")
    assert "; Secure" in answer.header("set-cookie")
    assert "Domain" not in answer.header("set-cookie")


def test_form_logs_in_and_a_false_token_does_not(door: Door) -> None:
    origin = {"Origin": OWN}
    form = f"token={door.owner}".encode()
    assert request(door.guard, "/login", origin, method="POST", body=form).status == 303
    false = request(door.guard, "/login", origin, method="POST", body=b"token=tapehub_false")
    assert false.status == 401
    assert false.header("set-cookie") == ""
    for query in ("token=a&token=b", "token=%ff\xff", "&".join(f"a{n}=1" for n in range(20)), "other=1"):
        assert request(door.guard, f"/login?{query}").status == 400
    for body in (b"", b"token=a&token=b", b"token=" + b"x" * 5000, b"\xff\xfe", [b"x" * 3000, b"y" * 3000]):
        assert request(door.guard, "/login", origin, method="POST", body=body).status == 400


def test_each_login_has_a_cookie_of_its_own_that_is_not_the_token(door: Door) -> None:
    one, other = door.cookie()["Cookie"], door.cookie()["Cookie"]
    assert one != other
    assert len(one.partition("=")[2]) == 43
    assert door.owner[8:20] not in one


def test_session_ends_by_time_logout_and_revocation(door: Door) -> None:
    first, second = door.cookie(), door.cookie()
    guest = door.cookie(door.made(Scope.READ, "guest"))
    assert request(door.guard, "/logout", {"Origin": OWN, **first}, method="POST").status == 303
    assert request(door.guard, headers=first).status == 401
    assert request(door.guard, headers=guest).status == 200
    door.tokens.revoke("guest")
    assert request(door.guard, headers=guest).status == 401
    door.made(Scope.READ, "guest")  # of the same name, and yet another token
    assert request(door.guard, headers=guest).status == 401
    assert request(door.guard, headers=second).status == 200
    door.clock.s += 3600
    assert request(door.guard, headers=second).status == 401


def test_session_reaches_as_far_as_its_token(door: Door) -> None:
    cookie = door.cookie(door.made(Scope.READ, "guest"))
    assert request(door.guard, "/api/v1/clear", {"Origin": OWN, **cookie}, method="POST").status == 403


def test_sessions_are_bounded_and_survive_a_restart_without_being_readable(door: Door) -> None:
    cookies = [door.cookie() for _ in range(6)]
    assert len(door.access.sessions) == 4
    assert [request(door.guard, headers=one).status for one in cookies] == [401, 401, 200, 200, 200, 200]
    text = (door.tokens.folder / "sessions.json").read_text()
    assert all(one["Cookie"].partition("=")[2] not in text for one in cookies)
    again = Sessions(door.tokens, now_ns=door.clock.now_ns)
    assert again.find(cookies[-1]["Cookie"].partition("=")[2]) is not None


def test_two_gateways_of_a_hub_keep_each_others_sessions_and_ends(door: Door) -> None:
    other = Sessions(door.tokens, now_ns=door.clock.now_ns)
    owner = door.tokens.find(door.owner)
    assert owner is not None
    theirs = other.open(owner)
    ours = door.access.sessions.open(owner)
    for sessions in (other, door.access.sessions, Sessions(door.tokens, now_ns=door.clock.now_ns)):
        sessions.refresh()
        assert sessions.find(theirs) is not None
        assert sessions.find(ours) is not None
    found = other.find(ours)
    assert found is not None
    other.close(found.session)
    door.clock.s += 2
    assert request(door.guard, headers={"Cookie": f"tapehub-8765={ours}"}).status == 401
    assert request(door.guard, headers={"Cookie": f"tapehub-8765={theirs}"}).status == 200


def test_forged_cookie_is_nobodys_and_locks_nobody_out(door: Door) -> None:
    right = door.cookie()
    for forged in ("x", "A" * 43, "A" * 5000, '"; DROP', "a=b=c"):
        assert request(door.guard, headers={"Cookie": f"tapehub-8765={forged}"}).status == 401
    assert request(door.guard, headers=right).status == 200
    assert request(door.guard, headers=door.bearer()).status == 200


def test_browser_without_a_session_is_shown_the_form(door: Door) -> None:
    answer = request(door.guard, "/", {"Accept": "text/html,application/xhtml+xml"})
    assert answer.status == 401
    assert b'<form method="post" action="/login">' in answer.body
    assert request(door.guard, "/login").status == 200
    assert request(door.guard, "/login.css").header("content-type").startswith("text/css")


# ---------------------------------------------------------------- WebSockets


def test_websocket_without_a_token_is_refused_before_it_is_accepted(door: Door) -> None:
    assert websocket(door.guard).status == 401
    refused = websocket(door.guard, speaks_http=False)
    assert (refused.status, refused.close, refused.sent) == (0, 4401, [])
    assert door.app.served == 0


def test_token_as_sub_protocol_is_taken_out_before_anything_sees_it(door: Door) -> None:
    offered = [PROTOCOL, f"tapehub.token.{door.owner}"]
    headers = {"Origin": OWN, "Sec-WebSocket-Protocol": ", ".join(offered)}
    answer = websocket(door.guard, headers=headers, subprotocols=offered)
    assert (answer.status, answer.subprotocol) == (101, PROTOCOL)
    assert door.owner not in str(door.app.scopes[0])
    assert websocket(door.guard, subprotocols=[PROTOCOL, "tapehub.token.false"]).status == 401


def test_open_websocket_is_closed_when_its_token_is_revoked(door: Door) -> None:
    guest = door.made(Scope.READ, "guest")

    def revoke() -> None:
        Tokens.open(door.tokens.folder.parent).revoke("guest")
        door.clock.s += 2

    door.app.between = revoke
    answer = websocket(door.guard, headers=door.bearer(guest))
    assert [one["text"] for one in answer.sent] == ["one"]
    assert answer.close == 4401


def test_websockets_are_bounded_in_all_and_for_each_token(tmp_path: Path) -> None:
    door = Door(tmp_path, Limits(websockets_max=3, websockets_each=2), Hosts())
    guest = door.made(Scope.READ, "guest")
    seen: list[int] = []

    def open_another() -> None:
        door.app.between = lambda: None
        for token in (guest, guest, None):
            seen.append(0)
            inner(token)

    # Sockets stay open as long as the one that opened them is served.
    def inner(token: str | None) -> None:
        def run() -> None:
            seen[-1] = websocket(door.guard, headers=door.bearer(token)).status

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    door.guard._sockets[door.tokens.find(guest).digest] = 2  # type: ignore[union-attr]
    door.app.between = open_another
    assert websocket(door.guard, headers=door.bearer()).status == 101
    assert seen == [429, 429, 429]
    assert door.guard.sockets == 2
    door.guard._sockets.clear()
    assert websocket(door.guard, headers=door.bearer(guest)).status == 101
    assert door.guard.sockets == 0
