"""The Streamlit example: two tabs show one hub, and go on when it is restarted."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tapehub import Candle, Tick
from tapehub.hub import connection, hub_path
from tapehub.hub.server import HubServer
from tests.models.waiting import until

testing = pytest.importorskip("streamlit.testing.v1", reason="needs streamlit: pip install 'tapehub[examples]'")
APP = Path(__file__).resolve().parents[2] / "examples" / "streamlit_app.py"
NOW = datetime.now(UTC)

# Of Streamlit's own making, and none of them about what the example does.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    for opened in connection._connected.values():
        opened.close()
    connection._connected.clear()


def shown(tab: Any) -> dict[str, Any]:
    """Give the table's rows by symbol; none where it says that there is no data."""
    tab.run(timeout=30)
    assert not tab.exception, tab.exception
    return {row["symbol"]: row for table in tab.dataframe for row in table.value.to_dict("records")}


def test_two_tabs_show_one_hub_and_survive_its_restart() -> None:
    first, second = testing.AppTest.from_file(str(APP)), testing.AppTest.from_file(str(APP))
    first.run(timeout=30)
    assert "no hub" in first.warning[0].value.lower()
    with HubServer(hub_path()) as server:
        second.run(timeout=30)
        assert "The hub is empty" in second.info[0].value
        server.hub.update_tick(Tick("EUR_USD", 1.1500, 1.1502, timestamp=NOW))
        server.hub.update_candle_1m(Candle("EUR_USD", NOW - timedelta(minutes=5), 1.1, 1.2, 1.0, 1.15))
        assert shown(first)["EUR_USD"]["bid"] == shown(second)["EUR_USD"]["bid"] == 1.15
        assert first.caption[0].value == second.caption[0].value
        assert first.selectbox[0].options == ["EUR_USD"]
        epoch = first.caption[0].value
    with HubServer(hub_path()) as server:
        server.hub.update_tick(Tick("EUR_USD", 1.1600, 1.1602, timestamp=NOW + timedelta(seconds=1)))
        assert shown(first)["EUR_USD"]["bid"] == shown(second)["EUR_USD"]["bid"] == 1.16
        assert first.caption[0].value.partition(",")[0] == epoch.partition(",")[0]
    shutil.rmtree(hub_path())
    with HubServer(hub_path()) as server:  # another hub in its place: never the old one's prices
        server.hub.update_tick(Tick("USD_JPY", 150.0, 150.02, timestamp=NOW))
        until(lambda: list(shown(first)) == ["USD_JPY"], "the new hub")
        assert list(shown(second)) == ["USD_JPY"]
        assert first.caption[0].value == second.caption[0].value != epoch
