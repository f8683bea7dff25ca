"""Requests to a gateway: its connections, retries of what may be asked twice, errors in our own words."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from tapehub.errors import HubClosed, HubNotRunning, MissingExtra, TapehubError
from tapehub.hub.remote.address import Address
from tapehub.hub.remote.problems import error_of, is_passing

try:
    import httpx
    import stamina
    from stamina.instrumentation import RetryDetails, RetryHook, get_on_retry_hooks, set_on_retry_hooks
except ImportError as error:
    raise MissingExtra(error.name or "httpx", "remote", "a remote hub") from error

__all__ = ["ARROW", "Wire"]

ARROW: Final = "application/vnd.apache.arrow.stream"
_ATTEMPTS: Final = 8
# The gateway closes what was idle for 75 s: a connection it may just be closing is not used again.
_IDLE_S: Final = 30.0
_CONNECTIONS: Final = 8


class _Again(Exception):
    """Carry what went wrong and may pass."""

    def __init__(self, cause: TapehubError) -> None:
        super().__init__(str(cause))
        self.cause = cause


_logger = logging.getLogger("tapehub.remote")


def _unless_ours(hook: RetryHook) -> RetryHook:
    def told(details: RetryDetails) -> AbstractContextManager[None] | None:
        if not isinstance(details.caused_by, _Again):
            return hook(details)
        _logger.debug("asked again in %.2f s: %s", details.wait_for, details.caused_by)
        return None

    return told


# Seven warnings before the one error that says what is wrong are no help. The hooks are of the whole process: what
# others retry goes on to be told as it was.
set_on_retry_hooks([_unless_ours(hook) for hook in get_on_retry_hooks()])


class Wire:
    """Speak HTTP to one gateway. Any number of threads; a forked child opens connections of its own.

    Reads are asked again, up to eight times within the time-out, when the gateway cannot be reached or says that it is
    a passing fault. What writes is sent once: it may have been done although no answer came.

    Args:
        timeout_s: for one answer, and for all attempts of a read together.
    """

    def __init__(self, address: Address, *, timeout_s: float = 10.0) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._client = self._connect()

    def _connect(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address.api,
            headers={"Authorization": f"Bearer {self.address.token.reveal()}", "User-Agent": "tapehub"},
            verify=self.address.tls() or True,
            timeout=httpx.Timeout(self.timeout_s, connect=min(5.0, self.timeout_s)),
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S),
            follow_redirects=False,
            trust_env=False,  # a proxy from the environment would get the token of a plain loopback address
        )

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._pid == os.getpid():
            self._client.close()

    # ------------------------------------------------------------ requests

    def get(self, path: str, **parameters: Any) -> Any:
        """Read JSON; None for what the hub has not got.

        Raises:
            TapehubError: as a local hub would, by what the gateway says; HubNotRunning when it cannot be reached.
        """
        response = self._read(path, parameters, "application/json")
        return None if response is None else self._json(response)

    def get_arrow(self, path: str, **parameters: Any) -> bytes:
        """Read an Arrow IPC stream."""
        response = self._read(path, parameters, ARROW)
        return b"" if response is None else response.content

    def post(self, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        """Write JSON, once."""
        content = b"" if body is None else json.dumps(body).encode()
        return self._write(path, content, "application/json", {}, timeout_s)

    def post_arrow(self, path: str, body: bytes, **parameters: Any) -> Any:
        """Write an Arrow IPC stream, once."""
        return self._write(path, body, ARROW, _plain(parameters), None)

    def _read(self, path: str, parameters: Mapping[str, Any], accept: str) -> httpx.Response | None:
        attempts = stamina.retry_context(
            on=_Again, attempts=_ATTEMPTS, timeout=self.timeout_s, wait_initial=0.05, wait_max=1.0, wait_jitter=0.1
        )
        try:
            for attempt in attempts:
                with attempt:
                    return self._read_once(path, parameters, accept)
        except _Again as given_up:
            raise given_up.cause from None
        raise AssertionError("an attempt returns or raises")

    def _read_once(self, path: str, parameters: Mapping[str, Any], accept: str) -> httpx.Response | None:
        try:
            response = self._live().get(path, params=_plain(parameters), headers={"Accept": accept})
        except httpx.TransportError as error:
            found = self._unreachable(error)
            raise (_Again(found) if _may_pass(error) else found) from None
        if response.is_success:
            return response
        problem = _problem(response)
        if response.status_code == 404 and isinstance(problem, dict) and problem.get("type") == "urn:tapehub:no-data":
            return None
        told = error_of(problem, response.status_code, self.address.url)
        raise _Again(told) if is_passing(problem, response.status_code) else told

    def _write(self, path: str, content: bytes, kind: str, parameters: dict[str, Any], timeout_s: float | None) -> Any:
        try:
            response = self._live().post(
                path, content=content, params=parameters, headers={"Content-Type": kind},
                timeout=self.timeout_s if timeout_s is None else timeout_s,
            )  # fmt: skip
        except httpx.ConnectError as error:
            raise self._unreachable(error) from None
        except httpx.TransportError as error:
            raise HubNotRunning(
                f"{self.address.url} did not answer ({type(error).__name__}): what was sent may be in the log or not; "
                "look before sending it again"
            ) from None
        if response.is_success:
            return self._json(response)
        raise error_of(_problem(response), response.status_code, self.address.url)

    def _json(self, response: httpx.Response) -> Any:
        try:
            return json.loads(response.content)
        except ValueError:
            raise error_of(None, response.status_code, self.address.url) from None

    def _live(self) -> httpx.Client:
        if self._closed:
            raise HubClosed(f"{self.address.url} was closed by this process: connect again")
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    # The parent's sockets are not ours to close.
                    self._client, self._pid = self._connect(), os.getpid()
        return self._client

    def _unreachable(self, error: httpx.TransportError) -> TapehubError:
        why = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return HubNotRunning(
                f"{self.address.url} shows a certificate that is not believed ({why}): expected one that "
                f"{self.address.ca or 'what the system trusts'} vouches for; pass ca= with the ca.pem that "
                '"tapehub tls init" made there'
            )
        return HubNotRunning(
            f'no gateway answers at {self.address.url} ({why}): expected "tapehub up" to run there, and no firewall '
            "between"
        )


def _may_pass(error: httpx.TransportError) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" not in str(error) and not isinstance(error, httpx.UnsupportedProtocol)


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _problem(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
