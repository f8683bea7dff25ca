"""IG (forex, indices, commodities): REST by trading-ig, streaming by the official Lightstreamer client.

From the outside in: `feed` is what a collector uses, `keeper` holds its connection, `stream` and `client` the official
client, `protocol` reads item updates (no I/O), `budget` plans subscriptions, `catalogue`, `epics`, `markets` and
`scaling` say which market a symbol is and how its prices read, `account`, `rest`, `allowance` and `refusals` are the
REST session, `credentials` who logs in, `lending` lets the user's other programs share the login.
"""

from __future__ import annotations

from tapehub.feeds.ig.account import Account
from tapehub.feeds.ig.credentials import AccountType, Credentials, find_credentials
from tapehub.feeds.ig.feed import IgFeed
from tapehub.feeds.ig.lending import BorrowedSession
from tapehub.feeds.ig.settings import Settings

__all__ = ["Account", "AccountType", "BorrowedSession", "Credentials", "IgFeed", "Settings", "find_credentials"]
