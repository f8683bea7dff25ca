"""`attach`: signals and orders of a plain script, through the same gate, limits and paper broker as an agent's.

    import tapehub
    from tapehub.agents import attach

    with attach(tapehub.connect(), "my-script", symbols=["EUR_USD"]) as desk:
        order = desk.order("EUR_USD", "buy", stop_pips=5, target_pips=8, reason="I say so")

What a script asks for is written into the log as a request; the desk takes it up when it reads it there. So a run of
a script can be decided again like any other.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tapehub.agents.agent import Agent
from tapehub.agents.context import order_told
from tapehub.agents.desk import checked
from tapehub.agents.gate import Verdict, judge
from tapehub.agents.records import Opinion, Order, Position, Signal, cause_word, check_said, decode
from tapehub.agents.runner import Runner, look_at
from tapehub.errors import ConfigError, HubError
from tapehub.hub import blobs
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.agents.account import AccountView
    from tapehub.agents.records import Output
    from tapehub.agents.settings import RunSettings
    from tapehub.hub import DataHub

__all__ = ["Script", "attach", "opine"]

_SPEC = "tapehub.agents.agent:Agent"


def attach(
    hub: DataHub, name: str, symbols: Sequence[str], *, settings: RunSettings | None = None, timeout_s: float = 5.0
) -> Script:
    """Open a desk for a script. Close it when done, or use it as a context manager.

    Args:
        name: of the script and its account: the account goes on where the last run of that name left it.
        symbols: what may be traded.
        timeout_s: how long `Script.order` waits for the desk's word.

    Raises:
        HubHeld: another process has a desk of that name on this hub.
    """
    return Script(hub, name, symbols, settings, timeout_s)


def opine(
    hub: DataHub,
    name: str,
    symbol: str,
    side: str,
    confidence: float,
    reason: str,
    ttl_s: float = 60.0,
    *,
    of: str = "",
    **data: Any,
) -> tuple[int, Opinion]:
    """Publish what somebody outside of any run thinks of an instrument; agents hear it. No desk is needed: it acts not.

    Its cause is the latest record of the instrument, which is what whoever says it can have seen.

    Returns:
        the sequence of the record, and what it says.

    Raises:
        ConfigError: another side than buy, sell or flat, or a confidence that is not from 0 to 1.
    """
    check_said(name, Opinion, {"side": side, "confidence": confidence})
    known = hub._names.canonical(symbol)
    made = Opinion(_new_id(name), name, known, side, confidence, reason, ttl_s, of, data)
    return _write(hub, made, cause=hub.snapshot(known, "1m", 0).seq), made


class Script:
    """Speak and act for a script. Any number of threads.

    A thread of its own reads the log; it ends with `close`, and open positions stay with the account.
    """

    def __init__(
        self, hub: DataHub, name: str, symbols: Sequence[str], settings: RunSettings | None, timeout_s: float
    ) -> None:
        self._hub = hub
        self._name = name
        self._timeout_s = timeout_s
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._answers: dict[str, Order] = {}
        self._failed: BaseException | None = None

        def made() -> list[Agent]:
            return [Agent(symbols=tuple(symbols), timeframes=(), warmup=0)]

        self._runner = Runner(hub, made(), [_SPEC], name=name, settings=settings, make=made, heard=self._hear)
        self._thread = threading.Thread(target=self._read, name=f"desk of {name}", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ see

    def fresh(self, symbol: str) -> Verdict:
        """Ask the gate what it would say to an order now: by the hub clock, with a look at the hub itself.

        The log's time stands still where nothing is published, and by it the last tick would stay as young as it was.
        """
        hub, runner = self._hub, self._runner
        with self._changed:
            engine = runner.engine
            market, now = engine.market(symbol), max(engine.now, hub.now())
            verdict = judge(market, now, runner.run.settings.gate)
            found = look_at(hub, runner.run, market.symbol, now) if verdict.ok else None
        return verdict if found is None else verdict.refused(*found)

    @property
    def account(self) -> AccountView:
        """See balance, equity, margin and what is open."""
        with self._changed:
            return self._runner.engine.account()

    def positions(self, symbol: str | None = None) -> list[Position]:
        """List what is open, oldest first."""
        name = None if symbol is None else self._hub._names.canonical(symbol)
        with self._changed:
            return self._runner.engine.positions(name)

    @property
    def run(self) -> str:
        """Give the id of the desk's run."""
        return self._runner.run.id

    # ------------------------------------------------------------ say and act

    def opinion(
        self, symbol: str, side: str, confidence: float, reason: str, ttl_s: float = 60.0, *, of: str = "", **data: Any
    ) -> Opinion:
        """Publish what this script thinks; agents hear it."""
        return opine(self._hub, self._name, symbol, side, confidence, reason, ttl_s, of=of, **data)[1]

    def signal(
        self,
        symbol: str,
        side: str,
        confidence: float,
        reason: str,
        stop_pips: float | None = None,
        target_pips: float | None = None,
        ttl_s: float = 60.0,
        *,
        of: str = "",
        **data: Any,
    ) -> Signal:
        """Propose a trade; agents hear it. The record says what the gate thinks of the data it stands on.

        Raises:
            ConfigError: another side than buy or sell, or a confidence that is not from 0 to 1.
        """
        check_said(self._name, Signal, {"side": side, "confidence": confidence})
        verdict = self.fresh(symbol)
        made = Signal(
            _new_id(self._name),
            self._name,
            self._hub._names.canonical(symbol),
            side,
            confidence,
            reason,
            stop_pips,
            target_pips,
            ttl_s,
            of,
            refused=verdict.reason,
            judged=verdict.plain(),
            data=data,
        )
        _write(self._hub, made)
        return made

    def order(
        self,
        symbol: str,
        side: str,
        units: float | None = None,
        *,
        stop_pips: float | None = None,
        target_pips: float | None = None,
        reason: str = "",
        of: str = "",
        signal: Signal | None = None,
    ) -> Order:
        """Ask the desk for an order, and wait for its word: ``accepted``, or ``refused`` with `code` and `reason`.

        The desk's order answers the request (`Order.of`), and the request what is given as `of`.

        Args:
            units: of the base currency; None lets the risk manager size it by the stop.
            signal: takes stop, target, reason and `of` from it where they are not given.

        Raises:
            ConfigError: it makes no sense, whatever the market.
            HubError: the desk has not come to the request in time, or has failed; the request stands in the log.
        """
        name = self._hub._names.canonical(symbol)
        self._runner.engine.market(name)
        told = order_told(name, side, units, stop_pips, target_pips, reason, of, signal)
        checked(told)  # what the desk raised would end the run, and that of each start to come
        return self._ask(
            Order(
                _new_id(self._name),
                self._name,
                name,
                side,
                "requested",
                units,
                stop_pips=told["stop_pips"],
                target_pips=told["target_pips"],
                reason=told["reason"],
                of=told["of"],
                desk=self._name,
            )
        )

    def close_position(self, position: Position | str, reason: str = "") -> Order:
        """Ask the desk to close a position, and wait for its word, as `order` does.

        Raises:
            ConfigError: it is not open.
            HubError: as of `order`.
        """
        wanted = position if isinstance(position, str) else position.id
        held = next((one for one in self.positions() if one.id == wanted), None)
        if held is None:
            raise ConfigError(
                f"no position {wanted!r} is open: expected one of {sorted(one.id for one in self.positions())}"
            )
        return self._ask(
            Order(
                _new_id(self._name),
                self._name,
                held.symbol,
                "sell" if held.side == "buy" else "buy",
                "requested",
                what="close",
                reason=reason,
                position=wanted,
                desk=self._name,
            )
        )

    def _ask(self, request: Order) -> Order:
        _write(self._hub, request)
        with self._changed:
            there = self._changed.wait_for(lambda: request.id in self._answers or self._failed, self._timeout_s)
            if self._failed is not None:
                raise HubError(f"the desk of {self._name} has ended: {self._failed}") from self._failed
            if not there:
                raise HubError(
                    f"the desk of {self._name} has not come to the request in {self._timeout_s:g} s: {request.id}; "
                    "it stands in the log, and may be accepted yet"
                )
            return self._answers.pop(request.id)

    # ------------------------------------------------------------ the desk's thread

    def _read(self) -> None:
        try:
            while not self._stop.is_set() and not self._runner.engine.end_wanted:
                reader = self._runner.reader
                assert reader is not None
                self._hub._wait(reader.position, 100_000_000, 0)  # without the lock: others may look meanwhile
                with self._changed:
                    self._runner.step(0)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, HubError):
                self._runner.fail(error)
            with self._changed:
                self._failed = error
                self._changed.notify_all()

    def _hear(self, output: Output) -> None:
        if output.kind == Kind.ORDER:
            told = decode(output.kind, output.payload)
            if isinstance(told, Order) and told.status in ("accepted", "refused") and told.of:
                self._answers[told.of] = told
                self._changed.notify_all()

    def close(self) -> None:
        """End the run; what is open stays with the account."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        try:
            if self._failed is None:
                with self._changed:
                    self._runner.end()
        finally:
            self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _new_id(name: str) -> str:
    return f"{name}.{secrets.token_hex(6)}"


def _write(hub: DataHub, made: Opinion | Order | Signal, cause: int = 0) -> int:
    def publish(flags: int, payload: bytes, incarnation: int) -> int:
        instrument, source = hub._channels()[hub._names.primary(made.symbol)]
        return hub._publish_record(
            int(made.KIND), hub.now(), fixed2=cause_word(cause, 0), instrument=instrument, source=source, flags=flags,
            payload=payload, incarnation=incarnation,
        )  # fmt: skip

    return blobs.keep(hub, made.encode(), publish)
