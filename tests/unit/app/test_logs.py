"""Logs: one shape of event, files with bounds, nothing secret, and read back merged by time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapehub.app.logbook import Follower, last_events, names_of, text_of

SAYS = """
import logging, sys
from pathlib import Path
from tapehub.app.logs import get_logger, log_to
log_to(Path(sys.argv[1]) / "logs" / "gateway.jsonl", bytes_max=int(sys.argv[2]), files_kept=2)
log = get_logger("tapehub.gateway")
"""


def say(hub: Path, text: str, bytes_max: int = 1 << 20) -> subprocess.CompletedProcess[str]:
    """Log in a process of its own: what is configured there stays there."""
    hub.mkdir(mode=0o700, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", SAYS + text, str(hub), str(bytes_max)],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip


def events(hub: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (hub / "logs" / "gateway.jsonl").read_text().splitlines()]


def test_whoever_logs_the_shape_is_the_same(hub_dir: Path) -> None:
    said = say(
        hub_dir,
        """
log.info("subscribed", symbols=["EUR_USD"], when=Path("/x"))
logging.getLogger("uvicorn.error").warning("closed %s", 1006)
logging.getLogger("uvicorn.error").info("not said: a library's small talk")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
""",
    )
    rows = events(hub_dir)
    assert [row["event"] for row in rows] == ["subscribed", "closed 1006", "failed"]
    assert [row["level"] for row in rows] == ["info", "warning", "error"]
    assert [row["logger"] for row in rows] == ["tapehub.gateway", "uvicorn.error", "tapehub.gateway"]
    assert {row["component"] for row in rows} == {"gateway"}
    assert all(str(row["timestamp"])[10] == "T" and str(row["timestamp"]).endswith("Z") for row in rows)
    assert "ZeroDivisionError" in str(rows[2]["exception"])
    assert "[info] subscribed symbols=['EUR_USD']" in said.stderr
    assert "component" not in said.stderr


def test_no_secret_reaches_a_file_or_the_terminal(hub_dir: Path) -> None:
    said = say(
        hub_dir,
        """
token = "tapehub_" + "s3cr3t" * 6
log.info("login", url=f"/login?token={token}", headers={"Authorization": f"Bearer {token}"}, password="hunter2-x")
logging.getLogger("uvicorn.access").warning("GET %s", f"/login?token={token}")
try:
    raise ValueError(f"bad {token}")
except ValueError:
    log.exception("failed")
""",
    )
    written = (hub_dir / "logs" / "gateway.jsonl").read_text() + said.stderr + said.stdout
    assert "s3cr3t" not in written
    assert "hunter2" not in written
    assert "login" in written


def test_a_file_is_rotated_and_so_many_are_kept(hub_dir: Path) -> None:
    say(hub_dir, "for number in range(400): log.info('tick', number=number)", bytes_max=4096)
    files = sorted((hub_dir / "logs").iterdir())
    assert [path.name for path in files] == ["gateway.jsonl", "gateway.jsonl.1", "gateway.jsonl.2"]
    assert all(path.stat().st_size <= 4096 for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    found = last_events(hub_dir, (), 40)
    assert [event["number"] for event in found] == list(range(360, 400))


def write(hub: Path, name: str, *rows: dict[str, object], mode: str = "a") -> None:
    (hub / "logs").mkdir(parents=True, exist_ok=True)
    with (hub / "logs" / f"{name}.jsonl").open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def at(second: int, event: str, **fields: object) -> dict[str, object]:
    return {"timestamp": f"2026-11-22T10:00:{second:02}.000000Z", "level": "info", "event": event, **fields}


def test_components_are_merged_by_time_with_what_up_did_with_them(hub_dir: Path) -> None:
    write(hub_dir, "server", at(1, "serving"), at(5, "stopped"))
    write(hub_dir, "collector", at(2, "collecting"), at(4, "stopped"))
    write(hub_dir, "up", at(3, "died", component="collector"), at(3, "died", component="server"))
    assert names_of(hub_dir) == ["collector", "server", "up"]
    told = [(event["component"], event["event"]) for event in last_events(hub_dir, ("collector",), 50)]
    assert told == [("collector", "collecting"), ("collector", "died"), ("collector", "stopped")]
    assert [event["timestamp"][17:19] for event in last_events(hub_dir, (), 3)] == ["03", "04", "05"]


def test_what_is_torn_is_shown_as_it_is(hub_dir: Path) -> None:
    write(hub_dir, "server", at(1, "serving"))
    with (hub_dir / "logs" / "server.jsonl").open("a") as file:
        file.write('{"event": "kill')
        file.write("\n" + json.dumps(at(4, "serving again")) + "\n")
    write(hub_dir, "collector", at(2, "collecting"), at(5, "stopped"))
    found = [event["event"] for event in last_events(hub_dir, (), 9)]
    assert found == ["serving", "collecting", '{"event": "kill', "serving again", "stopped"]


def test_following_goes_on_through_a_rotation_and_takes_up_who_is_new(hub_dir: Path) -> None:
    write(hub_dir, "server", at(1, "old"))
    follower = Follower(hub_dir)
    assert follower.read() == []
    write(hub_dir, "server", at(2, "before"))
    path = hub_dir / "logs" / "server.jsonl"
    path.rename(path.with_name("server.jsonl.1"))
    assert follower.read() == []  # between two files
    write(hub_dir, "server", at(3, "after"))
    write(hub_dir, "gateway", at(4, "new"))
    assert [event["event"] for event in follower.read()] == ["before", "after", "new"]
    with path.open("a") as file:
        file.write('{"timestamp": "2026-11-22T10:00:05Z", "ev')
    assert follower.read() == []
    with path.open("a") as file:
        file.write('ent": "whole"}\n')
    assert [event["event"] for event in follower.read()] == ["whole"]


def test_a_line_for_people_shows_all_fields_and_the_traceback_below(hub_dir: Path) -> None:
    event = at(1, "failed", component="server", exception="Traceback", times=3, why="no room", logger="tapehub.server")
    assert text_of(event) == "2026-11-22 10:00:01 server     info     failed times=3 why='no room'\nTraceback"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_group_goes_on_in_the_same_file(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    os.chown(hub, -1, 65_432)
    hub.chmod(0o2770)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o711)
    say(hub, "log.info('mine')")
    # What is read from this installation is read before this user may not any more.
    become = "log_to(); get_logger('tapehub').info('read'); os.setgroups([]); os.setgid(65432); os.setuid(65432); "
    other = SAYS.replace("import logging, sys", "import logging, os, sys").replace(
        "log_to(Path", become + "log_to(Path"
    )
    subprocess.run(
        [sys.executable, "-c", other + "log.info('theirs')", str(hub), "4096"],
        timeout=30, check=True,
    )  # fmt: skip
    assert [row["event"] for row in events(hub)] == ["mine", "theirs"]
