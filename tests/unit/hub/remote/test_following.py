"""One subscription without sockets: what it asks for after a cut, and what it tells of what is gone."""

import json
from typing import Any

import pytest

from tapehub.errors import ConfigError, HubError
from tapehub.hub.remote.following import Following, Lost

HUB = "5e" * 16


def following(kinds: tuple[str, ...] = ("tick",), start: int | str = "now") -> Following:
    return Following("http://hub", ["EUR_USD"], kinds, ["1m"], start)


def begin(one: Following, position: int = 100, *, epoch: int = 1, hub_id: str = HUB, lost: int = 0) -> Any:
    """Connect, and give what it asked for."""
    one.connected()
    assert one.take(json.dumps({"op": "hello", "hub_id": hub_id, "epoch": epoch, "oldest": 0}))
    asked = json.loads(one.request())
    granted = {"op": "subscribed", "id": 1, "position": position, "epoch": epoch, "hub_id": hub_id, "lost": lost}
    one.take(json.dumps(granted))
    return asked


def batch(one: Following, following: int, *records: Any, lost: int = 0, epoch: int = 1) -> None:
    told = {"op": "batch", "id": 1, "epoch": epoch, "next": following, "lost": lost, "records": list(records)}
    one.take(json.dumps(told))


def row(seq: int, kind: str = "tick") -> dict[str, Any]:
    return {"kind": kind, "seq": seq}


def end(minute: int, symbol: str = "EUR_USD") -> dict[str, Any]:
    return {
        "kind": "interval", "symbol": symbol, "source": "ig", "timeframe": "1m",
        "end": f"2026-06-02T12:{minute:02d}:00.000000000Z",
    }  # fmt: skip


def test_first_time_it_asks_as_it_was_asked() -> None:
    asked = begin(following(start="oldest"), 0)
    assert (asked["start"], asked["policy"], asked["symbols"]) == ("oldest", "lossless", ["EUR_USD"])
    assert "epoch" not in asked


def test_after_a_cut_it_goes_on_after_the_last_record_that_came_read_or_not() -> None:
    one = following()
    begin(one)
    batch(one, 120, row(105), row(110))
    one.items.popleft()
    assert one.position == 110
    asked = begin(one, 120)
    assert (asked["start"], asked["epoch"], asked["hub_id"]) == (120, 1, HUB)
    assert [item["seq"] for item in one.items] == [110]
    one.items.clear()
    assert one.position == 120


def test_what_is_lost_stands_where_it_was_lost() -> None:
    one = following()
    begin(one, lost=3)
    batch(one, 120, row(110), lost=5)
    begin(one, 150, lost=7)
    assert list(one.items) == [Lost(3), Lost(5), row(110), Lost(7)]


def test_another_hub_in_its_place_is_noticed_and_its_numbers_are_not_compared() -> None:
    one = following(("tick", "interval"))
    begin(one)
    batch(one, 5_000, row(4_000), end(5))
    begin(one, 10, hub_id="6f" * 16, epoch=1)
    assert one.histories == 1
    batch(one, 20, row(12), end(1))
    assert [item.get("seq", item.get("end")) for item in list(one.items)[-2:]] == [12, end(1)["end"]]


def test_new_epoch_while_connected_is_noticed() -> None:
    one = following()
    begin(one, 100)
    batch(one, 300, row(200))
    one.take(json.dumps({"op": "hub", "state": "replaced", "hub_id": HUB, "epoch": 2}))
    batch(one, 150, row(140), epoch=2)
    assert one.histories == 1
    assert json.loads(one.request())["start"] == 150
    assert json.loads(one.request())["epoch"] == 2


def test_ends_of_intervals_are_asked_for_from_further_back_and_told_once() -> None:
    one = following(("tick", "interval"))
    begin(one, 100)
    batch(one, 200_000, row(150), end(1), end(1, "GBP_USD"))
    asked = begin(one, 200_000)
    assert asked["start"] == 100_000
    batch(one, 200_100, row(150_000), end(1), row(200_050), end(2), end(2, "GBP_USD"))
    keys = [item.get("seq", item.get("end")) for item in one.items]
    assert keys == [150, end(1)["end"], end(1)["end"], 200_050, end(2)["end"], end(2)["end"]]


def test_refusal_is_raised_and_what_makes_no_sense_is_named() -> None:
    one = following()
    one.connected()
    one.take(json.dumps({"op": "hello", "hub_id": HUB, "epoch": 1, "oldest": 0}))
    problem = {"type": "urn:tapehub:invalid-request", "detail": "kinds is moon: expected others"}
    with pytest.raises(ConfigError, match="kinds is moon"):
        one.take(json.dumps({"op": "error", "id": 1, "problem": problem}))
    for text in ("no json", "[]", '{"op": "batch"}', '{"op": "subscribed"}'):
        with pytest.raises(HubError, match="cannot be read"):
            one.take(text)
    assert not one.take('{"op": "beat"}')
