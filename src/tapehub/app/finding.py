"""One link of the chain from the hub to the candles: how it stands, and the words that say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tapehub.app.facts import Facts, Feed, Item, Refusal
from tapehub.app.remedies import for_good

__all__ = [
    "Finding", "Outcome", "again_text", "alive", "concerned", "failed", "has_or_have", "is_or_are", "names",
    "or_closed", "repaired_text", "rounded", "sentence_of", "span", "symbols_of", "told_of",
]  # fmt: skip

RECENT_S = 600.0
_NAMES_MAX = 4


class Outcome(Enum):
    """Grade a link."""

    OK = "ok"
    FAILED = "failed"
    CLOSED = "closed"  # the market is: nothing can come, and nothing is wrong
    SKIPPED = "skipped"  # nothing tells, or an earlier link did not hold


@dataclass(frozen=True, slots=True)
class Finding:
    """State what is known of one link.

    Attributes:
        facts: ages in seconds and states, for other programs.
    """

    link: str
    outcome: Outcome
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def failed(link: str, text: str, facts: dict[str, Any] | None = None) -> Finding:
    """Make a finding that does not hold."""
    return Finding(link, Outcome.FAILED, text, facts or {})


# ---------------------------------------------------------------- which feeds


def concerned(facts: Facts) -> list[Feed]:
    """Give the feeds that concern what was asked: all where that says nothing."""
    named = {item.feed for item in facts.items if item.feed}
    concerned = [feed for feed in facts.feeds if feed.name in named]
    return concerned or list(facts.feeds)


def alive(facts: Facts) -> list[Feed]:
    """Give the feeds that concern what was asked and are collected."""
    return [feed for feed in concerned(facts) if feed.alive]


def told_of(feed: Feed) -> dict[str, Any]:
    """Give what is known of a feed, for other programs."""
    refusal = feed.refusal
    out: dict[str, Any] = {"feed": feed.name, "phase": feed.phase, "phase_s": rounded(feed.phase_s)}
    if refusal is not None:
        out |= {"stage": refusal.stage, "code": refusal.code, "times": refusal.times, "age_s": rounded(refusal.age_s)}
    return out | ({"where": feed.where} if feed.where else {})


def or_closed(facts: Facts, finding: Finding, refusal: Refusal | None) -> Finding:
    """Let what passes by itself wait while the market is closed; what somebody has to mend cannot."""
    closed = bool(facts.items) and all(item.state == "closed" or not item.is_open for item in facts.items)
    if not closed or (refusal is not None and for_good(refusal.stage, refusal.code)):
        return finding
    return Finding(
        finding.link, Outcome.SKIPPED, f"Not needed while the market is closed: {finding.sentence}", finding.facts
    )


# ---------------------------------------------------------------- words


def again_text(feed: Feed) -> str:
    """Say how often it was tried, and what is waited for."""
    refusal = feed.refusal
    times = f" ({refusal.times} times, the last {span(refusal.age_s)} ago)" if refusal and refusal.times > 1 else ""
    return f"{times}; {feed.waits}." if feed.waits else f"{times}."


def repaired_text(feed: Feed, symbols: tuple[str, ...]) -> str:
    """Say what the collector did about it."""
    repaired = feed.repaired
    if repaired is None or repaired.age_s > RECENT_S:
        return ""
    if repaired.symbols and symbols and not set(repaired.symbols) & set(symbols):
        return ""
    did = {
        "resubscribe": f"resubscribed {'it' if len(symbols) == 1 else 'them'}",
        "reconnect": "asked for a new connection",
        "relogin": "asked for a new login",
    }.get(repaired.step, repaired.step)
    return f"; the collector {did} {span(repaired.age_s)} ago"


def span(seconds: float) -> str:
    """Write a duration in one unit: ``41 s``, ``3 min``, ``21 h``, ``3 days``."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"


def names(names: list[str]) -> str:
    """List names, four at most."""
    known = list(dict.fromkeys(names))
    if len(known) > _NAMES_MAX:
        return f"{', '.join(known[: _NAMES_MAX - 1])} and {len(known) - _NAMES_MAX + 1} more"
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}" if known else ""


def symbols_of(items: list[Item]) -> tuple[str, ...]:
    """Name the instruments, each once."""
    return tuple(dict.fromkeys(item.symbol for item in items))


def is_or_are(items: list[Item]) -> str:
    """Choose the verb."""
    return "is" if len(symbols_of(items)) == 1 else "are"


def has_or_have(items: list[Item]) -> str:
    """Choose the verb."""
    return "has" if len(symbols_of(items)) == 1 else "have"


def sentence_of(text: str) -> str:
    """End a sentence."""
    return text if text.endswith(".") else f"{text}."


def rounded(seconds: float | None) -> float | None:
    """Round to milliseconds."""
    return None if seconds is None else round(seconds, 3)
