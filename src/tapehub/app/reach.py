"""The first links of the chain: hub, collector, credentials, login, streaming endpoint."""

from __future__ import annotations

from typing import Any

from tapehub.app.facts import Facts, Feed, Probe, Refusal
from tapehub.app.finding import (
    Finding,
    Outcome,
    again_text,
    alive,
    concerned,
    failed,
    names,
    or_closed,
    repaired_text,
    rounded,
    sentence_of,
    span,
    told_of,
)  # fmt: skip
from tapehub.app.remedies import remedy
from tapehub.hub.status import SERVER_BEATS_WITHIN_S

__all__ = ["collector", "credentials", "endpoint", "hub", "login", "tried"]

MOVES_WITHIN_S = 50.0
"""A collector says how it stands every 15 s; one that misses three times does not move."""
STARTS_WITHIN_S = 30.0


def hub(facts: Facts) -> Finding:
    """Judge whether there is a hub, and its server moves."""
    if not facts.running:
        return failed("hub", f"No hub is running at {facts.path}: start one with tapehub up.")
    server = facts.server
    told: dict[str, Any] = {"path": facts.path, "processes": list(facts.processes)}
    if server is None:
        return Finding("hub", Outcome.OK, f"The hub {facts.path} is there; no server closes its candles.", told)
    told |= {"server_pid": server.pid, "server_silent_s": rounded(server.silent_s)}
    if server.silent_s > SERVER_BEATS_WITHIN_S:
        why = f"The hub's server (process {server.pid}) has been silent for {span(server.silent_s)}"
        return failed("hub", f"{why}: continue it, or end it (kill {server.pid}) and start tapehub up.", told)
    return Finding("hub", Outcome.OK, f"The hub is served by process {server.pid}.", told)


def collector(facts: Facts) -> Finding:
    """Judge whether somebody collects what was asked for."""
    feeds = concerned(facts)
    told = {one.name: {"alive": one.alive, "phase": one.phase, "told_s": rounded(one.told_s)} for one in feeds}
    if not feeds:
        if facts.items and any(item.state in ("unverified", "live") for item in facts.items):
            return Finding("collector", Outcome.SKIPPED, "No collector runs: callers push ticks themselves.", told)
        return failed("collector", f"No collector is running{_start(facts)}", told)
    living = [one for one in feeds if one.alive]
    uncovered = _uncovered(facts, living)
    if not living or uncovered:
        gone = next((one for one in feeds if not one.alive), feeds[0])
        return failed("collector", _gone(gone, facts), told)
    for one in living:
        if one.told_s is not None and one.told_s > MOVES_WITHIN_S:
            why = f"The collector of {one.name} runs but has said nothing for {span(one.told_s)}"
            return failed("collector", f"{why}: it hangs or is stopped; continue it, or restart tapehub up.", told)
    return Finding("collector", Outcome.OK, f"{names([one.name for one in living])} is collected.", told)


def _gone(feed: Feed, facts: Facts) -> str:
    if feed.phase == "ended":
        return f"The feed {feed.name} has ended: nothing more will come of it; start another with tapehub up."
    since = f"{span(feed.phase_s)} ago"
    if feed.phase == "stopped":
        cause = feed.detail or "collector stopped"
        if cause == "collector stopped":
            return f"No collector is running since {feed.name} was stopped {since}{_start(facts)}"
        return f"No collector is running since {feed.name} ended {since} ({cause}){_start(facts)}"
    return f"No collector is running since the process of {feed.name} ended without a word{_start(facts)}"


def _start(facts: Facts) -> str:
    """Say how to start a collector, and what that would fail of."""
    tried = (facts.credentials, facts.login, facts.online)
    lacking = next((one for one in tried if one is not None and not one.ok), None)
    if lacking is not None:
        return f", and before tapehub up can start one: {sentence_of(lacking.found)}"
    return ": start one with tapehub up."


def tried(facts: Facts, link: str) -> Probe | None:
    """Give what the doctor tried of a link."""
    return {"credentials": facts.credentials, "login": facts.login, "endpoint": facts.online}.get(link)


def _uncovered(facts: Facts, living: list[Feed]) -> list[str]:
    """Name the instruments that only a dead collector watched."""
    names = {feed.name for feed in living}
    covered = {item.symbol for item in facts.items if item.feed in names}
    covered |= {item.symbol for item in facts.items if item.state in ("unverified", "live", "quiet")}
    return [item.symbol for item in facts.items if item.feed and item.symbol not in covered]


def credentials(facts: Facts) -> Finding:
    """Judge the credentials."""
    for feed in alive(facts):
        if feed.refusal is not None and feed.refusal.stage == "credentials":
            return failed(
                "credentials", f"The credentials do not fit: {sentence_of(feed.refusal.detail)}", told_of(feed)
            )
    if facts.credentials is not None:
        if not facts.credentials.ok:
            return failed("credentials", sentence_of(facts.credentials.found))
        return Finding("credentials", Outcome.OK, sentence_of(facts.credentials.found))
    return Finding("credentials", Outcome.SKIPPED, "Not looked up: the collector has what it needs.")


def login(facts: Facts) -> Finding:
    """Judge the login, and what is asked over REST before anything streams."""
    if facts.login is not None:
        outcome = Outcome.OK if facts.login.ok else Outcome.FAILED
        return Finding("login", outcome, sentence_of(facts.login.found))
    for feed in alive(facts):
        refusal = feed.refusal
        if refusal is not None and refusal.stage in ("login", "markets"):
            finding = failed("login", f"{_refused_login(refusal)}{again_text(feed)}", told_of(feed))
            return or_closed(facts, finding, refusal)
        if feed.waits and feed.phase != "connected":
            return or_closed(facts, failed("login", f"No data yet: {sentence_of(feed.waits)}", told_of(feed)), None)
    if any(feed.phase == "connected" for feed in alive(facts)):
        return Finding("login", Outcome.OK, "The feed is logged in, or needs no login.")
    return Finding("login", Outcome.SKIPPED, "Nothing tells of a login.")


def _refused_login(refusal: Refusal) -> str:
    what = "The login was refused" if refusal.stage == "login" else "Looking up the instruments was refused"
    if refusal.code:
        return f"{what} with {refusal.code}: {remedy(refusal.code)}"
    if "SSL" in refusal.detail:
        return _certificate(refusal)
    if "no answer" in refusal.detail:
        return f"The venue does not answer at {refusal.where or 'its address'}: check the network ({refusal.detail})"
    return f"{what}: {refusal.detail}"


def endpoint(facts: Facts) -> Finding:
    """Judge the connection to the streaming server, and its certificate."""
    if facts.online is not None and not facts.online.ok:
        return failed("endpoint", sentence_of(facts.online.found))
    for feed in alive(facts):
        told, refusal = told_of(feed), feed.refusal
        if feed.phase == "connected":
            continue
        if feed.phase == "starting":
            if feed.phase_s <= STARTS_WITHIN_S:
                why = f"{feed.name} was started {span(feed.phase_s)} ago and is not connected yet: wait a moment."
                return or_closed(facts, failed("endpoint", why, told), None)
            why = f"{feed.name} has not connected since its start {span(feed.phase_s)} ago; see the collector's log."
            return or_closed(facts, failed("endpoint", why, told), None)
        if feed.phase == "ended":
            return failed("endpoint", f"The feed {feed.name} has ended: nothing more will come of it.", told)
        if refusal is not None and refusal.stage == "stream":
            return or_closed(facts, failed("endpoint", f"{_refused_stream(refusal)}{again_text(feed)}", told), refusal)
        if "SSL" in feed.detail or "certificate" in feed.detail:
            return failed("endpoint", f"{_certificate(Refusal('', '', feed.detail, 0, feed.where))}.", told)
        why = f"{feed.name} lost its connection {span(feed.phase_s)} ago ({feed.detail or 'no reason given'})"
        return or_closed(
            facts, failed("endpoint", f"{why}; it reconnects by itself{repaired_text(feed, ())}.", told), None
        )
    if facts.online is not None:
        return Finding("endpoint", Outcome.OK, sentence_of(facts.online.found))
    where = [f"{feed.name} is connected{f' to {feed.where}' if feed.where else ''}" for feed in alive(facts)]
    return Finding("endpoint", Outcome.OK if where else Outcome.SKIPPED, f"{names(where) or 'Nobody connects'}.")


def _refused_stream(refusal: Refusal) -> str:
    at = f" {refusal.where}" if refusal.where else ""
    if refusal.code:
        return f"The streaming server{at} refused with {refusal.detail.removeprefix('streaming server: ')}: " + remedy(
            f"stream {refusal.code}"
        )
    return f"The streaming server{at} cannot be had ({refusal.detail}): check network, proxy and certificates"


def _certificate(refusal: Refusal) -> str:
    at = f" of {refusal.where}" if refusal.where else ""
    why = "check the machine's clock, its CA certificates, and whether a proxy opens TLS"
    return f"The certificate{at} was not accepted ({refusal.detail}): {why}"
