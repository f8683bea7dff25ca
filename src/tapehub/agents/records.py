"""What agents put into the log, as Python sees it, and its one form as bytes.

Header of every record here: ``ts_event`` is the log time at which it was decided, ``fixed[1]`` the run, ``fixed[2]``
the sequence of the record that caused it and, in the 16 bits above, the ordinal among what that record caused. Together
they are its identity. The payload is JSON, keys in the order of the fields below, what is empty left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias, TypeVar

from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.records import Kind

__all__ = [
    "BUY",
    "SELL",
    "AccountState",
    "AgentRecord",
    "Fill",
    "HaltRecord",
    "Message",
    "Opinion",
    "Order",
    "Output",
    "Position",
    "Signal",
    "cause_word",
    "check_said",
    "decode",
    "identity",
    "split_cause",
]

BUY: Final = "buy"
SELL: Final = "sell"
_SEQ_MASK: Final = (1 << 48) - 1
_ORDINALS: Final = 1 << 16
_TEXT_MAX = 1000
_KEYS: Final = {
    name: name.removesuffix("_ns") for name in ("opened_ns", "day_ns", "paused_ns", "stopped_ns", "owed_ns")
}
"""Fields whose name in the log has no unit: it stays, so that older logs are read and replayed."""


class Output(NamedTuple):
    """Hold one record that a run wants in the log.

    Attributes:
        kind: of the record.
        cause: sequence of the record that caused it.
        ordinal: how many the same record caused before.
        ts: log time, ns UTC.
        symbol: empty when it is of no instrument.
        payload: JSON.
    """

    kind: Kind
    cause: int
    ordinal: int
    ts: int
    symbol: str
    payload: bytes


def identity(run: int, cause: int, ordinal: int) -> str:
    """Give the name of an output, the same in every replay."""
    return f"{run:012x}.{cause}.{ordinal}"


def cause_word(cause: int, ordinal: int) -> int:
    """Pack cause and ordinal into the second number of a record.

    Raises:
        InvalidRecord: one record caused more than 65,536 others.
    """
    if ordinal >= _ORDINALS:
        raise InvalidRecord(f"record {cause} caused {ordinal} outputs, expected below {_ORDINALS}: an endless loop?")
    return cause | ordinal << 48


def split_cause(word: int) -> tuple[int, int]:
    """Give cause and ordinal."""
    return word & _SEQ_MASK, word >> 48


@dataclass(frozen=True, slots=True)
class _Base:
    """Give a record its bytes."""

    KIND: ClassVar[Kind]

    def encode(self) -> bytes:
        told: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value is None or value == "" or value == () or value == {} or (value is False and one.name == "stopped"):
                continue
            if isinstance(value, str):
                value = value[:_TEXT_MAX]
            elif isinstance(value, tuple):
                value = [row.plain() if isinstance(row, _Base) else row for row in value]
            told[_KEYS.get(one.name, one.name)] = value
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it, without what is empty."""
        told: dict[str, Any] = json.loads(self.encode())
        return told


@dataclass(frozen=True, slots=True)
class Opinion(_Base):
    """Say what an agent thinks of an instrument; nobody need act on it.

    Attributes:
        side: ``buy``, ``sell`` or ``flat``.
        confidence: from 0 to 1.
        of: the record it answers, by identity.
        data: numbers behind it, for people.
    """

    KIND: ClassVar[Kind] = Kind.OPINION
    id: str
    agent: str
    symbol: str
    side: str
    confidence: float
    reason: str
    ttl_s: float = 60.0
    of: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signal(_Base):
    """Propose a trade.

    Attributes:
        refused: why the data-age gate would refuse an order on it; empty when it would not.
        judged: what the gate saw, see `gate.Verdict`.
    """

    KIND: ClassVar[Kind] = Kind.SIGNAL
    id: str
    agent: str
    symbol: str
    side: str
    confidence: float
    reason: str
    stop_pips: float | None = None
    target_pips: float | None = None
    ttl_s: float = 60.0
    of: str = ""
    refused: str = ""
    judged: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order(_Base):
    """Say what became of an order: one record for each step of its life.

    Attributes:
        id: of the order, the same in all its records.
        status: ``requested`` (by a script, for the desk named), ``accepted``, ``refused``, ``expired``, ``cancelled``.
        what: ``open`` or ``close``.
        units: of the base currency.
        reason: why, as the agent said it, or why it was refused.
        code: the first word of a refusal: ``stale``, ``spread``, ``halted``, …
        judged: what it was judged by: ``clock`` (ns, the reading), ``by`` (``log``, or ``hub`` for a look at the
            hub), age, state, quote.
        position: identity of the position that a closing order is about.
    """

    KIND: ClassVar[Kind] = Kind.ORDER
    id: str
    agent: str
    symbol: str
    side: str
    status: str
    units: float | None = None
    what: str = "open"
    stop_pips: float | None = None
    target_pips: float | None = None
    reason: str = ""
    code: str = ""
    of: str = ""
    position: str = ""
    desk: str = ""
    judged: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Tell whether it is on its way to the broker."""
        return self.status == "accepted"


@dataclass(frozen=True, slots=True)
class Fill(_Base):
    """Say what an order, a stop or a target came to.

    Attributes:
        order: identity of the order; of a stop or target, of the order that opened the position.
        why: ``market``, ``stop``, ``target``, ``held``, ``margin``, ``daily-loss``, ``halt``, ``agent``.
        price: what was paid; never better than the quote.
        bid, ask, quote_seq: of the tick it was filled on.
        slip_pips: how much worse than the quote.
        pips, profit, rate: of a close: pips won, booked profit in the account's currency, and the rate it was
            converted at.
        commission, spread_cost, slip_cost: what the fill cost, in the account's currency: half the spread, and the
            slippage, are part of the price.
    """

    KIND: ClassVar[Kind] = Kind.FILL
    id: str
    agent: str
    symbol: str
    side: str
    what: str
    why: str
    units: float
    price: float
    bid: float
    ask: float
    quote_seq: int
    order: str
    position: str
    slip_pips: float = 0.0
    left: float = 0.0
    pips: float | None = None
    profit: str = ""
    rate: str = ""
    commission: str = ""
    spread_cost: str = ""
    slip_cost: str = ""
    balance: str = ""


@dataclass(frozen=True, slots=True)
class Position(_Base):
    """Hold what is open.

    Attributes:
        price: average of what was paid.
        opened_ns: log time of the first fill.
        swap, earned: booked of it so far, in the account's currency; earned includes the swaps.
        stopped: its stop was reached, and works on until all is closed.
        owed_ns: the first 17:00 New York whose swap is not booked yet, for want of a rate; else left out.
    """

    KIND: ClassVar[Kind] = Kind.ACCOUNT
    id: str
    symbol: str
    side: str
    units: float
    price: float
    opened_ns: int
    stop: float | None = None
    target: float | None = None
    swap: str = ""
    order: str = ""
    agent: str = ""
    earned: str = ""
    stopped: bool = False
    owed_ns: int | None = None


@dataclass(frozen=True, slots=True)
class AccountState(_Base):
    """Hold a paper account after a change: what a new run begins with.

    Attributes:
        balance: money, as text; so are the other sums.
        why: what changed: ``open: …``, ``close: …``, ``swap``, ``day``; ``minute`` while something is open; ``end``.
        day_ns: beginning of the trading day (17:00 New York); trades belong to it.
        day_equity: what the daily loss is measured from.
        losing: losses in a row.
        paused_ns: no orders before this.
        stopped_ns: the day's loss was reached, in the trading day that begins then.
        equity, day_equity: left out while something is open that no quote values.
        marks: bid and ask of what is open, and of the pairs that convert it: a new run values by them until it has
            quotes of its own.
        owed_ns: the first of its positions'; alone, as earlier versions wrote it, it holds for all of them.
    """

    KIND: ClassVar[Kind] = Kind.ACCOUNT
    id: str
    account: str
    currency: str
    balance: str
    why: str
    positions: tuple[Position, ...] = ()
    day_ns: int = 0
    day_equity: float = 0.0
    trades: int = 0
    losing: int = 0
    paused_ns: int = 0
    stopped_ns: int = 0
    equity: float | None = None
    margin: float | None = None
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    owed_ns: int | None = None


@dataclass(frozen=True, slots=True)
class AgentRecord(_Base):
    """Say something of a run.

    Attributes:
        what: ``start``, ``stop``, ``log``; not decided by the run itself: ``behind``, ``error``, and
            ``end``, by which somebody asks it to end.
        data: of a start: all that the run is a function of, see `run.Run`.
    """

    KIND: ClassVar[Kind] = Kind.AGENT
    id: str
    agent: str
    what: str
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HaltRecord(_Base):
    """Stop all agents' orders, or let them go on.

    Attributes:
        halted: False resumes.
        flatten: close what is open.
        by: who said so.
    """

    KIND: ClassVar[Kind] = Kind.HALT
    halted: bool
    reason: str = ""
    flatten: bool = False
    by: str = ""


def check_said(agent: str, kind: type[Any], told: dict[str, Any]) -> None:
    """Refuse a side or a confidence that means nothing."""
    sides = ("buy", "sell", "flat") if kind is Opinion else ("buy", "sell")
    if told["side"] not in sides or not 0 <= told["confidence"] <= 1:
        raise ConfigError(
            f"agent {agent}: {kind.__name__.lower()} with side {told['side']!r}, confidence {told['confidence']!r}: "
            f"expected {', '.join(sides)} and a number from 0 to 1"
        )


Message: TypeAlias = Opinion | Signal | Order | Fill | AccountState | AgentRecord | HaltRecord
_T = TypeVar("_T", bound=_Base)
_CLASSES: dict[int, type[Any]] = {
    int(one.KIND): one for one in (Opinion, Signal, Order, Fill, AccountState, AgentRecord, HaltRecord)
}


def decode(kind: int, payload: bytes) -> Message:
    """Read a record of an agent; fields that this version does not know are passed over.

    Raises:
        InvalidRecord: it is none.
    """
    made = _CLASSES.get(int(kind))
    if made is None:
        raise InvalidRecord(f"kind {kind} is no record of an agent: expected one of {sorted(_CLASSES)}")
    try:
        told = json.loads(payload)
        if made is AccountState:
            told["positions"] = tuple(_made(Position, row) for row in told.get("positions", ()))
            told["marks"] = {name: tuple(quote) for name, quote in told.get("marks", {}).items()}
        message: Message = _made(made, told)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRecord(f"a record of kind {Kind(kind).name.lower()} that cannot be read: {error}") from None
    return message


def _made(made: type[_T], told: dict[str, Any]) -> _T:
    known = {_KEYS.get(one.name, one.name): one.name for one in fields(made)}
    return made(**{known[name]: value for name, value in told.items() if name in known})
