"""Labels of a data set completed and corrected: wrong labels, the errors of what is completed, and the price.

    pytest tests/benchmarks/test_completion.py -m slow -s

ITEMS faces are drawn from the shipped base; a data set gives each one's expression, WRONG_SHARE of them wrong
(another expression at random), and says nothing else. The policy as shipped asks a simulated GPT-4o about the
rest, with the loop closed: valence, arousal, units, and a blind look at what the label says. The label is
declared as good as it is (accuracy .8), and as an earlier base had it (.95); the shipped one says .8 now.
What is accepted is decided with each risk under its limit, as the items are asked, and with the threshold
that keeps the mean over all items, as `seke annotate` decides at the end of a run.

Figures: of right and of wrong labels, the share accepted as the label and as something else; the errors of
what was completed, beside those of the class mean, which is what the label alone says of it; the cost in the
unit of the questions (a joint answer: 1). Then the same with labels that are kept (`labels: final`), how many
of the wrong ones are named as disputed; and with an observer that always says happiness, AU6, AU12, valence
.8 and arousal .3, how many labels become accepted happiness. And whether what `seke` says of labels that
looks contradict more often than declared comes of those that are declared too good, and of these alone.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import seke
from engine import Answers, looks_at_labels, prior_truth
from seke.inference.session import Session
from seke.samples import answers_from
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Loop, run_to_completion

ITEMS, WRONG_SHARE, SEED = 1000, 0.2, 1
# Goals: of wrong labels at most, of right ones at least so many are accepted as the label.
MOST_WRONG_KEPT, LEAST_RIGHT_KEPT = 0.25, 0.8
# Of labels that are not happiness at most so many may become accepted happiness by an observer that says
# nothing else: as many as one accepted value in twenty may be wrong.
MOST_TURNED = 0.05
ALWAYS = {"expression": "happiness", "AU6": True, "AU12": True, "valence": 0.8, "arousal": 0.3}
AS_IT_IS = """
extends: shipped
observers: {dataset-label: {categorical: {expression: {accuracy: 0.8, source: judgement, note: As it is.}}}}
"""
BASES = {"declared .8": AS_IT_IS, "declared .95": AS_IT_IS.replace("accuracy: 0.8,", "accuracy: 0.95,")}

pytestmark = pytest.mark.slow


class Constant:
    """A source that answers what it is asked as SimulatedSource does, but always the same."""

    def __init__(self, source):
        self.source, self.base = source, source.base

    def ask(self, requests):
        answers = self.source.ask(requests)
        labels = {name: self._label(name, column) for name, column in answers.labels.items()}
        numbers = {
            name: replace(column, value=np.full_like(column.value, ALWAYS[name]))
            for name, column in answers.numbers.items()
        }
        return replace(answers, labels=labels, numbers=numbers)

    def _label(self, name, column):
        if self.base.variables[name].kind == "categorical":
            index = self.base.observers[self.base.policy.ask].labels[name].answers.index(ALWAYS[name])
        else:
            index = int(ALWAYS.get(name, False))
        return replace(column, answer=np.full_like(column.answer, index))


@dataclass(frozen=True)
class Completed:
    """A run over all items. truth: variable -> state; label, wrong: (N,) of the expression.

    alone: what the labels alone say, variable -> (N, states). levels: decisions by kind of limit.
    """

    session: Session
    truth: dict
    label: np.ndarray
    wrong: np.ndarray
    alone: dict
    standing: object
    levels: dict
    disputed: np.ndarray

    @property
    def states(self):
        return self.session.knowledge.variables["expression"].states

    def kept(self, kind):
        """Shares accepted as the label: of right labels, of wrong ones; of wrong ones as the truth."""
        level = self.levels[kind]["expression"]
        as_label = level.accepted & (level.value == self.label)
        as_truth = level.accepted & (level.value == self.truth["expression"])
        return as_label[~self.wrong].mean(), as_label[self.wrong].mean(), as_truth[self.wrong].mean()

    def affect(self, kind, name):
        """Share accepted; root mean square error of these, and of the class mean of the same items."""
        edges = np.array(self.session.knowledge.variables[name].edges)
        centres = (edges[:-1] + edges[1:]) / 2
        level, true = self.levels[kind][name], centres[self.truth[name]]
        used = level.accepted
        errors = [(value - true)[used] for value in (level.value, self.alone[name] @ centres)]
        return used.mean(), *(np.sqrt((error**2).mean()) for error in errors)

    def units(self, kind):
        """Share accepted; of these wrong, and wrong by the class mean; accepted as present, of them wrong."""
        names = [name for name in self.levels[kind] if name.startswith("AU")]
        accepted, value = (
            np.stack([getattr(self.levels[kind][name], key) for name in names], axis=1)
            for key in ("accepted", "value")
        )
        true = np.stack([self.truth[name] for name in names], axis=1)
        by_class = np.stack([self.alone[name][:, 1] >= 0.5 for name in names], axis=1)
        present = accepted & (value == 1)
        wrong = value != true
        return (accepted.mean(), wrong[accepted].mean(), (by_class != true)[accepted].mean(),
                int(present.sum()), wrong[present].mean() if present.any() else 0.0)  # fmt: skip

    def lines(self, kind):
        right, wrong, corrected = self.kept(kind)
        level = self.levels[kind]["expression"]
        false = (level.value != self.truth["expression"])[level.accepted]
        yield (
            f"    {kind}: right labels accepted {right:.3f}, wrong ones accepted as they are {wrong:.3f}, as "
            f"the truth {corrected:.3f}; of all accepted {false.mean():.3f} wrong, stated "
            f"{level.risk[level.accepted].mean():.3f}"
        )
        for name in ("valence", "arousal"):
            share, ours, plain = self.affect(kind, name)
            yield f"      {name}: accepted {share:.3f}, rms error {ours:.3f}, class mean {plain:.3f}"
        share, ours, plain, count, wrong = self.units(kind)
        yield (
            f"      units: accepted {share:.3f}, {ours:.3f} wrong, class mean {plain:.3f}; "
            f"{count} present, {wrong:.3f} wrong"
        )


@cache
def completed(name, *, final=False, constant=False):
    """Label, ask and decide ITEMS faces under a base of BASES."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.yaml"
        path.write_text(BASES[name])
        base = seke.knowledge(path)
    base = replace(base, policy=replace(base.policy, labels_final=final))
    session = Session.open(base)
    rng = np.random.default_rng(SEED)
    truth = prior_truth(session.inference, ITEMS, rng)
    items = [f"face-{number}" for number in range(ITEMS)]
    states = base.variables["expression"].states
    wrong = rng.random(ITEMS) < WRONG_SHARE
    other = (truth["expression"] + 1 + rng.integers(0, len(states) - 1, ITEMS)) % len(states)
    label = np.where(wrong, other, truth["expression"])
    key = {"observer": "dataset-label", "question": "joint", "draw": 0}
    rows = [
        {"item": item, **key, "expression": states[index]} for item, index in zip(items, label, strict=True)
    ]
    known = Answers.stacked(list(answers_from(rows, base)))
    source = SimulatedSource(session.inference, items, truth, 3)
    standing = run_to_completion(Loop(session), items, Constant(source) if constant else source, None, known)
    decided = session.with_thresholds([standing.answers]).judge(standing.answers).decisions
    levels = {"each": standing.decisions.levels, "mean": decided.levels}
    disputed = np.array(["expression" in names for names in decided.disputed])
    alone = session.inference.posterior(known).marginals
    return Completed(session, truth, label, wrong, alone, standing, levels, disputed)


def missed(name, kind, reason):
    return pytest.param(name, kind, marks=pytest.mark.xfail(strict=True, reason=reason))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("declared .8", "mean"),
        ("declared .95", "each"),
        missed("declared .8", "each", "right labels accepted .666: looks of a weak observer leave the "
               "others' risk above .05"),
        missed("declared .95", "mean", "wrong labels accepted .626: of labels declared better than they are "
               "a mean risk of .045 is stated where .135 are wrong"),
    ],
)  # fmt: skip
def test_wrong_labels_are_found_and_right_ones_kept(name, kind, capsys):
    run = completed(name)
    cost, calls = run.standing.cost, run.standing.calls
    with capsys.disabled():
        print(f"\n  label {name}: cost {cost.mean():.2f} a face, {calls.mean():.1f} answers")
        print("\n".join(run.lines(kind)))
    right, wrong, _ = run.kept(kind)
    assert wrong <= MOST_WRONG_KEPT
    assert right >= LEAST_RIGHT_KEPT


@pytest.mark.parametrize("name", BASES)
def test_what_is_completed_errs_less_than_the_class_mean(name):
    run = completed(name)
    for kind in run.levels:
        for affect in ("valence", "arousal"):
            _, ours, plain = run.affect(kind, affect)
            assert ours < plain
        _, ours, plain, _, _ = run.units(kind)
        assert ours < plain


def test_labels_that_are_kept_are_disputed_where_they_are_wrong(capsys):
    for name in BASES:
        run = completed(name, final=True)
        level = run.levels["each"]["expression"]
        named, falsely = run.disputed[run.wrong].mean(), run.disputed[~run.wrong].mean()
        with capsys.disabled():
            print(f"\n  label {name}, kept: named as disputed {named:.3f} of the wrong, {falsely:.3f} of the "
                  f"right; cost {run.standing.cost.mean():.2f}")  # fmt: skip
            print("\n".join(run.lines("each")))
        assert level.accepted.all()
        assert (level.value == run.label).all()
        assert named > 2 * falsely


def test_labels_that_are_declared_better_than_they_are_are_said(capsys):
    alarms = {}
    for name in BASES:
        run = completed(name)
        looks = looks_at_labels(run.session.inference, run.standing.answers)["expression"]
        alarms[name] = looks.alarms
        with capsys.disabled():
            print(f"\n  label {name}: {looks.contradicts.sum()} of {len(looks.contradicts)} looks contradict "
                  f"the labels, {looks.expected:.0f} expected, p {looks.tail:.2g}")  # fmt: skip
    assert alarms == {"declared .8": False, "declared .95": True}


def test_an_observer_that_always_says_happiness_turns_few_labels(capsys):
    for name in BASES:
        run = completed(name, constant=True)
        happiness = run.states.index("happiness")
        not_happy = run.label != happiness
        turned = {}
        for kind, levels in run.levels.items():
            level = levels["expression"]
            turned[kind] = int((level.accepted & (level.value == happiness))[not_happy].sum())
        _, _, _, present, wrong = run.units("mean")
        with capsys.disabled():
            print(f"\n  label {name}, always happiness: of {not_happy.sum()} other labels became accepted "
                  f"happiness {turned}; units accepted as present {present}, {wrong:.3f} wrong; cost "
                  f"{run.standing.cost.mean():.2f}")  # fmt: skip
        assert max(turned.values()) <= MOST_TURNED * not_happy.sum()
