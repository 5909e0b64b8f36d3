"""seke bench run: what is asked, how answers count, going on, and a real server on this machine."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from server import Reply, Server, error, made_up
from small_study import ONE_QUESTION

import seke
from engine import SekeError
from seke.benchmarking.direct_questions import level_questions
from seke.benchmarking.prompt_trial import TrialStoppedError, prompt_trial
from seke.benchmarking.run import benchmark
from seke.cli.main import main
from seke.runs.batch_client import Batches
from seke.runs.ledger import status_of
from seke.vision.client import Endpoint
from seke.vision.failure_run import AFTER_AN_ANSWER
from seke.vision.fake import RecordedModel, ScriptedModel
from seke.vision.messages import Choice, Settings
from seke.vision.prices import Prices

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "annotate" / "faces.csv"
PLANTS = ROOT / "examples" / "plants" / "knowledge"
BASE = seke.knowledge()
UNITS = BASE.levels["action_units"]
MADE_UP = Settings("made-up", temperature=0.0, max_tokens=100)


def run(*args, status=0):
    result = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


def rows(folder):
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["item"]: row for row in csv.DictReader(file)}


def told(row):
    return {name: cell for name, cell in row.items() if cell and name != "item"}


@pytest.fixture
def faces(tmp_path):
    """A manifest of pictures, each with labels of some levels."""
    lines = ["path,item,source,expression,valence,arousal,AU1,AU12"]
    labels = ("fear,,,,", ",0.5,0.1,,", ",,,1,0", "happiness,0.8,0.2,0,1", ",,,,")
    for k, cells in enumerate(labels):
        Image.new("RGB", (24, 24), (40 * k, 90, 10)).save(tmp_path / f"f{k}.png")
        lines.append(f"f{k}.png,f{k},mine,{cells}")
    (tmp_path / "faces.csv").write_text("\n".join(lines))
    return tmp_path / "faces.csv"


def recording(answers):
    return RecordedModel(
        {"item": item, "question": level, **values} for (item, level), values in answers.items()
    )


def test_prompts_have_names_and_nothing_else_of_the_knowledge():
    for question in level_questions(BASE).values():
        text = question.prompt.text
        for variable in BASE.variables.values():
            assert not variable.description or variable.description not in text
            assert not any(words in text for words in variable.descriptions.values())
            assert str(variable.about.get("muscle", "no muscle")) not in text
        for rule in BASE.rules:
            assert not rule.statement or rule.statement not in text
    asked = level_questions(BASE)
    assert list(asked) == ["expression", "affect", "action_units"]
    assert all(state in asked["expression"].prompt.text for state in BASE.variables["expression"].states)
    assert all(f"{unit} {BASE.variables[unit].label}" in asked["action_units"].prompt.text for unit in UNITS)
    assert "from -1 to 1: valence, arousal" in asked["affect"].prompt.text


def test_another_world_than_faces_has_questions_too():
    base = seke.knowledge(PLANTS)
    asked = level_questions(base)
    members = {name for question in asked.values() for name in question.members}
    assert members == {name for name, variable in base.variables.items() if variable.kind != "derived"}


def test_a_picture_is_asked_about_what_it_has_labels_of_and_never_told_these(faces, tmp_path):
    job = benchmark(faces, tmp_path / "run", ScriptedModel())
    asked = {item.name: [question.level for question in job.questions_for(item)] for item in job.items}
    every = ["expression", "affect", "action_units"]
    assert asked == {"f0": every[:1], "f1": every[1:2], "f2": every[2:], "f3": every, "f4": every}
    assert job.call(job.items[0], job.questions["expression"]).prompt == job.questions["expression"].prompt


def test_answers_become_labels_and_what_is_none_stands_as_such(faces, tmp_path):
    model = recording(
        {
            ("f0", "expression"): {"text": '{"expression": " Fear"}'},
            ("f1", "affect"): {"text": '{"valence": 0.25, "arousal": "high"}'},
            ("f2", "action_units"): {"text": '{"action_units": ["AU1", "AU25"]}'},
            ("f3", "expression"): {"text": "It looks happy to me."},
            ("f3", "affect"): {"text": "", "refusal": "I cannot help with that."},
            ("f3", "action_units"): {"text": '{"action_units": ["AU99"]}'},
            ("f4", "expression"): {"text": '{"expression": "bored"}'},
            ("f4", "affect"): {"text": '{"valence": 0, "arousal": 0}', "finish": "content_filter"},
        }
    )
    summary = benchmark(faces, tmp_path / "run", model, problems=lambda _: None).run()
    predictions = rows(tmp_path / "run")
    assert told(predictions["f0"]) == {"expression": "fear"}
    assert told(predictions["f1"]) == {"valence": "0.25", "arousal": "unreadable"}
    assert told(predictions["f2"]) == {unit: str(int(unit in ("AU1", "AU25"))) for unit in UNITS}
    units = dict.fromkeys(UNITS, "unreadable")
    assert told(predictions["f3"]) == {
        "expression": "unreadable",
        "valence": "refused",
        "arousal": "refused",
        **units,
    }
    assert told(predictions["f4"]) == {"expression": "unreadable", "valence": "refused", "arousal": "refused"}
    assert summary.answers == {
        "expression": {"ok": 1, "refused": 0, "unreadable": 2, "unanswered": 0},
        "affect": {"ok": 0, "refused": 2, "unreadable": 1, "unanswered": 0},
        "action_units": {"ok": 1, "refused": 0, "unreadable": 1, "unanswered": 1},
    }
    assert not summary.finished
    report = seke.score(tmp_path / "run" / "predictions.csv", faces, sources="source", bootstrap=0)
    (card,) = report.facts["predictions"]
    assert card["variables"]["expression"]["scores"]["accuracy"]["value"] == 0.5
    assert card["variables"]["expression"]["void"] == {"refused": 0, "unreadable": 1}
    assert card["variables"]["AU12"]["scores"]["accuracy"]["value"] == 0.5
    assert card["sources"][0]["variables"]["AU1"]["void"]["unreadable"] == 1


def test_a_run_goes_on_where_it_stopped_and_repeats_nothing(faces, tmp_path):
    class Dying(ScriptedModel):
        remaining = 4

        async def ask(self, call, journal):
            self.remaining -= 1
            if self.remaining < 0:
                raise RuntimeError("gone")
            return await super().ask(call, journal)

    with pytest.raises(RuntimeError):
        benchmark(faces, tmp_path / "run", Dying(), settings=MADE_UP, concurrency=1).run()
    assert status_of(tmp_path / "run")[2].answers == 4
    assert not (tmp_path / "run" / "predictions.csv").exists()
    summary = benchmark(faces, tmp_path / "run", ScriptedModel(), settings=MADE_UP).run()
    assert (summary.finished, summary.totals.requests, summary.totals.answers) == (True, 9, 9)
    whole = benchmark(faces, tmp_path / "other", ScriptedModel(), settings=MADE_UP).run()
    assert rows(tmp_path / "run") == rows(tmp_path / "other")
    assert whole.answers == summary.answers
    again = benchmark(faces, tmp_path / "run", ScriptedModel(), settings=MADE_UP).run()
    assert again.totals.requests == 9
    replayed = benchmark(faces, tmp_path / "third", RecordedModel.read(tmp_path / "run" / "answers.jsonl"))
    assert replayed.run().finished
    assert rows(tmp_path / "third") == rows(tmp_path / "run")


def test_a_batch_answers_as_single_requests_do_and_goes_on_after_an_end(faces, tmp_path):
    class Gone(Batches):
        """Dies while its batch is on its way."""

        async def _conclude(self, *_):
            raise RuntimeError("gone")

    async def gone_on(kind, folder, server):
        options = {} if kind is Endpoint else {"quiet": 0.1, "poll": 0.02}
        model = kind(MADE_UP, base_url=server.url, prices=Prices(2.0, 8.0), **options)
        return await asyncio.to_thread(benchmark(faces, tmp_path / folder, model, settings=MADE_UP).run)

    async def both():
        async with Server(lambda *_: Reply([GOOD])) as server:
            await gone_on(Endpoint, "single", server)
            with pytest.raises(RuntimeError, match="gone"):
                await gone_on(Gone, "batch", server)
            with pytest.raises(SekeError, match="batches are still open; continue with --batch"):
                await gone_on(Endpoint, "batch", server)
            summary = await gone_on(Batches, "batch", server)
            return summary, len(server.batches)

    summary, batches = asyncio.run(both())
    assert (summary.finished, summary.totals.answers, batches) == (True, 9, 1)
    assert rows(tmp_path / "batch") == rows(tmp_path / "single")
    single = status_of(tmp_path / "single")[2]
    assert summary.totals.spent == pytest.approx(single.spent / 2)


def test_another_run_in_the_folder_is_refused(faces, tmp_path):
    benchmark(faces, tmp_path / "run", ScriptedModel(), settings=MADE_UP).run()
    with pytest.raises(SekeError, match=r"another run is there \(model, settings\)"):
        benchmark(faces, tmp_path / "run", ScriptedModel(), settings=Settings("other")).run()
    words = ["annotate", EXAMPLE, "--run", tmp_path / "annotated", "-k", ONE_QUESTION, "--scripted"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    with pytest.raises(SekeError, match="another run is there"):
        benchmark(faces, tmp_path / "annotated", ScriptedModel(), settings=MADE_UP).run()


def test_a_picture_that_cannot_be_shown_stays_open(faces, tmp_path):
    (faces.parent / "f0.png").write_text("no picture")
    problems = []
    summary = benchmark(faces, tmp_path / "run", ScriptedModel(), problems=problems.append).run()
    assert summary.answers["expression"]["unanswered"] == 1
    assert "f0" in problems[0]
    assert told(rows(tmp_path / "run")["f0"]) == {}


GOOD = '{"expression": "fear", "valence": 0.5, "arousal": 0.5, "action_units": ["AU1"]}'


def over(script, faces, folder, **options):
    """Run against a server; return what was found and what the server saw."""

    async def go():
        async with Server(script) as server:
            model = Endpoint(MADE_UP, base_url=server.url, attempts=2, prices=Prices(1.0, 1.0))
            options.setdefault("problems", lambda _: None)
            job = benchmark(faces, folder, model, settings=MADE_UP, **options)
            return await asyncio.to_thread(job.run), server.seen

    return asyncio.run(go())


def test_a_server_is_asked_once_a_question_and_only_for_names(faces, tmp_path):
    summary, seen = over(lambda *_: Reply([GOOD]), faces, tmp_path / "run", max_cost=1.0)
    assert (summary.finished, len(seen)) == (True, 9)
    assert {(body["temperature"], body.get("n", 1)) for body in seen} == {(0.0, 1)}
    texts = {body["messages"][-1]["content"][1]["text"] for body in seen}
    assert texts == {question.prompt.text for question in level_questions(BASE).values()}
    schema = seen[0]["response_format"]["json_schema"]["schema"]
    assert schema["additionalProperties"] is False
    assert {prediction["expression"] for prediction in rows(tmp_path / "run").values()} == {"fear", ""}


def test_a_key_that_is_not_accepted_ends_the_run_with_what_came(faces, tmp_path):
    def script(number, _):
        return Reply([GOOD]) if number < 2 else error(401, "bad key")

    summary, _ = over(script, faces, tmp_path / "run", concurrency=1)
    assert "is not accepted" in summary.stopped
    assert (summary.totals.answers, summary.finished) == (2, False)
    again, seen = over(lambda *_: Reply([GOOD]), faces, tmp_path / "run")
    assert (len(seen), again.finished) == (7, True)


def test_money_ends_a_run(faces, tmp_path):
    summary, seen = over(lambda *_: Reply([GOOD]), faces, tmp_path / "run", max_cost=0.004, concurrency=1)
    assert "could exceed --max-cost" in summary.stopped
    assert 0 < len(seen) < 9
    assert summary.totals.spent <= 0.004


def test_the_command_runs_scores_and_forecasts(tmp_path):
    options = ["--images", EXAMPLE, "--run", tmp_path / "run", "--scripted"]
    assert "12 questions" in run("run", *options, "--dry-run").stdout
    assert json.loads(run("run", *options, "--dry-run", "--json").stdout)["questions"]["expression"] == 6
    assert "Which of these names fits" in run("run", *options, "--show-prompts").stdout
    assert not (tmp_path / "run").exists()
    result = run("run", *options)
    assert "expression: 6 ok" in result.stdout
    assert "score it: seke bench score" in result.stderr
    summary = json.loads(run("run", *options, "--json").stdout)
    assert (summary["finished"], summary["totals"]["answers"]) == (True, 12)
    assert "expression, 3 items" in run("score", tmp_path / "run" / "predictions.csv", EXAMPLE).stdout
    empty = tmp_path / "none.jsonl"
    empty.write_text("")
    recorded = ["--images", EXAMPLE, "--run", tmp_path / "b", "--recorded", empty]
    assert "expression: 0 ok, 6 unanswered" in run("run", *recorded, status=1).stdout


def test_pictures_leave_only_where_somebody_allows_it(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    options = [
        "--images",
        EXAMPLE,
        "--run",
        tmp_path / "run",
        "--model",
        "m",
        "--base-url",
        "http://example.invalid/v1",
    ]
    result = run("run", *options, status=2)
    assert "6 pictures will be sent to http://example.invalid/v1" in result.stderr
    assert "no terminal to ask on" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_list_says_of_others_what_it_can_say():
    question = level_questions(BASE)["action_units"]
    twice = question.values(question.read(Choice(0, '{"action_units": ["AU1", "AU1"]}', "stop")))
    assert (twice["AU1"], twice["AU2"]) == (1, 0)
    foreign = question.values(question.read(Choice(0, '{"action_units": ["AU1", "AU98"]}', "stop")))
    assert (foreign["AU1"], foreign["AU2"]) == (1, "unreadable")
    assert set(question.values(question.read(Choice(0, '{"action_units": []}', "stop"))).values()) == {0}


def test_variants_of_the_prompts_are_asked_at_a_real_server_and_its_tokens_are_told(faces, tmp_path):
    ablation = ROOT / "examples" / "ablation"
    texts = []

    def script(_, asked):
        content = asked["messages"][-1]["content"]
        texts.append(next(part["text"] for part in content if part["type"] == "text"))
        return Reply([made_up(asked)])

    async def compared():
        async with Server(script) as server:
            arguments = [ablation / "plain.yaml", "shipped", "--images", faces, "--run", tmp_path / "trial"]
            model = ["--model", "made-up", "--base-url", server.url, "--question", "joint", "--json"]
            return await asyncio.to_thread(run, "prompts", *arguments, *model, "--bootstrap", 0)

    facts = json.loads(asyncio.run(compared()).stdout)
    assert {name: variant["answers"] for name, variant in facts["variants"].items()} == {
        "plain": 5,
        "shipped": 5,
    }
    assert len(set(texts)) == 2
    assert facts["requests"]["plain"]["prompt_tokens"] > 0
    assert facts["stopped"] == ""


def trial_over(script, images, folder, *, batch=False, **given):
    """Ask two wordings at a server; return the facts of the report and what the server saw."""
    options = {"quiet": 0.1, "poll": 0.02} if batch else {"attempts": 1, "concurrency": 1}

    async def go():
        async with Server(script) as server:
            trial = prompt_trial(
                [ROOT / "examples" / "ablation" / "plain.yaml", "shipped"],
                images,
                folder,
                MADE_UP,
                ["joint"],
                **{"problems": lambda _: None, **given},
            )

            def model_of(_):
                kind = Batches if batch else Endpoint
                return kind(MADE_UP, base_url=server.url, prices=Prices(2.0, 8.0), **options)

            report = await asyncio.to_thread(trial.run, model_of, bootstrap=0)
            return report.facts, len(server.batches), len(server.seen)

    return asyncio.run(go())


def test_wordings_that_are_asked_in_batches_get_the_same_answers_for_less(faces, tmp_path):
    facts, batches, _ = trial_over(lambda *_: Reply([GOOD]), faces, tmp_path / "batch", batch=True)
    single, none, _ = trial_over(lambda *_: Reply([GOOD]), faces, tmp_path / "single")
    assert (batches, none) == (2, 0)
    for name in ("plain", "shipped"):
        assert facts["variants"][name]["answers"] == single["variants"][name]["answers"] == 5
        files = [(tmp_path / way / name / "samples.jsonl").read_text() for way in ("batch", "single")]
        lines = [sorted(text.splitlines()) for text in files]
        assert lines[0] == lines[1]
        spent = [report["requests"][name]["spent"] for report in (facts, single)]
        assert spent[0] == pytest.approx(spent[1] / 2)


def many_faces(tmp_path, count=60):
    lines = ["path,item", *(f"f.png,face-{k:02}" for k in range(count))]
    Image.new("RGB", (24, 24), (40, 90, 10)).save(tmp_path / "f.png")
    (tmp_path / "many.csv").write_text("\n".join(lines))
    return tmp_path / "many.csv"


def test_a_server_that_fails_again_and_again_ends_a_trial_with_its_words(tmp_path):
    images = many_faces(tmp_path)

    def answers_but(first, last):
        """A server that fails from one request to another."""
        down = error(500, "the model is not loaded")
        return lambda number, _: down if first <= number < last else Reply([GOOD])

    facts, _, seen = trial_over(answers_but(63, 999), images, tmp_path / "run", concurrency=1)
    assert "the model is not loaded" in facts["stopped"]
    # The first variant, three answers, and the failures in a row after which a run ends.
    assert seen == 60 + 3 + AFTER_AN_ANSWER
    assert facts["variants"]["shipped"]["answers"] == 3
    # The same command goes on, and ends.
    facts, _, seen = trial_over(answers_but(999, 999), images, tmp_path / "run", concurrency=1)
    assert (facts["stopped"], seen) == ("", 57)
    with pytest.raises(TrialStoppedError, match=r"the model is not loaded.*nothing can be compared yet"):
        trial_over(answers_but(0, 999), images, tmp_path / "none", concurrency=1)


@pytest.mark.parametrize(
    ("text", "words"), [("What a face!", "can be read"), ('{"face": "cannot be judged"}', "may blur faces")]
)
def test_a_trial_ends_where_no_answer_can_be_read_or_judges_anything(tmp_path, text, words):
    sent = []

    def script(*_):
        sent.append(text)
        return Reply([text])

    with pytest.raises(TrialStoppedError, match=words):
        trial_over(script, many_faces(tmp_path), tmp_path / "run", concurrency=1)
    assert len(sent) == 40


@pytest.mark.parametrize("count", [3, 44])
def test_numbers_on_another_scale_count_as_unreadable_in_all_answers(tmp_path, count):
    """Of answers from 1 to 9 every fourth lies within -1 to 1 by chance."""
    lines = ["path,item,valence,arousal", *(f"f{k}.png,f{k:02},0,0" for k in range(count))]
    for k in range(count):
        Image.new("RGB", (24, 24), (5 * k, 90, 10)).save(tmp_path / f"f{k}.png")
    (tmp_path / "faces.csv").write_text("\n".join(lines))
    near, far = '{"valence": 1, "arousal": 1}', '{"valence": 7, "arousal": 3}'
    texts = [near if k % 4 == 3 else far for k in range(count)]
    said, answers = [], iter(texts)

    def go():
        options = {"concurrency": 1, "problems": said.append}
        return over(lambda *_: Reply([next(answers)]), tmp_path / "faces.csv", tmp_path / "run", **options)

    summary, _ = go()
    words = (
        f"{texts.count(far)} of {count} answers of made-up to question affect have numbers outside -1 to 1"
    )
    assert any(f"{words}, such as 7" in note for note in summary.notes)
    assert any("They count as unreadable" in line for line in said)
    assert {row["valence"] for row in rows(tmp_path / "run").values()} == {"unreadable"}
    # Another process knows it, too.
    assert go()[0].notes == tuple(note.replace(", such as 7", "") for note in summary.notes)
