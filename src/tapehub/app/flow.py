"""The last links of the chain: subscriptions, market, heartbeat, ticks, quarantine, candles."""

from __future__ import annotations

from tapehub.app.facts import Facts, Item, Refusal
from tapehub.app.finding import (
    RECENT_S,
    Finding,
    Outcome,
    alive,
    failed,
    has_or_have,
    is_or_are,
    names,
    repaired_text,
    rounded,
    span,
    symbols_of,
)  # fmt: skip
from tapehub.app.hours import moment_text
from tapehub.app.remedies import remedy

__all__ = ["candles", "flow_text", "heartbeat", "market", "quarantine", "subscriptions", "ticks"]

CANDLES_WITHIN_S = 15.0
_USUAL_WORDS = ("", "TRADEABLE", "online")


def subscriptions(facts: Facts) -> Finding:
    """Judge whether the venue took every subscription."""
    bad = [item for item in facts.items if item.refusal is not None and item.state != "live"]
    told = {
        item.symbol: {"code": item.refusal.code, "age_s": rounded(item.refusal.age_s)} for item in bad if item.refusal
    }
    if bad:
        first = bad[0].refusal
        assert first is not None
        others = ""
        if len(bad) > 1:
            others = f"; so {'is' if len(bad) == 2 else 'are'} {names([item.symbol for item in bad[1:]])}"
        elif facts.flowing:
            others = "; the others flow"
        why = first.detail.removeprefix(f"{bad[0].symbol}: ")
        return failed("subscriptions", f"{bad[0].symbol} is refused: {why}{_remedy_of_item(first)}{others}.", told)
    unknown = [item.symbol for item in facts.items if not item.feed and item.state == "empty"]
    if unknown and any(item.feed for item in facts.items) | bool(alive(facts)):
        verb = "is" if len(unknown) == 1 else "are"
        why = f"{names(unknown)} {verb} not collected: no running feed was asked for it"
        return failed("subscriptions", f"{why}; add it to tapehub up.", {"symbols": unknown})
    if not facts.items:
        return Finding("subscriptions", Outcome.SKIPPED, "No instrument was asked for yet.")
    without = [remark for feed in alive(facts) for remark in feed.remarks]
    if without:
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        text = f"No instrument is refused; the feed goes on without: {without[0]}{more}."
        return Finding("subscriptions", Outcome.OK, text, {"without": without})
    return Finding("subscriptions", Outcome.OK, "No subscription is refused.")


def _remedy_of_item(refusal: Refusal) -> str:
    """Say what to do about a refused subscription, where its own words do not."""
    text = remedy(f"item {refusal.code}") if refusal.code else ""
    return f"; {text}" if text else ""


def market(facts: Facts) -> Finding:
    """Judge whether the market is open."""
    closed = [item for item in facts.items if item.state == "closed" or (not item.is_open and item.state == "empty")]
    told = {
        item.symbol: {
            "state": item.state, "opens_ns": item.opens_ns, "is_holiday": item.is_holiday, "word": item.word,
        }
        for item in closed
    }  # fmt: skip
    if not closed:
        return Finding("market", Outcome.OK if facts.items else Outcome.SKIPPED, "The markets are open.", told)
    if len(closed) < len(facts.items):
        those = names([item.symbol for item in closed])
        return Finding("market", Outcome.OK, f"{those} {is_or_are(closed)} closed, the others are open.", told)
    return Finding("market", Outcome.CLOSED, _closed(facts, closed), told)


def _closed(facts: Facts, closed: list[Item]) -> str:
    first = closed[0]
    if first.is_open:  # by the calendar: so the venue says otherwise
        word = f" {first.word}" if first.word else ""
        whose = names([item.symbol for item in closed])
        said = f"the venue says that {whose} {is_or_are(closed)}{word or ' closed'}"
        return f"No data because {said}, though the calendar is open."
    why = f"the {first.market} market is closed{' for a holiday' if first.is_holiday else ''}"
    if first.opens_ns is None:
        return f"No data because {why}."
    wait_s = (first.opens_ns - facts.now_ns) / 1e9
    return f"No data because {why}; it opens on {moment_text(first.opens_ns, facts.now_ns)}, in {span(wait_s)}."


def heartbeat(facts: Facts) -> Finding:
    """Judge the heartbeat."""
    for feed in alive(facts):
        told = {"feed": feed.name, "beat_s": rounded(feed.beat_s)}
        if feed.beat_lost and any(item.state in ("stale", "dead") for item in facts.items if item.feed == feed.name):
            ago = "" if feed.beat_s is None else f" for {span(feed.beat_s)}"
            why = f"{feed.name} is connected but its heartbeat has stopped{ago}, and nothing else comes"
            return failed("heartbeat", f"{why}: the connection is dead{repaired_text(feed, ())}.", told)
    beats = [feed for feed in alive(facts) if feed.beat_s is not None]
    if not beats:
        return Finding("heartbeat", Outcome.SKIPPED, "No feed promises a heartbeat.")
    ages = {feed.name: rounded(feed.beat_s) for feed in beats}
    return Finding("heartbeat", Outcome.OK, f"The heartbeat of {names([one.name for one in beats])} is fine.", ages)


def ticks(facts: Facts) -> Finding:
    """Judge whether ticks come."""
    ages = {
        item.symbol: {"state": item.state, "tick_s": rounded(item.tick_s), "cause": item.cause} for item in facts.items
    }
    if not facts.items:
        return failed("ticks", "The hub has no instrument yet: nothing was ever published into it.")
    out = [item for item in facts.items if item.state in ("stale", "dead") and not _only_bad_quotes(item)]
    never = [item for item in facts.items if item.state == "empty" and not _only_bad_quotes(item)]
    if out:
        return failed("ticks", _silent(facts, out), ages)
    if never and len(never) == len(facts.items):
        asked = names([item.symbol for item in never])
        return failed("ticks", f"{asked} {has_or_have(never)} not had a first tick yet; the connection is fine.", ages)
    return Finding("ticks", Outcome.OK, f"Ticks come: {flow_text(facts)}", ages)


def _only_bad_quotes(item: Item) -> bool:
    """Tell whether quotes come and none gets through the gate."""
    if item.heard_s is None or item.quarantined is None or item.state not in ("stale", "empty", "dead"):
        return False
    return item.quarantined.age_s <= item.heard_s + 60.0 and (item.tick_s is None or item.heard_s < item.tick_s - 1.0)


def _silent(facts: Facts, out: list[Item]) -> str:
    first = out[0]
    feed = next((one for one in alive(facts) if one.name == first.feed), None)
    age = "no tick yet" if first.tick_s is None else f"no tick for {span(first.tick_s)}"
    who = f"{names([item.symbol for item in out])} {has_or_have(out)} had {age}"
    if first.tick_s is not None and first.tick_s < 1.0:  # what comes is not trusted: that it ticks is no news
        verbs = "ticks and counts" if len(out) == 1 else "tick and count"
        who = f"{names([item.symbol for item in out])} {verbs} as {first.state}"
    if feed is None:
        why = "the same quote is pushed again and again, or nobody pushes any more" if not first.feed else first.cause
        return f"{who}: {why}."
    word = f"; the venue says that it is {first.word}" if first.word not in _USUAL_WORDS else ""
    end = f"{word}{repaired_text(feed, symbols_of(out))}."
    beats = feed.beat_s is not None and not feed.beat_lost
    if first.state == "dead":
        if feed.phase == "connected":
            return f"{who}; {feed.name} connected {span(feed.phase_s)} ago: wait a moment{end}"
        return f"{who}: {first.cause or feed.detail or 'the transport is gone'}{end}"
    if facts.flowing:
        heart = " and the heartbeat is fine" if beats else ""
        item = "its item is mute" if len(out) == 1 else "their items are mute"
        return f"{who} because {item}: other items flow{heart}{end}"
    heart = "though the heartbeat is fine" if beats else "and there is no heartbeat"
    return f"{who} because nothing flows at all, {heart}: {feed.name} is connected but mute{end}"


def flow_text(facts: Facts) -> str:
    """Say what flows."""
    ticking = [item for item in facts.items if item.tick_s is not None and item.state != "closed"]
    if not ticking:
        return "nothing is missing."
    newest = min(ticking, key=lambda item: item.tick_s or 0.0)
    ago = f"{span(newest.tick_s or 0.0)} ago"
    quiet = [item.symbol for item in ticking if item.state == "quiet"]
    slow = f"; {names(quiet)} {'is' if len(quiet) == 1 else 'are'} quiet, as the market is slow" if quiet else ""
    if len(symbols_of(ticking)) == 1:
        return f"{newest.symbol} ticked {ago}{slow}."
    return f"{len(symbols_of(ticking))} instruments have data, the last tick {ago} ({newest.symbol}){slow}."


def quarantine(facts: Facts) -> Finding:
    """Judge whether ticks get through the quality gate."""
    bad = [item for item in facts.items if _only_bad_quotes(item)]
    if bad:
        first = bad[0]
        assert first.quarantined is not None
        age = "not had one good tick" if first.tick_s is None else f"had no good tick for {span(first.tick_s)}"
        who = f"{names([item.symbol for item in bad])} {has_or_have(bad)} {age}"
        why = f"{who}: its quotes are quarantined as {first.quarantined.reason}"
        detail = f" ({first.quarantined.detail})" if first.quarantined.detail else ""
        told = {item.symbol: item.quarantined.reason for item in bad if item.quarantined}
        return failed("quarantine", f'{why}{detail}; see hub.quarantined("{first.symbol}").', told)
    some = {
        item.symbol: {"reason": item.quarantined.reason, "age_s": rounded(item.quarantined.age_s)}
        for item in facts.items
        if item.quarantined is not None and item.quarantined.age_s <= RECENT_S
    }
    if some:
        return Finding("quarantine", Outcome.OK, f"Some quotes of {names(list(some))} are in quarantine.", some)
    return Finding("quarantine", Outcome.OK, "Nothing went into quarantine lately.")


def candles(facts: Facts) -> Finding:
    """Judge whether the ticks become candles."""
    server = facts.server
    if server is not None and server.behind_s is not None and server.behind_s > CANDLES_WITHIN_S:
        why = f"Ticks come, but the server (process {server.pid}) closed the last candle {span(server.behind_s)} ago"
        return failed("candles", f"{why}: restart it.", {"behind_s": rounded(server.behind_s)})
    lacking = [item.symbol for item in facts.items if item.has_candle is False and item.state == "live"]
    if lacking:
        why = f"{names(lacking)}: ticks come, but their minute has no candle"
        return failed(
            "candles", f"{why}: they arrive too late to be counted, or the hub was cleared; see tapehub status."
        )
    if server is None:
        return Finding("candles", Outcome.OK, "Candles are closed by the ticks: no server runs.")
    return Finding("candles", Outcome.OK, "Candles are closed on time.", {"behind_s": rounded(server.behind_s)})
