"""Tokens, Host and Origin: each rule of the guard with the attack that it stops."""

import logging
from pathlib import Path

import pytest

from tapehub.gateway.access import KEY, Hosts, Identity, Limits, Scope, Tokens
from tests.models.asgi import HOST, request, websocket
from tests.models.door import OWN, Door, problem

EVIL = "http://evil.example"


# ---------------------------------------------------------------- tokens


def test_right_token_passes_and_the_application_learns_whose_it_is(door: Door) -> None:
    assert request(door.guard, headers=door.bearer()).status == 200
    who = door.app.scopes[0][KEY]
    assert isinstance(who, Identity)
    assert (who.name, who.scope) == ("owner", Scope.ADMIN)


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/metrics", "/readyz", "/docs", "/openapi.json", "/healthz/x"])
def test_without_a_token_nothing_but_health_is_told(door: Door, path: str) -> None:
    answer = request(door.guard, path)
    assert answer.status == 401
    assert answer.header("www-authenticate") == 'Bearer realm="tapehub"'
    assert problem(answer)["type"] == "urn:tapehub:unauthorised"
    assert door.app.served == 0
    assert request(door.guard, "/healthz").status == 200


@pytest.mark.parametrize(
    "header",
    [
        "Bearer tapehub_" + "A" * 43,
        "Bearer ",
        "Bearer",
        "Basic b3duZXI6eA==",
        "Bearer \xff\xfe",
        "Bearer undefined",
        "Bearer null",
    ],
)
def test_false_tokens_are_refused(door: Door, header: str) -> None:
    assert request(door.guard, headers={"Authorization": header}).status == 401
    assert door.app.served == 0


def test_nearly_right_tokens_are_refused(door: Door) -> None:
    for false in (door.owner[:-1], door.owner + "A", door.owner.swapcase(), door.owner.removeprefix("tapehub_")):
        assert request(door.guard, headers=door.bearer(false)).status == 401


def test_two_tokens_in_one_request_are_nobodys(door: Door) -> None:
    pairs = [("Authorization", f"Bearer {door.owner}"), ("Authorization", "Bearer tapehub_other")]
    assert request(door.guard, headers=pairs).status == 401


def test_token_in_an_address_opens_nothing_but_the_login(door: Door) -> None:
    assert request(door.guard, f"/api/v1/status?token={door.owner}").status == 401
    assert websocket(door.guard, f"/api/v1/stream?token={door.owner}").status == 401


def test_token_that_ended_or_was_revoked_is_refused(door: Door) -> None:
    made = door.tokens.new("guest", Scope.READ, days=1).reveal()
    other = door.made(Scope.READ, "other")
    assert request(door.guard, headers=door.bearer(made)).status == 200
    assert request(door.guard, headers=door.bearer(other)).status == 200
    Tokens.open(door.tokens.folder.parent).revoke("other")  # by another process
    door.clock.s += 86_400
    assert request(door.guard, headers=door.bearer(made)).status == 401
    assert request(door.guard, headers=door.bearer(other)).status == 401


def test_nobody_comes_in_once_others_could_have_read_the_tokens(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.tokens.owner_file.chmod(0o644)
    door.clock.s += 2
    with caplog.at_level(logging.ERROR):
        assert request(door.guard, headers=door.bearer()).status == 401
    assert "0644" in caplog.text
    assert door.owner not in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_read_token_changes_nothing(door: Door, method: str) -> None:
    read, publish = door.made(Scope.READ), door.made(Scope.PUBLISH)
    answer = request(door.guard, "/api/v1/ticks", door.bearer(read), method=method)
    assert answer.status == 403
    assert "may read, this needs publish" in problem(answer)["detail"]
    assert door.app.served == 0
    assert request(door.guard, "/api/v1/ticks", door.bearer(publish), method=method).status == 200


# ---------------------------------------------------------------- Host: DNS rebinding


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8765",
        "evil.example@127.0.0.1",
        "127.0.0.1:8765,evil.example",
        "192.0.2.7",
        "[::1",
        "localhost:99999",
        "",
        "0.0.0.0:8765",
    ],
)
def test_host_of_another_name_is_refused_even_with_the_token(door: Door, host: str) -> None:
    headers = {"Host": host, **door.bearer()}
    assert problem(request(door.guard, headers=headers))["type"] == "urn:tapehub:misdirected"
    assert request(door.guard, headers=headers).status == 400
    assert websocket(door.guard, headers=headers).status == 400
    assert request(door.guard, "/healthz", headers={"Host": host}).status == 400
    assert request(door.guard, f"/login?token={door.owner}", {"Host": host}).status == 400
    assert door.app.served == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765", "hub.example", "Hub.Example.:9000"]
)
def test_host_of_our_own_names_is_served(door: Door, host: str) -> None:
    assert request(door.guard, headers={"Host": host, **door.bearer()}).status == 200


def test_two_hosts_or_none_are_refused(door: Door) -> None:
    token = ("Authorization", f"Bearer {door.owner}")
    both = [("Host", HOST), ("Host", "evil.example"), token]
    assert request(door.guard, headers=both).status == 400
    scope_without = [("Host", ""), token]
    assert request(door.guard, headers=scope_without).status == 400


def test_address_the_connection_came_in_at_is_a_host(door: Door) -> None:
    headers = {"Host": "192.0.2.7:8765", **door.bearer()}
    assert request(door.guard, headers=headers, server=("192.0.2.7", 8765)).status == 200
    assert request(door.guard, headers={**headers, "Host": "192.0.2.8:8765"}, server=("192.0.2.7", 8765)).status == 400


# ---------------------------------------------------------------- Origin: cross-site requests

FOREIGN = [
    EVIL,
    "https://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "http://127.0.0.1",
    f"https://{HOST}",
    f"http://{HOST}.evil.example",
    f"http://evil@{HOST}",
    "http://localhost:8765",
    "file://",
    "chrome-extension://abcdef",
    f"http://{HOST}/path",
    f"http://{HOST} {EVIL}",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_websocket_of_another_sites_page_is_refused(door: Door, origin: str) -> None:
    cookie = door.cookie()
    for way in (cookie, door.bearer()):
        answer = websocket(door.guard, headers={"Origin": origin, **way})
        assert answer.status == 403
        assert "page of" in problem(answer)["detail"]
        assert websocket(door.guard, headers={"Origin": origin, **way}, speaks_http=False).close == 4403
    assert door.app.served == 0


@pytest.mark.parametrize("origin", FOREIGN)
def test_form_of_another_sites_page_changes_nothing(door: Door, origin: str) -> None:
    cookie = door.cookie()
    for path in ("/api/v1/ticks", "/logout", "/login"):
        assert request(door.guard, path, {"Origin": origin, **cookie}, method="POST").status == 403
    assert door.app.served == 0
    assert len(door.access.sessions) == 1


def test_cookie_without_an_origin_changes_nothing(door: Door) -> None:
    cookie = door.cookie()
    answer = request(door.guard, "/api/v1/ticks", cookie, method="POST")
    assert answer.status == 403
    assert "without an Origin" in problem(answer)["detail"]
    assert websocket(door.guard, headers=cookie).status == 403
    assert request(door.guard, "/api/v1/ticks", {"Origin": OWN, **cookie}, method="POST").status == 200


def test_own_page_may_do_what_its_user_may(door: Door) -> None:
    cookie = door.cookie()
    assert request(door.guard, headers=cookie).status == 200
    assert websocket(door.guard, headers={"Origin": OWN, **cookie}).status == 101


def test_program_without_an_origin_comes_in_by_its_token(door: Door) -> None:
    assert request(door.guard, "/api/v1/ticks", door.bearer(), method="POST").status == 200
    assert websocket(door.guard, headers=door.bearer()).status == 101


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_cannot_read_with_the_users_cookie(door: Door, site: str) -> None:
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script", **door.cookie()}
    assert request(door.guard, headers=asked).status == 403
    followed = {**asked, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert request(door.guard, "/", headers=followed).status == 200


def test_configured_origin_may_use_the_api(tmp_path: Path) -> None:
    door = Door(tmp_path, Limits(), Hosts(["hub.example"], ["https://desk.example:8443"]))
    headers = {"Host": "hub.example", "Origin": "https://desk.example:8443", **door.bearer()}
    assert websocket(door.guard, headers=headers).status == 101
    assert websocket(door.guard, headers={**headers, "Origin": "https://desk.example"}).status == 403
