"""`Context`: what an agent is given to see, to say and to do.

Nothing else is needed; that nothing else is used is a convention, as Python hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tapehub.agents.gate import Verdict
from tapehub.agents.records import AgentRecord, Opinion, Order, Position, Signal
from tapehub.errors import ConfigError
from tapehub.model.instruments import normalise

if TYPE_CHECKING:
    import random

    from tapehub._native import Candle, OrderFlowMetrics, Tick
    from tapehub.agents.account import AccountView
    from tapehub.agents.market import Market

__all__ = ["Context", "order_told"]

_SECOND = 1_000_000_000


class Indicator(Protocol):
    """Be an incremental indicator, such as those of talipp."""

    def add(self, value: Any) -> None: ...


_I = TypeVar("_I", bound=Indicator)


class Doors(Protocol):
    """What a context passes on; the engine is behind it, and shows no more than this."""

    def market(self, symbol: str) -> Market: ...
    def verdict(self, symbol: str) -> Verdict: ...
    def say(self, agent: str, kind: type[Any], told: dict[str, Any]) -> Any: ...
    def order(self, agent: str, told: dict[str, Any]) -> Order: ...
    def close(self, agent: str, position: str, reason: str) -> Order: ...
    def timer(self, agent: str, name: str, first: int, period: int) -> None: ...
    def follow(self, symbol: str, timeframe: str, take: Callable[[Candle], None]) -> None: ...
    def account(self) -> AccountView: ...
    def positions(self, symbol: str | None) -> list[Position]: ...
    def clock(self) -> int: ...
    def behind(self) -> float: ...


class Context:
    """See the market as of the record that is being read; speak and act. Made by the engine, one for each agent.

    Every read is of the log up to that record, so a replay reads the same.
    """

    __slots__ = ("_doors", "agent", "random", "run")

    def __init__(self, doors: Doors, agent: str, run: str, rng: random.Random) -> None:
        self._doors = doors
        self.agent = agent
        self.run = run
        self.random = rng
        """Seeded from the run's first record: draw from no other generator."""

    # ------------------------------------------------------------ see

    @property
    def now(self) -> int:
        """Give the log's time, int64 ns UTC."""
        return self._doors.clock()

    @property
    def time(self) -> datetime:
        """Give the log's time, aware, rounded down to the microsecond."""
        return datetime.fromtimestamp(self.now // 1000 / 1e6, UTC)

    @property
    def behind_s(self) -> float:
        """Say how far the run is behind the head of the log, as last told in the log; 0 when it keeps up."""
        return self._doors.behind()

    def symbols(self, names: Iterable[str]) -> list[str]:
        """Write names of watched instruments as records do, each once."""
        return list(dict.fromkeys(self._doors.market(name).symbol for name in names))

    def pip(self, symbol: str) -> float:
        """Give the size of an instrument's pip in price units; 1.0 where none is declared."""
        return self._doors.market(symbol).pip

    def tick(self, symbol: str) -> Tick | None:
        """Give the last tick of an instrument that the run watches."""
        return self._doors.market(symbol).tick()

    def candles(self, symbol: str, timeframe: str = "1m", limit: int = 100) -> list[Candle]:
        """Give the newest final candles, oldest first; at most 1,024 are kept."""
        market = self._doors.market(symbol).sync()
        series = market.find(timeframe)
        if series is None:
            have = ", ".join(one.frame.name for one in market.series) or "none"
            raise ConfigError(f"agent {self.agent} asked for {timeframe} candles of {symbol}: declared are {have}")
        kept = series.candles
        return list(islice(kept, max(0, len(kept) - limit), None))

    def forming(self, symbol: str, timeframe: str = "1m") -> Candle | None:
        """Give the candle that is not final yet."""
        series = self._doors.market(symbol).sync().find(timeframe)
        return None if series is None else series.forming()

    def order_flow(self, symbol: str) -> OrderFlowMetrics | None:
        """Give the latest order-flow metrics."""
        return self._doors.market(symbol).flow

    def fresh(self, symbol: str) -> Verdict:
        """Ask the gate what it would say to an order now."""
        return self._doors.verdict(symbol)

    def state(self, symbol: str) -> str:
        """Give the state of an instrument's feed: ``live``, ``stale``, …, ``unverified`` when none vouches for it."""
        return self._doors.verdict(symbol).state

    @property
    def account(self) -> AccountView:
        """See balance, equity, margin and what is open."""
        return self._doors.account()

    def positions(self, symbol: str | None = None) -> list[Position]:
        """List what is open, oldest first."""
        name = None if symbol is None else normalise(symbol)
        return self._doors.positions(name)

    def indicator(self, symbol: str, timeframe: str, indicator: _I, take: Callable[[Candle], Any] | None = None) -> _I:
        """Feed an incremental indicator each final candle, from those of the warm-up on, and give it back.

        Args:
            take: what it is fed; default is the close, or the whole candle where the indicator takes one (talipp's
                ``OHLCV``).
        """
        from tapehub.agents.feeding import fed_by

        self._doors.follow(symbol, timeframe, fed_by(indicator, take))
        return indicator

    # ------------------------------------------------------------ say

    def opinion(
        self, symbol: str, side: str, confidence: float, reason: str, ttl_s: float = 60.0, *, of: str = "", **data: Any
    ) -> Opinion:
        """Publish what this agent thinks; other agents hear it."""
        told = {"symbol": symbol, "side": side, "confidence": confidence, "reason": reason, "ttl_s": ttl_s, "of": of}
        made: Opinion = self._doors.say(self.agent, Opinion, {**told, "data": data})
        return made

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
        """Propose a trade. The record says what the gate thinks of the data it stands on."""
        told = {
            "symbol": symbol,
            "side": side,
            "confidence": confidence,
            "reason": reason,
            "stop_pips": stop_pips,
            "target_pips": target_pips,
            "ttl_s": ttl_s,
            "of": of,
            "data": data,
        }
        made: Signal = self._doors.say(self.agent, Signal, told)
        return made

    def log(self, text: str, **data: Any) -> None:
        """Leave a remark in the log."""
        self._doors.say(self.agent, AgentRecord, {"what": "log", "text": text, "data": data})

    # ------------------------------------------------------------ act

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
        """Order at the market, through gate and risk limits.

        Args:
            units: of the base currency; None lets the risk manager size it by the stop.
            signal: takes stop, target, reason and `of` from it where they are not given.

        Returns:
            Order: ``accepted``, or ``refused`` with `code` and `reason`; it never raises for a refusal.
        """
        told = order_told(symbol, side, units, stop_pips, target_pips, reason, of, signal)
        return self._doors.order(self.agent, told)

    def close_position(self, position: Position | str, reason: str = "") -> Order:
        """Close a position at the market, through the gate; also when the kill switch is on.

        Raises:
            ConfigError: it is not open.
        """
        return self._doors.close(self.agent, position if isinstance(position, str) else position.id, reason)

    close = close_position
    """Its older name; a script cannot have it, as its own `close` gives the desk back."""

    def every(self, seconds: float, name: str = "") -> None:
        """Call `on_timer` at each multiple of some seconds, at the first mark that reaches it."""
        period = round(seconds * _SECOND)
        if period < _SECOND:
            raise ConfigError(f"timer {name!r} every {seconds} s: expected 1 s or more, as marks come each second")
        self._doors.timer(self.agent, name, (self.now // period + 1) * period, period)

    def after(self, seconds: float, name: str = "") -> None:
        """Call `on_timer` once, at the first mark that is so much later."""
        self._doors.timer(self.agent, name, self.now + round(seconds * _SECOND), 0)


def order_told(
    symbol: str,
    side: str,
    units: float | None,
    stop_pips: float | None,
    target_pips: float | None,
    reason: str,
    of: str,
    signal: Signal | None,
) -> dict[str, Any]:
    """Put together what a desk is told of an order, from what was given and the signal it stands on."""
    if signal is not None:
        stop_pips = signal.stop_pips if stop_pips is None else stop_pips
        target_pips = signal.target_pips if target_pips is None else target_pips
        reason, of = reason or signal.reason, of or signal.id
    return {
        "symbol": symbol,
        "side": side,
        "units": units,
        "stop_pips": stop_pips,
        "target_pips": target_pips,
        "reason": reason,
        "of": of,
    }
