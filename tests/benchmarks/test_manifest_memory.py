"""Memory of a manifest's items: by its lines, and beside a bare list of the same names and paths.

    pytest tests/benchmarks/test_manifest_memory.py -m slow -s

A run needs all of its items, so memory grows with them; the rows that they were read from are not kept. The
bare list holds of each line its path and its name, two texts in a tuple.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
FEW, MANY = 20_000, 200_000
# Beside two texts an item has a box of four numbers and stands in the table of names.
MOST = 4.0
CODE = """
import json, sys
import seke
from seke.datasets.manifest import items_of
which, path, first = sys.argv[1:]
base = seke.knowledge()
items_of([first], base)  # what is imported for the first manifest is not counted
def megabytes(key):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))
before = megabytes("VmRSS")
if which == "items":
    kept = items_of([path], base)
else:
    kept = [(row["path"], row["item"]) for row in map(json.loads, open(path))]
print(megabytes("VmHWM") - before)
"""


def test_rows_of_a_manifest_are_not_kept(tmp_path, capsys):
    def manifest(count):
        path = tmp_path / f"m{count}.jsonl"
        with path.open("w") as file:
            for i in range(count):
                row = {"path": f"faces/{i // 1000}/face-{i:06d}.png", "item": f"face-{i:06d}"}
                row |= {"group": f"g{i // 20}", "left": 1, "top": 2, "width": 100 + i % 7, "height": 90}
                file.write(json.dumps(row) + "\n")
        return path

    first, most = manifest(10), {}
    for count in (FEW, MANY):
        path = manifest(count)
        most[count], bare = (
            float(subprocess.check_output([sys.executable, "-c", CODE, which, path, first], text=True))
            for which in ("items", "bare")
        )
        with capsys.disabled():
            print(f"\n{count:,} lines: {most[count]:.0f} MB at most; a bare list {bare:.0f} MB")
        assert most[count] < MOST * bare
    assert most[MANY] < 1.15 * MANY / FEW * most[FEW]
