"""A private certificate authority for one hub, and the certificate its gateway shows.

The authority may vouch for the names it was made for and for no others (X.509 name constraints, critical): who trusts
it does not put their other connections into the hands of whoever gets at its key.

Source: RFC 5280, sections 4.2.1.6 (names), 4.2.1.9 (basic constraints) and 4.2.1.10 (name constraints).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tapehub.errors import ConfigError, MissingExtra
from tapehub.gateway.access._vault import Vault
from tapehub.gateway.access.bind import FOLDER

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise MissingExtra(error.name or "cryptography", "server", "tapehub tls") from error

__all__ = ["Made", "make_certificates"]

AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 825  # the most that Apple's systems accept of a private authority
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_CLOCKS_APART: Final = timedelta(hours=1)
_NAME = re.compile(r"(?=.{1,253}$)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Made:
    """Say what was made.

    Attributes:
        authority: the file that clients are to trust.
        certificate, key: what the gateway shows.
        names: that the certificate is for.
        expires: the certificate.
        is_new: the authority was made now, so every client is to trust it first.
        fingerprint: SHA-256 of the authority, to compare by eye.
    """

    authority: Path
    certificate: Path
    key: Path
    names: list[str]
    expires: datetime
    is_new: bool
    fingerprint: str


def make_certificates(
    hub_path: Path, names: Iterable[str], *, now: datetime | None = None, new_authority: bool = False
) -> Made:
    """Make a certificate for a hub's gateway, and its authority when there is none, in ``tls/`` of the hub's directory.

    Args:
        names: host names and addresses that clients will write; the loopback ones are added.
        now: for the dates; aware.
        new_authority: make another one, which every client then has to trust anew.

    Raises:
        ConfigError: a name that cannot be one, or that the authority there is may not vouch for; or a file that is
            open to others.
    """
    wanted = _names([*names, *_LOOPBACK])
    moment = now or datetime.now(UTC)
    vault = Vault(hub_path / FOLDER)
    with vault.changing() as change:
        known = None if new_authority else (change.read("ca.pem"), change.read("ca.key"))
        if known is None or known[0] is None or known[1] is None:
            ca_key = ec.generate_private_key(ec.SECP256R1())
            authority = _authority(ca_key, wanted, moment)
            change.write("ca.key", _pem(ca_key))
            change.write("ca.pem", authority.public_bytes(serialization.Encoding.PEM))
            is_new = True
        else:
            authority, ca_key = _read(known[0], known[1], vault.folder)
            _check_constraints(authority, wanted, moment, vault.folder)
            is_new = False
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key, authority, ca_key, wanted, moment)
        change.write("server.key", _pem(key))
        change.write("server.pem", certificate.public_bytes(serialization.Encoding.PEM))
    return Made(
        authority=vault.folder / "ca.pem",
        certificate=vault.folder / "server.pem",
        key=vault.folder / "server.key",
        names=[str(name) for name in wanted],
        expires=certificate.not_valid_after_utc,
        is_new=is_new,
        fingerprint=authority.fingerprint(hashes.SHA256()).hex(":"),
    )


def _names(given: Iterable[str]) -> list[str | Address]:
    found: list[str | Address] = []
    for text in given:
        name: str | Address
        try:
            name = ipaddress.ip_address(text.strip("[]"))
        except ValueError:
            name = text.lower().rstrip(".")
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{text!r} is no host name and no address: expected one as trader.example, without a wildcard"
                ) from None
        if not isinstance(name, str) and name.is_unspecified:
            raise ConfigError(f"{text} is every address of this machine: expected the names that clients will write")
        if name not in found:
            found.append(name)
    return found


def _general(name: str | Address) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _permitted(name: str | Address) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(ipaddress.ip_network(name))


def _authority(key: ec.EllipticCurvePrivateKey, names: list[str | Address], now: datetime) -> x509.Certificate:
    # The name holds no host: two hubs' authorities in one trust store are told apart by their keys.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tapehub private authority {now:%Y-%m-%d %H:%M:%S}")])
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(x509.NameConstraints([_permitted(name) for name in names], None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    names: list[str | Address],
    now: datetime,
) -> x509.Certificate:
    first = next((name for name in names if isinstance(name, str)), "tapehub")
    end = min(now + timedelta(days=SERVER_DAYS), authority.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, first[:64])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _read(certificate: bytes, key: bytes, folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    remedy = '"tapehub tls init --new-ca" makes others'
    try:
        found = serialization.load_pem_private_key(key, None)
        authority = x509.load_pem_x509_certificate(certificate)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{folder}: ca.pem and ca.key cannot be read ({error}); {remedy}") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or found.public_key() != authority.public_key():
        raise ConfigError(f"{folder}: ca.pem and ca.key are no pair; {remedy}")
    return authority, found


def _check_constraints(authority: x509.Certificate, names: list[str | Address], now: datetime, folder: Path) -> None:
    remedy = '"tapehub tls init --new-ca" makes another, which every client then has to trust'
    if now >= authority.not_valid_after_utc:
        raise ConfigError(f"{folder / 'ca.pem'} ended on {authority.not_valid_after_utc:%Y-%m-%d}; {remedy}")
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    outside = [str(name) for name in names if _permitted(name) not in permitted]
    if outside:
        raise ConfigError(
            f"{folder / 'ca.pem'} may not vouch for {', '.join(outside)}: expected among "
            f"{', '.join(str(one.value) for one in permitted)}; {remedy}"
        )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
