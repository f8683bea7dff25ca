"""The streaming server without sockets, line by line."""

from collections.abc import Sequence

import pytest

from tapehub.feeds.sim import Fault, ManualClock, Settings, Venue, fault_from
from tapehub.feeds.sim.streams import Channel, StreamItem
from tapehub.feeds.sim.tlcp import Tlcp
from tests.models.venue import EUR, MINUTE, MONDAY, TICK, source, stream_password

PROTOCOL = "TLCP-2.5.0.lightstreamer.com"


class Peer:
    """A client that speaks the protocol by hand."""

    def __init__(self, **settings: object) -> None:
        self.clock = ManualClock(MONDAY + 500_000_000)
        self.settings = Settings(**settings)  # type: ignore[arg-type]
        self.venue = Venue(source(), self.clock, self.settings, steady=self.clock)
        self.tlcp = self.venue.tlcp
        self.password = stream_password(self.venue)
        self.channel = self.tlcp.open("ws", PROTOCOL)
        self.session = ""

    def say(self, *lines: str) -> list[str]:
        self.tlcp.receive(self.channel, "\r\n".join(lines))
        return self.channel.take()

    def connect(self, more: str = "") -> list[str]:
        lines = self.say("create_session", f"LS_user=SIM01&LS_password={self.password}&LS_send_sync=false{more}")
        self.session = lines[0].split(",")[1]
        return lines

    def reconnect(self, more: str = "", kind: str = "ws") -> list[str]:
        self.channel = self.tlcp.open(kind, PROTOCOL)
        return self.say("bind_session", f"LS_session={self.session}&LS_send_sync=false{more}")

    def subscribe(self, number: int, group: str, mode: str, schema: str, more: str = "&LS_snapshot=true") -> list[str]:
        return self.say(
            "control",
            f"LS_reqId={number}&LS_op=add&LS_subId={number}&LS_mode={mode}&LS_group={group}&LS_schema={schema}"
            f"&LS_ack=false{more}",
        )

    def after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        self.venue.advance()
        return self.channel.take()


@pytest.fixture
def peer() -> Peer:
    made = Peer()
    made.connect()
    return made


def test_a_session_begins_with_what_the_clients_expect() -> None:
    peer = Peer()
    assert peer.say("wsok") == ["WSOK"]
    lines = peer.connect()
    assert lines[0] == f"CONOK,{peer.session},50000,5000,*"
    assert [line.split(",")[0] for line in lines] == ["CONOK", "SERVNAME", "CLIENTIP", "NOOP", "CONS"]


def test_a_subscription_is_confirmed_filled_and_followed(peer: Peer) -> None:
    assert peer.subscribe(1, TICK, "DISTINCT", "BID OFR LTP UTM") == [
        "SUBOK,1,1,4",
        "CONF,1,unlimited,filtered",
        "U,1,1,1.1|1.10006|#|1780315200000",
        "EOS,1,1",
    ]
    assert peer.after(2) == ["U,1,1,1.1001|1.10016||1780315201000", "U,1,1,1.1002|1.10026||1780315202000"]
    assert peer.say("control", "LS_reqId=9&LS_op=delete&LS_subId=1") == ["REQOK,9", "UNSUB,1"]
    assert peer.after(2) == []


def test_a_batch_is_answered_one_by_one(peer: Peer) -> None:
    add = "LS_op=add&LS_mode=DISTINCT&LS_schema=BID"
    lines = peer.say(
        "control",
        f"LS_reqId=1&LS_subId=1&LS_group={TICK}&{add}",
        f"LS_reqId=2&LS_subId=2&LS_group=CHART:NO.SUCH.EPIC:TICK&{add}",
        "LS_reqId=3&LS_op=delete&LS_subId=7",
    )
    assert lines == [
        "REQOK,1",
        "SUBOK,1,1,1",
        "CONF,1,unlimited,filtered",
        "REQERR,2,21,Invalid group",
        "REQERR,3,19,Specified subscription not found",
    ]


def test_a_slow_client_gets_every_distinct_event_and_the_last_merge_value(peer: Peer) -> None:
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    peer.subscribe(2, MINUTE, "MERGE", "BID_CLOSE CONS_TICK_COUNT")
    peer.venue.inject(fault("cut", how="freeze", **{"for": "30s"}))
    assert peer.after(20) == []
    lines = peer.after(10)
    assert [line for line in lines if line.startswith("U,1")] == [
        f"U,1,1,{1.1 + second / 1e4:.4f}".rstrip("0") for second in range(1, 31)
    ]
    assert [line for line in lines if line.startswith("U,2")] == ["U,2,1,1.103|31"]


def test_a_recovered_session_repeats_what_was_lost_and_no_more(peer: Peer) -> None:
    seen = len(peer.subscribe(1, TICK, "DISTINCT", "BID")) + len(peer.after(3))
    peer.tlcp.drop(peer.channel, "reset")
    peer.after(2)
    lines = peer.reconnect(f"&LS_recovery_from={seen - 1}")
    assert lines[-4:] == [f"PROG,{seen - 1}", "U,1,1,1.1003", "U,1,1,1.1004", "U,1,1,1.1005"]
    assert peer.after(1) == ["U,1,1,1.1006"]


def test_a_recovery_may_go_further_back_than_asked() -> None:
    peer = Peer(recovery_overlap=2)
    peer.connect()
    seen = len(peer.subscribe(1, TICK, "DISTINCT", "BID")) + len(peer.after(3))
    lines = peer.reconnect(f"&LS_recovery_from={seen}")
    assert lines[-3:] == [f"PROG,{seen - 2}", "U,1,1,1.1002", "U,1,1,1.1003"]


def test_a_point_that_is_not_kept_cannot_be_recovered_from() -> None:
    peer = Peer(recovery_history=3)
    peer.connect()
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    peer.after(10)
    assert peer.reconnect("&LS_recovery_from=2")[0].startswith("CONERR,4,")
    assert peer.reconnect("&LS_recovery_from=12")[0].startswith("CONERR,20,")


def test_a_session_without_a_connection_is_lost_in_time() -> None:
    peer = Peer(session_timeout_ms=3_000)
    peer.connect()
    peer.tlcp.close(peer.channel)
    peer.after(2)
    assert peer.reconnect()[0].startswith("CONOK")
    peer.tlcp.close(peer.channel)
    peer.after(4)
    assert peer.reconnect()[0].startswith("CONERR,20,")


def test_silence_is_broken_by_probes_and_time_by_syncs() -> None:
    peer = Peer(keepalive_ms=5_000)
    peer.connect("&LS_keepalive_millis=1000")
    assert peer.after(0.9) == []
    assert peer.after(0.2) == ["PROBE"]
    other = Peer(keepalive_ms=60_000)
    other.say("create_session", f"LS_user=SIM01&LS_password={other.password}")
    assert other.after(20) == ["SYNC,20"]


def test_a_client_that_promised_to_be_heard_and_is_not_is_hung_up_on() -> None:
    peer = Peer(keepalive_ms=60_000)
    peer.connect("&LS_inactivity_millis=2000")
    peer.after(2)
    peer.say("heartbeat", "")
    peer.after(2.5)
    assert not peer.channel.cut
    peer.after(1)
    assert peer.channel.cut == "close"


def test_a_poll_ends_when_there_is_something_or_time_is_over(peer: Peer) -> None:
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    assert peer.say("control", "LS_reqId=5&LS_op=force_rebind") == ["REQOK,5", "LOOP,0"]
    assert peer.after(1) == []
    assert peer.say("bind_session", "LS_polling=true&LS_polling_millis=500&LS_idle_millis=0")[-2:] == [
        "U,1,1,1.1001",
        "LOOP,500",
    ]
    assert "LOOP" not in peer.say("bind_session", "LS_polling=true&LS_idle_millis=3000")[-1]
    assert peer.after(1) == ["U,1,1,1.1002", "LOOP,0"]


def test_a_stream_over_http_ends_at_its_promised_length(peer: Peer) -> None:
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    stream = peer.tlcp.post("bind_session", "TLCP-2.5.0", "", f"LS_session={peer.session}&LS_content_length=1200")
    assert stream.take()[0].startswith("CONOK")
    peer.channel = stream
    assert peer.after(20)[-1] == "LOOP,0"
    assert stream.done


def test_controls_over_http_speak_to_a_stream_elsewhere(peer: Peer) -> None:
    body = f"LS_reqId=1&LS_op=add&LS_subId=1&LS_mode=DISTINCT&LS_group={TICK}&LS_schema=BID&LS_ack=false"
    answer = peer.tlcp.post("control", "TLCP-2.5.0", f"LS_session={peer.session}", body)
    assert (answer.take(), answer.done) == (["REQOK,1"], True)
    assert peer.channel.take()[0] == "SUBOK,1,1,1"
    lost = peer.tlcp.post("control", "TLCP-2.5.0", "LS_session=none", body)
    assert lost.take() == ["REQERR,1,20,Session not found"]


def test_destroy_ends_the_session(peer: Peer) -> None:
    lines = peer.say("control", "LS_reqId=4&LS_op=destroy&LS_close_socket=true")
    assert lines == ["REQOK,4", "END,31,The session was closed by the client"]
    assert peer.channel.done
    assert not peer.tlcp.sessions


@pytest.mark.parametrize(
    ("settings", "number", "code"),
    [({"subscription_limit": 2}, 3, -6), ({"subscription_limit": 3, "limit_counts_items": True}, 2, -6)],
)
def test_one_subscription_too_many_is_refused(settings: dict[str, int], number: int, code: int) -> None:
    peer = Peer(**settings)
    peer.connect()
    group = f"{TICK} CHART:CS.D.EURUSD.MINI.IP:TICK"
    answers = [peer.subscribe(i, group, "DISTINCT", "BID")[0] for i in range(1, number + 1)]
    assert [answer.split(",")[0] for answer in answers] == ["SUBOK"] * (number - 1) + ["REQERR"]
    assert answers[-1].split(",")[2] == str(code)


@pytest.mark.parametrize("password", ["", "CST-x|XST-y", "nonsense"])
def test_a_stranger_is_refused(password: str) -> None:
    peer = Peer()
    assert peer.say("create_session", f"LS_user=SIM01&LS_password={password}")[0].startswith("CONERR,1,")


def test_tokens_of_one_account_do_not_open_another() -> None:
    peer = Peer()
    assert peer.say("create_session", f"LS_user=SIM02&LS_password={peer.password}")[0].startswith("CONERR,1,")


def test_a_second_session_on_a_busy_websocket_is_refused(peer: Peer) -> None:
    assert peer.say("create_session", f"LS_user=SIM01&LS_password={peer.password}")[0].startswith("CONERR,69,")


def test_a_bind_by_another_protocol_version_is_refused(peer: Peer) -> None:
    other = peer.tlcp.open("ws", "TLCP-2.4.0.lightstreamer.com")
    peer.tlcp.receive(other, f"bind_session\r\nLS_session={peer.session}")
    assert other.take()[0].startswith("CONERR,3,")


def test_nonsense_is_answered_as_such(peer: Peer) -> None:
    assert peer.say("Hello World")[0].startswith("ERROR,67,")
    assert peer.say("fly_away", "")[0].startswith("ERROR,67,")
    assert peer.say("control", "LS_reqId=1&LS_op=fly")[0].startswith("REQERR,1,65,")


def test_messages_are_answered(peer: Peer) -> None:
    assert peer.say("msg", "LS_reqId=3&LS_message=hi&LS_sequence=A&LS_msg_prog=1") == [
        "REQOK,3",
        "MSGFAIL,A,1,34,Messages are not taken",
    ]


def test_a_client_that_takes_nothing_is_ended_before_memory_is() -> None:
    peer = Peer(pending_max=20)
    peer.connect()
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    peer.tlcp.close(peer.channel)
    peer.after(14)
    assert peer.session in peer.tlcp.sessions
    peer.reconnect()
    peer.venue.inject(fault("cut", how="freeze"))
    peer.after(30)
    assert peer.session not in peer.tlcp.sessions


def test_snapshots_can_be_voided_and_losses_told(peer: Peer) -> None:
    peer.subscribe(1, TICK, "DISTINCT", "BID")
    peer.venue.inject(fault("clear_snapshot", item=EUR))
    peer.venue.inject(fault("overflow", count=3))
    assert peer.channel.take() == ["CS,1,1", "OV,1,1,3"]


class Commands:
    """A venue with one item of COMMAND mode, which IG has none of."""

    def __init__(self) -> None:
        self.item = StreamItem("orders", "COMMAND", ("orders",), lambda: None)

    def admit(self, user: str, password: str, protocol: str) -> None:
        pass

    def items_of(self, user: str, group: str, schema: Sequence[str], mode: str, adapter: str) -> list[StreamItem]:
        return [self.item]

    def said(self, event: str, detail: str = "") -> None:
        pass


def test_command_mode_is_confirmed_with_its_fields() -> None:
    tlcp = Tlcp(Commands(), Settings(), ManualClock(0))
    channel: Channel = tlcp.open("ws", PROTOCOL)
    tlcp.receive(channel, "create_session\r\nLS_user=u")
    channel.take()
    add = "LS_op=add&LS_mode=COMMAND&LS_group=orders&LS_snapshot=true&LS_ack=false"
    tlcp.receive(channel, f"control\r\nLS_reqId=1&LS_subId=1&{add}&LS_schema=qty%20key%20command")
    tlcp.receive(channel, f"control\r\nLS_reqId=2&LS_subId=2&{add}&LS_schema=qty%20command")
    assert channel.take() == [
        "SUBCMD,1,1,3,2,3",
        "CONF,1,unlimited,filtered",
        "EOS,1,1",
        "REQERR,2,15,Subscription in COMMAND mode without key or command field",
    ]


def fault(kind: str, **fields: object) -> Fault:
    return fault_from({"kind": kind, **fields})
