"""IG's REST API, without sockets: a request in, a reply out.

Source: labs.ig.com REST reference and guide for paths, versions, codes; captures for the bodies. Codes that no source
gives are marked *ours*. Allowances are counted over the last minute of the simulator's clock.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tapehub.feeds.sim.bodies import Bodies
from tapehub.feeds.sim.contracts import Contract
from tapehub.feeds.sim.faults import FaultKind
from tapehub.feeds.sim.history import RESOLUTIONS, Allowance, BadQuery, History
from tapehub.feeds.sim.logins import ErrorReply, Logins, Reply
from tapehub.feeds.sim.tokens import Login
from tapehub.feeds.sim.venue import Venue

__all__ = ["BASE", "Request", "Rest"]

BASE = "/gateway/deal"
_MINUTE = 60_000_000_000
_EPICS_MAX = 50
_TRADING = ("positions", "workingorders", "confirms")
_KNOWN = (*_TRADING, "session", "operations", "accounts", "markets", "marketnavigation", "prices", "watchlists")


@dataclass(frozen=True, slots=True)
class Request:
    """Hold a request: the path begins with `BASE`, header names are in any case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Look a header up; empty when it is not there."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    @property
    def version(self) -> int:
        """Give the endpoint's version asked for."""
        text = self.header("VERSION")
        return int(text) if text.isdigit() else 1

    def json(self) -> dict[str, Any]:
        """Read the body.

        Raises:
            ErrorReply: it is no JSON object.
        """
        try:
            read = json.loads(self.body or b"{}")
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise ErrorReply(400, "invalid.input")
        return read


class Rest:
    """Answer requests for a venue. Not locked: one thread, or one event loop."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._settings = venue.settings
        self._bodies = Bodies(venue.market, venue.settings, venue.state_of)
        self._logins = Logins(venue, self._bodies)
        self._history = History(venue.source, venue.settings)
        self._allowance = Allowance(venue.settings, venue.now_ns)
        self._recent: dict[str, deque[int]] = {}
        epics = tuple(venue.contracts)
        self._watchlists: dict[str, tuple[str, list[str], bool]] = {
            "5222222": ("My Watchlist", [epic for epic in epics if ".CFD." in epic], True),
            "Popular Markets": ("Popular Markets", list(epics), False),
        }

    def handle(self, request: Request) -> Reply:
        """Answer a request, at the venue's time."""
        method = request.header("_method").upper() or request.method.upper()
        parts = [unquote(part) for part in request.path.removeprefix(BASE).strip("/").split("/")]
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        code = ""
        try:
            reply = self._answer(request, method, parts, query)
        except ErrorReply as error:
            code = error.code
            reply = Reply(error.status, {"errorCode": error.code})
        except BadQuery as error:
            code = str(error)
            reply = Reply(400, {"errorCode": code})
        # Epics, watchlists and nodes are left out, so that requests of a kind are counted together.
        first = parts[0] if parts[0] in _KNOWN else "…"
        shown = parts[:2] if first in ("session", "operations") else [first, *("…" for _ in parts[1:3])]
        self._venue.journal.request(self._venue.now_ns, method, "/" + "/".join(shown), reply.status, code)
        return reply

    def prepare(self, request: Request) -> None:
        """Make the candles that a request will ask for: what takes long of an answer, and any thread may do."""
        parts = request.path.removeprefix(BASE).strip("/").split("/")
        contract = self._venue.contracts.get(unquote(parts[1])) if parts[0] == "prices" and len(parts) == 2 else None
        if contract is not None:
            with contextlib.suppress(BadQuery):  # `handle` will say so
                self._history.candles(contract, dict(parse_qsl(request.query)), self._venue.now_ns)

    def _answer(self, request: Request, method: str, parts: list[str], query: dict[str, str]) -> Reply:
        venue = self._venue
        if venue.hit(FaultKind.MAINTENANCE):
            raise ErrorReply(503, "system.error")
        broken = venue.hit(FaultKind.REST_ERROR, "/" + "/".join(parts))
        if broken is not None:
            raise ErrorReply(broken.status, broken.code or "system.error")
        key = request.header("X-IG-API-KEY")
        if not key:
            raise ErrorReply(400, "error.security.api-key-missing")
        if key != self._settings.api_key:
            raise ErrorReply(403, "error.security.api-key-invalid")
        self._count("api-key", self._settings.allowance_application)
        opened = self._logins.open(request.version, method, parts, request.json)
        if opened is not None:
            return opened
        login = self._logins.of(request.header)
        if parts[0] in _TRADING:
            self._count("account-trading", self._settings.allowance_trading)
        else:
            self._count("account", self._settings.allowance_account)
        return self._signed(request, method, parts, query, login)

    def _count(self, name: str, most: int) -> None:
        if self._venue.faults.hit(FaultKind.ALLOWANCE, self._venue.now_ns, name):
            raise ErrorReply(403, f"error.public-api.exceeded-{name}-allowance")
        now = self._venue.now_ns
        recent = self._recent.setdefault(name, deque())
        while recent and recent[0] <= now - _MINUTE:
            recent.popleft()
        if len(recent) >= most:
            raise ErrorReply(403, f"error.public-api.exceeded-{name}-allowance")
        recent.append(now)

    def _signed(self, request: Request, method: str, parts: list[str], query: dict[str, str], login: Login) -> Reply:
        match method, parts:
            case _, ["session"]:
                return self._logins.session(method, login, query, request.json)
            case "GET", ["operations", "application"]:
                return Reply(200, self._bodies.application())
            case "GET", ["accounts"]:
                return Reply(200, self._bodies.accounts())
            case "GET", ["markets"]:
                return self._markets(request.version, query)
            case "GET", ["markets", epic]:
                return Reply(200, self._bodies.market(self._contract(epic)))
            case "GET", ["marketnavigation"]:
                nodes = [{"id": str(i), "name": name} for i, name in enumerate(self._nodes(), 1000)]
                return Reply(200, {"nodes": nodes, "markets": None})
            case "GET", ["marketnavigation", node]:
                return Reply(200, {"nodes": None, "markets": self._node(node)})
            case "GET", ["prices", epic] if request.version == 3:
                return self._prices(epic, query)
            case "GET", ["prices", epic, resolution, points] if request.version <= 2:
                return self._points(epic, resolution, points)
            case _, ["watchlists", *rest]:
                return self._watch(method, rest, request.json)
            case "GET", ["positions"]:
                return Reply(200, {"positions": []})
            case "GET", ["workingorders"]:
                return Reply(200, {"workingOrders": []})
        raise ErrorReply(404, "invalid.url")  # ours

    # ------------------------------------------------------------ markets

    def _contract(self, epic: str) -> Contract:
        if self._venue.is_unknown(epic):
            raise ErrorReply(404, "error.service.marketdata.instrument.epic.unavailable")
        return self._venue.contracts[epic]

    def _markets(self, version: int, query: dict[str, str]) -> Reply:
        if "searchTerm" in query:
            return Reply(200, {"markets": self._search(query["searchTerm"])})
        epics = [epic for epic in query.get("epics", "").split(",") if epic]
        if not 0 < len(epics) <= _EPICS_MAX:
            raise ErrorReply(400, "invalid.input.epics")
        brief = version >= 2 and query.get("filter") == "SNAPSHOT_ONLY"
        rows = [self._bodies.market(self._contract(epic), snapshot_only=brief) for epic in epics]
        return Reply(200, {"marketDetails": rows})

    def _search(self, term: str) -> list[dict[str, Any]]:
        wanted = _plain(term)
        return [
            self._bodies.row(contract)
            for contract in self._venue.contracts.values()
            if any(
                wanted in _plain(text) for text in (contract.epic, contract.name, contract.symbol, contract.market_id)
            )
        ]

    def _nodes(self) -> list[str]:
        return list(dict.fromkeys(contract.node for contract in self._venue.contracts.values()))

    def _node(self, node: str) -> list[dict[str, Any]]:
        names = self._nodes()
        number = int(node) - 1000 if node.isdigit() else -1
        if not 0 <= number < len(names):
            raise ErrorReply(404, "error.marketnavigation.node.not-found")  # ours
        rows = [contract for contract in self._venue.contracts.values() if contract.node == names[number]]
        return [self._bodies.row(contract) for contract in rows]

    # ------------------------------------------------------------ history

    def _prices(self, epic: str, query: dict[str, str]) -> Reply:
        contract = self._contract(epic)
        found = self._history.candles(contract, query, self._venue.now_ns)
        size, number = (query.get(name, default) for name, default in (("pageSize", "20"), ("pageNumber", "1")))
        if not (size.isdigit() and number.isdigit() and int(number)):
            raise ErrorReply(400, "invalid.input.pageSize")  # ours
        page_size = int(size) or max(len(found), 1)
        begin = (int(number) - 1) * page_size
        page = found.rows(begin, begin + page_size)
        self._spend(len(page))
        return Reply(
            200,
            {
                "prices": page,
                "instrumentType": contract.type,
                "metadata": {
                    "allowance": self._allowance.body(self._venue.now_ns),
                    "size": len(page),
                    "pageData": {
                        "pageSize": page_size,
                        "pageNumber": int(number),
                        "totalPages": -(-len(found) // page_size),
                    },
                },
            },
        )

    def _points(self, epic: str, resolution: str, points: str) -> Reply:
        if resolution not in RESOLUTIONS:
            raise ErrorReply(400, "error.invalid.resolution")
        contract = self._contract(epic)
        found = self._history.candles(contract, {"resolution": resolution, "max": points}, self._venue.now_ns)
        self._spend(len(found))
        rows = found.rows(0, len(found))
        for row in rows:
            del row["snapshotTimeUTC"]  # version 2 has none
        body = {"prices": rows, "instrumentType": contract.type}
        return Reply(200, body | {"allowance": self._allowance.body(self._venue.now_ns)})

    def _spend(self, points: int) -> None:
        name = "account-historical-data"
        venue = self._venue
        if venue.hit(FaultKind.ALLOWANCE, name) or not self._allowance.take(points, venue.now_ns):
            raise ErrorReply(403, f"error.public-api.exceeded-{name}-allowance")

    # ------------------------------------------------------------ watchlists

    def _watch(self, method: str, rest: list[str], body: Callable[[], dict[str, Any]]) -> Reply:
        lists = self._watchlists
        if not rest and method == "GET":
            rows = [
                {
                    "id": name,
                    "name": title,
                    "editable": own,
                    "deleteable": own and name != "5222222",
                    "defaultSystemWatchlist": not own,
                }
                for name, (title, _, own) in lists.items()
            ]
            return Reply(200, {"watchlists": rows})
        if not rest and method == "POST":
            read = body()
            name = str(5_222_223 + len(lists))
            lists[name] = (
                str(read.get("name", "")),
                [self._contract(epic).epic for epic in read.get("epics", [])],
                True,
            )
            return Reply(200, {"watchlistId": name, "status": "SUCCESS"})
        if not rest or rest[0] not in lists:
            raise ErrorReply(404, "error.watchlists.management.watchlist.not-found")  # ours
        _, epics, own = lists[rest[0]]
        if method == "GET":
            return Reply(200, {"markets": [self._bodies.row(self._contract(epic)) for epic in epics]})
        if not own:
            raise ErrorReply(400, "error.watchlists.management.cannot-modify")  # ours
        if method == "PUT":
            epics.append(self._contract(str(body().get("epic"))).epic)
        elif method == "DELETE" and len(rest) == 2 and rest[1] in epics:
            epics.remove(rest[1])
        elif method == "DELETE" and len(rest) == 1:
            del lists[rest[0]]
        else:
            raise ErrorReply(404, "invalid.url")
        return Reply(200, {"status": "SUCCESS"})


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
