"""Where alerts go: one that fails or hangs holds up nobody, and no address is ever shown."""

import threading
import time

import pytest
from typer.testing import CliRunner

from tapehub.app.alerting import Message
from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.app.destinations import Destination, Destinations, Report
from tapehub.errors import ConfigError
from tests.models.waiting import until
from tests.servers.webhook import webhook

SECRET = "t0pSecretToken"
NEWS = Message("tapehub default: EUR_USD (ig) STALE", "EUR_USD (ig) STALE: silent", good=False)


def test_a_message_arrives_with_its_title_and_kind() -> None:
    with webhook() as hook:
        assert Destination(1, f"json://{hook.address}/").send(NEWS) == Report("1 JSON", True)
        assert (hook.messages[0]["title"], hook.messages[0]["message"]) == (NEWS.title, NEWS.body)
        assert hook.messages[0]["type"] == "warning"


def test_what_is_said_of_a_failure_holds_nothing_of_the_address() -> None:
    with webhook() as hook:
        hook.status = 403
        report = Destination(2, f"json://user:{SECRET}@{hook.address}/{SECRET}/x").send(NEWS, explain=True)
    assert (report.name, report.ok) == ("2 JSON", False)
    assert "403" in report.why
    assert SECRET not in str(report)


@pytest.mark.parametrize("url", ["nosuch://t0pSecretToken", "t0pSecretToken", "tgram://t0pSecretToken", ""])
def test_an_address_that_nobody_knows_is_named_by_its_number(url: str) -> None:
    with pytest.raises(ConfigError, match="urls: number 7") as raised:
        Destination(7, url)
    assert SECRET not in str(raised.value)


def test_one_that_hangs_or_fails_holds_up_nobody() -> None:
    reports: list[Report] = []
    with webhook() as slow, webhook() as bad, webhook() as good:
        slow.hangs.set()
        bad.status = 500
        urls = [f"json://{slow.address}/?rto=20", f"json://{bad.address}/", f"json://{good.address}/"]
        destinations = Destinations(urls, reports.append)
        for number in range(20):  # more than wait at once
            destinations.send(Message(f"{number}", "text", good=True))
            time.sleep(0.01)
        until(lambda: any(one["title"] == "19" for one in good.messages), "the last message")
        assert slow.messages == []
        assert {report.why for report in reports if report.name == "1 JSON"} == {
            f"left out, as others wait: {number}" for number in range(1, 12)
        }
        slow.released.set()
        destinations.close(patience_s=3.0)
    assert threading.active_count() < 20


def test_alerts_test_says_what_became_of_it_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()
    with webhook() as good, webhook() as bad:
        bad.status = 500
        urls = f'["json://{good.address}/", "json://{bad.address}/{SECRET}"]'
        monkeypatch.setenv("TAPEHUB_ALERTS__URLS", urls)
        done = run.invoke(app, ["alerts", "test"])
        assert done.exit_code == Exit.FAILED
        assert "1 JSON: taken" in done.output
        assert "2 JSON: not taken" in done.output
        assert "500" in done.output
        assert SECRET not in done.output
        assert good.messages[0]["title"] == "tapehub default: a test"
        monkeypatch.setenv("TAPEHUB_ALERTS__URLS", f'["json://{good.address}/"]')
        assert run.invoke(app, ["alerts", "test"]).exit_code == Exit.OK
    monkeypatch.setenv("TAPEHUB_ALERTS__URLS", "[]")
    none = run.invoke(app, ["alerts", "test"])
    assert none.exit_code == Exit.USAGE
    assert "TAPEHUB_ALERTS__URLS" in none.stderr
