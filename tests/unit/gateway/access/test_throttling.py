"""Guessing, flooding, oversized bodies, and what every answer tells the browser."""

import logging
import re
from pathlib import Path

import pytest

from tapehub.gateway.access import Hosts, Limits, Scope
from tapehub.gateway.access.throttle import Buckets
from tapehub.hub.secret import Secret
from tests.models.asgi import request
from tests.models.door import Door, problem

# ---------------------------------------------------------------- throttling


def test_guessing_is_stopped_also_for_the_right_guess(door: Door) -> None:
    guesser = ("203.0.113.9", 1)
    statuses = [
        request(door.guard, headers=door.bearer(f"tapehub_{number:043d}"), client=guesser).status
        for number in range(15)
    ]
    assert statuses == [401] * 10 + [429] * 5
    stopped = request(door.guard, headers=door.bearer(), client=guesser)
    assert stopped.status == 429
    assert 1 <= int(stopped.header("retry-after")) <= 6
    assert request(door.guard, f"/login?token={door.owner}", client=guesser).status == 429
    door.clock.s += 5
    assert request(door.guard, headers=door.bearer(), client=guesser).status == 200


def test_others_are_not_locked_out_by_a_guesser(door: Door) -> None:
    agent, cookie = door.made(Scope.READ, "agent"), door.cookie()
    assert request(door.guard, headers=door.bearer(agent)).status == 200
    for number in range(30):
        request(door.guard, headers=door.bearer(f"tapehub_{number:043d}"))
    assert request(door.guard, headers=door.bearer(agent)).status == 200  # from the same address, known before
    assert request(door.guard, headers=cookie).status == 200
    assert request(door.guard, headers=door.bearer(), client=("203.0.113.7", 1)).status == 200


def test_a_revoked_token_does_not_stay_known(door: Door) -> None:
    agent = door.made(Scope.READ, "agent")
    assert request(door.guard, headers=door.bearer(agent)).status == 200
    door.tokens.revoke("agent")
    statuses = [request(door.guard, headers=door.bearer(agent)).status for _ in range(15)]
    assert statuses == [401] * 10 + [429] * 5


def test_an_ipv6_guesser_cannot_change_its_address_within_its_network(door: Door) -> None:
    statuses = [
        request(door.guard, headers=door.bearer(f"tapehub_{n:043d}"), client=(f"2001:db8::{n:x}", 1)).status
        for n in range(1, 16)
    ]
    assert statuses == [401] * 10 + [429] * 5


def test_table_of_addresses_is_bounded_and_forgets_the_one_used_longest_ago(door: Door) -> None:
    for number in range(5000):
        door.access.check(Secret("tapehub_x"), f"10.{number >> 8}.{number & 255}.1")
        door.access.meter(None, f"10.{number >> 8}.{number & 255}.1")
    assert len(door.access._failures) == len(door.access._unknown) == 4096
    buckets = Buckets(1.0, 1.0, keys_max=2, clock=door.clock)
    assert [buckets.take(key) for key in ("a", "b", "a", "c", "a", "b")] == [0, 0, 1, 0, 0, 0]


def test_requests_faster_than_the_limit_wait_each_for_their_own(tmp_path: Path) -> None:
    door = Door(tmp_path, Limits(requests_per_second=1, requests_burst=3, unknown_burst=2), Hosts())
    agent = door.made(Scope.READ, "agent")
    assert [request(door.guard, headers=door.bearer(agent)).status for _ in range(5)] == [200] * 3 + [429] * 2
    assert request(door.guard, headers=door.bearer()).status == 200
    door.clock.s += 1
    assert request(door.guard, headers=door.bearer(agent)).status == 200
    unknown = [request(door.guard, client=("203.0.113.9", 1)).status for _ in range(4)]
    assert unknown == [401, 401, 429, 429]
    assert [request(door.guard, "/healthz", client=("203.0.113.9", 1)).status for _ in range(9)] == [200] * 9


def test_false_tokens_do_not_fill_the_log_and_are_never_in_it(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for number in range(1000):
            request(door.guard, headers=door.bearer(f"tapehub_{number:043d}"), client=(f"10.0.{number % 200}.1", 1))
    said = [record for record in caplog.records if record.name.startswith("tapehub")]
    assert 0 < len(said) < 15
    assert "tapehub_0" not in caplog.text


# ---------------------------------------------------------------- sizes


def test_body_over_the_limit_is_refused_told_or_not(door: Door) -> None:
    headers = {**door.bearer(), "Content-Length": "1001"}
    assert problem(request(door.guard, "/api/v1/ticks", headers, method="POST", body=b"x" * 1001))["status"] == 413
    assert door.app.served == 0
    parts = request(door.guard, "/api/v1/ticks", door.bearer(), method="POST", body=[b"x" * 400] * 3)
    assert problem(parts)["status"] == 413
    assert door.app.bodies == []
    for length in ("-5", "1e9", "１"):
        lying = {**door.bearer(), "Content-Length": length.encode().decode("latin-1")}
        assert request(door.guard, "/api/v1/ticks", lying, method="POST").status == 413
    assert request(door.guard, "/api/v1/ticks", door.bearer(), method="POST", body=[b"x" * 500] * 2).status == 200


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize(
    "path", ["/", "/login", "/login.css", "/healthz", "/api/v1/status", "/nothing", "/static/a.js"]
)
def test_every_response_is_protected(door: Door, path: str) -> None:
    for headers in ({}, door.bearer()):
        answer = request(door.guard, path, headers)
        policy = answer.header("content-security-policy")
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "object-src 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "http" not in policy
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("cross-origin-resource-policy") == "same-origin"
        assert answer.header("server") == ""
        if not path.startswith("/static/") or answer.status != 200:
            assert answer.header("cache-control") == "no-store"
        assert answer.header("access-control-allow-origin") == ""


def test_login_form_holds_no_script_no_style_and_no_foreign_text(door: Door) -> None:
    answer = request(door.guard, "/login?token=<script>alert(1)</script>")
    assert answer.status == 401
    assert b"<script" not in answer.body
    assert b"style=" not in answer.body
    assert not re.search(rb"<[^>]*\son\w+\s*=", answer.body)
