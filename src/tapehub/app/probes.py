"""What the doctor tries out, and only when it may: credentials looked up, a login, a handshake."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from tapehub.app.config import read_config
from tapehub.app.facts import Facts, Probe
from tapehub.app.remedies import remedy
from tapehub.errors import ConfigError, FeedError, TapehubError, VenueError

__all__ = ["handshake", "look_up", "try_login", "try_out"]

_TIMEOUT_S = 8.0
_SECURE = ("https", "wss")


def try_out(facts: Facts, *, login: bool, online: bool) -> tuple[Facts, list[str]]:
    """Add what can be known without a collector.

    Never while one runs: a second login would end its session.

    Returns:
        the facts, and remarks on what was not tried.
    """
    remarks: list[str] = []
    collected = any(feed.alive for feed in facts.feeds)
    pushed = any(item.state in ("live", "unverified") for item in facts.items)
    endpoints = [feed.where for feed in facts.feeds if feed.alive and feed.where]
    if login and collected:
        remarks.append("no login was tried: a collector runs, and a second login would end its session")
    # Of a feed without a login nothing is missing; where none ever ran, it may be IG's that is meant.
    needed = not facts.feeds or any(feed.name == "ig" for feed in facts.feeds)
    if not collected and (login or (needed and not pushed)):
        facts = replace(facts, credentials=look_up())
    if login and not collected and facts.credentials is not None and facts.credentials.ok:
        found, endpoint = try_login()
        facts = replace(facts, login=found)
        endpoints += [endpoint] if endpoint else []
    if online:
        if not any(urlsplit(url).scheme in _SECURE for url in endpoints):
            endpoints.insert(0, _rest_url())
        facts = replace(facts, online=handshake(endpoints))
    return facts, remarks


def look_up() -> Probe:
    """Look for IG's credentials, and use them for nothing."""
    try:
        from tapehub.feeds.ig.credentials import find_credentials

        found = find_credentials()
    except TapehubError as error:
        return Probe(False, str(error))
    return Probe(True, f"IG credentials are there, for a {found.account_type.name} account")


def try_login() -> tuple[Probe, str]:
    """Log in to IG once, and leave the session as it is.

    Returns:
        what came of it, and the streaming server that IG named.
    """
    from tapehub.feeds.ig.account import Account
    from tapehub.feeds.ig.credentials import find_credentials

    try:
        config = read_config().ig
        account = Account(
            find_credentials(), now=time.time_ns, base_url=config.base_url, version=str(config.session_version)
        )
        try:
            login = account.login()
        finally:
            account.close()
    except VenueError as error:
        if error.code:
            return Probe(False, f"The login was refused with {error.code}: {remedy(error.code)}"), ""
        return Probe(False, f"The login did not work: {error}"), ""
    except (FeedError, ConfigError) as error:
        return Probe(False, f"The login did not work: {error}"), ""
    limit = account.allowances.subscriptions
    return Probe(
        True, f"The login works; the account may subscribe to {limit} items at {login.endpoint}"
    ), login.endpoint


def handshake(urls: Iterable[str]) -> Probe:
    """Connect to each address, with TLS where its scheme asks for it; nothing is sent beyond the handshake."""
    told = []
    for host, port, secure in dict.fromkeys(_place(url) for url in urls):
        try:
            with socket.create_connection((host, port), _TIMEOUT_S) as link:
                if secure:
                    with ssl.create_default_context().wrap_socket(link, server_hostname=host) as over:
                        told.append(f"{host} answers with {over.version()}")
                else:
                    told.append(f"{host}:{port} answers")
        except ssl.SSLCertVerificationError as error:
            why = "check the machine's clock, its CA certificates, and whether a proxy opens TLS"
            return Probe(False, f"The certificate of {host} was not accepted ({error.verify_message}): {why}")
        except ssl.SSLError as error:
            return Probe(False, f"No TLS with {host}:{port} ({error.reason or error}): is a proxy in between?")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return Probe(False, f"{host}:{port} cannot be reached ({why}): check network, firewall and proxy")
    return Probe(True, "; ".join(told))


def _place(url: str) -> tuple[str, int, bool]:
    """Give host, port, and whether TLS is spoken there."""
    parts = urlsplit(url)
    secure = parts.scheme in _SECURE
    return parts.hostname or "", parts.port or (443 if secure else 80), secure


def _rest_url() -> str:
    """Give the address of IG's REST API: the configured one, else that of the credentials' account type."""
    from tapehub.feeds.ig.credentials import AccountType, find_credentials

    if configured := read_config().ig.base_url:
        return configured
    try:
        return find_credentials().account_type.value
    except TapehubError:
        return AccountType.DEMO.value
