"""The loop asks what the policy says, and ends; whoever answers the same gets the same decisions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

import seke
from engine import Answers, First, SekeError, declared_of, prior_truth
from seke.inference.session import Session
from seke.samples import single_samples
from seke.sampling.answerers import RecordedSource, SimulatedSource
from seke.sampling.loop import Loop, Request, run_to_completion

EXAMPLES = Path(__file__).parents[3] / "examples"
BASES = {
    "faces": Path(__file__).parents[2] / "few_faces.yaml",
    "plants": Path(__file__).parents[2] / "few_plants.yaml",
    "garden": EXAMPLES / "sprinkler" / "knowledge",
}
ITEMS = 30


class World:
    """Some made-up items of a base, and who answers about them."""

    def __init__(self, name, items=ITEMS, **policy):
        base = seke.knowledge(BASES[name])
        self.session = Session.open(replace(base, policy=replace(base.policy, **policy)))
        self.base = self.session.knowledge
        self.items = [f"i{number}" for number in range(items)]
        self.truth = prior_truth(self.session.inference, items, np.random.default_rng(5))
        self.source = SimulatedSource(self.session.inference, self.items, self.truth, 6)

    @cached_property
    def settled(self):
        """The end of all items under the base's own policy, and what was asked on the way."""
        source = Remembering(self.source)
        return self.follow(source), source.requests

    def follow(self, source=None, items=None, **policy):
        session = self.session.under(replace(self.base.policy, **policy)) if policy else self.session
        return run_to_completion(Loop(session), items or self.items, source or self.source)

    def records(self, requests):
        """What the source answers, as sample records; draws are numbered by reading."""
        drawn = Counter()
        records = []
        for request in requests:
            answers = self.source.ask([request])
            questions, observers = list(self.base.questions), self.base.observers
            assert answers.reading_question.tolist() == [questions.index(request.question)]
            for place in range(request.samples):
                key = (request.item, request.observer, request.question, request.view)
                reports = {}
                for name, column in {**answers.labels, **answers.numbers}.items():
                    if name in answers.numbers:
                        reports[name] = float(column.value[place])
                    elif self.base.variables[name].kind == "binary":
                        reports[name] = bool(column.answer[place])
                    else:
                        reports[name] = observers[request.observer].labels[name].answers[column.answer[place]]
                fixed = dict(zip(("item", "observer", "question", "view"), key, strict=True))
                records.append({**fixed, "draw": drawn[key], "reports": reports})
                drawn[key] += 1
        return records

    def everything(self, count):
        """Requests for so many answers of all that may be asked."""
        policy = self.base.policy
        for item in self.items:
            for observer in dict.fromkeys((policy.ask, *policy.others)):
                known = self.base.observers[observer].instruments
                for name, question in self.base.questions.items():
                    reported = [v for v in question.variables if v in known]
                    for about in reported if question.about_one else [None][: len(reported)]:
                        yield Request(item, observer, name, about, self.base.usual_view, 0, count)


class Remembering:
    """A source that keeps what it was asked."""

    def __init__(self, source):
        self.source, self.requests = source, []

    def ask(self, requests):
        self.requests += requests
        return self.source.ask(requests)


@pytest.fixture(scope="module")
def worlds():
    return {name: World(name) for name in BASES}


def same(standing, expected, order=None):
    """Equal decisions, item by item; `order` holds the place in `expected` of each item of `standing`."""
    place = np.arange(len(standing.answers.items)) if order is None else np.array(order)
    assert [expected.decisions.item[i] for i in place] == list(standing.decisions.item)
    assert [expected.decisions.reasons[i] for i in place] == list(standing.decisions.reasons)
    for name, level in standing.decisions.levels.items():
        again = expected.decisions.levels[name]
        assert np.array_equal(level.accepted, again.accepted[place])
        np.testing.assert_allclose(level.risk, again.risk[place], atol=1e-9)
        np.testing.assert_allclose(level.value, again.value[place], atol=1e-9)
    for column in ("calls", "cost", "rounds"):
        np.testing.assert_allclose(getattr(standing, column), getattr(expected, column)[place])


@pytest.mark.parametrize("name", BASES)
def test_every_item_ends_accepted_or_rejected_within_the_budget(worlds, name):
    world = worlds[name]
    standing, requests = world.settled
    assert not standing.requests
    assert set(standing.decisions.item) <= {"accept", "reject"}
    assert len(set(standing.decisions.item)) == 2
    assert (standing.calls <= world.base.policy.budget).all()
    assert (standing.calls >= 1).all()
    assert np.array_equal(standing.calls, standing.answers.asked)
    assert np.array_equal(standing.calls, standing.answers.samples)
    price = Counter()
    for request in requests:
        question, observer = world.base.questions[request.question], world.base.observers[request.observer]
        further = question.cost if question.further is None else question.further
        price[request.item] += (question.cost + (request.samples - 1) * further) * observer.cost
    np.testing.assert_allclose(standing.cost, [price[item] for item in world.items])


@pytest.mark.parametrize("name", BASES)
def test_recorded_samples_replay_what_was_simulated(worlds, name):
    """Written as records and read back, given out draw by draw: another way to the same decisions."""
    world = worlds[name]
    budget = 6
    records = world.records(world.everything(budget))
    source = RecordedSource(single_samples(records, world.base))
    assert source.items == tuple(world.items)
    same(world.follow(budget=budget), world.follow(source, budget=budget))


@pytest.mark.parametrize("name", BASES)
def test_the_end_is_what_inference_says_of_all_that_was_answered(worlds, name):
    world = worlds[name]
    standing, _ = world.settled
    asked = [Request(*line, 0, count) for line, count in standing.given.items()]
    records = {record["item"]: record for record in seke.infer(world.records(asked), world.base)}
    for loop_record in Loop(world.session).records(standing):
        other = records[loop_record["item"]]
        assert loop_record["decision"]["levels"].keys() == other["decision"]["levels"].keys()
        assert loop_record["decision"]["item"] == other["decision"]["item"]
        assert loop_record["decision"]["reasons"] == other["decision"]["reasons"]
        for name_, level in loop_record["decision"]["levels"].items():
            assert level["decision"] == other["decision"]["levels"][name_]["decision"]
            assert level["risk"] == pytest.approx(other["decision"]["levels"][name_]["risk"], abs=2e-6)


def test_a_fixed_design_is_what_inference_says_of_as_many_answers(worlds):
    world = worlds["faces"]
    standing = world.follow(first=First(question="joint", samples=3), budget=3)
    assert standing.calls.tolist() == [3] * ITEMS
    assert standing.rounds.tolist() == [1] * ITEMS
    asked = [Request(item, "gpt-4o", "joint", None, "face", 0, 3) for item in world.items]
    for i, record in enumerate(seke.infer(world.records(asked), world.base)):
        for name, level in standing.decisions.levels.items():
            level_record = record["decision"]["levels"][name]
            assert (level_record["decision"] == "accept") == level.accepted[i]
            assert level_record["risk"] == pytest.approx(level.risk[i], abs=2e-6)


@pytest.mark.parametrize("name", BASES)
def test_the_order_of_the_items_changes_nothing(worlds, name):
    world = worlds[name]
    order = np.random.default_rng(3).permutation(ITEMS)
    mixed = world.follow(items=[world.items[i] for i in order])
    same(mixed, world.settled[0], order)


def test_items_are_settled_alone_as_together(worlds):
    world = worlds["plants"]
    together, _ = world.settled
    for i in range(5):
        same(world.follow(items=[world.items[i]]), together, [i])


def test_a_loop_that_was_cut_off_goes_on_to_the_same_end(worlds):
    world = worlds["faces"]
    loop, (whole, _) = Loop(world.session), world.settled
    standing = loop.begin(Answers.unasked(world.items))
    for _ in range(2):
        standing = loop.after(standing, world.source.ask(standing.requests))
    again = loop.begin(standing.answers, standing.given, standing.cost)
    assert set(again.requests) == set(standing.requests)
    while again.requests:
        again = loop.after(again, world.source.ask(again.requests))
    same(again, replace(whole, rounds=again.rounds))


class Recorder:
    """A source that says nothing beyond some answers."""

    def __init__(self, source, most):
        self.source, self.most = source, most

    def ask(self, requests):
        available = [
            replace(request, samples=min(request.samples, self.most - request.first)) for request in requests
        ]
        return self.source.ask([request for request in available if request.samples > 0])


@pytest.mark.parametrize("name", BASES)
def test_an_item_whose_source_is_exhausted_ends_with_what_it_has(worlds, name):
    world = worlds[name]
    standing = world.follow(Recorder(world.source, 1), budget=12)
    assert not standing.requests
    assert max(standing.given.values()) == 1
    ended = [reasons for reasons in standing.decisions.reasons if reasons[:1] == ("exhausted",)]
    required = [v for level in world.base.policy.required for v in world.base.levels[level]]
    whole = np.all([standing.decisions.levels[v].accepted for v in required], axis=0)
    assert [decision == "accept" for decision in standing.decisions.item] == whole.tolist()
    assert ended
    assert all(reason.startswith("open: ") for reasons in ended for reason in reasons[1:])


def test_an_item_nobody_knows_anything_of_ends_unaccepted(worlds):
    world = worlds["plants"]
    records = [record for record in world.records(world.everything(8)) if record["item"] != "i3"]
    source = RecordedSource(single_samples(records, world.base))
    standing = world.follow(source)
    assert standing.decisions.item[3] == "reject"
    assert standing.decisions.reasons[3][0] == "exhausted"
    assert (standing.calls[3], standing.rounds[3]) == (0, 0)
    same(world.follow(source, items=world.items[:3]), standing, range(3))


def test_refused_answers_are_paid_for_and_end_the_item(worlds):
    world = worlds["faces"]
    key = {"observer": "gpt-4o", "question": "joint", "draw": 0, "status": "refused"}
    source = RecordedSource(single_samples([{"item": item, **key} for item in world.items], world.base))
    standing = world.follow(source)
    assert set(standing.decisions.reasons) == {("refused",)}
    assert standing.calls.tolist() == [1] * ITEMS


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_no_batch_goes_beyond_the_budget(budget):
    world = World("plants", batches=(2, 3))
    standing = world.follow(budget=budget)
    assert standing.calls.max() <= budget


def test_without_a_budget_nothing_is_asked(worlds):
    standing = worlds["plants"].follow(budget=0)
    assert standing.calls.sum() == 0
    assert set(standing.decisions.reasons) == {("budget",)}


def test_another_view_is_another_reading_and_may_be_asked_for():
    world = World("faces", views=("face", "grey"))
    standing = world.follow()
    views = {line[-1] for line in standing.given}
    assert views == {"face", "grey"}
    assert (standing.calls <= world.base.policy.budget).all()


def test_what_cannot_be_followed_is_refused(worlds):
    world = worlds["plants"]
    with pytest.raises(SekeError, match="asks nobody"):
        world.follow(ask="", others=())
    with pytest.raises(SekeError, match="named twice"):
        world.follow(items=["i0", "i0"])


def test_what_is_simulated_does_not_depend_on_who_asked_before(worlds):
    world = worlds["faces"]
    other = SimulatedSource(world.session.inference, world.items, world.truth, 6)
    request = Request("i7", "gpt-4o", "joint", None, "face", 2, 3)
    other.ask([replace(request, question="affect", first=0), replace(request, item="i8", first=9)])
    answers, again = world.source.ask([request]), other.ask([request])
    assert answers.labels["AU12"].answer.tolist() == again.labels["AU12"].answer.tolist()
    assert answers.numbers["valence"].value.tolist() == again.numbers["valence"].value.tolist()
    whole = other.ask([replace(request, first=0, samples=5)])
    assert whole.labels["AU12"].answer[2:].tolist() == answers.labels["AU12"].answer.tolist()


def test_a_label_that_is_kept_against_what_was_seen_is_reported():
    label = {"observer": "dataset-label", "question": "joint", "draw": 0}
    rows = []
    for item, expression in (("a", "anger"), ("b", "happiness")):
        rows.append({"item": item, **label, "expression": expression})
        for draw in range(5):
            look = {"item": item, "observer": "gpt-4o", "question": "joint", "draw": draw}
            rows.append({**look, "expression": "happiness", "valence": 0.8, "arousal": 0.3})
    base = declared_of(seke.knowledge()).with_overlay(
        "observers: {dataset-label: {categorical: {expression: {accuracy: 0.95, "
        "source: judgement, note: a trial}}}}\n"
    )
    records = {record["item"]: record for record in seke.infer(rows, base, labels_final=True)}
    for item, value, overruled in (("a", "anger", ["expression"]), ("b", "happiness", [])):
        decision = records[item]["decision"]["levels"]["expression"]
        assert (decision["decision"], decision["value"]) == ("accept", value)
        assert records[item]["diagnostics"]["overruled"] == overruled
    # Without that, only what is decided otherwise than the label says is overruled.
    undecided = {record["item"]: record for record in seke.infer(rows, base)}
    assert undecided["a"]["decision"]["levels"]["expression"]["value"] == "anger"
    assert undecided["a"]["diagnostics"]["overruled"] == []
