"""The debate on the page, and the kill switch that asks before it does anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tapehub import DataHub
from tapehub.agents.debate import explain
from tapehub.agents.digest import Digest
from tapehub.agents.halts import halted
from tapehub.app.debates import Debates
from tapehub.gateway.context import Outside
from tapehub.gateway.page import mount
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings
from tests.models.paper import event_hub
from tests.models.team import play

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
PATIENT_MS = 30_000


class Played(NamedTuple):
    """A hub on which the team has traded, and the address that logs its owner in."""

    hub: DataHub
    link: str


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with event_hub(tmp_path_factory.mktemp("debate") / "hub") as hub:
        play(hub, ("2026-06-02T07:30", "2026-06-02T08:45"))
        outside = Outside(agents=Debates(), why=lambda hub, symbols: {"sentence": "", "outcome": "ok"})
        with Gateway(hub, GatewaySettings(port=0), outside=outside, page=mount) as gateway:
            yield Played(hub, f"{gateway.url}/login?token={gateway.access.tokens.owner.reveal()}")


def opened(browser: "Browser", played: Played) -> "Page":
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(played.link)
    page.wait_for_selector(".debate .tree li", timeout=PATIENT_MS)
    return page


def test_a_click_on_a_setup_shows_its_whole_debate(browser: "Browser", played: Played) -> None:
    page = opened(browser, played)
    try:
        row = Digest(played.hub).signals(500)["signals"][1]
        debate = explain(played.hub, row["id"])
        assert debate is not None
        page.click(f'.debate [data-debate="{row["id"]}"]')
        page.wait_for_function(
            "title => document.querySelector('.debate .tree b').textContent === title", arg=debate.title
        )
        said = page.locator(".debate .tree").inner_text()
        for step in (*debate.steps, *debate.steps[-1].steps):
            assert step.text in said
        page.evaluate(AXE.read_text())
        found = page.evaluate("async () => (await axe.run(document.querySelector('.debate'))).violations")
        assert [one["id"] for one in found] == []
    finally:
        page.close()


def test_kill_switch_asks_first_and_then_halts(browser: "Browser", played: Played) -> None:
    page = opened(browser, played)
    try:
        page.click(".debate .kill")
        page.fill(".kill-dialog [name=reason]", "news at two")
        page.click(".kill-dialog menu button:first-child")
        assert halted(played.hub) is None
        page.click(".debate .kill")
        page.click(".kill-dialog .go")  # without a reason nothing is sent
        assert halted(played.hub) is None
        page.fill(".kill-dialog [name=reason]", "news at two")
        page.click(".kill-dialog .go")
        page.wait_for_selector(".debate .halted:not([hidden])", timeout=PATIENT_MS)
        state = halted(played.hub)
        assert state is not None
        assert (state.reason, state.by) == ("news at two", "token owner")
        page.click(".debate .kill")
        page.click(".kill-dialog .go")
        page.wait_for_selector(".debate .halted", state="hidden", timeout=PATIENT_MS)
        assert halted(played.hub) is None
    finally:
        page.close()
