"""Where a remote hub is, what proves that it is the one, and what proves who asks."""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tapehub.errors import ConfigError
from tapehub.hub.paths import hub_path
from tapehub.hub.secret import Secret

__all__ = ["Address", "address_of", "is_loopback"]

_API: Final = "/api/v1"
_TOKEN: Final = "TAPEHUB_TOKEN"  # noqa: S105  (the variable's name)
_TOKEN_FILE: Final = "TAPEHUB_TOKEN_FILE"  # noqa: S105
_CA: Final = "TAPEHUB_CA"


@dataclass(frozen=True, slots=True)
class Address:
    """Name one remote hub.

    Attributes:
        url: of the gateway, without a slash at its end.
        token: what is shown to it.
        ca: file of the authority that vouches for it; None for those the system trusts.
    """

    url: str
    token: Secret
    ca: Path | None

    @property
    def api(self) -> str:
        """Where requests go."""
        return self.url + _API

    @property
    def stream(self) -> str:
        """Where streams are opened."""
        return "ws" + self.api.removeprefix("http") + "/stream"

    def tls(self) -> ssl.SSLContext | None:
        """Make the context that verifies the gateway; None for plain HTTP.

        Raises:
            ConfigError: the authority's file is missing, or holds no certificate.
        """
        if not self.url.startswith("https://"):
            return None
        try:
            return ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f'ca is {self.ca}: {error}; expected the ca.pem that "tapehub tls init" made') from None


def address_of(
    url: str,
    token: str | Secret | None = None,
    ca: str | Path | None = None,
    token_file: str | Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Check an address, and find the token for it.

    Args:
        url: ``https://host:port``; ``http://`` to this machine alone.
        token: else from ``token_file``, ``TAPEHUB_TOKEN``, the file ``TAPEHUB_TOKEN_FILE`` names, or, on this machine,
            the one that the hub made for its owner.
        ca: the authority's file; else ``TAPEHUB_CA``, else what the system trusts.

    Raises:
        ConfigError: the token would travel in the clear, there is none, or its file is open to others.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"the address of {parts.hostname or 'the hub'} holds more than host and port: expected https://host:port, "
            "and the token as token=, never in the address"
        )
    try:
        port, host = parts.port, parts.hostname
    except ValueError:
        port = host = None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{url!r} is no address of a gateway: expected https://host:port")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{url} would send the token in the clear: expected https://, or http:// to this machine; "
            '"tapehub tls init" makes a certificate'
        )
    name = f"[{host}]" if ":" in host else host
    plain = f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    found = _token(token, token_file, environment, is_local=is_loopback(host))
    if found is None:
        raise ConfigError(
            f'no token for {plain}: give token= or token_file=, or set {_TOKEN}; "tapehub token new NAME" on the '
            "hub's machine makes one"
        )
    authority = ca if ca is not None else environment.get(_CA) or None
    return Address(plain, found, None if authority is None else Path(authority).expanduser())


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches this machine alone; a name but ``localhost`` may resolve to anything."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _token(
    token: str | Secret | None, token_file: str | Path | None, environment: Mapping[str, str], *, is_local: bool
) -> Secret | None:
    if isinstance(token, Secret):
        return token
    if token is not None:
        return _checked(token, "token=")
    if token_file is not None:
        return _read(Path(token_file).expanduser())
    if environment.get(_TOKEN):
        return _checked(environment[_TOKEN], _TOKEN)
    if environment.get(_TOKEN_FILE):
        return _read(Path(environment[_TOKEN_FILE]).expanduser())
    own = hub_path() / "access" / "owner.token"
    return _read(own) if is_local and own.exists() else None


def _checked(text: str, where: str) -> Secret:
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f'{where} holds no token: expected one word, as "tapehub token new" prints it')
    return Secret(text)


def _read(path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(4096)
    except OSError as error:
        raise ConfigError(f"token file {path}: {error.strerror}; expected a file that holds the token alone") from None
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"token file {path} has mode {stat.S_IMODE(found.st_mode):04o}, expected 0600: others may have read it; "
            '"chmod 600" it, and make another token'
        )
    return _checked(data.decode(errors="replace"), f"token file {path}")
