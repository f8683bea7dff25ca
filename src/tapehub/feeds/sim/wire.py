"""TLCP as text: requests read, update lines written.

Source: TLCP 2.5.0, "Requests, Responses, and Notifications" and "Real-Time Update"; what clients make of short lines
was measured with the official Python client: a line with fewer tokens than fields loses the missing ones silently, so
every line written here accounts for each field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote

__all__ = [
    "Params",
    "RequestError",
    "encode_value",
    "number_of",
    "read_params",
    "read_request",
    "unchanged_line",
    "update_line",
]

Params = dict[str, str]

_NAME = re.compile(r"[a-z_]+\Z")
_RUN = 3  # as many empty tokens are as short as ``^N``, and both forms should be met by a client
# Everything printable but what would break a line, a token, or the percent-decoding.
_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "%|+")


class RequestError(Exception):
    """Report a request that is no TLCP."""


def read_request(text: str) -> tuple[str, list[Params]]:
    """Read a WebSocket message: the request's name, then a line of parameters for each of a batch.

    Raises:
        RequestError: it is none.
    """
    lines = text.split("\r\n")
    name = lines[0].strip()
    if not _NAME.match(name):
        raise RequestError(f"request name {name[:40]!r}")
    return name, [read_params(line) for line in lines[1:] if line] or [{}]


def read_params(line: str) -> Params:
    """Read ``name=value&…``; a plus is a plus, not a blank.

    Raises:
        RequestError: a part has no name.
    """
    try:
        return dict(parse_qsl(line.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(line)))
    except ValueError as error:
        raise RequestError(str(error)) from None


def number_of(params: Params, name: str) -> int:
    """Give a parameter that counts; 0 when it is absent or no number."""
    text = params.get(name, "0")
    return int(text) if text.isdigit() else 0


def encode_value(value: str | None) -> str:
    """Write one field: ``#`` is null, ``$`` empty, the rest percent-encoded where it could be mistaken."""
    if value is None:
        return "#"
    if not value:
        return "$"
    text = quote(value, safe=_SAFE)
    return f"%{ord(text[0]):02X}{text[1:]}" if text[0] in "#$^" else text


def update_line(
    subscription: int, item: int, values: Sequence[str | None], before: Sequence[str | None] | None
) -> str | None:
    """Write an update, as little of it as differs from what was sent before.

    Args:
        item: counted from 1.
        before: None for the first update of an item, which is written in full.

    Returns:
        The line without its end, or None when nothing differs.
    """
    if before is None:
        return f"U,{subscription},{item}," + "|".join(map(encode_value, values))
    tokens: list[str] = []
    same = 0
    for value, old in zip(values, before, strict=True):
        if value == old:
            same += 1
            continue
        _pass_over(tokens, same)
        same = 0
        tokens.append(encode_value(value))
    changed = bool(tokens)
    _pass_over(tokens, same)
    return f"U,{subscription},{item}," + "|".join(tokens) if changed else None


def unchanged_line(subscription: int, item: int, fields: int) -> str:
    """Write an update in which nothing differs: of a DISTINCT item it is an event all the same."""
    tokens: list[str] = []
    _pass_over(tokens, fields)
    return f"U,{subscription},{item}," + "|".join(tokens)


def _pass_over(tokens: list[str], count: int) -> None:
    tokens += [f"^{count}"] if count >= _RUN else [""] * count
