"""seke review: tasks out, answers in, decisions anew; each format, and what goes wrong."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from review_runs import made_faces, run_of, scripted_answers, write_answers
from small_study import SMALL_FACES, small_base

import seke
from engine import SekeError, certificates_yaml
from engine.model.guarantee import ANY, PARTS, Asked, Certificate, Design, Guarantee
from seke.cli.main import main
from seke.inference.session import Session
from seke.review.answers import ReviewAnswer, observer_name, samples_of, value_of
from seke.review.decide import redecide
from seke.review.review_run import ReviewRun
from seke.review.tasks import ReviewTask, read_tasks, reviewer_like

COUNT = 14
review_export = partial(seke.review_export, knowledge=SMALL_FACES)
review_import = partial(seke.review_import, knowledge=SMALL_FACES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of made-up faces, a person's look at each, and the truth."""
    samples, looks, truth = made_faces(COUNT, seed=1, base=small_base())
    return run_of(tmp_path_factory.mktemp("made") / "run", samples, small_base()), looks, truth


@pytest.fixture
def run(made, tmp_path):
    """A copy of that run, of which nothing was exported."""
    shutil.copytree(made[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def asked_of(made, tmp_path_factory):
    """A copy of that run, whose questions were exported as a page."""
    folder = tmp_path_factory.mktemp("asked")
    shutil.copytree(made[0], folder / "run")
    review_export(folder / "run", folder / "t.html", "page")
    return folder / "run"


@pytest.fixture
def exported(asked_of, tmp_path):
    """A copy of that one."""
    shutil.copytree(asked_of, tmp_path / "run")
    return tmp_path / "run"


def review(command, *arguments, status=0):
    """Run `seke review`; where arguments name another base, that is the one."""
    words = ["review", command, "-k", SMALL_FACES, *arguments]
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == status, result.output
    return result


def tasks_of(run):
    return list(read_tasks(run / "review" / "tasks.jsonl").values())


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Tasks --------------------------------------------------------------------------------------------


def test_tasks_come_by_gain_per_minute_and_fit_into_the_budget(run, tmp_path):
    whole = review_export(run, tmp_path / "all.csv", "csv")
    tasks = tasks_of(run)
    rates = [task.gain / task.minutes for task in tasks]
    assert rates == sorted(rates, reverse=True)
    assert len({task.item for task in tasks}) == len(tasks) == whole.tasks > 12
    budget = sum(task.minutes for task in tasks[:7])
    some = review_export(run, tmp_path / "some.csv", "csv", budget=budget)
    assert some.tasks == 7
    assert some.minutes == pytest.approx(budget, abs=0.05)


def test_parts_share_the_tasks_in_turn(run, tmp_path):
    review_export(run, tmp_path / "all.csv", "csv")
    whole, by_part = [task.item for task in tasks_of(run)], []
    for number in (1, 2, 3):
        (run / "review" / "tasks.jsonl").unlink()
        review("export", run, "--to", "csv", "-o", tmp_path / f"p{number}.csv", "--part", f"{number}/3")
        by_part.append([task.item for task in tasks_of(run)])
    assert by_part == [whole[0::3], whole[1::3], whole[2::3]]


def test_minutes_are_those_of_the_questions_costs(run, tmp_path):
    review_export(run, tmp_path / "all.csv", "csv", minutes=2.5)
    questions = small_base().questions
    assert all(task.minutes == pytest.approx(2.5 * questions[task.question].cost) for task in tasks_of(run))


def test_the_blind_share_is_drawn_by_the_seed_and_recorded(run, tmp_path):
    for blind, shown in ((0.0, COUNT), (1.0, 0)):
        exported = review_export(run, tmp_path / f"t{shown}.csv", "csv", blind=blind)
        assert exported.tasks - exported.blind == (exported.tasks if shown else 0)
    (run / "review" / "tasks.jsonl").unlink()
    first = review_export(run, tmp_path / "first.csv", "csv", blind=0.5, seed=1)
    kept = tasks_of(run)
    assert 0 < first.blind < first.tasks
    assert [task.shown for task in kept] != [True] * len(kept)
    review_export(run, tmp_path / "again.csv", "csv", blind=0.5, seed=1)
    assert tasks_of(run) == kept  # the same seed, the same tasks
    assert all((task.given == task.prediction) == task.shown for task in kept)


def test_a_prediction_is_what_the_run_holds_for_likeliest(run, tmp_path):
    review_export(run, tmp_path / "all.csv", "csv")
    assert {small_base().variables[name].kind for name in predicted_names(run)} == {
        "categorical",
        "interval",
        "binary",
    }


@pytest.mark.slow
def test_each_value_of_many_predictions_is_what_the_run_holds_for_likeliest(tmp_path):
    """Of the shipped base with all its units."""
    run = run_of(tmp_path / "run", made_faces(24, seed=1)[0])
    seke.review_export(run, tmp_path / "all.csv", "csv")
    assert len(predicted_names(run)) > 50


def predicted_names(run):
    """Return the variable of every value predicted, each checked against the run's record of its item."""
    records, names = {record["item"]: record for record in rows(run / "posteriors.jsonl")}, []
    for task in tasks_of(run):
        record = records[task.item]
        for name, value in task.prediction.items():
            if name == "expression":
                assert record["expression"][value] == max(record["expression"].values())
            elif name in ("valence", "arousal"):
                assert value == pytest.approx(record[name]["mean"], abs=0.05)
            else:
                assert value == (record["action_units"][name] >= 0.5)
            names.append(name)
    return names


# Answers in ---------------------------------------------------------------------------------------


def test_page_answers_become_samples_and_the_run_is_decided_anew(made, run, tmp_path):
    review("export", run, "--to", "page", "-o", tmp_path / "t.html", "--blind", 0.5)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    tasks = tasks_of(run)
    answers = list(scripted_answers(tasks, made[1], "Anna"))
    answers[0] |= {"status": "not_judged", "values": {}}
    answers[1] |= {"status": "refused", "values": {}}
    file = write_answers(tmp_path / "a.jsonl", answers)
    facts = json.loads(review("import", file, "--run", run, "--json").stdout)
    assert (facts["new"], facts["changed"], facts["same"]) == (len(tasks), 0, 0)
    assert facts["statuses"] == {"ok": len(tasks) - 2, "refused": 1, "not_judged": 1}
    assert facts["people"].keys() == {"annotator-anna"}
    assert sum(facts["items"].values()) == COUNT
    # The run itself is as it was.
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    samples = [row for row in rows(run / "review" / "samples.jsonl") if row["observer"] == "annotator-anna"]
    by_item = {row["item"]: row for row in samples}
    assert by_item[answers[0]["item"]]["status"] == "not_judged"
    assert by_item[answers[1]["item"]]["status"] == "refused"
    for task in tasks[2:]:
        assert by_item[task.item]["reports"].keys() == set(task.asks)
        assert by_item[task.item].get("given", {}) == task.given
    base = seke.knowledge(run / "review" / "annotators.yaml")
    assert base.observers["annotator-anna"].people
    assert set(base.observers["annotator-anna"].echo) == set(base.questions)
    # What is written is what `seke infer` makes of the same samples with that base.
    records = {record["item"]: record for record in rows(run / "review" / "posteriors.jsonl")}
    inferred = list(
        seke.infer(run / "review" / "samples.jsonl", knowledge=run / "review" / "annotators.yaml")
    )
    for record in inferred:
        assert record["expression"] == pytest.approx(records[record["item"]]["expression"], abs=1e-5)


def test_a_person_who_answered_in_the_run_answers_in_its_review_too(made, tmp_path):
    """Her answer to the same question is a further draw of hers."""
    samples, looks, _ = made_faces(4, seed=2, base=small_base())
    item = samples[0]["item"]
    earlier = {"item": item, "observer": "human", "question": "joint", "draw": 0, "view": "face"}
    run = run_of(tmp_path / "run", [*samples, earlier | {"reports": looks[item]}], small_base())
    task = {"task": "t", "item": item, "question": "joint", "annotator": "human", "values": looks[item]}
    opened = ReviewRun.open(run, SMALL_FACES)
    redecide(opened, [ReviewAnswer(**task)])
    stored = [row for row in rows(run / "review" / "samples.jsonl") if row["observer"] == "human"]
    assert [(row["draw"], row.get("extra", {}).get("task")) for row in stored] == [(0, None), (1, "t")]
    again = seke.infer(run / "review" / "samples.jsonl", knowledge=run / "review" / "annotators.yaml")
    records = {record["item"]: record for record in rows(run / "review" / "posteriors.jsonl")}
    assert {record["item"]: record["expression"] for record in again}[item] == pytest.approx(
        records[item]["expression"], abs=1e-5
    )


def test_a_blind_answer_is_held_against_what_was_believed_without_it(made, run, tmp_path):
    review("export", run, "--to", "page", "-o", tmp_path / "t.html", "--blind", 1.0)
    before = {task.key: task.prediction for task in tasks_of(run)}
    file = write_answers(tmp_path / "a.jsonl", list(scripted_answers(tasks_of(run), made[1], "Anna")))
    agreements = json.loads(review("import", file, "--run", run, "--json").stdout)["agreements"]
    review("export", run, "--to", "page", "-o", tmp_path / "t.html", "--blind", 1.0)
    assert before.items() <= {task.key: task.prediction for task in tasks_of(run)}.items()
    assert json.loads(review("import", file, "--run", run, "--json").stdout)["agreements"] == agreements


def test_a_declared_person_is_learned_however_her_tables_were_declared(tmp_path):
    """What is learned is a table of answers; a base, as from a calibration, may have another form."""
    base, (samples, looks, _) = small_base(), made_faces(4, seed=2, base=small_base())
    table = f"observers.human.categorical.{base.root}"
    path = tmp_path / "base.yaml"
    path.write_text(
        f"extends: {SMALL_FACES}\nremove: [{table}.confusion]\n"
        "observers:\n  human:\n    source: judgement\n    note: made up\n"
        f"    categorical: {{{base.root}: {{accuracy: 0.8}}}}\n",
        "utf-8",
    )
    opened = ReviewRun.open(run_of(tmp_path / "run", samples, seke.knowledge(path)), path)
    shared = {"question": "joint", "annotator": "human"}
    answers = [ReviewAnswer(task=name, item=name, values=looks[name], **shared) for name in opened.items]
    redecide(opened, answers)
    learned = seke.knowledge(opened.path / "annotators.yaml").observers["human"].labels[base.root]
    assert learned.confusion
    assert all(sum(row) == pytest.approx(1) for row in learned.confusion)


def test_what_was_certified_without_the_annotators_is_refused_with_them(tmp_path):
    """As `seke infer` refuses it: another observer changes what items look like to all."""
    base, (samples, looks, _) = small_base(), made_faces(6, seed=2, base=small_base())
    certificate = Certificate(base.root, ANY, 0.3, 100, 2, 0.1, 0.06, 100, 0.9, 0.1)
    design = Design(adaptive=False, least=2, most=2, readings=(Asked("gpt-4o", "joint", "face", 2, 2),))
    made = {"items": 100, "made": "2025-11-25", "assumptions": (), "design": design}
    guarantee = Guarantee(
        (certificate,),
        0.1,
        0.1,
        "item",
        Session.open(base).inference.population,
        {part: base.digests[part] for part in PARTS},
        **made,
    )
    certified = tmp_path / "certified.yaml"
    certified.write_text(
        f"extends: {SMALL_FACES}\n{certificates_yaml(guarantee, next(iter(base.sources)))}", "utf-8"
    )
    run = run_of(tmp_path / "run", samples, seke.knowledge(certified))
    opened = ReviewRun.open(run, certified)
    assert opened.session.guarantee is not None
    item = samples[0]["item"]
    task = {"task": "t", "item": item, "question": "joint", "annotator": "annotator-a", "values": looks[item]}
    outcome = redecide(opened, [ReviewAnswer(**task)])
    assert any("the guarantee is refused: observers changed" in note for note in outcome.notes)
    summary = json.loads((run / "review" / "summary.json").read_text())
    assert summary["promises"] == []
    assert summary["refused"][0].startswith("observers changed since it was made")
    kept = {
        record["item"]: record["decision"]["levels"] for record in rows(run / "review" / "posteriors.jsonl")
    }
    with pytest.warns(UserWarning, match="refused: observers changed"):
        inferred = list(
            seke.infer(run / "review" / "samples.jsonl", knowledge=run / "review" / "annotators.yaml")
        )
    for record in inferred:
        levels, reviewed = record["decision"]["levels"], kept[record["item"]]
        accepted = {name for name in levels if levels[name]["decision"] == "accept"}
        assert accepted == {name for name in reviewed if reviewed[name]["decision"] == "accept"}


def test_the_same_file_twice_changes_nothing_and_a_changed_answer_replaces(made, exported, tmp_path):
    answers = list(scripted_answers(tasks_of(exported)[:10], made[1], "anna"))
    file = write_answers(tmp_path / "a.jsonl", answers)
    review_import([file], exported)
    before = files_of(exported / "review")
    again = review_import([file, file], exported)
    assert (again.new, again.changed, again.same) == (0, 0, 10)
    assert files_of(exported / "review") == before
    answers[3] |= {"status": "not_judged", "values": {}}
    changed = review_import([write_answers(tmp_path / "a.jsonl", answers)], exported)
    assert (changed.new, changed.changed, changed.same) == (0, 1, 9)
    assert len(rows(exported / "review" / "answers.jsonl")) == 10


def test_later_commands_take_the_review_as_a_run(made, exported, tmp_path):
    answers = scripted_answers(tasks_of(exported), made[1], "anna")
    review_import([write_answers(tmp_path / "a.jsonl", answers)], exported)
    base = exported / "review" / "annotators.yaml"
    assert seke.report(exported / "review", base).items == COUNT
    data = seke.export(exported / "review", tmp_path / "data", knowledge=base, uncalibrated=True)
    assert data.items > 0
    for attempt in (seke.report, lambda folder: seke.export(folder, tmp_path / "none", uncalibrated=True)):
        with pytest.raises(SekeError, match="made with knowledge") as refused:
            attempt(exported / "review")
        assert f"name its base with -k {base}" in str(refused.value)
    assert not (tmp_path / "none").exists()


def test_the_table_is_filled_in_by_hand(made, run, tmp_path):
    review("export", run, "--to", "csv", "-o", tmp_path / "t.csv", "--blind", 0)
    with (tmp_path / "t.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    asked = {task.key: task for task in tasks_of(run)}
    table.sort(key=lambda row: "AU1" not in asked[row["task"]].asks)
    for row in table[:6]:
        task = asked[row["task"]]
        assert row["believed"]
        for name in task.asks:
            value = made[1][task.item][name]
            row[name] = {True: "x", False: "0"}.get(value, value) if isinstance(value, bool) else value
        if "expression" in task.asks:
            row["expression"] = f" {row['expression'].title()} "
    table[6]["status"], table[7]["status"] = "refused", "not_judged"
    units = table[0]
    units["AU1"] = "?"
    with (tmp_path / "filled.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    assert (
        "name the person with --annotator"
        in review("import", tmp_path / "filled.csv", "--run", run, status=2).output
    )
    facts = json.loads(
        review("import", tmp_path / "filled.csv", "--run", run, "--annotator", "ben", "--json").stdout
    )
    assert facts["statuses"] == {"ok": 6, "refused": 1, "not_judged": 1}
    kept = {answer["task"]: answer for answer in rows(run / "review" / "answers.jsonl")}
    assert kept[units["task"]]["values"]["AU1"] is None
    for row in table[:6]:
        for name, value in kept[row["task"]]["values"].items():
            assert value is None or value == made[1][row["item"]][name]


# Faults -------------------------------------------------------------------------------------------


def test_a_fault_names_place_value_and_what_is_allowed_and_nothing_is_written(made, exported, tmp_path):
    tasks = tasks_of(exported)
    whole = next(task for task in tasks if task.question == "joint")
    before = files_of(exported)
    (good,) = scripted_answers([whole], made[1], "anna")
    file = tmp_path / "a.jsonl"
    for changed, message in (
        (
            {"values": {"expression": "agner"}},
            "a.jsonl:1: item .*: expression: met 'agner' .*; did you mean anger",
        ),
        ({"values": {"valence": 1.5}}, r"valence: met 1.5 \(a number\); allowed is a number from -1 to 1"),
        ({"values": {"AU1": "yes"}}, "AU1: met 'yes' .*; allowed is true, false or null"),
        ({"values": {"brows": True}}, "brows: is not asked; the task asks about expression, valence"),
        ({"task": "0" * 12}, "task '000000000000' was not exported from this run"),
        ({"item": "elsewhere"}, "a.jsonl:1: is of another run: none of its 1 answers .*'elsewhere'"),
        ({"status": "maybe"}, "a.jsonl:1: status: is missing or is not what the page writes"),
        ({"shown": None}, "a.jsonl:1: shown: is missing"),
        ({"annotator": ""}, "does not say who answered; name the person with --annotator"),
    ):
        write_answers(file, [{**good, **changed}])
        with pytest.raises(SekeError, match=message):
            review_import([file], exported)
    other = next(task for task in tasks if task.item != whole.item)
    write_answers(file, [{**good, "item": other.item}])
    with pytest.raises(SekeError, match=f"task {whole.key} is about item {whole.item}"):
        review_import([file], exported)
    file.write_text(json.dumps(good)[:40])
    with pytest.raises(SekeError, match=r"a.jsonl:1"):
        review_import([file], exported)
    assert files_of(exported) == before


def test_items_that_the_run_lacks_are_named_and_the_rest_counts(made, exported, tmp_path):
    good, strange = scripted_answers(tasks_of(exported)[:2], made[1], "anna")
    file = write_answers(tmp_path / "a.jsonl", [good, {**strange, "item": "elsewhere"}])
    output = review("import", file, "--run", exported).output
    assert "left out: answers about 1 items that the run lacks: elsewhere" in output
    assert "answers: 1 new" in output


def test_a_changed_base_between_export_and_import_is_refused(made, exported, tmp_path):
    path = exported / "review" / "tasks.jsonl"
    answers = list(scripted_answers(tasks_of(exported)[:1], made[1], "anna"))
    path.write_text(path.read_text().replace(small_base().digest, "0123456789abcdef"))
    with pytest.raises(
        SekeError,
        match=r"exported with knowledge small-faces 0123456789abcdef, this is small-faces .*export again",
    ):
        review_import([write_answers(tmp_path / "a.jsonl", answers)], exported)
    assert not (exported / "review" / "answers.jsonl").exists()
    (tmp_path / "other.yaml").write_text("extends: shipped\nname: other\n")
    output = review(
        "export", exported, "--to", "csv", "-o", tmp_path / "t.csv", "-k", tmp_path / "other.yaml", status=2
    )
    assert "the run was made with knowledge small-faces" in output.output


def test_a_run_about_which_nothing_is_to_be_asked_says_so(run, tmp_path, monkeypatch):
    too_short = review(
        "export", run, "--to", "csv", "-o", tmp_path / "t.csv", "--budget", 0.01, status=2
    ).output
    assert "no task fits into 0.01 minutes; the shortest takes" in too_short
    items = rows(run / "items.jsonl")
    for item in items:
        item["path"] = str(tmp_path / "gone.png")
    (run / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    gone = review("export", run, "--to", "csv", "-o", tmp_path / "t.csv", status=2).output
    assert "no picture can be shown; the first is" in gone
    assert "gone.png" in gone
    assert not (run / "review").exists()
    assert not (tmp_path / "t.csv").exists()


def test_what_cannot_be_exported_is_refused(run, tmp_path):
    for arguments, message in (
        ((tmp_path, "--to", "csv", "-o", tmp_path / "t.csv"), "is not a finished run"),
        ((run, "--to", "csv", "-o", tmp_path / "t.html"), "the ending says the format: .csv"),
        ((run, "--to", "page", "-o", tmp_path / "no" / "t.html"), "its folder does not exist"),
        (
            (run, "--to", "csv", "-o", tmp_path / "t.csv", "--like", "gpt-4o"),
            "'gpt-4o' is not of people; those that are",
        ),
        ((run, "--to", "csv", "-o", tmp_path / "t.csv", "--like", "hmuan"), "did you mean human"),
        ((run, "--to", "csv", "-o", tmp_path / "t.csv", "--part", "3/2"), "there are parts 1 to 2"),
        ((run, "--to", "csv", "-o", tmp_path / "t.csv", "--part", "half"), "such as 1/2"),
    ):
        assert message in review("export", *arguments, status=2).output
    (tmp_path / "filled.csv").write_text("task,item\n")
    filled = (run, "--to", "csv", "-o", tmp_path / "filled.csv")
    assert "may hold answers" in review("export", *filled, status=2).output
    assert "no such file" in review("import", tmp_path / "a.jsonl", "--run", run, status=2).output
    (tmp_path / "a.txt").write_text("")
    assert "the ending says what it is" in review("import", tmp_path / "a.txt", "--run", run, status=2).output


# Names and values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotator", "name"),
    [
        ("7", "annotator-7"),
        ("Anna Ä.", "annotator-anna-45b6f7"),
        ("a@b.org", "annotator-a-b-org"),
        ("王", "annotator-3399a0"),
        ("李", "annotator-c16667"),
        ("?", "annotator-unnamed"),
        ("human", "human"),
        ("gpt-4o", "annotator-gpt-4o"),
    ],
)
def test_a_person_is_the_declared_observer_of_people_or_a_new_one(annotator, name):
    assert observer_name(small_base(), annotator) == name


def test_a_base_without_people_says_so():
    plants = seke.knowledge(Path(__file__).parents[3] / "examples" / "plants" / "knowledge")
    alone = replace(plants, observers={n: o for n, o in plants.observers.items() if not o.people})
    with pytest.raises(SekeError, match="has no observer of people: give one a `kind` with `people: true`"):
        reviewer_like(alone, None)
    assert reviewer_like(small_base(), None) == "human"


def test_two_answers_to_one_question_are_two_draws():
    """Checks of two units of one face are one reading's draws, in the order of what they are about."""
    answers = [
        ReviewAnswer(
            task=about, item="a", question="verify", annotator="b", about=about, values={about: True}
        )
        for about in ("AU4", "AU12")
    ]
    drawn = {row["extra"]["about"]: row["draw"] for row in samples_of(answers, "face")}
    assert sorted(drawn.values()) == [0, 1]


def test_a_value_is_checked_against_its_variable():
    base = small_base()
    fixed = {"about": None, "prediction": {}, "scores": {}, "shown": False, "minutes": 1.0, "gain": 1.0}
    task = ReviewTask(
        key="k", item="a", question="joint", asks=("expression", "valence", "AU1"), knowledge="", **fixed
    )
    assert value_of(base, task, "valence", 1) == (1.0, "")
    assert value_of(base, task, "AU1", None) == (None, "")
    assert value_of(base, task, "expression", "anger") == ("anger", "")
    for name, value in (("valence", True), ("valence", "1"), ("AU1", 1), ("expression", None), ("AU2", True)):
        assert value_of(base, task, name, value)[1]


def test_status_says_what_an_hour_would_bring(made, exported, tmp_path):
    ahead = json.loads(review("status", exported, "--ahead", 2, "--json").stdout)
    assert ahead["answers"] == {}
    assert ahead["exported"] == ahead["unanswered"] == len(tasks_of(exported))
    assert 0 < ahead["used"] <= 2
    assert ahead["after"] > ahead["accepted"]
    assert ahead["risk_after"] < ahead["risk"]
    # The minutes of a whole face are measured once ten answers are timed: 20 s each here.
    answers = list(scripted_answers(tasks_of(exported)[:11], made[1], "anna"))
    review_import([write_answers(tmp_path / "a.jsonl", answers)], exported)
    measured = seke.review_outlook(exported, 0.1, knowledge=SMALL_FACES)
    assert measured.measured
    costs = sorted(20 / 60 / small_base().questions[task.question].cost for task in tasks_of(exported)[:11])
    assert measured.minutes_each == pytest.approx(costs[5], abs=0.01)
    assert "annotator-anna 11" in review("status", exported, "--ahead", 0.1).output
