"""The proof that processes share one hub: three of them, nothing in common but its path.

The defect it is there for: a manager that made a hub of its own for every caller, so that the collector counted its
candles and the dashboard read zero.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapehub.app.checks import Check, Health
from tapehub.app.workers import Worker
from tapehub.errors import HubError, HubNotRunning
from tapehub.hub import DataHub

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["prove_live", "prove_shared"]

_PROCESSES = 3
_TICKS = 1000
_SYMBOL = "EUR_USD"
_SAME = ("hub_id", "epoch", "records", "head", "ticks")


def prove_shared(path: Path) -> Check:
    """In a hub of its own, let one process publish and compare, to the last counter, what all three then see."""
    name = "one hub for all"
    try:
        with DataHub.open(path, create=True, name="doctor"), ExitStack() as stack:
            workers = _probes(stack, path)
            published = workers[0].ask("publish", symbol=_SYMBOL, count=_TICKS)["published"]
            seen = [worker.ask("facts") for worker in workers]
    except (HubError, HubNotRunning) as error:
        return Check(name, Health.BAD, str(error), "reinstall tapehub; if that does not help, report it")
    differing = [key for key in _SAME if any(facts[key] != seen[0][key] for facts in seen)]
    counted = [facts["ticks"].get(_SYMBOL, 0) for facts in seen]
    if differing or set(counted) != {published}:
        what = ", ".join(differing) or f"ticks: {counted} of {published}"
        return Check(name, Health.BAD, f"three processes differ in {what}", "do not trade on this machine; report it")
    return Check(
        name,
        Health.GOOD,
        f"3 processes, 1 of them published {published} ticks: all see instance {seen[0]['hub_id'][:8]}, epoch "
        f"{seen[0]['epoch']}, {counted[0]} ticks, {seen[0]['records']} records",
    )


def prove_live(hub: DataHub) -> Check:
    """Compare what three processes see of the user's hub, which is only read and may be growing."""
    name = "your hub"
    line = _last_record(hub)
    try:
        with ExitStack() as stack:
            workers = _probes(stack, hub.path)
            # The first looks again at the end: what the others saw must lie between.
            seen = [worker.ask("facts", line=line) for worker in (*workers, workers[0])]
    except (HubError, HubNotRunning) as error:
        return Check(name, Health.BAD, str(error), "end what holds it, or restart its server")
    differing = [key for key in ("hub_id", "epoch", "record") if any(facts[key] != seen[0][key] for facts in seen)]
    if not _ascending([facts["records"] for facts in seen]) or not _ascending([facts["head"] for facts in seen]):
        differing.append("counters")
    if differing:
        return Check(
            name,
            Health.BAD,
            f"three processes differ in {', '.join(differing)}",
            "restart every process that has it open",
        )
    same = seen[0]["records"] == seen[-1]["records"]
    counters = (
        f"{seen[0]['records']:,} records"
        if same
        else f"counters from {seen[0]['records']:,} up to {seen[-1]['records']:,}"
    )
    return Check(
        name,
        Health.GOOD,
        f"3 processes see instance {seen[0]['hub_id'][:8]}, epoch {seen[0]['epoch']}, {counters}: {hub.path}",
    )


def _probes(stack: ExitStack, path: Path) -> list[Worker]:
    return [
        stack.enter_context(Worker("probe", label=f"probe {number}", path=str(path)))
        for number in range(1, _PROCESSES + 1)
    ]


def _last_record(hub: DataHub) -> int | None:
    """Find the line of a record near the head, for everyone to read."""
    head = hub.head
    return next((line for line in range(head - 1, max(head - 65, 0), -1) if hub._record(line) is not None), None)


def _ascending(numbers: Sequence[Any]) -> bool:
    return all(a <= b for a, b in pairwise(numbers))
