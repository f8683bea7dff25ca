"""IG's REST API underneath trading-ig: time-outs, the rate limit, and refusals with their code.

trading-ig raises one exception for all limits and drops the code that tells a minute's from a week's; it sets no
time-out. It takes any `requests.Session`, so this one does what is missing, and trading-ig keeps the protocol.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tapehub.errors import FeedError, MissingExtra, VenueError
from tapehub.feeds.ig.allowance import Limiter
from tapehub.feeds.ig.refusals import Remedy, remedy_of, wait_s

try:
    import requests
except ImportError as error:
    raise MissingExtra("requests", "ig", "IG's REST API") from error

__all__ = ["RestSession", "service_class"]

_log = logging.getLogger("tapehub.feeds.ig")
_TIMEOUT_S = (5.0, 20.0)  # to connect; between bytes of the answer
_NEVER_HELD_UP = ("/session", "/session/encryptionKey", "/session/refresh-token", "/operations/application")


def service_class() -> type[Any]:
    """Import trading-ig's service.

    Late, since trading-ig imports the streaming client along, which starts a thread; and without its remark that munch
    and tenacity, which nobody here needs, are not installed.

    Raises:
        MissingExtra: trading-ig is not installed.
    """
    remarks = logging.getLogger("trading_ig.utils")
    remarks.addFilter(_nothing)
    try:
        from trading_ig.rest import IGService
    except ImportError as error:
        raise MissingExtra(error.name or "trading-ig", "ig", "IG's REST API") from error
    finally:
        remarks.removeFilter(_nothing)
    found: type[Any] = IGService
    return found


class RestSession(requests.Session):
    """Send requests no faster than allowed. One thread at a time; `stop` from any.

    Args:
        monotonic: seconds, for the limit alone.
    """

    def __init__(self, limiter: Limiter, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.trust_env = True  # proxies of the environment
        self._limiter = limiter
        self._monotonic = monotonic
        self._stopped = threading.Event()
        self.sent = 0
        self.on_wait: Callable[[str, float], None] = lambda why, wait_s: _log.info(why)
        """Told, in the thread of the request, when it has to wait: why, and the seconds."""

    def stop(self) -> None:
        """Send nothing any more, and end a wait."""
        self._stopped.set()

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request as soon as the allowance permits.

        Raises:
            VenueError: IG refused it, or did not answer.
            FeedError: stopped meanwhile.
        """
        path = urlsplit(str(url)).path
        must = path.endswith(_NEVER_HELD_UP)
        told_until_s = self._monotonic()
        while True:
            if self._stopped.is_set():
                raise FeedError(f"{method} {path}: not sent, the feed was closed")
            held_s = self._limiter.take(self._monotonic(), must=must)
            if held_s <= 0:
                break
            if held_s > 1 and self._monotonic() >= told_until_s:
                told_until_s = self._monotonic() + held_s
                why = f"{method} {path} waits {held_s:.0f} s: IG's allowance is used up, less what orders keep"
                self.on_wait(why, held_s)
            self._stopped.wait(min(held_s, 60.0))
        self.sent += 1
        kwargs.setdefault("timeout", _TIMEOUT_S)
        try:
            response = super().request(method, url, *args, **kwargs)
        except requests.RequestException as error:
            # Its text is left out: it may quote the request.
            raise VenueError(
                f"{method} {path}: no answer from {urlsplit(str(url)).netloc} ({type(error).__name__}); expected IG's "
                "REST API there; check the network"
            ) from None
        code = _error_code(response)
        if code or response.status_code >= 400:
            at_login = method == "POST" and path.endswith("/session")
            remedy = remedy_of(code, response.status_code, at_login=at_login)
            if remedy is Remedy.WAIT_MINUTE:
                self._limiter.block(self._monotonic() + wait_s(remedy))
            raise VenueError(
                f"IG refused {method} {path}: {response.status_code} {code or response.reason}; remedy: {remedy.value}",
                code=code,
                status=response.status_code,
                at_login=at_login,
            )
        return response


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _error_code(response: requests.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return ""
    code = body.get("errorCode") if isinstance(body, dict) else None
    return code if isinstance(code, str) else ""
