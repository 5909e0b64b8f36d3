"""Prices of questions measured on the first items of a run: by hand, and run after run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner
from small_study import SMALL_FACES, pictures, small_base

import seke
from seke.annotation.expected_tokens import RequestLength
from seke.annotation.job import Job, session_of
from seke.annotation.measured_prices import (
    ESTIMATED,
    PILOT_ITEMS,
    estimate_prices,
    measure_prices,
    price_lines,
    with_prices,
)
from seke.cli.main import main
from seke.inference.session import Session
from seke.runs.ledger import RequestTokens
from seke.samples import answers_from
from seke.vision.fake import ScriptedModel
from seke.vision.messages import Settings
from seke.vision.prices import Prices

PRICES = Prices(prompt=2.0, answer=8.0, cached=0.5)
OUTPUTS = ("posteriors.jsonl", "samples.jsonl", "answers.jsonl")


@pytest.fixture(scope="module")
def base():
    return small_base()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("pictures") / "faces", PILOT_ITEMS + 8)


def request(question="joint", draw=0, wanted=1, answers=1, prompt=1000, cached=0, answer=100):
    return RequestTokens(question, draw, wanted, answers, prompt, cached, answer)


def test_several_answers_a_request_by_hand(base):
    # A prompt costs .002 USD and 100 answer tokens .0008: one answer .0028, a further one .0008.
    rows = [request()] * 10 + [request(wanted=5, answers=5, answer=500)] * 4
    # 400 prompt tokens of which 200 were cached, .0005 USD, and 25 answer tokens, .0002.
    rows += [request("expression", prompt=400, cached=200, answer=25)] * 20
    measured = measure_prices(base, rows, PRICES)
    assert measured["joint"] == {
        "cost": 1.0,
        "further": pytest.approx(0.0008 / 0.0028, abs=1e-6),
        "answers": 30,
    }
    expression = measured["expression"]
    assert expression["cost"] == pytest.approx(0.0007 / 0.0028)
    # No request had several: in proportion as declared.
    declared = base.questions["expression"]
    assert expression["further"] == pytest.approx(0.25 * declared.further / declared.cost)


def test_one_answer_a_request_by_hand(base):
    # Two were asked for and came one by one; of the second prompt 800 tokens were cached, .0008 USD.
    rows = [request(wanted=2), request(draw=1, cached=800)] * 10
    measured = measure_prices(base, rows, PRICES)
    assert measured["joint"]["further"] == pytest.approx(0.0016 / 0.0028, abs=1e-6)


def test_the_unit_is_what_was_asked_most(base):
    rows = [request("expression", prompt=400, answer=25)] * 30 + [request()] * 20
    measured = measure_prices(base, rows, PRICES)
    assert measured["expression"]["cost"] == base.questions["expression"].cost
    # .0028 USD against .0010.
    assert measured["joint"]["cost"] == pytest.approx(0.4 * 2.8)


@pytest.mark.parametrize(
    ("rows", "prices"),
    [
        ([], PRICES),
        ([request()] * 19, PRICES),
        ([request()] * 40, Prices(0, 0)),
        ([request("gone")] * 40, PRICES),
    ],
    ids=["nothing", "too few", "free", "no question of the base"],
)
def test_nothing_is_measured_without_reason(base, rows, prices):
    assert measure_prices(base, rows, prices) == {}


def test_a_session_with_prices_weighs_by_them(base):
    session = Session.open(base)
    assert with_prices(session, {}) is session
    dear = {name: {"cost": 50.0, "further": 50.0} for name in base.questions if name != "affect"}
    changed = with_prices(session, dear)
    assert changed.first.cost == 50.0
    (answers,) = answers_from(
        [{"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "expression": "fear"}], base
    )
    assert changed.judge(answers).decisions.next[0].question == "affect"
    assert changed.records(answers)[0]["expression"] == session.records(answers)[0]["expression"]


def test_estimated_prices_by_hand(base):
    """1,000 prompt tokens and 100 of the answer are .0028 USD, the unit; nothing of them is cached."""
    lengths = {"joint": RequestLength(1000, 100, 0, 0), "verify": RequestLength(900, 10, 0, 0)}
    estimated = estimate_prices(base, "joint", lengths, PRICES)
    assert estimated["joint"] == {"cost": 1.0, "further": pytest.approx(0.0008 / 0.0028, abs=1e-6)}
    assert estimated["verify"] == {
        "cost": pytest.approx(0.00188 / 0.0028, abs=1e-6),
        "further": pytest.approx(0.00008 / 0.0028, abs=1e-6),
    }
    assert estimate_prices(base, "joint", lengths, Prices(0, 0)) == {}
    assert price_lines(estimated)[0] == "joint: {cost: 1, further: 0.285714}"


# Runs ----------------------------------------------------------------------------------------------


def job(images, place, progress=None, **given):
    images = images if isinstance(images, list) else [images]
    given = {"model": ScriptedModel(), "knowledge": SMALL_FACES, **given}
    if progress is not None:
        given["progress"] = progress
    return Job.of(images, place, settings=Settings("gpt-4o"), concurrency=4, **given)


def facts(place, name):
    with closing(sqlite3.connect(place / "ledger.sqlite")) as db:
        row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return row and json.loads(row[0])


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("whole")
    assert job(folder, place, prices=PRICES).run().finished
    return place


def samples(place, inside):
    """The samples of items in the pilot, or of the others."""
    pilot = {f"f{i}" for i in range(PILOT_ITEMS)}
    rows = map(json.loads, (place / "samples.jsonl").read_text().splitlines())
    return [row for row in rows if (row["item"] in pilot) is inside]


def test_the_pilot_is_asked_by_estimates_and_all_others_by_what_it_cost(folder, whole, tmp_path):
    prices, pilot, estimated = (facts(whole, name) for name in ("prices", "pilot", ESTIMATED))
    assert pilot == [f"f{i}" for i in range(PILOT_ITEMS)]
    assert prices["joint"]["answers"] >= PILOT_ITEMS
    # Prompts are long and answers short: a further answer costs little.
    assert 0 < prices["joint"]["further"] < 0.15
    summary = json.loads((whole / "summary.json").read_text())
    assert (summary["facts"]["prices"], summary["facts"][ESTIMATED]) == (prices, estimated)
    assert job(folder, tmp_path, prices=PRICES, declared_prices=True).run().finished
    for inside in (True, False):
        assert samples(whole, inside) != samples(tmp_path, inside)
    assert facts(tmp_path, "prices") is facts(tmp_path, ESTIMATED) is None
    session = session_of(whole, small_base())
    assert session.knowledge.questions["joint"].further == prices["joint"]["further"]
    rare = [name for name in estimated if name not in prices]
    assert rare
    for name in rare:
        assert session.knowledge.questions[name].cost == estimated[name]["cost"]


def test_a_run_goes_on_with_the_prices_that_it_began_with(folder, whole, tmp_path):
    """Also where prices of tokens are not given again: else its last items were asked by declared ones."""
    shutil.copytree(whole, tmp_path / "run")
    further = job(folder, tmp_path / "run")
    assert further.annotator.base.questions["verify"].cost == small_base().questions["verify"].cost
    assert further.run().finished
    estimated, measured = (facts(whole, name) for name in (ESTIMATED, "prices"))
    assert further.annotator.base.questions["verify"].cost == estimated["verify"]["cost"]
    by_measure = further.annotator.by_measure.knowledge.questions
    assert by_measure["joint"].further == measured["joint"]["further"]
    assert (tmp_path / "run" / "posteriors.jsonl").read_bytes() == (whole / "posteriors.jsonl").read_bytes()


def test_before_the_first_answer_a_short_question_is_priced_with_all_that_its_request_has(folder, tmp_path):
    """The declared prices take a prefix cache for granted; no server has reported one yet."""
    begun = job(folder, tmp_path, prices=PRICES)
    declared = small_base().questions
    priced = begun.annotator.base.questions
    assert priced["joint"].cost == declared["joint"].cost == 1.0
    assert declared["verify"].cost == 0.2
    # Of its request the briefing and the picture are most, which the joint question has as well.
    assert 0.5 < priced["verify"].cost < 0.9
    # The estimate has the parts of a request: 5,000 letters of briefing and a picture of 448 pixels a side.
    assert begun.estimated["verify"]["cost"] == priced["verify"].cost


@pytest.fixture(scope="module")
def cached(folder, tmp_path_factory):
    """The same run at a server that keeps what all questions share, for nothing."""
    place = tmp_path_factory.mktemp("cached")
    free = Prices(prompt=2.0, answer=8.0, cached=0.0)
    assert job(folder, place, model=ScriptedModel(caches=True), prices=free).run().finished
    return place


def test_short_questions_are_cheap_only_where_the_server_reports_cached_tokens(whole, cached):
    """And the order of questions follows."""
    plain, kept = (facts(place, "prices") for place in (whole, cached))
    short = [name for name in plain if name in kept and name != "joint"]
    assert short
    for name in short:
        assert kept[name]["cost"] < 0.8 * plain[name]["cost"]
    # Until the first answers are there nothing is known of the cache: both pilots are asked alike.
    assert samples(whole, inside=True) == samples(cached, inside=True)
    orders = [
        [row["question"] for row in samples(place, inside=False) if row["question"] != "joint"]
        for place in (whole, cached)
    ]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("stop", [41, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (3, 130))])
def test_stopped_at_any_moment_a_run_ends_as_one_that_was_not(folder, whole, tmp_path, stop):
    """Before, at and after the end of the pilot."""
    came = 0

    def progress(_settled, answers, _spent):
        nonlocal came
        came += answers
        if came >= stop:
            first.annotator.stopping.set()

    first = job(folder, tmp_path, progress, prices=PRICES)
    assert not first.run().finished
    assert job(folder, tmp_path, prices=PRICES).run().finished
    assert facts(tmp_path, "prices") == facts(whole, "prices")
    for name in OUTPUTS:
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def test_what_was_measured_holds_for_items_that_come_later(folder, whole, tmp_path):
    half = [folder / f"f{i}.png" for i in range(PILOT_ITEMS + 4)]
    given = {"prices": PRICES}
    assert job(half[0], tmp_path, **given).run().finished
    assert facts(tmp_path, "pilot") is None
    job(half, tmp_path, **given).run()
    before = facts(tmp_path, "prices")
    job(folder, tmp_path, **given).run()
    assert facts(tmp_path, "prices") == before == facts(whole, "prices")


def test_where_rules_or_guarantees_ask_prices_stay_as_declared(folder, tmp_path):
    assert job(folder, tmp_path, prices=PRICES, strategy="fixed:1").prices is None
    assert job(folder, tmp_path, prices=PRICES, strategy="fixed:1").estimated == {}
    assert job(folder, tmp_path).prices is None
    assert job(folder, tmp_path, prices=PRICES).prices == PRICES


def test_status_says_which_prices_are_in_use(folder, whole, tmp_path):
    def status(place):
        result = CliRunner().invoke(main, ["annotate", "--run", str(place), "--status"])
        assert result.exit_code == 0, result.output
        return result.output

    joint = facts(whole, "prices")["joint"]
    output = status(whole)
    assert f"measured on the first {PILOT_ITEMS} items, and used for all others" in output
    price = f"joint: {{cost: {joint['cost']:g}, further: {joint['further']:g}}}"
    assert f"{price}  # {joint['answers']:,} answers" in output
    job(sorted(folder.glob("*.png"))[0], tmp_path / "unpriced").run()
    assert "prices of questions: as the base declares them\n" in status(tmp_path / "unpriced")
    job(sorted(folder.glob("*.png"))[0], tmp_path / "priced", prices=PRICES).run()
    output = status(tmp_path / "priced")
    assert "prices of questions: estimated from the lengths of texts, picture and answers\n" in output
    assert "joint: {cost: 1, further: " in output


def test_measured_prices_as_an_overlay(whole, tmp_path, base):
    lines = "\n".join(f"  {line}" for line in price_lines(facts(whole, "prices")))
    text = f"extends: shipped\nquestions:\n  source: judgement\n  note: Measured.\n{lines}\n"
    (tmp_path / "o.yaml").write_text(text)
    read = seke.knowledge(str(tmp_path / "o.yaml")).questions
    for name, price in facts(whole, "prices").items():
        question = read[name]
        assert question.cost == pytest.approx(price["cost"], rel=1e-5)
        assert question.further == pytest.approx(price["further"], rel=1e-5)
        assert question.prompt == base.questions[name].prompt
