"""No key, token or password stands in the project: every hub makes its own at its first start."""

import re
from pathlib import Path

from tests.tidy.sources import ROOT, project_files, shown

KEYS = (
    re.compile(r"tapehub_[A-Za-z0-9_-]{43}\b"),  # a token as `tapehub token new` prints it
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    # A key for everyone who reads this: as an argument, a default, or a line of a configuration.
    re.compile(r"""\b(?:auth_?key|token|password|secret)\s*(?::\s*\w+\s*)?=\s*b?["'][^"'<{$.…]{6,}["']""", re.I),
)
KEPT = {".py", ".pyi", ".md", ".toml", ".js", ".html", ".yaml", ".yml", ".json", ".hpp", ".cpp", ""}


def sources() -> list[Path]:
    """List what is shipped or read: tests make up keys of their own."""
    return [
        path
        for path in project_files()
        if path.suffix in KEPT
        and not shown(path).startswith(("tests/", "native/tests/"))
        and "/vendor/" not in shown(path)
    ]


def test_no_file_holds_a_key() -> None:
    found = [
        f"{shown(path)}:{number}: {hit.group()[:30]}…"
        for path in sources()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        for pattern in KEYS
        if (hit := pattern.search(line))
    ]
    assert not found, "\n".join(found)
    assert ROOT / "README.md" in sources()


def test_what_a_key_looks_like_is_known() -> None:
    for line in (
        "token = " + '"tapehub_' + "aB3-" * 10 + 'xyz"',
        "authkey=b'" + "market-data'",
        "PASSWORD = " + '"letmein"',
        "auth_key: bytes = " + 'b"secret"',
        "-----BEGIN EC " + "PRIVATE KEY-----",
    ):
        assert any(pattern.search(line) for pattern in KEYS), line
