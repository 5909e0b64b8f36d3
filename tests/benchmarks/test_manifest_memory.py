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
# Beside two texts an item has a box of four numbers and stands in the table of names: 2.3 times in 2026.
MOST = 3.5
CODE = """
import json, sys, tracemalloc
import seke
from seke.datasets.manifest import items_of
path, base = sys.argv[1], seke.knowledge()
def peak(work):
    tracemalloc.start()
    kept = work()
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / 2**20, most / 2**20
def bare():
    rows = map(json.loads, open(path))
    return [(row["path"], row["item"]) for row in rows]
items_of([sys.argv[2]], base)  # what is imported for the first manifest is not counted
print(json.dumps([*peak(lambda: items_of([path], base)), *peak(bare)]))
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
        command = [sys.executable, "-c", CODE, manifest(count), first]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        held, most[count], _, bare = json.loads(done.stdout)
        with capsys.disabled():
            print(
                f"\n{count:,} lines: {most[count]:.0f} MB at most, {held:.0f} held; a bare list {bare:.0f} MB"
            )
        assert most[count] < MOST * bare
    assert most[MANY] < 1.15 * MANY / FEW * most[FEW]
