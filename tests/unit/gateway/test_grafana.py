"""The dashboards and alerts of deploy/grafana/ ask for what /metrics gives, and for nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapehub import DataHub
from tapehub.gateway.metrics import _STATES, Metrics
from tapehub.gateway.settings import DEFAULT_PORT, GatewaySettings
from tapehub.gateway.streaming.broadcast import Broadcast
from tapehub.gateway.traffic import Traffic

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "grafana"
DASHBOARDS = sorted(DEPLOY.glob("dashboards/*.json"))
PROMETHEUS_OWN = {"up"}
LABELS_OF_ALL = {"job", "instance", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    """Yield (where, PromQL) of every panel, variable and alert."""
    for path in DASHBOARDS:
        found = json.loads(path.read_text())
        for panel in found["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
        for variable in found["templating"]["list"]:
            yield f"{path.name}: ${variable['name']}", variable["query"]["query"]
    for rule in rules():
        yield f"rules: {rule['alert']}", rule["expr"]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "rules" / "tapehub.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture
def offered(hub: DataHub) -> dict[str, set[str]]:
    """Give the labels of each metric by the name it has on /metrics."""
    metrics = Metrics(hub, Broadcast(hub, GatewaySettings().limits), Traffic(), "0")
    found: dict[str, set[str]] = {}
    text = metrics.render()[0].decode()
    for family in metrics.collect():
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        for ending in endings:
            found[family.name + ending] = set(family._labelnames)  # type: ignore[attr-defined]
        assert f"# TYPE {family.name}" in text
    return found


each_expression = pytest.mark.parametrize(("where", "expr"), list(expressions()), ids=lambda value: value[:60])


@each_expression
def test_every_metric_and_label_exists(where: str, expr: str, offered: dict[str, set[str]]) -> None:
    names = set(re.findall(r"\btapehub_\w+|\bup\b", expr))
    assert names
    missing = names - set(offered) - PROMETHEUS_OWN
    assert not missing, f"{where}: /metrics has no {missing}"
    labels = set(re.findall(r"[{,]\s*(\w+)\s*=~?", expr))
    labels |= {name.strip() for group in re.findall(r"\bby \(([^)]*)\)", expr) for name in group.split(",")}
    labels |= set(re.findall(r"label_values\(\w+, (\w+)\)", expr))
    known = LABELS_OF_ALL.union(*(offered[name] for name in names - PROMETHEUS_OWN))
    assert labels <= known, f"{where}: {names} have no {labels - known}"
    for state in re.findall(r'state="(\w+)"', expr):
        assert state in _STATES
    assert expr.count("(") == expr.count(")")
    assert expr.count("{") == expr.count("}")


def test_a_metric_that_is_counted_up_is_asked_for_its_rate() -> None:
    wrong = [
        f"{where}: {name}"
        for where, expr in expressions()
        for name in re.findall(r"(?:(\w+)\()?tapehub_\w+_(?:total|bucket)", expr)
        if name not in ("rate", "increase", "label_values")
    ]
    assert not wrong, wrong


def test_hops_that_are_asked_for_are_counted(hub: DataHub) -> None:
    text = Metrics(hub, Broadcast(hub, GatewaySettings().limits), Traffic(), "0").render()[0].decode()
    hops = {hop for _, expr in expressions() for hop in re.findall(r'hop="(\w+)"', expr)}
    assert hops
    assert all(f'tapehub_ledger_total{{hop="{hop}"}}' in text for hop in hops)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_are_complete(path: Path) -> None:
    found = json.loads(path.read_text())
    source = yaml.safe_load((DEPLOY / "provisioning" / "datasources" / "tapehub.yml").read_text())["datasources"][0]
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    asked = [*panels, *(target for panel in panels for target in panel["targets"])]
    assert all(one["datasource"] == {"type": source["type"], "uid": source["uid"]} for one in asked)
    cells = [
        (at["x"] + x, at["y"] + y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["w"])
        for y in range(at["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie on one another"
    assert max(x for x, _ in cells) < 24
    variables = {f"${one['name']}" for one in found["templating"]["list"]}
    assert set(re.findall(r'"(\$\w+)"', " ".join(t["expr"] for p in panels for t in p["targets"]))) <= variables


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].strip()
        assert rule["annotations"]["remedy"].strip()


def test_prometheus_asks_the_gateway_where_it_is_and_with_a_token() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{DEFAULT_PORT}"]}]
    assert job["metrics_path"] == "/metrics"
    assert "credentials_file" in job["authorization"]
    assert all((DEPLOY / name).is_file() for name in config["rule_files"])
    (provider,) = yaml.safe_load((DEPLOY / "provisioning" / "dashboards" / "tapehub.yml").read_text())["providers"]
    assert provider["type"] == "file"
