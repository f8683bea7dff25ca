"""What people ask: why are there no data, what happened lately, what may feeds still ask, how is the simulator."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.collector.allowance import FILE_NAME, Ledger
from tapehub.errors import ConfigError
from tapehub.gateway.context import Context, Here, answer, answer_text
from tapehub.gateway.encoding import text_of
from tapehub.gateway.events import EVENT_KINDS, newest_events
from tapehub.gateway.instants import iso
from tapehub.gateway.problems import Problem
from tapehub.gateway.shapes.answers import AllowanceAnswer, EventsAnswer, SimulatorAnswer, WhyAnswer
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.requests import SimulatorFault
from tapehub.hub import DataHub
from tapehub.hub.latest import latest

__all__ = ["admin", "router"]

router = APIRouter(tags=["for people"])
admin = APIRouter(tags=["for people"])
_TIMEOUT_S = 5.0
_REPLY_MAX = 1 << 20


@router.get("/why", response_model=WhyAnswer, responses=responses(404, 422))
async def why(
    here: Here,
    symbol: Annotated[list[str] | None, Query(max_length=100, description="All instruments when absent.")] = None,
) -> Response:
    """Say in one sentence why there is no data, or that there is: the doctor's answer."""
    if here.outside.why is None:
        raise Problem("not-found", "nobody told this gateway how to ask the doctor; run it as `tapehub gateway`")
    return answer(here.outside.why(here.hub, symbol or ()))


@router.get("/events", response_model=EventsAnswer, responses=responses(422, 503))
async def events(
    here: Here,
    limit: Annotated[int, Query(ge=0, le=1000, description="The newest so many.", examples=[100])] = 100,
    kinds: Annotated[
        str, Query(max_length=400, description="Names of kinds, with commas between.", examples=["state,gap"])
    ] = ",".join(EVENT_KINDS),
) -> Response:
    """List what happened lately, oldest first: changes of state, gaps, quarantine, clears, notes, clocks."""
    names = [name.strip() for name in kinds.split(",") if name.strip()]

    def read() -> Response:
        records = newest_events(here.hub, names, limit)
        return answer_text(f'{{"events":[{",".join([text_of(record) for record in records])}]}}')

    return await here.pool.run(read)


@router.get("/allowance", response_model=AllowanceAnswer, responses=responses())
async def allowance(here: Here) -> Response:
    """Tell how many subscriptions feeds have, and what is left of each venue's historical allowance."""
    return answer({"feeds": _feeds(here.hub), "historical": _historical(here.hub.path)})


def _feeds(hub: DataHub) -> dict[str, Any]:
    out, now_ns = {}, hub.now()
    for name, told in latest(hub).links(hub).items():
        waits = told.get("waits", {})
        items = {row[0] for _, _, group in told["items"] for row in group} - set(told.get("refused", {}))
        used, most = told.get("subscriptions") or (len(items), None)
        out[name] = {
            "phase": told["phase"],
            "alive": told["alive"],
            "subscriptions": used,
            "subscriptions_max": most,
            "refused": sorted(told.get("refused", {})),
            "waits": waits["detail"] if waits.get("left", 0.0) > (now_ns - told["ts"]) / 1e9 else "",
            "repairs": told.get("repairs", {}),
        }
    return out


def _historical(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before, after = FILE_NAME.split("{venue}")
    for file in sorted(path.glob(FILE_NAME.format(venue="*"))):
        venue = file.name[len(before) : -len(after)]
        try:
            now = Ledger(file, time.time_ns).read()
        except (ConfigError, OSError) as error:
            rows.append({"venue": venue, "error": " ".join(str(error).split())})
            continue
        rows.append(
            {
                "venue": venue, "remaining": now.remaining, "available": now.available, "total": now.total,
                "booked": now.booked, "reserve": now.reserve, "as_read": now.as_read,
                "expires": iso(now.expires_ns) if now.expires_ns else None,
            }
        )  # fmt: skip
    return rows


# ---------------------------------------------------------------- the simulator


@router.get("/simulator", response_model=SimulatorAnswer, responses=responses(404, 502, 503))
async def simulator(here: Here) -> Response:
    """Tell how the simulated venue stands: its clock, the faults that hold, what it did."""
    url = _control(here)
    return answer({"state": await here.quick.run(lambda: _ask(f"{url}/sim/state", None))})


@admin.post("/simulator/fault", response_model=dict[str, Any], responses=responses(404, 415, 422, 502, 503))
async def simulator_fault(here: Here, fault: SimulatorFault) -> Response:
    """Let the simulated venue do something wrong."""
    url = _control(here)
    body = json.dumps(fault.model_dump()).encode()
    return answer(await here.quick.run(lambda: _ask(f"{url}/sim/fault", body)))


def _control(here: Context) -> str:
    url = here.outside.simulator()
    if not url.startswith("http://127.0.0.1:"):
        raise Problem(
            "no-simulator", "no simulator runs beside this hub: expected one; start it with `tapehub up --feed sim`",
            remedy="start it with `tapehub up --feed sim`",
        )  # fmt: skip
    return url


def _ask(url: str, body: bytes | None) -> Any:
    """Ask the simulator, on the loopback."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  (see _control)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return json.loads(reply.read(_REPLY_MAX))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode(errors="replace")
        raise Problem("invalid-request", f"the simulator refused it: {text}", where="body") from None
    except (OSError, ValueError) as error:
        raise Problem("upstream", f"the simulator at {url} did not answer: {error}; does it run?") from None
