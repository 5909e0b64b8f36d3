"""Near-duplicates in an export: copies are never parted, what only looks alike is named or kept in one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_run import made_records, made_run
from PIL import Image

import seke
from engine import SekeError

pytest.importorskip("imagehash")

SCENES = 4


def scene(seed):
    """A picture of smooth blotches."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A run of scenes, each as it is, recompressed and cropped, with no groups; one file cannot be read."""
    folder = tmp_path_factory.mktemp("pictured")
    paths = []
    for seed in range(SCENES):
        names = [folder / f"{kind}{seed}.{end}" for kind, end in (("a", "png"), ("b", "jpg"), ("c", "png"))]
        scene(seed).save(names[0])
        scene(seed).save(names[1], quality=50)
        scene(seed).crop((4, 4, 92, 92)).save(names[2])
        paths += names
    paths.append(folder / "broken.png")
    paths[-1].write_bytes(b"no picture")
    accepted = [record for record in made_records(60) if _accepted(record)][: len(paths)]
    items = [{"path": str(path)} for path in paths]
    run = made_run(folder / "run", accepted, items)
    names_by_item = {record["item"]: path.stem for record, path in zip(accepted, paths, strict=True)}
    return run, names_by_item, accepted


def _accepted(record):
    return record["decision"]["levels"]["expression"]["decision"] == "accept"


def exported(pictured, folder, **options):
    """Export in two halves; return what was written, and split -> the names of its pictures."""
    run, names_by_item, _ = pictured
    made = seke.export(
        run,
        folder,
        formats="parquet",
        split="train:.5,test:.5",
        uncalibrated=True,
        allow_scripted=True,
        **options,
    )
    import pyarrow.parquet as pq

    parts = {}
    for split in ("train", "test"):
        rows = pq.read_table(folder / "parquet" / f"{split}.parquet").column("item").to_pylist()
        parts[split] = {names_by_item[item] for item in rows}
    return made, parts, json.loads((folder / "export.json").read_text())["near_duplicates"]


def test_copies_stay_in_one_split_and_what_looks_alike_is_named(pictured, tmp_path):
    made, parts, facts = exported(pictured, tmp_path / "data")
    for names in parts.values():
        assert {name[1:] for name in names if name[0] == "a"} == {
            name[1:] for name in names if name[0] == "b" and name != "broken"
        }
    assert facts["clusters"] == SCENES
    assert facts["pictures"] == 2 * SCENES
    card = (tmp_path / "data" / "README.md").read_text()
    assert "4 clusters of 8 pictures, none of them parted" in card
    parted = sum(
        ({f"a{n}", f"c{n}"} <= parts["train"]) == ({f"a{n}", f"c{n}"} <= parts["test"]) for n in range(SCENES)
    )
    assert facts["similar_in_several_splits"] == parted > 0
    assert any("look alike" in line and "--near-duplicates similar" in line for line in made.warnings)
    assert any("1 picture could not be compared" in line for line in made.warnings)


def test_similar_pictures_stay_in_one_split_where_that_is_asked_for(pictured, tmp_path):
    made, parts, facts = exported(pictured, tmp_path / "data", near_duplicates="similar")
    for number in range(SCENES):
        together = {f"{kind}{number}" for kind in "abc"}
        assert together <= parts["train"] or together <= parts["test"]
    assert (facts["pictures"], facts["similar_in_several_splits"]) == (3 * SCENES, 0)
    assert not any("look alike" in line for line in made.warnings)
    _, _, facts = exported(pictured, tmp_path / "none", near_duplicates="no")
    assert facts == {"rule": "no"}
    assert "**Near-duplicates were not looked for**" in (tmp_path / "none" / "README.md").read_text()
    with pytest.raises(SekeError, match="--near-duplicates: 'some' is not known; allowed are copies"):
        exported(pictured, tmp_path / "bad", near_duplicates="some")
    assert not (tmp_path / "bad").exists()


def test_one_cluster_cannot_be_split(pictured, tmp_path):
    """All pictures of one scene: two splits are impossible, and the message says why."""
    folder = tmp_path / "one"
    folder.mkdir()
    paths = [folder / f"{quality}.jpg" for quality in (40, 60, 80)]
    for path in paths:
        scene(1).save(path, quality=int(path.stem))
    run = made_run(folder / "run", pictured[2][:3], [{"path": str(path)} for path in paths])
    with pytest.raises(SekeError, match=r"gets nothing: .* near-duplicates are one group"):
        exported((run, *pictured[1:]), tmp_path / "data")
