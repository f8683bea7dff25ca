"""The way of the data in numbers: venue, feed, quality, hub, readers, this gateway."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from tapehub.gateway.context import Here, answer
from tapehub.gateway.instants import iso
from tapehub.gateway.plain import plain
from tapehub.gateway.shapes.answers import PipelineAnswer
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.streaming.broadcast import Broadcast
from tapehub.hub import DataHub
from tapehub.hub.accounts import account_of
from tapehub.hub.latest import latest
from tapehub.hub.status import quarantined_by

__all__ = ["router"]

router = APIRouter(tags=["for people"])


@router.get("/pipeline", response_model=PipelineAnswer, responses=responses())
async def pipeline(here: Here) -> Response:
    """Count what stands at every hop. Totals: whoever wants a rate takes two answers."""
    hub = here.hub
    counted, ledger, state = account_of(hub), hub.ledger(), hub._hub_state()
    by_reason: Counter[str] = Counter()
    for _, told in quarantined_by(ledger):
        by_reason.update(told["quarantined"])
    built = sum(row["candles_built"] for row in ledger["instruments"].values())
    return answer(
        plain(
            {
                "now": iso(max(hub.now(), 0)),
                "balanced": ledger["balanced"],
                "venue": {"feeds": _feeds(hub)},
                "feed": {"received": counted.received},
                "quality": {
                    # Where nobody receives, callers publish: what they published was accepted.
                    "accepted": counted.published if counted.received else ledger["ticks"],
                    "duplicates": counted.duplicates,
                    "refused": counted.refused,
                    "quarantined": counted.quarantined,
                    "by_reason": dict(by_reason),
                    "in_flight": counted.in_flight,
                    "lost_in_producer": counted.lost_in_producer,
                },
                "hub": {
                    "records": ledger["records"], "ticks": ledger["ticks"], "by_kind": ledger["by_kind"],
                    "head": int(state["head"]), "oldest": int(state["oldest"]), "epoch": int(state["epoch"]),
                    "candles_built": built,
                },
                "readers": hub.readers(),
                "gateway": counts(here.broadcast),
            }
        )
    )  # fmt: skip


def _feeds(hub: DataHub) -> list[dict[str, Any]]:
    now_ns = hub.now()
    return [
        {
            "name": name,
            "phase": told["phase"],
            "alive": told["alive"],
            "for_s": round((told["for"] or 0.0) + max(0.0, (now_ns - told["ts"]) / 1e9), 3),
            "detail": told["detail"],
            "where": told["where"],
            "beat_s": told["beat"],
            "items": sum(len(group) for _, _, group in told["items"]),
            "made_up": told.get("made_up", ""),
            "restarts": told.get("restart", {}).get("times", 0),
        }
        for name, told in latest(hub).links(hub).items()
    ]


def counts(broadcast: Broadcast) -> dict[str, Any]:
    """Count what this gateway's clients are and were sent."""
    sent, policies = broadcast.sent, ("conflate", "lossless")
    subscriptions = Counter(
        one.policy for session in broadcast.sessions for one in session.subscriptions.values()
    )  # fmt: skip
    return {
        "clients": len(broadcast.sessions),
        "conflated": subscriptions["conflate"],
        "lossless": subscriptions["lossless"],
        "frames": sum(sent["frames", policy] for policy in policies),
        "bytes": sum(sent["bytes", policy] for policy in policies),
        "delivered": sum(sent["records", policy] for policy in policies),
        "lost": sum(sent["lost", policy] for policy in policies),
        "stalled": sent["stalled", ""],
    }
