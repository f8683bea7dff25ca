"""Which names this server answers to, and which pages may talk to it.

A page of another site can make a browser send requests here, with this user's cookie. Two checks stand against it:

- **Host**: a foreign name that was made to resolve to this machine (DNS rebinding) shows in the Host header, which the
  browser sets itself. Only names that were configured are answered.
- **Origin**: the page that a request comes from shows in the Origin header. It must be the very origin that is asked:
  scheme, name and port, since another port of this machine is another program.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from tapehub.errors import ConfigError
from tapehub.hub.remote.address import is_loopback

__all__ = ["Hosts", "is_loopback"]

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_WEB = {"ws": "http", "wss": "https"}


class Hosts:
    """Know the names this server goes by.

    Args:
        names: beside the loopback ones; without ports.
        origins: of pages elsewhere that may use the API with a token of their own, or through a proxy that changes the
            scheme, as ``https://hub.example``.

    Raises:
        ConfigError: a name or an origin that cannot be one, or a wildcard.
    """

    def __init__(self, names: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._names = set(LOOPBACK_NAMES)
        for name in names:
            found = _split(name if name.count(":") < 2 or name.startswith("[") else f"[{name}]")
            if found is None or found[1] is not None:
                raise ConfigError(f"allowed host {name!r}: expected a name or an address, without a port or a wildcard")
            self._names.add(found[0])
        self._origins = {_origin_of(origin) for origin in origins}

    def __repr__(self) -> str:
        return f"<Hosts {', '.join(sorted(self._names))}>"

    def allows_host(self, header: str, own_address: str | None = None) -> bool:
        """Judge a Host header; ``own_address`` is where the connection came in, which no name can pretend to be."""
        found = _split(header)
        return found is not None and (found[0] in self._names or found[0] == _plain(own_address or ""))

    def allows_origin(self, origin: str, scheme: str, host: str) -> bool:
        """Judge an Origin header against the scheme and the Host header of the same request."""
        try:
            given = _origin_of(origin)
        except ConfigError:  # "null", of a sandboxed page or a file, among them
            return False
        found = _split(host)
        if found is None:
            return False
        scheme = _WEB.get(scheme, scheme)
        return given == (scheme, found[0], found[1] or _PORTS[scheme]) or given in self._origins


def _split(header: str) -> tuple[str, int | None] | None:
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    port = found["port"]
    if port is not None and not 0 < int(port) < 65_536:
        return None
    return _plain(found["name"]), None if port is None else int(port)


def _plain(name: str) -> str:
    """Write a name or an address in one way."""
    name = name.strip("[]").lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _origin_of(text: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or text.rstrip("/") != plain or "@" in parts.netloc:
        raise ConfigError(f"origin {text!r}: expected one as https://hub.example:8443")
    found = _split(parts.netloc)
    if found is None:
        raise ConfigError(f"origin {text!r}: expected one as https://hub.example:8443")
    return parts.scheme, found[0], port or _PORTS[parts.scheme]
