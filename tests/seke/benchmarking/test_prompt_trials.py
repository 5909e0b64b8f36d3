"""seke bench prompts: each known bias is found, the measures by hand, and a trial that goes on."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from thorough import examples

import seke
from engine import SekeError
from seke.benchmarking.prompt_comparison import compare_prompts
from seke.benchmarking.prompt_measures import LEAST_P, calibrated_losses
from seke.benchmarking.prompt_trial import prompt_trial
from seke.benchmarking.scripted_biases import Bias, BiasedModel
from seke.benchmarking.variant_answers import equal_budgets
from seke.cli.main import main
from seke.vision.messages import Settings

ABLATION = Path(__file__).parents[3] / "examples" / "ablation"
FACES, FEW, SETTINGS = 50, 10, Settings("scripted")
PLAIN, KNOWLEDGE = ABLATION / "plain.yaml", ABLATION / "knowledge.yaml"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A manifest of 50 faces of 25 people, with made-up gold of all levels that follows the base."""
    folder = tmp_path_factory.mktemp("faces")
    Image.new("RGB", (24, 24), (90, 90, 10)).save(folder / "face.png")
    simulated = seke.simulate(items=FACES, seed=3, questions=["joint"], draws=1)
    truth = [row for batch in simulated for row in batch.truth]
    rows = [{"path": "face.png", "group": f"person {number // 2}", **row} for number, row in enumerate(truth)]
    with (folder / "faces.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "faces.csv"


@pytest.fixture(scope="module")
def few(manifest):
    """The first of these faces, for all that is no question of statistics."""
    lines = manifest.read_text().splitlines(keepends=True)
    path = manifest.with_name("few.csv")
    path.write_text("".join(lines[: 1 + FEW]))
    return path


def asked(manifest, folder, bias, questions=("joint",), draws=1):
    """The measures of two variants, of which the second answers with a bias."""
    trial = prompt_trial([PLAIN, KNOWLEDGE], manifest, folder, SETTINGS, questions, draws=draws)
    truths = {item.name: item.labels for item in trial.items}
    biases = {"plain": Bias(), "knowledge": bias}
    models = {name: BiasedModel(trial.variants[name], biases[name], 0, truths) for name in biases}
    report = trial.run(models.get, bootstrap=400)
    return {
        (m["question"], m["measure"], m["about"]): m["variants"] for m in report.facts["measures"]
    }, report


def surely(estimates, sign):
    """Whether the interval of the second variant's difference lies on one side of 0."""
    difference = estimates["knowledge"]["difference"]
    low, high = difference["low"], difference["high"]
    return low > 0 if sign > 0 else high < 0


@pytest.mark.parametrize(
    ("bias", "found"),
    [
        (Bias(yes=0.15), [("yes if absent", "action_units", +1)]),
        (
            Bias(first=0.3),
            [("first option", "expression", +1), ("right", "expression", -1), ("log loss", "expression", +1)],
        ),
        (Bias(coupling=0.8), [("coupling excess", "expression", +1)]),
        (Bias(refusal=0.4), [("refused", "", +1), ("right", "expression", -1)]),
        pytest.param(Bias(refusal=0.2), [("refused", "", +1)], marks=pytest.mark.slow),
    ],
)
def test_fifty_faces_find_a_known_bias(manifest, tmp_path, bias, found):
    measures, _ = asked(manifest, tmp_path, bias)
    for measure, about, sign in found:
        assert surely(measures["joint", measure, about], sign)


def test_without_a_bias_nothing_differs(manifest, tmp_path):
    measures, report = asked(manifest, tmp_path, Bias())
    assert len(measures) >= 10
    for estimates in measures.values():
        assert estimates["knowledge"]["difference"]["value"] == 0
        assert estimates["knowledge"]["value"] == estimates["plain"]["value"]
    assert report.facts["units"] == FACES / 2
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert "no answer was refused" in lines


@pytest.mark.parametrize(
    ("faces", "yes"), [("few", 0.5), pytest.param("manifest", 0.2, marks=pytest.mark.slow)]
)
def test_yes_rates_stand_by_question_and_only_the_biased_one_differs(request, tmp_path, faces, yes):
    measures, report = asked(request.getfixturevalue(faces), tmp_path, Bias(yes=yes), ("joint", "verify"))
    assert surely(measures["joint", "yes", "action_units"], +1)
    assert surely(measures["verify", "yes if absent", "action_units"], +1)
    assert not surely(measures["joint", "yes if present", "action_units"], -1)
    # The scripted observer lists half as many wrong units as it confirms, one after another.
    apart = {(d["variant"], d["measure"]): d for d in report.facts["yes_by_question"]}
    plain = apart["plain", "yes if absent"]
    assert (plain["question"], plain["against"]) == ("verify", "joint")
    by_question = {
        q: measures[q, "yes if absent", "action_units"]["plain"]["value"] for q in ("joint", "verify")
    }
    assert plain["value"] == pytest.approx(by_question["verify"] - by_question["joint"], abs=2e-6)
    assert plain["low"] > 0
    assert "minus joint" in str(report)
    assert max(map(len, str(report).splitlines())) <= 80


def test_a_trial_goes_on_and_is_compared_again_from_its_files(few, tmp_path):
    first, report = asked(few, tmp_path, Bias(yes=0.2))
    again, repeated = asked(few, tmp_path, Bias(yes=0.9))
    assert again == first
    assert repeated.facts["requests"] == report.facts["requests"]
    more, longer = asked(few, tmp_path, Bias(yes=0.2), draws=2)
    assert longer.facts["variants"]["plain"]["answers"] == 2 * FEW
    assert more != first
    samples = {name: tmp_path / name / "samples.jsonl" for name in ("plain", "knowledge")}
    from_files = compare_prompts(samples, gold=few, groups="group", bootstrap=400)
    kept = {(m["question"], m["measure"], m["about"]): m["variants"] for m in from_files.facts["measures"]}
    assert kept == more


def test_another_wording_in_the_same_folder_is_refused(few, tmp_path):
    asked(few, tmp_path, Bias())
    (tmp_path / "knowledge").rename(tmp_path / "elsewhere")
    (tmp_path / "plain").rename(tmp_path / "knowledge")
    with pytest.raises(SekeError, match=r"another run is there \(prompts of\)"):
        asked(few, tmp_path, Bias())


BASE = """
name: shades
variables:
  shade: {kind: categorical, label: shade, states: {dark: dark, middle: middle, light: light}}
levels: {shade: [shade]}
priors:
  variable: shade
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
questions: {look: {reports: [shade], cost: 1, source: judgement, note: A unit.}}
policy: {source: judgement, note: A test., required: [shade], limits: {shade: 0.1}, worth: {shade: 1},
         budget: 9, conflict: 0.000001, batches: [1], ask: eye}
observers:
  eye:
    source: judgement
    note: A test.
    askable: true
    categorical: {shade: {accuracy: 0.6, repeat: 0.5, strength: 5}}
"""


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    path = tmp_path_factory.mktemp("base") / "shades.yaml"
    path.write_text(BASE)
    return seke.knowledge(path)


def answer(item, shade, draw=0, order=None, status="ok"):
    told = {"shade": shade} if shade else {}
    extra = {"extra": {"order": order}} if order else {}
    return {
        "item": item,
        "observer": "eye",
        "question": "look",
        "draw": draw,
        "status": status,
        **told,
        **extra,
    }


def measures(report):
    return {m["measure"]: m["variants"] for m in report.facts["measures"]}


def test_with_both_orders_what_is_common_cancels(shades):
    """Half of the answers take the first option, whatever it is; the others say dark, which is common."""
    fixed, reversed_ = ["dark", "light"], ["light", "dark"]
    blind = [answer("a", "dark", 0, fixed), answer("a", "dark", 1, reversed_)]
    biased = [
        *(answer("a", "dark", 0, fixed), answer("a", "dark", 1, fixed)),
        *(answer("a", "light", 2, reversed_), answer("a", "dark", 3, reversed_)),
    ]
    result = measures(compare_prompts({"blind": blind, "biased": biased}, shades))["first option"]
    assert result["blind"]["value"] == 0
    assert result["blind"]["basis"] == "both orders"
    # Held to as many answers: dark in the fixed order twice, so the biased one has one order only.
    assert result["biased"]["basis"] == "chance"
    doubled = [*blind, answer("a", "dark", 2, fixed), answer("a", "dark", 3, reversed_)]
    result = measures(compare_prompts({"blind": doubled, "biased": biased}, shades))["first option"]
    # (1 - 0) in the fixed order; in the reversed one half says light and half dark: 0. The mean is .5.
    assert result["biased"] == {
        "value": 0.5,
        "low": None,
        "high": None,
        "basis": "both orders",
        "difference": {"value": 0.5, "low": None, "high": None},
    }


def test_with_one_order_gold_or_chance_stands_against_it(shades):
    records = [answer("a", "dark"), answer("b", "dark"), answer("c", "light"), answer("d", "middle")]
    gold = [{"item": "a", "shade": "dark"}, {"item": "b", "shade": "light"}]
    alone = measures(compare_prompts({"x": records, "y": records}, shades))
    assert alone["first option"]["x"]["basis"] == "chance"
    assert alone["first option"]["x"]["value"] == pytest.approx(2 / 4 - 1 / 3, abs=1e-6)
    assert "right" not in alone
    known = measures(compare_prompts({"x": records, "y": records}, shades, gold))
    assert known["first option"]["x"]["basis"] == "gold"
    assert known["first option"]["x"]["value"] == pytest.approx(1 / 2)
    assert known["right"]["x"]["value"] == pytest.approx(1 / 2)


def test_a_refused_answer_is_wrong_and_counted(shades):
    gold = [{"item": "a", "shade": "dark"}, {"item": "b", "shade": "dark"}]
    good = [answer("a", "dark"), answer("b", "dark")]
    shy = [answer("a", "dark"), answer("b", None, status="refused")]
    result = measures(compare_prompts({"good": good, "shy": shy}, shades, gold))
    assert (result["refused"]["shy"]["value"], result["right"]["shy"]["value"]) == (0.5, 0.5)
    assert result["right"]["shy"]["difference"]["value"] == -0.5


def test_budgets_are_held_equal():
    def record(draw, item="a", about=None):
        extra = {"extra": {"about": about}} if about else {}
        return {"item": item, "question": "q", "draw": draw, **extra}

    many = [record(draw) for draw in (2, 0, 1)] + [record(0, "b")] + [record(0, about="x")]
    few = [record(0), record(1), record(0, about="y")]
    kept = equal_budgets({"many": many, "few": few})
    assert [r["draw"] for r in kept["many"]] == [0, 1]
    assert kept["few"] == few[:2]


def test_the_losses_are_those_of_a_table_counted_on_the_other_folds():
    """Two states; fold 1 is foretold from three items of fold 0, two answered rightly and one wrongly."""
    gold = np.array([0.0, 0.0, 1.0, 0.0, 1.0])
    shares = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 0]], dtype=float)
    folds = np.array([0, 0, 0, 1, 1])
    losses = calibrated_losses(shares, gold, 2, folds)
    base_rate = np.array([2 + 1, 1 + 1]) / 5
    right = (2 + 1) / (3 + 2)
    row = 2 * (right * np.array([1, 0]) + (1 - right) * base_rate) + np.array([2, 1])
    assert losses[3] == pytest.approx(-math.log(row[0] / row.sum()))
    assert losses[4] == pytest.approx(-math.log(base_rate[1]))


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=4, max_size=40))
def test_the_foretold_probabilities_are_probabilities(rows):
    gold, answered, folds = (np.array(column) for column in zip(*rows, strict=True))
    shares = np.eye(3)[answered]
    total = np.zeros(len(gold))
    for state in range(3):
        # Of the same answers with the gold of one item changed only that item's own loss is read.
        for item in range(len(gold)):
            changed = gold.astype(float).copy()
            changed[item] = state
            total[item] += math.exp(-calibrated_losses(shares, changed, 3, folds)[item])
    assert np.allclose(total, 1)
    assert (calibrated_losses(shares, gold.astype(float), 3, folds) <= -math.log(LEAST_P)).all()


def run(*args, status=0):
    result = CliRunner().invoke(main, ["bench", "prompts", *map(str, args)])
    assert result.exit_code == status, result.output
    return result


def test_the_command_asks_repeats_a_recording_and_says_what_is_wrong(few, tmp_path):
    common = (PLAIN, KNOWLEDGE, "--images", few, "--question", "expression", "--json", "--bootstrap", 50)
    live = json.loads(run(*common, "--run", tmp_path / "a", "--scripted", "--bias", "first=0.4").stdout)
    recorded = tmp_path / "a" / "answers.jsonl"
    result = run(*common, "--run", tmp_path / "b", "--recorded", recorded, "--forget-unanswered")
    assert json.loads(result.stdout)["measures"] == live["measures"]
    assert result.stderr.count("0 requests without an answer count as not paid") == 2
    forecast = json.loads(run(*common, "--run", tmp_path / "c", "--scripted", "--dry-run").stdout)
    assert (forecast["requests"], forecast["variants"]) == (2 * FEW, ["plain", "knowledge"])
    shown = run(*common, "--run", tmp_path / "c", "--scripted", "--show-prompts").stdout
    assert "--- plain: expression" in shown
    # All that differs between variants: what is told first, and the form.
    assert shown.count("told first, in all questions that follow\n") == 2
    assert '--- its form: {"type": "object"' in shown
    assert not (tmp_path / "c").exists()
    files = [tmp_path / "a" / name / "samples.jsonl" for name in ("plain", "knowledge")]
    run(*files, "--gold", few, status=2)
    for name, file in zip(("plain", "knowledge"), files, strict=True):
        (tmp_path / f"{name}.jsonl").write_bytes(file.read_bytes())
    again = run(tmp_path / "plain.jsonl", tmp_path / "knowledge.jsonl", "--gold", few, "--groups", "group")
    assert "right, expression" in again.stdout
    assert (
        "two variants or more"
        in run(PLAIN, *common[2:], "--run", tmp_path / "d", "--scripted", status=2).output
    )
    wrong = run(*common, "--run", tmp_path / "d", "--scripted", "--bias", "yess=0.2", status=2).output
    assert "did you mean yes" in wrong
    assert (
        "allowed is yes=SHARE"
        in run(*common, "--run", tmp_path / "d", "--scripted", "--bias", "yes=2", status=2).output
    )
    assert "--images" in run(PLAIN, KNOWLEDGE, "--scripted", status=2).output


def test_unanswered_questions_leave_the_comparison_and_the_status_says_so(few, tmp_path):
    common = (PLAIN, KNOWLEDGE, "--images", few, "--question", "expression", "--bootstrap", 0)
    run(*common, "--run", tmp_path / "a", "--scripted")
    lines = (tmp_path / "a" / "answers.jsonl").read_text().splitlines()
    (tmp_path / "some.jsonl").write_text("\n".join(lines[:-1]))
    shorter = run(*common, "--run", tmp_path / "b", "--recorded", tmp_path / "some.jsonl", status=1)
    assert f"{FEW - 1} items of" in shorter.stdout


def test_the_shipped_wordings_say_what_their_page_says(few, tmp_path):
    names = ("plain", "definitions", "knowledge")
    files = [ABLATION / f"{name}.yaml" for name in names]
    trial = prompt_trial(files, few, tmp_path, SETTINGS, ("joint", "expression", "action_units", "verify"))
    item, texts = trial.items[0], {}
    for name in names:
        for request in trial.requests(name, item.name):
            prompt = trial.prompt(name, request, item)
            texts[name, request.question] = prompt.system, prompt.text
    base = seke.knowledge()
    descriptions = [variable.description for variable in base.variables.values() if variable.description]
    told = [rule for rule in base.rules if rule.statement and rule.confidence >= 0.6]
    for (name, question), (system, text) in texts.items():
        assert any(words in system for words in descriptions) == (name != "plain")
        # A check of one unit offers its two sides, whichever is told first.
        assert name != "plain" or not any(words in text for words in descriptions)
        assert any(rule.statement in text for rule in told) == ((name, question) == ("knowledge", "joint"))
        usual = "AU6 cheek raiser" if question == "expression" else "happiness: AU12, AU25, AU6"
        tells = name == "knowledge" and question in ("joint", "expression")
        assert (usual in text) == tells
    assert "valence near 0.7, arousal near 0.3" in texts["knowledge", "joint"][1]
    schemas = {
        json.dumps(trial.prompt(name, request, item).schema)
        for name in names
        for request in trial.requests(name, item.name)
        if request.question == "joint"
    }
    assert len(schemas) == 1


def test_a_draw_that_is_missing_in_between_is_asked_for(few, tmp_path):
    common = (PLAIN, KNOWLEDGE, "--images", few, "--question", "expression", "--bootstrap", 0)
    run(*common, "--run", tmp_path / "a", "--scripted", "--draws", 3)
    lines = (tmp_path / "a" / "answers.jsonl").read_text().splitlines()
    (tmp_path / "some.jsonl").write_text("\n".join(line for line in lines if json.loads(line)["draw"] != 1))
    run(*common, "--run", tmp_path / "b", "--recorded", tmp_path / "some.jsonl", "--draws", 3, status=1)
    recorded = ("--recorded", tmp_path / "a" / "answers.jsonl", "--draws", 3)
    run(*common, "--run", tmp_path / "b", *recorded)
    assert (tmp_path / "b" / "answers.jsonl").read_text().splitlines() == lines
