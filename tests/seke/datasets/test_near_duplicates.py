"""Near-duplicates: copies and crops of a picture are found, other pictures are not; nothing is quadratic."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance, ImageOps

from seke.cli.main import main
from seke.datasets.near_duplicates import SIMILAR, WORDS, Fingerprints, near_duplicates, units_of
from seke.graphics.bitmap import bitmap
from seke.graphics.face import face

pytest.importorskip("imagehash")


def scene(seed, side=128):
    """A picture of smooth blotches, as large as a photograph's parts are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def recompressed(image, quality=30):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(io.BytesIO(data.getvalue())).convert("RGB")


CHANGED = {
    "jpeg": recompressed,
    "small": lambda image: image.resize((64, 64)),
    "dark": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "mirror": lambda image: recompressed(ImageOps.mirror(image)),
    "crop": lambda image: image.crop((6, 6, 122, 122)),
    "corner": lambda image: image.crop((30, 30, 128, 128)),
}


def dupes(*args, status=0):
    result = CliRunner().invoke(main, ["dupes", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four scenes, the first with changed copies, a drawn face twice, a flat picture and a broken file."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        scene(seed).save(folder / f"scene{seed}.png")
    for name, change in CHANGED.items():
        change(scene(0)).save(folder / f"{name}.png")
    for name, units in (("rest", {}), ("smile", {"AU6": 1.0, "AU12": 1.0})):
        bitmap(face(units)).save(folder / f"{name}.png")
    Image.new("RGB", (40, 40), (90, 90, 90)).save(folder / "flat.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_copies_are_found_and_other_pictures_are_not(folder, tmp_path):
    table = tmp_path / "clusters.csv"
    result = dupes(folder, "--json", "-o", table)
    found = json.loads(result.stdout)
    members = {cluster["kind"]: {item["item"] for item in cluster["items"]} for cluster in found["clusters"]}
    # What the hash cannot do is held, too: drawn faces with other units are similar, a corner is missed.
    clusters = [{item["item"] for item in cluster["items"]} for cluster in found["clusters"]]
    assert {"crop", "dark", "jpeg", "mirror", "scene0", "small"} in clusters
    assert {"rest", "smile"} in clusters
    assert len(clusters) == 2
    assert members.keys() == {"similar"}
    turned = {item["item"]: item for cluster in found["clusters"] for item in cluster["items"]}
    # Of what it is the mirror image, and how close.
    assert turned["mirror"]["mirrored"]
    assert turned["mirror"]["near"] != "mirror"
    assert turned["mirror"]["bits"] < 20
    assert not turned["small"]["mirrored"]
    assert found["flat"] == ["flat"]
    assert "broken.png: is no picture" in found["unreadable"]["broken"]
    assert "1 picture could not be read" in result.stderr
    with table.open(newline="") as file:
        rows = {row["item"]: row for row in csv.DictReader(file)}
    assert rows["jpeg"]["cluster"] == rows["scene0"]["cluster"] == "crop"
    assert rows["scene1"]["cluster"] == "scene1"
    assert rows["flat"]["cluster"] == "flat"
    assert {rows[name]["copy"] for name in ("jpeg", "small", "dark", "scene0")} == {"true"}
    assert rows["rest"]["copy"] == "false"
    only = dupes(folder, "--copies")
    assert "     5 copies " in only.stdout
    assert "rest" not in only.stdout


def test_groups_and_boxes_of_a_manifest_count(folder, tmp_path):
    """Two faces stand in one picture; a copy of a person's picture is under another person's name."""
    both = Image.new("RGB", (400, 200), "white")
    # With the margin of a view, a quarter of the box on each side.
    both.paste(scene(1, 192), (0, 0))
    both.paste(scene(2, 192), (200, 0))
    both.save(tmp_path / "both.png")
    for name in ("scene1", "scene3"):
        shutil.copy(folder / f"{name}.png", tmp_path)
    rows = [
        "path,item,group,left,top,width,height",
        "both.png,left,ann,32,32,128,128",
        "both.png,right,bob,232,32,128,128",
        "scene3.png,third,ann,,,,",
        "scene1.png,copy,bob,,,,",
    ]
    (tmp_path / "faces.csv").write_text("\n".join(rows))
    table = tmp_path / "clusters.jsonl"
    result = dupes(tmp_path / "faces.csv", "-o", table)
    found = {row["item"]: row for row in map(json.loads, table.read_text().splitlines())}
    assert found["right"]["cluster"] == "right"
    # Whom a cluster ties together is one group: left and third by ann, left and copy by the picture.
    assert found["left"]["cluster"] == found["copy"]["cluster"] == "left"
    assert "1 cluster with pictures of several groups" in result.stderr
    assert {row["group"] for row in found.values()} == {"left"}


def test_what_cannot_be_done_is_said_and_nothing_is_written(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    table = tmp_path / "clusters.csv"
    assert "no picture can be read\n" in dupes(tmp_path, "-o", table, status=2).stderr
    assert not table.exists()
    assert "unknown ending" in dupes(tmp_path, "-o", tmp_path / "clusters.xml", status=2).stderr
    assert "no such file or folder" in dupes(tmp_path / "nothing", status=2).stderr


def test_close_hashes_are_found_as_by_comparing_all():
    """Planted neighbours of random hashes, up to the limit, and a long chain: all pairs are the reference."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (800, 6, 64 * WORDS), dtype=np.uint8)
    for row in range(300):
        flips = rng.permutation(64 * WORDS)[: rng.integers(0, SIMILAR - 5)]
        bits[400 + row, rng.integers(6)] = bits[row, 0]
        bits[400 + row, 0] = bits[row, 0]
        bits[400 + row, 0, flips] ^= 1
    for row in range(701, 800):
        bits[row] = bits[row - 1]
        bits[row, :, rng.permutation(64 * WORDS)[:12]] ^= 1
    hashes = np.packbits(bits, axis=2).view(np.uint64)
    grey = rng.integers(0, 256, (800, 4, 4), dtype=np.uint8)
    prints = Fingerprints(tuple(f"i{row}" for row in range(800)), hashes, grey, (), ())
    found = near_duplicates(prints)
    assert len({*found.similar[700:].tolist()}) == 1
    assert (found.similar[:300] == found.similar[400:700]).mean() > 0.99
    # Nothing else is joined: 400 random ones, of which 300 have a neighbour, and the chain.
    assert 401 <= len({*found.similar.tolist()}) <= 404


def test_units_are_what_any_tie_holds_together():
    persons, clusters = ["p", "q", None, "q", None], [None, "c", "c", None, None]
    assert units_of(list("abcde"), persons, clusters) == ("a", "b", "b", "b", "e")
