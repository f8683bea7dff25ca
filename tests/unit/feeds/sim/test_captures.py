"""The simulator's replies have the keys, and kinds of values, of IG's captured ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapehub.feeds.sim import ManualClock, Request, Rest, Venue
from tests.models.venue import EUR, KEY, MONDAY, login, rising, source

MINI = "CS.D.EURUSD.MINI.IP"
CASES = [
    ("igmarkets/markets_CS.D.EURUSD.MINI.IP.json", f"/markets/{MINI}", 3),
    ("igmarkets/markets_CS.D.EURUSD.CFD.IP+CS.D.EURUSD.MINI.IP.json", f"/markets?epics={EUR},{MINI}", 2),
    ("igmarkets/markets_CS.D.EURUSD.CFD.IP_(snapshot_only).json", f"/markets?epics={EUR}&filter=SNAPSHOT_ONLY", 2),
    ("igmarkets/prices_CS.D.EURUSD.MINI.IP.json", f"/prices/{MINI}", 3),
    ("trading-ig/historic_prices_v2.json", f"/prices/{EUR}/MINUTE/5", 2),
    ("igmarkets/accounts.json", "/accounts", 1),
    ("igmarkets/clientapplications.json", "/operations/application", 1),
    ("igmarkets/watchlists.json", "/watchlists", 1),
    ("igmarkets/watchlist_PopularMarkets.json", "/watchlists/Popular%20Markets", 1),
    ("igmarkets/marketnavigation.json", "/marketnavigation", 1),
    ("igmarkets/positions_emptyresult.json", "/positions", 2),
    ("trading-ig/session.json", "/session", 1),
]


@pytest.fixture(scope="module")
def rest() -> Rest:
    clock = ManualClock(MONDAY)
    venue = Venue(source(rising(600)), clock, steady=clock)
    clock.advance(300)
    venue.advance()
    return Rest(venue)


def shape(value: Any) -> Any:
    """Reduce a value to its keys and kinds; of a list the kinds of its rows, of a number only that it is one."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(row) for row in value[:1]]
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def compare(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """List the differences; what IG left null may be anything of ours, and the other way round."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing, more = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
        found = [f"{place}: lacks {missing}"] * bool(missing) + [f"{place}: has also {more}"] * bool(more)
        return found + [
            row for key in ours.keys() & theirs.keys() for row in compare(ours[key], theirs[key], f"{place}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        return compare(ours[0], theirs[0], f"{place}[]") if ours and theirs else []
    return [] if ours == theirs or "NoneType" in (ours, theirs) else [f"{place}: {ours}, captured {theirs}"]


def captured(shared_data: Path, name: str) -> Any:
    return json.loads((shared_data / "ig" / name).read_text(encoding="utf-8-sig"))


@pytest.mark.parametrize(("name", "path", "version"), CASES, ids=[case[1] for case in CASES])
def test_a_reply_is_shaped_as_captured(shared_data: Path, rest: Rest, name: str, path: str, version: int) -> None:
    path, _, query = path.partition("?")
    headers = {**login(rest), "VERSION": str(version)}
    reply = rest.handle(Request("GET", f"/gateway/deal{path}", query, headers))
    assert reply.status == 200, reply
    assert compare(shape(reply.body), shape(captured(shared_data, name))) == []


def test_a_login_is_shaped_as_captured(shared_data: Path, rest: Rest) -> None:
    body = b'{"identifier": "demo", "password": "demo"}'
    reply = rest.handle(Request("POST", "/gateway/deal/session", headers={**KEY, "VERSION": "2"}, body=body))
    assert compare(shape(reply.body), shape(captured(shared_data, "trading-ig/accounts.json"))) == []


def test_a_change_of_account_is_shaped_as_captured(shared_data: Path, rest: Rest) -> None:
    body = b'{"accountId": "SIM02", "defaultAccount": false}'
    reply = rest.handle(Request("PUT", "/gateway/deal/session", headers=login(rest), body=body))
    assert compare(shape(reply.body), shape(captured(shared_data, "trading-ig/switch.json"))) == []
