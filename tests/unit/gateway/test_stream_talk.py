"""The stream as a conversation: greetings, refusals, limits, farewells."""

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tapehub import DataHub
from tests.models.gateway import Client, Served, served
from tests.models.market import EUR, quotes, tick


def test_hello_and_beats_tell_who_and_when(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        assert client.hello["hub_id"] == hub.hub_id
        assert client.hello["head"] == hub.head
        assert client.hello["protocol"] == 1
        beat = client.next("beat")
        assert beat["hub"] == "unserved"
        assert beat["head"] == hub.head


def test_unsubscribed_is_the_last_word_of_a_subscription(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(7, kinds=["tick"], policy="lossless")
        for n in range(50):
            hub.update_tick(tick(n))
        client.say(op="unsubscribe", id=7)
        client.next("unsubscribed")
        hub.update_tick(tick(100))
        client.say(op="ping", data=[1, None])
        assert client.next("pong")["data"] == [1, None]
        after = client.messages[[one["op"] for one in client.messages].index("unsubscribed") :]
        assert not [one for one in after if one["op"] == "batch"]
        client.subscribe(7, kinds=["note"])


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"op": "subscribe"}, "id"),
        ({"op": "subscribe", "id": -1}, "id"),
        ({"op": "subscribe", "id": True}, "id"),
        ({"op": "subscribe", "id": 1, "kinds": ["candles"]}, "kinds"),
        ({"op": "subscribe", "id": 1, "kinds": []}, "kinds"),
        ({"op": "subscribe", "id": 1, "kinds": "tick"}, "kinds"),
        ({"op": "subscribe", "id": 1, "kinds": ["interval"]}, "kinds"),
        ({"op": "subscribe", "id": 1, "symbols": [1]}, "symbols"),
        ({"op": "subscribe", "id": 1, "symbols": ["EUR_USD"] * 1001}, "symbols"),
        ({"op": "subscribe", "id": 1, "policy": "fast"}, "policy"),
        ({"op": "subscribe", "id": 1, "rate_hz": 51}, "rate_hz"),
        ({"op": "subscribe", "id": 1, "rate_hz": "10"}, "rate_hz"),
        ({"op": "subscribe", "id": 1, "snapshot": 1}, "snapshot"),
        ({"op": "subscribe", "id": 1, "start": -1, "policy": "lossless"}, "start"),
        ({"op": "subscribe", "id": 1, "start": 5}, "start"),
        ({"op": "subscribe", "id": 1, "epoch": "1", "start": 5, "policy": "lossless"}, "epoch"),
        ({"op": "subscribe", "id": 1, "speed": 5}, "field"),
        ({"op": "unsubscribe", "id": 9}, "id"),
        ({"op": "dance"}, "op"),
        ([], "message"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_the_connection_goes_on(shared: Client, message: Any, where: str) -> None:
    shared.socket.send(json.dumps(message))
    error = shared.next("error")
    assert error["problem"]["where"] == where
    assert error["problem"]["status"] == 422
    assert {"value", "expected", "remedy", "detail"} <= error["problem"].keys()
    shared.say(op="ping")
    shared.next("pong")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("shared") / "hub"
    with DataHub.open(place, create=True) as hub, served(hub) as web, web.stream() as client:
        yield client


def test_a_timeframe_that_is_none_and_a_symbol_that_cannot_be_are_refused(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        problem = client.refused(op="subscribe", id=1, timeframes=["7m"])
        assert problem["type"] == "urn:tapehub:unknown-timeframe"
        problem = client.refused(op="subscribe", id=1, symbols=["x" * 40])
        assert problem["type"] == "urn:tapehub:invalid-record"


def test_a_client_that_talks_nonsense_is_closed(hub: DataHub) -> None:
    with served(hub, messages_unread=4) as web, web.stream() as client:
        for _ in range(4):
            client.socket.send("{")
        assert client.closed()[0] == 4400


def test_a_client_that_talks_too_fast_is_closed_and_the_others_go_on(hub: DataHub) -> None:
    closed = (0, "")
    with served(hub, messages_per_second=2) as web, web.stream() as client, web.stream() as other:
        for _ in range(1000):  # one by one: whoever is closed with words unread may not hear why
            client.say(op="ping")
            if (closed := how_closed(client, "pong"))[0]:
                break
        assert closed == (4429, "too many messages: expected at most 2 a second")
        other.say(op="ping")
        other.next("pong")


def test_a_client_that_subscribes_too_fast_is_closed(hub: DataHub) -> None:
    closed = (0, "")
    with served(hub, subscribes_per_second=0.5, subscriptions=100) as web, web.stream() as client:
        for number in range(100):
            client.say(op="subscribe", id=number, rate_hz=5)
            if (closed := how_closed(client, "subscribed"))[0]:
                break
    assert closed[0] == 4429


def test_connections_of_one_token_share_a_pace(hub: DataHub) -> None:
    closed, count = (0, ""), 0
    with served(hub, subscribes_per_second=0.1) as web:  # one of a connection at once, ten of a token
        while not closed[0] and count < 100:
            count += 1
            with web.stream() as client:
                client.say(op="subscribe", id=1)
                closed = how_closed(client, "subscribed")
    assert count > 10
    assert closed == (
        4429,
        "too many subscriptions: expected at most 0.1 a second of a connection, and ten times that of a token",
    )


def how_closed(client: Client, answer: str) -> tuple[int, str]:
    """Read an answer, or how it was closed instead."""
    try:
        client.next(answer)
    except ConnectionClosed as end:
        return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")
    return 0, ""


def test_clients_that_ask_for_nearly_the_same_share_a_group(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        for number, rate_hz in enumerate((10, 10.5, 11, 14.99, 15, 0.011)):
            client.subscribe(number, rate_hz=rate_hz)
        assert web.gateway.call(lambda: sorted(rate for _, rate in web.broadcast._groups)) == [0.01, 10.0, 15.0]


def test_groups_are_bounded_in_all_and_for_one_token(hub: DataHub) -> None:
    with served(hub, groups=4) as web, web.stream() as client:
        client.subscribe(1, rate_hz=1)
        client.subscribe(2, rate_hz=2)
        assert client.refused(op="subscribe", id=3, rate_hz=5)["type"] == "urn:tapehub:busy"
        client.subscribe(3, rate_hz=2)
        client.say(op="unsubscribe", id=1)
        client.next("unsubscribed")
        client.subscribe(4, rate_hz=5)


def test_a_message_that_is_too_long_ends_the_connection(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        client.socket.send("x" * 70_000)
        assert client.closed()[0] == 1009
        web.until(lambda: not web.broadcast.sessions, "all to leave")


def test_no_more_subscriptions_than_allowed(hub: DataHub) -> None:
    with served(hub, subscriptions=2) as web, web.stream() as client:
        client.subscribe(1)
        client.subscribe(2)
        assert client.refused(op="subscribe", id=3)["where"] == "subscriptions"
        assert client.refused(op="subscribe", id=1)["where"] == "id"


def test_nobody_comes_in_without_a_token(hub: DataHub) -> None:
    with served(hub) as web, pytest.raises(Exception, match="401"):
        Client(web.gateway.url, "not-a-token")


def test_closing_tells_every_client(hub: DataHub) -> None:
    with served(hub) as web:
        clients = [web.stream() for _ in range(3)]
        clients[0].subscribe(policy="lossless")
        clients[1].subscribe(policy="conflate")
        web.gateway.close()
        assert [client.closed()[0] for client in clients] == [1001] * 3
        for client in clients:
            client.close()


def _counts(web: Served) -> dict[str, int]:
    counts: dict[str, int] = web.get("/pipeline")["gateway"]
    return counts


def test_what_is_sent_is_counted(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(1, policy="lossless")
        client.subscribe(2, policy="conflate", snapshot=False)
        hub.publish(quotes([1, 2, 3]), symbol=EUR)
        client.records(1, lambda records: len(records) == 3)
        client.records(2, bool)
        counts = _counts(web)
        assert (counts["clients"], counts["lossless"], counts["conflated"]) == (1, 1, 1)
        assert counts["delivered"] == 4
        assert counts["lost"] == 0
        assert counts["bytes"] > 1000
