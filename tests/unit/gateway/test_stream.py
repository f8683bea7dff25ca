"""The stream: what each policy promises, held against the hub's own stream."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tapehub import DataHub
from tapehub.gateway.encoding import text_of
from tapehub.hub import marks
from tapehub.model.states import State
from tests.models.gateway import served
from tests.models.market import EUR, GBP, JPY, candle, drained, flow, quotes, tick

SYMBOLS = (EUR, GBP, JPY)


def own(hub: DataHub, start: int | str = "oldest", **more: Any) -> list[dict[str, Any]]:
    """Read what the hub's own stream delivers, in the shapes of the API."""
    with hub.stream(start=start, **more) as stream:
        return [json.loads(text_of(item)) for item in drained(stream)]


class Story:
    """Let things of every kind happen to a hub, by chance and the same each time."""

    def __init__(self, hub: DataHub, seed: int = 1) -> None:
        self.hub = hub
        self.random = random.Random(seed)
        self.second = 0.0

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.second += self.random.random() * 3
            self.happens(self.random.choice(SYMBOLS), self.second)

    def happens(self, symbol: str, now: float) -> None:
        acts: list[tuple[int, Callable[[], object]]] = [
            (60, lambda: self.hub.update_tick(tick(now, 1.1 + self.random.random() / 100, symbol))),
            (10, lambda: self.hub.publish(quotes([now + n / 1000 for n in range(30)], 1.2), symbol=symbol)),
            (5, lambda: self.hub.update_candle_1m(candle(now // 60 - 2, 1.15, symbol))),
            (8, lambda: self.hub.update_order_flow(flow(now, symbol, ofi_60s=now))),
            (3, lambda: self.hub.note("x" * self.random.choice([5, 300, 9000]), symbol)),
            (3, lambda: self.hub.note(f"at {now}")),
            (3, lambda: self.hub.clear_symbol(symbol)),
            (5, lambda: self.hub.advance(tick(now).ts_event)),
        ]
        self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()


@pytest.fixture
def story(hub: DataHub) -> Story:
    hub.set_clock("event")
    told = Story(hub)
    told.go_on(200)
    return told


def up_to(seq: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda records: bool(records) and records[-1]["seq"] >= seq


SELECTIONS: list[dict[str, Any]] = [
    {"kinds": ["tick"]},
    {"kinds": ["all"]},
    {"kinds": ["tick", "candle", "order_flow", "note"], "symbols": [EUR, GBP]},
    {"kinds": ["clear", "watermark", "tick"], "symbols": [JPY]},
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=lambda one: "-".join([*one["kinds"], *one.get("symbols", [])]))
def test_lossless_is_the_hubs_own_stream_record_for_record(
    hub: DataHub, story: Story, selection: dict[str, Any]
) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(policy="lossless", start="oldest", **selection)
        for _ in range(20):  # some come while it reads the log, some while it keeps up
            story.go_on(20)
        hub.note("the end")
        hub.update_tick(tick(story.second + 1, symbol=JPY))
        hub.update_tick(tick(story.second + 1, symbol=EUR))
        expected = own(hub, **selection)
        got = client.batches(1, up_to(expected[-1]["seq"]))
        assert [record for batch in got for record in batch["records"]] == expected
        assert not any(batch["lost"] for batch in got)
        assert [batch["next"] for batch in got] == sorted(batch["next"] for batch in got)
        assert got[-1]["next"] <= hub.head


def test_interval_ends_are_those_of_the_hubs_own_stream(hub: DataHub, story: Story) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(policy="lossless", start="oldest", kinds=["interval"], timeframes=["1s", "1m"], symbols=[EUR])
        story.go_on(200)
        hub.advance(tick(story.second + 120).ts_event)
        expected = own(hub, kinds="interval", timeframes=["1s", "1m"], symbols=[EUR])
        got = client.records(1, lambda records: len(records) >= len(expected))
        assert len(expected) > 20
        assert {one["outcome"] for one in expected} == {"final", "no_ticks"}

        def key(one: dict[str, Any]) -> tuple[str, ...]:
            return one["timeframe"], one["start"], one["outcome"]

        assert sorted(map(key, got)) == sorted(map(key, expected))


def test_many_cuts_and_resumes_lose_nothing_and_repeat_nothing(hub: DataHub, story: Story) -> None:
    got: list[dict[str, Any]] = []
    place: dict[str, Any] = {"start": "oldest"}
    with served(hub, kept_bytes=60_000) as web:  # some resume in the kept frames, some behind them
        for turn in range(12):
            with web.stream() as client:
                granted = client.subscribe(policy="lossless", kinds=["all"], **place)
                assert (granted["resumed"], granted["lost"]) == (True, 0)
                story.go_on(40)
                batches = client.batches(1, lambda records: len(records) > 60)
                got += [record for batch in batches for record in batch["records"]]
                place = {"start": batches[-1]["next"], "epoch": batches[-1]["epoch"], "hub_id": client.hello["hub_id"]}
                if turn % 2:
                    client.cut()
            story.go_on(turn * 10)
        with web.stream() as client:
            client.subscribe(policy="lossless", kinds=["all"], **place)
            expected = own(hub, kinds="all")
            got += client.records(1, up_to(expected[-1]["seq"]))
    assert got == expected


def test_a_place_inside_a_record_is_refused(hub: DataHub) -> None:
    seq = hub.note("x" * 1000)
    with served(hub) as web, web.stream() as client:
        problem = client.refused(op="subscribe", id=1, policy="lossless", kinds=["note"], start=seq + 1)
        assert problem["type"] == "urn:tapehub:invalid-record"
        assert str(seq + 1) in problem["detail"]
        client.subscribe(policy="lossless", kinds=["note"], start=seq)
        assert len(client.records(1, up_to(seq))) == 1


# ---------------------------------------------------------------- conflate


def newest(records: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {record["symbol"]: record for record in records if record["kind"] == kind}


def test_conflated_ends_with_the_newest_of_everything(hub: DataHub, story: Story) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["tick", "candle", "order_flow", "state"], timeframes=["1m", "1s"], rate_hz=50)
        story.go_on(300)
        for symbol in SYMBOLS:
            hub.update_order_flow(flow(story.second + 1, symbol, ofi_60s=77))
            hub.update_tick(tick(story.second + 1, 1.25, symbol))

        def over(records: list[dict[str, Any]]) -> bool:
            ticks, flows = newest(records, "tick"), newest(records, "order_flow")
            candles = [one for one in newest_candles(records).values() if one["close"] == 1.2501]
            return (
                all(ticks.get(symbol, {}).get("bid") == 1.25 for symbol in SYMBOLS)
                and all(flows.get(symbol, {}).get("ofi_60s") == 77 for symbol in SYMBOLS)
                and len(candles) == 6
            )

        batches = client.batches(1, over)
        assert batches[0]["snapshot"]
        assert not any(batch.get("snapshot") for batch in batches[1:])
        records = [record for batch in batches for record in batch["records"]]
        assert newest(records, "state").keys() == set(SYMBOLS)
        for symbol in SYMBOLS:
            held = json.loads(text_of(hub.get_latest_tick(symbol)))
            assert newest(records, "tick")[symbol] == held
            for frame in ("1m", "1s"):
                forming = hub.candles(symbol, frame, limit=1, forming=True).objects()[-1]
                assert newest_candles(records)[symbol, frame] == json.loads(text_of(forming))
        # Never an old value after a newer one.
        for symbol in SYMBOLS:
            told = [record["ts_event"] for record in records if record["kind"] == "tick" and record["symbol"] == symbol]
            assert len(told) == len(set(told))


def newest_candles(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        if record["kind"] == "candle":
            key = (record["symbol"], record["timeframe"])
            if key not in out or record["timestamp"] >= out[key]["timestamp"]:
                out[key] = record
    return out


def test_a_candle_is_told_final_when_its_time_is_over_without_a_tick(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(5))
    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["candle"])
        assert client.records(1, bool)[0]["status"] == "forming"
        hub.advance(tick(61).ts_event)
        final = client.records(1, lambda records: records[-1]["status"] == "final")
        assert final[-1]["close"] == 1.1001


def test_a_snapshot_can_be_left_out(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["tick"], snapshot=False, symbols=["EURUSD"])
        hub.update_tick(tick(2, symbol=GBP))
        hub.update_tick(tick(3, 1.3))
        assert [record["bid"] for record in client.records(1, bool)] == [1.3]


def test_clients_of_one_selection_share_one_group_and_it_goes_with_the_last(hub: DataHub) -> None:
    with served(hub) as web:
        one, two, other = (web.stream() for _ in range(3))
        one.subscribe(kinds=["tick"], symbols=["EURUSD"])
        two.subscribe(kinds=["tick"], symbols=["EUR/USD"])
        other.subscribe(kinds=["tick"], symbols=["EUR_USD"], rate_hz=1)
        groups = web.broadcast._groups
        assert web.gateway.call(lambda: sorted(len(group.members) for group in groups.values())) == [1, 2]
        for client in (one, two, other):
            client.close()
        web.until(lambda: not groups and not web.broadcast.sessions, "all to leave")


def test_events_of_other_kinds_all_come_and_those_beyond_256_are_counted(hub: DataHub) -> None:
    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["note"], rate_hz=0.5)
        client.records(1, lambda _: True)
        for n in range(10):
            hub.note(f"few {n}")
        batches = client.batches(1, lambda records: len(records) >= 10)
        assert [record["about"]["text"] for batch in batches for record in batch["records"]] == [
            f"few {n}" for n in range(10)
        ]
        for n in range(300):
            hub.note(f"many {n}")
        hub.note("last")
        batches = client.batches(1, lambda records: bool(records) and records[-1]["about"]["text"] == "last")
        told = sum(len(batch["records"]) + batch["lost"] for batch in batches)
        assert told == 311
        assert any(batch["lost"] for batch in batches)


def test_a_state_that_did_not_last_is_told_too_and_before_the_present_one(hub: DataHub) -> None:
    hub.update_tick(tick(0))

    def becomes(*states: State) -> None:
        for state in states:
            marks.state(hub, EUR, "default", state, "test", tick(0).ts_event)

    def told(records: list[dict[str, Any]]) -> list[str]:
        return [record["about"]["state"] for record in records if record["seq"]]

    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["state"], rate_hz=0.5)
        client.records(1, bool)
        group = next(iter(web.broadcast._groups.values()))
        before = web.gateway.call(lambda: group.version)
        becomes(State.DEAD, State.LIVE)
        assert told(client.records(1, lambda records: "live" in told(records))) == ["dead", "live"]
        becomes(State.STALE)
        client.records(1, lambda records: "stale" in told(records))
        # One who has had nothing since the beginning, as a client that reads slowly.
        bodies, count = web.gateway.call(lambda: group.since(before))
        missed = json.loads(f"[{','.join(bodies)}]")
        assert told(missed) == ["dead", "live", "stale"]
        assert count == len(missed)


def test_a_state_that_changes_with_age_alone_is_told(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=tick(0).ts_event, rate=1.0)
    hub.update_tick(tick(0))
    with served(hub) as web, web.stream() as client:
        client.subscribe(kinds=["state"])
        assert client.records(1, bool)[-1]["about"]["state"] == "unverified"
        hub.set_clock("virtual", anchor_ns=tick(300).ts_event, rate=1.0)
        client.records(1, lambda records: records[-1]["about"]["state"] == "stale")
