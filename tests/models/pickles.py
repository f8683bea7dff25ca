"""Malicious and broken requests for the BaseManager endpoint, drawn from a seed."""

import os
import pickle
import random
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.stock.market_data_models import Candle, Tick

METHODS = ("update_tick", "update_candle_1m", "update_order_flow", "get_latest_tick", "get_latest_candles",
           "get_latest_order_flow", "warm_start_candles", "warm_start_all", "get_status", "check_staleness",
           "clear_symbol", "clear_all", "__class__", "#GETVALUE", "__init__", "_close", "close")  # fmt: skip
FUNCTIONS = ("dummy", "create", "incref", "decref", "get_methods", "number_of_objects", "debug_info", "shutdown",
             "accept_connection", "serve_client", "__init__")  # fmt: skip

HONEST: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("get_latest_tick", ("EUR_USD",)),
    ("get_latest_candles", ("EUR_USD", 50)),
    ("get_status", ()),
    ("update_tick", (Tick("EUR_USD", 1.1, 1.2),)),
    ("update_candle_1m", (Candle("EUR_USD", datetime(2025, 6, 2, 12, tzinfo=UTC), 1.1, 1.3, 1.0, 1.2),)),
    ("warm_start_candles", ("EUR_USD", [Candle("EUR_USD", datetime(2025, 6, 2, 13), 1, 1, 1, 1)] * 20)),
    ("clear_symbol", ("EUR_USD",)),
)


class Call:
    """Be a call of any function, when it is unpickled."""

    def __init__(self, function: Any, *args: Any, state: Any = None) -> None:
        self.told = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.told


def evils(canary: Path) -> list[Any]:
    """List objects that would write the canary file, each in a way of its own."""
    command = f"echo executed >> {canary}"
    code = f"open({str(canary)!r}, 'a').write('executed')"
    tick = Tick("EUR_USD", 1.1, 1.2)
    tick.note = Call(os.system, command)  # type: ignore[attr-defined]
    candle = Candle("EUR_USD", datetime(2026, 6, 2, tzinfo=UTC), Call(eval, code), 1, 1, 1)  # type: ignore[arg-type]
    nested: Any = Call(os.system, command)
    for _ in range(20):
        nested = {"a": [(nested,)]}
    return [
        Call(os.system, command),
        Call(eval, code),
        Call(exec, code),
        Call(getattr, Call(__import__, "os"), "system"),
        Call(Call, os.system, command),
        Call(pickle.loads, pickle.dumps(Call(os.system, command))),
        Call(map, eval, [code]),
        Call(Path.write_text, canary, "executed"),
        Call(open, str(canary), "a"),
        Call(Tick, Call(os.system, command), 1.0, 1.0),
        tick,
        candle,
        nested,
    ]


def raw(canary: Path) -> list[bytes]:
    """List pickles that no pickler writes."""
    command = f"echo executed >> {canary}".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    return [
        b"cos\nsystem\n" + text + b"\x85R.",
        b"(" + text + b"ios\nsystem\n.",
        b"(cos\nsystem\n" + text + b"o.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + text + b"\x85R.",
        b"\x80\x02ccopyreg\n_reconstructor\n(cos\nsystem\ncbuiltins\nobject\nNtR}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ccopyreg\n__newobj__\n(cos\nsystem\n" + text + b"tR.",
        b"\x80\x04cbuiltins\ngetattr\ncbuiltins\n__import__\nX\x08\x00\x00\x00__self__\x86R" + text + b"\x85R.",
        b"\x80\x04\x82\x01.",
        b"\x80\x04Pos.system\n.",
        b"\x80\x04})" + b"2\x86" * 60 + b"Ns.",
        b"\x80\x04" + b"]" * 100_000 + b"." * 2,
        b"\x80\x04]" + b"2a" * 1000 + b".",
        b"\x80\x04)" + b"\x85" * 200_000 + b".",
        b"\x80\x04(" * 50_000 + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 60) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        b"\x80\x04Nr\xff\xff\xff\xff.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x04I" + b"9" * 100_000 + b"\n.",
        b"\x80\x04(lp0\n0(dp1\n.",
    ]


TIMESTAMP = b"cpandas._libs.tslibs.timestamps\n_unpickle_timestamp\n"
DTYPE = b"cnumpy\ndtype\n\x8c\x02M8\x85R"


def memo(number: int) -> bytes:
    """Recall a place of the memo."""
    return b"h" + bytes([number])


def chain(opening: bytes, link: bytes, depth: int) -> bytes:
    """Put each of the containers into the one made before it: deep, with a stack of two."""
    made = [b"\x80\x04", opening, b"\x94"]
    for at in range(depth):
        made += [opening, b"\x94", b"j" + struct.pack("<I", at)]
        made += [b"K\x01"] * (link == b"s") + [b"j" + struct.pack("<I", at + 1), link, b"00"]
    return b"".join((*made, b"."))


def deep(depth: int) -> dict[str, bytes]:
    """Name pickles of values so deep that whoever walks them, or hashes or compares them, walks off the C stack."""
    nested = b")" + b"\x85" * depth
    lists = b"](" * depth + b"e" * depth
    tree = b"}(K\x01" * depth + b"N" + b"u" * depth
    of_a_time = b"(K\x04\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00N("
    return {
        "tuple": b"\x80\x04" + nested + b".",
        "marked tuple": b"\x80\x04" + b"(" * depth + b"t" * depth + b".",
        "list": b"\x80\x04" + lists + b".",
        "dict": b"\x80\x04" + tree + b".",
        "list, from its outside": chain(b"]", b"a", depth),
        "dict, from its outside": chain(b"}", b"s", depth),
        "record": b"\x80\x04" + b"cm\nTick\n" * depth + b")" + b"\x81\x85" * depth + b".",
        "states": b"\x80\x04" + b"cm\nTick\n)\x81}K\x01" * depth + b"N" + b"sb" * depth + b".",
        "key": b"\x80\x04}" + nested + b"Ns.",
        "unit of a timestamp": b"\x80\x04" + TIMESTAMP + b"(K\x01NN" + nested + b"tR.",
        "unit of a dtype": b"\x80\x04" + DTYPE + of_a_time + nested + b"K\x01K\x01K\x01t\x86tb.",
        "unit of a dtype, all of it": b"\x80\x04" + DTYPE + of_a_time[:-1] + nested + b"tb.",
        "order of a dtype": b"\x80\x04cnumpy\ndtype\n\x8c\x02f8\x85R(K\x03" + nested + b"tb.",
        "token": b"\x80\x04cmultiprocessing.managers\nToken\n)\x81" + nested + b"NN\x87b.",
        "deque": b"\x80\x04ccollections\ndeque\n(" + nested + b"tR.",
        "latin1": b"\x80\x04c_codecs\nencode\n(\x8c\x01a" + nested + b"tR.",
        "attribute": b"\x80\x04cbuiltins\ngetattr\n(czoneinfo\nZoneInfo\n" + nested + b"tR.",
        "method": b"\x80\x04(\x8c\x07tapehub" + nested + b")}t.",
        "argument": b"\x80\x04(\x8c\x07tapehub\x8c\x0bupdate_tick(" + nested + b"t}t.",
        "named argument": b"\x80\x04(\x8c\x07tapehub\x8c\x0aget_status)}\x8c\x01a" + nested + b"st.",
    }


def costly(times: int) -> dict[str, bytes]:
    """Name pickles in which a few bytes, again and again, ask for much: `times` times."""
    many = b"(" + b"N" * 20_000 + b"t\x940"
    names = b"}(" + b"".join(b"\x8c\x03%03dN" % n for n in range(250)) + b"u\x940"
    more = b"}(" + b"".join(b"\x8c\x03a%02dN" % n for n in range(100)) + b"u\x940"
    text = b"X" + struct.pack("<I", 4000) + b"x" * 4000
    few = b"](" + b"".join(b"K" + bytes([n]) for n in range(250)) + b"e\x85\x940"
    again = memo(1) + memo(0)
    grown = b"h\x00b" + b"h\x01b" * times
    coded = b"\x8c\x06latin1\x86\x940" + b"h\x00h\x01R" * times

    def called(name: bytes) -> bytes:
        return b"\x80\x04" + many + name + b"\x940" + (again + b"R0") * times + b"N."

    return {
        "pytz's UTC of many": called(b"cpytz\n_UTC\n"),
        "dateutil's UTC of many": called(b"cdateutil.tz.tz\ntzutc\n"),
        "a token of many": called(b"cmultiprocessing.managers\nToken\n"),
        "a timestamp of many": called(TIMESTAMP),
        "an object of many": called(b"ccopyreg\n__newobj__\n"),
        "a state again and again": b"\x80\x04" + names + b"cm\nTick\n)\x81" + more + grown + b".",
        "named arguments": b"\x80\x04" + names + b"cm\nTick\n\x940" + b"h\x01)h\x00\x92" * times + b".",
        "bytes of a text": b"\x80\x04c_codecs\nencode\n\x940" + text + coded + b".",
        "sets of a list": b"\x80\x04" + few + b"cbuiltins\nfrozenset\n\x940" + b"h\x01h\x00R" * times + b".",
        "names": b"\x80\x04\x8c\x64" + b"m" * 100 + b"\x940" + b"h\x00h\x00\x93" * times + b".",
        "opcodes": b"\x80\x04" + b"N0" * (40 * times) + b"N.",
    }


class Fuzzer:
    """Draw requests: honest ones, hostile ones, and either with bytes changed."""

    def __init__(self, rng: random.Random, canary: Path) -> None:
        self.rng = rng
        self.values = [*evils(canary), None, 1, -1, 2**70, 1.5, float("nan"), float("inf"), "EUR_USD", "\0", "x" * 5000,
                       b"", [], (), {}, set(), {"tick": 1}, [[]] * 50, Tick("EUR_USD", 1.1, 1.2), Tick("", 0, 0),
                       Tick("EUR_USD", "1", None), datetime(2026, 6, 2), datetime.max, len, Tick]  # type: ignore[arg-type]  # fmt: skip
        self.raw = [*raw(canary), *deep(20_000).values(), *costly(2_000).values()]

    def request(self) -> bytes:
        """Draw one request."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.15:
            data = rng.choice(self.raw)
        elif kind < 0.2:
            data = rng.randbytes(rng.randrange(200))
        else:
            data = pickle.dumps(self._call(), rng.choice((2, 3, 4, 4, 4, 5)))
        if rng.random() < 0.35 and data:
            data = self._spoilt(data)
        return data

    def _call(self) -> Any:
        rng = self.rng
        if rng.random() < 0.3:
            return ("tapehub", *rng.choice(HONEST), {})
        args = tuple(rng.choice(self.values) for _ in range(rng.choice((0, 1, 1, 1, 2, 3))))
        named = {rng.choice(("symbol", "limit", "tick", "x", 5)): rng.choice(self.values)} if rng.random() < 0.2 else {}
        ident = rng.choice(("tapehub",) * 8 + ("tapehub.own", "0", None, 7))
        shape = (ident, rng.choice(METHODS), args, named)
        return shape[: rng.randrange(4)] if rng.random() < 0.03 else shape

    def _spoilt(self, data: bytes) -> bytes:
        rng = self.rng
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(changed) or 1)
            change: Callable[[], None] = rng.choice(
                (
                    lambda at=at: changed.__setitem__(slice(at, at + 1), bytes([rng.randrange(256)])),
                    lambda at=at: changed.__delitem__(slice(at, at + rng.randrange(8))),
                    lambda at=at: changed.__setitem__(slice(at, at), rng.randbytes(rng.randrange(8))),
                    lambda at=at: changed.extend(changed[at : at + 40]),
                )
            )
            change()
        return bytes(changed)
