"""Secrets that no log, message or traceback shows."""

import io
import logging
from typing import Any

import pytest

from tapehub.hub.secret import RedactingFilter, Secret, new_secret, redact, redact_event, redact_value

TOKEN = "tapehub_" + "Ab3-" * 10 + "xyz"  # no chance: its tests are named after it, and each worker must find the same


@pytest.mark.parametrize(
    "text",
    [
        f"GET /login?token={TOKEN} HTTP/1.1",
        f"Authorization: Bearer {TOKEN}",
        f"authorization: bearer {TOKEN[8:]}",
        f"bearer {TOKEN[8:]} was shown",
        f'{{"token": "{TOKEN[8:]}", "symbol": "EUR_USD"}}',
        f"{{'X-SECURITY-TOKEN': '{TOKEN[8:]}', 'CST': '{TOKEN[8:]}'}}",
        f"Cookie: tapehub-8765={TOKEN[8:]}",
        f"password={TOKEN[8:]}&next=/",
        f"wss://user:{TOKEN[8:]}@hub.example/stream",
        f"authkey=b'{TOKEN[8:]}'",
        f"IG_API_KEY={TOKEN[8:]}",
        f"tapehub.token.{TOKEN}, tapehub.v1",
        f"cut short {TOKEN[:30]}",
    ],
)
def test_what_is_or_is_named_like_a_secret_is_hidden(text: str) -> None:
    shown = redact(text)
    assert TOKEN[8:30] not in shown
    assert "<hidden>" in shown


@pytest.mark.parametrize(
    "text",
    [
        "EUR_USD 1.15148 1.15154, 61 ticks",
        "tapehub_head 41030",
        "tapehub_ledger_balanced 1",
        "owner.token: remove it",
        "GET /api/v1/ticks/EUR_USD?limit=10&start=5 HTTP/1.1",
        "http://127.0.0.1:8765/api/v1/status",
        "the token was revoked",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert redact(text) == text


def test_redacting_twice_changes_nothing_more() -> None:
    once = redact(f"Authorization: Bearer {TOKEN} token={TOKEN}")
    assert redact(once) == once


def test_values_inside_others_are_hidden() -> None:
    found = redact_value({"url": f"/login?token={TOKEN}", "headers": [("authorization", f"Bearer {TOKEN}")], "n": 5})
    assert TOKEN not in str(found)
    assert found["n"] == 5
    assert redact_value({"password": "short", "token": b"bytes"}) == {"password": "<hidden>", "token": "<hidden>"}
    assert TOKEN not in str(redact_event(None, "info", {"event": f"token={TOKEN}", "exception": f"Error: {TOKEN}"}))


def written(log: Any) -> str:
    """Give what a handler with the filter writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("tests.secret")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
    log(logger)
    return out.getvalue()


def test_filter_hides_secrets_in_messages_arguments_and_tracebacks() -> None:
    class Odd:
        def __str__(self) -> str:
            return f"token={TOKEN}"

    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError(f"refused {TOKEN}")
        except ValueError:
            logger.exception("it failed with %s", TOKEN)

    for log in (
        lambda logger: logger.error("token=%s", TOKEN),
        lambda logger: logger.error("%s asked", f"/login?token={TOKEN}"),
        lambda logger: logger.error("%(where)s", {"where": f"token={TOKEN}"}),
        lambda logger: logger.error("%s and %d", Odd(), 5),
        lambda logger: logger.error(f"plain {TOKEN}"),
        lambda logger: logger.error(Odd()),
        fail,
    ):
        text = written(log)
        assert text
        assert TOKEN[8:] not in text
        assert "<hidden>" in text


def test_access_log_of_uvicorn_keeps_its_form_without_the_token() -> None:
    text = written(
        lambda logger: logger.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", f"/login?token={TOKEN}", "1.1", 303)
    )
    assert text == '127.0.0.1:5 - "GET /login?token=<hidden> HTTP/1.1" 303\n'


def test_secret_shows_itself_to_nobody() -> None:
    secret = Secret(TOKEN)
    assert TOKEN not in f"{secret} {secret!r} {[secret]} {secret!s:>50}"
    assert secret.reveal() == TOKEN


def test_a_new_secret_is_of_the_shape_that_is_hidden_here() -> None:
    fresh = new_secret().reveal()
    assert (fresh[:8], len(fresh)) == (TOKEN[:8], len(TOKEN))
    assert fresh != new_secret().reveal()
