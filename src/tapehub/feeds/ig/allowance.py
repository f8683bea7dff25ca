"""How many requests IG allows, as IG says it, and the share of them that this process takes.

trading-ig's limiter knows the account's two limits only. It leaves out the limit that all applications of one key
share and the weekly points of history; it sleeps at every login, and its two threads outlive the session. So the
numbers, with trading-ig's margin, are kept here without a thread, and a share is left to the user's order code.

Source: IG Labs, GET /operations/application; trading-ig, `setup_rate_limiter` (the published value less 2).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tapehub.errors import ConfigError

__all__ = ["MARGIN", "Allowances", "Limiter", "allowances_of"]

MARGIN = 2
"""IG refuses sooner than published: the margin that trading-ig found to do."""
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Allowances:
    """Hold the limits of one API key.

    Attributes:
        application: requests a minute, of all accounts with this key.
        account: requests a minute that do not trade.
        trading: requests a minute that trade. No collector trades: all of it is the user's.
        historical_points: candles a week.
        subscriptions: concurrent ones on the one streaming connection.
        as_read: False for the smallest limits ever captured, which hold until the account's own are known.
    """

    application: int = 20
    account: int = 10
    trading: int = 33
    historical_points: int = 10_000
    subscriptions: int = 40
    as_read: bool = False


def allowances_of(reply: Iterable[Mapping[str, Any]], api_key: str) -> Allowances:
    """Read the limits from the list of the user's applications: of this key, else of the only one."""
    rows = list(reply)
    mine = [row for row in rows if row.get("apiKey") == api_key] or (rows if len(rows) == 1 else [])
    if not mine:
        return Allowances()
    row, least = mine[0], Allowances()

    def number(name: str, default: int) -> int:
        value = row.get(name)
        return value if isinstance(value, int) and value > 0 else default

    return Allowances(
        application=number("allowanceApplicationOverall", least.application),
        account=number("allowanceAccountOverall", least.account),
        trading=number("allowanceAccountTrading", least.trading),
        historical_points=number("allowanceAccountHistoricalData", least.historical_points),
        subscriptions=number("concurrentSubscriptionsLimit", least.subscriptions),
        as_read=True,
    )


class Limiter:
    """Count requests of the last minute against what is ours. Any thread.

    Args:
        reserved_share: part of each allowance left to the user's order code, 0 up to 1.
    """

    def __init__(self, allowances: Allowances | None = None, *, reserved_share: float = 0.25) -> None:
        if not 0 <= reserved_share < 1:
            raise ConfigError(
                f"reserved_share is {reserved_share}, expected 0 up to 1: the part of IG's allowance for orders"
            )
        self.reserved_share = reserved_share
        self.allowances = allowances or Allowances()
        self._times: deque[float] = deque()
        self._blocked_until = 0.0
        self._lock = threading.Lock()

    @property
    def per_minute(self) -> int:
        """Give the requests a minute that this process allows itself."""
        published = min(self.allowances.account, self.allowances.application)
        return max(1, int((published - MARGIN) * (1 - self.reserved_share)))

    @property
    def historical_points(self) -> int:
        """Give the points of history a week that are ours."""
        return int(self.allowances.historical_points * (1 - self.reserved_share))

    def take(self, now_s: float, *, must: bool = False) -> float:
        """Count a request that is sent now, or say how long it has to wait.

        Args:
            now_s: of a clock that never steps back.
            must: a login: counted, and not held up, as its own back-off sees to that.

        Returns:
            0.0 when the request may go, else seconds to wait before asking again.
        """
        with self._lock:
            while self._times and self._times[0] <= now_s - _MINUTE_S:
                self._times.popleft()
            wait_s = 0.0
            if not must:
                wait_s = max(0.0, self._blocked_until - now_s)
                if len(self._times) >= self.per_minute:
                    wait_s = max(wait_s, self._times[-self.per_minute] + _MINUTE_S - now_s)
            if wait_s <= 0:
                self._times.append(now_s)
            return wait_s

    def block(self, until_s: float) -> None:
        """Send nothing before then: IG said that an allowance is used up."""
        with self._lock:
            self._blocked_until = max(self._blocked_until, until_s)
