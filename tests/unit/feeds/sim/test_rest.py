"""IG's REST API without sockets: logging in, errors and their statuses, allowances, markets, history."""

import json
from typing import Any

import pytest

from tapehub.feeds.sim import ManualClock, Reply, Request, Rest, Settings, Venue, fault_from
from tests.models.venue import EUR, KEY, MONDAY, Ticks, login, rising, source


class Api:
    """The API, with a clock that is moved by hand."""

    def __init__(self, ticks: Ticks | None = None, at_s: float = 60, **settings: Any) -> None:
        self.clock = ManualClock(MONDAY + round(at_s * 1e9))
        self.venue = Venue(source(ticks), self.clock, Settings(**settings), steady=self.clock)
        self.rest = Rest(self.venue)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: object = None, version: int = 1
    ) -> Reply:
        self.venue.advance()
        path, _, query = path.partition("?")
        given = {**KEY, "VERSION": str(version), **(headers or {})}
        text = b"" if body is None else json.dumps(body).encode()
        return self.rest.handle(Request(method, f"/gateway/deal{path}", query, given, text))

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.venue.advance()


def refused(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body["errorCode"]


CREDENTIALS = {"identifier": "demo", "password": "demo"}


def test_a_login_of_version_2_gives_its_tokens_in_headers() -> None:
    api = Api()
    reply = api.ask("POST", "/session", body=CREDENTIALS, version=2)
    assert reply.status == 200
    assert set(reply.headers) == {"CST", "X-SECURITY-TOKEN"}
    assert reply.body["currentAccountId"] == "SIM01"
    assert api.ask("GET", "/session", reply.headers).body["accountId"] == "SIM01"
    assert api.ask("DELETE", "/session", reply.headers).status == 204
    assert refused(api.ask("GET", "/session", reply.headers)) == (401, "error.security.client-token-invalid")
    assert api.venue.journal.logins == 1


def test_a_delete_may_be_a_post_that_says_so() -> None:
    api = Api()
    headers = login(api.rest)
    assert api.ask("POST", "/session", {**headers, "_method": "DELETE"}, {}).status == 204
    assert api.venue.journal.counts["logout"] == 1


def test_oauth_tokens_live_a_minute_and_are_exchanged() -> None:
    api = Api()
    first = api.ask("POST", "/session", body=CREDENTIALS, version=3).body["oauthToken"]
    assert first["expires_in"] == "60"
    bearer = {"Authorization": f"Bearer {first['access_token']}", "IG-ACCOUNT-ID": "SIM01"}
    assert api.ask("GET", "/accounts", bearer).status == 200
    api.after(61)
    assert refused(api.ask("GET", "/accounts", bearer)) == (401, "error.security.oauth-token-invalid")
    second = api.ask("POST", "/session/refresh-token", body={"refresh_token": first["refresh_token"]})
    assert set(second.body) == set(first)
    bearer["Authorization"] = f"Bearer {second.body['access_token']}"
    assert api.ask("GET", "/accounts", bearer).status == 200
    again = api.ask("POST", "/session/refresh-token", body={"refresh_token": first["refresh_token"]})
    assert refused(again) == (401, "error.security.oauth-token-invalid")


def test_streaming_tokens_are_fetched_with_an_oauth_login() -> None:
    api = Api()
    bearer = login(api.rest, 3)
    plain, tokens = (api.ask("GET", f"/session?fetchSessionTokens={flag}", bearer) for flag in ("false", "true"))
    assert not plain.headers
    password = f"CST-{tokens.headers['CST']}|XST-{tokens.headers['X-SECURITY-TOKEN']}"
    assert api.venue.tokens.streams("SIM01", password)


def test_tokens_live_as_long_as_they_are_used() -> None:
    api = Api(token_life_s=3600)
    headers = login(api.rest)
    for _ in range(3):
        api.after(3000)
        assert api.ask("GET", "/session", headers).status == 200
    api.after(3601)
    assert refused(api.ask("GET", "/session", headers)) == (401, "error.security.client-token-invalid")


def test_a_change_of_account_gives_a_new_account_token() -> None:
    api = Api()
    headers = login(api.rest)
    reply = api.ask("PUT", "/session", headers, {"accountId": "SIM02", "defaultAccount": False})
    assert set(reply.headers) == {"X-SECURITY-TOKEN"}
    assert refused(api.ask("GET", "/session", headers)) == (401, "error.security.client-token-invalid")
    assert api.ask("GET", "/session", headers | reply.headers).body["accountId"] == "SIM02"
    same = api.ask("PUT", "/session", headers | reply.headers, {"accountId": "SIM02"})
    assert refused(same) == (412, "error.switch.accountId-must-be-different")


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"X-IG-API-KEY": ""}, (400, "error.security.api-key-missing")),
        ({"X-IG-API-KEY": "other"}, (403, "error.security.api-key-invalid")),
        ({}, (401, "error.security.client-token-missing")),
        ({"CST": "x"}, (401, "error.security.account-token-missing")),
        ({"CST": "x", "X-SECURITY-TOKEN": "y"}, (401, "error.security.client-token-invalid")),
        ({"Authorization": "Bearer x", "IG-ACCOUNT-ID": "SIM01"}, (401, "error.security.oauth-token-invalid")),
    ],
)
def test_nobody_is_let_in_without_key_and_tokens(headers: dict[str, str], answer: tuple[int, str]) -> None:
    assert refused(Api().ask("GET", "/accounts", headers)) == answer


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"identifier": "demo", "password": "wrong"}, (401, "error.security.invalid-details")),
        ({"identifier": "demo"}, (401, "error.public-api.failure.missing.credentials")),
        ([], (400, "invalid.input")),
    ],
)
def test_a_bad_login_is_refused(body: object, answer: tuple[int, str]) -> None:
    assert refused(Api().ask("POST", "/session", body=body, version=2)) == answer


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("error.security.invalid-details", 401),
        ("error.public-api.failure.encryption.required", 400),
        ("error.security.account-suspended", 401),
        ("error.public-api.failure.kyc.required", 401),
        ("error.security.api-key-disabled", 403),
        ("error.public-api.exceeded-api-key-allowance", 403),
    ],
)
def test_a_script_refuses_the_login_with(code: str, status: int) -> None:
    api = Api()
    api.venue.inject(fault_from({"kind": "refuse_login", "code": code, "count": 1}))
    assert refused(api.ask("POST", "/session", body=CREDENTIALS, version=2)) == (status, code)
    assert api.ask("POST", "/session", body=CREDENTIALS, version=2).status == 200


def test_a_plain_password_is_refused_where_it_must_be_encrypted() -> None:
    api = Api(encryption_required=True)
    reply = api.ask("POST", "/session", body=CREDENTIALS, version=2)
    assert refused(reply) == (400, "error.public-api.failure.encryption.required")


def test_allowances_are_counted_over_a_minute() -> None:
    api = Api(allowance_account=3, allowance_application=6)
    headers = login(api.rest)
    assert [api.ask("GET", "/accounts", headers).status for _ in range(4)] == [200, 200, 200, 403]
    assert refused(api.ask("GET", "/accounts", headers)) == (403, "error.public-api.exceeded-account-allowance")
    assert refused(api.ask("GET", "/accounts", headers)) == (403, "error.public-api.exceeded-api-key-allowance")
    api.after(61)
    assert api.ask("GET", "/accounts", headers).status == 200


def test_trading_has_an_allowance_of_its_own() -> None:
    api = Api(allowance_trading=1)
    headers = login(api.rest)
    assert api.ask("GET", "/positions", headers, version=2).body == {"positions": []}
    reply = api.ask("GET", "/positions", headers, version=2)
    assert refused(reply) == (403, "error.public-api.exceeded-account-trading-allowance")
    assert api.ask("GET", "/accounts", headers).status == 200


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("api-key", "/accounts"),
        ("account", "/accounts"),
        ("account-trading", "/positions"),
        ("account-historical-data", f"/prices/{EUR}"),
    ],
)
def test_a_script_exhausts_each_allowance(name: str, path: str) -> None:
    api = Api()
    headers = login(api.rest)
    api.venue.inject(fault_from({"kind": "allowance", "code": name, "for": "60s"}))
    code = f"error.public-api.exceeded-{name}-allowance"
    assert refused(api.ask("GET", path, headers, version=3)) == (403, code)
    api.after(60)
    assert api.ask("GET", path, headers, version=3).status == 200


def test_prices_come_in_pages_and_cost_their_points() -> None:
    api = Api(rising(600), at_s=599)
    headers = login(api.rest)

    def page(query: str) -> dict[str, Any]:
        reply = api.ask("GET", f"/prices/{EUR}?{query}", headers, version=3)
        assert reply.status == 200, reply
        return dict(reply.body)

    whole = page("resolution=MINUTE&max=5&pageSize=0")
    assert [row["snapshotTimeUTC"][11:] for row in whole["prices"]] == [f"12:0{i}:00" for i in range(5, 10)]
    assert whole["prices"][0]["openPrice"] == {"bid": 1.13, "ask": 1.13006, "lastTraded": None}
    assert whole["prices"][0]["highPrice"]["bid"] == 1.1359
    assert whole["prices"][0]["lastTradedVolume"] == 60
    assert whole["metadata"]["allowance"]["remainingAllowance"] == 9_995
    pages = [page(f"resolution=MINUTE&max=5&pageSize=2&pageNumber={i}") for i in (1, 2, 3)]
    assert [row for one in pages for row in one["prices"]] == whole["prices"]
    assert pages[-1]["metadata"]["pageData"] == {"pageSize": 2, "pageNumber": 3, "totalPages": 3}
    assert pages[-1]["metadata"]["allowance"]["remainingAllowance"] == 9_990
    span = page("resolution=MINUTE&from=2026-06-01T12:01:30&to=2026-06-01T12:03:00&pageSize=0")
    assert [row["snapshotTimeUTC"][11:] for row in span["prices"]] == ["12:02:00", "12:03:00"]
    assert page("resolution=MINUTE&from=2020-01-01T00:00:00&to=2020-01-02T00:00:00")["prices"] == []


def test_the_historical_allowance_runs_out_and_comes_back() -> None:
    api = Api(rising(600), at_s=599, history_points=7, history_expiry_s=1000)
    headers = login(api.rest)
    query = f"/prices/{EUR}?resolution=MINUTE&max=5&pageSize=0"
    assert api.ask("GET", query, headers, version=3).body["metadata"]["allowance"] == {
        "remainingAllowance": 2,
        "totalAllowance": 7,
        "allowanceExpiry": 1000,
    }
    answer = (403, "error.public-api.exceeded-account-historical-data-allowance")
    assert refused(api.ask("GET", query, headers, version=3)) == answer
    api.after(1001)
    assert api.ask("GET", query, headers, version=3).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("resolution=FORTNIGHT", "error.invalid.resolution"),
        ("from=yesterday", "error.request.invalid.date-range"),
        ("from=2026-06-01T12:00:00&to=2026-06-01T11:00:00", "error.request.invalid.date-range"),
    ],
)
def test_a_bad_range_is_refused(query: str, code: str) -> None:
    api = Api()
    assert refused(api.ask("GET", f"/prices/{EUR}?{query}", login(api.rest), version=3)) == (400, code)


def test_a_bet_is_quoted_in_points_and_a_cfd_as_the_market_does() -> None:
    api = Api()
    headers = login(api.rest)
    snapshots = [
        api.ask("GET", f"/markets/CS.D.EURUSD.{kind}.IP", headers, version=3).body["snapshot"]
        for kind in ("CFD", "MINI", "TODAY")
    ]
    assert [(row["bid"], row["scalingFactor"]) for row in snapshots] == [
        (1.106, 10000),
        (1.106, 10000),
        (11060.0, 10000),
    ]
    assert [row["marketStatus"] for row in snapshots] == ["TRADEABLE"] * 3


def test_several_markets_at_once_and_no_more_than_fifty() -> None:
    api = Api()
    headers = login(api.rest)
    reply = api.ask("GET", f"/markets?epics={EUR},CS.D.EURUSD.MINI.IP&filter=SNAPSHOT_ONLY", headers, version=2)
    assert [row["instrument"]["epic"] for row in reply.body["marketDetails"]] == [EUR, "CS.D.EURUSD.MINI.IP"]
    assert reply.body["marketDetails"][0]["dealingRules"] is None
    assert api.ask("GET", "/markets?epics=" + ",".join([EUR] * 51), headers, version=2).status == 400


def test_markets_are_found_by_name() -> None:
    api = Api()
    headers = login(api.rest)
    found = api.ask("GET", "/markets?searchTerm=eur/usd", headers).body["markets"]
    assert EUR in [row["epic"] for row in found]
    assert api.ask("GET", "/markets?searchTerm=gold", headers).body["markets"] == []


def test_markets_are_found_in_the_tree() -> None:
    api = Api()
    headers = login(api.rest)
    nodes = api.ask("GET", "/marketnavigation", headers).body["nodes"]
    inside = api.ask("GET", f"/marketnavigation/{nodes[0]['id']}", headers).body["markets"]
    assert EUR in [row["epic"] for row in inside]
    assert api.ask("GET", "/marketnavigation/9", headers).status == 404


def test_watchlists_are_made_changed_and_removed() -> None:
    api = Api()
    headers = login(api.rest)
    name = api.ask("POST", "/watchlists", headers, {"name": "mine", "epics": [EUR]}).body["watchlistId"]
    api.ask("PUT", f"/watchlists/{name}", headers, {"epic": "CS.D.EURUSD.MINI.IP"})
    api.ask("DELETE", f"/watchlists/{name}/{EUR}", headers)
    rows = api.ask("GET", f"/watchlists/{name}", headers).body["markets"]
    assert [row["epic"] for row in rows] == ["CS.D.EURUSD.MINI.IP"]
    assert api.ask("DELETE", f"/watchlists/{name}", headers).body == {"status": "SUCCESS"}
    assert api.ask("GET", f"/watchlists/{name}", headers).status == 404
    assert api.ask("DELETE", "/watchlists/Popular%20Markets", headers).status == 400


def test_what_is_not_there_is_not_found() -> None:
    api = Api()
    headers = login(api.rest)
    assert api.ask("GET", "/markets/CS.D.NOSUCH.CFD.IP", headers, version=3).status == 404
    assert api.ask("GET", "/nowhere", headers).status == 404
    assert api.ask("GET", f"/prices/{EUR}", headers, version=1).status == 404


def test_a_script_breaks_what_it_names() -> None:
    api = Api()
    headers = login(api.rest)
    api.venue.inject(
        fault_from({"kind": "rest_error", "item": "/prices/*", "status": 500, "code": "error.price-history.io-error"})
    )
    assert refused(api.ask("GET", f"/prices/{EUR}", headers, version=3)) == (500, "error.price-history.io-error")
    assert api.ask("GET", "/accounts", headers).status == 200


def test_in_maintenance_nothing_answers_and_tokens_are_gone_after_it() -> None:
    api = Api()
    headers = login(api.rest)
    api.venue.inject(fault_from({"kind": "maintenance", "for": "1h"}))
    assert api.ask("GET", "/accounts", headers).status == 503
    assert api.ask("POST", "/session", body=CREDENTIALS, version=2).status == 503
    api.after(3600)
    assert refused(api.ask("GET", "/accounts", headers)) == (401, "error.security.client-token-invalid")
    assert api.ask("POST", "/session", body=CREDENTIALS, version=2).status == 200
