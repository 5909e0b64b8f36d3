"""`seke plan`: its figures keep the laws of what is made up as it is believed, and are told as they are."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from scipy.stats import binomtest

import seke
from engine import Answers, Misfit, SekeError, prior_truth
from seke.cli.main import main
from seke.console.proportions import share
from seke.inference.session import Session
from seke.planning.gold import calibrate_on_gold
from seke.planning.kept_worth import _path_of, _read, kept_worth_of_gold
from seke.planning.plan import Variants
from seke.planning.plot import draw_plan
from seke.planning.table import percent, show
from seke.sampling.answerers import SimulatedSource
from seke.sampling.ceiling import ceiling
from tests.small_study import SMALL_FACES, small_base

EXAMPLES = Path(__file__).parents[3] / "examples"
PLANTS = EXAMPLES / "plants" / "knowledge"
GARDEN = EXAMPLES / "sprinkler" / "knowledge"
# Deviations, in standard errors, that chance brings about once in a million.
FAR = 5.0


def run(*args):
    return CliRunner(catch_exceptions=False).invoke(main, ["plan", *map(str, args)])


def variables(row):
    """Each variable's figures; a level of one variable has no others."""
    for level in row["levels"].values():
        yield from level.get("variables", {"": level}).values()


def excess(level):
    """How far more is wrong than was stated, in standard errors."""
    count, stated = level["wrong"]["of"], level["stated"]
    return (level["wrong"]["count"] - count * stated) / np.sqrt(count * stated * (1 - stated))


# Laws.


@pytest.fixture(scope="module")
def plans():
    """Plans of two bases that are not about faces, with many items, and one of faces."""
    many = {"limits": (0.25, 1, 4), "seed": 3}
    return {
        "plants": seke.plan(PLANTS, 100, fixed=(1, 3), **many),
        "garden": seke.plan(GARDEN, 300, fixed=(1, 3), **many),
        "faces": seke.plan(SMALL_FACES, 60, limits=(0.5, 1, 4), fixed=(2,), seed=3),
    }


@pytest.mark.parametrize("name", ["plants", "garden", "faces"])
def test_as_much_is_wrong_as_is_stated_however_it_was_asked(plans, name):
    """Whichever question comes next follows from the answers so far, and so changes no posterior's truth."""
    levels = [level for row in plans[name].rows for level in variables(row) if level["wrong"]["of"] > 20]
    assert len(levels) > 10
    gaps = [excess(level) for level in levels]
    assert max(map(abs, gaps)) < FAR
    assert abs(np.mean(gaps)) < 1
    for row in plans[name].rows:
        for level in row["levels"].values():
            if level["wrong"]["of"]:
                assert level["wrong"]["low"] <= level["wrong"]["share"] <= level["wrong"]["high"]


@pytest.mark.parametrize("name", ["plants", "garden", "faces"])
def test_looser_limits_accept_more_and_err_more(plans, name):
    rows = [row for row in plans[name].rows if row["design"] == "policy"]
    assert [row["limits"] for row in rows] == sorted(row["limits"] for row in rows)
    # Where less is asked, less is looked at, and of a level that nobody needs less is accepted.
    required = seke.knowledge(
        {"plants": PLANTS, "garden": GARDEN, "faces": SMALL_FACES}[name]
    ).policy.required
    for strict, loose in itertools.pairwise(rows):
        for level, stricter in ((level, strict["levels"][level]) for level in required):
            looser = loose["levels"][level]
            assert looser["accepted"]["high"] > stricter["accepted"]["low"]
            if stricter["wrong"]["of"] and looser["wrong"]["of"]:
                assert looser["wrong"]["high"] > stricter["wrong"]["low"]
                assert stricter["stated"] <= looser["stated"] + 0.01
    assert rows[-1]["accepted"]["share"] > rows[0]["accepted"]["share"] + 0.1


@pytest.mark.parametrize("base", [PLANTS, GARDEN], ids=["plants", "garden"])
def test_where_no_price_is_too_high_stricter_limits_need_more_calls(base):
    """A policy that weighs its price gives up on limits that are too strict; one that does not goes on."""
    known = seke.knowledge(base)
    worth = dict.fromkeys(known.policy.worth, 1e6)
    dear = replace(known, policy=replace(known.policy, worth=worth))
    rows = seke.plan(dear, 60, limits=(0.25, 1, 4), fixed=()).rows
    for strict, loose in itertools.pairwise(rows):
        error = np.hypot(strict["calls"]["error"], loose["calls"]["error"])
        assert strict["calls"]["mean"] > loose["calls"]["mean"] - 2 * error
    assert rows[0]["calls"]["mean"] > rows[-1]["calls"]["mean"] + 1


def test_budgets_are_kept_and_larger_ones_are_used():
    rows = seke.plan(PLANTS, 100, limits=(1,), budgets=(1, 2, 4), fixed=()).rows
    assert [row["budget"] for row in rows] == [1, 2, 4]
    assert [row["setting"] for row in rows] == [f"limits ×1, budget {budget}" for budget in (1, 2, 4)]
    means = [row["calls"]["mean"] for row in rows]
    assert means[0] == 1.0
    assert means == sorted(means)
    for row in rows:
        assert row["calls"]["q95"] <= row["budget"]
        assert sum(row["asked"].values()) == pytest.approx(row["calls"]["mean"], abs=1e-5)


def test_a_fixed_design_asks_all_the_same(plans):
    for row in plans["plants"].rows:
        if row["design"] == "fixed":
            count = row["answers"]
            assert row["calls"] == {"mean": count, "error": 0, "q05": count, "q95": count}
            assert row["asked"] == {"photo": count}
            assert row["accepted"]["share"] + sum(row["reasons"].values()) == pytest.approx(1, abs=1e-5)


def test_a_setting_says_the_same_whatever_stands_beside_it():
    alone = seke.plan(PLANTS, 15, limits=(1,), fixed=(2,)).rows
    beside = seke.plan(PLANTS, 15, limits=(1, 3), fixed=(2, 7)).rows
    assert [row for row in beside if row["setting"] in ("limits ×1", "2 × photo")] == list(alone)
    other = seke.plan(PLANTS, 15, limits=(1,), fixed=(2,), seed=1).rows
    assert list(other) != list(alone)


@pytest.mark.parametrize(
    "misfit",
    [Misfit(drift=1.0), Misfit(independent=True, drift=0.8)],
    ids=["drift", "independent and drift"],
)
@pytest.mark.parametrize(
    ("base", "items"),
    [(GARDEN, 200), pytest.param(None, 300, marks=pytest.mark.slow)],
    ids=["garden", "faces"],
)
def test_where_observers_are_otherwise_more_is_wrong_than_is_stated(base, items, misfit):
    # With half as many items chance alone leaves some seeds below the limit.
    (row,) = seke.plan(base, items, limits=(2,), fixed=(), misfit=misfit).rows
    assert max(excess(level) for level in row["levels"].values()) > 3


def test_a_wrong_prior_is_seen(tmp_path):
    stormy = tmp_path / "storm.yaml"
    note = "source: judgement, note: a trial"
    storm = f"{{p: {{cloudy: 0.95, clear: 0.05}}, {note}}}"
    stormy.write_text(f"extends: {GARDEN}\npriors: {{populations: {{storm: {storm}}}}}\n")
    plan = seke.plan(
        stormy, 300, limits=(2,), fixed=(), population="storm", truth_population="all-year", seed=2
    )
    assert plan.about["truth_population"] == "all-year"
    assert excess(plan.rows[0]["levels"]["sky"]) > 3


def test_another_observer_is_asked_where_one_is_named():
    (row,) = seke.plan(PLANTS, 50, limits=(1,), fixed=(), observers=["grower"]).rows
    base = seke.knowledge(PLANTS)
    observer = base.observers["grower"]
    prices = {name: question.cost * observer.cost for name, question in base.questions.items()}
    spent = sum(mean * prices[name] for name, mean in row["asked"].items())
    assert row["cost"]["mean"] == pytest.approx(spent, abs=1e-4)


# Shares.


@pytest.mark.parametrize(("count", "of"), [(0, 7), (3, 11), (40, 1000), (5, 5)])
def test_with_one_value_an_item_the_interval_is_exact(count, of):
    hits = (np.arange(of) < count)[:, None]
    interval = share(hits, np.ones((of, 1), dtype=bool))
    exact = binomtest(count, of).proportion_ci(0.95, method="exact")
    assert (interval["low"], interval["high"]) == pytest.approx(tuple(exact), abs=1e-6)
    assert (interval["count"], interval["of"]) == (count, of)
    assert interval["share"] == pytest.approx(count / of, abs=1e-6)


def test_values_that_go_together_count_once():
    hits = np.repeat((np.arange(30) < 9)[:, None], 4, axis=1)
    interval = share(hits, np.ones((30, 4), dtype=bool))
    exact = binomtest(9, 30).proportion_ci(0.95, method="exact")
    assert (interval["low"], interval["high"]) == pytest.approx(tuple(exact), abs=1e-6)
    assert (interval["count"], interval["of"]) == (36, 120)


def test_an_interval_of_values_in_items_holds_the_share_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        p = rng.beta(0.2 * 3, 0.8 * 3, 60)[:, None]
        among = rng.random((60, 5)) < 0.7
        interval = share(rng.random((60, 5)) < p, among)
        held += interval["low"] <= 0.2 <= interval["high"]
    assert 0.92 < held / 400 <= 0.995


def test_of_nothing_there_is_no_share():
    interval = share(np.ones((3, 1), dtype=bool), np.zeros((3, 1), dtype=bool))
    assert interval == {"share": None, "low": None, "high": None, "count": 0, "of": 0}


# What is printed and drawn.


def test_rows_are_json_lines_and_totals_are_scaled():
    result = run("-k", PLANTS, "--items", 20, "--limits", "1", "--fixed", "2", "--for", 1000, "--price", 0.5)
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["setting"] for row in rows] == ["limits ×1", "2 × photo"]
    for row in rows:
        total = row["total"]
        assert total["items"] == 1000
        assert total["calls"] == pytest.approx(1000 * row["calls"]["mean"], abs=0.01)
        assert total["cost_error"] == pytest.approx(1000 * row["cost"]["error"], abs=0.01)
        assert total["price"] == pytest.approx(500 * row["cost"]["mean"], abs=0.02)
    assert result.stderr.startswith("20 items made up (seed 0): the share accepted is known within ")
    assert "asked: app, grower, as declared; population" in result.stderr
    assert rows[0]["about"]["seed"] == 0
    assert rows[0]["about"]["observers"] == ["app", "grower"]
    again = run("-k", PLANTS, "--items", 20, "--limits", "1", "--fixed", "2", "--json")
    untold = [{key: value for key, value in row.items() if key != "total"} for row in rows]
    assert [json.loads(line) for line in again.stdout.splitlines()] == untold


def test_the_table_tells_of_every_setting_and_level(plans):
    wide, narrow = (Console(file=io.StringIO(), width=width) for width in (140, 80))
    for console in (wide, narrow):
        show(plans["faces"], console)
    text = wide.file.getvalue()
    for row in plans["faces"].rows:
        assert row["setting"] in text
    for word in ("whole items", "expression", "affect", "action units", "unresolvable", "joint"):
        assert word in text
    lines = narrow.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    heads = "calls wrong setting (5-95 %) cost level accepted (95 %) stated"
    assert " ".join(" ".join(lines[:2]).split()) == heads
    first = plans["faces"].rows[0]["levels"]["expression"]["accepted"]["share"]
    assert f" {percent(first)} " in next(line for line in lines if "expression" in line)


def test_the_picture_is_whole_in_every_form(plans):
    few = replace(plans["faces"], rows=plans["faces"].rows[:1])
    text = draw_plan(few, "svg").decode("utf-8")
    for word in ("whole items", "expression", "action units", "calls an item", "risk stated", "×0.5"):
        assert word in text
    garden = replace(plans["garden"], rows=plans["garden"].rows[:1])
    assert draw_plan(garden, "png").startswith(b"\x89PNG")
    assert draw_plan(garden, "pdf").startswith(b"%PDF")


def test_a_picture_is_written_beside_the_rows_and_is_the_same_again(tmp_path):
    args = ("-k", GARDEN, "--items", 30, "--limits", "0.2,1", "--fixed", "", "--plot", tmp_path / "p.svg")
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["design"] for line in result.stdout.splitlines()] == ["policy", "policy"]
    drawn = (tmp_path / "p.svg").read_bytes()
    assert drawn.startswith(b"<?xml")
    assert drawn == draw_plan(seke.plan(GARDEN, 30, limits=(0.2, 1), fixed=()), "svg")
    assert [path.name for path in tmp_path.iterdir()] == ["p.svg"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--question", "jont"), "no question is called 'jont'; did you mean joint?"),
        (("--question", "verify"), "verify is about one variable"),
        (("--observer", "gpt4o"), "no observer is called 'gpt4o'; declare it under `observers`"),
        (("--observer", "human"), "human cannot be asked: it is not `askable`"),
        (("--population", "wild"), "no population is called 'wild'"),
        (("--truth-population", "unifrm"), "no population is called 'unifrm'; did you mean uniform?"),
        (("--limits", "1,x"), "'x' is not a number; give one, or several with commas between them"),
        (("--limits", "0"), "0 is out of range; allowed is 0.001 to 1000"),
        (("--budget", "2.5"), "'2.5' is not a whole number"),
        (("--fixed", "0"), "0 is out of range; allowed is 1 to 1000"),
        (("--limits", "", "--fixed", ""), "nothing to plan"),
        (("--price", "0.1"), "needs the number of items: give it with --for"),
        (("--plot", "plan.gif"), "plan.gif: the ending says the format: .png, .svg, .pdf"),
        (("--plot", "no/such/plan.png"), "no/such/plan.png: its folder does not exist"),
        (("-k", EXAMPLES / "nowhere"), "there is no such file or folder"),
    ],
)
def test_what_cannot_be_planned_is_refused(args, words):
    result = run("--items", 2, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_numbers_are_checked_in_python_too():
    for bad in ({"limits": (0,)}, {"fixed": (0,)}, {"budgets": (0,)}, {"items": 0}):
        with pytest.raises(SekeError):
            seke.plan(PLANTS, **{"items": 2, **bad})


def test_where_no_level_is_required_every_item_is_accepted():
    base = seke.knowledge(PLANTS)
    easy = replace(base, policy=replace(base.policy, required=()))
    for row in seke.plan(easy, 20, limits=(1,), fixed=(1,)).rows:
        assert (row["accepted"]["count"], row["wrong"]["count"]) == (20, 0)


def test_a_base_that_asks_nobody_needs_an_observer():
    base = seke.knowledge(PLANTS)
    silent = replace(base, policy=replace(base.policy, ask="", others=()))
    with pytest.raises(SekeError, match="asks no observer; name one"):
        seke.plan(silent, 2)
    assert seke.plan(silent, 2, observers=["app"], limits=(1,), fixed=()).rows


# The ceiling, and what gold would buy.


@pytest.fixture(scope="module")
def plants():
    """A session of a base with a question about one variable, names of items, and who answers about them."""
    session = Session.open(seke.knowledge(PLANTS)).asking()
    names = [f"item-{number}" for number in range(50)]
    truth = prior_truth(session.inference, len(names), np.random.default_rng(0))
    source = SimulatedSource(session.inference, names, truth, 0)
    return session, names, source


def test_questions_about_one_variable_count_in_the_ceiling(plants):
    session, names, source = plants
    asked = []

    class Noting:
        def ask(self, requests):
            asked.extend(requests)
            return source.ask(requests)

    ceiling(session, names, Noting(), Answers.unasked(names))
    base = session.knowledge
    wanted = {
        (observer, question.name, about)
        for observer in (base.policy.ask, *base.policy.others)
        for question in base.questions.values()
        for about in (question.variables if question.about_one else (None,))
        if set([about] if about else question.variables) & set(base.observers[observer].instruments)
    }
    assert any(about for _, _, about in wanted)
    assert {(request.observer, request.question, request.about) for request in asked} == wanted
    assert len(asked) == len(wanted) * len(names)


def test_gold_is_followed_by_the_policy_that_the_plan_was_asked_for():
    """Whom a plan asks is not of the YAML, and no less so once the base is calibrated."""
    base = small_base()
    session = Session.open(replace(base, policy=replace(base.policy, ask="generic-vlm", budget=7))).asking()
    made_up = {"observers": (), "population": None, "misfit": Misfit()}
    ready = calibrate_on_gold(session, 4, made_up, 0, (base.root,)).knowledge
    assert (ready.policy.ask, ready.policy.budget) == ("generic-vlm", 7)
    (record,) = ready.fits
    assert {reading.observer for reading in record.readings} == {"generic-vlm"}
    assert all(set(reading.gold) == {base.root} for reading in record.readings)


def test_what_a_fit_aims_at_is_followed_too_and_goes_with_the_limits():
    session = Session.open(seke.knowledge(EXAMPLES / "plants" / "knowledge")).asking()
    made_up = {"observers": (), "population": None, "misfit": Misfit()}
    ready = calibrate_on_gold(session, 40, made_up, 0, ("rings",))
    policy = ready.knowledge.policy
    assert policy.aims
    assert policy.aims == policy.adaptive_aims
    assert policy.thresholds == policy.adaptive_thresholds
    half, whole = Variants((0.5, 1.0), (), (), None, (), ()).settings(ready)
    assert whole.policy.aims == policy.aims
    for name, risks in policy.aims.items():
        assert half.policy.aims[name] == pytest.approx([risk / 2 for risk in risks])
        assert half.policy.thresholds[name] == pytest.approx([risk / 2 for risk in policy.thresholds[name]])


def test_gold_alone_is_a_plan_and_names_are_checked():
    plan = seke.plan(GARDEN, 20, limits=(), fixed=(), gold=(4,))
    assert [row["setting"] for row in plan.rows] == ["4 gold"]
    with pytest.raises(SekeError, match="no variable is called 'rian'; did you mean rain"):
        seke.plan(GARDEN, 20, gold=(4,), gold_variables=("rian",))
    with pytest.raises(SekeError, match="give limits, fixed or gold"):
        seke.plan(GARDEN, 20, limits=(), fixed=())


PEOPLE = """
dependence:
  source: judgement
  note: a trial
  clear: {right: 0.9, seen: 0.9}
  ambiguous: {right: 0.2, seen: 0.5}
  n: 40
  look_n: 6
  seen_n: 10
  default: neighbour
  kinds: {neighbour: {follows: 0.5, n: 10}, gardener: {follows: 0.2, n: 10, people: true}}
observers:
  gardener:
    source: judgement
    note: a trial
    kind: gardener
    askable: true
    cost: 2
    categorical: {sky: {accuracy: 0.95, repeat: 0.9, strength: 8}}
    binary: {repeat: 0.9, strength: 8, cells: {rain: {sensitivity: 0.95, specificity: 0.95},
      sprinkler: {sensitivity: 0.95, specificity: 0.95}, wet_grass: {sensitivity: 0.95, specificity: 0.95}}}
policy: {others: [gardener], source: judgement, note: a trial}
"""


def test_a_plan_counts_the_items_that_would_wait_for_people(tmp_path):
    path = tmp_path / "gardener.yaml"
    path.write_text(f"extends: {GARDEN}\n{PEOPLE}")
    plan = seke.plan(path, 20, limits=(1,), fixed=(1,))
    policy, fixed = plan.rows
    assert 0 < policy["people"]["gardener"] <= 1
    assert fixed["people"] == {"gardener": 0}
    text = io.StringIO()
    show(plan, Console(file=text, width=200))
    waits = f"{100 * policy['people']['gardener']:.0f} %"
    assert f"items that would wait for gardener: limits ×1 {waits}, 1 × look 0.0 %" in text.getvalue()
    assert all("people" not in row for row in seke.plan(GARDEN, 20, limits=(1,), fixed=()).rows)


def test_what_gold_buys_is_kept_for_a_base_and_policy(tmp_path, monkeypatch):
    monkeypatch.setenv("SEKE_CACHE", str(tmp_path))
    base = seke.knowledge(PLANTS)
    shares = {str(count): {"share": 0.5, "low": 0.4, "high": 0.6} for count in (0, 30, 100)}
    worth = {"variable": base.root, "observer": base.policy.ask, "items": 60, "accepted": shares}
    kept = _path_of(base, None)
    kept.write_text(json.dumps(worth), encoding="utf-8")
    assert kept_worth_of_gold(base) == kept_worth_of_gold(base, base.reference) == worth
    for damaged in ("", '{"accepted": {"0": {}}}', json.dumps(worth)[:-3], "[]"):
        kept.write_text(damaged, encoding="utf-8")
        assert _read(kept) is None, damaged
    changed = replace(base, policy=replace(base.policy, budget=base.policy.budget + 1))
    (first, *others) = base.questions.values()
    dearer = replace(first, cost=first.cost + 1)
    priced = replace(base, questions={question.name: question for question in (dearer, *others)})
    garden = seke.knowledge(GARDEN)
    assert len({kept, *(_path_of(other, None) for other in (changed, priced, garden))}) == 4
    monkeypatch.setenv("SEKE_CACHE", "")
    assert _path_of(base, None) is None
