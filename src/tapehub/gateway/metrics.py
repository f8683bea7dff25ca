"""Everything that is counted, for Prometheus: read from the hub when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tapehub.errors import MissingExtra, TapehubError
from tapehub.gateway.states import channel_states
from tapehub.hub import reading
from tapehub.hub.clock import clock_of
from tapehub.hub.gapbook import gap_book
from tapehub.hub.status import quarantined_by, silent_s
from tapehub.model.states import GapStatus, State

if TYPE_CHECKING:
    from tapehub.gateway.streaming.broadcast import Broadcast
    from tapehub.gateway.traffic import Traffic
    from tapehub.hub import DataHub

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtra(error.name or "prometheus-client", "server", "/metrics") from error

__all__ = ["Metrics"]

_LINE_BYTES = 64
_STATES = (*(state.label for state in State), "empty")


class Metrics:
    """Collect when asked. One event loop, and any number of threads beside it where that is said."""

    def __init__(self, hub: DataHub, broadcast: Broadcast, traffic: Traffic, version: str) -> None:
        self._hub = hub
        self._broadcast = broadcast
        self._traffic = traffic
        self._version = version

    def render(self, clients: list[Metric] | None = None) -> tuple[bytes, str]:
        """Write all metrics, and say in which format.

        Args:
            clients: what `of_clients` gave; then this may be called in any thread.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*self.of_hub(), *(self.of_clients() if clients is None else clients)]))
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        yield from self.of_hub()
        yield from self.of_clients()

    def of_hub(self) -> list[Metric]:
        """Give those of the hub, of which some take a while. Any thread."""
        try:
            families = list(self._of_hub())
            up = 1
        except TapehubError:
            families, up = [], 0
        return [_gauge("up", "Whether the hub can be read.", [((), up)]), *families]

    def of_clients(self) -> list[Metric]:
        """Give those of the clients and their requests. In the event loop, where they come and go."""
        return [*self._of_clients(), *self._traffic.families()]

    # ------------------------------------------------------------ the hub

    def _of_hub(self) -> Iterator[Metric]:
        hub = self._hub
        state, ledger = hub._hub_state(), hub.ledger()
        clock = clock_of(hub).mode.name.lower()
        info = (self._version, hub.hub_id, clock)
        yield _gauge("info", "What this is.", [(info, 1)], "version", "hub_id", "clock")
        yield _counter("records", "Records of the log.", [((), ledger["records"])])
        kinds = [((kind,), count) for kind, count in ledger["by_kind"].items()]
        yield _counter("record_kinds", "Records that are no ticks, by kind.", kinds, "kind")
        yield from self._of_instruments()
        yield from self._of_gaps()
        rows: Counter[tuple[str, str, str]] = Counter()
        for (feed, symbol), told in quarantined_by(ledger):
            for reason, count in told["quarantined"].items():
                rows[feed, symbol, reason] += count
        yield _counter(
            "quarantined", "What feeds put in quarantine.", list(rows.items()), "feed", "symbol", "reason"
        )  # fmt: skip
        names = {"received": "received", "published": "acknowledged", "duplicate": "duplicates", "refused": "refused",
                 "quarantined": "quarantined", "lost_in_producer": "lost_in_producer"}  # fmt: skip
        hops = [((hop,), ledger[name]) for hop, name in names.items()]
        yield _counter("ledger", "What became of every record.", hops, "hop")
        yield _gauge("ledger_balanced", "Whether the counts add up.", [((), int(ledger["balanced"]))])
        readers = hub.readers()
        yield _gauge(
            "reader_lag_records", "Lines between a reader and the head.",
            _summed(((row["name"], str(row["pid"])), row["lag"]) for row in readers), "name", "pid",
        )  # fmt: skip
        yield _counter(
            "reader_lost", "Records a reader lost.",
            _summed(((row["name"], str(row["pid"])), row["lost"]) for row in readers), "name", "pid",
        )  # fmt: skip
        yield _gauge("epoch", "Goes up when a recovery cut the tail.", [((), int(state["epoch"]))])
        yield _gauge("head", "Line the next record gets.", [((), int(state["head"]))])
        held = (int(state["head"]) - int(state["oldest"])) * _LINE_BYTES
        yield _gauge("log_bytes", "Size of the log.", [((), held)])
        days = hub.get_status()["days_left"]
        yield _gauge("log_days_left", "Until the oldest segments go.", [] if days is None else [((), days)])
        served = hub.server() is not None
        yield _gauge("server_up", "Whether a server runs the hub.", [((), int(served))])
        yield _gauge("server_silent_seconds", "Since its last beat.", [((), silent_s(hub) if served else 0.0)])

    def _of_instruments(self) -> Iterator[Metric]:
        hub = self._hub
        labels = ("symbol", "source")
        ticks, built, received, flows, late, ages, states = [], [], [], [], [], [], []
        spreads = []
        pips = {symbol: row["pip_size"] for symbol, row in hub.instruments.items()}
        for row in channel_states(hub):
            key = (row.symbol, row.source)
            block, rare = reading.channel_state(hub, row.number)
            ticks.append((key, int(block["ticks"])))
            built.append((key, int(rare["candles_built"])))
            received.append((key, int(rare["candles_received"])))
            flows.append((key, int(rare["flow_updates"])))
            late.append(((*key, "applied"), int(rare["late_applied"])))
            late.append(((*key, "unapplied"), int(rare["late_unapplied"])))
            states += [((*key, name), int(name == row.state)) for name in _STATES]
            if row.age_s is not None:
                ages.append((key, row.age_s))
                if row.primary:
                    wide = float(block["latest"]["ask"] - block["latest"]["bid"]) / (pips.get(row.symbol) or 1.0)
                    spreads.append(((row.symbol,), wide))
        yield _counter("ticks", "Ticks in the log.", ticks, *labels)
        yield _counter("candles_built", "Candles built from ticks.", built, *labels)
        yield _counter("candles_received", "Candles that callers pushed.", received, *labels)
        yield _counter("order_flow", "Order-flow metrics.", flows, *labels)
        yield _counter("late_ticks", "Ticks that came after their interval.", late, *labels, "outcome")
        yield _gauge("tick_age_seconds", "Of the latest tick, by the hub clock.", ages, *labels)
        yield _gauge("spread_pips", "Of the latest tick.", spreads, "symbol")
        yield _gauge("state", "1 for the state that holds.", states, *labels, "state")

    def _of_gaps(self) -> Iterator[Metric]:
        hub, book = self._hub, gap_book(self._hub)
        known, lasting = [], []
        for symbol in hub.instruments:
            rows = book.of(hub, symbol)
            found = Counter(row["status"] for row in rows)
            known += [((symbol, status.label), found[status.label]) for status in GapStatus]
            lasting.append(((symbol,), int(any(row["end"] is None for row in rows))))
        yield _gauge("gaps", "Spans without a live feed.", known, "symbol", "status")
        yield _gauge("gap_open", "Whether one lasts.", lasting, "symbol")

    # ------------------------------------------------------------ the clients

    def _of_clients(self) -> Iterator[Metric]:
        broadcast = self._broadcast
        sent, policies = broadcast.sent, ("conflate", "lossless")
        of = Counter(one.policy for session in broadcast.sessions for one in session.subscriptions.values())
        yield _gauge("ws_clients", "WebSockets.", [((), len(broadcast.sessions))])
        yield _gauge("ws_subscriptions", "Of them.", [((name,), of[name]) for name in policies], "policy")
        for what, text in (("frames", "Messages sent."), ("bytes", "Bytes sent."), ("records", "Records sent."),
                           ("lost", "Records lost to clients.")):  # fmt: skip
            yield _counter(f"ws_{what}", text, [((name,), sent[what, name]) for name in policies], "policy")
        yield _counter("ws_stalled", "Clients closed because they took nothing.", [((), sent["stalled", ""])])


class _Families(Collector):
    """Hand over what is collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


Rows = list[tuple[tuple[str, ...], Any]]


def _summed(rows: Any) -> Rows:
    """Add up readers that share a name."""
    out: Counter[tuple[str, ...]] = Counter()
    for key, value in rows:
        out[key] += value
    return list(out.items())


def _gauge(name: str, text: str, rows: Any, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"tapehub_{name}", text, labels=labels)
    for key, value in rows:
        family.add_metric(key, float(value))
    return family


def _counter(name: str, text: str, rows: Any, *labels: str) -> Metric:
    family = CounterMetricFamily(f"tapehub_{name}", text, labels=labels)
    for key, value in rows:
        family.add_metric(key, float(value))
    return family
