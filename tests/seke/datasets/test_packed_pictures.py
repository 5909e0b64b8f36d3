"""seke import packed: tars and parquet files of pictures become a folder and its manifest."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

import seke
from engine import SekeError
from seke.cli.main import main
from seke.datasets.images import MOST_BYTES
from seke.datasets.manifest import items_of
from seke.datasets.packed_pictures import TOO_LARGE, unpack

BASE = seke.knowledge()


def picture(number, kind="JPEG"):
    pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def tar(path, members):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def rows(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_tars_of_webdataset(tmp_path):
    beside = {
        "valence": 0.5,
        "AU12": True,
        "group": "p1",
        "width": 20,
        "height": 20,
        "note": "x",
        "label": "fear",
    }
    first = tar(
        tmp_path / "faces-000.tar",
        [
            ("./a.jpg", picture(1)),
            ("./a.json", json.dumps(beside).encode()),
            ("b/c.v2.png", picture(2, "PNG")),
            ("b/c.cls", b"3\n"),
            ("d.txt", b"no picture"),
            ("._e.jpg", b"of a system"),
        ],
    )
    tar(tmp_path / "faces-001.tar.gz", [("a.jpg", picture(3)), ("a.cls", b"glee")])
    unpacked = unpack(tmp_path, tmp_path / "out", classes=["angry", "disgust", "fear", "Happy"])
    assert (unpacked.items, unpacked.labelled) == (3, 2)
    assert unpacked.left_out == {"keys without a picture": 1}
    assert unpacked.unknown == {"glee": 1}
    assert rows(tmp_path / "out") == [
        {
            "path": "pictures/0000/0000000.jpg",
            "item": "faces-000/a",
            "valence": 0.5,
            "AU12": True,
            "group": "p1",
            "expression": "fear",
        },
        {"path": "pictures/0000/0000001.png", "item": "faces-000/b/c", "expression": "happiness"},
        {"path": "pictures/0000/0000002.jpg", "item": "faces-001/a"},
    ]
    assert (tmp_path / "out" / "pictures" / "0000" / "0000000.jpg").read_bytes() == picture(1)
    items = items_of([tmp_path / "out" / "manifest.jsonl"], BASE)
    assert [item.name for item in items] == ["faces-000/a", "faces-000/b/c", "faces-001/a"]
    assert items[0].labels == {"expression": "fear", "valence": 0.5, "AU12": True}
    with pytest.raises(SekeError, match="is an archive; unpack it first: seke import packed"):
        items_of([first], BASE)


def test_parquet_of_hugging_face(tmp_path):
    (tmp_path / "kept.png").write_bytes(picture(2, "PNG"))
    images = [
        {"bytes": picture(1), "path": "x.jpg"},
        {"bytes": None, "path": "kept.png"},
        {"bytes": None, "path": "../kept.png"},
        {"bytes": b"%PDF", "path": "a.pdf"},
        {"bytes": bytes(MOST_BYTES + 1), "path": "large.jpg"},
    ]
    features = {"label": {"names": ["sad", "happy"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table({"image": images, "label": [1, 0, 0, 0, 0], "boxes": [[1], [2], [3], [4], [5]]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "train-00000-of-00001.PARQUET")
    result = CliRunner().invoke(
        main, ["import", "packed", str(tmp_path), "-o", str(tmp_path / "o"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["left_out"] == {
        "pictures in files that are not beside the archive": 1,
        "pictures of a format that is not read": 1,
        TOO_LARGE: 1,
    }
    assert "2 pictures, 2 with a class" in result.stderr
    name = "train-00000-of-00001"
    assert [(row["item"], row["expression"], row["path"][-4:]) for row in rows(tmp_path / "o")] == [
        (f"{name}/0", "happiness", ".jpg"),
        (f"{name}/1", "sadness", ".png"),
    ]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.txt", b"x")], "no picture"),
        ([("a.jpg", b"x"), ("b.jpg", b"x"), ("a.json", b"{}")], "key 'a' is there twice"),
        ([("a.json", b"{"), ("a.jpg", b"x")], "a.json: is no JSON"),
        (b"no tar at all", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said_and_nothing_is_written(tmp_path, members, message):
    archive = tmp_path / "in" / "x.tar"
    archive.parent.mkdir()
    if isinstance(members, bytes):
        archive.write_bytes(members)
    else:
        tar(archive, members)
    with pytest.raises(SekeError, match=message):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_archives_that_are_none(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    for source, message in (
        (tmp_path / "x.parquet", "cannot be read"),
        (tmp_path / "no.tar", "is no archive"),
    ):
        with pytest.raises(SekeError, match=message):
            unpack(source, tmp_path / "out")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(SekeError, match=r"has no column of pictures \(\{bytes, path\}\); it has a"):
        unpack([tmp_path / "x.parquet"], tmp_path / "out")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tar(tmp_path / name / "x.tar", [("a.jpg", picture(1))])
    with pytest.raises(SekeError, match="and its items would have, too; rename one"):
        unpack([tmp_path / "one", tmp_path / "two"], tmp_path / "out")


def test_archives_and_pictures_at_addresses(tmp_path):
    """Here addresses of this machine; a store is asked in tests/seke/files/test_addresses.py."""
    store = tmp_path / "store"
    (store / "posed" / "p1").mkdir(parents=True)
    (store / "posed" / "p2").mkdir()
    (store / "posed" / "p1" / "10.jpg").write_bytes(picture(1))
    (store / "posed" / "p1" / "9.jpg").write_bytes(picture(2))
    # What an address would write otherwise, or take for its end.
    (store / "posed" / "p2" / "a b#c%41.PNG").write_bytes(picture(3, "PNG"))
    (store / "posed" / "readme.txt").write_text("no picture")
    tar(store / "web.tar", [("a.jpg", picture(4)), ("a.cls", b"fear")])
    unpacked = unpack([f"file://{store}/posed", f"file://{store}/web.tar"], tmp_path / "out")
    assert (unpacked.items, unpacked.labelled) == (4, 1)
    names = ["posed/p1/9", "posed/p1/10", "posed/p2/a b#c%41", "web/a"]
    assert [row["item"] for row in rows(tmp_path / "out")] == names
    assert (tmp_path / "out" / rows(tmp_path / "out")[0]["path"]).read_bytes() == picture(2)
    with pytest.raises(SekeError, match=r"file:///nowhere/x\.tar: no such file, or no such bucket"):
        unpack("file:///nowhere/x.tar", tmp_path / "other")
    with pytest.raises(SekeError, match="has keys in it"):
        unpack("s3://key:secret@bucket/faces", tmp_path / "other")
    (store / "posed" / "p1" / "9.png").write_bytes(picture(5, "PNG"))
    with pytest.raises(SekeError, match="p1/9: pictures that differ by their endings alone"):
        unpack(f"file://{store}/posed", tmp_path / "other")
    assert not (tmp_path / "other").exists()
