"""What a caller may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from tapehub.errors import ConfigError

__all__ = ["Identity", "Scope"]


class Scope(IntEnum):
    """Name how far a token reaches. Each includes those before it."""

    READ = 1  # everything the hub holds, and its metrics
    PUBLISH = 2  # ticks, candles, order flow, notes
    ADMIN = 3  # clear, set the clock, and what else changes the hub for everyone

    def includes(self, other: Scope) -> bool:
        """Tell whether what needs ``other`` is allowed."""
        return self >= other

    @property
    def label(self) -> str:
        """Give the name people write, such as ``publish``."""
        return self.name.lower()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a scope by name.

        Raises:
            ConfigError: there is none of that name.
        """
        try:
            return cls[text.strip().upper()]
        except KeyError:
            known = ", ".join(scope.label for scope in cls)
            raise ConfigError(f"scope {text!r} is not one of {known}") from None


@dataclass(frozen=True, slots=True)
class Identity:
    """Say who asks: in the ASGI scope under `KEY`, put there by the guard.

    Attributes:
        name: of the token.
        scope: how far it reaches.
        token: SHA-256 of the token, by which it is known to be still there.
        session: SHA-256 of the session's cookie; empty for who shows the token itself.
    """

    name: str
    scope: Scope
    token: bytes
    session: bytes = b""

    def __repr__(self) -> str:
        return f"<Identity {self.name} {self.scope.label}{' by session' if self.session else ''}>"


KEY = "tapehub.identity"
