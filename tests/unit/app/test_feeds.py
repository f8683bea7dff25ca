"""Which feed a command line means, made for a hub: settings that cannot work are named, secrets stay where they are."""

import random
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.app.config import Config
from tapehub.app.feeds import SYMBOLS, Wanted, made_up_by, make, set_clock_for, symbols_of
from tapehub.app.sections import IgConfig
from tapehub.errors import ConfigError
from tapehub.feeds.ig import IgFeed
from tapehub.feeds.kraken import KrakenFeed
from tapehub.feeds.paced import Paced
from tapehub.model.policies import ClockMode

URL = "http://127.0.0.1:1/gateway/deal"
CREDENTIALS = {"IG_USERNAME": "me", "IG_PASSWORD": "the real one", "IG_API_KEY": "key"}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"feed": "bloomberg"}, "expected one of ig, .*, sim"),
        ({"feed": "replay"}, "expected recorded files"),
        ({"feed": "ig", "paths": ("a",)}, "for no other feed"),
        ({"feed": "ig", "url": URL}, "with the feed sim alone"),
        ({"feed": "replay", "paths": ("a",), "symbols": ("EUR_USD",)}, "the recordings tell"),
    ],
)
def test_what_cannot_be_is_named(wanted: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Wanted(**wanted)  # type: ignore[arg-type]


def test_what_is_wanted_survives_the_way_to_another_process() -> None:
    wanted = Wanted("sim", ("EUR_USD",), (), URL, 3, 2.5)
    assert Wanted.read(wanted.plain()) == wanted


def test_symbols_are_read_with_commas_and_several_times() -> None:
    assert symbols_of(["EUR_USD,GBPUSD", "USD/JPY"]) == ("EUR_USD", "GBPUSD", "USD/JPY")
    assert symbols_of(None) == ()


def test_ig_is_made_as_configured(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    ig = IgConfig(
        epics={"EURUSD": "CS.D.EURUSD.MINI.IP"}, form="MINI", reserved_share=0.4, subscriptions_max=7, base_url=URL
    )
    feed = make(Wanted("ig"), hub, Config(ig=ig), random.Random(1))
    assert isinstance(feed, IgFeed)
    assert feed.symbols == ("EUR_USD",)
    assert feed.epics == {"EUR_USD": "CS.D.EURUSD.MINI.IP"}
    assert (feed.form, feed.base_url, feed.settings.reserved_share, feed.settings.subscriptions_max) == (
        "MINI",
        URL,
        0.4,
        7,
    )
    assert make(Wanted("ig"), hub, Config(), random.Random(1)).symbols == SYMBOLS


def test_without_credentials_the_message_says_which_where_and_what_else(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    for name in ("USERNAME", "PASSWORD", "API_KEY"):
        monkeypatch.delenv(f"IG_{name}", raising=False)
        monkeypatch.delenv(f"IG_SERVICE_{name}", raising=False)
    monkeypatch.setenv("IG_API_KEY", "key")
    with pytest.raises(ConfigError, match=r"IG_USERNAME, IG_PASSWORD not found.*keyring.*--feed sim"):
        make(Wanted("ig"), hub, Config(), random.Random(1))


def test_the_simulator_never_gets_the_users_credentials_and_lends_nothing(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    feed = make(Wanted("sim", ("EURUSD",), url=URL), hub, Config(), random.Random(1))
    assert isinstance(feed, IgFeed)
    assert not set(feed.credentials.secrets) & set(CREDENTIALS.values())
    assert (feed.name, feed.symbols, feed.settings.lend) == ("sim", ("EUR_USD",), False)


def test_the_others_are_made_without_any_account(hub: DataHub, tmp_path: Path) -> None:
    recording = tmp_path / "DAT_ASCII_EURUSD_T_201902.csv"
    recording.write_text("20190204 080000000,1.140000,1.140050,0\n20190204 080001000,1.140000,1.140060,0\n")
    kraken = make(Wanted("kraken"), hub, Config(), random.Random(1))
    assert isinstance(kraken, KrakenFeed)
    replayed = make(Wanted("replay", paths=(str(recording),)), hub, Config(), random.Random(1))
    assert isinstance(replayed, Paced)
    assert replayed.symbols == ()  # its quotes say who quoted
    assert make(Wanted("synthetic", ("USDJPY",)), hub, Config(), random.Random(1)).symbols == ("USD_JPY",)


@pytest.mark.parametrize(
    ("feed", "mode", "expected"),
    [
        ("ig", "virtual", ClockMode.WALL),
        ("kraken", "event", ClockMode.WALL),
        ("synthetic", "event", ClockMode.WALL),
        ("synthetic", "virtual", ClockMode.VIRTUAL),
        ("sim", "virtual", ClockMode.VIRTUAL),
    ],
)
def test_the_hub_clock_suits_the_feed(hub: DataHub, feed: str, mode: str, expected: ClockMode) -> None:
    hub.set_clock(mode, anchor_ns=1_780_401_600_000_000_000 if mode == "virtual" else None)
    assert set_clock_for(Wanted(feed), hub, Config()) == (expected is ClockMode.WALL)
    assert int(hub._hub_state()["clock_mode"]) == expected


@pytest.mark.parametrize(
    ("wanted", "base_url", "label"),
    [
        (Wanted("sim", url="http://127.0.0.1:1"), None, "SIMULATED"),
        (Wanted("synthetic"), None, "SIMULATED"),
        (Wanted("replay", paths=("/x.csv",)), None, "REPLAY"),
        (Wanted("ig"), None, ""),
        (Wanted("ig"), "https://demo-api.ig.com/gateway/deal", ""),
        (Wanted("ig"), "http://127.0.0.1:9000/gateway/deal", "SIMULATED"),
        (Wanted("kraken"), None, ""),
    ],
)
def test_what_no_market_says_is_called_by_what_it_is(wanted: Wanted, base_url: str | None, label: str) -> None:
    assert made_up_by(wanted, Config(ig=IgConfig(base_url=base_url))) == label
