"""Near-duplicates among gold are named, and fit or certify together once their clusters are given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from engine import SekeError
from seke.calibration.certify import Parts
from seke.calibration.labelled_answers import LabelledAnswers, gold_table
from seke.calibration.near_gold import near_gold_remarks, with_clusters
from seke.cli.main import main
from seke.files.shipped import knowledge
from seke.tables.clusters import read_clusters

ITEMS = 40


def run(*args, status=0):
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run's folder: samples, gold, and pictures of which every second one copies the one before."""
    folder = tmp_path_factory.mktemp("near-gold")
    simulated = ["simulate", "--items", ITEMS, "--question", "expression", "--draws", 2]
    run(*simulated, "-o", folder / "samples.jsonl", "--truth", folder / "gold.csv")
    lines = []
    for row, line in enumerate((folder / "gold.csv").read_text().splitlines()[1:]):
        coarse = np.random.default_rng(row // 2).integers(0, 256, (9, 9), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((72, 72), Image.Resampling.BICUBIC)
        path = folder / f"{row}.jpg"
        picture.save(path, quality=90 - 40 * (row % 2))
        lines.append(json.dumps({"item": line.partition(",")[0], "path": str(path)}))
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def every(folder):
    base = knowledge(None)
    return LabelledAnswers.read([folder / "samples.jsonl"], base, gold_table(folder / "gold.csv", base))


def test_pictures_of_gold_that_look_alike_are_named(folder, every, tmp_path):
    pytest.importorskip("imagehash")
    (remark,) = near_gold_remarks(every, [folder / "samples.jsonl"])
    assert remark.startswith(f"{ITEMS} of {ITEMS} pictures with gold look alike ({ITEMS // 2} clusters: ")
    assert "--clusters clusters.csv" in remark
    # Persons whom the run's manifest names, and the gold does not.
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    (tmp_path / "items.jsonl").write_text(
        "".join(json.dumps({**line, "group": f"p{row // 4}"}) + "\n" for row, line in enumerate(lines))
    )
    persons, _ = near_gold_remarks(every, [tmp_path / "samples.jsonl"])
    assert persons.startswith(f"{ITEMS // 4} persons of the run (column group of its manifest) have several")
    # Nothing is said where no run names the pictures.
    assert list(near_gold_remarks(every, [{"item": "a"}])) == []
    table = folder / "clusters.csv"
    run("dupes", folder, "-o", table)
    assert len({*read_clusters(table).values()}) == ITEMS // 2


def test_clusters_fit_or_certify_whole(folder, every, tmp_path):
    table = tmp_path / "clusters.csv"
    rows = [f"{item},c{row // 2}" for row, item in enumerate(every.answers.items)]
    table.write_text("\n".join(["item,cluster", *rows]))
    clustered = with_clusters(every, read_clusters(table), table)
    fits = Parts.of(clustered, np.random.default_rng(0)).fits
    assert 0 < fits.sum() < ITEMS
    assert (fits[::2] == fits[1::2]).all()
    given = ["calibrate", folder / "samples.jsonl", "--gold", folder / "gold.csv", "--alpha", 0.3]
    table.write_text("item,cluster\nx,1\nx,2\ny,\n")
    result = run(*given, "--clusters", table, "-o", tmp_path / "bad.yaml", status=2)
    assert "clusters.csv:3: item: 'x' is there twice" in result.output
    assert "clusters.csv:4: needs `item` and `group` or `cluster`" in result.output
    assert not (tmp_path / "bad.yaml").exists()
    with pytest.raises(SekeError, match="has none of the items; it names 'x'"):
        with_clusters(every, {"x": "1"}, table)
