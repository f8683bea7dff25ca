"""Requests counted by route, and timed. Pure ASGI: nothing is buffered."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

__all__ = ["API", "Traffic"]

API = "/api/v1"

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Traffic:
    """Stand before an application and count. One event loop."""

    def __init__(self) -> None:
        self.app: Any = None
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, as ASGI asks."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 500

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = _route_of(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._requests[route, method, str(status)] += 1
            took_s = time.perf_counter() - began_s
            self._buckets.setdefault(route, [0] * (len(_BOUNDS_S) + 1))[bisect_left(_BOUNDS_S, took_s)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + took_s

    def families(self) -> Iterator[Metric]:
        """Give the metrics."""
        labels = ("route", "method", "status")
        requests = CounterMetricFamily("tapehub_http_requests", "Requests answered.", labels=labels)
        for key, count in self._requests.items():
            requests.add_metric(key, count)
        yield requests
        seconds = HistogramMetricFamily("tapehub_http_request_seconds", "How long they took.", labels=("route",))
        for route, counts in self._buckets.items():
            total, rows = 0, []
            for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), counts, strict=True):
                total += count
                rows.append((bound, total))
            seconds.add_metric((route,), rows, self._seconds[route])
        yield seconds


def _route_of(scope: Any) -> str:
    """Name the route, not the path: clients choose paths, and each name is kept."""
    route = getattr(scope.get("route"), "path_format", None)
    if route is None:
        return "other"
    # A router that was included knows its own part alone.
    return f"{API}{route}" if scope["path"].startswith(f"{API}/") and not route.startswith(API) else str(route)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
