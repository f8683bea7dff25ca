"""A port to listen at, or why it cannot be had."""

from __future__ import annotations

import errno
import socket

from tapehub.errors import ConfigError

__all__ = ["listen"]

_GATEWAY = "[gateway]"


def listen(host: str, port: int, where: str = _GATEWAY) -> socket.socket:
    """Bind a socket.

    Args:
        port: 0 lets the system choose a free one.
        where: host and port are set.

    Raises:
        ConfigError: the address is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        place = "in [gateway] of tapehub.toml" if where == _GATEWAY else f"by {where}"
        remedy = f"set host and port {place}"
        if error.errno == errno.EADDRINUSE:
            remedy = f"another gateway may have it; set another port {place}, or 0 for any"
        raise ConfigError(f"{where} {host}:{port}: {error.strerror}: expected a free address; {remedy}") from error
    return made
