"""A machine whose clock is behind the venue's: quotes of the future explain themselves, then move the hub's clock."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.app.checks import Health, about_hub
from tapehub.app.clocks import clock_of
from tapehub.collector.core import Core
from tapehub.feeds.feed import Quotes, Status, StatusKind
from tapehub.hub.clock import WATERMARK_TICKS, set_skew, set_watermark_mode
from tapehub.quality import Skew
from tests.models.intervals import SECOND, ns

NINE = ns("2024-03-05T09:00")
SYMBOL = "BTC_USD"


def skew_of(hub: DataHub) -> int:
    return int(hub._hub_state()["skew_ns"])


@pytest.fixture
def hub(hub_dir: Path) -> Iterator[DataHub]:
    with DataHub.open(hub_dir, create=True) as opened:
        opened.set_clock("wall")
        yield opened


def core(hub: DataHub) -> Core:
    one = Core(hub, "ig", [SYMBOL], random=random.Random(1), now_ns=hub.now())
    one.on_event(Status(StatusKind.CONNECTED), hub.now())
    one.on_event(Status(StatusKind.SUBSCRIBED), hub.now())
    return one


def quote(one: Core, ts_event: int, now_ns: int) -> None:
    """Give a quote: the core is told the time, so that seconds pass in none."""
    one.on_event(Quotes([(ts_event, now_ns, 60_000.0, 60_010.0, 0.0, 0.0, 0)], (SYMBOL,), ("ig",)), now_ns)


def watch(one: Core, began: int, ahead_ns: int, seconds: int) -> None:
    """Let seconds pass by the unshifted clock, each with a quote so far ahead of it, until the hub's clock moves."""
    skew_ns = int(one._hub._hub_state()["skew_ns"])
    for second in range(seconds):
        now = began + second * SECOND
        quote(one, now + ahead_ns - skew_ns, now)
        one.on_time(now + SECOND // 2)
        if int(one._hub._hub_state()["skew_ns"]) != skew_ns:
            break


def test_quotes_of_a_machine_that_is_behind_are_explained_and_then_get_through(hub: DataHub) -> None:
    one, began = core(hub), hub.now()
    for second in range(10):
        now = began + second * SECOND
        quote(one, now + 8 * SECOND - 20_000_000, now)
    assert one.skew.estimate_ns(began + 10 * SECOND) == -8 * SECOND + 20_000_000
    assert "8.0 s ahead of the hub clock; check NTP" in hub.quarantined(SYMBOL)[-1]["detail"]
    watch(one, began, 8 * SECOND - 20_000_000, seconds=50)
    ahead_ns = hub.now() - time.time_ns()
    assert ahead_ns == pytest.approx(8 * SECOND - 20_000_000, abs=SECOND // 20)
    quote(one, hub.now() + 1, hub.now())
    assert one.publisher.counts[SYMBOL].published == 1
    one.report(hub.now())
    report = hub.get_status()["feeds"]["ig"]
    assert report["clock_corrected_ms"] == 7980.0
    assert abs(report["skew_ms"]) < 100
    assert "8.0 s ahead of this machine's" in str(clock_of(hub))


def test_the_time_line_goes_on_when_the_clock_is_corrected(hub: DataHub) -> None:
    hub.advance(hub.now())
    before = hub._hub_state()
    set_skew(hub, 3 * SECOND)
    after = hub._hub_state()
    assert (after["watermark_ns"], after["clock_seq"]) == (before["watermark_ns"], before["clock_seq"])
    assert after["skew_ns"] == 3 * SECOND
    set_watermark_mode(hub, 1 - WATERMARK_TICKS)
    assert hub._hub_state()["skew_ns"] == 3 * SECOND


def test_one_quote_of_the_future_moves_nothing(hub: DataHub) -> None:
    one, began = core(hub), hub.now()
    for second in range(100):
        now = began + second * SECOND
        quote(one, now - 20_000_000, now)
        if second % 7 == 3:
            quote(one, now + (4 if second < 10 else 3600) * SECOND, now)
        one.on_time(now)
    assert int(hub._hub_state()["skew_ns"]) == 0


def test_a_machine_that_is_hours_behind_is_not_followed(hub: DataHub) -> None:
    one, began = core(hub), hub.now()
    for second in range(100):
        now = began + second * SECOND
        quote(one, now + 3600 * SECOND, now)
        one.on_time(now)
    assert int(hub._hub_state()["skew_ns"]) == 0
    assert "3600.0 s ahead of the hub clock; check NTP" in hub.quarantined(SYMBOL)[0]["detail"]


@pytest.mark.parametrize("shift_s", [1, 8])
def test_what_was_too_much_is_taken_back_at_once_by_whose_it_was(hub: DataHub, shift_s: int) -> None:
    one = core(hub)
    watch(one, hub.now(), shift_s * SECOND, seconds=50)
    assert skew_of(hub) == shift_s * SECOND
    again, line = core(hub), int(hub._hub_state()["clock_seq"])  # started again, it knows its own
    watch(again, hub.now(), 0, seconds=50)  # the machine's clock was set right
    assert skew_of(hub) == shift_s * SECOND, "not twice within a minute"
    watch(again, hub.now() + 50 * SECOND, 0, seconds=50)
    assert skew_of(hub) == 0
    assert (int(hub._hub_state()["clock_seq"]) > line) == (shift_s > 2), "time that goes far back is another line"
    assert abs(hub.now() - time.time_ns()) < SECOND


def test_a_correction_by_somebody_else_is_left_alone(hub: DataHub) -> None:
    set_skew(hub, 8 * SECOND)
    one = core(hub)
    watch(one, hub.now(), 0, seconds=100)
    watch(one, hub.now() + 200 * SECOND, 20 * SECOND, seconds=100)
    assert skew_of(hub) == 8 * SECOND


def test_a_feed_whose_quotes_agree_with_the_machine_vetoes_what_another_shows(hub: DataHub) -> None:
    right = Core(hub, "kraken", [SYMBOL], random=random.Random(1), now_ns=hub.now())
    wrong, began = core(hub), hub.now()
    for second in range(120):
        now = began + second * SECOND
        quote(right, now - 20_000_000, now)
        right.on_time(now)
        quote(wrong, now + 8 * SECOND, now)
        wrong.on_time(now)
    assert skew_of(hub) == 0
    wrong.report(began + 120 * SECOND)
    assert hub.get_status()["feeds"]["ig"]["skew_ms"] == -8000.0
    wrong.tell(hub.now())
    (shown,) = (one for one in about_hub(hub) if one.name == "hub clock")
    assert shown.health is Health.DOUBTFUL
    assert "the quotes of ig are 8.0 s ahead of it" in shown.found


def test_late_quotes_prove_nothing(hub: DataHub) -> None:
    one, began = core(hub), hub.now()
    for second in range(100):
        now = began + second * SECOND
        quote(one, now - 4 * SECOND, now)
        one.on_time(now)
    assert int(hub._hub_state()["skew_ns"]) == 0


def test_a_clock_that_is_not_the_wall_is_left_alone(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=NINE, rate=1.0)
    one = core(hub)
    for second in range(100):
        quote(one, NINE + second * SECOND + 8 * SECOND, NINE + second * SECOND)
        one.on_time(NINE + second * SECOND)
    assert int(hub._hub_state()["skew_ns"]) == 0


def test_a_run_that_agrees_is_the_clock_and_one_that_does_not_is_nothing() -> None:
    skew = Skew()
    for second in range(100):
        skew.observe_ahead(NINE + (8 + 2 * (second % 2)) * SECOND + second * SECOND, NINE + second * SECOND)
    assert skew.stable_ns() is None
    assert skew.estimate_ns(NINE + 20 * SECOND) is None


@pytest.mark.parametrize("rate", [1, 5, 30, 1000])
def test_a_run_spans_its_time_however_busy_the_feed(rate: int) -> None:
    skew = Skew()
    for number in range(10 * rate):
        received = NINE + number * SECOND // rate
        skew.observe_ahead(received + 8 * SECOND - number % 3, received)
    assert skew.stable_ns() == -8 * SECOND
    assert skew.agreed_ns(received) == -8 * SECOND
    assert skew.agreed_ns(received + 100 * SECOND) is None, "of then, not of now"


def test_one_symbol_of_the_future_among_others_is_no_run() -> None:
    skew = Skew()
    for number in range(300):
        received = NINE + number * SECOND // 30
        skew.observe_ahead(received + 8 * SECOND, received)
        if number % 5 == 0:
            skew.observe(received - SECOND // 50, received)
    assert skew.stable_ns() is None


def test_a_run_begins_anew_when_our_clock_is_set_back() -> None:
    skew = Skew()
    for number in range(300):
        received = NINE + number * SECOND // 30 - (60 * SECOND if number >= 150 else 0)
        skew.observe_ahead(received + (68 if number >= 150 else 8) * SECOND, received)
    assert skew.stable_ns() == -68 * SECOND
