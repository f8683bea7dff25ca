"""Faults by script: each shows on the wire as it should, and two runs of a script are the same."""

import hashlib
from typing import Any

import pytest

from tapehub.feeds.sim import ManualClock, Rest, Settings, SyntheticSource, Venue, fault_from, timed
from tests.models.venue import EUR, MINUTE, MONDAY, TICK, login, rising, source, stream_password

HOUR = 3600
FRIDAY = 1_780_691_400 * 10**9  # 2026-06-05 20:30 UTC: 16:30 in New York, half an hour before the weekend


class Wire:
    """A venue, and what one client of its streams gets."""

    def __init__(self, script: list[tuple[str, dict[str, Any]]] | None = None, **options: Any) -> None:
        self.clock = ManualClock(options.pop("start", MONDAY + 500_000_000))
        lines = timed([(at, fault_from(fields)) for at, fields in script or []], self.clock())
        seed = options.pop("seed", 1)
        plays = options.pop("plays", None) or source(rising(600))
        self.venue = Venue(plays, self.clock, Settings(**options), script=lines, seed=seed, steady=self.clock)
        self.channel = self.venue.tlcp.open("ws", "TLCP-2.4.0.lightstreamer.com")
        self.count = 0

    def connect(self) -> list[str]:
        password = stream_password(self.venue)
        return self.say(f"create_session\r\nLS_user=SIM01&LS_send_sync=false&LS_password={password}")

    def say(self, text: str) -> list[str]:
        self.venue.tlcp.receive(self.channel, text)
        return self.channel.take()

    def follow(self, item: str, schema: str = "BID OFR UTM", mode: str = "DISTINCT", adapter: str = "") -> list[str]:
        if not self.count:
            self.connect()
        self.count += 1
        more = f"&LS_data_adapter={adapter}" if adapter else ""
        return self.say(
            f"control\r\nLS_reqId=1&LS_op=add&LS_subId={self.count}&LS_mode={mode}&LS_group={item}&LS_ack=false"
            f"&LS_schema={schema}&LS_snapshot=true{more}"
        )

    def inject(self, **fields: Any) -> None:
        self.venue.inject(fault_from(fields))

    def after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        self.venue.advance()
        return self.channel.take()


def rows(lines: list[str], number: int = 1) -> list[list[str]]:
    """Give the fields of each update, filled up with what was not said again."""
    seen: list[str] = []
    found = []
    for line in lines:
        if line.startswith(f"U,{number},1,"):
            tokens = line.split(",", 3)[3].split("|")
            spread = [part for token in tokens for part in ([""] * int(token[1:]) if token[:1] == "^" else [token])]
            seen = [new or old for new, old in zip(spread, seen or spread, strict=True)]
            found.append(seen)
    return found


def test_a_mute_item_is_silent_and_the_others_are_not() -> None:
    wire = Wire([("+2s", {"kind": "mute", "item": TICK, "for": "3s"})])
    wire.follow(TICK, "UTM")
    wire.follow("CHART:CS.D.EURUSD.MINI.IP:TICK", "UTM")
    lines = wire.after(6)
    seconds = [int(row[0]) // 1000 - MONDAY // 10**9 for row in rows(lines)]
    assert seconds == [1, 2, 6]
    assert len(rows(lines, 2)) == 6


def test_a_mute_item_is_mute_for_a_new_subscription_too() -> None:
    wire = Wire([("+2s", {"kind": "mute", "item": TICK, "for": "3s"})])
    wire.follow(TICK, "UTM")
    wire.after(3)
    again = wire.follow(TICK, "UTM")
    assert rows(again, 2) == []
    assert "EOS,2,1" in again
    assert len(rows(wire.after(3), 2)) == 1


def test_muting_all_mutes_the_heartbeat_too_until_unmuted() -> None:
    wire = Wire()
    wire.follow("TRADE:HB.U.HEARTBEAT.IP", "HEARTBEAT", "MERGE")
    wire.follow(TICK)
    assert len(wire.after(2)) == 4
    wire.inject(kind="mute")
    assert wire.after(3) == []
    wire.inject(kind="unmute")
    assert len(wire.after(2)) == 4


@pytest.mark.parametrize(
    ("fault", "tick"),
    [
        ({"kind": "crossed"}, ["1.10016", "1.1001"]),
        ({"kind": "zero"}, ["0", "1.10016"]),
        ({"kind": "scaled"}, ["11001", "11001.6"]),
    ],
)
def test_a_bad_tick_is(fault: dict[str, Any], tick: list[str]) -> None:
    wire = Wire()
    wire.follow(TICK, "BID OFR")
    wire.inject(**fault, count=1)
    assert rows(wire.after(2)) == [tick, ["1.1002", "1.10026"]]


def test_bad_ticks_do_not_reach_the_venue_s_own_candles_and_snapshots() -> None:
    wire = Wire()
    wire.follow(MINUTE, "BID_HIGH BID_LOW CONS_END", "MERGE")
    wire.follow(TICK)
    wire.inject(kind="scaled")
    assert rows(wire.after(60))[-1] == ["1.106", "1.106", "0"]
    rest = Rest(wire.venue)
    reply = rest._bodies.market(wire.venue.contracts[EUR])
    assert reply["snapshot"]["bid"] == 1.106
    assert login(rest)


def test_ticks_come_twice_late_or_in_the_wrong_order() -> None:
    def seconds(kind: str, **fields: Any) -> list[int]:
        wire = Wire()
        wire.follow(TICK, "UTM")
        wire.inject(kind=kind, **fields)
        lines = wire.after(4)
        assert all(line.startswith("U,1,1,") for line in lines)
        last, found = 0, []
        for line in lines:
            text = line.rpartition(",")[2]
            last = int(text) // 1000 - MONDAY // 10**9 if text else last
            found.append(last)
        return found

    assert seconds("duplicate", count=1) == [1, 1, 2, 3, 4]
    assert seconds("reorder", count=1) == [2, 1, 3, 4]
    assert seconds("delay", count=1, seconds="2.5s") == [2, 3, 1, 4]


def test_the_end_of_a_candle_can_be_lost() -> None:
    wire = Wire()
    assert ["1780315200000", "1"] in rows(wire.follow(MINUTE, "UTM CONS_END", "MERGE") + wire.after(70))
    wire.inject(kind="lose_candle_end", count=1)
    assert "1" not in [row[1] for row in rows(wire.after(60))]
    assert "1" in [row[1] for row in rows(wire.after(60))]


def test_the_end_of_a_candle_comes_without_a_further_tick() -> None:
    wire = Wire(plays=source(rising(30)))
    lines = wire.follow(MINUTE, "UTM CONS_TICK_COUNT CONS_END", "MERGE")
    assert rows(lines + wire.after(60))[-1] == ["1780315200000", "30", "1"]


def test_a_market_is_suspended_for_a_while() -> None:
    wire = Wire(plays=source(rising(2)))
    wire.follow(f"PRICE:SIM01:{EUR}", "BIDPRICE1 DLG_FLAG", "MERGE", "Pricing")
    assert wire.after(3) == ["U,1,1,1.1001|"]
    wire.inject(kind="market_state", item=EUR, state="SUSPENDED", **{"for": "10s"})
    assert wire.after(1) == ["U,1,1,|SUSPENDED"]
    assert wire.after(10) == ["U,1,1,|TRADEABLE"]


def test_a_bad_epic_is_unknown_while_it_lasts() -> None:
    wire = Wire()
    wire.connect()
    wire.inject(kind="bad_epic", item=EUR, **{"for": "5s"})
    wire.count = 1
    assert wire.follow(TICK)[0] == "REQERR,1,21,Invalid group"
    wire.after(5)
    assert wire.follow(TICK)[0].startswith("SUBOK")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_leaves_the_session_to_be_bound_again(how: str) -> None:
    wire = Wire()
    wire.follow(TICK)
    wire.inject(kind="cut", how=how)
    assert wire.channel.cut == how
    assert len(wire.venue.tlcp.sessions) == 1


def test_streams_are_refused_by_code() -> None:
    wire = Wire()
    wire.inject(kind="refuse_stream", code=5, count=1)
    assert wire.connect()[0].startswith("CONERR,5,")
    wire.inject(kind="refuse_protocol", item="TLCP-2.4.0", count=1)
    assert wire.connect()[0] == "CONERR,65,Unsupported protocol version: 2.4.0"
    assert wire.connect()[0].startswith("CONOK")


def test_sessions_are_ended_by_code() -> None:
    wire = Wire()
    wire.connect()
    wire.inject(kind="end_sessions", code=48)
    assert wire.channel.take() == ["END,48,The session was closed by the server"]


def test_maintenance_ends_streams_and_lets_nobody_in() -> None:
    wire = Wire()
    wire.connect()
    wire.inject(kind="maintenance", **{"for": "1h"})
    assert wire.channel.take()[0].startswith("END,32,")
    assert wire.connect()[0].startswith("CONERR,10,")
    wire.after(HOUR)
    assert wire.connect()[0].startswith("CONOK")


def test_clear_lifts_what_it_names() -> None:
    wire = Wire()
    wire.inject(kind="mute", item=TICK)
    wire.inject(kind="scaled")
    wire.inject(kind="clear", code="scaled")
    assert [fault.kind.value for fault in wire.venue.faults.active(wire.venue.now_ns)] == ["mute"]
    wire.inject(kind="clear")
    assert wire.venue.faults.active(wire.venue.now_ns) == []


def weekend(seed: int, step_s: float) -> tuple[str, str, int]:
    """Play a weekend with its faults, and hash all that was said."""
    script = [
        ("+10m", {"kind": "duplicate", "share": 0.1, "for": "20m"}),
        ("+12m", {"kind": "mute", "item": TICK, "for": "2m"}),
        ("+20m", {"kind": "scaled", "share": 0.05, "for": "5m"}),
        ("2026-06-06T06:00:00Z", {"kind": "expire_tokens"}),
        ("+48h35m", {"kind": "cut", "how": "freeze", "for": "10s"}),
    ]
    plays = SyntheticSource(["EUR_USD", "USD_JPY"], seed, 0.5)
    wire = Wire(script, seed=seed, start=FRIDAY, heartbeat_s=30, plays=plays)
    wire.follow(TICK)
    wire.follow(f"PRICE:SIM01:{EUR}", "BIDPRICE1 DLG_FLAG", "MERGE", "Pricing")
    said: list[str] = []
    for _ in range(round(49 * HOUR / step_s)):
        said += wire.after(step_s)
    states = [row[1] for row in rows(said, 2)]
    changes = [state for i, state in enumerate(states) if state and (not i or state != states[i - 1])]
    assert changes == ["CLOSED", "TRADEABLE"] if states[0] == "CLOSED" else ["TRADEABLE", "CLOSED", "TRADEABLE"]
    text = "\n".join(line for line in said if line != "PROBE")
    return hashlib.sha256(text.encode()).hexdigest(), wire.venue.journal.digest, len(said)


def test_the_same_seed_and_script_give_the_same_weekend_in_steps_of_any_size() -> None:
    first, second = weekend(7, 120), weekend(7, 50)
    assert first[:2] == second[:2]
    assert first[2] > 2_000
    assert weekend(8, 120)[0] != first[0]
