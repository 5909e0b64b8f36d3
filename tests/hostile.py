"""What a hostile input may take: the peak memory of a process of its own that reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
MOST_MEMORY = 300  # MB resident, with the interpreter and what is imported
MOST_SECONDS = 20  # of the processor; each takes two or three
END = "-- that is all of this one --"
CHILD = """
import json, resource, sys
from pathlib import Path
from engine import SekeError
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
for code, name in json.loads(sys.argv[1]):
    try:
        exec(code, {{"path": Path(name)}})
    except SekeError as error:
        print(error)
    print({end!r})
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def reports_of(cases: Sequence[tuple[str, Path]]) -> list[str]:
    """Return what a process says of each code and path; all of them have to end within the bounds of one."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's peak memory")
    # Of a process that is started the usage of resources counts its parent's memory, too; VmHWM does not.
    ended = subprocess.run(
        [
            *(sys.executable, "-c", CHILD.format(end=END, seconds=MOST_SECONDS)),
            json.dumps([(code, str(path)) for code, path in cases]),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    *reports, peak = ended.stdout.split(f"{END}\n")
    assert int(peak) >> 10 < MOST_MEMORY, peak
    return [
        report.rstrip("\n").replace(f"{path.parent}/", "")
        for report, (_, path) in zip(reports, cases, strict=True)
    ]
