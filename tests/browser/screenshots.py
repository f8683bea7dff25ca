"""Photograph the page for the documentation: `python -m tests.browser.screenshots`, or `make screenshots`.

Runs `tapehub up --feed sim` for a while, in a hub of its own, into which the candles of the hours before are loaded.
Writes light, dark, phone and stalled into docs/images.
"""

import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tapehub import Candle, DataHub, OrderFlowMetrics
from tapehub.feeds.instants import instant_ns
from tapehub.model.instruments import InstrumentBook
from tests.browser.chromium import chromium, chromium_path
from tests.browser.dashboard import Dashboard
from tests.browser.running import TUESDAY, Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
SYMBOLS = "EUR_USD,GBP_USD,USD_JPY,AUD_USD,USD_CHF,EUR_GBP,XAU_USD,NZD_USD"
MINUTE = 60_000_000_000
BYTES_MAX = 300_000
SECONDS = 75.0


def main() -> int:
    """Take all of them."""
    path = chromium_path()
    if path is None:
        print("no Chromium: apt-get install chromium, or name it in TAPEHUB_CHROMIUM", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Running(symbols=SYMBOLS, rate="2.5") as up, chromium(path) as browser:
        link = up.link
        _before(up)
        desk = Dashboard.open(browser, link, viewport={"width": 1440, "height": 900}, color_scheme="dark")
        desk.is_live("EUR_USD")
        _happenings(desk, up, SECONDS)
        _take(desk, "dashboard-dark")
        desk.page.emulate_media(color_scheme="light")
        _take(desk, "dashboard-light")
        _phone(browser, link)
        up.signal("gateway", signal.SIGSTOP)
        desk.page.emulate_media(color_scheme="dark")
        desk.until("() => document.documentElement.dataset.link === 'stalled'")
        time.sleep(2)
        _take(desk, "dashboard-stalled")
        up.signal("gateway", signal.SIGCONT)
        desk.close()
    for image in sorted(IMAGES.glob("dashboard-*.png")):
        size = image.stat().st_size
        print(f"{image.name}: {size / 1000:.0f} kB")
        assert size < BYTES_MAX, f"{image} has {size} bytes, expected below {BYTES_MAX}"
    return 0


def _before(up: Running) -> None:
    """Load the candles of the hours before, which a hub that had run all day would have."""
    start_ns = instant_ns(TUESDAY, "start")
    assert start_ns is not None
    draw = random.Random(7)
    with DataHub.open(up.hub_path, name="history") as hub:
        for symbol in SYMBOLS.split(","):
            while (tick := hub.get_latest_tick(symbol)) is None:
                time.sleep(0.1)
            price, pip = tick.mid, InstrumentBook().find(symbol).pip_size
            rows = []
            for back in range(1, 420):
                end = price
                path = [end] + [end := end + draw.gauss(0, pip * 0.45) for _ in range(7)]
                price = path[-1]
                volume = float(draw.randint(80, 220))
                rows.append(Candle(symbol, start_ns - back * MINUTE, path[-1], max(path), min(path), path[0], volume))
            hub.warm_start_candles(symbol, reversed(rows))


def _happenings(desk: Dashboard, up: Running, seconds: float) -> None:
    """Let the market run, with order flow, a bad tick, and a collector that is killed."""
    draw = random.Random(3)
    begun = time.monotonic()
    played: set[str] = set()
    with DataHub.open(up.hub_path, name="order flow") as hub:
        while (passed := time.monotonic() - begun) < seconds:
            tick = hub.get_latest_tick("EUR_USD")
            assert tick is not None
            bought, sold = float(draw.randint(300, 900)), float(draw.randint(300, 900))
            hub.update_order_flow(
                OrderFlowMetrics(
                    "EUR_USD", "6E", hub.now(), ofi_60s=round((bought - sold) / 7, 1), net_volume_delta=bought - sold,
                    buy_volume=bought, sell_volume=sold, total_volume=bought + sold, best_bid=tick.bid,
                    best_ask=tick.ask, bid_size=float(draw.randint(10, 60)), ask_size=float(draw.randint(10, 60)),
                    top_of_book_imbalance=0.5 + draw.uniform(-0.2, 0.2), buy_sweep_count=draw.randint(0, 5),
                    sell_sweep_count=draw.randint(0, 5), vwap_60s=tick.mid, toxicity_score=draw.uniform(0.1, 0.5),
                    order_flow_bias="bullish" if bought > sold else "bearish",
                )
            )  # fmt: skip
            if passed > seconds / 4 and "bad tick" not in played:
                played.add("bad tick")
                desk.page.locator('[data-fault="bad_tick"]').click()
            if passed > seconds / 2 and "kill" not in played:
                played.add("kill")
                up.signal("collector", signal.SIGKILL)
            desk.page.wait_for_timeout(500)
    desk.is_live("EUR_USD")


def _phone(browser: "Browser", link: str) -> None:
    options = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "color_scheme": "dark"}
    phone = Dashboard.open(browser, link, **options)
    phone.is_live("EUR_USD")
    phone.page.wait_for_timeout(3000)
    _take(phone, "dashboard-phone")
    phone.close()


def _file(name: str) -> Path:
    return IMAGES / f"{name}.png"


def _take(board: Dashboard, name: str) -> None:
    board.page.wait_for_timeout(1500)
    board.page.screenshot(path=_file(name))


if __name__ == "__main__":
    sys.exit(main())
