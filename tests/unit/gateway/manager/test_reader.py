"""Reading pickles: every honest value comes as it was sent, and nothing else comes to anything."""

import collections
import contextlib
import enum
import functools
import operator
import os
import pickle
import pickletools
import random
import struct
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from multiprocessing.managers import Token
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub import Candle, Tick
from tapehub.gateway.manager.known import symbol_of
from tapehub.gateway.manager.reader import read
from tapehub.gateway.manager.shapes import NotOfShape, candle_of, tick_of
from tapehub.gateway.manager.values import BadPickle, Inert, Record

WHEN = datetime(2026, 6, 2, 12, 0, 30, 123456, tzinfo=UTC)
each_protocol = pytest.mark.parametrize("protocol", [2, 3, 4, 5])


def taken(value: object, protocol: int = 4) -> Any:
    found, refused = read(pickle.dumps(value, protocol), symbol_of, objects_max=10_000)
    assert not refused
    return found


keys = st.text() | st.integers(-(2**60), 2**60) | st.none() | st.booleans() | st.binary()
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)) | st.datetimes() | st.timedeltas() | st.dates() | st.times()
    | st.sets(keys, max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner, inner, inner),
    max_leaves=20,
)  # fmt: skip


@given(value=plain, protocol=st.integers(2, 5))
def test_every_plain_value_comes_as_it_was_sent(value: object, protocol: int) -> None:
    assert taken(value, protocol) == value


@each_protocol
@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (WHEN.astimezone(ZoneInfo("Asia/Tokyo")), WHEN),
        (WHEN.astimezone(timezone(timedelta(hours=-3))), WHEN),
        (datetime(2026, 6, 2, fold=1), datetime(2026, 6, 2, fold=1)),
        (time(1, 2, 3, tzinfo=UTC), time(1, 2, 3, tzinfo=UTC)),
        (date(2026, 6, 2), date(2026, 6, 2)),
        (np.float64(1.25), 1.25),
        (np.float32(0.5), 0.5),
        (np.int64(-5), -5),
        (np.uint8(200), 200),
        (np.bool_(True), True),
        (np.datetime64("2026-06-02T12:00:00", "us"), 1_780_401_600_000_000_000),
        (pd.Timestamp("2026-06-02T12:00:00Z"), 1_780_401_600_000_000_000),
        (pd.Timestamp("2026-06-02T12:00:00"), 1_780_401_600_000_000_000),
        (pd.Timestamp("2026-06-02T21:00:00", tz="Asia/Tokyo"), 1_780_401_600_000_000_000),
        (Decimal("1.15154"), 1.15154),
        (collections.OrderedDict(a=1, b=2), {"a": 1, "b": 2}),
        (collections.deque([1, 2], 5), [1, 2]),
        (bytearray(b"ab"), b"ab"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_libraries_come_as_numbers_and_times(sent: object, value: object, protocol: int) -> None:
    if isinstance(sent, bytearray) and protocol < 5:
        pytest.skip("written as a call of bytearray before protocol 5")
    assert taken(sent, protocol) == value


def test_a_token_names_its_object() -> None:
    assert taken(Token("DataHub", ("127.0.0.1", 1), "tapehub")).state == ("DataHub", ("127.0.0.1", 1), "tapehub")


# ---------------------------------------------------------------- callers' own classes


def foreign(make: Callable[[], type], name: str = "Tick") -> type:
    """Make a class that pickle finds in a module of its own."""
    module = sys.modules.setdefault("market_data_models", types.ModuleType("market_data_models"))
    made = make()
    made.__module__, made.__qualname__, made.__name__ = module.__name__, name, name
    setattr(module, name, made)
    return made


@pytest.fixture(autouse=True)
def no_such_module() -> Iterator[None]:
    yield
    sys.modules.pop("market_data_models", None)


def plain_class() -> type:
    class Mine:
        def __init__(self, symbol: str, bid: float, ask: float) -> None:
            self.symbol, self.bid, self.ask, self.timestamp = symbol, bid, ask, WHEN
            self.note = "a remark of the caller's"

    return Mine


def data_class(**options: bool) -> Callable[[], type]:
    def make() -> type:
        @dataclass(**options)  # type: ignore[call-overload]
        class Mine:
            symbol: str
            bid: float
            ask: float
            mid: float = 0.0
            spread: float = 0.0
            timestamp: datetime = field(default=WHEN)

        return Mine

    return make


def named_tuple() -> type:
    class Mine(NamedTuple):
        symbol: str
        bid: float
        ask: float
        mid: float = 0.0
        spread: float = 0.0
        timestamp: datetime = WHEN

    return Mine


def with_arguments() -> type:
    class Mine:
        def __new__(cls, *args: object, **named: object) -> Any:
            return super().__new__(cls)

        def __init__(self, symbol: str, bid: float, ask: float) -> None:
            self.given = {"symbol": symbol, "bid": bid, "ask": ask, "timestamp": WHEN}

        def __getnewargs_ex__(self) -> Any:
            return (), self.given

        def __getstate__(self) -> Any:
            return None

    return Mine


@each_protocol
@pytest.mark.parametrize(
    "make",
    [
        plain_class,
        data_class(),
        data_class(frozen=True),
        data_class(slots=True),
        data_class(slots=True, frozen=True),
        named_tuple,
        with_arguments,
    ],
    ids=["class", "dataclass", "frozen", "slots", "slots-frozen", "namedtuple", "newargs"],
)
def test_a_callers_tick_is_taken_by_its_shape(make: Callable[[], type], protocol: int) -> None:
    mine = foreign(make)("EUR_USD", 1.1, 1.2)
    if make is with_arguments and protocol < 4:
        pytest.skip("written through functools.partial before protocol 4, which is refused")
    record = taken(mine, protocol)
    del sys.modules["market_data_models"]
    assert isinstance(record, Record)
    assert tick_of(record) == Tick("EUR_USD", 1.1, 1.2, timestamp=WHEN)


@each_protocol
def test_our_own_classes_keep_what_they_know(protocol: int) -> None:
    candle = Candle("EUR_USD", WHEN, 1.1, 1.3, 1.0, 1.2, 5.0, "ig", "real", coverage=0.5, revision=3)
    assert candle_of(taken(candle, protocol)).to_dict() == candle.to_dict()
    assert tick_of(taken(Tick("A", 1, 2).to_dict(), protocol)) == Tick("A", 1, 2)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"symbol": "A", "bid": 1.0}, "without ask"),
        ({"symbol": "A", "bid": 1.0, "ask": [1.0]}, "ask of a Tick is a list"),
        ({"symbol": "A" * 300, "bid": 1.0, "ask": 1.0}, "300 characters"),
    ],
)
def test_an_object_of_another_shape_is_refused_by_what_it_lacks(state: dict[str, Any], told: str) -> None:
    mine = foreign(plain_class)("A", 1.0, 1.0)
    mine.__dict__.clear()
    mine.__dict__.update(state)
    with pytest.raises(NotOfShape, match=told):
        tick_of(taken(mine))
    with pytest.raises(NotOfShape, match="expected a Candle, got a market_data_models"):
        candle_of(taken(mine))


# ---------------------------------------------------------------- what is refused


class Evil:
    """Ask for a call when it is unpickled."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.told = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.told


class Colour(enum.Enum):
    RED = 1


@each_protocol
@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (Evil(os.system, "true"), "posix.system"),
        (Evil(eval, "1"), "builtins.eval"),
        (Evil(exec, "1"), "builtins.exec"),
        (Evil(__import__, "os"), "builtins.__import__"),
        (Evil(getattr, "x", "upper"), "builtins.getattr(a str, 'upper')"),
        (Evil(getattr, ZoneInfo, "from_file"), "builtins.getattr(zoneinfo.ZoneInfo, 'from_file')"),
        (Evil(operator.attrgetter, "a.b"), "operator.attrgetter"),
        (Evil(functools.partial, print), "functools.partial"),
        (Evil(type, "X", (), {}), "builtins.type"),
        (Evil(Path, "x"), "pathlib.Path"),
        (Evil(pickle.loads, b"."), "_pickle.loads pickle.loads"),
        (uuid.UUID(int=1), "uuid.UUID"),
        (Colour.RED, f"{__name__}.Colour"),
        (Exception("x"), "builtins.Exception exceptions.Exception"),
        (np.arange(3), "numpy._core.multiarray._reconstruct numpy._core.numeric._frombuffer"),
        (print, "builtins.print"),
        (collections.defaultdict(list), "collections.defaultdict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_listed_is_named_and_stays_a_name(evil: object, name: str, protocol: int) -> None:
    names = [name] if "(" in name else name.split()  # by protocol
    foreign(plain_class)
    mine = sys.modules["market_data_models"].Tick("EUR_USD", evil, 1.2)  # type: ignore[attr-defined]
    for sent in (evil, [evil], {"a": (evil,)}, mine):
        _, refused = read(pickle.dumps(sent, protocol), symbol_of, objects_max=1000)
        assert any(one.replace("__builtin__", "builtins") in names for one in refused), refused


def test_a_refused_name_swallows_whatever_is_done_with_it() -> None:
    # system("x"), then its result called, filled, built and extended.
    data = b"cposix\nsystem\n(X\x01\x00\x00\x00xtR)R)\x81}(K\x01K\x02ub}b(K\x01eK\x01K\x02sK\x01a."
    found, refused = read(data, symbol_of, objects_max=100)
    assert isinstance(found, Inert)
    assert refused == ["posix.system"]


def bomb(depth: int) -> bytes:
    """Nest tuples, each the next one's two halves: 2**depth leaves in a few bytes, as a dictionary's key."""
    return b"\x80\x04})" + b"2\x86" * depth + b"Ns."


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "IndexError"),
        (b".", "ValueError"),
        (b"\x80\x04N", "IndexError"),
        (b"\x80\x00N.", "protocol 0"),
        (b"\x80\x09N.", "protocol 9"),
        (b"(NN.", "ValueError"),
        (b"(N.", "mark was left open"),
        (b"I1\n.", "opcode"),
        (b"(i__builtin__\nlist\n.", "opcode"),
        (b"Pid\n.", "opcode"),
        (b"NQ.", "opcode"),
        (b"\x82\x01.", "opcode"),
        (b"\x97.", "opcode"),
        (b"h\x00.", "KeyError"),
        (b"X\xff\xff\xff\xffab.", "4,294,967,295 bytes were announced"),
        (b"\x8d" + b"\xff" * 8 + b"ab.", "bytes were announced"),
        (b"\x96" + b"\xff" * 8 + b"ab.", "bytes were announced"),
        (b"\x95" + b"\xff" * 8 + b"N.", "frame"),
        (b"\x8a\xff" + b"\x01" * 255 + b".", "integer of 255 bytes"),
        (b"X\x01\x00\x00\x00\xff.", "UnicodeDecodeError"),
        (bomb(10), "a tuple is a key"),
        (b"}GP\x00\x00\x00\x00\x00\x00\x00Ns.", "a float is a key"),
        (b"}\x8a\x09" + b"\x01" * 9 + b"Ns.", "a int is a key"),
        (b"\x8f(]\x90.", "a list is a key"),
        (b"]K\x01b.", "a state is given to a list"),
        (b"K\x01)R.", "calls a int"),
        (b"cdatetime\ndatetime\n]R.", "arguments of a call are no tuple"),
        (b"cdatetime\ndatetime\n(C\x0a\x07\xea\x06\xc8\x0c\x00\x1e\x00\x00\x00tR.", "ValueError"),
        (b"cdatetime\ndatetime\n(C\x03abctR.", "not 10 bytes"),
        (b"cbuiltins\nobject\n)R.", "only named"),
        (b"K\x01K\x02\x93.", "named by what is no name"),
        (b"c" + b"a" * 600 + b"\nb\n.", "ValueError"),
        (b"cdecimal\nDecimal\n(X\x01\x00\x00\x00xtR.", "InvalidOperation"),
        (b"ccollections\ndeque\n(](K\x01etR.", "not empty at first"),
    ],
)  # fmt: skip
def test_bytes_that_no_client_sends_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadPickle, match=why):
        read(data, symbol_of, objects_max=1000)


@pytest.mark.parametrize("unit", [b"]", b"}", b"\x8f", b"(", b"N\x85", b"N\x94", b"Nq\x01", b"(t", b"(\x91"])
def test_one_byte_does_not_become_a_hundred_without_end(unit: bytes) -> None:
    with pytest.raises(BadPickle, match="more objects than a message may"):
        read(b"\x80\x04" + unit * 5000 + b".", symbol_of, objects_max=1000)


def test_a_memo_place_costs_nothing_whatever_its_number() -> None:
    assert read(b"\x80\x04Nr\xff\xff\xff\xff.", symbol_of, objects_max=10) == (None, [])


def test_tuples_in_tuples_are_read_and_never_walked() -> None:
    found, _ = read(b"\x80\x04)" + b"\x85" * 90 + b".", symbol_of, objects_max=1000)
    assert type(found) is tuple
    found, _ = read(b"\x80\x04)" + b"2\x86" * 90 + b".", symbol_of, objects_max=1000)
    with pytest.raises(NotOfShape, match="got a value of type tuple"):
        tick_of(found)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadPickle):
        read(data, symbol_of, objects_max=1000)


def test_any_order_of_opcodes_is_read_or_refused() -> None:
    rng = random.Random(4)
    codes = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
    names = [b"cdatetime\ndatetime\n", b"cm\nTick\n", b"cos\nsystem\n", b"cnumpy\ndtype\n", b"\x8c\x01a", b"K\x05",
             b"C\x0a" + bytes(10), b"G" + struct.pack(">d", 1.0)]  # fmt: skip
    read_ones = 0
    for _ in range(20_000):
        data = b"\x80\x04" + b"".join(rng.choice(codes + names * 4) for _ in range(rng.randrange(1, 25))) + b"."
        try:
            read(data, symbol_of, objects_max=1000)
            read_ones += 1
        except BadPickle:
            pass
    assert read_ones > 100
