"""Where the gateway may listen: on this machine alone, or with TLS and a token."""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tapehub.errors import ConfigError
from tapehub.gateway.access.hosts import is_loopback
from tapehub.gateway.access.limits import Limits

__all__ = ["TlsFiles", "check_bind", "names_of", "uvicorn_options"]

FOLDER: Final = "tls"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Name a certificate and its key, both PEM; the certificate's file may hold the chain."""

    certificate: Path
    key: Path

    @classmethod
    def in_hub(cls, hub_path: Path) -> TlsFiles:
        """Name those that `tapehub tls init` makes."""
        return cls(hub_path / FOLDER / "server.pem", hub_path / FOLDER / "server.key")


def check_bind(
    host: str,
    *,
    certificate: Path | None,
    key: Path | None,
    hub_path: Path,
    has_token: bool,
    where: str = "[gateway] host",
) -> TlsFiles | None:
    """Decide whether the gateway may listen at an address, and with which certificate.

    Args:
        host: to listen at.
        certificate, key: as configured; None for those in the hub's directory, which are used beyond loopback alone.
        has_token: nobody comes in without one.
        where: the host is set.

    Returns:
        TlsFiles | None: what to speak TLS with; None for none, which is allowed on loopback alone.

    Raises:
        ConfigError: the address is reachable from elsewhere, and there is no TLS or no token; or the files are not
            there, do not belong together, or the key is open to others.
    """
    if (certificate is None) != (key is None):
        raise ConfigError("tls_cert without tls_key, or the other way round: expected both in [gateway], or neither")
    files = None if certificate is None or key is None else TlsFiles(certificate, key)
    beyond = not is_loopback(host)
    if files is None and beyond:
        made = TlsFiles.in_hub(hub_path)
        files = made if made.certificate.exists() and made.key.exists() else None
    if beyond and (files is None or not has_token):
        missing = "TLS" if files is None else "a token"
        shown = "NAME" if _is_any(host) else host
        raise ConfigError(
            f"{where} is {host or 'empty'}, which other machines reach, without {missing}: expected a loopback "
            f'address, or a certificate and a token; "tapehub tls init {shown}" makes a certificate'
        )
    if files is not None:
        _check(files)
    return files


def names_of(files: TlsFiles) -> list[str]:
    """List the names and addresses a certificate is for: this server goes by them. A wildcard names nothing."""
    from cryptography import x509

    made = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
    try:
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = [name for name in names.get_values_for_type(x509.DNSName) if "*" not in name]
    return [*found, *(str(address) for address in names.get_values_for_type(x509.IPAddress))]


def uvicorn_options(
    files: TlsFiles | None, limits: Limits | None = None, *, message_bytes_max: int = 64 << 10
) -> dict[str, Any]:
    """Give the settings of uvicorn that the door relies on.

    Args:
        files: to speak TLS with.
        message_bytes_max: of what a WebSocket client sends.

    ``proxy_headers`` is off: a header that anyone can send would otherwise say where a request comes from, and with it
    whose attempts are counted.
    """
    options: dict[str, Any] = {
        "proxy_headers": False,
        "server_header": False,
        "date_header": True,
        "ws": "websockets-sansio",
        "ws_max_size": message_bytes_max,
        "h11_max_incomplete_event_size": 64 << 10,
        "limit_concurrency": (limits or Limits()).websockets_max * 2,
    }
    if files is not None:
        options["ssl_certfile"] = str(files.certificate)
        options["ssl_keyfile"] = str(files.key)
        options["ssl_version"] = ssl.PROTOCOL_TLS_SERVER
    return options


def _check(files: TlsFiles) -> None:
    for path in (files.certificate, files.key):
        if not path.is_file():
            raise ConfigError(f'{path} is missing: expected a PEM file; "tapehub tls init" makes one')
    found = files.key.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"{files.key} has mode {stat.S_IMODE(found.st_mode):04o} and belongs to user {found.st_uid}: expected 0600 "
            f'and {os.geteuid()}; "chmod 600" it, or make another if others may have read it'
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{files.certificate} and {files.key} are no pair: {error}; make both anew") from None


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return not host
