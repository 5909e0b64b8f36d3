"""Pictures as they are sent, and the items that are named on a command line."""

from __future__ import annotations

import io
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hostile import reports_of
from PIL import Image

import seke
from engine import AnswerError, SekeError, View
from seke.cli.main import main
from seke.datasets.images import GAP, PictureError, part_shown, picture_of, region_shown, view_of
from seke.datasets.manifest import items_of, label_sample
from seke.observers.seen import Box
from seke.tables.label_table import labels_from
from tests.small_study import SMALL_FACES

FACE = View(name="face", options={"size": 200, "margin": 0.5, "regions": {"brows": (0.0, 0.0, 1.0, 0.5)}})
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def base():
    return seke.knowledge()


def halves(size=(100, 60), mode="RGB"):
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, 0, size[0] // 2, size[1]))
    return picture.convert(mode)


def seen(picture):
    return Image.open(io.BytesIO(picture.data))


def near(pixel, colour):
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))


def test_a_picture_is_turned_upright_and_says_nothing_of_itself(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "SECRET"
    path = tmp_path / "a.jpg"
    halves().save(path, exif=exif, comment=b"SECRET", icc_profile=b"SECRET" * 30)
    picture = picture_of(path, FACE)
    assert (picture.width, picture.height) == (60, 100)
    assert near(seen(picture).getpixel((30, 10)), RED)
    assert near(seen(picture).getpixel((30, 90)), BLUE)
    assert b"SECRET" not in picture.data
    assert b"Exif" not in picture.data
    assert picture_of(path, FACE).digest == picture.digest


def test_a_picture_is_made_small_but_not_large(tmp_path):
    halves((1000, 500)).save(tmp_path / "a.png")
    assert (picture_of(tmp_path / "a.png", FACE).width, picture_of(tmp_path / "a.png", FACE).height) == (
        200,
        100,
    )
    halves((50, 40)).save(tmp_path / "b.png")
    assert picture_of(tmp_path / "b.png", FACE).width == 50


SIZES = [((48, 24), (120, 60)), ((150, 75), (150, 75)), ((400, 200), (200, 100))]


@pytest.mark.parametrize(("size", "sent"), SIZES)
def test_a_small_picture_is_enlarged_to_the_least_size(tmp_path, size, sent):
    halves(size).save(tmp_path / "a.png")
    view = View(name="face", options={**FACE.options, "least": 120})
    picture = picture_of(tmp_path / "a.png", view)
    assert (picture.width, picture.height) == sent
    # As are faces in their boxes; parts have the whole size.
    box = Box(10, 5, 24, 16)
    cut = picture_of(tmp_path / "a.png", View(name="face", options={**view.options, "margin": 0.0}), box)
    assert (cut.width, cut.height) == (120, 80)


def test_a_mirrored_view_has_left_and_right_changed(tmp_path):
    halves().save(tmp_path / "a.png")
    mirror = View(name="mirror", options={**FACE.options, "mirror": True})
    pixels = seen(picture_of(tmp_path / "a.png", mirror))
    assert near(pixels.getpixel((10, 30)), BLUE)
    assert near(pixels.getpixel((90, 30)), RED)
    # What is cut out is the same part of the picture, and then mirrored; the face still stands on the left.
    box = Box(30, 10, 40, 40)
    both = seen(picture_of(tmp_path / "a.png", mirror, box, "brows", whole=True))
    plain = seen(picture_of(tmp_path / "a.png", FACE, box, "brows", whole=True))
    assert both.size == plain.size
    assert near(both.getpixel((5, 50)), BLUE)
    assert near(plain.getpixel((5, 50)), RED)
    assert near(both.getpixel((both.width - 5, 50)), RED)
    assert near(plain.getpixel((both.width - 5, 50)), BLUE)


def test_the_detail_of_a_view_is_part_of_its_pictures(tmp_path):
    halves().save(tmp_path / "a.png")
    pictures = [
        picture_of(tmp_path / "a.png", View(name="face", options={**FACE.options, "detail": detail}))
        for detail in ("", "low", "high")
    ]
    assert [picture.detail for picture in pictures] == ["", "low", "high"]
    assert len({picture.data for picture in pictures}) == 1
    assert len({picture.digest for picture in pictures}) == 3


def test_a_box_is_cut_out_with_its_margin_within_the_picture(tmp_path):
    halves((100, 60)).save(tmp_path / "a.png")
    picture = picture_of(tmp_path / "a.png", FACE, Box(60, 20, 20, 20))
    assert (picture.width, picture.height) == (40, 40)
    assert near(seen(picture).getpixel((20, 20)), BLUE)
    at_the_edge = picture_of(tmp_path / "a.png", FACE, Box(80, 40, 20, 20))
    assert (at_the_edge.width, at_the_edge.height) == (30, 30)
    with pytest.raises(PictureError, match="its box leaves fewer"):
        picture_of(tmp_path / "a.png", FACE, Box(500, 20, 20, 20))


def test_a_region_of_the_box_is_enlarged(tmp_path):
    halves((100, 60)).save(tmp_path / "a.png")
    picture = picture_of(tmp_path / "a.png", FACE, Box(60, 20, 40, 40), "brows")
    assert (picture.width, picture.height) == (200, 100)
    # Without a box nobody knows where the brows are.
    assert picture_of(tmp_path / "a.png", FACE, None, "brows").height == 60
    assert region_shown(FACE, Box(60, 20, 40, 40), "brows") == "brows"
    assert region_shown(FACE, None, "brows") == region_shown(FACE, Box(60, 20, 40, 40), "ears") == ""


def test_the_whole_face_stands_beside_its_part(tmp_path):
    halves((100, 60)).save(tmp_path / "a.png")
    box = Box(20, 20, 40, 40)
    part = picture_of(tmp_path / "a.png", FACE, box, "brows")
    both = picture_of(tmp_path / "a.png", FACE, box, "brows", whole=True)
    assert both.height == part.height
    # With its margin the face is 80 x 60 pixels, as the picture ends there.
    assert both.width == part.width + GAP + round(part.height * 80 / 60)
    assert (
        picture_of(tmp_path / "a.png", FACE, None, "brows", whole=True).digest
        == picture_of(tmp_path / "a.png", FACE).digest
    )


def test_a_grey_view_has_no_colour(tmp_path):
    halves().save(tmp_path / "a.png")
    view = View(name="grey", options={"size": 100, "grey": True})
    pixel = seen(picture_of(tmp_path / "a.png", view)).getpixel((5, 5))
    assert max(pixel) - min(pixel) <= 2


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_modes_of_colour(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    halves(mode=mode).save(path)
    assert seen(picture_of(path, FACE)).mode == "RGB"


def test_sixteen_bits_and_transparency(tmp_path):
    Image.fromarray(np.full((40, 40), 65535, dtype=np.uint16)).save(tmp_path / "a.png")
    assert near(seen(picture_of(tmp_path / "a.png", FACE)).getpixel((5, 5)), (255, 255, 255))
    Image.fromarray(np.full((40, 40), 32768, dtype=np.uint16)).save(tmp_path / "c.png")
    assert near(seen(picture_of(tmp_path / "c.png", FACE)).getpixel((5, 5)), (128, 128, 128))
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert near(seen(picture_of(tmp_path / "b.png", FACE)).getpixel((5, 5)), (255, 255, 255))


def test_no_file_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for path in tmp_path.iterdir():
        with pytest.raises(PictureError, match="is a folder, a pipe or a device") as caught:
            picture_of(path, FACE)
        assert caught.value.reason == "unsupported"


@pytest.mark.parametrize(
    ("mode", "size", "reason", "message"),
    [
        ("1", (9_500, 9_500), "huge", "has 9,500 x 9,500 pixels; at most 52,000,000 in all are read"),
        ("LA", (5_100, 5_100), "huge", "at most 26,000,000 in all of the kind LA are read"),
        ("1", (40_000_000, 1), "tiny", "has 40,000,000 x 1 pixels; a side has 16 at least"),
    ],
    ids=["huge", "converted", "thin"],
)
def test_the_sides_of_a_picture_are_bounded_before_it_is_decoded(tmp_path, mode, size, reason, message):
    head = four(size[0]) + four(size[1]) + bytes([1 if mode == "1" else 8, 0 if mode == "1" else 4, 0, 0, 0])
    pieces = [chunk(b"IHDR", head), chunk(b"IDAT", b"never unpacked"), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(pieces))
    with pytest.raises(PictureError, match=message) as caught:
        picture_of(tmp_path / "a.png", FACE)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_picture_in_a_million_pieces_is_huge(tmp_path, name):
    halves().save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    piece, place = (chunk(b"teST", b""), 33) if name == "a.png" else (b"\xff\xe5\0\2", 2)
    (tmp_path / name).write_bytes(data[:place] + piece * 1_000_000 + data[place:])
    with pytest.raises(PictureError, match="is in more pieces than can be read") as caught:
        picture_of(tmp_path / name, FACE)
    assert caught.value.reason == "huge"


def test_large_pictures_are_not_there_several_times(tmp_path):
    """Neither one by itself, by strips or as a whole, nor those of several threads."""
    Image.new("RGBA", (5_000, 5_000), (9, 9, 9, 99)).save(tmp_path / "a.png", compress_level=1)
    Image.new("RGB", (7_000, 7_000), (9, 9, 9)).save(tmp_path / "a.tif", compression="tiff_lzw")
    Image.new("L", (7_000, 7_000)).save(tmp_path / "a.jpg")
    code = "from concurrent.futures import ThreadPoolExecutor as Pool; from engine import View; "
    code += "from seke.datasets.images import picture_of; "
    code += "face = View(name='face', options={'size': 1024, 'margin': 0.3}); picture_of(path, face)"
    # 100 MB as it is decoded, as much in RGB; 25 MB more are there by strips.
    cases = [(code, tmp_path / "a.png"), (code, tmp_path / "a.tif")]
    code = code.replace("'margin': 0.3", "'grey': True").partition("; picture_of(path")[0]
    code += "; list(Pool(5).map(lambda _: picture_of(path, face), range(5)))"
    assert reports_of([*cases, (code, tmp_path / "a.jpg")]) == [""] * 3


def bad(name, folder):
    path = folder / name
    match name:
        case "empty.png":
            path.write_bytes(b"")
        case "unreadable.jpg":
            halves().save(path)
            path.write_bytes(path.read_bytes()[:300])
        case "unsupported.png":
            path.write_bytes(b"GIF89a not a picture")
        case "animated.webp":
            halves().save(path, save_all=True, append_images=[Image.new("RGB", (100, 60))])
        case "tiny.png":
            Image.new("RGB", (8, 200)).save(path)
        case "huge.png":
            # A bomb: its head promises more pixels than anybody can hold.
            head = four(60_000) + four(60_000) + bytes([8, 2, 0, 0, 0])
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b""))
    return path


def four(value):
    return value.to_bytes(4, "big")


def chunk(kind, data):
    return four(len(data)) + kind + data + four(zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "name",
    [
        "empty.png",
        "unreadable.jpg",
        "unsupported.png",
        "animated.webp",
        "tiny.png",
        "huge.png",
        "missing.png",
    ],
)
def test_files_that_cannot_be_shown_say_why(tmp_path, name):
    path = bad(name, tmp_path)
    with pytest.raises(PictureError) as error:
        picture_of(path, FACE)
    assert error.value.reason == path.stem
    assert str(error.value).startswith(f"{path}: ")


def test_views_are_those_of_the_base(base):
    assert view_of(base, "grey").options["grey"]
    with pytest.raises(SekeError, match="no view is called 'gray'; did you mean grey"):
        view_of(base, "gray")


def upright(path):
    """The picture that is sent of a file, as pixels."""
    return Image.open(io.BytesIO(picture_of(path, FACE).data)).convert("RGB")


SAVED = {
    "a.jfif": ("JPEG", "RGB"),
    "a.png": ("PNG", "RGB"),
    "a.tif": ("TIFF", "RGB"),
    "grey.tiff": ("TIFF", "L"),
    "deep.tif": ("TIFF", "I;16"),
    "print.tif": ("TIFF", "CMYK"),
    "a.bmp": ("BMP", "RGB"),
    "a.gif": ("GIF", "P"),
    "a.avif": ("AVIF", "RGB"),
}


@pytest.mark.parametrize("name", SAVED)
def test_pictures_of_other_kinds_are_shown_as_they_are(tmp_path, name):
    kind, mode = SAVED[name]
    image = halves()
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(tmp_path / name, kind)
    halves().convert("L" if mode in ("L", "I;16") else "RGB").save(tmp_path / "plain.png")
    difference = np.asarray(upright(tmp_path / name), int) - np.asarray(upright(tmp_path / "plain.png"), int)
    assert np.abs(difference).mean() < 6
    assert [item.name for item in items_of([tmp_path / name], seke.knowledge())] == [Path(name).stem]


def test_of_a_file_with_further_pictures_for_depth_the_first_is_shown(tmp_path):
    halves().save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (100, 60), "red")]
    )
    halves().save(tmp_path / "b.jpg", quality=75)
    with Image.open(tmp_path / "a.jpg") as several:
        assert several.n_frames == 2
    assert upright(tmp_path / "a.jpg").tobytes() == upright(tmp_path / "b.jpg").tobytes()


def test_what_has_several_pages_or_no_white_says_why(tmp_path):
    halves().save(tmp_path / "pages.tif", save_all=True, append_images=[halves()])
    Image.new("F", (100, 60), 0.5).save(tmp_path / "floats.tif")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99)
    for name, reason, words in (
        ("pages.tif", "animated", "has several pages; give one picture"),
        ("floats.tif", "unsupported", "has pixels of the kind F; save it as PNG"),
        ("phone.heic", "unsupported", "HEIC is read once pillow-heif is installed"),
    ):
        with pytest.raises(PictureError, match=words) as caught:
            picture_of(tmp_path / name, FACE)
        assert caught.value.reason == reason


# Items ---------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in ("face10.png", "face2.jpg", "face1.webp", "sub/a.png", "notes.txt"):
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        halves().save(path) if path.suffix != ".txt" else path.write_text("no picture")
    return tmp_path / "faces"


def test_a_folder_is_read_in_natural_order(folder, base):
    assert [item.name for item in items_of([folder], base)] == ["face1", "face2", "face10", "sub/a"]
    assert [item.name for item in items_of([str(folder / "*.png")], base)] == ["face10"]
    assert [item.name for item in items_of([folder / "face2.jpg"], base)] == ["face2"]


def test_what_systems_leave_in_folders_is_no_picture(folder, base):
    for name in ("._face2.jpg", "__MACOSX/x.jpg", ".thumbs/x.png", "sub/@eaDir/x.jpg", ".DS_Store"):
        (folder / name).parent.mkdir(exist_ok=True)
        halves().save(folder / name, "JPEG")
    names = ["face1", "face2", "face10", "sub/a"]
    assert [item.name for item in items_of([folder], base)] == names
    assert [item.name for item in items_of([str(folder / "**" / "*.jpg")], base)] == ["face2"]


def test_a_link_that_leads_out_is_left_out(folder, base, tmp_path):
    halves().save(tmp_path / "private.png")
    (folder / "private.png").symlink_to(tmp_path / "private.png")
    assert "private" not in [item.name for item in items_of([folder], base)]


def test_two_files_cannot_be_one_item(folder, base):
    halves().save(folder / "face2.png")
    with pytest.raises(SekeError, match="would be item 'face2'"):
        items_of([folder], base)
    manifest = folder / "m.csv"
    manifest.write_text("path,item\nface1.webp,x\nsub/a.png,y\nface2.jpg,x\nface10.png,x\n")
    with pytest.raises(SekeError) as caught:
        items_of([manifest], base)
    cure = f"item 'x' is that of {manifest}:2, too; give each its own name"
    assert str(caught.value).splitlines() == [f"{manifest}:{line}: {cure}" for line in (4, 5)]
    # Without such a column it is the way out.
    manifest.write_text("path\nface2.jpg\nface2.png\n")
    with pytest.raises(SekeError, match=r":3: item 'face2' is that of .*:2, .* name in a column `item`$"):
        items_of([manifest], base)


ONE_SAMPLE = ["--model", "gpt-4o", "--max-samples", "1", "-k", str(SMALL_FACES)]
SCRIPTED = ("--run", "run", "--scripted", *ONE_SAMPLE)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("faces/face3.jpg", "faces/face2.jpg"),
        ("facs/sub/a.pgn", "faces/sub/a.png"),
        ("face10.png", "faces/face10.png"),
        ("zzz", ""),
    ],
)
def test_pictures_that_are_all_elsewhere_stop_a_run_before_it_begins(folder, monkeypatch, path, meant):
    monkeypatch.chdir(folder.parent)
    Path("m.csv").write_text(f"path\n{path}\n")
    done = CliRunner().invoke(main, ["annotate", "m.csv", *SCRIPTED])
    assert done.exit_code == 2
    hint = f"; did you mean {meant}?" if meant else ""
    assert done.stderr == f"{path}: no such file{hint}\n"
    assert not Path("run").exists()


def test_a_picture_that_is_missing_among_others_is_one_that_cannot_be_read(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    Path("m.csv").write_text("path\nfaces/none.jpg\nfaces/face2.jpg\n")
    done = CliRunner().invoke(main, ["annotate", "m.csv", *SCRIPTED])
    assert done.exit_code == 0
    assert "rejected 1: picture-missing" in done.stdout


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_manifest_says_what_is_known(folder, base, kind):
    rows = [
        {"path": "face1.webp", "item": "one", "group": "s1", "left": 5, "top": 6, "width": 50, "height": 40,
         "expression": "fear", "AU1": 1, "valence": -0.5},
        {"path": "sub/a.png"},
    ]  # fmt: skip
    path = folder / f"m.{kind}"
    if kind == "csv":
        names = list(rows[0])
        cells = [",".join(str(row.get(name, "")) for name in names) for row in rows]
        path.write_text("\n".join([",".join(names), *cells]) + "\n")
    elif kind == "jsonl":
        import json

        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second = items_of([path], base)
    assert (first.name, first.group, first.box) == ("one", "s1", Box(5, 6, 50, 40))
    assert first.labels == {"expression": "fear", "AU1": True, "valence": -0.5}
    assert (second.name, second.labels, second.box) == ("sub/a", {}, None)
    (record,) = seke.infer([label_sample(first, base, "dataset-label")], base)
    assert record["expression"]["fear"] > 0.9


def test_all_faults_of_a_manifest_come_at_once(folder, base):
    (folder / "m.csv").write_text(
        "path,expression,left\n../x.jpg,fear,\nface1.webp,joyce,\nface2.jpg,,3\n/etc/passwd,,\n,fear,\n"
    )
    with pytest.raises(AnswerError) as error:
        items_of([folder / "m.csv"], base)
    message = str(error.value)
    assert "m.csv:2: path: '../x.jpg' leads out of the manifest's folder" in message
    assert "m.csv:3: expression: no such state: 'joyce'" in message
    assert "m.csv:4: a box needs all of left, top, width, height" in message
    assert "m.csv:5: path: '/etc/passwd' leads out" in message
    assert "m.csv:6: path: is missing" in message


def test_rows_without_a_path_are_told_once_where_none_has_one(folder, base):
    (folder / "m.csv").write_text("path,expresion\n,fear\n,\nface1.webp,\n,fear\n")
    with pytest.raises(AnswerError) as error:
        items_of([folder / "m.csv"], base)
    lines = str(error.value).split("\n")
    assert "m.csv:2: no column is called 'expresion'" in lines[0]
    assert [line.rpartition("/")[2] for line in lines[1:]] == [
        f"m.csv:{number}: path: is missing" for number in (2, 5)
    ]
    (folder / "n.csv").write_text("path,expression\n,joyce\n,\n,fear\n")
    with pytest.raises(AnswerError, match=r"n\.csv: has no column `path`$"):
        items_of([folder / "n.csv"], base)


def test_links_and_dots_do_not_lead_out_of_the_manifests_folder(folder, base, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.jpg").touch()
    (folder / "in").symlink_to("sub")
    (folder / "out").symlink_to(outside)
    (folder / "link.jpg").symlink_to(outside / "x.jpg")
    good = ["in/a.png", "sub/../face2.jpg", "sub/./a.png", "nowhere/a.jpg"]
    bad = ["out/x.jpg", "link.jpg", "sub/../../x.jpg", "..", "out/../x.jpg"]
    (folder / "m.jsonl").write_text("".join(json.dumps({"path": path}) + "\n" for path in good))
    assert [item.path for item in items_of([folder / "m.jsonl"], base)] == [folder / path for path in good]
    (folder / "m.jsonl").write_text("".join(json.dumps({"path": path}) + "\n" for path in [*good, *bad]))
    with pytest.raises(AnswerError) as error:
        items_of([folder / "m.jsonl"], base)
    found = [line.rpartition(".jsonl:")[2] for line in str(error.value).split("\n")]
    assert found == [
        f"{number}: path: {path!r} leads out of the manifest's folder" for number, path in enumerate(bad, 5)
    ]


@pytest.mark.parametrize("line", [
    '{"path": "a\\u0000.jpg"}', '{"path": "a.jpg", "item": "\\u0000"}', '{"path": "\\ud800.jpg"}',
    '{"path": "a.jpg", "item": "\\ud800"}', json.dumps({"path": "a" * 5_000}),
])  # fmt: skip
def test_names_that_no_file_can_have_are_faults_with_their_places(folder, base, line):
    (folder / "m.jsonl").write_text(f'{{"path": "face2.jpg"}}\n{line}\n')
    with pytest.raises(AnswerError, match=r"m\.jsonl:2: (path|item): "):
        items_of([folder / "m.jsonl"], base)


def test_unknown_columns_have_a_hint(folder, base):
    (folder / "m.csv").write_text("path,expresion\nface1.webp,fear\n")
    with pytest.raises(SekeError, match="'expresion'; did you mean expression"):
        items_of([folder / "m.csv"], base)


def test_labels_of_a_table_are_joined_by_name(folder, base):
    table = labels_from([{"item": "face2", "expression": "anger"}], base)
    labels = {item.name: item.labels for item in items_of([folder], base, table)}
    assert labels == {"face1": {}, "face2": {"expression": "anger"}, "face10": {}, "sub/a": {}}


def test_nothing_there_is_said(tmp_path, base):
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.png")
    for name, message in (
        (".", "no pictures"),
        ("x.png", "no such file"),
        ("m.csv", "no such file"),
        ("pipe.csv", r"pipe\.csv: is a pipe or a device; allowed is a file or a folder"),
        ("pipe.png", r"pipe\.png: is a pipe or a device; allowed is a file or a folder"),
    ):
        with pytest.raises(SekeError, match=message):
            items_of([tmp_path / name], base)


def test_observers_on_this_machine_see_the_pixels_themselves(tmp_path):
    path = tmp_path / "a.png"
    halves((100, 60)).save(path)
    shown = part_shown(path, FACE)
    assert shown.pixels.shape == (60, 100, 3)
    assert (shown.x, shown.y, shown.scale, shown.near) == (0, 0, 1, None)
    np.testing.assert_array_equal(shown.pixels[:, :50], np.full((60, 50, 3), RED))
    # The face's box with half of its sides around it; where it is said to be in what is cut.
    cut = part_shown(path, FACE, Box(40, 20, 20, 20))
    assert cut.pixels.shape == (40, 40, 3)
    assert (cut.x, cut.y) == (30, 10)
    assert cut.near == Box(10, 10, 20, 20)
    assert cut.in_picture(cut.near) == [40, 20, 20, 20]


def test_a_large_photograph_is_made_smaller_and_places_stay_in_its_pixels(tmp_path):
    path = tmp_path / "a.jpg"
    halves((4096, 1000)).save(path)
    shown = part_shown(path, FACE)
    assert shown.pixels.shape == (500, 2048, 3)
    assert shown.scale == 2
    assert shown.in_picture(Box(100, 10, 20, 30)) == [200, 20, 40, 60]


def test_what_cannot_be_shown_to_a_model_cannot_be_shown_to_an_observer(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(PictureError) as caught:
        part_shown(path, FACE)
    assert caught.value.reason == "empty"
