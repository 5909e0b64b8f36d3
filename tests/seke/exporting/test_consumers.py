"""Exports read by those who will: datasets and TRL; test_recipes.py has LLaMA-Factory and ms-swift.

pip install -c constraints.txt -e '.[export]' && pytest tests/seke/exporting/test_consumers.py
"""

from __future__ import annotations

import importlib.util
import json
import shutil

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from made_run import made_records, made_run, picture

import seke
from engine import SekeError
from seke.cli.main import main
from seke.exporting.formats import FORMATS
from seke.exporting.instruction_texts import TASKS

INSTALLED = all(importlib.util.find_spec(name) for name in ("datasets", "trl"))
needs_readers = pytest.mark.skipif(not INSTALLED, reason="the extra `export` is not installed")
# What these libraries warn of when they are imported is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = ["<image>", "a\nb", 'q" \\', "Ä\u202eñ", "<|im_end|>", "plain"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    records = list(made_records(36))
    items = []
    for number, record in enumerate(records):
        name = NAMES[number % len(NAMES)]
        record["item"] = f"{name} {number}"
        path = picture(folder / "faces" / f"{name} {number}.png", number)
        box = [1.0, 2.0, 9.0, 9.0] if number % 7 == 0 else None
        known = {"path": str(path), "group": f"p{number % 9}", "source": name, "box": box}
        items.append({**known, "picture": f"{number:064x}"})
    return made_run(folder / "run", records, items)


@pytest.fixture(scope="module")
def exported(made):
    """The folder of an export in every format, and what was found when it was read back."""
    return made.with_name("data"), everything(made, made.with_name("data"), verify=True)


def everything(made, folder, formats=FORMATS, **options):
    shares = "train:.7,val:.1,test:.2"
    tasks = [task for task in TASKS if task != "compare" or "llava" not in formats]
    return seke.export(made, folder, formats=formats, tasks=tasks, split=shares, uncalibrated=True, **options)


def is_accepted(export):
    assert export.verified.faults == ()
    assert export.verified.rows == export.rows
    readers = ["datasets", "trl"] if "trl" in export.rows else ["datasets"]
    assert [reader.split()[0] for reader in export.verified.readers] == readers


@needs_readers
def test_every_row_of_every_format_is_accepted(exported):
    is_accepted(exported[1])


@needs_readers
@pytest.mark.parametrize(
    "options",
    [
        {"soft": True, "language": "de", "formats": ("messages", "trl")},
        {"copy_images": True, "licence": "ours", "formats": ("messages", "llava", "imagefolder")},
    ],
    ids=["soft", "copied"],
)
def test_every_row_is_accepted_whatever_was_asked_for(made, tmp_path, options):
    is_accepted(everything(made, tmp_path / "data", verify=True, **options))


@needs_readers
def test_what_is_read_back_is_what_was_accepted(made, exported, tmp_path):
    """With the loaders of the consumers, from the folder alone."""
    import datasets

    folder, _ = exported
    cache = {"cache_dir": str(tmp_path / "cache")}
    records = {}
    for line in (made / "posteriors.jsonl").read_text().splitlines():
        record = json.loads(line)
        levels = record["decision"]["levels"]
        accepted_values = {
            name: level["value"] for name, level in levels.items() if level["decision"] == "accept"
        }
        if accepted_values:
            records[record["item"]] = accepted_values
    splits_of = {}
    typed = datasets.load_dataset(str(folder), **cache)
    states = seke.knowledge().variables["expression"].states
    for split, rows in typed.items():
        # The card's YAML, the schema of the files and what was loaded say the same.
        info = json.loads(pq.read_schema(folder / "parquet" / f"{split}.parquet").metadata[b"huggingface"])
        assert datasets.Features.from_dict(info["info"]["features"]) == rows.features
        assert rows.features["label"] == datasets.ClassLabel(names=list(states))
        assert rows.features["soft_label"] == datasets.Sequence(datasets.Value("float32"), length=len(states))
        for row in rows:
            label = None if row["label"] is None else states[row["label"]]
            assert label == records[row["item"]].get("expression")
            assert row["soft_label"] == pytest.approx([row["expression"][state] for state in states])
            splits_of.setdefault(row["item"], set()).add(split)
    assert splits_of.keys() == records.keys()
    assert {len(splits) for splits in splits_of.values()} == {1}
    files = {split: str(folder / "images" / split / "**") for split in ("train", "val", "test")}
    for split, rows in datasets.load_dataset("imagefolder", data_files=files, **cache).items():
        for row in rows:
            accepted_values = records[row["item"]]
            assert splits_of[row["item"]] == {split}
            assert row["image"].size == (24, 24)
            assert row["expression"] == accepted_values.get("expression", "")
            assert row["valence"] == pytest.approx(accepted_values.get("valence"))
            assert set(row["present"].split()) == {
                name for name, value in accepted_values.items() if value is True
            }
            assert set(row["absent"].split()) == {
                name for name, value in accepted_values.items() if value is False
            }


# File, what is replaced (at the end of the file where True), by what, and what is said of it.
TAMPERED = {
    "rows": [
        (
            *("messages/train.jsonl", False, b"<image>", b"<image><image>"),
            "messages/train, row 1: 2 times <image>, and 1",
        ),
        (
            *("trl/train.jsonl", False, b'{"type":"image"},', b""),
            "trl/train, row 1: ValueError: Number of images",
        ),
        ("llava/train.json", False, b'"from":"gpt"', b'"from":"bot"', "bot speaks where gpt should"),
        (
            *("images/train/metadata.jsonl", False, b'"file_name":"', b'"file_name":"../'),
            "imagefolder: cannot be loaded",
        ),
    ],
    "more": [
        (
            *("messages/train.jsonl", False, b'"role":"user"', b'"role":"assistant"'),
            "assistant speaks where user should",
        ),
        ("messages/train.jsonl", True, b'.png"]', b'.pgn"]', "cannot be opened"),
        (
            *("trl/val.jsonl", False, b'"task":"affect"', b'"task":"effect"'),
            "trl/val: has other tasks than were written",
        ),
        (
            *("parquet/train.parquet", False, b"PAR1", b"XXXX"),
            "parquet/train.parquet: is not the file that was written",
        ),
    ],
}


@needs_readers
@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_is_met(exported, tmp_path, name):
    from seke.exporting.verify import verify_export

    whole, _ = exported
    # Beside the export, so that paths from the folder to its pictures stay.
    folder = whole.with_name(tmp_path.name)
    shutil.copytree(whole, folder, symlinks=True)
    for file, at_end, old, new, _ in TAMPERED[name]:
        data = (folder / file).read_bytes()
        assert old in data
        changed = new.join(data.rsplit(old, 1)) if at_end else data.replace(old, new, 1)
        (folder / file).write_bytes(changed)
    verified = verify_export(folder)
    for *_, fault in TAMPERED[name]:
        assert any(fault in message for message in verified.faults), verified.faults


@needs_readers
def test_the_command_line_says_who_read_it(made, tmp_path):
    args = ["export", made, "-o", tmp_path / "data", "-f", "trl", "-f", "messages", "--verify"]
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == 0, result.output
    assert "read back by datasets " in result.stdout


@pytest.mark.skipif(INSTALLED, reason="the extra `export` is installed")
def test_without_the_readers_nothing_is_written(made, tmp_path):
    with pytest.raises(SekeError, match=r"--verify needs datasets, .* pip install 'seke\[export\]'"):
        seke.export(made, tmp_path / "data", verify=True)
    assert not (tmp_path / "data").exists()


def test_what_is_no_export_is_refused(tmp_path):
    from seke.exporting.verify import verify_export

    with pytest.raises(SekeError, match="is no export"):
        verify_export(tmp_path)
