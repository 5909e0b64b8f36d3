"""What is learned of people: by hand, and of scripted people whose reliability and anchoring are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from review_runs import made_faces, scripted_answers
from small_study import small_base

import seke
from engine import Answers, Gold
from seke.inference.session import Session
from seke.review.annotators import overlay_of
from seke.review.decide import with_people
from seke.review.learned import STEP, LearnedPerson, ReviewPriors, learn_people, with_learned
from seke.review.tasks import ReviewTask
from seke.samples import answers_from

PERSON = "annotator-anna"
# Shares are rounded while they are learned, and the largest of a row takes what is over.
ROUNDED = 4e-3


@pytest.fixture(scope="module")
def base():
    return with_people(seke.knowledge(), "human", [PERSON])


@pytest.fixture(scope="module")
def inference(base):
    return Session.open(seke.knowledge()).inference.with_knowledge(base)


def answered(base, samples, repeats=0.5):
    readable = with_learned(base, {PERSON: LearnedPerson(PERSON, repeats)})
    return Answers.stacked(list(answers_from(samples, readable)))


def sample(item, expression, **more):
    key = {"item": item, "observer": PERSON, "question": "expression", "draw": 0}
    return {**key, "expression": expression, **more}


def test_a_table_is_the_kinds_moved_by_counted_answers(base, inference):
    """Three fearful faces, of which she calls two surprised: row (n T + counts) / (n + 3)."""
    answers = answered(base, [sample("a", "fear"), sample("b", "surprise"), sample("c", "surprise")])
    states = base.variables["expression"].states
    fear, surprise = states.index("fear"), states.index("surprise")
    gold = Gold({"expression": np.full(3, float(fear))})
    priors = ReviewPriors(skill_sd=1e-9, rounds=1)
    person = learn_people(inference, answers, gold, [PERSON], priors)[PERSON]
    declared = np.array(base.observers["human"].labels["expression"].confusion)
    expected = (priors.n * declared[fear] + np.eye(8)[fear] + 2 * np.eye(8)[surprise]) / (priors.n + 3)
    np.testing.assert_allclose(person.tables["expression"][fear], expected, atol=ROUNDED)
    np.testing.assert_allclose(person.tables["expression"][0], declared[0], atol=1e-3)
    np.testing.assert_allclose(person.rows["expression"], [8, 8, 8, 8, 11, 8, 8, 8])
    assert (person.answers, person.shown) == (3, 0)


def test_how_often_she_repeats_is_counted_from_what_was_shown(base, inference):
    """Of two fearful faces shown as surprised she calls one so: that repeats, or was looked for."""
    shown = {"given": {"expression": "surprise"}}
    answers = answered(base, [sample("a", "surprise", **shown), sample("b", "fear", **shown)])
    states = base.variables["expression"].states
    fear, surprise = states.index("fear"), states.index("surprise")
    gold = Gold({"expression": np.full(2, float(fear))})
    priors = ReviewPriors(skill_sd=1e-9, rounds=1)
    person = learn_people(inference, answers, gold, [PERSON], priors)[PERSON]
    declared, r, n = np.array(base.observers["human"].labels["expression"].confusion), 0.2, priors.anchored_n
    repeated = r / (r + (1 - r) * declared[fear, surprise])
    mean = (n * r + repeated) / (n + 2)
    best = (n * mean + repeated) / (n + 2)
    assert person.repeats == pytest.approx(r + STEP * (best - r), abs=1e-9)
    # What merely repeats is no answer of hers.
    row = priors.n * declared[fear] + np.eye(8)[fear] + (1 - repeated) * np.eye(8)[surprise]
    np.testing.assert_allclose(person.tables["expression"][fear], row / row.sum(), atol=ROUNDED)


def test_numbers_have_the_offset_and_spread_of_their_residuals(base, inference):
    """Faces of gold 0.05 that she calls 0.25 and 0.45: residuals .2 and .4."""
    samples = [
        {"item": item, "observer": PERSON, "question": "affect", "draw": 0, "valence": value}
        for item, value in (("a", 0.25), ("b", 0.45))
    ]
    gold = Gold({"valence": np.full(2, 0.05)})
    priors = ReviewPriors(rounds=1)
    person = learn_people(inference, answered(base, samples), gold, [PERSON], priors)[PERSON]
    instrument, n = base.observers["human"].numbers["valence"], priors.n
    offset = (n * 0 + 0.6) / (n + 2)
    squares = (0.2 - offset) ** 2 + (0.4 - offset) ** 2 - 2 * instrument.noise**2
    perception = np.sqrt((n * instrument.perception**2 + squares) / (n + 2))
    assert person.numbers["valence"] == pytest.approx((offset, perception), abs=1e-3)


def test_without_gold_nobody_is_better_than_her_kind(base, inference):
    samples = [sample(f"i{k}", "happiness") for k in range(30)]
    person = learn_people(inference, answered(base, samples), Gold({}), [PERSON])[PERSON]
    assert person.skill <= 0


@pytest.fixture(scope="module")
def faces():
    return made_faces(80, seed=4, base=small_base())


@pytest.fixture(scope="module")
def few():
    """A small base with the person, and its inference."""
    base = with_people(small_base(), "human", [PERSON])
    return base, Session.open(small_base()).inference.with_knowledge(base)


def person_of(faces, few, gold=None, **scripted):
    """Learn a scripted person from her answers about everything, half of them beside a prediction."""
    (base, inference), (samples, looks, truth) = few, faces
    names = base.questions["joint"].variables
    fixed = {"about": None, "scores": {}, "minutes": 1.0, "gain": 1.0, "knowledge": ""}
    posterior = inference.posterior(Answers.stacked(list(answers_from(samples, base))))
    tasks = []
    for row, item in enumerate(dict.fromkeys(sample["item"] for sample in samples)):
        believed = {name: posterior.marginals[name][row] for name in names}
        values = {name: bool(p.argmax()) for name, p in believed.items()}
        values["expression"] = base.variables["expression"].states[believed["expression"].argmax()]
        for name in ("valence", "arousal"):
            middles = (np.arange(len(believed[name])) + 0.5) * 2 / len(believed[name]) - 1
            values[name] = float(round(believed[name] @ middles / 0.05) * 0.05)
        tasks.append(
            ReviewTask(
                key=item,
                item=item,
                question="joint",
                asks=names,
                prediction=values,
                shown=row % 2 == 0,
                **fixed,
            )
        )
    by_key = {task.key: task for task in tasks}
    records = [
        {
            "item": answer["item"],
            "observer": PERSON,
            "question": "joint",
            "draw": 0,
            "reports": answer["values"],
            **({"given": by_key[answer["task"]].prediction} if answer["shown"] else {}),
        }
        for answer in scripted_answers(tasks, looks, PERSON, base=base, **scripted)
    ]
    answers = answered(base, [*samples, *records])
    states = base.variables["expression"].states
    known = [float(states.index(truth[item]["expression"])) for item in answers.items]
    table = Gold({"expression": np.array(known)}) if gold else Gold({})
    return learn_people(inference, answers, table, [PERSON])[PERSON]


@pytest.mark.parametrize("anchoring", [0.0, 0.6])
def test_anchoring_is_told_from_agreement(faces, few, anchoring):
    person = person_of(faces, few, anchoring=anchoring)
    assert person.repeats == pytest.approx(anchoring, abs=0.1)


def test_a_careless_person_is_found_with_gold_and_without(faces, few):
    check_careless(faces, few, 0.75)


@pytest.fixture(scope="module")
def many_faces():
    """Faces of the shipped base."""
    return made_faces(150, seed=4)


@pytest.mark.slow
@pytest.mark.parametrize("anchoring", [0.0, 0.6])
def test_anchoring_is_told_from_agreement_with_all_units(many_faces, base, inference, anchoring):
    person = person_of(many_faces, (base, inference), anchoring=anchoring)
    assert person.repeats == pytest.approx(anchoring, abs=0.1)


@pytest.mark.slow
def test_a_person_who_is_right_nearly_half_of_the_time_is_found_careless(many_faces, base, inference):
    check_careless(many_faces, (base, inference), 0.6)


def check_careless(faces, base_and_inference, error):
    """Check that one who errs as often is told from one who does not, with gold and without."""
    careful, careless = (
        person_of(faces, base_and_inference, gold=True, error=often) for often in (0.0, error)
    )
    unaided = person_of(faces, base_and_inference, error=error)
    right = [np.diag(person.tables["expression"]).mean() for person in (careful, careless, unaided)]
    assert right[0] > right[1] + 0.2
    assert right[0] > right[2] + 0.2
    assert careless.skill < -0.3


def test_the_overlay_is_read_as_the_person_that_was_learned(base, tmp_path):
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(8), 8)
    rates = np.array([[0.9, 0.1], [0.4, 0.6]])
    person = LearnedPerson(
        PERSON,
        0.37,
        tables={"expression": table, "AU12": rates},
        rows={"expression": np.full(8, 12.0), "AU12": np.full(2, 9.0)},
        numbers={"valence": (0.1, 0.31)},
    )
    shipped = seke.knowledge()
    text = overlay_of(
        shipped, "shipped", "human", {PERSON: person, "annotator-ben": None}, "review-x", "3 answers"
    )
    (tmp_path / "annotators.yaml").write_text(text)
    observers = seke.knowledge(tmp_path / "annotators.yaml").observers
    anna, ben, human = observers[PERSON], observers["annotator-ben"], shipped.observers["human"]
    np.testing.assert_allclose(anna.labels["expression"].confusion, table, atol=1e-3)
    np.testing.assert_allclose(anna.labels["AU12"].confusion, rates, atol=1e-3)
    assert anna.labels["AU1"].confusion == human.labels["AU1"].confusion
    assert (anna.numbers["valence"].offset, anna.numbers["valence"].perception) == (0.1, 0.31)
    assert set(anna.echo.values()) == {0.37}
    assert anna.people
    assert (anna.kind, anna.follows, anna.carry) == (human.kind, human.follows, human.carry)
    assert {name: label.confusion for name, label in ben.labels.items()} == {
        name: label.confusion for name, label in human.labels.items()
    }
    assert not ben.echo


def test_a_person_of_the_base_keeps_her_name(tmp_path):
    """`human` is declared, so that what is learned of her changes that entry."""
    base = seke.knowledge()
    person = LearnedPerson("human", 0.2, numbers={"arousal": (0.0, 0.5)})
    (tmp_path / "a.yaml").write_text(
        overlay_of(base, "shipped", "human", {"human": person}, "review-x", "1 answer")
    )
    changed = seke.knowledge(tmp_path / "a.yaml").observers["human"]
    assert changed.label == base.observers["human"].label
    assert changed.numbers["arousal"] == replace(
        base.observers["human"].numbers["arousal"],
        perception=0.5,
        place=changed.numbers["arousal"].place,
        source=changed.numbers["arousal"].source,
        note=changed.numbers["arousal"].note,
    )
