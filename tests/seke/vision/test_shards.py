"""seke annotate --shard and seke runs: parts of a list that come to what one run of the list comes to."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from small_study import ONE_QUESTION, SMALL_FACES, pictures
from test_annotate import on_disk, rows, run
from test_people_asked import OVERLAY, look, waiting_of

import seke
from engine import SekeError
from seke.annotation.merged_runs import merge_runs
from seke.annotation.run_shard import EmptyShardError, RunShard, share_of
from seke.cli.main import main
from seke.datasets.manifest import Item
from seke.files.shards import shard_of
from seke.runs.forgotten import ForgottenItems
from seke.runs.ledger import Ledger, locked
from seke.vision.errors import FatalError
from seke.vision.fake import RecordedModel, ScriptedModel
from seke.vision.messages import Reply, Settings

RECORDS = ("posteriors.jsonl", "samples.jsonl", "items.jsonl", "answers.jsonl")


def runs(*args, status=0):
    result = CliRunner().invoke(main, ["runs", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


def same_records(folder, other):
    for name in RECORDS:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def annotated(folder, place, shard=None, model=None, base=ONE_QUESTION, **more):
    """Annotate a shard with made-up answers, which are the same for an item wherever it is asked about."""
    settings = Settings("gpt-4o", seed=more.pop("seed", 0))
    given_options = {"knowledge": base, "settings": settings, "problems": lambda _: None, **more}
    return seke.annotate(folder, place, model or ScriptedModel(), shard=shard, **given_options)


# The shard of an item ---------------------------------------------------------------------------------


def test_the_shard_of_an_item_is_the_same_everywhere():
    # The last digit of what `b2sum -l 64` says of each name.
    assert [shard_of(name, 16) for name in ("face", "Gesicht", "visage", "é")] == [4, 2, 10, 15]
    counts = [0] * 7
    for i in range(7_000):
        counts[shard_of(f"item {i}", 7)] += 1
    assert max(abs(count - 1_000) for count in counts) < 130


@given(st.integers(1, 40), st.integers(1, 9), st.floats(1e-6, 1e6))
def test_shards_are_a_partition_and_their_money_is_never_more_than_the_whole(items, of, max_cost):
    listed = [Item(f"f{i}", None) for i in range(items)]
    parts = []
    for number in range(1, of + 1):
        try:
            parts.append(share_of(listed, RunShard(number, of)))
        except EmptyShardError:
            continue
    places = [place for part in parts for place in part.places.values()]
    assert sorted(places) == list(range(items))
    assert all(listed[part.places[item.name]] is item for part in parts for item in part.items)
    assert math.fsum(part.money(max_cost) for part in parts) < max_cost
    assert math.isclose(sum(part.money(max_cost) for part in parts), max_cost, rel_tol=1e-8)
    assert {part.money(None) for part in parts} == {None}


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3", "1/3/5", "01/03", "٣/٤"])
def test_a_shard_that_is_none(text):
    with pytest.raises(SekeError, match=r"the form is i/n, with 1 <= i <= n, such as 3/16"):
        RunShard.parse(text)


# One run, and its shards ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A list of pictures, one run of it, its three shards; they are copied by who changes them."""
    place = tmp_path_factory.mktemp("shards")
    pictures(place / "faces", 12)
    groups = "".join(f"faces/f{i}.png,person {i % 5},face {i}\n" for i in range(11, -1, -1))
    (place / "faces.csv").write_text(f"path,group,item\n{groups}")
    listed = [place / "faces.csv"]
    annotated(listed, place / "whole")
    for number in (1, 2, 3):
        annotated(listed, place / f"{number}", f"{number}/3")
    return place


def shards(study):
    return [study / "1", study / "2", study / "3"]


def test_shards_that_are_joined_are_one_run(study, tmp_path):
    listed = [len(rows(folder / "items.jsonl")) for folder in shards(study)]
    assert sum(listed) == 12
    stored = json.loads((study / "2" / "summary.json").read_text())["facts"]["shard"]
    assert (stored["number"], stored["of"], stored["items"]) == (2, 3, 12)
    assert min(listed) > 0
    # In whichever order they are named. What a merge that was killed left goes; that of another one stays.
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, other = (tmp_path / f".m.{platform.node()}.{process}" for process in (ended.pid, os.getppid()))
    for folder in (left, other):
        folder.mkdir()
    result = runs("merge", *reversed(shards(study)), "-o", tmp_path / "m", "-k", ONE_QUESTION, "--json")
    assert not left.exists()
    assert other.exists()
    same_records(study / "whole", tmp_path / "m")
    merged, whole = (
        json.loads((folder / "summary.json").read_text()) for folder in (tmp_path / "m", study / "whole")
    )
    assert json.loads(result.stdout) == merged
    # An example of what was read is that of the earliest request.
    assert {name for name in whole if whole[name] != merged[name]} <= {"seconds", "reading"}
    # It goes on as one run, in which nothing is left to ask.
    before = on_disk(tmp_path / "m", "SELECT count(*) FROM requests")
    annotated([study / "faces.csv"], tmp_path / "m")
    assert on_disk(tmp_path / "m", "SELECT count(*) FROM requests") == before
    same_records(study / "whole", tmp_path / "m")
    origins = json.loads(on_disk(tmp_path / "m", "SELECT value FROM facts WHERE name = 'merged'")[0][0])
    assert [origin["shard"] for origin in origins] == ["1/3", "2/3", "3/3"]


def test_the_state_of_shards_in_one_table_and_of_one(study, monkeypatch):
    # Short names: long ones take several lines of a narrow terminal.
    monkeypatch.chdir(study)
    lines = runs("status", "3", "2", "1", study / "1").stdout.splitlines()
    assert lines[0].split() == ["run", "shard", "settled", "of", "answers", "last"]
    assert [line.split()[1] for line in lines[1:4]] == ["1/3", "2/3", "3/3"]
    assert lines[4].split()[:3] == ["all", "12", "12"]
    facts = json.loads(runs("status", *shards(study), "--json").stdout)
    answers = sum(len(rows(folder / "answers.jsonl")) for folder in shards(study))
    assert facts["total"]["answers"] == answers == sum(row["answers"] for row in facts["runs"])
    first = runs("status", study / "2").stdout
    assert first.startswith(f"{study / '2'}: shard 2/3, ")
    assert first == run("--run", study / "2", "--status").stdout
    assert re.search(r"\n  no process is at it now; last request \d+ \w+ ago\n", first)
    with locked(study / "2"):
        assert f"\n  under way, by process {os.getpid()}; last" in runs("status", study / "2").stdout
        table = json.loads(runs("status", *shards(study), "--json").stdout)
        assert [row["running"] for row in table["runs"]] == [False, True, False]
        assert ", under way" in runs("status", "1", "2").stdout
    assert "is no run" in runs("status", study / "1", study / "faces", status=2).stderr


def test_a_folder_is_of_one_shard(study, tmp_path):
    shutil.copytree(study / "1", tmp_path / "1")
    shutil.copytree(study / "whole", tmp_path / "whole")
    listed = [study / "faces.csv"]
    with pytest.raises(SekeError, match=r"holds shard 1/3, and this is shard 2/3; go on with --shard 1/3"):
        annotated(listed, tmp_path / "1", "2/3")
    with pytest.raises(SekeError, match="holds shard 1/3, and no --shard was given"):
        annotated(listed, tmp_path / "1")
    with pytest.raises(SekeError, match="holds a run of all its items, and this is shard 1/3; go on without"):
        annotated(listed, tmp_path / "whole", "1/3")
    for folder in ("1", "whole"):
        assert on_disk(tmp_path / folder, "SELECT * FROM requests") == on_disk(
            study / folder, "SELECT * FROM requests"
        )


def test_a_shard_without_items_is_no_failure(study, tmp_path):
    command = [study / "faces" / "f0.png", "--run", tmp_path / "r", "--scripted", "--shard"]
    empty = next(number for number in (1, 2) if shard_of("f0", 2) != number - 1)
    result = run(*command, f"{empty}/2")
    assert result.stderr == f"shard {empty}/2 has none of the 1 item; nothing is to be done\n"
    assert json.loads(run(*command, f"{empty}/2", "--json").stdout) == {"items": {}, "shard": f"{empty}/2"}
    assert not (tmp_path / "r").exists()
    assert "the form is i/n" in run(*command, "3/2", status=2).stderr


class EndsAfter:
    """A model that raises an error after so many calls; a kill, as it were, after a request was sent."""

    def __init__(self, calls, error):
        self.calls, self.error, self.model = calls, error, ScriptedModel()

    async def ask(self, call, journal):
        self.calls -= 1
        if self.calls < 0:
            if isinstance(self.error, KeyboardInterrupt):
                await journal.sent(call, (call.request.first,), 0.0)
            raise self.error
        return await self.model.ask(call, journal)


def test_a_shard_that_was_cut_off_goes_on_and_is_joined(study, tmp_path):
    listed = [study / "faces.csv"]
    with pytest.raises(KeyboardInterrupt):
        annotated(listed, tmp_path / "2", "2/3", EndsAfter(2, KeyboardInterrupt()), concurrency=1)
    others = study / "1", study / "3"
    with pytest.raises(SekeError, match=r"has no items\.jsonl; give the same `seke annotate` command again"):
        merge_runs([*others, tmp_path / "2"], tmp_path / "m", knowledge=ONE_QUESTION)
    annotated(listed, tmp_path / "2", "2/3")
    merge_runs([*others, tmp_path / "2"], tmp_path / "m", knowledge=ONE_QUESTION)
    same_records(study / "whole", tmp_path / "m")
    # What was on its way may have been paid for.
    assert on_disk(tmp_path / "m", "SELECT count(*) FROM requests WHERE state = 'unknown'") == [(1,)]


def test_runs_that_are_not_finished_are_joined_and_go_on_together(study, tmp_path):
    listed = [study / "faces.csv"]
    summary = annotated(
        listed,
        tmp_path / "2",
        "2/3",
        EndsAfter(1, FatalError("the account has no credit left")),
        concurrency=1,
    )
    assert not summary.finished
    told = runs(
        "merge", study / "1", tmp_path / "2", study / "3", "-o", tmp_path / "m", "-k", ONE_QUESTION, status=1
    )
    assert "12 items" in told.stdout
    assert annotated(listed, tmp_path / "m").finished
    same_records(study / "whole", tmp_path / "m")


def test_missing_shards_are_named_and_allowed_on_request(study, tmp_path):
    options = ["-o", tmp_path / "m", "-k", ONE_QUESTION]
    missing = 12 - len(rows(study / "2" / "items.jsonl"))
    words = f"{missing} of 12 items are in none of these runs (missing: shard 1/3, 3/3)"
    assert words in runs("merge", study / "2", *options, status=2).stderr
    assert not (tmp_path / "m").exists()
    assert list(tmp_path.iterdir()) == []
    assert words in runs("merge", study / "2", *options, "--partial").stderr
    names = [row["item"] for row in rows(tmp_path / "m" / "items.jsonl")]
    assert names == [
        row["item"] for row in rows(study / "whole" / "items.jsonl") if shard_of(row["item"], 3) == 1
    ]


def test_runs_that_do_not_belong_together(study, tmp_path):
    listed = [study / "faces.csv"]
    first = study / "1"

    def refused(*others, **options):
        with pytest.raises(SekeError) as refusal:
            merge_runs([first, *others], tmp_path / "m", **{"knowledge": ONE_QUESTION, **options})
        assert not (tmp_path / "m").exists()
        return str(refusal.value)

    assert refused(first) == f"{first}: is named twice; name each run once"
    assert "was made with knowledge one-question" in refused(study / "2", knowledge=SMALL_FACES)
    annotated(listed, tmp_path / "other base", "2/3", base=SMALL_FACES)
    assert "was begun otherwise than" in refused(tmp_path / "other base")
    annotated(listed, tmp_path / "other model", "2/3", settings=Settings("llava"))
    assert f"model: gpt-4o in {first}, llava in " in refused(tmp_path / "other model")
    assert "is no shard, and" in refused(study / "whole")
    annotated([study / "faces"], tmp_path / "other list", "2/3")
    assert "of another list of pictures (12 items) than" in refused(tmp_path / "other list")
    assert "is no run" in refused(study / "faces")
    with locked(study / "2"):
        assert "another process uses this run" in refused(study / "2")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "notes").write_text("mine")
    with pytest.raises(SekeError, match="is not empty"):
        merge_runs(shards(study), tmp_path / "m", knowledge=ONE_QUESTION)


def test_prices_that_were_measured_on_parts_are_no_ones_of_the_whole(study, tmp_path):
    shutil.copytree(study / "whole", tmp_path / "b")
    for folder, names in ((study / "whole", {}), (tmp_path / "b", {"joint": {"cost": 1.0, "further": 0.5}})):
        ledger = Ledger(folder, lambda *_: {})
        ledger.note({"prices": names})
        ledger.close()
    with pytest.raises(SekeError, match="measured the prices of questions on its own first items"):
        merge_runs([study / "whole", tmp_path / "b"], tmp_path / "m", knowledge=ONE_QUESTION)


def test_items_that_several_shards_have(study, tmp_path):
    """Cut in one and in three: those that are in both parts were asked about twice, and count once."""
    annotated([study / "faces.csv"], tmp_path / "1 of 1", "1/1")
    shutil.copytree(study / "3", tmp_path / "copy")
    folders = [*shards(study), tmp_path / "1 of 1", tmp_path / "copy"]
    told = []
    merge_runs(folders, tmp_path / "m", knowledge=ONE_QUESTION, problems=told.append)
    same_records(study / "whole", tmp_path / "m")
    answers = len(rows(study / "whole" / "answers.jsonl"))
    left_out = answers + len(rows(study / "3" / "answers.jsonl"))
    assert told[0].startswith("12 items are in several runs, such as ")
    assert f"{left_out} answers of others are left out; what they cost stays in the account" in told[0]
    # The requests of a copy are the same requests, those of another cut were paid for, too.
    requests = on_disk(study / "whole", "SELECT count(*) FROM requests")[0][0]
    assert on_disk(tmp_path / "m", "SELECT count(*) FROM requests") == [(2 * requests,)]
    assert on_disk(tmp_path / "m", "SELECT count(*) FROM requests WHERE item = ''") == [(requests,)]


def test_one_name_for_two_pictures(study, tmp_path):
    for name, value, words in (
        ("picture", "0" * 64, "another picture"),
        ("group", "b", "another box, group"),
    ):
        shutil.copytree(study / "whole", tmp_path / name)
        first, *others = rows(tmp_path / name / "items.jsonl")
        lines = [json.dumps(row) + "\n" for row in ({**first, name: value}, *others)]
        (tmp_path / name / "items.jsonl").write_text("".join(lines))
        with pytest.raises(SekeError, match=f"item 'face 11' has {words}"):
            merge_runs([study / "whole", tmp_path / name], tmp_path / "m", knowledge=ONE_QUESTION)


def test_runs_of_several_lists_stand_one_after_the_other(study, tmp_path):
    first, second = ([study / "faces" / f"f{i}.png" for i in numbers] for numbers in ((7, 8), (2, 3)))
    annotated(first, tmp_path / "a")
    annotated(second, tmp_path / "b")
    annotated([*first, *second], tmp_path / "both")
    merge_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "m", knowledge=ONE_QUESTION)
    same_records(tmp_path / "both", tmp_path / "m")


def test_what_shards_forgot_stays_forgotten_in_the_whole(study, tmp_path):
    names = {}
    for folder in shards(study)[:2]:
        shutil.copytree(folder, tmp_path / folder.name)
        names[folder.name] = rows(folder / "items.jsonl")[0]["item"]
        seke.forget([names[folder.name]], tmp_path / folder.name)
    merge_runs([tmp_path / "1", tmp_path / "2", study / "3"], tmp_path / "m", knowledge=ONE_QUESTION)
    forgotten = ForgottenItems.of(tmp_path / "m")
    assert forgotten.items == 2
    assert all(forgotten.has(name) for name in names.values())
    annotated([study / "faces.csv"], tmp_path / "m")
    assert {row["item"] for row in rows(tmp_path / "m" / "items.jsonl")}.isdisjoint(names.values())
    # One that is forgotten now is beside the others.
    seke.forget([rows(study / "3" / "items.jsonl")[0]["item"]], tmp_path / "m")
    assert ForgottenItems.of(tmp_path / "m").items == 3
    assert ForgottenItems.of(tmp_path / "m").has(names["1"])


class Priced(ScriptedModel):
    """A model whose requests cost .1 USD a draw, and .11 at most."""

    async def ask(self, call, journal):
        draws = tuple(range(call.request.first, call.request.first + call.request.samples))
        number = await journal.sent(call, draws, 0.11 * len(draws))
        choices = tuple(self.answer(call, draw) for draw in draws)
        await journal.answered(number, Reply(choices, "made-up", price=0.1 * len(draws)))
        return choices


def test_what_may_be_spent_is_the_wholes(study, tmp_path):
    spent = 0.0
    listed, options = [study / "faces.csv"], {"model": Priced(), "max_cost": 1.0, "concurrency": 1}
    for number in (1, 2, 3):
        items = len(rows(study / f"{number}" / "items.jsonl"))
        summary = annotated(listed, tmp_path / f"{number}", f"{number}/3", **options)
        share = f"could exceed the share of --max-cost that shard {number}/3 has, {items / 12:g} USD"
        assert share in summary.stopped
        assert 0 < summary.totals.spent + summary.totals.perhaps <= items / 12
        spent += summary.totals.spent
    folders = [tmp_path / f"{number}" for number in (1, 2, 3)]
    total = json.loads(runs("status", *folders, "--json").stdout)["total"]
    assert total["spent"] == pytest.approx(spent)
    # What shards have left over is there for the whole.
    merge_runs(folders, tmp_path / "m", knowledge=ONE_QUESTION)
    summary = annotated(listed, tmp_path / "m", **options)
    assert "could exceed --max-cost 1:" in summary.stopped
    assert spent < summary.totals.spent <= 1.0


@pytest.mark.slow
def test_items_of_shards_that_wait_for_people(tmp_path):
    (tmp_path / "coder.yaml").write_text(OVERLAY)
    folder = pictures(tmp_path / "faces", 3)
    options = {"observer": "gpt-4o", "base": tmp_path / "coder.yaml"}
    parts = ["1/2", "2/2"]

    def joined(name, given_answers):
        place = tmp_path / name
        whole = annotated(folder, place / "whole", answers=given_answers, **options)
        for part in parts:
            annotated(folder, place / part[0], part, answers=given_answers, **options)
        folders = [place / part[0] for part in parts]
        again = {"knowledge": tmp_path / "coder.yaml", "answers": given_answers}
        summary = merge_runs(folders, place / "m", **again)
        same_records(place / "whole", place / "m")
        assert (summary.waiting, summary.finished) == (whole.waiting, whole.finished)
        return folders, summary

    _, summary = joined("first", None)
    assert summary.waiting
    answers = [look(record, 0) for record in waiting_of(tmp_path / "first" / "m")]
    folders, _ = joined("then", answers)
    with pytest.raises(SekeError, match=rf"had {len(answers)} answers of human before, and now has 0"):
        merge_runs(folders, tmp_path / "n", knowledge=tmp_path / "coder.yaml")


@pytest.mark.slow
def test_limits_of_means_and_scales_are_those_of_the_whole(tmp_path):
    """Numbers on another scale are all in one shard: only together are they enough for all answers."""
    folder = pictures(tmp_path / "faces", 80)
    names = [f"f{i}" for i in range(80)]
    outside = [name for name in names if shard_of(name, 2) == 0][:15]
    recorded = []
    for name in names:
        answer = {"expression": ["happiness", "surprise", "neutral"], "action_units": ["AU6", "AU12"]}
        answer |= {"valence": 5.0 if name in outside else 0.5, "arousal": 0.0}
        recorded.append({"item": name, "question": "joint", "draw": 0, "text": json.dumps(answer)})
    options = {"base": SMALL_FACES, "strategy": "fixed:1", "model": RecordedModel(recorded)}
    annotated(folder, tmp_path / "whole", **options)
    for number in (1, 2):
        annotated(folder, tmp_path / f"{number}", f"{number}/2", **options)
    parts = [tmp_path / "1", tmp_path / "2"]
    summary = merge_runs(parts, tmp_path / "m", knowledge=SMALL_FACES)
    same_records(tmp_path / "whole", tmp_path / "m")
    assert summary.facts["thresholds"]
    assert all("valence" not in row for row in rows(tmp_path / "m" / "samples.jsonl"))
    assert any("valence" in row for row in rows(tmp_path / "2" / "samples.jsonl"))
