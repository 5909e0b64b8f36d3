"""Memory of `seke annotate` does not grow with the number of items, beyond what their names and paths take.

pytest tests/benchmarks/test_annotate_memory.py -m slow -s
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
RUN = """
import json, resource, sys, time
from pathlib import Path
import seke
from seke.vision.fake import ScriptedModel
started = time.monotonic()
found = seke.annotate(sys.argv[1], sys.argv[2], ScriptedModel(), strategy=sys.argv[3], concurrency=64)
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([most, time.monotonic() - started, found.finished, found.totals.answers]))
"""
FEW, MANY, A_ITEM = 1000, 20_000, 0.004


@pytest.mark.parametrize("strategy", ["fixed:1", "policy"])
def test_memory_is_flat(tmp_path, capsys, strategy):
    most = {}
    for count in (FEW, MANY if strategy != "policy" else MANY // 4):
        folder = tmp_path / f"faces{count}"
        folder.mkdir()
        Image.fromarray(np.full((32, 32, 3), 90, dtype=np.uint8)).save(folder / "f0.png")
        for i in range(1, count):
            os.link(folder / "f0.png", folder / f"f{i}.png")
        command = [sys.executable, "-c", RUN, folder, tmp_path / f"r{count}", strategy]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        most[count], seconds, finished, answers = json.loads(done.stdout)
        assert finished
        with capsys.disabled():
            print(
                f"\n{strategy}, {count:,} items, {answers:,} answers: {most[count]:.0f} MiB, {seconds:.0f} s"
            )
    (few, least), (many, greatest) = most.items()
    # A name, a path and an index: some kilobytes an item.
    assert greatest - least < 40 + A_ITEM * (many - few)
