"""Why there is no data: the first link of the chain from the hub to the candles that does not hold, in one sentence.

A pure function of `Facts`: who gathers them is another matter. docs/reference/doctor.md lists the sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapehub.app import flow, reach
from tapehub.app.facts import Facts, gather
from tapehub.app.finding import Finding, Outcome

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["CHAIN", "Answer", "Finding", "Outcome", "explain", "sentence"]

_CHAIN: dict[str, Callable[[Facts], Finding]] = {
    "hub": reach.hub,
    "collector": reach.collector,
    "credentials": reach.credentials,
    "login": reach.login,
    "endpoint": reach.endpoint,
    "subscriptions": flow.subscriptions,
    "market": flow.market,
    "heartbeat": flow.heartbeat,
    "ticks": flow.ticks,
    "quarantine": flow.quarantine,
    "candles": flow.candles,
}
CHAIN = tuple(_CHAIN)


@dataclass(frozen=True, slots=True)
class Answer:
    """Say why there is no data, or that there is.

    Attributes:
        link: the one that does not hold, ``market`` when it is closed; empty when all hold.
    """

    sentence: str
    outcome: Outcome
    link: str
    chain: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong: data flow, or the market is closed."""
        return self.outcome is not Outcome.FAILED


def sentence(hub: DataHub, symbols: Iterable[str] = ()) -> str:
    """Say in one sentence why a hub has no data of these symbols (all when none), or that it has. Cheap: no process."""
    return explain(gather(hub, symbols)).sentence


def explain(facts: Facts) -> Answer:
    """Go through the chain up to the first link that does not hold."""
    chain: list[Finding] = []
    stop: Finding | None = None
    for name, judge in _CHAIN.items():
        if stop is not None and reach.tried(facts, name) is None:
            chain.append(Finding(name, Outcome.SKIPPED, f"Not looked at: {stop.link} comes first."))
            continue
        finding = judge(facts)
        chain.append(finding)
        if stop is None and finding.outcome in (Outcome.FAILED, Outcome.CLOSED):
            stop = finding
    if stop is not None:
        return Answer(stop.sentence, stop.outcome, stop.link, tuple(chain))
    return Answer(f"All is well: {flow.flow_text(facts)}", Outcome.OK, "", tuple(chain))
