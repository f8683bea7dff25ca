"""A small venue for tests: known ticks, a clock that is moved by hand, the official client with all it reported."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lightstreamer.client import LightstreamerClient, Subscription

from tapehub.feeds.feed import Guarantees, Quotes, RecordedFeed
from tapehub.feeds.quotes import empty_quotes
from tapehub.feeds.sim import RecordedSource, Request, Rest, Venue

SECOND = 1_000_000_000
MONDAY = 1_780_315_200 * SECOND  # 2026-06-01 12:00 UTC, in trading hours
EUR = "CS.D.EURUSD.CFD.IP"
YEN = "CS.D.USDJPY.CFD.IP"
TICK = f"CHART:{EUR}:TICK"
MINUTE = f"CHART:{EUR}:1MINUTE"
KEY = {"X-IG-API-KEY": "demo-key"}
WAIT_S = 20.0


class Ticks(RecordedFeed):
    """Known ticks: (symbol, seconds after MONDAY, bid, ask)."""

    def __init__(self, rows: Iterable[tuple[str, float, float, float]]) -> None:
        self.name = "known"
        self.guarantees = Guarantees(ordered=True, merged=True, repeatable=True)
        self.rows = sorted(rows, key=lambda row: row[1])
        self.symbols = tuple(dict.fromkeys(row[0] for row in self.rows))

    def batches(self) -> Iterator[Quotes]:
        records = empty_quotes(len(self.rows))
        for record, (symbol, at_s, bid, ask) in zip(records, self.rows, strict=True):
            record["ts_event"] = MONDAY + round(at_s * SECOND)
            record["bid"], record["ask"] = bid, ask
            record["instrument"] = self.symbols.index(symbol)
        yield Quotes(records, self.symbols, ("known",) * len(self.symbols))


def rising(count: int = 120, symbol: str = "EUR_USD") -> Ticks:
    """Make a tick a second: the bid rises by a pip with each, the spread is 0.6 pips."""
    return Ticks(
        (symbol, second, round(1.1 + second / 1e4, 5), round(1.10006 + second / 1e4, 5)) for second in range(count)
    )


def source(rows: Ticks | None = None) -> RecordedSource:
    """Make a source of known ticks."""
    return RecordedSource(rows or rising())


def login(rest: Rest, version: int = 2) -> dict[str, str]:
    """Log in without sockets, and give the headers of what follows."""
    body = b'{"identifier": "demo", "password": "demo"}'
    reply = rest.handle(Request("POST", "/gateway/deal/session", headers={**KEY, "VERSION": str(version)}, body=body))
    assert reply.status == 200, reply
    if version < 3:
        return {**KEY, **reply.headers}
    return {**KEY, "Authorization": f"Bearer {reply.body['oauthToken']['access_token']}", "IG-ACCOUNT-ID": "SIM01"}


def stream_password(venue: Venue, account: str = "SIM01") -> str:
    """Log in behind the scenes, and give the password of streams."""
    made = venue.tokens.issue(account, oauth=False)
    return f"CST-{made.cst}|XST-{made.xst}"


class Official:
    """The official client, connected, with all it reported."""

    def __init__(self, url: str, password: str, user: str = "SIM01", **options: Any) -> None:
        self.client = LightstreamerClient(url, None)
        self.client.connectionDetails.setUser(user)
        self.client.connectionDetails.setPassword(password)
        # A second after the last line instead of five: the client itself sees no socket close.
        for name, value in ({"StalledTimeout": 200, "ReconnectTimeout": 300} | options).items():
            getattr(self.client.connectionOptions, f"set{name}")(value)
        self.statuses: list[str] = []
        self.errors: list[tuple[int, str]] = []
        self.updates: list[tuple[str, bool, dict[str, str | None]]] = []
        self.snapshots_ended: list[str] = []
        self.subscribed = 0
        self.refused: list[int] = []
        self._changed = threading.Condition()
        self.client.addListener(_ClientListener(self))

    def __enter__(self) -> "Official":
        self.client.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.until(lambda: self.status == "DISCONNECTED", "disconnected")

    def subscribe(self, mode: str, items: list[str], fields: list[str], adapter: str | None = None) -> Subscription:
        subscription = Subscription(mode, items, fields)
        subscription.setRequestedSnapshot("yes")
        if adapter:
            subscription.setDataAdapter(adapter)
        subscription.addListener(_SubscriptionListener(self))
        self.client.subscribe(subscription)
        return subscription

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until the client reported something."""
        end = time.monotonic() + WAIT_S
        with self._changed:
            while not reached():
                left = end - time.monotonic()
                assert left > 0, f"not {what} within {WAIT_S} s: {self.statuses} {self.errors} {self.updates[-3:]}"
                self._changed.wait(min(left, 0.05))

    @property
    def status(self) -> str:
        return self.statuses[-1] if self.statuses else ""

    def column(self, field: str) -> list[str | None]:
        return [values[field] for _, _, values in self.updates]

    def note(self, where: list[Any], what: Any) -> None:
        with self._changed:
            where.append(what)
            self._changed.notify_all()


class _ClientListener:
    def __init__(self, owner: Official) -> None:
        self._owner = owner

    def onStatusChange(self, status: str) -> None:
        self._owner.note(self._owner.statuses, status)

    def onServerError(self, code: int, message: str) -> None:
        self._owner.note(self._owner.errors, (code, message))

    def __getattr__(self, name: str) -> Any:
        return _ignore(name)


class _SubscriptionListener:
    def __init__(self, owner: Official) -> None:
        self._owner = owner

    def onItemUpdate(self, update: Any) -> None:
        row = (update.getItemName(), update.isSnapshot(), dict(update.getFields()))
        self._owner.note(self._owner.updates, row)

    def onEndOfSnapshot(self, item: str, position: int) -> None:
        self._owner.note(self._owner.snapshots_ended, item)

    def onSubscription(self) -> None:
        self._owner.subscribed += 1

    def onSubscriptionError(self, code: int, message: str) -> None:
        self._owner.note(self._owner.refused, code)

    def __getattr__(self, name: str) -> Any:
        return _ignore(name)


def _ignore(name: str) -> Any:
    if name.startswith("on"):
        return lambda *_: None
    raise AttributeError(name)
