"""seke import: a small folder in each layout, what becomes of it, and what is wrong with bad ones."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from thorough import examples

import seke
from engine import AnswerError, SekeError
from seke.cli.main import main
from seke.datasets.import_set import import_set
from seke.datasets.manifest import items_of
from seke.datasets.registry import source_sets
from seke.tables.label_table import read_labels

BASE = seke.knowledge()
UNITS = BASE.levels["action_units"]
SEVEN = Path(__file__).parents[3] / "examples" / "overlay" / "seven-classes.yaml"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20)).save(path)


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def rows(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return {row["item"]: row for row in csv.DictReader(file)}


def known(row):
    return {name: value for name, value in row.items() if value and name in BASE.variables}


def ckplus(folder):
    for name in ("S005/001/S005_001_00000001", "S005/001/S005_001_00000011", "S010/002/S010_002_00000014"):
        picture(folder / "cohn-kanade-images" / f"{name}.png")
    facs = folder / "FACS"
    text(
        facs / "S005/001/S005_001_00000011_facs.txt",
        "   9.0000000e+00   4.0000000e+00",
        "   1.7000000e+01   0.0",
    )
    text(facs / "S010/002/S010_002_00000014_facs.txt", " 2.7000000e+01   3.0000000e+00", " 25 5")
    text(facs / "S999/001/S999_001_00000018_facs.txt", "12 1")
    text(folder / "Emotion/S005/001/S005_001_00000011_emotion.txt", "   3.0000000e+00")


def rafdb(folder):
    text(
        folder / "EmoLabel/list_patition_label.txt",
        *(f"train_0000{k}.jpg {k}" for k in range(1, 8)),
        "test_0001.jpg 1",
    )
    for k in range(1, 7):
        picture(folder / f"Image/aligned/train_0000{k}_aligned.jpg")
    picture(folder / "Image/aligned/test_0001_aligned.jpg")


HEAD = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def affectnet(folder):
    lists = folder / "Manually_Annotated_file_lists"
    text(
        lists / "training.csv",
        HEAD,
        "1/a.jpg,1,2,17,18,3.0;4.0,1,0.7,0.1",
        "1/b.jpg,NULL,NULL,NULL,NULL,,7,-0.5,0.5",
        "1/c.jpg,0,0,20,20,,9,-2,-2",
        "1/d.jpg,0,0,20,20,,8,-2,-2",
        "1/e.jpg,0,0,20,20,,0,-2,-2",
        "1/gone.jpg,0,0,20,20,,0,0,0",
        "1/f.psd,0,0,20,20,,0,0,0",
    )
    text(lists / "validation.csv", "2/g.jpg,0,0,20,20,,2,-0.6,-0.3")
    text(lists / "automatically_annotated.csv", HEAD, "1/a.jpg,1,2,10,12,,0,0,0")
    for name in ("1/a", "1/b", "1/c", "1/d", "1/e", "2/g"):
        picture(folder / f"Manually_Annotated_Images/{name}.jpg")
    text(folder / "Manually_Annotated_Images/1/f.psd", "")


def affectnet_files(folder):
    for part, stem, labels in (
        ("train_set", "0", ("1", "0.5", "-0.25")),
        ("train_set", "12", ("7", "-2.0", "-2.0")),
        ("val_set", "0", (np.int64(0), np.float64(0.0), np.float64(0.1))),
    ):
        picture(folder / part / f"images/{stem}.jpg")
        (folder / part / "annotations").mkdir(exist_ok=True)
        for kind, value in zip(("exp", "val", "aro"), labels, strict=True):
            np.save(folder / part / f"annotations/{stem}_{kind}.npy", np.array(value))
        np.save(folder / part / f"annotations/{stem}_lnd.npy", np.zeros(136))


def disfa(folder, first=1):
    for unit, levels in ((1, (0, 1, 2, 3)), (26, (5, 0, 0, 0))):
        path = folder / f"ActionUnit_Labels/SN001/SN001_au{unit}.txt"
        text(path, *(f"{frame},{level}" for frame, level in enumerate(levels, 1)))
    for frame in range(3):
        picture(folder / f"frames/SN001/{frame + first}.jpg")


def bp4d(folder):
    coding = folder / "AUCoding/AU_OCC"
    text(
        coding / "F001_T1.csv",
        "0,1,2,27,26,99",
        "21,1,0,9,1,0",
        "22,9,9,9,9,9",
        "23,0,1,1,0,0",
        "24,0,1,0,0,0",
    )
    text(coding / "M002_T8.csv", "0,1,2,27,26,99", "1,0,0,0,0,0")
    for name in ("F001/T1/0021", "F001/T1/0022", "F001/T1/0023", "M002/T8/001"):
        picture(folder / f"2D+3D/{name}.jpg")


def affwild2(folder):
    notes = folder / "annotations"
    head = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
    text(notes / "EXPR_Set/Train_Set/v1_left.txt", head, "4", "-1", "7", "1")
    text(
        notes / "VA_Set/Validation_Set/v1_left.txt", "valence,arousal", "0.5,0.25", "-5,-5", "-5,-5", "-0.5,1"
    )
    units = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    text(notes / "AU_Set/Train_Set/v2.txt", units, "1,0,0,0,0,0,1,0,0,0,-1,0", ",".join(["-1"] * 12))
    for frame in (1, 2, 3):
        picture(folder / f"cropped_aligned/v1_left/0000{frame}.jpg")
    picture(folder / "cropped_aligned/v2/00001.jpg")


LAYOUTS = {
    "ckplus": ckplus,
    "rafdb": rafdb,
    "affectnet": affectnet,
    "disfa": disfa,
    "bp4d": bp4d,
    "affwild2": affwild2,
}


@pytest.fixture
def read(tmp_path):
    """Make a folder, import it, and return the rows of the manifest and what was said."""

    def made(name, make=None, **options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (make or LAYOUTS[name])(folder)
        summary = import_set(name, folder, folder / "manifest.csv", **options)
        return rows(folder / "manifest.csv"), summary

    return made


def test_ckplus_has_the_peak_frame_with_all_units(read):
    by_item, summary = read("ckplus")
    peak = by_item["ckplus/cohn-kanade-images/S005/001/S005_001_00000011"]
    assert known(peak) == {"expression": "disgust"} | {
        unit: str(int(unit in ("AU9", "AU17"))) for unit in UNITS
    }
    assert (peak["group"], peak["source"]) == ("ckplus/S005", "ckplus")
    # AU27 stands where AU26 would, and so says nothing of it.
    other = known(by_item["ckplus/cohn-kanade-images/S010/002/S010_002_00000014"])
    assert other == {unit: str(int(unit == "AU25")) for unit in UNITS if unit != "AU26"}
    assert summary.left_out == {"labels without a picture": 1}
    assert (summary.items, summary.groups, summary.active["AU25"]) == (2, 2, 1)


def test_ckplus_offers_the_first_frame_as_neutral(read):
    by_item, summary = read("ckplus", neutral=True)
    assert known(by_item["ckplus/cohn-kanade-images/S005/001/S005_001_00000001"]) == {"expression": "neutral"}
    assert summary.items == 3


def test_rafdb_has_its_seven_classes(read):
    by_item, summary = read("rafdb")
    states = [by_item[f"rafdb/Image/aligned/train_0000{k}_aligned"]["expression"] for k in range(1, 7)]
    assert states == ["surprise", "fear", "disgust", "happiness", "sadness", "anger"]
    assert {row["group"] for row in by_item.values()} == {""}
    assert summary.left_out == {"labels without a picture": 1}
    only, _ = read("rafdb", only="*/test_*")
    assert list(only) == ["rafdb/Image/aligned/test_0001_aligned"]


def test_affectnet_lists_have_boxes_and_leave_out_what_is_no_expression(read):
    by_item, summary = read("affectnet")
    images = "affectnet/Manually_Annotated_Images"
    assert list(by_item) == [f"{images}/{name}" for name in ("1/a", "1/b", "1/e", "2/g")]
    happy = by_item[f"{images}/1/a"]
    assert known(happy) == {"expression": "happiness", "valence": "0.7", "arousal": "0.1"}
    assert [float(happy[side]) for side in ("left", "top", "width", "height")] == [1, 2, 17, 18]
    assert not by_item[f"{images}/1/b"]["left"]
    assert known(by_item[f"{images}/1/e"]) == {"expression": "neutral"}
    assert summary.left_out == {
        "of class 'uncertain'": 1,
        "of class 'none'": 1,
        "labels without a picture": 1,
        "pictures of kind .psd, which cannot be shown": 1,
    }
    only, _ = read("affectnet", only="*validation.csv")
    assert [known(row)["expression"] for row in only.values()] == ["sadness"]


def test_affectnet_files_are_read_with_text_or_numbers_in_them(read):
    by_item, _ = read("affectnet", affectnet_files)
    assert {item: known(row) for item, row in by_item.items()} == {
        "affectnet/train_set/images/0": {"expression": "happiness", "valence": "0.5", "arousal": "-0.25"},
        "affectnet/train_set/images/12": {"expression": "contempt"},
        "affectnet/val_set/images/0": {"expression": "neutral", "valence": "0.0", "arousal": "0.1"},
    }


def test_a_class_that_the_base_lacks_leaves_the_other_levels(read):
    by_item, summary = read("affectnet", knowledge=SEVEN)
    contempt = by_item["affectnet/Manually_Annotated_Images/1/b"]
    assert (contempt["expression"], contempt["valence"]) == ("", "-0.5")
    assert summary.left_out["labels 'contempt', which the base lacks"] == 1


@pytest.mark.parametrize(("threshold", "active"), [(1, "011"), (2, "001"), (3, "000")])
def test_disfa_units_count_from_a_threshold_on(read, threshold, active):
    by_item, summary = read("disfa", threshold=threshold)
    assert list(by_item) == [f"disfa/frames/SN001/{k}" for k in (1, 2, 3)]
    assert "".join(row["AU1"] for row in by_item.values()) == active
    assert [row["AU26"] for row in by_item.values()] == ["1", "0", "0"]
    assert summary.left_out == {"labels without a picture": 1}
    assert set(summary.labelled) == {"AU1", "AU26"}


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (2, 0), (3, 1)])
def test_a_threshold_that_prompts_do_not_tell_is_noted(read, threshold, count):
    _, summary = read("disfa", threshold=threshold)
    notes = [note for note in summary.notes if "prompts say from 2 (briefing.intensity)" in note]
    assert len(notes) == count
    assert all(f"from intensity {threshold} (--threshold)" in note for note in notes)


def test_disfa_frames_that_count_from_0_are_shifted_and_that_is_told(read):
    by_item, summary = read("disfa", lambda folder: disfa(folder, first=0))
    assert [row["AU1"] for row in by_item.values()] == ["0", "0", "1"]
    assert "picture 0 is frame 1" in summary.notes[0]


def test_bp4d_has_9_as_unknown_and_finds_pictures_by_number(read):
    by_item, summary = read("bp4d")
    assert {item: known(row) for item, row in by_item.items()} == {
        "bp4d/2D+3D/F001/T1/0021": {"AU1": "1", "AU2": "0", "AU26": "1"},
        "bp4d/2D+3D/F001/T1/0023": {"AU1": "0", "AU2": "1"},
        "bp4d/2D+3D/M002/T8/001": {"AU1": "0", "AU2": "0", "AU26": "0"},
    }
    assert {row["group"] for row in by_item.values()} == {"bp4d/F001", "bp4d/M002"}
    assert summary.left_out == {"frames of which nothing is known": 1, "labels without a picture": 1}


def test_affwild2_puts_levels_together_frame_by_frame(read):
    by_item, summary = read("affwild2")
    images = "affwild2/cropped_aligned"
    assert known(by_item[f"{images}/v1_left/00001"]) == {
        "expression": "happiness",
        "valence": "0.5",
        "arousal": "0.25",
    }
    assert known(by_item[f"{images}/v2/00001"])["AU12"] == "1"
    assert "AU25" not in known(by_item[f"{images}/v2/00001"])
    assert {row["group"] for row in by_item.values()} == {"affwild2/v1", "affwild2/v2"}
    assert len(by_item) == 2
    assert summary.left_out == {
        "labels 'other', which the base lacks": 1,
        "frames of which nothing is known": 3,
        "labels without a picture": 1,
    }


@settings(max_examples=examples(20), deadline=None)
@given(every=st.integers(1, 7), frames=st.integers(1, 20))
def test_a_stride_keeps_each_nth_frame(tmp_path_factory, every, frames):
    folder = tmp_path_factory.mktemp("stride")
    text(folder / "VA_Set/v.txt", "valence,arousal", *["0.1,0.2"] * frames)
    for frame in range(1, frames + 1):
        text(folder / f"cropped_aligned/v/{frame:05}.jpg")
    import_set("affwild2", folder, folder / "m.csv", every=every)
    assert [int(item[-5:]) for item in rows(folder / "m.csv")] == list(range(1, frames + 1, every))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_manifest_is_read_by_annotate_and_is_a_label_table(read, tmp_path, name):
    by_item, summary = read(name)
    manifest = tmp_path / name / "manifest.csv"
    items = items_of([manifest], BASE)
    assert [item.name for item in items] == list(by_item)
    assert {item.source for item in items} == {name}
    assert all(item.path.is_file() for item in items)
    table = read_labels(manifest, BASE, "group", "source")
    assert set(table.sources) == {name}
    assert sum(map(len, (item.labels for item in items))) == sum(summary.labelled.values())
    if name == "rafdb":
        options = ["--run", str(tmp_path / "run"), "--scripted", "--dry-run", "--json"]
        options += ["--strategy", "fixed:1"]
        forecast = CliRunner().invoke(main, ["annotate", str(manifest), *options])
        assert forecast.exit_code == 0, forecast.output
        assert json.loads(forecast.stdout.splitlines()[-1])["items"] == len(by_item)


@pytest.mark.parametrize("ending", [".csv.gz", ".jsonl"])
def test_other_formats_hold_the_same(read, tmp_path, ending):
    by_item, _ = read("affectnet")
    folder = tmp_path / "affectnet"
    import_set("affectnet", folder, folder / f"m{ending}")
    assert items_of([folder / f"m{ending}"], BASE) == items_of([folder / "manifest.csv"], BASE)
    assert len(by_item) == 4


BAD = {
    "ckplus": (
        "FACS/S005/001/S005_001_00000011_facs.txt",
        "1 2\nx 1",
        ":2: met 'x'; allowed is a whole number",
    ),
    "rafdb": (
        "EmoLabel/list_patition_label.txt",
        "../a.jpg 1\na.jpg 9",
        ":2: no class is 9; they are 1 surprise, 2",
    ),
    "affectnet": (
        "Manually_Annotated_file_lists/training.csv",
        f"{HEAD}\n../../x.jpg,0,0,1,1,,0,0,0\n1/a.jpg,0,0,1,1,,0,3,0",
        ":3: valence: met '3'; allowed is a number from -1 to 1, or -2 where nothing is known",
    ),
    "disfa": ("ActionUnit_Labels/SN001/SN001_au1.txt", "1,0\n2,6", ":2: met intensity 6; allowed is 0 to 5"),
    "bp4d": (
        "AUCoding/AU_OCC/F001_T1.csv",
        "0,1\n1,2\n2,0,1",
        ":2: AU1: met '2'; allowed are 0, 1 and 9 (unknown)",
    ),
    "affwild2": (
        "annotations/VA_Set/v1_left.txt",
        "valence,arousal\n0,0\n\n7,0",
        ":4: met '7'; allowed is a number",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_told_with_their_places_and_nothing_is_written(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    LAYOUTS[name](folder)
    if name == "affwild2":
        (folder / "annotations/VA_Set/Validation_Set/v1_left.txt").unlink()
    path, content, wanted = BAD[name]
    text(folder / path, content)
    with pytest.raises(AnswerError) as error:
        import_set(name, folder, folder / "manifest.csv")
    assert f"{folder / path}{wanted}" in str(error.value)
    assert not [written for written in folder.iterdir() if written.is_file()]


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_folder_is_refused(tmp_path, name):
    with pytest.raises(SekeError, match=r"has (no|neither)"):
        import_set(name, tmp_path, tmp_path / "m.csv")
    with pytest.raises(SekeError, match="no such folder"):
        import_set(name, tmp_path / "x", tmp_path / "m.csv")


def test_a_manifest_stands_above_its_pictures(tmp_path):
    folder, aside = tmp_path / "set", tmp_path / "aside"
    rafdb(folder)
    aside.mkdir()
    with pytest.raises(SekeError, match="do not leave its own folder; write it to"):
        import_set("rafdb", folder, aside / "m.csv")
    import_set("rafdb", folder, tmp_path / "m.csv")
    assert all(row["path"].startswith("set/Image/") for row in rows(tmp_path / "m.csv").values())
    for pictures in ("../aside", "/tmp"):
        with pytest.raises(SekeError, match="names a folder below"):
            import_set("rafdb", folder, tmp_path / "m.csv", pictures=pictures)


def test_a_table_that_is_no_manifest_is_not_written_over(tmp_path):
    folder = tmp_path / "set"
    rafdb(folder)
    for name, head in (("labels.csv", "image,label"), ("labels.jsonl", "[1]"), ("empty.csv", "")):
        text(tmp_path / name, head, "a.jpg,1")
        before = (tmp_path / name).read_bytes()
        with pytest.raises(SekeError, match="exists already and is not a manifest; name another file"):
            import_set("rafdb", folder, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    first = import_set("rafdb", folder, tmp_path / "m.csv")
    assert import_set("rafdb", folder, tmp_path / "m.csv") == first


def test_a_header_that_is_missing_would_shift_all_frames_and_is_a_fault(tmp_path):
    affwild2(tmp_path)
    text(tmp_path / "annotations/VA_Set/Validation_Set/v1_left.txt", "0.5,0.25", "0,0")
    with pytest.raises(SekeError, match=r"v1_left\.txt:1: met '0\.5,0\.25'; allowed is a header"):
        import_set("affwild2", tmp_path, tmp_path / "m.csv")


def test_two_cameras_are_not_mixed(tmp_path):
    disfa(tmp_path)
    picture(tmp_path / "both/LeftVideoSN001_comp/1.jpg")
    picture(tmp_path / "both/RightVideoSN001_comp/1.jpg")
    with pytest.raises(SekeError, match="LeftVideoSN001_comp, RightVideoSN001_comp may all be of SN001"):
        import_set("disfa", tmp_path, tmp_path / "m.csv", pictures="both")


def test_a_pickle_is_not_loaded(read):
    def hostile(folder):
        affectnet_files(folder)
        np.save(
            folder / "train_set/annotations/0_exp.npy", np.array({"a": 1}, dtype=object), allow_pickle=True
        )

    with pytest.raises(AnswerError, match=r"0_exp\.npy: cannot be read"):
        read("affectnet", hostile)


def test_the_command_says_what_was_left_out(tmp_path):
    affectnet(tmp_path)
    result = CliRunner().invoke(
        main, ["import", "affectnet", str(tmp_path), "-o", str(tmp_path / "m.csv"), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert "left out: 1 of class 'uncertain', such as" in result.stderr
    assert "does not tell whose they are" in result.stderr
    assert json.loads(result.stdout)["items"] == 4
    bad = CliRunner().invoke(main, ["import", "bp4d", str(tmp_path), "-o", str(tmp_path / "m.csv")])
    assert (bad.exit_code, "has no folder AUCoding" in bad.stderr) == (2, True)


def test_what_the_sets_code_is_what_the_base_knows():
    sets = source_sets()
    assert set(sets) == set(LAYOUTS)
    scored = [set(members) for source_set in sets.values() for members in source_set.scores.values()]
    assert set().union(*scored) == set(UNITS)
    states = set(BASE.variables["expression"].states)
    for source_set in sets.values():
        assert set(source_set.expressions.values()) - states <= {"none", "uncertain", "no face", "other"}
        assert set(source_set.drop) <= set(source_set.expressions.values())


# Copies as they circulate ------------------------------------------------------------------------


def affwild2_list(folder):
    line = "1-30-1280x720/0000{}.jpg,{}"
    known_units = "0,0,0,1,0,0,1,0,0,0,1,0"
    text(
        folder / "training_set_annotations.txt",
        "image,valence,arousal,expression,aus",
        line.format(1, f"0.2,0.3,4,{known_units}"),
        line.format(2, ",".join(["-5", "-5", *["-1"] * 13])),
        line.format(3, f"0.2,-5,7,{known_units.replace('1', '-1')}"),
        line.format(9, f"0,0,0,{known_units}"),
    )
    text(folder / "._training_set_annotations.txt", "\0\0")
    for frame in (1, 2, 3):
        picture(folder / f"cropped_aligned/1-30-1280x720/0000{frame}.jpg")


def test_a_list_of_the_multi_task_challenge_has_all_levels_in_a_row(read):
    by_item, summary = read("affwild2", affwild2_list)
    first, second, third = (f"affwild2/cropped_aligned/1-30-1280x720/0000{k}" for k in (1, 2, 3))
    units = {f"AU{k}": str(int(k in (6, 12, 25))) for k in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)}
    assert known(by_item[first]) == units | {"valence": "0.2", "arousal": "0.3", "expression": "happiness"}
    assert known(by_item[second]) == {}
    assert known(by_item[third]) == {unit: "0" for unit, mark in units.items() if mark == "0"}
    assert {row["group"] for row in by_item.values()} == {"affwild2/1-30-1280x720"}
    assert summary.notes == ("nothing is known of 1 pictures of the lists, which are taken",)
    assert summary.left_out == {"labels 'other', which the base lacks": 1, "labels without a picture": 1}
    strided, _ = read("affwild2", affwild2_list, every=2)
    assert list(strided) == [first, third]


def rafdb_copy(folder):
    text(folder / "train_labels.csv", "image,label", "train_00001_aligned.jpg,5", "train_00002_aligned.jpg,9")
    picture(folder / "DATASET/train/5/train_00001_aligned.jpg")


def test_copies_of_rafdb_have_the_class_of_their_list_or_folder(tmp_path, read):
    folder = tmp_path / "rafdb"
    with pytest.raises(AnswerError, match=r"train_labels\.csv:3: no class is '9'; they are 1 surprise"):
        read("rafdb", rafdb_copy)
    text(folder / "train_labels.csv", "image,label", "train_00001_aligned.jpg,6", "gone.jpg,1")
    by_item, summary = read("rafdb", lambda _: None)
    item = "rafdb/DATASET/train/5/train_00001_aligned"
    assert known(by_item[item]) == {"expression": "anger"}
    assert summary.notes == ("the class of the list was taken, not of the folder: 1 of 1 differ",)
    assert summary.left_out == {"labels without a picture": 1}
    (folder / "train_labels.csv").unlink()
    picture(folder / "__MACOSX/DATASET/train/6/train_00009_aligned.jpg")
    picture(folder / "DATASET/train/6/._train_00001_aligned.jpg")
    by_item, _ = read("rafdb", lambda _: None)
    assert {item: known(row) for item, row in by_item.items()} == {item: {"expression": "sadness"}}


def test_copies_of_affectnet_name_pictures_within_folders(read):
    def copy(folder):
        rows = (",pth,label,relFCs", "0,anger/image1.jpg,surprise,0.87", "1,happy/image1.jpg,Happy,1")
        text(folder / "labels.csv", *rows)
        for name in ("anger", "happy"):
            picture(folder / name / "image1.jpg")

    by_item, summary = read("affectnet", copy)
    assert {item: row["expression"] for item, row in by_item.items()} == {
        "affectnet/anger/image1": "surprise",
        "affectnet/happy/image1": "happiness",
    }
    assert summary.notes == ("the class of the list was taken, not of the folder: 1 of 2 differ",)

    def without_folders(folder):
        copy(folder)
        text(folder / "labels.csv", "path,label", "image1.jpg,fear")

    with pytest.raises(
        AnswerError, match=r"'image1\.jpg' may be any of anger/image1\.jpg, happy/image1\.jpg"
    ):
        read("affectnet", without_folders)


def test_what_systems_leave_beside_files_is_nothing(read):
    def littered(folder):
        affectnet_files(folder)
        (folder / "train_set/annotations/._0_exp.npy").write_bytes(b"\0" * 10)
        picture(folder / "train_set/images/._0.jpg")

    assert len(read("affectnet", littered)[0]) == 3


def test_folders_of_me_graphau_are_found(read):
    def renamed(folder):
        disfa(folder, first=0)
        (folder / "frames").rename(folder / "img")

    by_item, _ = read("disfa", renamed)
    assert list(by_item) == [f"disfa/img/SN001/{k}" for k in range(3)]


PERSONS = ("S005", "S022", "S506")


def ckplus_copy(folder):
    for person, name in zip(PERSONS, ("anger", "happy", "contempt"), strict=True):
        for number in (10, 11, 12):
            picture(folder / f"CK+48/{name}/{person}_001_000000{number}.png")


def ckplus_labelled(folder):
    """Three persons with a class, one of them neutral by its code, and one with units alone."""
    for person, code in zip((*PERSONS, "S010", "S011"), (1, 5, 2, 0, None), strict=True):
        name = f"{person}/001/{person}_001_00000012"
        picture(folder / f"cohn-kanade-images/{name}.png")
        text(folder / f"FACS/{name}_facs.txt", " 12 3")
        if code is not None:
            text(folder / f"Emotion/{name}_emotion.txt", f"  {code}.0")


@pytest.mark.parametrize("make", [ckplus_copy, ckplus_labelled])
def test_the_protocol_of_feab_takes_last_frames_and_divides_persons(read, make):
    by_item, summary = read("ckplus", make, feab=True)
    states = {row["group"]: (row["expression"], row["split"], row["path"][-6:-4]) for row in by_item.values()}
    assert states == {
        "ckplus/S005": ("anger", "train", "12"),
        "ckplus/S022": ("happiness", "test", "12"),
        "ckplus/S506": ("contempt", "test", "12"),
    }
    assert summary.notes == ("3 sequences; FEAB has 327, 293 and 34",)
    test_part, _ = read("ckplus", make, feab=True, only="test")
    assert {row["group"] for row in test_part.values()} == {"ckplus/S022", "ckplus/S506"}
    with pytest.raises(SekeError, match="--feab takes no neutral pictures"):
        read("ckplus", make, feab=True, neutral=True)


def test_copies_of_ckplus_have_all_frames_and_their_persons(read):
    by_item, _ = read("ckplus", ckplus_copy)
    assert len(by_item) == 9
    assert {row["group"] for row in by_item.values()} == {f"ckplus/{person}" for person in PERSONS}


def test_a_column_of_a_split_is_passed_over_by_whoever_reads_a_manifest(read, tmp_path):
    read("ckplus", ckplus_copy, feab=True)
    manifest = tmp_path / "ckplus/manifest.csv"
    assert len(items_of([manifest], BASE)) == 3
    assert len(read_labels(manifest, BASE).items) == 3
