"""seke forget: nothing names the item any more, all else stays; cut off, the same command ends it."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import seke
from engine import Certificate, Design, Guarantee, SekeError, certificates_yaml, gold_digests
from seke.cli.main import main
from seke.inference.session import Session
from seke.release.forget import forget
from seke.runs.forgotten import ForgottenItems
from seke.runs.ledger import locked, status_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "annotate"
FORMATS = ("messages", "trl", "llava", "imagefolder", "parquet")
# A name that is part of no other, and no word of the files.
ITEM, PERSON = "Xq7-smile", "Zw3"
KEPT = "at-rest"


def invoke(*args, status=0):
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == status, result.output
    return result


def annotate(folder, *more):
    args = ["annotate", folder / "faces" / "faces.csv", "--model", "gpt-4o", "--run", folder / "run"]
    return invoke(*args, "--recorded", folder / "answers.jsonl", *more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with people's answers to one item, and two exports of it."""
    folder = tmp_path_factory.mktemp("whole")
    faces = folder / "faces"
    faces.mkdir()
    answers = (EXAMPLE / "answers.jsonl").read_text().replace('"item":"smile"', f'"item":"{ITEM}"')
    answers = answers.replace('"item": "smile"', f'"item": "{ITEM}"')
    (folder / "answers.jsonl").write_text(answers)
    with (faces / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "item", "group", "source", "expression"])
        for path in sorted(EXAMPLE.glob("*.png")):
            name = ITEM if path.stem == "smile" else path.stem
            shutil.copy(path, faces / f"{name}.png")
            known = "happiness" if name == ITEM else ""
            person = PERSON if name in (ITEM, "broad-smile") else f"person {name}"
            table.writerow([f"{name}.png", name, person, "drawn", known])
    annotate(folder)
    (folder / "run" / "review").mkdir()
    tasks = "".join(json.dumps({"key": str(n), "item": name}) + "\n" for n, name in enumerate((ITEM, KEPT)))
    (folder / "run" / "review" / "tasks.jsonl").write_text(tasks)
    (folder / "run" / "mine.csv").write_text(f"item,x\n{ITEM},1\n{KEPT},2\n")
    shares = {"split": "train:.6,test:.4", "near_duplicates": "no"}
    unproven = {"uncalibrated": True, "allow_scripted": True}
    seke.export(folder / "run", folder / "data", formats=FORMATS, **shares, **unproven)
    copying = {"copy_images": True, "licence": "mine"}
    instructed = {"formats": ("parquet", "messages"), "tasks": ("expression", "compare")}
    seke.export(folder / "run", folder / "copied", **instructed, **copying, **unproven)
    return folder


@pytest.fixture
def place(whole, tmp_path):
    """A copy, beside which the paths of the exports hold."""
    shutil.copytree(whole, tmp_path / "w", symlinks=True)
    return tmp_path / "w"


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def naming(folder, name):
    """Files of the run and the exports that hold a name, also within what is compressed."""
    hits = {path for path in files(folder) if name.encode() in path.read_bytes()}
    tables = [path for path in files(folder) if path.suffix == ".parquet"]
    hits |= {path for path in tables if name in str(pq.read_table(path).to_pylist())}
    inside = {path for path in hits if path.relative_to(folder).parts[0] in ("run", "data", "copied")}
    return {path.relative_to(folder).as_posix() for path in inside}


def stable(folder):
    """What is in the files, but for the salt: the ledger as rows."""
    contents = {}
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        if name.endswith("ledger.sqlite"):
            with closing(sqlite3.connect(path)) as db:
                rows = db.execute("SELECT * FROM requests").fetchall()
                rows += db.execute("SELECT item, draw, text FROM choices ORDER BY 1, 2, 3").fetchall()
            contents[name] = rows
        elif not name.endswith(("lock", "-wal", "-shm")):
            contents[name] = path.read_bytes()
    links = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()}
    return contents, links


def test_nothing_names_the_item_and_all_else_stays(place):
    run, data, copied = place / "run", place / "data", place / "copied"
    assert len(naming(place, ITEM)) > 12
    before, texts = status_of(run)[2], {path: path.read_bytes() for path in files(place)}
    given = ["forget", ITEM, "--run", run, "--export", data, "--export", copied]
    dry = invoke(*given, "--dry-run")
    assert "would forget 1 item" in dry.stdout
    assert {path: path.read_bytes() for path in files(place) if path.name != "lock"} == {
        path: text for path, text in texts.items() if path.name != "lock"
    }
    result = invoke(*given)
    assert "forgot 1 item" in result.stdout
    assert "not reached: the pictures themselves" in result.stderr
    assert naming(place, ITEM) == set()
    # Money and requests stay; answers went.
    after = status_of(run)[2]
    assert (after.requests, after.spent, after.prompt_tokens) == (
        before.requests,
        before.spent,
        before.prompt_tokens,
    )
    summary = json.loads((run / "summary.json").read_text())
    assert summary["totals"]["answers"] == after.answers == before.answers - 6
    assert summary["levels"].keys() == seke.knowledge().levels.keys()
    assert sum(summary["items"].values()) == len((run / "posteriors.jsonl").read_text().splitlines()) == 5
    assert "1 item forgotten since" in summary["notes"][-1]
    # The rows of all others are the same bytes, in the same split.
    for path, text in texts.items():
        if path.suffix == ".jsonl" and path.relative_to(place).parts[0] in ("run", "data", "copied"):
            kept = [line for line in text.splitlines() if ITEM.encode() not in line]
            if path == copied / "items.jsonl":
                # Who was compared with the item stays, without the comparison.
                rows = [json.loads(line) for line in path.read_text().splitlines()]
                assert len(rows) == len(kept) + 1
                assert sum("compare" in row.get("tasks", ()) for row in rows) == sum(
                    b"compare" in k for k in kept
                )
            else:
                assert path.read_bytes().splitlines() == kept
    check_export(data)
    check_export(copied)
    assert len(list((copied / "images").rglob("*.png"))) == 5
    # A run that has forgotten an item does not ask about it again; one more export has the same counts.
    again = annotate(place)
    assert "has forgotten 1 item of these" in again.stderr
    assert status_of(run)[2].requests == before.requests
    assert naming(place, ITEM) == set()
    assert invoke(*given).stdout.startswith("forgot 0 items\n  forgotten before: 1 item")


def check_export(folder):
    """Counts, digests, card and metadata of an export are those of its rows."""
    facts = json.loads((folder / "export.json").read_text())
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    assert (facts["items"], facts["forgotten"]) == (len(rows), 1)
    assert sum(facts["splits"].values()) == len(rows)
    for name, digest in facts["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    for name, written in facts["formats"].items():
        count = 0
        for path in (folder / {"imagefolder": "images"}.get(name, name)).rglob("*"):
            if path.suffix == ".parquet":
                count += pq.read_metadata(path).num_rows
                assert b"huggingface" in pq.read_schema(path).metadata
            elif path.suffix == ".jsonl":
                count += len(path.read_text().splitlines())
            elif path.suffix == ".json":
                count += len(json.loads(path.read_text()))
        assert count == written["rows"], name
    card = (folder / "README.md").read_text()
    assert f"This set has {len(rows)} pictures of faces." in card
    assert "Taken out later (`seke forget`): 1 items" in card
    metadata = json.loads((folder / "croissant.json").read_text())
    assert {file["@id"]: file["sha256"] for file in metadata["distribution"]}.items() <= facts[
        "files"
    ].items()


def test_a_person_goes_with_all_items_and_is_not_asked_about_later(place):
    given = "--person", PERSON, "--run", place / "run", "--export", place / "data"
    result = invoke("forget", *given, "--json")
    assert set(json.loads(result.stdout)["items"]) == {ITEM, "broad-smile"}
    for name in (ITEM, "broad-smile"):
        assert {path for path in naming(place, name) if not path.startswith("copied")} == set()
    memory = ForgottenItems.of(place / "run")
    assert memory.has(ITEM)
    assert memory.has("a new picture", PERSON)
    assert not memory.has("a new picture", "another")
    # Once more, when nobody of that name is left, nothing changes.
    notes = json.loads((place / "run" / "summary.json").read_text())["notes"]
    invoke("forget", *given)
    assert json.loads((place / "run" / "summary.json").read_text())["notes"] == notes
    # An export that was not named stays as it is.
    assert "copied/items.jsonl" in naming(place, ITEM)


def test_whatever_cuts_it_off_the_same_call_ends_it(place, monkeypatch):
    whole_changes, replace = place.with_name("a"), Path.replace
    shutil.copytree(place, whole_changes, symlinks=True)
    given = {"exports": ["data", "copied"]}

    def forgetting(folder):
        monkeypatch.chdir(folder)
        return forget(ITEM, "run", **given)

    forgetting(whole_changes)
    wanted = stable(whole_changes)
    for files_placed in (2, 12, 20):
        cut = place.with_name(f"cut{files_placed}")
        shutil.copytree(place, cut, symlinks=True)
        left_to_place = iter(range(files_placed))

        def killed(path, target, left_to_place=left_to_place):
            if next(left_to_place, None) is None:
                raise KeyboardInterrupt
            return replace(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                forgetting(cut)
        for path in files(cut):
            if path.suffix == ".jsonl":
                assert all(json.loads(line) for line in path.read_text().splitlines())
        forgetting(cut)
        assert naming(cut, ITEM) == set()
        assert stable(cut) == wanted
        shutil.rmtree(cut)


def test_which_certificates_fall(place):
    base = seke.knowledge()
    certificate = Certificate(base.root, "any", 0.3, 100, 2, 0.1, 0.06, 100, 0.9, 0.1)
    digests = {part: base.digests[part] for part in ("knowledge", "prompts", "observers", "policy")}
    facts = (
        "item",
        Session.open(base).inference.population,
        digests,
        Design(False, 2, 2, ()),
        100,
        "2026-01-02",
    )
    made = {"with": [ITEM, KEPT], "without": [KEPT, "other"], "unknown": []}
    for name, gold in made.items():
        listed = {"gold_items": gold_digests(gold)} if gold else {}
        guarantee = Guarantee((certificate,), 0.1, 0.1, *facts, (), **listed)
        text = certificates_yaml(guarantee, next(iter(base.sources)))
        (place / f"{name}.yaml").write_text(f"extends: shipped\n{text}")
        read = seke.knowledge(place / f"{name}.yaml").guarantee
        assert read.sealed
        assert [read.made_with(item) for item in (ITEM, KEPT)] == [ITEM in gold, KEPT in gold]
        assert ITEM not in text
    bases = [part for name in made for part in ("--overlay", place / f"{name}.yaml")]
    shown = invoke("forget", ITEM, "--run", place / "run", "--dry-run", *bases, status=1).stderr
    assert f"with.yaml: made with {ITEM}, so these fall: expression as a whole" in shown
    assert "unknown.yaml: certificates (expression as a whole) do not say" in shown
    assert "without.yaml" not in shown


@pytest.mark.parametrize(
    ("items", "given", "message"),
    [
        (["Xq7-smil"], {}, "no item 'Xq7-smil', here or in an export; did you mean Xq7-smile?"),
        ([], {"groups": ["Zw"]}, "no person 'Zw' \\(column group\\)"),
        ([], {}, "name items, or persons with --group"),
        ([ITEM], {"exports": ["faces"]}, "faces: is no export"),
        ([ITEM], {"exports": ["data", "old"]}, "old: has no items.jsonl, by which"),
        ([ITEM], {"run": "faces"}, "faces: is no run"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_changes(place, monkeypatch, items, given, message):
    monkeypatch.chdir(place)
    shutil.copytree("data", "old", symlinks=True)
    Path("old/items.jsonl").unlink()
    before = stable(place)
    with pytest.raises(SekeError, match=message):
        forget(items, **{"run": "run", **given})
    assert stable(place) == before


def test_a_run_in_use_and_requests_on_their_way_are_refused(place):
    run = place / "run"
    with locked(run), pytest.raises(SekeError, match="another process uses this run"):
        forget([ITEM], run)
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db:
        number = db.execute("SELECT max(number) FROM requests WHERE item = ?", (ITEM,)).fetchone()[0]
        db.execute("UPDATE requests SET state = 'sent' WHERE number = ?", (number,))
        db.execute("INSERT INTO batches (name, numbers) VALUES ('b', ?)", (json.dumps([number]),))
        db.commit()
    with pytest.raises(SekeError, match=f"requests about '{ITEM}' are in a batch that is on its way"):
        forget([ITEM], run)
    assert not (run / ".forget").exists()
    # The lock is free again.
    with locked(run):
        pass


def test_what_is_left_to_do_is_named(place):
    """A branch's origin, files that are not rewritten, and numbers learned with answers about the item."""
    annotate(place, "--branch", place / "branch", "--max-samples", 1)
    (place / "branch" / "notes.txt").write_text(f'look at "{ITEM}" again\n')
    result = invoke("forget", ITEM, "--run", place / "branch", status=1)
    assert (
        f"{place / 'run'}: this run is a branch of it, and it has {ITEM}; forget there, too" in result.stderr
    )
    assert f"{place / 'branch' / 'notes.txt'}: names an item still" in result.stderr
    # A branch of a run that has forgotten an item does not ask about it either.
    invoke("forget", KEPT, "--run", place / "run")
    third = annotate(place, "--branch", place / "third", "--max-samples", 2)
    assert "has forgotten 1 item of these" in third.stderr
    items = [json.loads(line)["item"] for line in (place / "third" / "items.jsonl").read_text().splitlines()]
    assert KEPT not in items
    assert ITEM in items
