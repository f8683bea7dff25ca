"""How much one caller may ask for, so that none can use up the server."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tapehub.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound requests before anything is done for them; what an endpoint does has bounds of its own.

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
    """

    body_bytes_max: int = 8 << 20
    requests_per_second: float = 500.0
    requests_burst: float = 2000.0
    unknown_per_second: float = 10.0
    unknown_burst: float = 60.0
    failures_burst: float = 10.0
    failure_every_s: float = 5.0
    websockets_max: int = 1024
    websockets_each: int = 512
    head_s: float = 10.0
    silent_max: int = 256

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not value > 0:
                raise ConfigError(f"limit {one.name} is {value}, expected above 0: there is no way to switch one off")
