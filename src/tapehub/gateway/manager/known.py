"""The names in a pickle that are known, and what each becomes: times, numbers and the classes of market data.

Each has a function here that makes the value out of arguments it has checked; nothing is looked up in any module. What
only copies takes little, so that no pickle can have a long list copied again and again.

Source: what CPython's datetime and zoneinfo, numpy 1 and 2, pandas, pytz and dateutil return from `__reduce_ex__(4)`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tapehub.gateway.manager.values import KINDS, BadPickle, Inert, Kind, Known, Record, key_of

__all__ = ["OWN_MODULE", "Token", "symbol_of"]

OWN_MODULE: Final = "tapehub"
_TEXT_MAX = 4096
_FEW = 256
# Which protocols 2 and 3 use for what they mean today.
_OF_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_NUMPY = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H",
          "u1": "B", "b1": "?"}  # fmt: skip
_NS_IN = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, b"ns": 1, b"us": 1_000, b"ms": 1_000_000,
          b"s": 1_000_000_000}  # fmt: skip
_ORDERS = ("<", ">", "|", "=")
_FLAT = (str, int, bytes, type(None))
_PANDAS_UNITS = {7: 1_000_000_000, 8: 1_000_000, 9: 1_000, 10: 1}
_ZONE_CLASS: Final = "zoneinfo.ZoneInfo"


@dataclass(slots=True)
class Token:
    """Name an object of the server, as `multiprocessing.managers.Token` does.

    Attributes:
        state: type id, address, object id.
    """

    state: tuple[Any, ...] = ()

    def take(self, state: Any) -> int:
        """Take what it consists of."""
        if type(state) is not tuple or len(state) != 3 or not (_is_flat(state) or _is_flat(state[::2], state[1])):
            raise BadPickle("a Token has another state than type id, address and object id")
        self.state = state
        return 0


@dataclass(slots=True)
class _Dtype:
    """Say how numpy laid a number out."""

    code: str
    order: str = "<"
    unit_ns: int = 0

    def take(self, state: Any) -> int:
        """Take the byte order, and of a datetime64 its unit."""
        if type(state) is not tuple or len(state) < 2 or type(state[1]) is not str or state[1] not in _ORDERS:
            raise BadPickle("a numpy dtype has a state of another form")
        self.order = state[1] if state[1] in "<>" else "<"
        if self.code == "M8":
            self.unit_ns = _unit_ns(state[8] if len(state) > 8 else None)
        return 0


# A value's type is asked for before its hash or equality: of what a client nested, either can take the C stack.


def _unit_ns(described: Any) -> int:
    unit = described[1] if type(described) is tuple and len(described) == 2 else None
    if (
        type(unit) is not tuple
        or len(unit) != 4
        or not _is_flat(unit)
        or unit[1:] != (1, 1, 1)
        or unit[0] not in _NS_IN
    ):
        raise BadPickle("a datetime64 of another unit than s, ms, us or ns")
    return _NS_IN[unit[0]]


def _is_flat(*parts: Any) -> bool:
    return all(type(part) is tuple and len(part) <= 4 and all(type(one) in _FLAT for one in part) for part in parts)


def symbol_of(module: str, name: str) -> Known | Kind | Inert:
    """Say what a name stands for."""
    module = _OF_PYTHON_2.get(module, module)
    found = _KNOWN.get((module, name))
    if found is not None:
        return found
    if name in KINDS:
        return Kind(name, OWN_MODULE if module in (OWN_MODULE, "tapehub._native") else module)
    return Inert(f"{module}.{name}")


# ---------------------------------------------------------------- time


def _datetime(args: tuple[Any, ...]) -> datetime:
    if len(args) > 2:
        return datetime(*_whole_numbers(args[:7]), tzinfo=_zone(args[7:]))  # type: ignore[misc, arg-type]
    raw = _raw(args[0], 10)
    year, month, day, hour, minute, second = struct.unpack(">H5B", raw[:7])
    # The class itself takes such bytes as they are, were they day 200.
    return datetime(
        year, month & 0x7F, day, hour, minute, second, int.from_bytes(raw[7:], "big"), _zone(args[1:]), fold=month >> 7
    )


def _date(args: tuple[Any, ...]) -> date:
    if len(args) == 3:
        return date(*_whole_numbers(args))
    return date(*struct.unpack(">HBB", _raw(args[0], 4)))


def _time(args: tuple[Any, ...]) -> time:
    hour, minute, second = _raw(args[0], 6)[:3]
    return time(hour & 0x7F, minute, second, int.from_bytes(args[0][3:], "big"), _zone(args[1:]), fold=hour >> 7)


def _span(args: tuple[Any, ...]) -> timedelta:
    return timedelta(*_whole_numbers(args[:3]))


def _fixed_zone(args: tuple[Any, ...]) -> timezone:
    if not isinstance(args[0], timedelta):
        raise BadPickle("a timezone without an offset")
    return timezone(args[0]) if args[0] else UTC


@lru_cache(64)
def _named_zone(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, OSError):
        raise BadPickle("a time zone that this machine does not know") from None


def _zone_info(args: tuple[Any, ...]) -> ZoneInfo:
    return _named_zone(_short(args[0], 64))


def _pytz(args: tuple[Any, ...]) -> tzinfo:
    """Take a zone of pytz: by its name alone, or at an offset, in seconds, that it then had."""
    if len(args) > 1:
        (seconds,) = _whole_numbers(args[1:2])
        return timezone(timedelta(seconds=seconds))
    return _named_zone(_short(args[0], 64))


def _zone(given: tuple[Any, ...]) -> tzinfo | None:
    if not given or given[0] is None:
        return None
    if not isinstance(given[0], tzinfo):
        raise BadPickle("the time zone of a time is none")
    return given[0]


# ---------------------------------------------------------------- numbers


def _dtype(args: tuple[Any, ...]) -> _Dtype:
    code = _short(args[0], 2)
    if code not in _NUMPY and code != "M8":
        raise BadPickle("a numpy value that is neither a number nor a time")
    return _Dtype(code)


def _numpy_value(args: tuple[Any, ...]) -> Any:
    kind, raw = args
    if not isinstance(kind, _Dtype) or type(raw) is not bytes:
        raise BadPickle("a numpy value of another form")
    (value,) = struct.unpack(f"{kind.order}{_NUMPY.get(kind.code, 'q')}", raw)
    if kind.code == "M8":
        return None if value == -(1 << 63) else value * (kind.unit_ns or 1)
    return value


def _pandas_time(args: tuple[Any, ...]) -> int:
    """Take a `pandas.Timestamp`: ns since 1970 UTC, whatever its zone."""
    (value,) = _whole_numbers(args[:1])
    unit = args[3] if len(args) > 3 else 10
    if type(unit) is not int or unit not in _PANDAS_UNITS:
        raise BadPickle("a pandas.Timestamp of another unit")
    return value * _PANDAS_UNITS[unit]


def _decimal(args: tuple[Any, ...]) -> float:
    return float(Decimal(_short(args[0], 64)))


# ---------------------------------------------------------------- containers, classes


def _empty_dict(args: tuple[Any, ...]) -> dict[Any, Any]:
    if args:
        raise BadPickle("an OrderedDict that is not empty at first")
    return {}


def _empty_list(args: tuple[Any, ...]) -> list[Any]:
    if args and (type(args[0]) is not tuple or args[0]):
        raise BadPickle("a deque that is not empty at first")
    return []


def _small_set(args: tuple[Any, ...]) -> frozenset[Any]:
    """Take a set as protocols 2 and 3 write it."""
    (items,) = args
    if type(items) is not list or len(items) > _FEW:
        raise BadPickle(f"a set of more than {_FEW} items, or of none")
    return frozenset(key_of(item) for item in items)


def _bytes(args: tuple[Any, ...]) -> bytes:
    if len(args) != 2 or type(args[1]) is not str or args[1] != "latin1":
        raise BadPickle("an encoding that no pickle has")
    return _short(args[0], _TEXT_MAX).encode("latin-1")


def _no_bytes(args: tuple[Any, ...]) -> bytes:
    """Take empty bytes as protocol 2 writes them."""
    if args:
        raise BadPickle("bytes made by a call")
    return b""


def _instance(args: tuple[Any, ...]) -> Any:
    """Make an object as `cls.__new__(cls, …)` or `copyreg._reconstructor(cls, object, None)` would."""
    kind = args[0]
    if isinstance(kind, Kind):
        rest = args[1:]
        return Record(kind, () if rest and rest[0] is _OBJECT else rest)
    raise BadPickle("an object of a class that is none")


def _attribute(args: tuple[Any, ...]) -> Known | Inert:
    """Look up the one attribute that an honest pickle names so: old Pythons write `ZoneInfo._unpickle` this way."""
    owner, name = args
    if isinstance(owner, Known) and owner.name == _ZONE_CLASS and _short(name, 64) == "_unpickle":
        return owner
    shown = owner.name if isinstance(owner, Known | Kind) else f"a {type(owner).__name__}"
    return Inert(f"builtins.getattr({shown}, {_short(name, 64)!r})")


def _raw(value: Any, size: int) -> bytes:
    if type(value) is str:  # of Python 2, and of protocol 2
        value = value.encode("latin-1")
    if type(value) is not bytes or len(value) != size:
        raise BadPickle(f"a time that is not {size} bytes")
    return value


def _whole_numbers(values: tuple[Any, ...]) -> tuple[int, ...]:
    if not all(type(value) is int for value in values):
        raise BadPickle("a time that is not made of whole numbers")
    return values


def _short(value: Any, size: int) -> str:
    if type(value) is not str or len(value) > size:
        raise BadPickle(f"expected a text of at most {size} characters")
    return value


def _none(args: tuple[Any, ...]) -> Any:
    raise BadPickle("a class is called that is only named")


_OBJECT = Known("builtins.object", _none)


def _table() -> dict[tuple[str, str], Known]:
    rows: list[tuple[str, str, Callable[[tuple[Any, ...]], Any]]] = [
        ("datetime", "datetime", _datetime),
        ("datetime", "date", _date),
        ("datetime", "time", _time),
        ("datetime", "timedelta", _span),
        ("datetime", "timezone", _fixed_zone),
        ("zoneinfo", "ZoneInfo", _zone_info),
        ("zoneinfo", "ZoneInfo._unpickle", _zone_info),
        ("pytz", "_UTC", lambda _: UTC),
        ("pytz", "_p", _pytz),
        ("dateutil.tz.tz", "tzutc", lambda _: UTC),
        ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp", _pandas_time),
        ("numpy", "dtype", _dtype),
        ("numpy.core.multiarray", "scalar", _numpy_value),
        ("numpy._core.multiarray", "scalar", _numpy_value),
        ("decimal", "Decimal", _decimal),
        ("collections", "OrderedDict", _empty_dict),
        ("collections", "deque", _empty_list),
        ("builtins", "set", _small_set),
        ("builtins", "frozenset", _small_set),
        ("builtins", "bytes", _no_bytes),
        ("_codecs", "encode", _bytes),
        ("builtins", "getattr", _attribute),
        ("copyreg", "__newobj__", _instance),
        ("copyreg", "_reconstructor", _instance),
        ("multiprocessing.managers", "Token", lambda _: Token()),
    ]
    table = {(module, name): Known(f"{module}.{name}", make) for module, name, make in rows}
    table["builtins", "object"] = _OBJECT
    return table


_KNOWN: Final = _table()
