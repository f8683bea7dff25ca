"""The examples run as they stand, and the notebook begins with the README's first ten lines."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(name: str, *arguments: str, cwd: Path) -> str:
    """Run an example with warnings as errors; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_what_the_publisher_publishes_the_readers_read(tmp_path: Path) -> None:
    assert run("publisher.py", cwd=tmp_path).count("published") == 3
    assert "EUR_USD 1.15152, 0.6 pips" in run("reader.py", cwd=tmp_path)
    lines = run("streaming_reader.py", "my-hub", "3", cwd=tmp_path).splitlines()
    assert [line.split()[2] for line in lines] == ["1.15150", "1.15154", "1.15149"]


def notebook() -> nbformat.NotebookNode:
    """Read the notebook."""
    return nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)


def test_the_notebook_begins_with_the_lines_of_the_readme() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = [cell.source.strip() for cell in notebook().cells if cell.cell_type == "code"]
    assert code[:2] == [block.strip() for block in blocks[:2]]


def test_the_notebook_holds_no_output_of_an_old_run() -> None:
    code = [cell for cell in notebook().cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


# Of Jupyter's own making, and none of them about what the notebook does.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_notebook_runs(tmp_path: Path) -> None:
    played = notebook()
    NotebookClient(played, timeout=50, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.get("text", "") for cell in played.cells for output in cell.get("outputs", []))
    assert "EUR_USD 1.15152, 0.6 pips" in printed
    assert "GBP_USD" in printed
    frames = [
        output for cell in played.cells for output in cell.get("outputs", []) if "text/html" in output.get("data", {})
    ]
    assert len(frames) == 1
