"""`seke independence`: errors that come together, by hand, by law, and as they are shown."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

import seke
from engine import AnswerError, SekeError
from seke.calibration.independence import effective_number
from seke.calibration.independence_table import show
from seke.cli.main import main

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "independence.md"
BIRDS = ROOT / "examples" / "crowd" / "knowledge"
PLANTS = ROOT / "examples" / "plants" / "knowledge"

BASE = """
name: tone
variables:
  tone: {kind: categorical, label: tone, states: {light: a, even: b, dark: c}}
levels: {tone: [tone]}
priors:
  variable: tone
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
DEPENDENCE
questions: {look: {reports: [tone], cost: 1, source: judgement, note: A unit.}}
policy:
  source: judgement
  note: For a test.
  required: [tone]
  limits: {tone: 0.1}
  worth: {tone: 1}
  budget: 9
  conflict: 0.000001
  batches: [1]
  ask: eye
observers:
  source: judgement
  note: Made up.
  eye: {askable: true, carry: 0.9, categorical: {tone: {accuracy: 0.7, repeat: 0.95, strength: 20}}}
  lens: {askable: true, carry: 0.9, categorical: {tone: {accuracy: 0.6, repeat: 0.9, strength: 20}}}
"""
DEPENDENCE = """
dependence:
  source: judgement
  note: For a test.
  clear: {right: 0.85, seen: 0.925}
  ambiguous: {right: 0.175, seen: 0.775}
  n: 40
  look_n: 6
  seen_n: 10
  default: like
  kinds: {like: {follows: 0.9}}
"""
# By chance one of so many true figures lies outside; seeds are fixed, so that tests do not flicker.
ALMOST_SURE = 0.999


def run(*args, **options):
    return CliRunner(catch_exceptions=False).invoke(main, ["independence", *map(str, args)], **options)


def answer(item, observer, species, draw=0, **more):
    whole = {"item": item, "observer": observer, "question": "name-it", "draw": draw, "species": species}
    return {**whole, **more}


def pairs_of(result, kind):
    return [pair for pair in result.pairs if pair["kind"] == kind]


@pytest.fixture
def base_file(tmp_path):
    def write(*, dependent=False, family=False):
        path = tmp_path / f"tone-{dependent}-{family}.yaml"
        text = BASE.replace("DEPENDENCE", DEPENDENCE if dependent else "")
        if family:
            text = text.replace("kinds: {like", "family: {follows: 0.8}\n  kinds: {like")
            text = text.replace("askable: true,", "askable: true, family: optics,")
        path.write_text(text)
        return path

    return write


def simulated(base, items, **options):
    parts = list(seke.simulate(base, items, observers=("eye", "lens"), **options))
    return [s for part in parts for s in part.samples], [row for part in parts for row in part.truth]


# By hand.

# Ann errs in 4 of 10, Ben in 3; in `c` both say robin, in `d` each says something else.
GOLD = [{"item": item, "species": "sparrow"} for item in "abcdefghij"]
ANN = dict.fromkeys("abcdefghij", "sparrow") | {"a": "wren", "b": "wren", "c": "robin", "d": "wren"}
BEN = dict.fromkeys("abcdefghij", "sparrow") | {"c": "robin", "d": "dunnock", "e": "wren"}
SAMPLES = [answer(i, o, names[i]) for o, names in (("ann", ANN), ("ben", BEN)) for i in "abcdefghij"]


def test_two_observers_worked_by_hand():
    result = seke.independence(SAMPLES, GOLD, BIRDS)
    (pair,) = result.pairs
    assert (pair["kind"], pair["a"], pair["b"], pair["items"]) == ("observers", "ann", "ben", 10)
    assert pair["accuracy"] == pytest.approx([0.6, 0.7])
    assert pair["both_wrong"] == pytest.approx(0.2)
    assert pair["chance"] == pytest.approx(0.12)
    assert pair["beyond_chance"] == pytest.approx(0.08)
    assert pair["ratio"] == pytest.approx(0.2 / 0.12, abs=1e-6)
    assert pair["b_wrong_given_a_wrong"]["value"] == pytest.approx(0.5)
    assert pair["a_wrong_given_b_wrong"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert pair["same_wrong_answer"] == pytest.approx(0.5)
    phi = 0.08 / (0.24 * 0.21) ** 0.5
    assert pair["phi"]["value"] == pytest.approx(phi, abs=1e-6)
    assert pair["phi"]["low"] < phi < pair["phi"]["high"]
    (effective,) = result.effective
    assert effective["count"] == 2
    assert effective["effective"] == pytest.approx(2 / (1 + phi), abs=1e-5)


def test_what_the_base_declares_worked_by_hand():
    """Ann and Ben are independent given the species: all sparrows, errors multiply."""
    (pair,) = seke.independence(SAMPLES, GOLD, BIRDS).pairs
    ann, ben = 0.95, 0.93
    declared = pair["declared"]
    assert declared["accuracy"] == pytest.approx([ann, ben], abs=1e-6)
    assert declared["both_wrong"] == pytest.approx((1 - ann) * (1 - ben), abs=1e-6)
    assert declared["b_wrong_given_a_wrong"] == pytest.approx(1 - ben, abs=1e-6)
    assert declared["phi"] == pytest.approx(0, abs=1e-5)


def test_draws_readings_and_first_answers_by_hand():
    """A refused draw is no answer; a ranking is its first place, a distribution its likeliest answer."""
    samples = [
        answer("a", "ann", None, draw=0, status="refused"),
        answer("a", "ann", ["sparrow", "wren"], draw=1),
        answer("a", "ann", {"wren": 0.6, "sparrow": 0.4}, draw=2),
        answer("b", "ann", "wren", draw=0),
        answer("b", "ann", "wren", draw=1),
        answer("b", "ann", "sparrow", draw=2),
        answer("a", "ann", "sparrow", view="wing"),
        answer("b", "ann", "robin", view="wing"),
    ]
    samples = [{key: value for key, value in s.items() if value is not None} for s in samples]
    result = seke.independence(samples, GOLD, BIRDS)
    draws, readings = result.pairs
    assert (draws["kind"], draws["reading"], draws["draws"], draws["items"]) == ("draws", "name-it", 2, 2)
    assert draws["accuracy"] == [0.5, 0.0]
    assert (draws["both_wrong"], draws["same_wrong_answer"]) == (0.5, 1.0)
    assert draws["phi"]["value"] is None
    assert (readings["kind"], readings["a"], readings["b"]) == ("readings", "name-it", "name-it, wing")
    assert readings["accuracy"] == [0.5, 0.5]
    assert (readings["phi"]["value"], readings["same_wrong_answer"]) == (1.0, 0.0)


def test_an_answer_that_names_no_state_is_wrong_also_for_both():
    samples = [answer(i, o, "unsure") for i in "ab" for o in ("passers-by",)]
    samples += [answer(i, "ann", "wren") for i in "ab"]
    (pair,) = seke.independence(samples, GOLD, BIRDS).pairs
    assert pair["accuracy"] == [0, 0]
    assert (pair["both_wrong"], pair["same_wrong_answer"], pair["phi"]["value"]) == (1, 0, None)


def test_a_binary_variable_is_measured_too():
    """In `a` the app reports a probability of .8, in `b` of .2: rings and none."""
    rows = [("a", 0.8, True), ("b", 0.2, False), ("c", True, True), ("d", False, True)]
    samples = []
    for item, app, grower in rows:
        samples.append(
            {"item": item, "observer": "app", "question": "photo", "draw": 0, "signs": {"rings": app}}
        )
        samples.append(
            {"item": item, "observer": "grower", "question": "photo", "draw": 0, "signs": {"rings": grower}}
        )
    gold = [{"item": item, "rings": 0} for item in "abcd"]
    (pair,) = seke.independence(samples, gold, PLANTS, about="rings").pairs
    assert pair["accuracy"] == [0.5, 0.25]
    assert (pair["both_wrong"], pair["same_wrong_answer"]) == (0.5, 1)
    assert pair["declared"]["accuracy"] == pytest.approx([0.9, 0.97])


def test_the_effective_number_is_kish():
    assert effective_number(5, 0.0) == 5
    assert effective_number(5, 1.0) == 1
    assert effective_number(3, 0.5) == pytest.approx(1.5)
    assert effective_number(2, -0.5) == pytest.approx(4)
    assert effective_number(3, -0.5) is None
    assert effective_number(3, None) is None


# By law.


def test_independent_observers_err_together_by_chance(base_file):
    samples, gold = simulated(base_file(), 1500, draws=2, seed=1)
    result = seke.independence(samples, gold, base_file(), seed=1)
    (pair,) = pairs_of(result, "observers")
    assert pair["phi"]["low"] < 0 < pair["phi"]["high"]
    assert pair["ratio"] == pytest.approx(1, abs=0.1)
    assert pair["b_wrong_given_a_wrong"]["value"] == pytest.approx(0.4, abs=0.05)
    worth = {(e["kind"], e.get("observer")): e["effective"] for e in result.effective}
    assert worth["observers", None] == pytest.approx(2, abs=0.15)
    assert worth["draws", "eye"] < 1.3


@pytest.mark.parametrize(("dependent", "family"), [(False, False), (True, False), (True, True)])
def test_what_is_simulated_is_measured_as_declared(base_file, dependent, family):
    base = base_file(dependent=dependent, family=family)
    samples, gold = simulated(base, 2000, draws=2, views=("face", "grey"), seed=2)
    result = seke.independence(samples, gold, base, level=ALMOST_SURE)
    assert {pair["kind"] for pair in result.pairs} == {"draws", "readings", "observers"}
    for pair in result.pairs:
        for key in ("phi", "b_wrong_given_a_wrong", "a_wrong_given_b_wrong"):
            assert pair[key]["low"] <= pair["declared"][key] <= pair[key]["high"], (pair, key)
    (observers,) = pairs_of(result, "observers")
    assert (observers["declared"]["phi"] > 0.2) == dependent
    assert (observers["declared"]["phi"] > 0.43) == family
    assert observers["family"] == ("optics" if family else None)
    assert ("lens (family optics)" in "\n".join(shown(result, 160))) == family


def test_a_base_that_declares_otherwise_is_marked(base_file):
    """Independent answers, read with a base in which observers follow the look: only that pair is marked."""
    samples, gold = simulated(base_file(), 1500, draws=2, seed=6)
    result = seke.independence(samples, gold, base_file(dependent=True), level=ALMOST_SURE)
    lines = shown(result, 160)
    marked = [line.split()[0] for line in lines if "  ! 0." in line]
    assert marked == ["eye", "lens"]
    assert lines[-1] == "! the declared figure lies outside the measured 99.9 % interval"
    assert "#d55e00" in result.draw("svg").decode()
    agreeing = seke.independence(samples, gold, base_file(), level=ALMOST_SURE)
    assert "!" not in "".join(shown(agreeing, 160))
    assert "#d55e00" not in agreeing.draw("svg").decode()


def test_a_copy_errs_with_its_original(base_file):
    samples, gold = simulated(base_file(), 200, draws=1, seed=3)
    eye = [s for s in samples if s["observer"] == "eye"]
    result = seke.independence([*eye, *({**s, "observer": "lens"} for s in eye)], gold, base_file())
    (pair,) = result.pairs
    assert pair["phi"]["value"] == 1
    assert pair["b_wrong_given_a_wrong"]["value"] == pair["same_wrong_answer"] == 1
    assert result.effective[0]["effective"] == 1


def test_the_order_of_samples_does_not_matter(base_file):
    samples, gold = simulated(base_file(), 60, draws=2, views=("face", "grey"), seed=4)
    result = seke.independence(samples, gold, base_file(), bootstrap=0)
    other = random.Random(1).sample(samples, len(samples))
    assert seke.independence(other, gold, base_file(), bootstrap=0) == result


def test_a_seed_gives_the_same_interval_and_groups_a_wider_one(base_file):
    """Each item eight times over: by items intervals pretend to eight times as much, by groups not."""
    samples, gold = simulated(base_file(dependent=True), 60, draws=1, seed=5)
    many = [{**s, "item": f"{s['item']}-{copy}"} for s in samples for copy in range(8)]
    table = [{**row, "item": f"{row['item']}-{n}", "who": row["item"]} for row in gold for n in range(8)]

    def interval(given, truth, **options):
        (pair,) = seke.independence(given, truth, base_file(dependent=True), seed=7, **options).pairs
        return pair["phi"]["low"], pair["phi"]["high"]

    truth = [{key: value for key, value in row.items() if key != "who"} for row in table]
    by_item, by_group = interval(many, truth), interval(many, table, groups="who")
    assert by_group == interval(many, table, groups="who")
    assert by_group[1] - by_group[0] > 2 * (by_item[1] - by_item[0])
    assert by_group == pytest.approx(interval(samples, gold), abs=0.05)


# As it is shown.


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Samples and gold of gpt-4o and a human, as the page on independence makes them up."""
    folder = tmp_path_factory.mktemp("together")
    text = PAGE.read_text("utf-8")
    command = re.search(r"^seke (simulate .*)$", text, re.M)[1].split()
    assert command[-4:] == ["-o", "samples.jsonl", "--truth", "gold.csv"]
    paths = folder / "samples.jsonl", folder / "gold.csv"
    done = CliRunner().invoke(main, [*command[:-3], str(paths[0]), "--truth", str(paths[1])])
    assert done.exit_code == 0, done.output
    return paths


def shown(result, width):
    out = io.StringIO()
    show(result, Console(file=out, width=width, highlight=False))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_page_shows_what_is_printed(files):
    text = PAGE.read_text("utf-8")
    block = re.search(r"```text\n(.*?)```", text, re.S)[1]
    result = seke.independence(files[0], files[1])
    assert [line.rstrip() for line in block.splitlines()] == shown(result, 120)


@pytest.fixture(scope="module")
def measured(files):
    return seke.independence(str(files[0]), str(files[1]), bootstrap=50)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_table_for_people_fits_the_terminal(measured, width):
    lines = shown(measured, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in (
        "Draws of a reading",
        "Observers",
        "human",
        "wrong if the",
        "declared",
        "phi",
        "Effective number of independent answers",
    ):
        assert word in text
    assert ("same answer" in text) == (width == 160)


def test_the_command_prints_json_where_a_program_reads(files, measured):
    done = run(files[0], "--gold", files[1], "--bootstrap", 50)
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert facts["variable"] == "expression"
    assert {pair["kind"] for pair in facts["pairs"]} == {"draws", "observers"}
    assert set(facts["observers"]) == {"gpt-4o", "human"}
    assert facts["observers"]["human"]["follows"] == 0.2
    assert "300 items with gold" in done.stderr
    assert run(files[0], "--gold", files[1], "--bootstrap", 50, "--json").stdout == done.stdout
    assert json.loads(json.dumps(measured.facts)) == facts


@pytest.mark.parametrize(("form", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_drawn(files, tmp_path, form, head):
    target = tmp_path / f"together.{form}"
    done = run(files[0], "--gold", files[1], "--bootstrap", 50, "-o", target)
    assert done.exit_code == 0, done.output
    assert target.read_bytes().startswith(head)
    if form == "svg":
        text = target.read_text("utf-8")
        assert "gpt-4o" in text
        assert "P(column wrong | row wrong)" in text


@pytest.mark.parametrize("views", [3, 20])
def test_readings_of_a_single_observer_are_drawn(views):
    samples = [answer(i, "ann", ANN[i], view=f"v{n}") for i in ANN for n in range(views)]
    picture = seke.independence(samples, GOLD, BIRDS, bootstrap=0).draw("svg").decode()
    assert "ann, name-it, v1" in picture
    assert ("chance 0.40" in picture) == (views == 3)


def test_few_items_are_measured_with_a_warning(tmp_path):
    samples, gold = tmp_path / "s.jsonl", tmp_path / "g.jsonl"
    samples.write_text("\n".join(map(json.dumps, SAMPLES)))
    gold.write_text("\n".join(map(json.dumps, GOLD)))
    done = run(samples, "--gold", gold, "-k", BIRDS)
    assert done.exit_code == 0
    assert "warning: only 10 items have gold and answers: the intervals are wide" in done.stderr


def test_help_has_an_example():
    text = run("--help").output
    assert "seke independence samples.jsonl --gold gold.csv" in text
    assert "only a summary: inference uses what the base declares" in " ".join(text.split())


# Bad input.


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ("expresion", "no variable is called 'expresion'; did you mean expression?"),
        ("valence", "valence is a number; errors are counted of categorical and binary variables"),
        ("action_units", "action_units is a level; name one of its variables: AU1"),
        ("AU4", "gold.csv: the column AU4 is empty"),
    ],
)
def test_a_variable_that_cannot_be_measured_is_a_fault(files, tmp_path, about, says):
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression,AU4\nitem-000000,fear,\n")
    done = run(files[0], "--gold", gold, "--about", about)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_gold_of_other_items_or_of_nothing_is_a_fault(files, tmp_path):
    gold = tmp_path / "gold.csv"
    gold.write_text("item,expression\nnobody,fear\n")
    done = run(files[0], "--gold", gold, "--json")
    assert done.exit_code == 2
    says = (
        "has no gold of expression for any of the items; "
        "it names 'nobody', but the samples name 'item-000000'"
    )
    assert says in done.stderr
    assert says in json.loads(done.stdout)["faults"][0]["message"]
    gold.write_text("item,AU1\nitem-000000,1\n")
    assert "has no column expression; there are AU1" in run(files[0], "--gold", gold).stderr
    assert run(files[0]).exit_code == 2
    assert run(files[0], "--gold", tmp_path / "absent.csv").exit_code == 2


def test_nothing_to_compare_is_a_fault(tmp_path):
    with pytest.raises(SekeError, match="no item with gold has two answers about species"):
        seke.independence([answer("a", "ann", "wren"), answer("b", "ben", "wren")], GOLD, BIRDS)
    with pytest.raises(SekeError, match="there are no samples"):
        seke.independence([], GOLD, BIRDS)
    with pytest.raises(AnswerError, match="observer"):
        seke.independence([answer("a", "anne", "wren")], GOLD, BIRDS)
    with pytest.raises(AnswerError, match="who: no such column"):
        seke.independence(SAMPLES, GOLD, BIRDS, groups="who")


def test_a_place_that_cannot_be_drawn_to_is_a_fault_before_anything_is_read(files, tmp_path):
    done = run("absent.jsonl", "--gold", files[1], "-o", tmp_path / "x.gif")
    assert done.exit_code == 2
    assert "the ending says the format" in done.stderr
    one_observer = [answer(i, "ann", "wren", draw=draw) for i in "ab" for draw in (0, 1)]
    result = seke.independence(one_observer, GOLD, BIRDS)
    with pytest.raises(SekeError, match="no two observers or readings to draw"):
        result.draw("png")
