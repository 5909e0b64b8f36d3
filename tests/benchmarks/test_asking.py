"""Proof by simulation: asking by look-ahead against other ways of asking, at equal cost and equal error.

    pytest tests/benchmarks/test_asking.py -m slow -s

Made-up faces are drawn from the shipped network and answered by a simulated observer (`simulated`). Every way
of asking sees the same answers, infers with the same base and stops for a face where all of it is accepted
or its budget is spent; the look-ahead also where nothing is worth its price. The observer is once as the base
has it and once another: it errs more and repeats itself more, and follows its label twice as often.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated import SimulatedObserver, truths

import seke
from engine import Inference, LookAhead, Preposterior, compiled, decide_levels, diagnose
from engine.observation.evidence import ObservationModel
from seke.samples import answers_from, read_batches

pytestmark = pytest.mark.slow

FACES = 400
SEEDS = (1, 2)
SPENT = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
BOOTSTRAPS = 1000


def misspecified(base):
    """The base of an observer that differs from the one inference believes in."""
    observer = base.observers["gpt-4o"]
    labels = {}
    for name, label in observer.labels.items():
        table = np.array(label.confusion)
        table = 0.75 * table + 0.25 / table.shape[1]
        labels[name] = replace(label, confusion=tuple(map(tuple, table.tolist())))
    halo = {name: replace(h, probability=min(2 * h.probability, 0.9)) for name, h in observer.halo.items()}
    other = replace(observer, labels=labels, halo=halo, carry=0.95)
    return replace(base, observers={**base.observers, "gpt-4o": other})


class Run:
    """One way of asking about all faces: rounds of one question a face."""

    def __init__(self, inference, observer, seed):
        self.inference, self.observer = inference, observer
        self.base = inference.knowledge
        self.rng = np.random.default_rng(seed)
        self.ahead = LookAhead(inference)
        # Questions that check an answer are asked where answers contradict one another.
        self.questions = [q for name, q in self.base.questions.items() if not name.startswith("check_")]
        n = observer.items
        self.records = [[self._refused(i)] for i in range(n)]
        self.drawn = [{} for _ in range(n)]
        self.spent, self.calls, self.over = np.zeros(n), np.zeros(n, dtype=int), np.zeros(n, dtype=bool)
        self.curve = []

    def _refused(self, item):
        """An item of which nothing is known yet."""
        key = {"item": str(item), "observer": "gpt-4o", "question": "joint", "draw": 999}
        return {**key, "status": "refused"}

    def go(self, choose):
        """Ask until every face is over; choose(...) -> for each (question, about, samples) or None."""
        while True:
            (answers,) = answers_from([r for item_records in self.records for r in item_records], self.base)
            # The record that stands for a face of which nothing was asked yet was not paid for.
            answers = replace(answers, asked=answers.asked - 1)
            posterior = self.inference.posterior(answers)
            conflict = diagnose(self.inference, answers, posterior).conflict
            levels = decide_levels(self.base, answers, posterior, conflict)
            settled = np.all([level.accepted for level in levels.values()], axis=0)
            self._note(levels)
            self.over |= settled | (answers.asked >= self.base.policy.budget)
            if self.over.all():
                return self
            for item, asked in enumerate(choose(self, answers, posterior, ~self.over)):
                if self.over[item]:
                    continue
                if asked is None:
                    self.over[item] = True
                else:
                    self._ask(item, *asked, int(self.base.policy.budget - answers.asked[item]))

    def _ask(self, item, question, about, samples, budget_left):
        samples = min(samples, budget_left)
        for _ in range(samples):
            drawn = self.drawn[item]
            place, draw = drawn.get((question, about), 0), drawn.get(question, 0)
            drawn[question, about], drawn[question] = place + 1, draw + 1
            sample = self.observer.sample(item, question, about, place)
            self.records[item].append({**sample, "draw": draw})
        self.spent[item] += self.base.questions[question].price(samples)
        self.calls[item] += samples

    def _note(self, levels):
        truth, policy = self.observer.truth, self.base.policy
        required = [v for level in policy.required for v in self.base.levels[level]]
        wrong, worth = np.zeros(len(self.spent), dtype=bool), np.zeros(len(self.spent))
        for name, level in levels.items():
            variable = self.base.variables[name]
            if variable.kind == "interval":
                edges = np.array(variable.edges)
                centre = ((edges[:-1] + edges[1:]) / 2)[truth[name]]
                missed = np.abs(centre - level.value) > policy.tolerance[name]
            else:
                missed = level.value.astype(int) != truth[name]
            wrong |= missed & np.isin(name, required)
            worth += policy.worth[name] * level.accepted
        accepted = np.all([levels[name].accepted for name in required], axis=0)
        state = (self.spent.copy(), self.calls.copy(), accepted, accepted & wrong, worth)
        self.curve.append(np.array(state, dtype=float))

    def at(self, spent):
        """Per face what was accepted, wrong and worth when the mean face had cost so much, (5, faces)."""
        means = np.array([state[0].mean() for state in self.curve])
        after = int(np.searchsorted(means, spent))
        if after >= len(means):
            return self.curve[-1]
        before = max(after - 1, 0)
        share = (spent - means[before]) / max(means[after] - means[before], 1e-9) if after else 0.0
        return (1 - share) * self.curve[before] + share * self.curve[after]


def by_look_ahead(run, answers, posterior, chosen):
    options = run.ahead.next(answers, posterior, chosen)
    return [option and (option.question, option.about, option.samples) for option in options]


def at_random(run, answers, posterior, chosen):
    choices = []
    for _ in chosen:
        question = run.questions[run.rng.integers(len(run.questions))]
        about = question.variables[run.rng.integers(len(question.variables))] if question.about_one else None
        choices.append((question.name, about, 1))
    return choices


def in_turn(run, answers, posterior, chosen):
    """Joint, expression, affect, action units, then a unit to verify: the least certain one."""
    units = run.base.questions["verify"].variables
    p = np.stack([posterior.marginals[name][:, 1] for name in units], axis=1)
    choices = []
    for item, asked in enumerate(answers.asked):
        question = run.questions[int(asked) % len(run.questions)]
        about = units[int(np.abs(p[item] - 0.5).argmin())] if question.about_one else None
        choices.append((question.name, about, 1))
    return choices


def always_joint(run, answers, posterior, chosen):
    return [("joint", None, 1)] * len(chosen)


WAYS = {
    "look-ahead": by_look_ahead,
    "in turn": in_turn,
    "at random": at_random,
    "always joint": always_joint,
}


def gap(figures, other_figures, column):
    """Mean paired difference over faces, and its bootstrap standard error."""
    difference = figures[column] - other_figures[column]
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(difference), (BOOTSTRAPS, len(difference)))
    return difference.mean(), difference[picks].mean(1).std()


def compared(kind, lines):
    """All ways of asking the same observers; their runs, joined over seeds."""
    base = seke.knowledge()
    inference = Inference(compiled(base, None), base)
    true_base = misspecified(base) if kind == "misspecified" else base
    model = ObservationModel(inference.network, true_base, base.reference)
    states = {way: [] for way in WAYS}
    ends = {way: [] for way in WAYS}
    for seed in SEEDS:
        truth = truths(inference, FACES, seed)
        observer = SimulatedObserver(model, "gpt-4o", truth, base.policy.budget + 1, seed)
        for way, choose in WAYS.items():
            run = Run(inference, observer, seed).go(choose)
            states[way].append(np.stack([run.at(spent) for spent in SPENT]))
            ends[way].append(run.curve[-1])
    states = {way: np.concatenate(parts, axis=2) for way, parts in states.items()}
    ends = {way: np.concatenate(parts, axis=1) for way, parts in ends.items()}
    lines.append(f"observer {kind}: {FACES * len(SEEDS)} faces")
    lines.append(
        "  to the end     accepted  wrong   cost  calls  an accepted face: cost  calls  worth a cost"
    )
    for way, (spent, calls, accepted, wrong, worth) in ends.items():
        per = max(accepted.sum(), 1)
        means = f"{accepted.mean():8.3f} {wrong.sum() / per:6.3f} {spent.mean():6.2f} {calls.mean():6.2f}"
        per_accepted = f"{spent.sum() / per:21.2f} {calls.sum() / per:6.2f} {worth.sum() / spent.sum():13.2f}"
        lines.append(f"  {way:15} {means} {per_accepted}")
    lines.append("  at equal cost, accepted (wrong among them) and worth of all that is accepted")
    lines.append("  cost a face     " + "".join(f"{spent:>20g}" for spent in SPENT))
    for way in WAYS:
        cells = [
            f"{accepted.mean():.3f} ({wrong.sum() / max(accepted.sum(), 1):.2f}) {worth.mean():5.2f}"
            for _, _, accepted, wrong, worth in states[way]
        ]
        lines.append(f"  {way:15}  " + "".join(f"{cell:>20}" for cell in cells))
    return states, ends


@pytest.mark.parametrize("kind", ["right", "misspecified"])
def test_look_ahead_beats_other_ways_of_asking(kind, capsys):
    lines = []
    states, ends = compared(kind, lines)
    ahead, most = states["look-ahead"], ends["look-ahead"][0].mean()
    for way in [way for way in WAYS if way != "look-ahead"]:
        for place, spent in enumerate(SPENT):
            accepted, worth = (gap(ahead[place], states[way][place], column) for column in (2, 4))
            lines.append(
                f"  more than {way} at {spent:g}: accepted {accepted[0]:+.3f} ± {accepted[1]:.3f}, "
                f"worth {worth[0]:+.2f} ± {worth[1]:.2f}"
            )
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    # Beyond what it spends the look-ahead is compared with ways that spend more.
    equal = [place for place, spent in enumerate(SPENT) if spent <= most]
    assert equal
    for way in ("in turn", "at random"):
        for place in equal:
            difference, error = gap(ahead[place], states[way][place], 4)
            assert difference > (2 if kind == "right" else -2) * error, (way, SPENT[place])
    cost = {way: spent.sum() / accepted.sum() for way, (spent, _, accepted, _, _) in ends.items()}
    assert cost["look-ahead"] == min(cost.values())


def test_bulk_beside_exact(capsys):
    """Time an item, and agreement on the shipped example."""
    base = seke.knowledge()
    inference = Inference(compiled(base, None), base)
    (answers,) = read_batches(["examples/faces/samples.jsonl"], base)
    posterior = inference.posterior(answers)
    bulk, exact = LookAhead(inference), Preposterior(inference)
    chosen = bulk.next(answers, posterior, np.ones(len(answers.items), dtype=bool))
    shares, ranks, ratios, spent = [], [], [], []

    def key(option):
        return option.observer, option.question, option.about, option.view, option.samples

    for item, option in enumerate(chosen):
        if option is None:
            continue
        start = time.perf_counter()
        by_all = {key(o): o for o in exact.options(answers, item)}
        spent.append(time.perf_counter() - start)
        by_bulk = {key(o): o for o in bulk.options(answers, posterior, item)}
        shares.append(by_all[key(option)].rate / next(iter(by_all.values())).rate)
        gainful = [k for k, o in by_bulk.items() if o.gain > 0]
        ranks.append(spearmanr([by_all[k].rate for k in gainful], [by_bulk[k].rate for k in gainful])[0])
        ratios += [by_bulk[k].gain / by_all[k].gain for k in gainful if by_all[k].gain > 0.2]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    lines = [
        f"{len(shares)} items of the shipped example; exact look-ahead {np.mean(spent):.2f} s an item",
        f"rate of bulk's choice, share of the best: mean {np.mean(shares):.3f}, least {np.min(shares):.2f}",
        f"rank correlation of the rates: mean {np.mean(ranks):.3f}, least {np.min(ranks):.2f}",
        f"bulk gain / exact gain: median {middle:.2f}, quartiles {low:.2f} and {high:.2f}",
    ]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert np.mean(shares) > 0.9
    assert np.mean(ranks) > 0.85
