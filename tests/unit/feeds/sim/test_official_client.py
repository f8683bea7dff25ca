"""The official Python client against the simulator: what it subscribes to, loses, recovers and is refused."""

from collections.abc import Iterator

import pytest

from tapehub.feeds.sim import ManualClock, Settings, SimulatorThread
from tests.models.venue import EUR, MINUTE, MONDAY, TICK, YEN, Official, source, stream_password

FIELDS = ["BID", "OFR", "UTM", "LTV"]


class Market:
    """A simulator whose clock the test moves."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock(MONDAY + 500_000_000)
        options = {"keepalive_ms": 300, "session_timeout_ms": 10_000} | settings
        self.sim = SimulatorThread(Settings(**options), source=source(), clock=self.clock)  # type: ignore[arg-type]

    def advance(self, seconds: float) -> None:
        def move(sim: object) -> None:
            self.clock.advance(seconds)
            self.sim._sim.venue.advance()

        self.sim.call(move)

    def official(self, **options: object) -> Official:
        password = self.sim.call(lambda sim: stream_password(sim.venue))
        return Official(self.sim.stream_url, password, **options)


@pytest.fixture
def market() -> Iterator[Market]:
    made = Market()
    with made.sim:
        yield made


def bids(first: int, last: int) -> list[str]:
    return [f"{1.1 + second / 1e4:.4f}".rstrip("0") for second in range(first, last + 1)]


def test_every_tick_of_a_distinct_item_arrives_once_and_exactly(market: Market) -> None:
    with market.official() as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        assert client.updates == [(TICK, True, {"BID": "1.1", "OFR": "1.10006", "UTM": "1780315200000", "LTV": None})]
        market.advance(20)
        client.until(lambda: len(client.updates) == 21, "sent 20 ticks")
        assert client.column("BID") == bids(0, 20)
        assert [snapshot for _, snapshot, _ in client.updates[1:]] == [False] * 20
        assert client.updates[-1][2] == {"BID": "1.102", "OFR": "1.10206", "UTM": "1780315220000", "LTV": None}
        assert "CONNECTED:WS-STREAMING" in client.statuses


def test_a_merge_item_gives_its_values_and_the_end_of_each_candle(market: Market) -> None:
    with market.official() as client:
        client.subscribe("MERGE", [MINUTE], ["BID_OPEN", "BID_HIGH", "BID_CLOSE", "UTM", "CONS_END", "CONS_TICK_COUNT"])
        client.until(lambda: len(client.updates) == 1, "sent the snapshot")
        assert client.updates[0][1]
        market.advance(60)
        client.until(lambda: "1" in client.column("CONS_END"), "told of the candle's end")
        ended = [values for _, _, values in client.updates if values["CONS_END"] == "1"]
        assert ended == [
            {
                "BID_OPEN": "1.1",
                "BID_HIGH": "1.1059",
                "BID_CLOSE": "1.1059",
                "UTM": "1780315200000",
                "CONS_END": "1",
                "CONS_TICK_COUNT": "60",
            }
        ]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_session_is_recovered_without_loss(market: Market, how: str) -> None:
    with market.official() as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        market.advance(5)
        market.sim.inject("cut", how=how)
        market.advance(30)
        client.until(lambda: len(client.updates) >= 36, "sent what it missed")
        assert client.column("BID") == bids(0, 35)
        assert client.subscribed == 1
        counts = market.sim.log.counts
        assert (counts["session created"], counts["session recovered"], counts["login"]) == (1, 1, 0)


def test_a_client_skips_what_a_recovery_repeats() -> None:
    market = Market(recovery_overlap=3)
    with market.sim, market.official() as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        market.advance(5)
        client.until(lambda: len(client.updates) == 6, "sent 5 ticks")
        market.sim.inject("cut")
        market.advance(5)
        client.until(lambda: len(client.updates) == 11, "sent what it missed")
        market.advance(1)
        client.until(lambda: len(client.updates) == 12, "sent the next tick")
        assert client.column("BID") == bids(0, 11)


def test_a_frozen_socket_is_left_for_another_without_loss(market: Market) -> None:
    with market.official() as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        market.sim.inject("cut", how="freeze")
        market.advance(30)
        client.until(lambda: len(client.updates) == 31, "sent what it missed")
        assert client.column("BID") == bids(0, 30)
        assert market.sim.log.counts["session recovered"] == 1


def test_a_session_the_server_does_not_know_is_created_anew(market: Market) -> None:
    with market.official(RetryDelay=100) as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        market.sim.inject("forget_sessions")
        client.until(lambda: client.subscribed == 2, "subscribed again")
        market.advance(1)
        client.until(lambda: client.updates[-1][2]["BID"] == "1.1001", "sent the next tick")
        assert market.sim.log.counts["session created"] == 2


def test_expired_tokens_refuse_a_new_session_for_good(market: Market) -> None:
    with market.official(RetryDelay=100) as client:
        client.until(lambda: client.status == "CONNECTED:WS-STREAMING", "connected")
        market.sim.inject("expire_tokens")
        market.sim.inject("forget_sessions")
        client.until(lambda: bool(client.errors), "told of the error")
        assert client.errors[0][0] == 1
        client.until(lambda: client.status == "DISCONNECTED", "disconnected")


@pytest.mark.parametrize(
    ("mode", "item", "fields", "adapter", "code"),
    [
        ("DISTINCT", "CHART:CS.D.NOSUCH.CFD.IP:TICK", ["BID"], None, 21),
        ("MERGE", f"MARKET:{EUR}", ["BID"], None, 21),
        ("MERGE", f"PRICE:SIM01:{EUR}", ["BIDPRICE1"], None, 21),
        ("MERGE", f"PRICE:OTHER:{EUR}", ["BIDPRICE1"], "Pricing", -1),
        ("MERGE", TICK, ["BID"], None, 24),
        ("DISTINCT", TICK, ["NO_SUCH_FIELD"], None, 23),
        ("DISTINCT", TICK, ["BID"], "Nowhere", 17),
    ],
)
def test_a_subscription_is_refused_with(
    market: Market, mode: str, item: str, fields: list[str], adapter: str | None, code: int
) -> None:
    with market.official() as client:
        client.subscribe(mode, [item], fields, adapter)
        client.until(lambda: client.refused == [code], f"refused with {code}")


def test_one_bad_item_refuses_the_whole_subscription_and_no_other(market: Market) -> None:
    with market.official() as client:
        client.subscribe("DISTINCT", [TICK, f"CHART:{YEN}:TICK"], FIELDS)
        client.until(lambda: client.refused == [21], "refused")
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.subscribed == 1, "subscribed")


def test_a_protocol_version_is_refused() -> None:
    market = Market(refused_protocols=("TLCP-2.4.0",))
    with market.sim, market.official() as client:
        client.until(lambda: client.errors == [(65, "Unsupported protocol version: 2.4.0")], "refused")


def test_a_second_stream_of_the_user_ends_the_first() -> None:
    market = Market(one_session_per_user=True)
    with market.sim, market.official() as first:
        first.until(lambda: first.status == "CONNECTED:WS-STREAMING", "connected")
        with market.official() as second:
            second.until(lambda: second.status == "CONNECTED:WS-STREAMING", "connected")
            first.until(lambda: bool(first.errors), "told of the error")
            assert first.errors[0][0] == 35


@pytest.mark.parametrize("transport", ["HTTP-STREAMING", "HTTP-POLLING", "WS-POLLING"])
def test_other_transports_carry_the_same(market: Market, transport: str) -> None:
    with market.official(ForcedTransport=transport) as client:
        client.subscribe("DISTINCT", [TICK], FIELDS)
        client.until(lambda: client.snapshots_ended == [TICK], "told of the snapshot's end")
        market.advance(5)
        client.until(lambda: len(client.updates) == 6, "sent 5 ticks")
        assert client.column("BID") == bids(0, 5)
        assert f"CONNECTED:{transport}" in client.statuses


def test_a_client_that_fell_silent_is_hung_up_on_and_probes_keep_a_quiet_one(market: Market) -> None:
    with market.official(ReverseHeartbeatInterval=200) as client:
        client.until(lambda: client.status == "CONNECTED:WS-STREAMING", "connected")
        client.subscribe("MERGE", [MINUTE], ["UTM"])
        client.until(lambda: client.subscribed == 1, "subscribed")
        market.advance(1)
        assert client.status == "CONNECTED:WS-STREAMING"
