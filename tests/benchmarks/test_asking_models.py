"""The policy over five vision models: fewer answers than all five give, at nearly their coverage.

    pytest tests/benchmarks/test_asking_models.py -m slow -s

Video frames and models are those of test_shared_errors. In each of SPLITS splits GOLD clips of four actors,
one frame a clip and one answer of each model, calibrate a base in which all models are alike
(`seke.calibrate`, population learned); frames of the other four actors are decided. Asking all five takes one
answer of each. The policy asks gpt-4o first and whom its look-ahead finds worth it next (`policy.others`; all
models cost the same, WORTH answers are what an accepted frame is worth), also a further draw of a model that
it has asked: up to three of each are recorded. Limits are of each risk and of the mean; those of the mean are
kept by the thresholds that the fit has found, for all five and for the policy apart. The policy's have an aim
besides, how far down to ask; that was devised on these splits, after one cap for asking and accepting had
accepted .067, and so they are no independent proof of it. Beside these the plain rule: as many as agree, K of
N models in the order in which they are named.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from test_mean_limits import Outcome
from test_shared_errors import DATA, FIVE, STATES, Frames, Setup

import seke
from engine import Answers
from seke.annotation.stopping_rules import rule_of
from seke.inference.session import Session
from seke.samples import answers_from, single_samples
from seke.sampling.answerers import RecordedSource
from seke.sampling.loop import Loop, run_to_completion

GOLD, SPLITS, LIMIT = 100, 20, 0.1
# An accepted frame is worth as many answers as an accepted expression in the shipped base: 20 / .4.
WORTH = 50
RULES = ("agree:2/2", "agree:3/3", "agree:4/5", "agree:5/5")
# Goals: answers and coverage beside those of all five.
MOST_ANSWERS, LEAST_COVERAGE = 0.6, 0.9
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]

POLICY = f"""
  limits: {{tone: {{mean: {LIMIT}}}}}
  worth: {{tone: {WORTH}}}
  others: [{", ".join(FIVE[1:])}]
"""


def write_base(folder):
    """A base of five models that are alike and err together, whose policy may ask all of them."""
    path = Setup(FIVE, in_base=FIVE).base(folder)
    text = path.read_text()
    for line in ("  limits: {tone: 0.1}\n", "  worth: {tone: 1}\n"):
        assert line in text
        text = text.replace(line, "")
    path.write_text(text.replace("policy:\n", f"policy:{POLICY}", 1))
    return path


class Actors:
    """The frames of four actors, decided by a fit to those of four others."""

    def __init__(self, frames, order, test, folder):
        self.frames, self.test, gold = frames, test, order[:GOLD]
        base, overlay = write_base(folder), folder / "fit.yaml"
        labels = [{"item": frames.names[i], "tone": STATES[frames.truth[i]]} for i in gold]
        samples = self._samples(gold, 1)
        fit = seke.calibrate(samples, base, labels, output=overlay, learn_population=True)
        overlay.write_text(fit.overlay)
        self.session = Session.open(seke.knowledge(overlay))
        self.base = self.session.knowledge

    def _samples(self, chosen, draws):
        return [sample for sample in self.frames.samples(chosen) if sample["draw"] < draws]

    def outcome(self, items, level, answers):
        place = {name: i for i, name in enumerate(self.frames.names)}
        rows = np.array([place[item] for item in items])
        right = level.value.astype(int) == self.frames.truth[rows]
        return Outcome(self.frames.person[rows], level.accepted, right, level.risk, answers, answers * 1.0)

    def all_five(self, session):
        answers = Answers.stacked(list(answers_from(self._samples(self.test, 1), self.base)))
        return self.outcome(answers.items, session.levels(answers)["tone"], answers.samples)

    def policy(self, session):
        """The outcome, and how many of the answers were further draws of a model asked before."""
        source = RecordedSource(single_samples(self._samples(self.test, 3), self.base))
        standing = run_to_completion(Loop(session), source.items, source)
        again = sum(count - 1 for count in standing.given.values() if count)
        return self.outcome(source.items, standing.decisions.levels["tone"], standing.calls), again

    def agreeing(self, name):
        rule, wanted = rule_of(name, len(FIVE)), int(name.removeprefix("agree:").split("/")[0])
        rows = []
        for i in self.test:
            heard = [self.frames.labels[i][model][:1] for model in FIVE]
            labels = [label for first_answers in heard for label in first_answers]
            if not labels:
                continue
            count = 0
            while count < len(labels) and (further := rule(labels[:count])):
                count = min(count + further, len(labels))
            leader = max(labels[:count], key=labels[:count].count)
            accepted = labels[:count].count(leader) >= wanted
            right = leader == STATES[self.frames.truth[i]]
            rows.append((self.frames.person[i], accepted, right, np.nan, count, float(count)))
        return Outcome(*map(np.array, zip(*rows, strict=True)))


def of_each(session):
    """The same fit with a limit of each risk."""
    policy = session.knowledge.policy
    caps = {"thresholds": {}, "adaptive_thresholds": {}, "adaptive_aims": {}}
    return session.under(replace(policy, mean_limits=frozenset(), **caps))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    frames = Frames.read(Setup(FIVE, draws=3, in_base=FIVE))
    parts, again = {}, {"mean": 0, "each": 0}
    for order, test in islice(frames.splits(4), SPLITS):
        actors = Actors(frames, order, test, tmp_path_factory.mktemp("split"))
        for kind, session in (("mean", actors.session), ("each", of_each(actors.session))):
            parts.setdefault((kind, "all five"), []).append(actors.all_five(session))
            outcome, further = actors.policy(session.asking())
            parts.setdefault((kind, "policy"), []).append(outcome)
            again[kind] += further
        for name in RULES:
            parts.setdefault(("rule", name), []).append(actors.agreeing(name))
    pooled = {key: Outcome.pooled(some) for key, some in parts.items()}
    return pooled, {kind: count / len(pooled[kind, "policy"].answers) for kind, count in again.items()}


@pytest.mark.parametrize("kind", ["each", "mean"])
def test_the_policy_needs_fewer_answers_than_all_five(outcomes, kind, capsys):
    pooled, again = outcomes
    policy, five = pooled[kind, "policy"], pooled[kind, "all five"]
    share, kept = policy.answers.mean() / five.answers.mean(), policy.coverage / max(five.coverage, 1e-9)
    with capsys.disabled():
        print()
        for (of, name), outcome in pooled.items():
            if of in (kind, "rule"):
                print(outcome.line(name if of == "rule" else f"{of} {LIMIT}, {name}"))
        print(f"{kind} {LIMIT}: {share:.3f} of the answers, {kept:.3f} of the coverage; further draws of a "
              f"model {again[kind]:.2f} a frame")  # fmt: skip
    assert five.coverage > 0
    assert share <= MOST_ANSWERS
    assert kept >= LEAST_COVERAGE
