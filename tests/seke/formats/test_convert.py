"""Tables of other tools become samples: each trap of each tool, on a file that the test writes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

import seke
from engine import AnswerError, KnowledgeError, SekeError
from seke.cli.main import main
from seke.formats.convert import recognise
from seke.formats.declaration import format_named, format_names

# Headers as the tools write them, with as many columns as the tests need.
OPENFACE = (
    "frame, face_id, timestamp, confidence, success, gaze_0_x, AU01_r, AU06_r, AU25_r, "
    "AU01_c, AU06_c, AU45_c\n"
    "1, 0, 0.000, 0.98, 1, 0.1, 0.00, 3.00, 1.50, 0.00, 1.00, 1.00\n"
    "2, 0, 0.033, 0.10, 0, 0, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00\n"
    "3, 0, 0.067, 0.98, 1, 0.1, 4.00, 0.00, 0.00, 0.00, 0.00, 0.00\n"
)
PYFEAT = (
    ",FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,FaceScore,AU01,AU12,AU43,"
    "anger,disgust,fear,happiness,sadness,surprise,neutral,input,frame\n"
    "0,9,9,50,60,0.99,0.2,0.9,0.1,0.01,0,0,0.95,0,0,0.04,set/f1.jpg,0\n"
    "1,9,9,80,60,0.99,0.1,0.1,0.1,0.5,0,0,0.25,0,0,0.25,set/f2.jpg,0\n"
    "2,9,9,20,20,0.99,0.7,0.7,0.1,0,0,0,1,0,0,0,set/f2.jpg,0\n"
    "3,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,NaN,set/f3.jpg,0\n"
)
PYFEAT_2 = (
    "FaceRectX,FaceScore,AU01,AU20,Neutral,Happy,Sad,Surprise,Fear,Disgust,Anger,"
    "valence,arousal,input,frame\n9,0.9,0.25,0.5,0.5,0.25,0.25,0,0,0,0,-0.4,0.2,clip.mp4,7\n"
)
LIBREFACE = """frame_idx,frame_time_in_ms,pitch,facial_expression,au_1,au_6,au_1_intensity,au_5_intensity
0,0.0,1.5,Happiness,1,1,1.5,0
1,0.04,1.5,Neutral,0,0,5,5
"""
FACEREADER = (
    "Video analysis detailed log\n\nFace Model\tGeneral\nStart time\t6/4/2026 13:31:06.331\n"
    "Filename\tC:\\clips\\a.mp4\n"
    "Frame rate\t30.000000000\n\n"
    "Video Time\tNeutral\tHappy\tSad\tAngry\tSurprised\tScared\tDisgusted\tContempt\tValence\tArousal\t"
    "Action Unit 01 - Inner Brow Raiser\tAction Unit 12 - Lip Corner Puller\t"
    "Action Unit 12 - Lip Corner Puller - Left\n"
    "00:00:00.000\t0,5\t0,3\t0\t0\t0\t0\t0,2\t0\t-0,1\t0,75\tNotActive\tD\tE\n"
    "00:00:00.033\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\t"
    "FIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\tFIT_FAILED\n"
    "00:00:00.066\tFIND_FAILED\tFIND_FAILED\tFIND_FAILED\tFIND_FAILED\tFIND_FAILED\tFIND_FAILED\tFIND_FAILED\t"
    "FIND_FAILED\tFIND_FAILED\tFIND_FAILED\tUnknown\tUnknown\tUnknown\n"
)
BLENDSHAPES = (
    "image,_neutral,browInnerUp,browDownLeft,eyeWideLeft,eyeWideRight,jawOpen,mouthSmileLeft,mouthSmileRight,noseSneerLeft\n"
    "a.png,0,0.4,0.9,0.1,0.2,0.9,0.1,0.8,0\n"
)
LIVE_LINK = (
    "Timecode,BlendShapeCount,EyeBlinkRight,BrowInnerUp,NoseSneerLeft,NoseSneerRight,JawOpen\n"
    "12:01:02:03.4,61,0.1,0.35,0.9,0.1,0\n"
)
DEEPFACE = (
    "img_path,face_confidence,dominant_emotion,emotion.angry,emotion.disgust,emotion.fear,emotion.happy,emotion.sad,"
    "emotion.surprise,emotion.neutral\na.jpg,0.91,happy,5,0,0,75,0,0,20\nb.jpg,0,neutral,1,0,0,1,0,0,98\n"
)
CLASSES = (
    "image,Anger,Contempt,Disgust,Fear,Happiness,Neutral,Sadness,Surprise\na.jpg,0,0,0,0,0.75,0.25,0,0\n"
)
LOGITS = "image,Anger,Fear,Happiness,Neutral,Sadness\na.jpg,-1.5,0,2,1,-3\n"
AFFDEX = (
    "#METADATA,made by hand\nStimulusName,FrameIndex,Number of faces,"
    "Anger,Sadness,Disgust,Joy,Surprise,Fear,Contempt,Engagement,"
    "Valence\nclip.avi,1,1,0,0,0,60,0,0,0,5,50\nclip.avi,2,0,,,,,,,,,\n"
)
FACET = (
    "StimulusName,FrameNo,Joy Evidence,Anger Evidence,Surprise Evidence,Fear Evidence,"
    "Contempt Evidence,Disgust Evidence,"
    "Sadness Evidence,Neutral Evidence,Positive Evidence,AU12 Evidence\na.jpg,1,1,-1,-9,-9,-9,-9,-9,0,1,2\n"
)
OPENFACE_3 = "image,emotion_0,emotion_1,emotion_2,au_0,au_1\na.jpg,0,1,-1,0.25,0.75\n"
EXAMPLES = {
    "openface": OPENFACE,
    "pyfeat": PYFEAT,
    "libreface": LIBREFACE,
    "facereader": FACEREADER,
    "blendshapes": BLENDSHAPES,
    "arkit": LIVE_LINK,
    "deepface": DEEPFACE,
    "classes": CLASSES,
    "affdex": AFFDEX,
    "facet": FACET,
    "openface3": OPENFACE_3,
}


def made(tmp_path, name, text, file="faces.csv", **options):
    (tmp_path / file).write_text(text)
    summary = seke.convert(name, tmp_path / file, tmp_path / "s.jsonl", **options)
    return [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()], summary


def logistic(x):
    return pytest.approx(1 / (1 + math.exp(-x)), abs=1e-6)


# Each tool


def test_openface_without_a_face_is_not_judged_and_its_two_columns_are_one_source(tmp_path):
    records, summary = made(tmp_path, "openface", OPENFACE)
    key = {"item": "faces", "observer": "openface", "question": "action_units", "draw": 0}
    first, second, third = records
    assert {name: first[name] for name in key} == key
    assert [record["view"] for record in records] == ["frame-1", "frame-2", "frame-3"]
    # AU6: present, and 3 of 5 with half way at 1.5; AU25 has an intensity alone.
    assert first["action_units"] == {
        "AU1": pytest.approx(1 / (1 + math.exp(3)) / 2, abs=1e-6),
        "AU6": pytest.approx((1 + 1 / (1 + math.exp(-3))) / 2, abs=1e-6),
        "AU25": 0.5,
    }
    # Zeros where no face was found are no absent units.
    assert second["status"] == "not_judged"
    assert "action_units" not in second
    # Absent, and an intensity of 4: it contradicts itself, and says little.
    assert third["action_units"]["AU1"] == pytest.approx(0.5, abs=0.01)
    assert third["extra"] == {"seconds": 0.067}
    assert (summary.items, summary.samples, summary.not_judged) == (1, 3, 1)
    assert any("1 times the columns of one unit contradicted" in note for note in summary.notes)
    assert any("AU45_c" in note for note in summary.notes)


def test_faces_of_pictures_are_named_by_the_table_s_own_name(tmp_path):
    """FaceLandmarkImg writes neither the picture's name nor a frame, and a row for each face."""
    text = "face, confidence, gaze_0_x, AU01_r, AU01_c\n0, 0.5, 0, 3, 1\n1, 0.9, 0, 0, 0\n"
    records, summary = made(tmp_path, "openface", text, file="face-7.csv")
    (record,) = records
    assert (record["item"], "view" in record) == ("face-7", False)
    # The surer one.
    assert record["action_units"]["AU1"] < 0.05
    assert list(summary.left_out.values()) == [1]
    records, _ = made(tmp_path, "openface", text, file="face-7.csv", faces="each")
    assert [record["item"] for record in records] == ["face-7/face-0", "face-7/face-1"]


def test_openface_3_says_what_has_to_be_named_and_reads_logits(tmp_path):
    with pytest.raises(SekeError, match=r"3 columns have numbers for names, and needs --labels"):
        made(tmp_path, "openface3", OPENFACE_3)
    with pytest.raises(SekeError, match=r"--labels names 2: .*confirms"):
        made(tmp_path, "openface3", OPENFACE_3, orders={"labels": ["neutral", "happiness"]})
    labels = ["neutral", "happiness", "sadness"]
    with pytest.raises(SekeError, match="needs --au-order"):
        made(tmp_path, "openface3", OPENFACE_3, orders={"labels": labels})
    assert not (tmp_path / "s.jsonl").exists()
    records, _ = made(
        tmp_path, "openface3", OPENFACE_3, orders={"labels": labels, "au_order": ["AU4", "AU12"]}
    )
    total = 1 + math.e + 1 / math.e
    assert records[0]["expression"] == {
        "neutral": pytest.approx(1 / total, abs=1e-6),
        "happiness": pytest.approx(math.e / total, abs=1e-6),
        "sadness": pytest.approx(1 / math.e / total, abs=1e-6),
    }
    assert records[1]["action_units"] == {"AU4": 0.25, "AU12": 0.75}


def test_pyfeat_takes_the_largest_face_and_a_row_of_nan_is_not_judged(tmp_path):
    records, summary = made(tmp_path, "pyfeat", PYFEAT)
    by_key = {(record["item"], record["question"]): record for record in records}
    assert by_key["set/f1", "action_units"]["action_units"] == {"AU1": 0.2, "AU12": 0.9}
    assert by_key["set/f1", "expression"]["expression"]["happiness"] == 0.95
    assert by_key["set/f2", "expression"]["expression"]["anger"] == 0.5
    assert {by_key["set/f3", question]["status"] for question in ("expression", "action_units")} == {
        "not_judged"
    }
    assert (summary.items, summary.not_judged, list(summary.left_out.values())) == (3, 2, [1])
    records, summary = made(tmp_path, "pyfeat", PYFEAT, faces="each")
    assert {"set/f2/face-0", "set/f2/face-1"} <= {record["item"] for record in records}


def test_pyfeat_2_has_capitals_valence_and_arousal(tmp_path):
    records, summary = made(tmp_path, "pyfeat", PYFEAT_2)
    by_question = {record["question"]: record for record in records}
    assert by_question["expression"]["expression"]["neutral"] == 0.5
    assert (by_question["affect"]["valence"], by_question["affect"]["arousal"]) == (-0.4, 0.2)
    assert by_question["affect"]["view"] == "frame-7"
    # What the observer does not report in this base is left out, and named.
    assert by_question["action_units"]["action_units"] == {"AU1": 0.25}
    assert any("AU20" in note for note in summary.notes)


def test_libreface_has_two_sets_of_units_and_its_milliseconds_are_seconds(tmp_path):
    records, _ = made(tmp_path, "libreface", LIBREFACE)
    units = [record for record in records if record["question"] == "action_units"]
    labels = [record["expression"] for record in records if record["question"] == "expression"]
    assert labels == ["happiness", "neutral"]
    # AU1 is in both sets: the mean of 1 and of .5.
    assert units[0]["action_units"]["AU1"] == 0.75
    assert units[1]["action_units"]["AU5"] == logistic(7)
    assert units[1]["extra"] == {"seconds": 0.04}


def test_facereader_has_a_preamble_tabs_decimal_commas_letters_and_words_for_no_face(tmp_path):
    records, summary = made(tmp_path, "facereader", FACEREADER, file="log.txt")
    by_key = {(record["view"], record["question"]): record for record in records}
    first = "frame-00:00:00.000"
    assert by_key[first, "expression"]["expression"] == {
        **dict.fromkeys(("sadness", "anger", "surprise", "fear", "contempt"), 0.0),
        "neutral": 0.5,
        "happiness": 0.3,
        "disgust": 0.2,
    }
    # Its arousal is on [0, 1]; its valence is computed from the classes and is no second source.
    assert by_key[first, "affect"]["arousal"] == 0.5
    assert "valence" not in by_key[first, "affect"]
    assert any(
        note.startswith("passed over: Valence, it is computed from the classes") for note in summary.notes
    )
    # D is 4 of 5; sides are of the same unit.
    assert by_key[first, "action_units"]["action_units"] == {"AU1": logistic(-3), "AU12": logistic(5)}
    for view in ("frame-00:00:00.033", "frame-00:00:00.066"):
        for question in ("expression", "affect", "action_units"):
            assert by_key[view, question]["status"] == "not_judged"


def test_blendshapes_that_carry_nothing_are_unknown_and_never_absent(tmp_path):
    records, summary = made(tmp_path, "blendshapes", BLENDSHAPES)
    units = records[0]["action_units"]
    assert units == {"AU1": 0.5, "AU5": 0.5, "AU12": logistic(4), "AU26": logistic(6)}
    assert not {"AU4", "AU6", "AU7", "AU9", "AU15"} & set(units)
    assert any("noseSneerLeft, it never leaves 0" in note for note in summary.notes)


def test_with_depth_nose_and_cheeks_are_read_and_one_side_is_enough(tmp_path):
    records, _ = made(tmp_path, "arkit", LIVE_LINK)
    assert records[0]["action_units"] == {"AU1": 0.5, "AU9": logistic(5.5), "AU26": logistic(-3.5)}
    assert records[0]["view"] == "frame-12:01:02:03.4"


def test_deepface_has_percentages_and_guesses_where_it_finds_no_face(tmp_path):
    records, _ = made(tmp_path, "deepface", DEEPFACE)
    assert records[0]["expression"]["happiness"] == 0.75
    assert records[1]["status"] == "not_judged"


def test_logits_are_no_probabilities_and_become_such_on_request(tmp_path):
    with pytest.raises(AnswerError, match=r"faces\.csv:2: .*no probabilities: -3 is negative.*--softmax"):
        made(tmp_path, "classes", LOGITS)
    with pytest.raises(AnswerError, match=r"they sum to 3\.5"):
        made(tmp_path, "classes", "image,Anger,Fear,Neutral,Happy,Sad\na.jpg,1,0.5,1,1,0\n")
    # A tool's percents are rounded; an exponential of them would be no opinion at all.
    for last in (20, 20.4):
        with pytest.raises(
            AnswerError, match=r"they sum to 100.*; these look like percents: divide them by"
        ) as met:
            made(tmp_path, "classes", f"image,Anger,Fear,Neutral,Happy,Sad\na.jpg,10,20,40,10,{last}\n")
        assert "softmax" not in str(met.value)
    assert not (tmp_path / "s.jsonl").exists()
    records, _ = made(tmp_path, "classes", LOGITS, softmax=True)
    p = records[0]["expression"]
    assert sum(p.values()) == pytest.approx(1, abs=1e-5)
    assert math.log(p["happiness"] / p["neutral"]) == pytest.approx(1, abs=1e-4)


def test_affdex_leaves_the_remainder_to_neutral_and_counts_once(tmp_path):
    records, summary = made(tmp_path, "affdex", AFFDEX)
    assert records[0]["expression"]["happiness"] == 0.6
    assert records[0]["expression"]["neutral"] == 0.4
    assert records[1]["status"] == "not_judged"
    assert [record["view"] for record in records] == ["frame-1", "frame-2"]
    assert any(note.startswith("passed over: Valence") for note in summary.notes)


def test_facet_has_log10_of_odds(tmp_path):
    records, _ = made(tmp_path, "facet", FACET)
    by_question = {record["question"]: record for record in records}
    # p = 1 / (1 + 10^-x): 10/11 for joy, 1/11 for anger, 1/2 for neutral, of a sum of 1.5.
    p = by_question["expression"]["expression"]
    assert p["happiness"] == pytest.approx(10 / 11 / 1.5, abs=1e-6)
    assert p["anger"] == pytest.approx(1 / 11 / 1.5, abs=1e-6)
    assert p["neutral"] == pytest.approx(1 / 3, abs=1e-6)
    assert by_question["action_units"]["action_units"] == {"AU12": pytest.approx(100 / 101, abs=1e-6)}


# All alike


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_format_is_recognised_by_its_columns_and_fits_the_base(tmp_path, name):
    (tmp_path / "t.csv").write_text(EXAMPLES[name])
    assert recognise(tmp_path / "t.csv") == name
    declared = format_named(name)
    base = seke.knowledge()
    assert declared.observer in base.observers
    assert declared.names_from
    for reading in declared.readings:
        reported = set(base.questions[reading.question].variables)
        assert reported & set(base.observers[declared.observer].instruments)


def test_no_format_is_without_an_example_and_help_names_all():
    assert sorted(EXAMPLES) == format_names()
    text = " ".join(CliRunner().invoke(main, ["convert", "--help"]).output.split())
    assert f"FORMAT is {', '.join(format_names()[:-1])} or {format_names()[-1]};" in text


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"openface3"}))
def test_what_is_converted_is_inferred(tmp_path, name):
    made(tmp_path, name, EXAMPLES[name])
    records = list(seke.infer(tmp_path / "s.jsonl"))
    assert len(records) == len({record["item"] for record in records}) > 0


def test_frames_are_views_of_one_item_thinned_or_items(tmp_path):
    rows = "".join(f"{n}, 0, 0, 0.9, 1, 0, 0, 3, 0, 0, 1, 0\n" for n in range(1, 8))
    text = OPENFACE.splitlines(keepends=True)[0] + rows
    records, summary = made(tmp_path, "openface", text, every=3)
    assert [record["view"] for record in records] == ["frame-1", "frame-4", "frame-7"]
    assert summary.left_out == {"rows of frames between those that are kept": 4}
    records, summary = made(tmp_path, "openface", text, every=3, frames="items")
    assert [record["item"] for record in records] == ["faces/1", "faces/4", "faces/7"]
    assert all("view" not in record for record in records)
    # An error that carries over: seven equal frames say hardly more than one.
    made(tmp_path, "openface", text)
    (seven,) = seke.infer(tmp_path / "s.jsonl")
    made(tmp_path, "openface", text, every=7)
    (one_frame,) = seke.infer(tmp_path / "s.jsonl")
    assert one_frame["action_units"]["AU6"] < seven["action_units"]["AU6"] < 0.99


def test_more_views_of_one_item_than_can_be_weighed_are_refused(tmp_path):
    header = OPENFACE.splitlines(keepends=True)[0]
    text = header + "".join(f"{n}, 0, 0, 0.9, 1, 0, 0, 3, 0, 0, 1, 0\n" for n in range(301))
    with pytest.raises(
        SekeError, match=r"faces: 301 frames, of which 301 .*--every 2 thins them, --frames items"
    ):
        made(tmp_path, "openface", text)
    assert not (tmp_path / "s.jsonl").exists()
    assert made(tmp_path, "openface", text, every=2)[1].samples == 151
    assert made(tmp_path, "openface", text, frames="items")[1].items == 301


def test_several_tables_are_one_file_of_samples_and_parquet_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.csv").write_text("confidence, AU01_c\n0.9, 1\n")
    pq.write_table(pa.table({"confidence": [0.9], "AU01_c": [0.0]}), tmp_path / "b.parquet")
    seke.convert("openface", [tmp_path / "a.csv", tmp_path / "b.parquet"], tmp_path / "s.jsonl")
    records = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [(r["item"], r["action_units"]) for r in records] == [("a", {"AU1": True}), ("b", {"AU1": False})]


OWN = """
label: our tool
names_from: our own code
observer: au-detector
recognise: [lips]
item: [face]
readings:
  - question: action_units
    values:
      - {columns: {AU12: lips}, unit: intensity, limits: [0, 10], half: 5, width: 1, words: {none: 0}}
"""


def test_a_format_of_one_s_own_is_a_yaml_file(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    records, _ = made(tmp_path, str(tmp_path / "own.yaml"), "face;lips\na;7,0\nb;none\n")
    assert [record["action_units"]["AU12"] for record in records] == [logistic(2), logistic(-5)]


BAD_OWN = {
    "unknown key": (OWN.replace("names_from", "name_from"), r"own\.yaml:2:1: .*unknown field 'name_from'"),
    "unknown unit": (
        OWN.replace("intensity", "strength"),
        r"own\.yaml:10:39: readings\[0\]\.values\[0\]\.unit: invalid enum value",
    ),
    "no pattern": (OWN.replace("AU12: lips", 'AU12: "("'), r"columns\.AU12: is no pattern"),
    "twice": (OWN + "label: again\n", r"own\.yaml:11:1: label: is given twice"),
    "empty": ("", r"own\.yaml:1:1: the file is empty"),
}


@pytest.mark.parametrize("case", BAD_OWN)
def test_a_declaration_at_fault_is_named_with_its_place(tmp_path, case):
    text, message = BAD_OWN[case]
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(KnowledgeError, match=message):
        made(tmp_path, str(tmp_path / "own.yaml"), "face,lips\na,7\n")


BAD_TABLES = {
    "another table": (
        "openface",
        "item,AU1\na,1\n",
        r"faces\.csv:1: no column of OpenFace 2; looked for AU0",
    ),
    "no mark": (
        "openface",
        OPENFACE.replace("0.00, 1.00, 1.00", "0.00, 0.50, 1.00"),
        r":2: AU06_c: met 0\.5; allowed",
    ),
    "no number": (
        "pyfeat",
        PYFEAT.replace("0.95", "much"),
        r":2: happiness: met 'much' \(a text\); allowed is a prob",
    ),
    "beyond": ("libreface", LIBREFACE.replace(",5,5", ",5,6"), r":3: au_5_intensity: met 6; .*from 0 to 5"),
    "no letter": (
        "facereader",
        FACEREADER.replace("\tD\t", "\t0,4\t"),
        r":9: Action Unit 12.*: met '0,4'.*NotActive",
    ),
    "no class": ("libreface", LIBREFACE.replace("Happiness", "Bliss"), r":2: facial_expression: met 'Bliss'"),
    "no header": (
        "facereader",
        "Neutral\tHappy\n1\t0\n",
        r"no line is a header; looked for one with 'Video Time",
    ),
    "two rows of a picture": (
        "classes",
        CLASSES + "a.jpg,1,0,0,0,0,0,0,0\n",
        r":3: item 'a' has a row at .*:2 already",
    ),
    "apart": (
        "pyfeat",
        PYFEAT + PYFEAT.splitlines()[1] + "\n",
        r":6: item 'set/f1' has a row at .*:2 already",
    ),
    "cut off": ("deepface", DEEPFACE[:-10], r":3: met 6 cells; the header names 10"),
    "no face at all": (
        "openface",
        OPENFACE.replace(", 1, 0.1,", ", 0, 0.1,"),
        "no row has anything that observer",
    ),
    "a workbook": ("openface", "PK\x03\x04", "is a workbook"),
    "nothing": ("openface", "", "the file is empty"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused_with_their_place_and_nothing_is_written(tmp_path, case):
    name, text, message = BAD_TABLES[case]
    with pytest.raises(SekeError, match=message):
        made(tmp_path, name, text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.csv"]


def test_what_is_named_wrongly_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    for arguments, options, words in (
        (("openfce", table, "s.jsonl"), {}, "did you mean openface"),
        (("openface", table, "s.csv"), {}, "unknown ending; allowed are"),
        (("auto", table, tmp_path / "s.jsonl"), {}, r"no format that is known.*Its columns: a, b"),
        (("classes", table, tmp_path / "s.jsonl"), {"observer": "nobody"}, "no observer 'nobody'; it has"),
        (("classes", table, tmp_path / "s.jsonl"), {"item": "c"}, "no column is called 'c'; there are a, b"),
        (("classes", table, tmp_path / "s.jsonl"), {"frames": "all"}, "frames: met 'all'; allowed are views"),
    ):
        with pytest.raises(SekeError, match=words):
            seke.convert(*arguments, **options)


def test_tables_of_several_formats_are_not_taken_for_those_of_the_first(tmp_path):
    for name, text in (("a.csv", OPENFACE), ("b.csv", OPENFACE), ("c.csv", FACET)):
        (tmp_path / name).write_text(text)
    tables = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    assert seke.convert("auto", tables[:2], tmp_path / "s.jsonl").format == "openface"
    with pytest.raises(
        SekeError, match=r"c\.csv: is of format facet, and .*a\.csv of openface; convert each"
    ):
        seke.convert("auto", tables, tmp_path / "s.jsonl")


def test_rows_that_have_a_time_and_no_number_are_frames(tmp_path):
    rows = "".join(f"clip,{33 * k},0,0,0,60,0,0,0,5\n" for k in range(4))
    header = "StimulusName,Timestamp,Anger,Sadness,Disgust,Joy,Surprise,Fear,Contempt,Engagement\n"
    records, _ = made(tmp_path, "affdex", header + rows)
    assert {record["item"] for record in records} == {"clip"}
    assert len({record["view"] for record in records}) == 4


def test_the_command_says_what_it_made_of_which_format(tmp_path):
    (tmp_path / "faces.csv").write_text(OPENFACE)
    arguments = ["convert", "auto", str(tmp_path / "faces.csv"), "-o", str(tmp_path / "s.jsonl"), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "the columns are those of format openface" in result.stderr
    assert "not judged: 1 samples" in result.stderr
    assert json.loads(result.stdout)["samples"] == 3
    result = CliRunner().invoke(main, ["import", "openface", "faces.csv", "-o", "samples.jsonl"])
    assert result.exit_code == 2
    assert "seke convert openface faces.csv -o samples.jsonl" in result.stderr


def test_tools_in_the_base_change_no_posterior_where_they_have_not_answered():
    """The shipped base with and without the observers that follow only, to the last digit."""
    base = seke.knowledge()
    kept = {name: observer for name, observer in base.observers.items() if not observer.follows_only}
    assert len(kept) < len(base.observers)
    with open("examples/faces/samples.jsonl", encoding="utf-8") as file:
        lines = file.readlines()
    samples = [json.loads(line) for line in lines[:30]]
    with_tools, without = (
        list(seke.infer(samples, knowledge=knowledge)) for knowledge in (base, replace(base, observers=kept))
    )
    for record, other in zip(with_tools, without, strict=True):
        assert record["expression"] == other["expression"]
        assert record["action_units"] == other["action_units"]
        assert record["valence"] == other["valence"]
        assert record["decision"] == other["decision"]
