"""The first tick of a symbol in a process: what is defined already needs no definition, and goes where it belongs."""

from pathlib import Path

import pytest

from tapehub import DataHub, Tick
from tests.models.market import EUR, GBP, moment


@pytest.mark.parametrize("source", [None, "mine"])
def test_a_symbol_that_is_defined_needs_no_python(
    hub_dir: Path, source: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DataHub.open(hub_dir, create=True) as first:
        first.set_clock("event")
        seq = first.update_tick(Tick(EUR, 1.1, 1.2, timestamp=moment(1), source=source))
        channels = first._channels()
        with DataHub.open(hub_dir) as second:
            monkeypatch.setattr(type(second._names), "channel", None)  # whoever asks it now fails
            assert second.update_tick(Tick(EUR, 1.1, 1.2, timestamp=moment(2), source=source)) == seq + 1
            assert second._channels() == channels
            monkeypatch.undo()
            second.update_tick(Tick(GBP, 1.1, 1.2, timestamp=moment(3), source=source))
            second.update_tick(Tick("EURUSD", 1.1, 1.2, timestamp=moment(4), source=source))
            assert len(second._channels()) == len(channels) + 1
        assert first.get_latest_tick(EUR).seq == first.head - 1
