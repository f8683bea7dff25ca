"""Where the endpoint listens, with which key, and what it puts up with."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tapehub.errors import ConfigError

__all__ = ["HOST", "MODULE", "PORT", "Limits", "ManagerSettings", "is_loopback", "port_of"]

HOST: Final = "127.0.0.1"
PORT: Final = 50_000
MODULE: Final = "market_data_models"
_WEAK_BYTES = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what clients can ask of the endpoint.

    Attributes:
        connections: open at once; the next one is hung up on.
        strangers: of them, those that have not proved the key; the one that has taken longest makes room for the next.
        handshake_s: within it the key must be proved.
        patience_s: within it a message that has begun must have come, and a reply been taken; who waits for others,
            waits so long for each.
        message_bytes: of one request.
        small_bytes: up to here a request is short; longer ones are read one after the other.
        large_at_once: long ones that may be on their way at once.
        objects: containers, memo entries and arguments that one request may make.
        opcodes: that one request may consist of.
        refusals: of one connection, before it is hung up on.
        wrong_key_s: how long the answer to a wrong key takes.
        connections_a_second: taken on; more of them wait.
    """

    connections: int = 256
    strangers: int = 32
    handshake_s: float = 5.0
    patience_s: float = 10.0
    message_bytes: int = 16 << 20
    small_bytes: int = 64 << 10
    large_at_once: int = 16
    objects: int = 1_000_000
    opcodes: int = 6_000_000
    refusals: int = 100
    wrong_key_s: float = 0.5
    connections_a_second: float = 1000.0


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """Describe the endpoint.

    Attributes:
        key: what every client must hold; never shown.
        module: of the classes that replies are pickled as.
        names: what clients may have registered the hub as.
        allow_remote: listen on an address that other machines reach.

    Raises:
        ConfigError: a setting that cannot be, or that lets other machines in unasked.
    """

    key: bytes = field(repr=False)
    host: str = HOST
    port: int = PORT
    module: str = MODULE
    names: tuple[str, ...] = ("DataHub",)
    allow_remote: bool = False
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.key:
            raise ConfigError(
                "the key of the BaseManager endpoint is empty, expected one that nobody guesses: "
                "python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if not 0 <= self.port < 65_536:
            raise ConfigError(f"port of the BaseManager endpoint is {self.port}, expected 1 to 65535")
        if not self.allow_remote and not is_loopback(self.host):
            raise ConfigError(
                f"the BaseManager endpoint would listen on {self.host}, where other machines reach it: everything it "
                f"says is readable on the way. Keep it on {HOST} and tunnel (ssh -L), or use the HTTPS API; where the "
                "network is yours alone, set allow_remote = true in [manager] of tapehub.toml"
            )

    @property
    def is_weak(self) -> bool:
        """Tell whether the key is short enough to be guessed by who may try it."""
        return len(self.key) < _WEAK_BYTES

    @classmethod
    def found(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        key: str | bytes | None = None,
        host: str | None = None,
        port: int | None = None,
        **others: object,
    ) -> ManagerSettings | None:
        """Take ``DATA_HUB_AUTHKEY``, ``DATA_HUB_HOST`` and ``DATA_HUB_PORT``, and what they do not say from a config.

        Returns:
            None when there is no key: then there is no endpoint.
        """
        chosen = environ.get("DATA_HUB_AUTHKEY") or key
        if not chosen:
            return None
        return cls(
            key=chosen.encode() if isinstance(chosen, str) else chosen,
            host=environ.get("DATA_HUB_HOST") or host or HOST,
            port=port_of(environ) or (PORT if port is None else port),
            **others,  # type: ignore[arg-type]
        )


def port_of(environ: Mapping[str, str]) -> int | None:
    """Read ``DATA_HUB_PORT``.

    Raises:
        ConfigError: it is no number.
    """
    given = environ.get("DATA_HUB_PORT")
    if not given:
        return None
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        raise ConfigError(f"DATA_HUB_PORT is {given!r}, expected a number from 1 to 65535")
    return int(given)


def is_loopback(host: str) -> bool:
    """Tell whether an address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
