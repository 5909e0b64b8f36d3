"""What a hostile input may take: the peak memory of a process of its own that reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_MEMORY = 300  # MB resident, with the interpreter and what is imported
MOST_SECONDS = 10  # for a machine under load; each takes two or three
CHILD = """
import sys
from pathlib import Path
from engine import SekeError
path = Path(sys.argv[1])
try:
    {code}
except SekeError as error:
    print(error)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def report_of(code: str, path: Path) -> str:
    """Return what a process says of `path`, which has to end within the bounds."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell a process's peak memory")
    # Of a process that is started the usage of resources counts its parent's memory, too; VmHWM does not.
    ended = subprocess.run(
        [sys.executable, "-c", CHILD.format(code=code), str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=MOST_SECONDS,
    )
    *report, peak = ended.stdout.splitlines()
    assert int(peak) >> 10 < MOST_MEMORY, peak
    return "\n".join(report).replace(f"{path.parent}/", "")
