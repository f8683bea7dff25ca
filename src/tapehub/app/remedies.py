"""What to do about a venue's refusal, by its code; each text continues a sentence.

Source: IG Labs, REST trading API reference, error codes; TLCP specification, appendix of error codes.
"""

from __future__ import annotations

__all__ = ["for_good", "remedy"]

_WRONG = (
    "user name or password is wrong: correct IG_USERNAME and IG_PASSWORD, and mind that repeating it locks the account"
)
_KEY = "correct IG_API_KEY; DEMO and LIVE have keys of their own, so check IG_ACC_TYPE too"
_ASK = "log in to IG's site and see to the account"
_TOKENS = "the session is over: the collector logs in again by itself"
_MINUTE = "that limit is over in a minute, and the collector waits for it"

_REMEDIES = {
    "error.security.invalid-details": _WRONG,
    "error.public-api.failure.missing.credentials": _WRONG,
    "error.security.api-key-invalid": _KEY,
    "error.security.api-key-disabled": _KEY,
    "error.security.api-key-missing": _KEY,
    "error.security.api-key-restricted": _KEY,
    "error.security.api-key-revoked": _KEY,
    "error.security.account-access-denied": "IG_ACC_NUMBER is not this user's: correct it",
    "error.security.account-migrated": _ASK,
    "error.security.account-not-yet-activated": _ASK,
    "error.security.account-suspended": _ASK,
    "error.security.client-suspended": _ASK,
    "error.public-api.failure.kyc.required": _ASK,
    "error.public-api.failure.pending.agreements.required": "log in to IG's site and accept what it asks for",
    "error.public-api.failure.preferred.account.disabled": "choose another preferred account on IG's site",
    "error.public-api.failure.preferred.account.not.set": "choose a preferred account on IG's site",
    "error.public-api.failure.stockbroking-not-supported": "IG_ACC_NUMBER is a share-dealing account: name a CFD one",
    "error.security.client-token-invalid": _TOKENS,
    "error.security.client-token-missing": _TOKENS,
    "error.security.account-token-invalid": _TOKENS,
    "error.security.account-token-missing": _TOKENS,
    "error.security.oauth-token-invalid": _TOKENS,
    "error.public-api.exceeded-api-key-allowance": f"all programs that use this API key count: {_MINUTE}",
    "error.public-api.exceeded-account-allowance": _MINUTE,
    "error.public-api.exceeded-account-trading-allowance": _MINUTE,
    "error.public-api.exceeded-account-historical-data-allowance": (
        "the points of this week are spent; history waits, ticks need none"
    ),
    "stream 1": "it did not take the session's tokens: the collector logs in again by itself",
    "stream 2": "it knows no such adapter set: update tapehub",
    "stream 3": "it speaks another protocol: update tapehub",
    "stream 35": "another program of the same user took the stream over: one collector for each login",
    "stream 48": "the session reached its longest duration: the collector makes a new one by itself",
    "stream 60": "this client version is not allowed: install lightstreamer-client-lib 1.0.3",
    "stream 65": (
        "it refuses the client's protocol version: install lightstreamer-client-lib 1.0.3, which speaks TLCP 2.4.0"
    ),
    "stream 71": "its licence does not allow this client",
    "item 17": "the data adapter is not known",
    "item 21": "the epic is not known there: find the right one with tapehub ig search",
    "item 23": "the fields are not known there: update tapehub",
    "item -1": "the account or its permissions do not allow it",
}  # fmt: skip
_STREAM_FOR_GOOD = ("2", "3", "60", "65", "71")


def remedy(code: str) -> str:
    """Say what to do; empty for an item's code that is not known, what helps in general for others."""
    if code in _REMEDIES:
        return _REMEDIES[code]
    if code.startswith("item "):
        return ""
    return "the collector tries again by itself"


def for_good(stage: str, code: str) -> bool:
    """Tell whether waiting does not cure a refusal."""
    from tapehub.feeds.ig.refusals import Remedy, remedy_of

    if stage == "stream":
        return code in _STREAM_FOR_GOOD
    return stage == "credentials" or (bool(code) and remedy_of(code, 0) is Remedy.MEND)
