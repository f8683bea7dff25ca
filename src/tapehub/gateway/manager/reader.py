"""Read pickles without ever doing what they say: no import, no call, no object of any class but the values listed.

A pickle is a program. `pickle.Unpickler` runs it, and an allow-list in `find_class` still leaves its interpreter to the
sender: lengths that allocate before they are checked, a memo index of four thousand million, tuples in tuples whose
hash takes for ever or overflows the stack. So the opcodes are read here, one by one, by a machine that can only put
numbers, texts, times, lists and dictionaries together, and of other classes only `Record`s: a kind and attributes.
A name that is not known becomes `Inert`: it stands for itself, whatever the pickle asks of it, and is reported.

What it costs: some 0.2 µs an opcode, so 10 µs a request, 40 µs a tick.

Source: CPython 3.13, Lib/pickletools.py (what each opcode means), protocols 2 to 5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import repeat
from typing import Any

from tapehub.gateway.manager.machine import Machine
from tapehub.gateway.manager.values import BadPickle, Inert, Symbols, key_of

__all__ = ["read"]

_INT_BYTES_MAX = 32
_PROTOCOLS = (2, 3, 4, 5)
_OPCODES_MAX = 6_000_000


def read(data: bytes, symbols: Symbols, *, objects_max: int, opcodes_max: int = _OPCODES_MAX) -> tuple[Any, list[str]]:
    """Read one pickle.

    Args:
        objects_max: containers, memo entries and arguments of calls it may make, so that a byte cannot become a
            kilobyte.
        opcodes_max: it may consist of, so that it is read within a second or two; counted, not timed, so that a busy
            machine refuses nothing that an idle one takes.

    Returns:
        its value, and the names in it that were refused.

    Raises:
        BadPickle: it is none, or holds an opcode or a value that no client of this endpoint sends.
    """
    machine = Machine(data, symbols, objects_max)
    codes = _CODES
    try:
        for _ in repeat(None, opcodes_max):
            code = data[machine.at]
            if code == _STOP:
                break
            machine.at += 1
            codes[code](machine)
        else:
            raise BadPickle(f"it has more than {opcodes_max:,} opcodes")
        (value,) = machine.stack
    except BadPickle:
        raise
    except (IndexError, KeyError, ValueError, TypeError, struct.error, ArithmeticError) as error:
        raise BadPickle(f"byte {machine.at:,} of {len(data):,}: {type(error).__name__}") from None
    if machine.marks:
        raise BadPickle("a mark was left open")
    return value, machine.refused


# ---------------------------------------------------------------- opcodes

_Operation = Callable[[Machine], None]
_STOP = ord(".")
_U1, _U2, _I4, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<i", "<I", "<Q"))
_F8 = struct.Struct(">d").unpack_from


def _refuse(m: Machine) -> None:
    code = m.data[m.at - 1]
    raise BadPickle(f"byte {m.at - 1}: opcode {bytes([code])!r}, which no client of this endpoint sends")


_CODES: list[_Operation] = [_refuse] * 256


def _on(code: bytes) -> Callable[[_Operation], _Operation]:
    def put(operation: _Operation) -> _Operation:
        _CODES[code[0]] = operation
        return operation

    return put


def _constant(code: bytes, value: Any) -> None:
    _CODES[code[0]] = lambda m: m.stack.append(value)


def _number(code: bytes, form: struct.Struct) -> None:
    _CODES[code[0]] = lambda m: m.stack.append(m.unpack(form))


def _text(code: bytes, form: struct.Struct) -> None:
    _CODES[code[0]] = lambda m: m.stack.append(m.take(m.unpack(form)).decode())


def _binary(code: bytes, form: struct.Struct) -> None:
    _CODES[code[0]] = lambda m: m.stack.append(m.take(m.unpack(form)))


def _tuple(code: bytes, count: int) -> None:
    def put(m: Machine) -> None:
        m.spend(1)
        items = tuple(m.stack[-count:])
        if len(items) != count:
            raise BadPickle("a tuple is made of too little")
        m.stack[-count:] = [m.made(items, items)]

    _CODES[code[0]] = put


def _keep(code: bytes, form: struct.Struct) -> None:
    def put(m: Machine) -> None:
        m.spend(1)
        m.memo[m.unpack(form)] = m.stack[-1]

    _CODES[code[0]] = put


def _recall(code: bytes, form: struct.Struct) -> None:
    _CODES[code[0]] = lambda m: m.stack.append(m.memo[m.unpack(form)])


def _made(code: bytes, make: Callable[[], Any], cost: int) -> None:
    def put(m: Machine) -> None:
        m.spend(cost)
        m.stack.append(m.made(make()) if cost else make())

    _CODES[code[0]] = put


_constant(b"N", None)
_constant(b"\x88", True)
_constant(b"\x89", False)
_number(b"M", _U2)
_number(b"J", _I4)
_text(b"X", _U4)
_text(b"\x8d", _U8)
_binary(b"C", _U1)
_binary(b"B", _U4)
_binary(b"\x8e", _U8)
_binary(b"\x96", _U8)
_tuple(b"\x85", 1)
_tuple(b"\x86", 2)
_tuple(b"\x87", 3)
_keep(b"q", _U1)
_keep(b"r", _U4)
_recall(b"j", _U4)
_made(b")", tuple, 0)
_made(b"]", list, 1)
_made(b"}", dict, 1)
_made(b"\x8f", set, 3)


@_on(b"\x80")
def _protocol(m: Machine) -> None:
    number = m.unpack(_U1)
    if number not in _PROTOCOLS:
        raise BadPickle(f"pickle protocol {number}, expected {_PROTOCOLS[0]} to {_PROTOCOLS[-1]}")


@_on(b"\x95")
def _frame(m: Machine) -> None:
    if m.unpack(_U8) > len(m.data) - m.at:
        raise BadPickle("a frame is longer than the message")


@_on(b"\x8a")
def _whole(m: Machine) -> None:
    count = m.unpack(_U1)
    if count > _INT_BYTES_MAX:
        raise BadPickle(f"an integer of {count} bytes, expected at most {_INT_BYTES_MAX}")
    m.stack.append(int.from_bytes(m.take(count), "little", signed=True))


# The five that make up most of a request stand written out: a call less is a third of what each costs.


@_on(b"K")
def _byte(m: Machine) -> None:
    at = m.at
    m.at = at + 1
    m.stack.append(m.data[at])


@_on(b"G")
def _float(m: Machine) -> None:
    at = m.at
    m.at = at + 8
    m.stack.append(_F8(m.data, at)[0])


@_on(b"\x8c")
def _short_text(m: Machine) -> None:
    at = m.at + 1
    m.at = end = at + m.data[at - 1]
    raw = m.data[at:end]
    if len(raw) != end - at:
        raise BadPickle(f"byte {at} of {len(m.data):,}: {end - at} bytes were announced")
    m.stack.append(raw.decode())


@_on(b"h")
def _recalled(m: Machine) -> None:
    at = m.at
    m.at = at + 1
    m.stack.append(m.memo[m.data[at]])


@_on(b"\x94")
def _memoize(m: Machine) -> None:
    m.left -= 1
    if m.left < 0:
        m.spend(0)
    memo = m.memo
    memo[len(memo)] = m.stack[-1]


@_on(b"(")
def _mark(m: Machine) -> None:
    m.spend(1)
    m.marks.append(m.stack)
    m.stack = []


@_on(b"0")
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.to_mark()


@_on(b"1")
def _pop_mark(m: Machine) -> None:
    m.to_mark()


@_on(b"2")
def _again(m: Machine) -> None:
    m.stack.append(m.stack[-1])


@_on(b"t")
def _marked_tuple(m: Machine) -> None:
    m.spend(1)
    items = tuple(m.to_mark())
    m.stack.append(m.made(items, items))


@_on(b"l")
def _marked_list(m: Machine) -> None:
    m.spend(1)
    items = m.to_mark()
    m.stack.append(m.made(items, items))


def _put(m: Machine, target: Any, items: list[Any]) -> None:
    if isinstance(target, Inert):
        return
    if type(target) is not dict or len(items) % 2:
        raise BadPickle(f"items are put into a {type(target).__name__}")
    m.grow(target, items[1::2])
    for at in range(0, len(items), 2):
        target[key_of(items[at])] = items[at + 1]


@_on(b"s")
def _set_item(m: Machine) -> None:
    items = m.stack[-2:]
    del m.stack[-2:]
    _put(m, m.stack[-1], items)


@_on(b"u")
def _set_items(m: Machine) -> None:
    items = m.to_mark()
    _put(m, m.stack[-1], items)


def _extend(m: Machine, target: Any, items: list[Any]) -> None:
    if isinstance(target, Inert):
        return
    if type(target) is not list:
        raise BadPickle(f"items are appended to a {type(target).__name__}")
    m.grow(target, items)
    target.extend(items)


@_on(b"a")
def _append(m: Machine) -> None:
    item = m.stack.pop()
    _extend(m, m.stack[-1], [item])


@_on(b"e")
def _appends(m: Machine) -> None:
    items = m.to_mark()
    _extend(m, m.stack[-1], items)


@_on(b"\x90")
def _add_items(m: Machine) -> None:
    items = m.to_mark()
    target = m.stack[-1]
    if type(target) is not set:
        raise BadPickle(f"items are added to a {type(target).__name__}")
    target.update(key_of(item) for item in items)


@_on(b"\x91")
def _frozen(m: Machine) -> None:
    m.spend(3)
    items = m.to_mark()
    m.stack.append(frozenset(key_of(item) for item in items))


@_on(b"c")
def _global(m: Machine) -> None:
    module = m.line()
    m.find(module, m.line())


@_on(b"\x93")
def _stack_global(m: Machine) -> None:
    name = m.stack.pop()
    m.find(m.stack.pop(), name)


@_on(b"R")
def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


@_on(b"\x81")
def _new(m: Machine) -> None:
    args = m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args)


@_on(b"\x92")
def _new_named(m: Machine) -> None:
    named, args = m.stack.pop(), m.stack.pop()
    m.stack[-1] = m.call(m.stack[-1], args, named)


@_on(b"b")
def _build(m: Machine) -> None:
    state = m.stack.pop()
    m.build(m.stack[-1], state)
