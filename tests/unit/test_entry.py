"""The command from its first microsecond: Ctrl-C while it loads ends it with 130, and without a word."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapehub.app.console import Exit
from tapehub_entry import _INTERRUPTED

INTERRUPT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**7): pass\n"


def run(*words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a module's `main`, with a directory that comes before all others on Python's path."""
    environment = os.environ | ({} if path is None else {"PYTHONPATH": str(path)})
    return subprocess.run(
        [sys.executable, "-m", "tapehub_entry", *words], env=environment, capture_output=True, text=True, timeout=50
    )


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("numpy", ("tapehub.app.cli", "up")),
        ("typer", ("tapehub.app.cli", "up")),
        ("structlog", ("tapehub.app.cli", "up")),  # of the command's own module, which is imported when it is called
        ("numpy", ("tapehub.app.demo",)),
        ("rich", ("tapehub.app.demo",)),
        ("numpy", ("tapehub.app.roles", "server", "{}")),
    ],
)
def test_an_interrupt_in_an_import_ends_it_quietly(tmp_path: Path, library: str, words: tuple[str, ...]) -> None:
    (tmp_path / f"{library}.py").write_text(INTERRUPT)
    done = run(*words, path=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (Exit.INTERRUPTED, "", "")


def test_an_interrupt_that_main_lets_through_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(
        "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGINT)\n    raise AssertionError\n"
    )
    done = run("waits", path=tmp_path)
    assert (done.returncode, done.stderr) == (Exit.INTERRUPTED, "")


def test_an_interrupt_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "counts.py").write_text(f"{INTERRUPT}\ndef main(): return 7\n")
    command = f"trap '' INT; exec {sys.executable} -m tapehub_entry counts"
    done = subprocess.run(
        ["sh", "-c", command], env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, timeout=50
    )
    assert done.returncode == 7


def test_what_main_gives_is_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "gives.py").write_text("import sys\ndef main():\n    print(sys.argv)\n    return 3\n")
    done = run("gives", "a", "b", path=tmp_path)
    assert (done.returncode, done.stdout) == (3, "['gives', 'a', 'b']\n")


def test_it_ends_with_the_commands_own_code() -> None:
    assert _INTERRUPTED == Exit.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
