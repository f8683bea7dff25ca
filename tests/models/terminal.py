"""The least client of the simulated venue: TLCP by hand, no socket, no thread, no clock of its own.

It decodes what the venue says into the calls that the official client's listeners would make, and comes back after a
cut as the feed's keeper does: first to the same session, else to a new one with tokens that REST has just vouched for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from tapehub.collector.repair import Request as Repairs
from tapehub.feeds.feed import Event, Repair, Status, StatusKind
from tapehub.feeds.ig.budget import Item, Role, plan_of
from tapehub.feeds.ig.markets import market_of
from tapehub.feeds.ig.protocol import Protocol
from tapehub.feeds.ig.scaling import Scaler
from tapehub.feeds.sim import Channel, Request, Rest, Venue
from tapehub.model.instruments import InstrumentBook
from tests.models.intervals import SECOND

PROTOCOL = "TLCP-2.4.0.lightstreamer.com"
BACK_AFTER_NS = 5 * SECOND
COUNTED = ("U", "SUBOK", "CONF", "EOS", "CS", "OV", "UNSUB")  # data notifications: what a recovery goes on from


class Terminal:
    """Connect, subscribe, decode; `read` gives the events of the feed.

    Attributes:
        heard: updates of tick items as they came over the wire, by symbol.
        requests: what the collector asked for, and when.
    """

    def __init__(self, venue: Venue, epics: Mapping[str, str]) -> None:
        self._venue = venue
        self._rest = Rest(venue)
        self._epics = epics
        self._headers = self._log_in()
        self.protocol = Protocol(tuple(epics), "ig")
        self._items: dict[int, Item] = {}
        self._subscriptions = 0
        self._channel: Channel | None = None
        self._session = ""
        self._notified = 0
        self._back_ns = 0
        self.heard: Counter[str] = Counter()
        self.requests: list[tuple[int, Repairs]] = []
        self._plan = plan_of(40, epics, "SIM01")
        self._assign()
        self._create()

    def read(self, now_ns: int) -> list[Event]:
        """Take what the venue has said up to now."""
        channel = self._channel
        if channel is not None and channel.cut:
            self._venue.tlcp.close(channel)
            self._channel, self._back_ns = None, now_ns + BACK_AFTER_NS
            self._say(StatusKind.DISCONNECTED, f"connection {channel.cut}")
        if self._channel is None and now_ns >= self._back_ns:
            self._come_back()
        elif self._channel is not None:
            self._digest(self._channel.take())
        return self.protocol.take()

    def repair(self, request: Repairs, now_ns: int) -> None:
        """Do what the collector asks for."""
        self.requests.append((now_ns, request))
        if request.step is Repair.RESUBSCRIBE:
            for item in self._plan.items:
                if item.role is Role.TICK and item.symbol in request.symbols:
                    for number in [number for number, known in self._items.items() if known is item]:
                        del self._items[number]
                        self._send(f"control\r\nLS_reqId=0&LS_op=delete&LS_subId={number}&LS_ack=false")
                    self._subscribe([item])
        elif self._channel is not None:
            self._channel.cut = "close"

    # ------------------------------------------------------------ sessions

    def _log_in(self) -> dict[str, str]:
        key = {"X-IG-API-KEY": "demo-key"}
        body = b'{"identifier": "demo", "password": "demo"}'
        reply = self._rest.handle(Request("POST", "/gateway/deal/session", headers={**key, "VERSION": "2"}, body=body))
        assert reply.status == 200, reply
        return {**key, **reply.headers}

    def _assign(self) -> None:
        book = InstrumentBook()
        scalers = {}
        for symbol, epic in self._epics.items():
            request = Request("GET", f"/gateway/deal/markets/{epic}", headers={**self._headers, "VERSION": "3"})
            scalers[symbol] = Scaler(market_of(self._rest.handle(request).body), book.find(symbol))
        self.protocol.assign(self._plan.items, scalers)

    def _create(self) -> None:
        password = f"CST-{self._headers['CST']}|XST-{self._headers['X-SECURITY-TOKEN']}"
        lines = self._open(f"create_session\r\nLS_user=SIM01&LS_send_sync=false&LS_password={password}")
        assert lines[0].startswith("CONOK"), lines
        self._session = lines[0].split(",")[1]
        self._notified = 0
        self._items.clear()
        self._say(StatusKind.CONNECTED, "a new session")
        self._digest(lines[1:])
        self._subscribe(self._plan.items)

    def _come_back(self) -> None:
        lines = self._open(
            f"bind_session\r\nLS_session={self._session}&LS_send_sync=false&LS_recovery_from={self._notified}"
        )
        if lines[0].startswith("CONOK"):
            self._say(StatusKind.CONNECTED, "session recovered: nothing is lost")
            self._digest(lines[1:])
            return
        assert lines[0].startswith("CONERR,20"), lines
        headers = {**self._headers, "VERSION": "1"}
        if self._rest.handle(Request("GET", "/gateway/deal/session", headers=headers)).status == 401:
            self._headers = self._log_in()
        self._create()

    def _open(self, text: str) -> list[str]:
        self._channel = self._venue.tlcp.open("ws", PROTOCOL)
        return self._send(text)

    def _send(self, text: str) -> list[str]:
        assert self._channel is not None
        self._venue.tlcp.receive(self._channel, text)
        return self._channel.take() if text[0] in "cb" and "session" in text[:14] else []

    def _subscribe(self, items: Iterable[Item]) -> None:
        for item in items:
            self._subscriptions += 1
            self._items[self._subscriptions] = item
            adapter = f"&LS_data_adapter={item.adapter}" if item.adapter else ""
            self._send(
                f"control\r\nLS_reqId=1&LS_op=add&LS_subId={self._subscriptions}&LS_mode={item.mode}&LS_ack=false"
                f"&LS_group={item.name}&LS_schema={' '.join(item.fields)}&LS_snapshot=true{adapter}"
            )

    def _say(self, kind: StatusKind, detail: str, symbols: tuple[str, ...] = ()) -> None:
        self.protocol.say(Status(kind, symbols, self._venue.now_ns, detail))

    # ------------------------------------------------------------ lines

    def _digest(self, lines: Iterable[str]) -> None:
        for line in lines:
            kind, _, rest = line.partition(",")
            if kind in COUNTED:
                self._notified += 1
            if kind == "U":
                number, _, values = rest.split(",", 2)
                item = self._items.get(int(number))
                if item is not None:  # else one that was unsubscribed meanwhile
                    if item.role is Role.TICK:
                        self.heard[item.symbol] += 1
                    self.protocol.update(item.name, changes_of(values, item.fields), self._venue.now_ns)
            elif kind == "SUBOK":
                item = self._items.get(int(rest.split(",")[0]))
                if item is not None:
                    self.protocol.subscribed(item.name)
                    if item.role is Role.TICK:
                        self._say(StatusKind.SUBSCRIBED, item.name, (item.symbol,))
            elif kind == "PROG":
                assert int(rest) == self._notified, "the venue goes on where this client was"
            else:
                assert kind not in ("REQERR", "CONERR", "ERROR", "END"), line


def changes_of(values: str, fields: tuple[str, ...]) -> dict[str, str | None]:
    """Decode an update: an empty token is a field unchanged, ``^n`` n of them, ``#`` null, ``$`` an empty text."""
    out: dict[str, str | None] = {}
    at = 0
    for token in values.split("|"):
        if token.startswith("^"):
            at += int(token[1:])
            continue
        if token:
            out[fields[at]] = None if token == "#" else "" if token == "$" else unquote(token)
        at += 1
    assert at == len(fields), f"{values} accounts for {at} of {len(fields)} fields"
    return out
