"""Write replies as pickles that a caller's own Python reads with its own classes, none of which need exist here.

`pickle` names a class only after importing it, so the bytes are put together here: plain values opcode by opcode, and
an object of the market as ``NEWOBJ`` of the configured module's class with its attributes in a dictionary, which any
dataclass or plain class takes. Nothing a caller must import but that module and the standard library's datetime.

Protocol 4, read by Python 3.4 and later. The parts that are the same in every reply are put together once, so that 200
candles cost some 0.3 ms here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import ConfigError
from tapehub.gateway.manager.shapes import FIELDS

__all__ = ["OwnWriter", "Writer"]

_HEAD: Final = b"\x80\x04"
_F8: Final = struct.Struct(">d").pack
_I4: Final = struct.Struct("<i").pack
_U4: Final = struct.Struct("<I").pack
# Places in the memo. A reply first puts there what it uses more than once.
_DATETIME, _UTC, _CLASS, _NAMES = 0, 1, 2, 3
_DEPTH_MAX = 32
_PARTS_MAX = 1024


def _text(value: str) -> bytes:
    raw = value.encode(errors="replace")
    return (b"\x8c" + bytes([len(raw)]) if len(raw) < 256 else b"X" + _U4(len(raw))) + raw


def _named(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + b"\x93"


def _kept(place: int, made: bytes) -> bytes:
    return made + b"q" + bytes([place]) + b"0"


_TIMES: Final = _kept(_DATETIME, _named("datetime", "datetime")) + _kept(
    _UTC, _named("datetime", "timezone") + _named("datetime", "timedelta") + b"K\x00\x85R\x85R"
)
_WHEN: Final = b"h" + bytes([_DATETIME]) + b"C\x0a"
_AT_UTC: Final = b"h" + bytes([_UTC]) + b"\x86R"


def _time(value: datetime) -> bytes:
    raw: bytes = value.astimezone(UTC).replace(tzinfo=None).__reduce__()[1][0]  # type: ignore[assignment]
    return _WHEN + raw + _AT_UTC


_ASK, _MID, _SPREAD = (_text(name) + b"G" for name in ("ask", "mid", "spread"))
_TIMESTAMP: Final = _text("timestamp") + _WHEN
_END: Final = _AT_UTC + b"ub\x86."
_LATEST: Final = struct.Struct(f">1sd{len(_ASK)}sd{len(_MID)}sd{len(_SPREAD)}sd{len(_TIMESTAMP)}s10s{len(_END)}s")


class _Form:
    """How the objects of one class are written."""

    def __init__(self, module: str, kind: str) -> None:
        self.names = FIELDS[kind]
        places = {name: _NAMES + at for at, name in enumerate(self.names)}
        self.head = _kept(_CLASS, _named(module, kind)) + b"".join(_kept(places[name], _text(name)) for name in places)
        self.key = {name: b"h" + bytes([place]) for name, place in places.items()}
        self.opened = b"h" + bytes([_CLASS]) + b")\x81}("
        self.closed = b"ub"


class Writer:
    """Write replies. Any number of threads.

    Args:
        module: whose Tick, Candle and OrderFlowMetrics the callers have.
    """

    def __init__(self, module: str) -> None:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(
                f"module of the callers' classes is {module!r}, expected a name such as market_data_models"
            )
        self.module = module
        self._forms = {kind: _Form(module, kind) for kind in FIELDS}
        candle = self._forms["Candle"]
        key = candle.key
        numbers = [_AT_UTC + key["open"] + b"G", *(key[name] + b"G" for name in ("high", "low", "close", "volume"))]
        self._numbers = numbers
        self._candle = struct.Struct(">10s" + "".join(f"{len(part)}sd" for part in numbers))
        self._before: dict[str, bytes] = {}
        self._before_tick: dict[str, bytes] = {}
        self._after: dict[tuple[str, str], bytes] = {}

    def reply(self, kind: str, value: Any) -> bytes:
        """Write ``(kind, value)``, as multiprocessing's server answers.

        Raises:
            TypeError: a value of a type that callers have no class for.
        """
        if type(value) is Tick and kind == "#RETURN":
            return self._latest(value)
        return b"".join((_HEAD, _TIMES, _text(kind), self._value(value, 0), b"\x86."))

    def _latest(self, tick: Tick) -> bytes:
        """Write the reply that is asked for most, each name where it is used."""
        before = self._before_tick.get(tick.symbol)
        if before is None:
            if len(self._before_tick) > _PARTS_MAX:
                self._before_tick.clear()
            before = b"".join(
                (_HEAD, _TIMES, _text("#RETURN"), _named(self.module, "Tick"), b")\x81}(", _text("symbol"),
                 _text(tick.symbol), _text("bid"))
            )  # fmt: skip
            self._before_tick[tick.symbol] = before
        when: Any = tick.timestamp.__reduce__()[1][0]
        return before + _LATEST.pack(
            b"G", tick.bid, _ASK, tick.ask, _MID, tick.mid, _SPREAD, tick.spread, _TIMESTAMP, when, _END
        )

    def _value(self, value: Any, depth: int) -> bytes:
        # Each list of candles, each tick brings the names it uses; what is kept twice is kept in the same place.
        kind = type(value)
        if kind is Tick:
            return self._forms["Tick"].head + self._object(self._forms["Tick"], value)
        if kind is list and value and type(value[0]) is Candle:
            form = self._forms["Candle"]
            return b"".join((form.head, b"](", *(self._candle_bytes(one) for one in value), b"e"))
        if kind is Candle:
            return self._forms["Candle"].head + self._candle_bytes(value)
        if kind is OrderFlowMetrics:
            return self._forms[kind.__name__].head + self._object(self._forms[kind.__name__], value)
        return self._plain(value, depth)

    def _plain(self, value: Any, depth: int) -> bytes:
        if depth > _DEPTH_MAX:
            raise TypeError("a reply is nested too deep")
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int():
                return _whole(value)
            case float():
                return b"G" + _F8(value)
            case str():
                return _text(value)
            case bytes():
                return b"B" + _U4(len(value)) + value
            case datetime():
                return _time(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
            case timedelta():
                parts = (value.days, value.seconds, value.microseconds)
                return _named("datetime", "timedelta") + b"".join(map(_whole, parts)) + b"\x87R"
            case Mapping():
                pairs = (self._plain(key, depth + 1) + self._value(item, depth + 1) for key, item in value.items())
                return b"".join((b"}(", *pairs, b"u"))
            case list():
                return b"".join((b"](", *(self._value(item, depth + 1) for item in value), b"e"))
            case tuple():
                return b"".join((b"(", *(self._value(item, depth + 1) for item in value), b"t"))
            case PurePath():
                return _text(str(value))
            case BaseException():
                shown = (_text(str(item)) for item in value.args)
                return b"".join((_named("builtins", type(value).__name__), b"(", *shown, b"tR"))
        if hasattr(value, "item"):  # a number of numpy
            return self._plain(value.item(), depth + 1)
        raise TypeError(f"a reply holds a {type(value).__name__}, for which callers have no class")

    def _object(self, form: _Form, value: Any) -> bytes:
        parts = [form.opened]
        for name in form.names:
            parts += (form.key[name], self._plain(getattr(value, name), 0))
        return b"".join((*parts, form.closed))

    def _candle_bytes(self, candle: Candle) -> bytes:
        first, second, third, fourth, fifth = self._numbers
        return self._opened(candle.symbol) + self._candle.pack(
            candle.timestamp.__reduce__()[1][0],
            first, candle.open, second, candle.high, third, candle.low, fourth, candle.close, fifth, candle.volume,
        ) + self._closed(candle.source, candle.volume_type)  # fmt: skip

    def _opened(self, symbol: str) -> bytes:
        """Give what stands before the time of a candle."""
        known = self._before.get(symbol)
        if known is None:
            form = self._forms["Candle"]
            if len(self._before) > _PARTS_MAX:
                self._before.clear()
            known = form.opened + form.key["symbol"] + _text(symbol) + form.key["timestamp"] + _WHEN
            self._before[symbol] = known
        return known

    def _closed(self, source: str, volume_type: str) -> bytes:
        """Give what stands after the numbers of a candle."""
        known = self._after.get((source, volume_type))
        if known is None:
            form = self._forms["Candle"]
            if len(self._after) > _PARTS_MAX:
                self._after.clear()
            known = form.key["source"] + _text(source) + form.key["volume_type"] + _text(volume_type) + form.closed
            self._after[source, volume_type] = known
        return known


class OwnWriter(Writer):
    """Write replies for tapehub's own client: its own classes with all they know, and errors by their names."""

    def __init__(self) -> None:
        super().__init__("tapehub")

    def _latest(self, tick: Tick) -> bytes:
        return b"".join((_HEAD, _TIMES, _text("#RETURN"), self._value(tick, 0), b"\x86."))

    def _value(self, value: Any, depth: int) -> bytes:
        kind = type(value)
        if kind is Tick or kind is Candle or kind is OrderFlowMetrics:
            return _named("tapehub", kind.__name__) + self._plain(value.__reduce__()[1], depth + 1) + b"R"
        if isinstance(value, BaseException):
            return self._plain((kind.__name__, str(value)), depth + 1)
        return self._plain(value, depth)


def _whole(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + _I4(value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw
