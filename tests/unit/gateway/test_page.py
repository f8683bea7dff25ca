"""The page's files: whole, of the right type, and within the policy that is sent with them."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, Tick
from tapehub.gateway.access.tokens import Tokens
from tapehub.gateway.page import STATIC, mount
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings
from tapehub.model.timeframes import NAMES

TUESDAY = 1_780_401_600_000_000_000
INDEX = (STATIC / "index.html").read_text()
MODULES = sorted((STATIC / "js").glob("*.js"))


class Site:
    """A gateway with the page, asked as a program asks it."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        return urllib.request.urlopen(request, timeout=20)

    def json(self, path: str) -> Any:
        with self.get(path) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a hub with some ticks; two processes run it, as far as the page is told."""
    rows = [{"name": "server", "phase": "running", "pid": 7}, {"name": "collector", "phase": "restarting", "pid": None}]
    with (
        DataHub.open(tmp_path_factory.mktemp("page") / "hub", create=True) as hub,
        Gateway(hub, GatewaySettings(port=0), page=lambda app: mount(app, components=lambda path: rows)) as gateway,
    ):
        for second in range(3):
            hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=TUESDAY + second * 1_000_000_000))
        yield Site(gateway.url, Tokens.open(hub.path).owner.reveal())


def test_the_page_has_every_timeframe_and_a_key_for_each() -> None:
    text = (STATIC / "js" / "chart.js").read_text()
    lists = {
        name: json.loads(found)
        for name, found in re.findall(r"^export const (TIMEFRAMES|TIMEFRAME_KEYS) = (\[.*\]);$", text, re.MULTILINE)
    }
    assert tuple(lists["TIMEFRAMES"]) == NAMES
    assert len(set(lists["TIMEFRAME_KEYS"])) == len(NAMES)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/static/js/main.js", "text/javascript"),
        ("/static/vendor/lightweight-charts/lightweight-charts.mjs", "text/javascript"),
        ("/static/css/base.css", "text/css"),
        ("/static/vendor/inter/inter-latin.woff2", "font/woff2"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_each_file_has_its_type_and_the_policy(site: Site, path: str, kind: str) -> None:
    with site.get(path) as reply:
        assert reply.headers["Content-Type"].startswith(kind)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert reply.read()


@pytest.mark.parametrize(
    "path", ["/static/nothing.js", "/static/vendor/README.md", "/static/", "/static/../__init__.py"]
)
def test_nothing_else_is_served(site: Site, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        site.get(path)
    refused.value.close()
    assert refused.value.code == 404


def test_without_a_token_there_is_no_page(site: Site) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(site.url + "/", timeout=20)
    refused.value.close()
    assert refused.value.code == 401


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    class Look(HTMLParser):
        found: list[str] = []
        files: list[str] = []

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            named = dict(attributes)
            if tag == "style" or "style" in named or any(name.startswith("on") for name in named):
                self.found.append(self.get_starttag_text() or tag)
            if tag == "script" and not named.get("src"):
                self.found.append("inline script")
            source = named.get("src") or (named.get("href") if tag == "link" else None)
            if source:
                self.files.append(source)

    look = Look()
    look.feed(INDEX)
    assert not look.found
    assert look.files
    for name in look.files:
        assert name.startswith("static/"), name
        assert (STATIC.parent / name).is_file(), name


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_each_module_imports_what_is_there(module: Path) -> None:
    for name in re.findall(r"""from\s+["']([^"']+)["']""", module.read_text()):
        assert name.startswith("."), f"{module.name} imports {name}: expected a file of the page"
        assert (module.parent / name).is_file(), f"{module.name} imports {name}, which is not there"


def test_the_ids_that_modules_look_for_are_on_the_page() -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', INDEX))
    wanted = {name for module in MODULES for name in re.findall(r'byId\("([^"]+)"\)', module.read_text())}
    assert wanted <= ids, wanted - ids


def test_the_chart_is_credited() -> None:
    notice = (STATIC / "vendor" / "lightweight-charts" / "NOTICE").read_text()
    assert "TradingView" in notice
    assert 'href="https://www.tradingview.com/"' in INDEX
    assert "Lightweight Charts™" in INDEX
    assert (STATIC / "vendor" / "lightweight-charts" / "LICENSE").is_file()
    assert (STATIC / "vendor" / "inter" / "LICENSE").is_file()


def test_indicators_over_http_have_a_value_for_each_candle(site: Site) -> None:
    told = site.json("/api/v1/indicators/EURUSD?timeframe=1s&limit=2")
    assert (told["symbol"], told["timeframe"]) == ("EUR_USD", "1s")
    assert told["timestamps"] == ["2026-06-02T12:00:01.000000000Z", "2026-06-02T12:00:02.000000000Z"]
    assert told["vwap"] == [pytest.approx(1.15), pytest.approx(1.15)]
    assert told["ema"]["8"] == told["rsi"] == told["donchian"]["upper"] == [None, None]


def test_the_processes_of_up_are_passed_on(site: Site) -> None:
    assert [row["name"] for row in site.json("/api/v1/components")["components"]] == ["server", "collector"]


def test_no_feed_has_no_threshold(site: Site) -> None:
    assert site.json("/api/v1/thresholds")["thresholds"] == []
