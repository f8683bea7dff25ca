"""What the gateway is told: section ``[gateway]`` of `tapehub.toml`, and the bounds in ``[gateway.limits]``."""

from __future__ import annotations

from pathlib import Path

from tapehub.errors import MissingExtra
from tapehub.gateway.access.limits import Limits as DoorLimits

try:
    from pydantic import BaseModel, ConfigDict, Field
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "server", "the gateway") from error

__all__ = ["DEFAULT_PORT", "GatewaySettings", "Limits"]

DEFAULT_PORT = 8765
_DOOR = DoorLimits()


class Limits(BaseModel):
    """Bound what clients may ask for.

    The first are the door's, before anything is done for a request: see `access.Limits`.

    Attributes:
        body_bytes_max: of a request; Arrow batches of ticks are some 60 bytes a row.
        requests_per_second, requests_burst: of one token, or one browser session.
        unknown_per_second, unknown_burst: of one address, as long as it has not shown a token.
        failures_burst: false tokens from one address before it has to wait.
        failure_every_s: then one attempt in this time.
        websockets_max: open at once, in all.
        websockets_each: open at once, of one token.
        head_s: a connection that has not sent the head of a request within so long is closed.
        silent_max: connections that have not; the one that is silent for longest makes room for the next.
        rows_json, rows_arrow: of one answer.
        batch_rows: of one JSON request that writes.
        long_reads: reads over the log at a time; as many again may wait.
        subscriptions, symbols: of one WebSocket; of one subscription.
        messages_unread: of a client in a row, that could not be served, before it is closed.
        messages_per_second, subscribes_per_second: of one WebSocket, ten seconds' worth of them at once; ten times that
            of all WebSockets of one token. Who says more is closed with 4429.
        groups: different selections and rates of conflated subscriptions in all, half of them of one token.
        rate_hz: messages a second to a conflated subscription, at most.
        message_bytes: of a client's message.
        batch_bytes: of a message to a client, about.
        kept_bytes: of the newest encoded frames, for clients that are a little behind; others are read the log.
        stall_s: a client that takes nothing for so long is closed.
        frame_s: how long a frame collects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_bytes_max: int = Field(default=_DOOR.body_bytes_max, ge=1024)
    requests_per_second: float = Field(default=_DOOR.requests_per_second, gt=0)
    requests_burst: float = Field(default=_DOOR.requests_burst, gt=0)
    unknown_per_second: float = Field(default=_DOOR.unknown_per_second, gt=0)
    unknown_burst: float = Field(default=_DOOR.unknown_burst, gt=0)
    failures_burst: float = Field(default=_DOOR.failures_burst, gt=0)
    failure_every_s: float = Field(default=_DOOR.failure_every_s, gt=0)
    websockets_max: int = Field(default=_DOOR.websockets_max, ge=1)
    websockets_each: int = Field(default=_DOOR.websockets_each, ge=1)
    head_s: float = Field(default=_DOOR.head_s, gt=0)
    silent_max: int = Field(default=_DOOR.silent_max, ge=1)

    rows_json: int = Field(default=100_000, ge=1)
    rows_arrow: int = Field(default=1_000_000, ge=1)
    batch_rows: int = Field(default=10_000, ge=1)
    long_reads: int = Field(default=2, ge=1)
    subscriptions: int = Field(default=16, ge=1)
    symbols: int = Field(default=1000, ge=1)
    messages_unread: int = Field(default=16, ge=1)
    messages_per_second: float = Field(default=100.0, gt=0)
    subscribes_per_second: float = Field(default=20.0, gt=0)
    groups: int = Field(default=512, ge=2)
    rate_hz: float = Field(default=50.0, gt=0)
    message_bytes: int = Field(default=64 << 10, ge=1024)
    batch_bytes: int = Field(default=256 << 10, ge=1024)
    kept_bytes: int = Field(default=16 << 20, ge=0)
    stall_s: float = Field(default=30.0, gt=0)
    frame_s: float = Field(default=0.02, gt=0)

    def door(self) -> DoorLimits:
        """Give the door its own."""
        return DoorLimits(**{name: getattr(self, name) for name in DoorLimits.__slots__})


class GatewaySettings(BaseModel):
    """Hold the section ``[gateway]``.

    Attributes:
        enabled: `tapehub up` runs it.
        host: the address to listen at; any but a loopback one needs TLS and a token.
        port: 0 lets the system choose a free one.
        tls_cert, tls_key: PEM files; those that `tapehub tls init` makes when the host is no loopback one.
        allowed_hosts: names this server goes by, beside the loopback ones and those of its certificate.
        allowed_origins: of pages elsewhere that may use the API.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    limits: Limits = Limits()
