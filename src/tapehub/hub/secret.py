"""Secrets of this program, and how they are kept out of whatever people read.

A token of tapehub begins with `PREFIX`, so that it can be recognised in any text, also by a process that never knew it,
and by the scanners that look for keys in repositories.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "PREFIX",
    "RedactingFilter",
    "Secret",
    "new_secret",
    "redact",
    "redact_event",
    "redact_tokens",
    "redact_value",
]

PREFIX: Final = "tapehub_"
HIDDEN: Final = "<hidden>"
_BITS: Final = 256

_TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{20,}")
# What is named like a secret, in headers, query strings, JSON and Python's own way of showing a dict.
_NAMES = (
    r"authorization|cookie|token|secret|password|passwd|authkey|auth_key|api[-_]?key|x-security-token|x-ig-api-key|cst"
)
_VALUE = r"""(?P<value>[^\s"'&,;)}\]]+)"""
_AS_PARAMETER = re.compile(rf"""(?i)(?P<name>\b[\w-]*(?:{_NAMES}))(?P<gap>\s*=\s*(?:b?["'])?){_VALUE}""")
# Not after a dot: "owner.token: remove it" is a file's name.
_AS_HEADER = re.compile(
    rf"""(?i)(?<![\w.-])(?P<name>[\w-]*(?:{_NAMES})["']?)(?P<gap>\s*:\s*(?:b?["'])?(?:(?:bearer|basic)\s+)?){_VALUE}"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!<hidden>)[A-Za-z0-9._~+/=-]{8,}")
_IN_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@")
_KEYS = re.compile(rf"(?i)^[\w-]*(?:{_NAMES})$")


class Secret:
    """Hold a secret that no message, traceback or log shows by accident; `reveal` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the secret itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not pickled: it would be readable wherever the pickle goes")


def new_secret() -> Secret:
    """Draw a token of 256 random bits from the operating system."""
    return Secret(PREFIX + secrets.token_urlsafe(_BITS // 8))


def redact(text: str) -> str:
    """Replace what is, or is named like, a secret."""
    text = _TOKEN.sub(HIDDEN, text)
    for named in (_AS_PARAMETER, _AS_HEADER):
        text = named.sub(lambda found: f"{found['name']}{found['gap']}{HIDDEN}", text)
    text = _BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", text)
    return _IN_URL.sub(lambda found: f"{found[1]}:{HIDDEN}@", text)


def redact_tokens(text: str) -> str:
    """Replace tokens of tapehub alone: for texts that people read, in which the word token may well stand."""
    return _TOKEN.sub(HIDDEN, text)


def redact_value(value: Any) -> Any:
    """Replace secrets in text, and in the texts of lists, tuples and dicts; leave all else as it is."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if isinstance(key, str) and _KEYS.match(key) and isinstance(inner, str | bytes) else
            redact_value(inner)
            for key, inner in value.items()
        }  # fmt: skip
    if isinstance(value, tuple):
        return tuple(redact_value(inner) for inner in value)
    if isinstance(value, list):
        return [redact_value(inner) for inner in value]
    return value


def redact_event(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replace secrets in an event of structlog: a processor, to stand after the one that formats tracebacks."""
    found = redact_value(event)
    assert isinstance(found, dict)
    return found


class RedactingFilter(logging.Filter):
    """Replace secrets in what `logging` writes, tracebacks included: a filter for a handler or a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace them, and let the record pass."""
        if isinstance(record.msg, Mapping):  # structlog's own form of an event
            record.msg = redact_value(record.msg)
        else:
            _redact_message(record)
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def _redact_message(record: logging.LogRecord) -> None:
    try:
        shown = record.getMessage()
    except (TypeError, ValueError, KeyError):  # the handler would print the arguments as they are
        shown = f"{record.msg} {record.args!r}"
        record.msg, record.args = redact(shown), ()
        return
    if redact(shown) == shown:
        return
    # An argument that is no text becomes text only in the message: an exception, a URL. Where it can, the form is kept:
    # uvicorn's access formatter takes the arguments apart.
    args = redact_value(record.args)
    kept = str(record.msg) % args if args else shown
    if redact(kept) == kept:
        record.args = args
    else:
        record.msg, record.args = redact(shown), ()
