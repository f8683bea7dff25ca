"""An event clock stands where the newest event is, or where it was advanced to."""

from pathlib import Path

import numpy as np

from tapehub import DataHub

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def quotes(*seconds: float) -> np.ndarray:
    rows = np.zeros(len(seconds), dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"] = [START + round(second * SECOND) for second in seconds]
    rows["bid"], rows["ask"] = 1.1, 1.1001
    return rows


def test_an_event_clock_follows_the_newest_event_and_what_it_was_advanced_to(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True) as hub:
        hub.set_clock("event")
        hub.publish(quotes(1, 2, 3), symbol="EUR_USD")
        assert hub.now() == START + 3 * SECOND
        hub.advance(START + 60 * SECOND)  # a quiet market
        assert hub.now() == START + 60 * SECOND
        hub.publish(quotes(61), symbol="EUR_USD")
        assert hub.now() == START + 61 * SECOND
        assert hub.ticks("EUR_USD").numpy()["ts_publish"].tolist()[-1] == START + 61 * SECOND


def test_it_never_goes_back_when_it_is_advanced_to_what_has_passed(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True) as hub:
        hub.set_clock("event")
        hub.publish(quotes(10), symbol="EUR_USD")
        hub.advance(START + 5 * SECOND)
        assert hub.now() == START + 10 * SECOND
