"""What the error codes of IG's REST API and of its streaming server ask of the caller.

REST: the HTTP status alone does not say. The same 403 stands for a limit that is over in a minute and for one that
lasts a week, so the code decides.

Sources: IG Labs, REST trading API reference, error codes of each endpoint; TLCP specification, appendix of error codes.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["STREAM_PATIENCE_S", "Remedy", "concerns_one", "is_about_tokens", "remedy_of", "wait_s"]

STREAM_PATIENCE_S: Final = {
    3: 300.0, 60: 300.0, 65: 300.0, 71: 300.0,  # this client is not allowed here: someone has to act
    7: 60.0, 8: 60.0, 9: 60.0, 10: 60.0,  # limits of the server
    35: 30.0,  # replaced by another stream of the same user: two that fight help nobody
}  # fmt: skip
"""Seconds to wait at least after the streaming server has refused a session, by its code."""


class Remedy(Enum):
    """Say what a refused request needs."""

    LOGIN = "log in again"
    ENCRYPT = "send the password encrypted"
    WAIT_MINUTE = "wait for the next minute"
    WAIT_WEEK = "wait for the weekly allowance"
    RETRY = "try again later"
    MEND = "mend the credentials or the account"
    NONE = "the request itself is wrong"


_TOKENS = {
    f"error.security.{code}"
    for code in (
        "oauth-token-invalid", "client-token-invalid", "client-token-missing", "account-token-invalid",
        "account-token-missing",
    )
}  # fmt: skip
_MEND = {
    f"error.security.{code}"
    for code in (
        "invalid-details", "account-access-denied", "account-migrated", "account-not-yet-activated",
        "account-suspended", "client-suspended", "api-key-invalid", "api-key-disabled", "api-key-missing",
        "api-key-restricted", "api-key-revoked",
    )
}  # fmt: skip
_MEND |= {
    f"error.public-api.failure.{code}"
    for code in (
        "kyc.required", "missing.credentials", "pending.agreements.required", "preferred.account.disabled",
        "preferred.account.not.set", "stockbroking-not-supported",
    )
}  # fmt: skip
_MINUTE = {f"error.public-api.exceeded-{what}-allowance" for what in ("api-key", "account", "account-trading")}
_WEEK = "error.public-api.exceeded-account-historical-data-allowance"
_ENCRYPT = "error.public-api.failure.encryption.required"
_NONE = {"unauthorised.access.to.equity.exception"}  # a 403 that says: this account may not see this one market


def remedy_of(code: str, status: int, *, at_login: bool = False) -> Remedy:
    """Decide by the error code, and by the HTTP status where there is none.

    Args:
        at_login: it is the login that was refused. What another login would mend elsewhere, somebody has to mend here:
            repeated logins lock the account.
    """
    if code in _TOKENS:
        return Remedy.MEND if at_login else Remedy.LOGIN
    if code in _NONE:
        return Remedy.NONE
    if code in _MEND:
        return Remedy.MEND
    if code in _MINUTE:
        return Remedy.WAIT_MINUTE
    if code == _WEEK:
        return Remedy.WAIT_WEEK
    if code == _ENCRYPT:
        return Remedy.ENCRYPT
    if status == 401:
        # A code not in the list above, or none: only a login can tell, and its own refusal then decides.
        return Remedy.MEND if at_login else Remedy.LOGIN
    if status in (403, 429) or status >= 500 or status == 0:
        return Remedy.RETRY
    return Remedy.NONE


def concerns_one(code: str, status: int) -> bool:
    """Tell whether a refusal of a request about one market may be that market's alone: IG answered, with no to it.

    No answer at all, tokens and the limits of a minute or a week concern every market.
    """
    return remedy_of(code, status) in (Remedy.NONE, Remedy.RETRY) and status > 0


def wait_s(remedy: Remedy) -> float:
    """Give the shortest sensible wait before the next request of that kind, in seconds."""
    return {Remedy.WAIT_MINUTE: 60.0, Remedy.WAIT_WEEK: 6 * 3600.0, Remedy.RETRY: 1.0}.get(remedy, 0.0)


def is_about_tokens(code: int) -> bool:
    """Tell whether the stream took neither user nor password: 1 by the protocol, 0 and below by IG's adapter."""
    return code == 1 or code <= 0
