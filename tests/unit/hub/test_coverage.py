"""The share of a candle's interval with a live feed: every gap counts, once, in the rings and in history alike."""

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.hub import marks
from tests.models.intervals import SECOND
from tests.models.market import EUR, NINE, candle, moment, quotes, tick


def gap(hub: DataHub, start: float, end: float | None) -> None:
    at = [None if one is None else NINE + round(one * SECOND) for one in (start, end)]
    marks.gap(hub, EUR, "direct", at[0] or 0, at[1], "test")


def minutes(hub: DataHub, timeframe: str = "1m") -> list[float]:
    """Give the coverage of each candle, and see that history says the same."""
    shown = hub.candles(EUR, timeframe, forming=True).numpy()
    built = hub.history(EUR, timeframe).numpy()
    told = shown[: len(built)]
    assert built["timestamp"].tolist() == told["timestamp"].tolist()
    np.testing.assert_allclose(built["coverage"], told["coverage"], atol=1e-6)
    return [float(one) for one in shown["coverage"]]


def test_a_candle_that_opens_after_two_gaps_counts_both(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(0))
    gap(hub, 65, 75)
    gap(hub, 80, 90)
    hub.publish(quotes([91, 130]), symbol=EUR)
    hub.advance(moment(181))
    assert minutes(hub) == pytest.approx([1.0, 40 / 60, 1.0])
    assert minutes(hub, "5m") == pytest.approx([280 / 300])
    assert hub.snapshot(EUR, limit=2).candles[-2].coverage == pytest.approx(40 / 60)


def test_what_two_gaps_share_is_lost_once(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(0))
    gap(hub, 10, 40)
    gap(hub, 30, 70)
    gap(hub, 35, 65)
    hub.publish(quotes([71, 130]), symbol=EUR)
    hub.advance(moment(181))
    assert minutes(hub) == pytest.approx([10 / 60, 50 / 60, 1.0])


def test_a_gap_that_lasts_is_charged_when_it_ends_and_once(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(1))
    gap(hub, 30, None)
    hub.update_tick(tick(70))
    gap(hub, 30, 70)
    hub.update_tick(tick(130))
    hub.advance(moment(130))
    assert minutes(hub)[:2] == pytest.approx([29 / 60, 50 / 60])


def test_history_counts_what_was_before_the_first_tick_and_more_gaps_than_the_views_keep(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(15))
    for start in range(20, 56, 6):
        gap(hub, start, start + 3)
    hub.update_tick(tick(61))
    hub.advance(moment(121))
    assert minutes(hub) == pytest.approx([(45 - 18) / 60, 1.0])


def test_a_pushed_minute_keeps_the_coverage_it_came_with_and_the_hour_does_not_take_it_over(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_candle_1m(candle(0, coverage=0.25))
    gap(hub, 30, 90)
    hub.update_candle_1m(candle(1, coverage=0.5))
    hub.advance(moment(3700))
    assert minutes(hub) == pytest.approx([0.25, 0.5])
    assert minutes(hub, "1h") == pytest.approx([59 / 60])
