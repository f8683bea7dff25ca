"""The dashboard in a real browser, against `tapehub up --feed sim`."""

import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapehub import DataHub
from tapehub.agents.records import AccountState, Fill, Opinion, Order, Position
from tests.browser.dashboard import Dashboard
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.timeout(90)

CANDLE = "() => { const c = tapehub.chart.candles.last; const d = tapehub.chart.drawn; return c && {of: c, drawn: d}; }"


def test_values_change_by_themselves(dashboard: Dashboard) -> None:
    read = (
        "() => Object.fromEntries([...document.querySelectorAll('.row.item')].map("
        "(row) => [row.dataset.symbol, [row.dataset.bid, row.querySelector('.price').textContent]]))"
    )
    before = dashboard.page.evaluate(read)
    assert set(before) == {"EUR_USD", "GBP_USD", "USD_JPY", "XAU_USD"}
    all_new = "Object.keys(before).every((name) => now[name][1] !== before[name][1])"
    dashboard.until(f"(before) => {{ const now = ({read})(); return {all_new}; }}", before)
    price = dashboard.page.inner_text('.row.item[data-symbol="EUR_USD"] .price')
    assert re.fullmatch(r"1\.\d{5}", price)


def test_the_last_candle_is_the_hubs(dashboard: Dashboard) -> None:
    """Both change with each tick, so they are read together until they are of the same tick."""
    both = (
        "async () => { const mine = (" + CANDLE + ")(); const path = 'api/v1/candles/' + tapehub.chart.candles.symbol"
        " + '?forming=true&limit=1&timeframe=' + tapehub.chart.candles.timeframe;"
        " const hubs = (await (await fetch(path)).json()).candles.at(-1); return {mine, hubs}; }"
    )
    names = ("timestamp", "open", "high", "low", "close", "volume", "status")
    seen: list[Any] = []
    for _ in range(100):
        told = dashboard.page.evaluate(both)
        mine, hubs = told["mine"], told["hubs"]
        seen.append((mine and mine["of"], hubs))
        if mine and [mine["of"][name] for name in names] == [hubs[name] for name in names]:
            break
    else:
        pytest.fail(f"never the same: {json.dumps(seen[-3:], indent=1)}")
    assert mine["of"]["status"] == "forming"
    drawn = mine["drawn"]
    assert [drawn[name] for name in ("open", "high", "low", "close")] == [
        hubs[name] for name in ("open", "high", "low", "close")
    ]


@pytest.mark.parametrize("width", [1400, 1024, 390])
def test_no_symbol_and_no_number_of_the_way_is_cut_off(dashboard: Dashboard, width: int) -> None:
    cut = """() => [...document.querySelectorAll('.row .name, .row .name small, .hop dt, .hop dd, .hop .said')]
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""
    usual = dashboard.page.viewport_size
    assert usual is not None
    dashboard.page.set_viewport_size({"width": width, "height": 900})
    try:
        dashboard.until("() => document.querySelectorAll('.hop dd').length > 12")
        assert dashboard.page.evaluate(cut) == []
    finally:
        dashboard.page.set_viewport_size(usual)


def test_indicators_follow_the_forming_candle(dashboard: Dashboard) -> None:
    dashboard.page.locator('[data-timeframe="1s"]').click()
    dashboard.until("() => tapehub.chart.candles.timeframe === '1s' && tapehub.chart.candles.times.length > 8")
    dashboard.until("() => /EMA 8 [0-9.]+/.test(document.querySelector('#legend').innerText)")
    before = dashboard.page.inner_text("#legend")
    dashboard.until(
        "(before) => { const now = document.querySelector('#legend').innerText; const of = (text) => /VWAP ([0-9.]+)/"
        ".exec(text)?.[1]; return of(now) && of(now) !== of(before); }",
        before,
    )
    told = dashboard.ask("indicators/EUR_USD?timeframe=1s&limit=3")
    assert len(told["timestamps"]) == len(told["vwap"]) == len(told["ema"]["8"]) == 3
    dashboard.page.locator('[data-indicator="ema"]').click()
    dashboard.until("() => !/EMA/.test(document.querySelector('#legend').innerText)")
    dashboard.page.locator('[data-indicator="ema"]').click()
    dashboard.until("() => /EMA 8/.test(document.querySelector('#legend').innerText)")
    dashboard.page.locator('[data-timeframe="1m"]').click()


def test_the_pipeline_counts_what_flows_and_balances(dashboard: Dashboard) -> None:
    dashboard.until("() => document.querySelector('#balance').dataset.ok === 'true'")
    before = dashboard.page.inner_text("#balance")
    dashboard.until("(before) => document.querySelector('#balance').innerText !== before", before)
    hops = dashboard.page.inner_text("#pipeline")
    for word in ("Venue", "Collector", "Hub", "Readers", "connected", "sim"):
        assert word in hops
    dashboard.until("() => document.querySelectorAll('.arrow[data-on=true]').length >= 2")


def test_subscriptions_are_shown_against_the_limit(dashboard: Dashboard) -> None:
    dashboard.until("() => /sim subscriptions\\s+[1-9]\\d* of 40/.test(document.querySelector('#gauges').innerText)")


def test_the_processes_of_up_are_listed(dashboard: Dashboard, running: Running) -> None:
    dashboard.until("() => document.querySelectorAll('#components tbody tr').length >= 4")
    for name in ("server", "simulator", "collector", "gateway"):
        shown = rf"{name}\s+running\s+{running.pid_of(name)}"
        dashboard.until("(shown) => new RegExp(shown).test(document.querySelector('#components').innerText)", shown)


def test_everything_works_by_keyboard(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.locator(".row.item").first.focus()
    chosen = "() => document.querySelector('.row.item[aria-selected=true]').dataset.symbol"
    assert page.evaluate(chosen) == "EUR_USD"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(chosen) == "GBP_USD"
    assert page.evaluate("() => document.activeElement.dataset.symbol") == "GBP_USD"
    dashboard.until("() => tapehub.chart.candles.symbol === 'GBP_USD' && tapehub.chart.candles.loaded")
    page.keyboard.press("End")
    assert page.evaluate(chosen) == "XAU_USD"
    page.keyboard.press("Home")
    page.keyboard.press("2")
    dashboard.until("() => tapehub.chart.candles.timeframe === '5s' && tapehub.chart.candles.times.length > 0")
    for key, name in (("7", "30m"), ("0", "1d"), ("-", "1w")):
        page.keyboard.press(key)
        dashboard.until(f"() => tapehub.chart.candles.timeframe === '{name}' && tapehub.chart.candles.loaded")
    page.keyboard.press("4")
    dashboard.until("() => tapehub.chart.candles.timeframe === '1m'")
    page.keyboard.press("/")
    page.keyboard.type("jpy")
    assert page.evaluate(chosen) == "USD_JPY"
    assert page.locator(".row.item:visible").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".row.item:visible").count() == 4
    page.keyboard.press("Home")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    before = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("d")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != before
    page.keyboard.press("d")


@pytest.mark.parametrize("fragment", ["#%", "#%zz", "#no%20such"])
def test_whatever_stands_behind_the_address_the_page_starts(
    browser: "Browser", running: Running, fragment: str
) -> None:
    board = Dashboard(browser.new_context())
    board.page.goto(running.link, timeout=60_000)
    board.page.goto(running.link.partition("/login")[0] + "/" + fragment)
    board.until("() => tapehub.store.chosen === 'EUR_USD sim' && tapehub.chart.candles.loaded")
    wrong = list(board.wrong)
    board.close()
    assert not wrong, wrong


def test_a_made_up_market_is_called_simulated_under_the_walls_clock_too(browser: "Browser") -> None:
    with Running(feed="synthetic", at=None, symbols="EUR_USD") as up:
        board = Dashboard(browser.new_context())
        board.page.goto(up.link, timeout=60_000)
        board.until("() => !document.querySelector('#simulator').hidden")
        assert "SIMULATED" in board.page.inner_text("#simulator")
        assert "Made-up quotes (synthetic)" in board.page.inner_text("#simulator-text")
        assert board.page.locator("[data-fault]:visible").count() == 0
        board.until("() => /simulated/.test(document.querySelector('.row.item').innerText)")
        wrong = list(board.wrong)
        board.close()
    assert not wrong, wrong


def test_what_the_gateway_is_too_busy_for_is_asked_again(browser: "Browser", running: Running) -> None:
    board, turned_away = Dashboard(browser.new_context()), dict[str, int]()

    def busy_at_first(route: Any) -> None:
        path = route.request.url.partition("/api/v1/")[2].partition("?")[0]
        turned_away[path] = turned_away.get(path, 0) + 1
        if turned_away[path] > 2:
            route.continue_()
        else:
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")

    board.page.route(re.compile("/api/v1/(events|components)"), busy_at_first)
    board.page.goto(running.link, timeout=60_000)
    board.until("() => !document.querySelector('#simulator').hidden")
    board.until("() => document.querySelectorAll('#events li[data-seq]').length > 0")
    assert min(turned_away["events"], turned_away["components"]) > 2
    board.close()


@pytest.mark.parametrize("state", ["live", "stale"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(dashboard: Dashboard, scheme: str, state: str) -> None:
    page = dashboard.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate("() => { delete document.documentElement.dataset.theme; }")
    with dashboard.held(state, "down"):
        dashboard.shows("EUR_USD", [state])
        # Evaluated by the driver, not put on the page, whose policy would refuse it.
        page.evaluate(AXE.read_text())
        found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    page.emulate_media(color_scheme="light")
    serious = [
        (rule["id"], rule["help"], [node["target"] for node in rule["nodes"]][:5])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert not serious, serious


def test_a_phone_scrolls_in_one_direction_only(browser: "Browser", dashboard: Dashboard, running: Running) -> None:
    """And writes numbers as its owner's language does."""
    options = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "locale": "de-DE"}
    phone = Dashboard.open(browser, running.link, **options)
    try:
        phone.until("() => document.querySelectorAll('#components tbody tr').length >= 4")
        assert phone.page.evaluate("() => document.documentElement.scrollWidth") == 360
        row = phone.page.locator('.row.item[data-symbol="EUR_USD"]')
        cells = row.locator(".name, .price, .spread, .age, .badge").all()
        assert len([cell for cell in cells if cell.is_visible()]) == 6
        assert re.fullmatch(r"1,\d{5}", row.locator(".price").first.inner_text())
        for cell in cells:
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        assert not phone.wrong
    finally:
        phone.close()


def test_a_killed_collector_shows_and_its_restart_too(dashboard: Dashboard, running: Running) -> None:
    dashboard.is_live("EUR_USD")
    times = running.restarts_of("collector")
    dashboard.page.evaluate(WATCH)
    running.signal("collector", signal.SIGKILL)
    dashboard.shows("EUR_USD", ["stale", "dead"])
    dashboard.until("() => document.querySelector('#verdict').dataset.outcome === 'failed'")
    assert "collector" in dashboard.why or "EUR_USD" in dashboard.why
    assert dashboard.page.evaluate("() => { cancelAnimationFrame(looking); return untrue; }") == []
    running.says(r"collector +running, process", times + 1)
    dashboard.is_live("EUR_USD")
    dashboard.until("() => document.querySelector('#verdict').dataset.outcome === 'ok'")
    dashboard.until("() => /collector restarted/.test(document.querySelector('#gaps').innerText)")
    assert dashboard.same_load


# Looks at every frame, by the page's own clock, for rows shown as live although nothing came for longer than the least
# threshold there is, or whose tick is older than their own; two seconds more where the machine is slow to draw.
WATCH = """() => {
  globalThis.untrue = [];
  const look = () => {
    for (const line of document.querySelectorAll('.row.item[data-state=live]')) {
      const row = tapehub.store.of(line.dataset.symbol);
      const age = row.ageS(tapehub.clock.now());
      const silentMs = tapehub.socket.silentMs;
      if (silentMs > 5000 || age > row.staleAfterS + 2) untrue.push([row.symbol, age, silentMs]);
    }
    globalThis.looking = requestAnimationFrame(look);
  };
  look();
}"""


def test_a_stalled_socket_greys_the_page(dashboard: Dashboard, running: Running) -> None:
    dashboard.is_live("EUR_USD")
    dashboard.page.evaluate(WATCH)
    running.signal("gateway", signal.SIGSTOP)
    try:
        dashboard.until("() => document.documentElement.dataset.link === 'stalled'")
        assert {dashboard.state(name) for name in ("EUR_USD", "GBP_USD", "USD_JPY", "XAU_USD")} == {"unknown"}
        assert "No word from the hub" in dashboard.page.inner_text("#stalled")
        assert "grayscale" in dashboard.page.evaluate("() => getComputedStyle(document.querySelector('#board')).filter")
        assert "live" not in dashboard.page.inner_text("#tally").lower()
        dashboard.until("() => tapehub.socket.silentMs > 6000 || document.documentElement.dataset.link === 'closed'")
    finally:
        running.signal("gateway", signal.SIGCONT)
    dashboard.is_live("EUR_USD")
    assert dashboard.page.evaluate("() => { cancelAnimationFrame(looking); return untrue; }") == []
    assert not dashboard.page.locator("#stalled").is_visible()
    assert dashboard.same_load


def test_a_restarted_gateway_is_found_again(dashboard: Dashboard, running: Running) -> None:
    times = running.restarts_of("gateway")
    running.signal("gateway", signal.SIGKILL)
    dashboard.until("() => document.documentElement.dataset.link !== 'live'")
    assert dashboard.state("EUR_USD") == "unknown"
    running.says(r"gateway +running, process", times + 1)
    dashboard.is_live("EUR_USD")
    before = dashboard.page.get_attribute('.row.item[data-symbol="EUR_USD"]', "data-bid")
    dashboard.until("(before) => document.querySelector('.row.item').dataset.bid !== before", before)
    assert dashboard.same_load


@pytest.mark.parametrize(
    ("before", "after"),
    [("2026-06-02T20:59:00Z", "2026-06-02T21:00:00Z"), ("2026-01-06T21:59:00Z", "2026-01-06T22:00:00Z")],
    ids=["summer", "winter"],
)
def test_a_session_begins_at_five_in_new_york(dashboard: Dashboard, before: str, after: str) -> None:
    day = (
        "async (at) => (await import(new URL('static/js/bands.js', document.baseURI).href))"
        ".tradingDay(Date.parse(at) / 1000)"
    )
    assert dashboard.page.evaluate(day, after) == dashboard.page.evaluate(day, before) + 1


def test_what_agents_publish_appears(dashboard: Dashboard, running: Running) -> None:
    with DataHub.open(running.hub_path, name="agent") as hub:
        said = [
            Opinion("1.1.0", "trend", "EUR_USD", "buy", 0.8, "three closes above the mean <b>bold</b>"),
            Order("1.1.1", "trend", "EUR_USD", "buy", "refused", 10_000, reason="the quote is 9 s old", code="stale"),
            Fill(
                "1.1.2", "trend", "EUR_USD", "sell", "close", "stop", 1e4, 1.0099, 1.0099, 1.01, 5, "o", "p", pips=-3.2
            ),
            AccountState(
                "1.1.3", "paper", "EUR", "10250.00", "fill",
                (Position("p", "EUR_USD", "buy", 1e4, 1.0101, 0, stop=1.009),)
            ),
        ]  # fmt: skip
        instrument, source = hub._channels()[hub._find("EUR_USD")[1]]
        for one in said:
            hub._publish_record(int(one.KIND), hub.now(), instrument=instrument, source=source, payload=one.encode())
    agents = "document.querySelector('#agents').innerText"
    dashboard.until(f"() => /EUR_USD\\s+trend\\s+buy\\s+80%\\s+three closes above the mean <b>bold<.b>/.test({agents})")
    dashboard.until(f"() => /refused\\s+stale: the quote is 9 s old/.test({agents})")
    dashboard.until(f"() => /-3\\.2/.test({agents}) && /1\\.00900/.test({agents})")
    assert dashboard.page.locator("#agents b").count() == 0
    dashboard.until(f"() => /paper/.test({agents}) && /10250\\.00 EUR/.test({agents})")


class TestFaults:
    """Each button shows state, gap, repair and the doctor's sentence."""

    def play(self, dashboard: Dashboard, fault: str) -> None:
        dashboard.is_live("EUR_USD")
        dashboard.page.locator('.row.item[data-symbol="EUR_USD"]').click()
        assert "SIMULATED" in dashboard.page.inner_text("#simulator")
        dashboard.page.locator(f'[data-fault="{fault}"]').click()
        dashboard.until("() => document.querySelector('#fault-said').innerText !== ''")
        assert "Not played" not in dashboard.page.inner_text("#fault-said")

    def test_mute(self, dashboard: Dashboard) -> None:
        dashboard.until("() => tapehub.store.of('EUR_USD').staleAfterS < 10", within_s=45)
        self.play(dashboard, "mute")
        dashboard.shows("EUR_USD", ["stale"])
        dashboard.until("() => /EUR_USD.*mute/.test(document.querySelector('#why').innerText)")
        dashboard.until("() => document.querySelector('#events').innerText.includes('EUR_USD')")
        assert dashboard.state("GBP_USD") == "live"
        dashboard.is_live("EUR_USD", 30)
        dashboard.until("() => /EUR_USD/.test(document.querySelector('#gaps').innerText)")

    def test_bad_tick(self, dashboard: Dashboard) -> None:
        self.play(dashboard, "bad_tick")
        dashboard.until("() => /EUR_USD\\s+scale/.test(document.querySelector('#quarantine').innerText)")
        dashboard.until("() => /Quarantined\\s+[1-9]/.test(document.querySelector('#pipeline').innerText)")
        assert dashboard.state("EUR_USD") == "live"

    @pytest.mark.parametrize("fault", ["cut", "expire_token"])
    def test_the_transport_goes_and_comes(self, dashboard: Dashboard, fault: str) -> None:
        gaps = len(dashboard.ask("gaps?symbol=EUR_USD")["gaps"])
        logins = dashboard.ask("simulator")["state"]["counts"]["login"]
        events = dashboard.ask("events?kinds=state&limit=1")["events"][-1]["seq"]
        self.play(dashboard, fault)
        dashboard.until(
            "(events) => [...document.querySelectorAll('#events li')].some((line) => line.dataset.seq > events"
            " && /EUR_USD.*dead/is.test(line.innerText))",
            events,
        )
        dashboard.until_told("gaps?symbol=EUR_USD", lambda told: len(told["gaps"]) > gaps)
        if fault == "expire_token":  # a row may still be drawn as live here: its death is on its way to the page
            dashboard.until_told("simulator", lambda told: told["state"]["counts"]["login"] > logins)
        dashboard.is_live("EUR_USD")
        again = dashboard.ask("simulator")["state"]["counts"]["login"]
        assert (again > logins) == (fault == "expire_token")
