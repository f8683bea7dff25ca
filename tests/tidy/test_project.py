"""The project's own files: complete, free of this or that machine, and true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT, project_files, shown

TEXT = {
    ".py",
    ".pyi",
    ".hpp",
    ".cpp",
    ".md",
    ".toml",
    ".txt",
    ".json",
    ".yaml",
    ".yml",
    ".ipynb",
    ".html",
    ".js",
    ".css",
    "",
}
# Written in pieces, so that this file passes its own test.
MACHINE_PATH = re.compile(
    r"(?<![\w.~>)}\]/])/(?:" + "|".join(["home", "root", "Users", "work", "mnt", "opt", "srv"]) + r")/\w"
)
REGISTRY = re.compile(
    r"\b(?:"
    + "|".join(["pypi", "pythonhosted", "npmjs", "proxy.golang", "crates", "ghcr", "docker"])
    + r")\.(?:org|com|io)\b"
)
PRIVATE_HOST = re.compile(r"\b(?:192\.168\.\d+\.\d+|10\.\d+\.\d+\.\d+|\w+\.(?:internal|corp|lan))\b")
README_MUST_SHOW = ("make demo", "make test", "venue ─► feed ─► quality ─► hub")


def text_files() -> list[Path]:
    """List the files of the project that are prose or code."""
    return [path for path in project_files() if path.suffix in TEXT and "/vendor/" not in shown(path)]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY, PRIVATE_HOST], ids=["path", "registry", "host"])
def test_no_file_names_a_place_of_one_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{shown(path)}:{number}: {hit.group()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (hit := pattern.search(line))
    ]
    assert not found, "\n".join(found)


def test_no_market_data_is_part_of_the_project() -> None:
    data = {".bi5", ".dbn", ".zst", ".parquet", ".gz", ".zip", ".csv"}
    allowed = ("tests/data/", "benchmarks/results/")
    found = [shown(path) for path in project_files() if path.suffix in data and not shown(path).startswith(allowed)]
    assert not found, found


def test_the_version_has_its_changelog_entry() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version in headings or "Unreleased" in headings, f"CHANGELOG.md has no entry for {version}, only {headings}"


@pytest.mark.parametrize("text", README_MUST_SHOW)
def test_readme_shows(text: str) -> None:
    assert text in (ROOT / "README.md").read_text()


def test_decisions_are_numbered_without_holes_and_complete() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text()
        missing = [part for part in ("## Context", "## Decision", "## Consequences") if part not in text]
        assert not missing, f"{shown(path)} lacks {missing}"


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]
    broken = [
        f"{shown(path)}: {target}"
        for path in documents
        for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def python_blocks(path: Path) -> str:
    """Join the Python blocks of a document, in order, each line where it stands in the document."""
    out, inside = [], False
    for line in path.read_text().splitlines():
        if line.strip().startswith("```"):
            inside = line.strip() == "```python"
            out.append("")
        else:
            out.append(line if inside else "")
    return "\n".join(out)


@pytest.mark.parametrize(
    "path",
    [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if python_blocks(path).strip()],
    ids=shown,
)
def test_python_in_the_documents_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{path.stem}.py"
    script.write_text(python_blocks(path))
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, f"{shown(path)} (line numbers are the document's):\n{done.stderr}"
