"""Kraken's WebSocket v2 ticker without sockets or clocks: bytes and receive times in, events and bytes to send out.

Rules are cited as [ticker], [heartbeat], [status], [ping]: pages of the same names below docs.kraken.com,
"Spot WebSocket v2". What only captures show is marked [seen].
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Event, Malformed, MarketStatus, Quotes, Status, StatusKind, empty_quotes
from tapehub.feeds.instants import rfc3339_ns
from tapehub.model.instruments import InstrumentBook

__all__ = ["SOURCE", "Protocol", "venue_symbol"]

SOURCE = "kraken"
_SIZE_MAX = 3.4e38  # sizes are stored as float32
_REQUESTS_MAX = 64  # whose answers may still come
_BEAT_NS = 1_000_000_000
# [status]: in the first two nothing is matched, so silence means nothing. That the engine runs does not say that the
# market of a pair trades (it does at weekends too, thinly): that is left to the calendar.
_IS_OPEN = {"maintenance": False, "cancel_only": False, "post_only": None, "online": None}


def venue_symbol(symbol: str) -> str:
    """Give Kraken's v2 name of a pair: ``EUR_USD`` is ``EUR/USD``, and bitcoin is ``BTC``, no longer ``XBT``.

    Raises:
        ConfigError: the instrument is no pair of two currencies or assets.
    """
    name = symbol.replace("_", "/")
    if len(name.split("/")) != 2 or not all(name.split("/")):
        raise ConfigError(f"instrument {symbol!r}: Kraken lists pairs, expected one like EUR_USD or BTC_USD")
    return name


class Protocol:
    """Speak the ticker channel for some instruments. One connection after the other, one thread.

    A message that cannot be read is a `Malformed` event, never an exception. A quote without the venue's time is one
    too: when it was made is not known (a snapshot may be of Friday), and the time it came is not that.

    Args:
        symbols: any of the instruments' names.

    Raises:
        ConfigError: an instrument Kraken cannot have, or one given twice.
    """

    def __init__(self, symbols: Iterable[str], book: InstrumentBook | None = None) -> None:
        names = (book or InstrumentBook()).name
        self.symbols = tuple(names(symbol) for symbol in symbols)
        self._index = {venue_symbol(symbol): index for index, symbol in enumerate(self.symbols)}
        if len(self._index) != len(self.symbols) or not self.symbols:
            raise ConfigError(f"instruments {', '.join(self.symbols) or 'none'}: expected at least one, each once")
        self._sources = (SOURCE,) * len(self.symbols)
        self._requests: dict[int, tuple[str, ...]] = {}
        self._request = 0
        self._outgoing: list[bytes] = []
        self._beat_ns = 0

    def opened(self, ts_recv: int) -> list[Event]:
        """Begin a connection: nothing of the one before counts any more, and everything is subscribed anew."""
        self._requests.clear()
        self._outgoing.clear()
        self._ask("subscribe", self.symbols)
        return [Status(StatusKind.CONNECTED, self.symbols, ts_recv)]

    def resubscribe(self, symbols: Sequence[str] = ()) -> None:
        """Give up some subscriptions and ask for them again; all when none are named."""
        chosen = tuple(symbol for symbol in self.symbols if symbol in symbols) if symbols else self.symbols
        if chosen:
            self._ask("unsubscribe", chosen)
            self._ask("subscribe", chosen)

    def ping(self) -> None:
        """Ask for a pong, which comes also when nothing is subscribed and no heartbeat flows [ping]."""
        self._outgoing.append(_encoded({"method": "ping", "req_id": self._next_request()}))

    def to_send(self) -> list[bytes]:
        """Take the messages that are to be sent, in order, one a frame."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def receive(self, data: bytes, ts_recv: int) -> list[Event]:
        """Read one message.

        Args:
            data: one frame's payload.
            ts_recv: when it came, ns UTC.
        """
        try:
            # A float is the double nearest to the decimal text, so the same text is always the same price, and no
            # arithmetic follows that could let it drift. A Decimal would end in the same double.
            message = json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            return [Malformed(data, f"no JSON: {error}", ts_recv)]
        if not isinstance(message, dict):
            return [Malformed(data, f"a JSON {type(message).__name__}, expected an object", ts_recv)]
        channel = message.get("channel")
        if channel == "ticker":
            # The venue leaves heartbeats out while anything else flows [heartbeat]; those that watch for them need not
            # know that.
            beat = self._beat(ts_recv, "ticker") if abs(ts_recv - self._beat_ns) >= _BEAT_NS else []
            return self._ticker(message, data, ts_recv) + beat
        if channel == "heartbeat":
            return self._beat(ts_recv)
        if channel == "status":
            return self._status(message, data, ts_recv)
        if channel is not None:
            return [Malformed(data, f"channel {channel!r} was not asked for", ts_recv)]
        return self._reply(message, data, ts_recv)

    # ------------------------------------------------------------ what we say

    def _ask(self, method: str, symbols: tuple[str, ...]) -> None:
        """Ask for the top of the book on every change of it, not only on trades, which is the default [ticker]."""
        params: dict[str, Any] = {
            "channel": "ticker",
            "symbol": [venue_symbol(symbol) for symbol in symbols],
            "event_trigger": "bbo",
        }
        if method == "subscribe":
            params["snapshot"] = True
        request = self._next_request()
        self._requests[request] = symbols
        while len(self._requests) > _REQUESTS_MAX:
            del self._requests[next(iter(self._requests))]
        self._outgoing.append(_encoded({"method": method, "params": params, "req_id": request}))

    def _next_request(self) -> int:
        self._request += 1
        return self._request

    # ------------------------------------------------------------ what the venue says

    def _ticker(self, message: Mapping[str, Any], data: bytes, ts_recv: int) -> list[Event]:
        rows = message.get("data")
        if not isinstance(rows, list) or not rows:
            return [Malformed(data, "ticker without data", ts_recv)]
        records = empty_quotes(len(rows))
        faults: list[Event] = []
        count = 0
        for row in rows:
            try:
                quote = self._quote(row)
            except ValueError as error:  # the others in the message are good
                faults.append(Malformed(data, str(error), ts_recv, self._symbol_of(row)))
                continue
            index, ts_event, bid, ask, bid_size, ask_size = quote
            records[count] = (ts_event, ts_recv, bid, ask, bid_size, ask_size, index)
            count += 1
        quotes: list[Event] = [Quotes(records[:count], self.symbols, self._sources)] if count else []
        return quotes + faults

    def _symbol_of(self, row: Any) -> str:
        """Name the instrument of a row, also of one that cannot be read; empty where it names none that is ours."""
        name = row.get("symbol") if isinstance(row, dict) else None
        index = self._index.get(name) if isinstance(name, str) else None
        return "" if index is None else self.symbols[index]

    def _quote(self, row: Any) -> tuple[int, int, float, float, float, float]:
        if not isinstance(row, dict):
            raise ValueError(f"ticker row is a {type(row).__name__}, expected an object")
        name = row.get("symbol")
        index = self._index.get(name) if isinstance(name, str) else None
        if index is None:
            raise ValueError(f"ticker of {name!r}, which was not asked for")
        stamp = row.get("timestamp")
        if not isinstance(stamp, str):
            raise ValueError(f"ticker of {name} has no timestamp: when it was quoted is not known")
        try:
            ts_event = rfc3339_ns(stamp)
        except ValueError:
            raise ValueError(f"ticker of {name}: timestamp {stamp!r}, expected RFC 3339") from None
        bid, ask = (_number(row, key, name) for key in ("bid", "ask"))
        sizes = [_number(row, key, name) for key in ("bid_qty", "ask_qty")]
        if not all(0 <= size <= _SIZE_MAX for size in sizes):
            raise ValueError(f"ticker of {name}: sizes {sizes}, expected 0 or more")
        return index, ts_event, bid, ask, sizes[0], sizes[1]

    def _status(self, message: Mapping[str, Any], data: bytes, ts_recv: int) -> list[Event]:
        """Read the state of the trading engine, sent on connecting and when it changes [status]."""
        rows = message.get("data")
        row = rows[-1] if isinstance(rows, list) and rows else None
        word = row.get("system") if isinstance(row, dict) else None
        if not isinstance(word, str):
            return [Malformed(data, "status without the state of the system", ts_recv)]
        return [MarketStatus(self.symbols, _IS_OPEN.get(word), ts_recv, word)]

    def _reply(self, message: Mapping[str, Any], data: bytes, ts_recv: int) -> list[Event]:
        """Read the answer to a request: one for each symbol [ticker]; an error names it beside itself [seen]."""
        method, error = message.get("method"), message.get("error")
        if method == "pong":
            return self._beat(ts_recv, "pong")
        if method == "unsubscribe":
            return []  # done, or there was nothing to give up; the subscribe that was sent with it says what came of it
        if method != "subscribe" and not isinstance(error, str):
            return [Malformed(data, f"method {method!r} is not known", ts_recv)]
        result = message.get("result")
        name = result.get("symbol") if isinstance(result, dict) else message.get("symbol")
        if isinstance(name, str) and name not in self._index:
            return [Malformed(data, f"answer about {name!r}, which was not asked for", ts_recv)]
        symbols = (self.symbols[self._index[name]],) if isinstance(name, str) else self._asked(message.get("req_id"))
        # Asked for twice: what was wanted holds all the same [seen].
        if message.get("success") is True or error == "Already subscribed":
            return [Status(StatusKind.SUBSCRIBED, symbols, ts_recv, error or "")]
        return [Status(StatusKind.REFUSED, symbols, ts_recv, str(error or "refused without a reason"))]

    def _beat(self, ts_recv: int, what: str = "") -> list[Event]:
        self._beat_ns = ts_recv
        return [Status(StatusKind.HEARTBEAT, (), ts_recv, what)]

    def _asked(self, request: Any) -> tuple[str, ...]:
        """Give the symbols of a request; all when the answer does not say which one it answers."""
        return self._requests.get(request, self.symbols) if isinstance(request, int) else self.symbols


def _number(row: Mapping[str, Any], key: str, name: Any) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"ticker of {name}: {key} is {value!r}, expected a number")
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


def _encoded(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
