"""What can be chosen about the IG feed beside symbols and credentials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Choose; the defaults suit a collector on IG itself. All times in seconds, by a steady clock unless said.

    Attributes:
        session_version: of the REST session: "2" (CST and XST), or "3" (OAuth, which then fetches them).
        reserved_share: part of each REST allowance left to the user's order code.
        assumed_life_s: hub seconds after which tokens are renewed.
        subscriptions_max: a limit of one's own below IG's; None for IG's.
        heartbeat, states, candles: subscribe to the heartbeat, the market states and the venue's 1-minute candles, as
            far as the budget goes.
        status_every_s: between REST questions for the state of markets that no stream tells.
        retry_first_s, retry_ceiling_s: waits before a new connection.
        item_retry_first_s, item_retry_ceiling_s: waits before a refused symbol is tried again.
        login_every_s: a repair by login no sooner than this after the last login.
        barred_first_s, barred_ceiling_s: waits before a login, after one that was refused for good.
        connect_within_s: give a connection up that is not there by then.
        check_every_s: REST is asked whether the tokens still hold at least this often; they can be void at any time.
        lend: let code of the same user borrow the session over a socket.
        lend_unasked_s: what is lent was vouched for no longer ago than this.
        lend_at: the socket's path; None for the usual place.
    """

    session_version: str = "2"
    reserved_share: float = 0.25
    assumed_life_s: float = 5 * 3600.0
    subscriptions_max: int | None = None
    heartbeat: bool = True
    states: bool = True
    candles: bool = True
    status_every_s: float = 60.0
    retry_first_s: float = 1.0
    retry_ceiling_s: float = 120.0
    item_retry_first_s: float = 60.0
    item_retry_ceiling_s: float = 1800.0
    login_every_s: float = 60.0
    barred_first_s: float = 600.0
    barred_ceiling_s: float = 6 * 3600.0
    connect_within_s: float = 20.0
    check_every_s: float = 240.0
    lend: bool = True
    lend_unasked_s: float = 30.0
    lend_at: Path | None = None
