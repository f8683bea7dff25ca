"""What a run is held to: the limits of the gate and of the risk manager, and how the paper broker behaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from tapehub.agents.scales import BLOWN_PIPS, SPREAD_MAX_PIPS, UNITS_STEP
from tapehub.errors import ConfigError, MissingExtra
from tapehub.model.instruments import normalise

try:
    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "agents", "an agent") from error

__all__ = ["BySymbol", "GateLimits", "PaperSettings", "RiskLimits", "RunSettings", "over", "read_settings"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def over(usual: Mapping[str, float]) -> BeforeValidator:
    """Put numbers that are told for single symbols over what is usual.

    The run's first record holds the result, so a replay does not depend on the table of its day.
    """

    def merged(told: object) -> object:
        return {**usual, **{normalise(name): one for name, one in told.items()}} if isinstance(told, dict) else told

    return BeforeValidator(merged)


BySymbol: TypeAlias = dict[str, Annotated[float, Field(gt=0)]]
"""A number for single symbols, in any spelling."""
_BlownPips: TypeAlias = Annotated[BySymbol, over(BLOWN_PIPS)]
_SpreadMaxPips: TypeAlias = Annotated[BySymbol, over(SPREAD_MAX_PIPS)]
_UnitsStep: TypeAlias = Annotated[BySymbol, over(UNITS_STEP)]


class GateLimits(_Frozen):
    """When data are too old or too doubtful to order on; see `gate`.

    Attributes:
        max_age_s: of the last quote, by the log's time.
        ahead_s: how far a quote's own time may be ahead of the time it came.
        frozen_s: the same bid and ask for this long are no market.
        gap_settle_s: after a gap's end: what was worked out from prices has a hole until then.
        blown_pips: a spread beyond this is no quote, whatever the feed's gate thinks of it; `blown_pips_of` says it for
            single symbols, and knows metals, indices, commodities and coins (`scales`).
        late_s: how far a live run may be behind the hub clock when it orders.
    """

    max_age_s: float = Field(default=5.0, gt=0)
    ahead_s: float = Field(default=2.0, ge=0)
    frozen_s: float = Field(default=30.0, gt=0)
    gap_settle_s: float = Field(default=60.0, ge=0)
    blown_pips: float = Field(default=20.0, gt=0)
    blown_pips_of: _BlownPips = Field(default_factory=dict, validate_default=True)
    late_s: float = Field(default=5.0, gt=0)

    def blown(self, symbol: str) -> float:
        """Give the pips beyond which a spread is no quote."""
        return self.blown_pips_of.get(symbol, self.blown_pips)


class RiskLimits(_Frozen):
    """What an account may do; the defaults suit scalping.

    Attributes:
        spread_max_pips: at the moment of the order; `spread_max_pips_of` says it for single symbols, as
            `blown_pips_of` does.
        positions_per_symbol: orders under way count.
        positions_max: of all symbols.
        trades_per_day: positions opened; a day begins at 17:00 New York.
        daily_loss_pct: of the equity the day began with; reached, everything is closed until the next day.
        pause_after_losses: in a row; 0 never pauses.
        pause_min: minutes of the pause.
        hold_max_min: minutes until a position is closed; 0 never closes.
        session_start, session_end, session_zone: wall time in which positions may be opened; both empty is always.
        risk_pct: of the equity that a position sized by its stop may lose.
        units_step: sizes are whole multiples of it; `units_step_of` says it for single symbols.
        units_max: a position's largest size.
        stop_required: an order without a stop is refused.
    """

    spread_max_pips: float = Field(default=1.2, gt=0)
    spread_max_pips_of: _SpreadMaxPips = Field(default_factory=dict, validate_default=True)
    positions_per_symbol: int = Field(default=1, ge=1)
    positions_max: int = Field(default=20, ge=1)
    trades_per_day: int = Field(default=40, ge=1)
    daily_loss_pct: float = Field(default=1.5, gt=0, le=100)
    pause_after_losses: int = Field(default=5, ge=0)
    pause_min: float = Field(default=30.0, ge=0)
    hold_max_min: float = Field(default=20.0, ge=0)
    session_start: str = Field(default="08:00", pattern=r"^(\d\d:\d\d)?$")
    session_end: str = Field(default="20:00", pattern=r"^(\d\d:\d\d)?$")
    session_zone: str = "Europe/London"
    risk_pct: float = Field(default=0.5, gt=0, le=100)
    units_step: float = Field(default=1000.0, gt=0)
    units_step_of: _UnitsStep = Field(default_factory=dict, validate_default=True)
    units_max: float = Field(default=1_000_000.0, gt=0)
    stop_required: bool = True

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        """Refuse half a session: with one end missing, the other would be passed over in silence."""
        if bool(self.session_start) is not bool(self.session_end):
            raise ValueError(
                f"session_start is {self.session_start!r} and session_end {self.session_end!r}: expected both, or "
                "both empty for no session"
            )
        return self

    def spread_max(self, symbol: str) -> float:
        """Give the widest spread to open a position at, in pips."""
        return self.spread_max_pips_of.get(symbol, self.spread_max_pips)

    def step(self, symbol: str) -> float:
        """Give what sizes are whole multiples of."""
        return self.units_step_of.get(symbol, self.units_step)


class PaperSettings(_Frozen):
    """How the paper broker fills.

    Attributes:
        currency, balance: of a new account.
        latency_ms: log time between an order and the first tick it may be filled on.
        good_for_s: what is not filled by then, for want of ticks or of size, is cancelled.
        slippage_pips: against us, on market orders and stops; `slippage_random_pips` adds up to so much by chance.
        depth: fill no more than the quoted size, in steps, where there is one, and the rest on later ticks; what has to
            be closed gets a step of every quote.
        depth_unit: units of the base currency in a quoted size of 1.
        commission_per_million: in the account's currency, of a million of the account's currency traded.
        swap_pct: charged a year on what is open at 17:00 New York, either side, unless `swap_pips` names the symbol.
        swap_pips: long and short, a night; below zero is paid by us. Wednesday counts three.
        margin_pct: of the value of a position, by symbol; `margin_default_pct` of all others.
        close_out_pct: everything is closed when equity is below this share of the margin.
    """

    currency: str = Field(default="USD", pattern=r"^[A-Z]{3,4}$")
    balance: str = Field(default="10000", pattern=r"^\d+(\.\d+)?$")
    latency_ms: float = Field(default=200.0, ge=0)
    good_for_s: float = Field(default=5.0, gt=0)
    slippage_pips: float = Field(default=0.0, ge=0)
    slippage_random_pips: float = Field(default=0.0, ge=0)
    depth: bool = True
    depth_unit: float = Field(default=1.0, gt=0)
    commission_per_million: float = Field(default=0.0, ge=0)
    swap_pct: float = Field(default=2.5, ge=0)
    swap_pips: Annotated[dict[str, tuple[float, float]], over({})] = Field(default_factory=dict)
    margin_pct: Annotated[dict[str, Annotated[float, Field(gt=0, le=100)]], over({})] = Field(default_factory=dict)
    margin_default_pct: float = Field(default=10.0 / 3.0, gt=0, le=100)
    close_out_pct: float = Field(default=50.0, ge=0, le=100)


class RunSettings(_Frozen):
    """Hold all of it."""

    gate: GateLimits = GateLimits()
    risk: RiskLimits = RiskLimits()
    paper: PaperSettings = PaperSettings()


def read_settings(told: dict[str, Any] | None) -> RunSettings:
    """Read settings from plain values.

    Raises:
        ConfigError: one cannot be; the message names it.
    """
    try:
        return RunSettings.model_validate(told or {})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{name}: no such limit; correct it in [agents] or --set") from None
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        raise ConfigError(
            f"{name} is {first['input']!r}, expected {expected}; correct it in [agents] or --set"
        ) from None
