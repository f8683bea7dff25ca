"""Gather what the crash tests tried into one report: ``crash_report.py LINES REPORT``.

``LINES`` holds one JSON object for each case, as the tests wrote them (TAPEHUB_CRASH_REPORT in native/tests/crash.hpp).
In a case, ``stores`` is how many stores the operation makes, ``tried`` after how many of them a process was killed,
``directories_rebuilt`` how many different directories that left for a reboot to find, each opened with its checkpoint
and without, and ``states`` how many different record counts recovery came to: none of the operation, a part, all.
"""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

SUMS = ("stores", "tried", "directories_rebuilt", "seconds", "cpu_seconds")


def main(lines: Path, report: Path) -> None:
    """Write the report: machine, totals, cases.

    Raises:
        SystemExit: no case was run, so that there is nothing to report.
    """
    cases = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    if not cases:
        raise SystemExit(f"{lines} holds no case, expected one JSON object a line: run the crash tests first")
    total = {name: round(sum(case[name] for case in cases), 1) for name in SUMS}
    total["cases"] = len(cases)
    total["failed"] = sum(not case["held"] for case in cases)
    report.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "total": total,
        "cases": cases,
    }
    report.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{total['tried']} of {total['stores']} stores in {total['cases']} cases, {total['failed']} failed: {report}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
