"""What the tidy tests look at: the files of the project, and its modules."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "tapehub"
# Where there is no git (an unpacked source distribution), what a build or a tool leaves behind is passed over by name.
GENERATED = {"build", "dist", ".venv", ".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def project_files() -> list[Path]:
    """List every file that is tracked, or would be if it were added."""
    git = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if git.returncode == 0:
        paths = [ROOT / name for name in git.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not GENERATED & set(path.relative_to(ROOT).parts)]
    return sorted(path for path in paths if path.is_file())


def modules() -> dict[str, Path]:
    """Map the name of every module of the package to its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def shown(path: Path) -> str:
    """Name a file relative to the repository root."""
    return path.relative_to(ROOT).as_posix()
