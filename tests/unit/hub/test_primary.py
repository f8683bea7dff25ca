"""Which source reads answer from: a feed goes before what callers push, and the configuration before all."""

from pathlib import Path

import pytest

from tapehub import DataHub, HubError, StaleDataError
from tapehub.model.instruments import InstrumentBook
from tapehub.model.records import Kind
from tests.models.market import EUR, GBP, candle, quotes, tick


def test_a_feed_is_seen_after_a_warm_start_and_the_minutes_go_along(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(0, symbol=GBP))
    hub.warm_start_candles(EUR, [candle(-n, 1.2) for n in range(5, 0, -1)])
    assert hub.instruments[EUR]["primary_source"] == "direct"
    hub.publish(quotes([1, 2, 70]), EUR, source="ig", verified=True)
    assert hub.instruments[EUR]["primary_source"] == "ig"
    latest = hub.get_latest_tick(EUR)
    assert latest is not None
    assert latest.source == "ig"
    assert hub.state(EUR) != "empty"
    assert [one.close for one in hub.get_latest_candles(EUR)] == [1.2] * 5 + [1.1001]
    assert len(hub.candles(EUR, source="direct")) == 5, "several sources stand side by side"
    before = hub.head
    hub.publish(quotes([71]), EUR, source="ig", verified=True)
    assert hub.head == before + 1


def test_neither_a_second_feed_nor_a_push_takes_over(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([1]), EUR, source="ig", verified=True)
    hub.publish(quotes([2]), EUR, source="kraken", verified=True)
    hub.update_tick(tick(3))
    hub.publish(quotes([4]), EUR, source="mine")
    assert hub.instruments[EUR]["primary_source"] == "ig"


def test_the_configuration_names_the_source(hub_dir: Path) -> None:
    book = InstrumentBook({EUR: {"source": "ig"}})
    with DataHub.open(hub_dir, create=True, segment_lines=1 << 14, instruments=book) as hub:
        hub.set_clock("event")
        hub.warm_start_candles(EUR, [candle(-1, 1.2)])
        assert hub.instruments[EUR]["sources"] == ["ig"], "minutes for a feed to come are its own from the start"
        hub.publish(quotes([1]), EUR, source="kraken", verified=True)
        assert hub.instruments[EUR]["primary_source"] == "ig"
        with pytest.raises(StaleDataError, match=r"reads answer from ig, ticks came from kraken: name the source"):
            hub.require_fresh(EUR, 10)
        hub.publish(quotes([2]), GBP, source="kraken", verified=True)
        assert hub.instruments[GBP]["primary_source"] == "kraken"


def test_an_override_reaches_a_hub_that_knows_the_symbol_once(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, create=True, segment_lines=1 << 14) as hub:
        hub.set_clock("event")
        hub.update_tick(tick(1))
        assert hub.get_latest_tick(EUR).spread == pytest.approx(2.0)  # type: ignore[union-attr]
        book = InstrumentBook({EUR: {"pip_size": 0.001}, "DAX_FUT": {"pip_size": 1.0}})
        with DataHub.open(hub_dir, instruments=book) as other:
            assert other._names.apply_overrides() == 1
            assert other._names.apply_overrides() == 0
        assert hub.instruments[EUR]["pip_size"] == 0.001
        assert hub.get_latest_tick(EUR).spread == pytest.approx(0.2)  # type: ignore[union-attr]
        assert hub.instruments[EUR]["primary_source"] == "direct"
        assert int(hub._hub_state()["by_kind"][Kind.DEFINITION]) == 2


def test_a_server_brings_its_overrides(hub_dir: Path) -> None:
    from tapehub.hub.server import HubServer

    with DataHub.open(hub_dir, create=True, segment_lines=1 << 14) as hub:
        hub.update_tick(tick(1))
        with HubServer(hub_dir, instruments=InstrumentBook({EUR: {"decimals": 4}})):
            assert hub.instruments[EUR]["decimals"] == 4


def test_an_epic_is_known_to_every_process(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    assert hub.get_latest_tick("CS.D.EURUSD.CFD.IP") == hub.get_latest_tick(EUR)
    assert len(hub.ticks("CS.D.EURUSD.TODAY.IP")) == 1


def test_the_configuration_gives_reads_back_to_what_callers_push(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, create=True, segment_lines=1 << 14) as hub:
        hub.set_clock("event")
        hub.update_tick(tick(1, 1.1))
        hub.publish(quotes([2], [1.3]), EUR, source="ig", verified=True)
        hub.update_tick(tick(3, 1.2))
        assert hub.get_latest_tick(EUR).bid == 1.3  # type: ignore[union-attr]
        with DataHub.open(hub_dir, instruments=InstrumentBook({EUR: {"source": "direct"}})) as other:
            assert other._names.apply_overrides() == 1
            assert other._names.apply_overrides() == 0
        assert hub.get_latest_tick(EUR).bid == 1.2  # type: ignore[union-attr]


def test_a_takeover_that_failed_is_tried_again(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(1))
    with monkeypatch.context() as patch:
        patch.setattr(hub._names, "_take_along", lambda *_: (_ for _ in ()).throw(HubError("the disk is full")))
        with pytest.raises(HubError, match="full"):
            hub.publish(quotes([2]), EUR, source="ig", verified=True)
    hub.publish(quotes([3]), EUR, source="ig", verified=True)
    assert hub.instruments[EUR]["primary_source"] == "ig"
