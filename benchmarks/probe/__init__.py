"""Build the bare C++ probe on demand and run it: the limit that this machine sets.

The binary goes to the user's cache directory, under the hash of its source, and is built once a change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["available", "run"]

_SOURCE = Path(__file__).with_name("probe.cpp")


def available() -> str | None:
    """Return why there is no probe (no compiler, or not Linux), or None."""
    try:
        _binary()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return str(error)
    return None


def run(*words: str | int, timeout_s: float = 120.0) -> dict[str, float]:
    """Run the probe with these words and return its JSON object."""
    command = [str(_binary()), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout_s)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@cache
def _binary() -> Path:
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        raise RuntimeError("no C++ compiler: expected g++ on the PATH; install g++ to see the limits")
    name = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    cache_dir = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapehub" / "bench"
    binary = cache_dir / f"probe-{name}"
    if not binary.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir) as made:
            fresh = Path(made) / "probe"
            subprocess.run([compiler, "-O2", "-std=c++20", "-o", fresh, _SOURCE], check=True, capture_output=True)
            fresh.rename(binary)
    return binary
