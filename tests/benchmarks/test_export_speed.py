"""Export of 100,000 items streams: rows a second beside a bare loop, and memory that grows with names alone.

    pytest tests/benchmarks/test_export_speed.py -m slow -s

The bare loop reads the posteriors as the standard library reads JSON, and writes rows that are there already:
those of instructions by its JSON, those of parquet by pyarrow, links by pathlib. Aimed at are
20,000 rows of instructions a second; a row of parquet is a whole posterior of a hundred columns. Pictures are
not compared here, which the bare loop does not do either: that has a test of its own, beside ImageHash alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from made_run import made_records, made_run, picture
from PIL import Image

from seke.datasets.near_duplicates import CUTS, HASH_SIDE, fingerprints

pytestmark = pytest.mark.slow
ITEMS = 100_000
A_ITEM = 0.004
MOST = 3.0
CODE = """
import json, sys, time
from pathlib import Path
import seke
run, folder, *formats = sys.argv[1:]
base = seke.knowledge()
started = time.perf_counter()
found = seke.export(run, folder, formats=formats, knowledge=base, split="train:.8,val:.1,test:.1",
                    near_duplicates="no")
seconds = time.perf_counter() - started
# Not that of getrusage, which a process inherits from the one that started it.
(most,) = (int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
started = time.perf_counter()
for line in open(f"{run}/posteriors.jsonl"):
    json.loads(line)
for path in sorted(Path(folder).glob("*/*.jsonl")) + sorted(Path(folder).glob("images/*/*.jsonl")):
    with path.open() as lines, open(f"{folder}.copy", "w") as copy:
        copy.writelines(json.dumps(json.loads(line)) + "\\n" for line in lines)
for path in Path(folder).glob("llava/*.json"):
    with open(f"{folder}.copy", "w") as copy:
        copy.write(json.dumps(json.loads(path.read_text())))
Path(f"{folder}.links").mkdir()
for path in Path(folder).glob("images/*/*.png"):
    Path(f"{folder}.links", path.name).symlink_to(path)
if "parquet" in formats:
    import pyarrow as arrow
    from pyarrow import parquet
    for path in Path(folder).glob("parquet/*.parquet"):
        file = parquet.ParquetFile(path)
        with parquet.ParquetWriter(f"{folder}.copy", file.schema_arrow) as copy:
            for part in file.iter_batches(2000):
                copy.write(arrow.RecordBatch.from_pylist(part.to_pylist(), schema=file.schema_arrow))
bare = time.perf_counter() - started
print(json.dumps([seconds, bare, most, found.items, sum(found.rows.values())]))
"""


def a_run(folder, count):
    """A run of so many items with files of their own."""
    items = []
    for number in range(count):
        path = folder / "faces" / f"{number // 1000}" / f"{number}.png"
        # File systems allow some ten thousands of links to a file.
        if number % 1000:
            os.link(path.parent / f"{number - number % 1000}.png", path)
        else:
            picture(path)
        items.append(
            {"path": str(path), "group": f"g{number // 20}", "source": "S", "picture": f"{number:064x}"}
        )
    return made_run(folder / "run", list(made_records(count)), items)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {n: a_run(tmp_path_factory.mktemp(f"made{n}"), n) for n in (ITEMS // 10, ITEMS)}


@pytest.mark.parametrize(
    "formats", [["messages"], ["trl"], ["llava"], ["messages", "imagefolder"], ["parquet"]]
)
def test_rows_a_second(runs, tmp_path, capsys, formats):
    most = {}
    for count, run in runs.items():
        command = [sys.executable, "-c", CODE, run, tmp_path / str(count), *formats]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, bare, most[count], items, rows = json.loads(done.stdout)
    with capsys.disabled():
        print(
            f"\n{' and '.join(formats)}: {items:,} items, {rows:,} rows in {seconds:.1f} s: "
            f"{rows / seconds:,.0f} rows/s, {seconds / bare:.2f} times a bare loop; "
            f"{most[count]:.0f} MiB, {most[ITEMS // 10]:.0f} of a tenth"
        )
    assert seconds < MOST * bare
    assert most[ITEMS] - most[ITEMS // 10] < 40 + A_ITEM * 0.9 * ITEMS


def test_pictures_are_compared_as_fast_as_imagehash_hashes_them(tmp_path, capsys):
    """Fingerprints beside a bare loop: each picture opened, cut and mirrored, and hashed by ImageHash."""
    imagehash = pytest.importorskip("imagehash")
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.jpg" for number in range(200)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).resize((256, 256)).save(path)

    def seconds(work):
        started = time.process_time()
        work()
        return time.process_time() - started

    def bare():
        for path in paths:
            grey = Image.open(path).convert("L")
            for share in CUTS:
                edge = round(grey.width * share / 2)
                look = grey.crop((edge, edge, grey.width - edge, grey.height - edge))
                imagehash.phash(look, HASH_SIDE)
                imagehash.phash(look.transpose(Image.Transpose.FLIP_LEFT_RIGHT), HASH_SIDE)

    def ours():
        fingerprints((path.name, path, None) for path in paths)

    pairs = [(seconds(ours), seconds(bare)) for _ in range(5)]
    ratio = np.median([first / second for first, second in pairs])
    with capsys.disabled():
        print(f"\n{1000 * pairs[0][0] / len(paths):.1f} ms a picture, {ratio:.2f} times ImageHash alone")
    assert ratio < 1.5
