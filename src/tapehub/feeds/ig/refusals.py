"""What IG's error codes ask of the caller: the HTTP status alone does not say.

The same 403 stands for a limit that is over in a minute and for one that lasts a week, so the code decides.

Source: IG Labs, REST trading API reference, error codes of each endpoint.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Remedy", "remedy_of", "wait_s"]


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


def remedy_of(code: str, status: int) -> Remedy:
    """Decide by the error code, and by the HTTP status where there is none."""
    if code in _TOKENS:
        return Remedy.LOGIN
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
        return Remedy.LOGIN
    if status in (403, 429) or status >= 500 or status == 0:
        return Remedy.RETRY
    return Remedy.NONE


def wait_s(remedy: Remedy) -> float:
    """Give the shortest sensible wait before the next request of that kind, in seconds."""
    return {Remedy.WAIT_MINUTE: 60.0, Remedy.WAIT_WEEK: 6 * 3600.0, Remedy.RETRY: 1.0}.get(remedy, 0.0)
