"""What can be set about the simulated venue: who may log in, how much they may ask, how its streams behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tapehub.errors import ConfigError

__all__ = ["Account", "Settings"]


@dataclass(frozen=True, slots=True)
class Account:
    """Describe one of the user's accounts; the first of the settings is the preferred one."""

    id: str
    name: str = "Demo-CFD"
    type: Literal["CFD", "SPREADBET"] = "CFD"
    currency: str = "GBP"
    balance: float = 10_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Describe the venue.

    Times are seconds of the simulator's clock, except those of the streaming protocol (in milliseconds), which real
    clients measure by their own watches and which therefore follow a steady clock.

    Attributes:
        token_life_s: of CST and X-SECURITY-TOKEN since their last use.
        oauth_life_s: of a v3 access token; `expires_in` says it as text, as IG does.
        refresh_life_s: of a v3 refresh token.
        encryption_required: refuse a plain password, as for some jurisdictions.
        allowance_*: requests a minute; the application's, the account's non-trading, the account's trading.
        history_points, history_expiry_s: the weekly allowance of candles.
        timezone_offset_h: of the account's local time, which `snapshotTime` and `updateTime` are in.
        subscription_limit: concurrent subscriptions of a connection.
        subscription_limit_code: what one too many is refused with: IG's own number is not published.
        limit_counts_items: count items instead, should a venue do so.
        keepalive_ms: silence after which `PROBE` is sent.
        session_timeout_ms: how long a session without a connection can still be bound or recovered.
        recovery_history: data notifications kept for recovery.
        recovery_overlap: how many more than needed a recovery sends again (the client must skip them).
        pending_max: data notifications that wait for a slow client before its session is ended.
        one_session_per_user: a new stream of the same user ends the older one (END 35).
        refused_protocols: such as ``("TLCP-2.5.0",)``: answered with CONERR 65, as IG did.
        distinct_snapshot: send the last tick as the snapshot of a DISTINCT item.
        heartbeat_s: period of ``TRADE:HB.U.HEARTBEAT.IP``.
        end_of_candle_s: how long after a candle's end its `CONS_END` comes.
        always_open: markets never close, whatever their calendars say (for recordings moved to another day).
    """

    username: str = "demo"
    password: str = field(default="demo", repr=False)
    api_key: str = field(default="demo-key", repr=False)
    accounts: tuple[Account, ...] = (Account("SIM01"), Account("SIM02", "Demo-SpreadBet", "SPREADBET"))
    client_id: str = "100112233"
    token_life_s: float = 6 * 3600.0
    oauth_life_s: float = 60.0
    refresh_life_s: float = 600.0
    encryption_required: bool = False
    allowance_application: int = 60
    allowance_account: int = 30
    allowance_trading: int = 100
    history_points: int = 10_000
    history_expiry_s: float = 604_800.0
    timezone_offset_h: int = 0
    subscription_limit: int = 40
    subscription_limit_code: int = -6
    limit_counts_items: bool = False
    keepalive_ms: int = 5_000
    session_timeout_ms: int = 15_000
    recovery_history: int = 10_000
    recovery_overlap: int = 0
    pending_max: int = 100_000
    request_bytes_max: int = 50_000
    one_session_per_user: bool = False
    refused_protocols: tuple[str, ...] = ()
    distinct_snapshot: bool = True
    heartbeat_s: float = 1.0
    end_of_candle_s: float = 0.0
    always_open: bool = False

    def __post_init__(self) -> None:
        numbers = {
            name: getattr(self, name)
            for name in (
                "token_life_s", "oauth_life_s", "refresh_life_s", "history_expiry_s", "keepalive_ms",
                "session_timeout_ms", "recovery_history", "pending_max", "request_bytes_max", "heartbeat_s",
            )
        }  # fmt: skip
        if bad := {name: value for name, value in numbers.items() if not value > 0}:
            raise ConfigError(f"simulator settings {bad}: expected numbers above 0")
        if not self.accounts:
            raise ConfigError("simulator settings: accounts is empty: expected at least one")

    def account(self, account_id: str) -> Account | None:
        """Look an account up."""
        return next((account for account in self.accounts if account.id == account_id), None)
