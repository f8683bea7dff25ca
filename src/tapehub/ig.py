"""For code that trades at IG: the session of the collector that runs already, instead of a login of one's own.

import tapehub.ig

session = tapehub.ig.session()
service = session.service()          # a trading_ig.IGService, logged in
service.create_open_position(...)
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from tapehub.feeds.ig.lending import BorrowedSession, borrow, socket_path

__all__ = ["BorrowedSession", "session"]


def session(
    account_type: str = "demo",
    *,
    path: str | PathLike[str] | None = None,
    failed: BorrowedSession | None = None,
) -> BorrowedSession:
    """Borrow the session of this user's running collector: tokens, active account, endpoints.

    The collector leaves a share of each REST allowance alone (`reserved_share`), which is then the caller's. Ask again
    when IG answers 401, with the session that failed: the collector renews the tokens, and gives the latest.

    Args:
        account_type: demo or live: whose collector.
        path: of the collector's socket, when it was told another than the usual one.
        failed: a session borrowed before that IG refuses now.

    Raises:
        FeedError: no collector of this user lends a session.
    """
    return borrow(Path(path) if path is not None else socket_path(account_type), failed)
