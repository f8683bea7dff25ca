"""Where the gateway may listen, and certificates that vouch for their own names alone."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tapehub.errors import ConfigError
from tapehub.gateway.access import check_bind, names_of, uvicorn_options
from tapehub.gateway.access.bind import TlsFiles
from tapehub.gateway.access.tls import make_certificates

BEYOND = ["0.0.0.0", "::", "", "192.0.2.7", "hub.example", "localhost.example", "2001:db8::1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LocalHost."])
def test_loopback_needs_no_tls(tmp_path: Path, host: str) -> None:
    assert check_bind(host, certificate=None, key=None, hub_path=tmp_path, has_token=True) is None


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_loopback_without_tls_is_refused_with_the_remedy(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"without TLS: expected a loopback address.*tapehub tls init"):
        check_bind(host, certificate=None, key=None, hub_path=tmp_path, has_token=True)


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_loopback_without_a_token_is_refused(tmp_path: Path, host: str) -> None:
    make_certificates(tmp_path, ["hub.example"])
    assert check_bind(host, certificate=None, key=None, hub_path=tmp_path, has_token=True) is not None
    with pytest.raises(ConfigError, match="without a token"):
        check_bind(host, certificate=None, key=None, hub_path=tmp_path, has_token=False)


def test_configured_certificate_is_used_on_loopback_too_and_must_be_there(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, [])
    files = check_bind("127.0.0.1", certificate=made.certificate, key=made.key, hub_path=tmp_path, has_token=True)
    assert files == TlsFiles(made.certificate, made.key)
    with pytest.raises(ConfigError, match="expected both"):
        check_bind("127.0.0.1", certificate=made.certificate, key=None, hub_path=tmp_path, has_token=True)
    with pytest.raises(ConfigError, match="is missing"):
        check_bind("::1", certificate=tmp_path / "no.pem", key=made.key, hub_path=tmp_path, has_token=True)


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, [])
    made.key.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        check_bind("0.0.0.0", certificate=None, key=None, hub_path=tmp_path, has_token=True)


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    first = make_certificates(tmp_path, []).certificate.read_bytes()
    made = make_certificates(tmp_path, [])
    made.certificate.write_bytes(first)
    with pytest.raises(ConfigError, match="are no pair"):
        check_bind("0.0.0.0", certificate=None, key=None, hub_path=tmp_path, has_token=True)


def test_keys_are_this_users_alone(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["hub.example"])
    for path in made.key.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.key.parent.stat().st_mode) == 0o700


def test_certificate_names_what_was_asked_for_and_this_machine(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["Hub.Example.", "192.0.2.7", "hub.example"])
    assert made.names == ["hub.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"]
    assert sorted(names_of(TlsFiles(made.certificate, made.key))) == sorted(made.names)


def test_second_run_renews_under_the_same_authority(tmp_path: Path) -> None:
    first = make_certificates(tmp_path, ["hub.example"])
    trusted = first.authority.read_bytes()
    again = make_certificates(tmp_path, ["hub.example"])
    assert first.is_new
    assert not again.is_new
    assert again.authority.read_bytes() == trusted
    with pytest.raises(ConfigError, match=r"may not vouch for other.example.*--new-ca"):
        make_certificates(tmp_path, ["hub.example", "other.example"])
    assert make_certificates(tmp_path, ["other.example"], new_authority=True).is_new
    with pytest.raises(ConfigError, match="ended on"):
        make_certificates(tmp_path, ["other.example"], now=datetime.now(UTC) + timedelta(days=4000))


@pytest.mark.parametrize("name", ["*.example", "a b", "http://hub", "hub:8765", "0.0.0.0", "-x", ""])
def test_names_no_certificate_is_made_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        make_certificates(tmp_path, [name])


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Let two ends of a socket pair greet each other."""
    one, other = socket.socketpair()
    one.settimeout(10)
    other.settimeout(10)

    def serve() -> None:
        try:
            with server.wrap_socket(one, server_side=True):
                pass
        except OSError:
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(other, server_hostname=name):
            pass
    finally:
        other.close()
        thread.join()


def test_client_that_trusts_the_authority_believes_its_names_and_no_others(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["hub.example", "192.0.2.7"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    trusting = ssl.create_default_context(cafile=str(made.authority))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("hub.example", "192.0.2.7", "localhost", "127.0.0.1"):
        handshake(server, trusting, name)
    for context, name in ((trusting, "other.example"), (ssl.create_default_context(), "hub.example")):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(server, context, name)


def test_stolen_authority_vouches_for_nobody_else(tmp_path: Path) -> None:
    """Whoever has the authority's key signs a bank's name with it, and is not believed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from tapehub.gateway.access import tls

    made = make_certificates(tmp_path, ["hub.example"])
    ca_key = serialization.load_pem_private_key((made.key.parent / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    forged = tls._certificate(key, authority, ca_key, ["bank.example"], datetime.now(UTC))
    made.certificate.write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(tls._pem(key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(server, ssl.create_default_context(cafile=str(made.authority)), "bank.example")


def test_server_believes_no_header_about_where_a_request_comes_from(tmp_path: Path) -> None:
    options = uvicorn_options(None)
    assert options["proxy_headers"] is False
    assert options["server_header"] is False
    assert "ssl_keyfile" not in options
    made = make_certificates(tmp_path, [])
    assert uvicorn_options(TlsFiles(made.certificate, made.key))["ssl_keyfile"] == str(made.key)
