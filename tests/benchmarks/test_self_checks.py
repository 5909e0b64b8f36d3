"""What is worth asking where answers contradict each other: afresh, with the earlier answer shown, or again.

Real answers: the tone of 1,216 video frames as five vision models told it with two prompts, three times each
(../shared/data/vlm_repeats.csv). Where a model and another one contradict each other, the model is asked for
one answer more, at the price of any: once more with the same prompt; afresh with its other prompt; or shown
its own answer, of which no real data are at hand: with the probability `echo` it repeats that, and else it
answers as it does with the other prompt. What the third answer is worth is what a table of gold by the three
answers, counted on all other actors, makes of it: log loss and accuracy, one vote a clip.

At temperature 0 a second answer equals the first in .99, and gains nothing; afresh gains .026 nats (.010 to
.045, over actors), shown its own with an echo of .5 half of that (.012), of .8 and more nothing. At
temperature .8 a second answer equals the first in .94 (.90 where that is wrong), and no third answer gains
what can be told from nothing (the same again .007, afresh -.003, each give or take .02). None of them makes
the likeliest tone right more often by .01.

Simulated observers as the base declares them, with the loop closed: the policy that checks contradictions
first, afresh or with the earlier answer shown, beside the one that weighs them like all else. By what is
declared a look-ahead that weighs all is right to, so that nothing can be gained here, and checks cost 4 %
more (2.01 of 1.93 joint answers an item) for the same share accepted (.117) and wrong (.036); shown its own
answer 2.6 % more, with .113 accepted.

    pytest tests/benchmarks/test_self_checks.py -m slow -s
"""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seke
from engine import Answers, Numbers, prior_truth
from seke.inference.session import Session
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Loop, run_to_completion
from seke.sampling.recalled_answers import earlier_answer

DATA = Path(__file__).parents[3] / "shared" / "data" / "vlm_repeats.csv"
OVERLAY = Path(__file__).parents[2] / "examples" / "checks" / "self_check.yaml"
# Temperature -> the models that answered both prompts with it.
MODELS = {
    "t0": ("gpt-4o", "gemini-2.5", "gemma3", "mistral-small", "qwen2.5vl"),
    "t8": ("gemma3", "mistral-small", "qwen2.5vl"),
}
GOLD = ("positive", "neutral", "negative")
LETTERS = {"positive": "P", "neutral": "N", "negative": "G"}
ECHOES = (0.5, 0.8, 0.95)
# One imagined item for each gold tone and pattern of answers, so that what was never seen is no certainty.
PRIOR = 1.0
ITEMS = 240
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frames():
    if not DATA.exists():
        pytest.skip("the data are not here")
    with DATA.open(newline="") as file:
        return list(csv.DictReader(file))


def scores(rows):
    """Actor -> clip -> log loss and accuracy of gold given the answers, as counted on all other actors."""
    losses = defaultdict(lambda: defaultdict(list))
    for held in sorted({person for person, *_ in rows}):
        counts = defaultdict(lambda: np.full(len(GOLD), PRIOR))
        for person, _, gold, pattern in rows:
            if person != held:
                counts[pattern][GOLD.index(gold)] += 1
        for person, clip, gold, pattern in rows:
            if person == held:
                p = counts[pattern] / counts[pattern].sum()
                right = GOLD.index(gold)
                losses[person][clip].append((-np.log(p[right]), float(p.argmax() == right)))
    return losses


def by_actor(scored):
    """Actor -> mean log loss and accuracy, one vote a clip, of the scores of several pairs of models."""
    clips = defaultdict(lambda: defaultdict(list))
    for losses in scored:
        for person, by_clip in losses.items():
            for clip, values in by_clip.items():
                clips[person][clip] += values
    return {
        p: np.mean([np.mean(v, axis=0) for v in by_clip.values()], axis=0) for p, by_clip in clips.items()
    }


def interval(differences, rng):
    """Return the mean of differences, and 95 % of means of as many drawn with replacement."""
    drawn = rng.choice(differences, (2000, len(differences))).mean(1)
    return np.mean(differences), *np.quantile(drawn, [0.025, 0.975])


def cases_of(frames, model, other, temperature, rng):
    """Strategy -> the frames of which two models contradict each other, with the pattern of answers."""
    cases = defaultdict(list)
    for row in frames:
        first, again, _ = row[f"{model}|plain|{temperature}"]
        fresh, rival = row[f"{model}|facs|{temperature}"][0], row[f"{other}|plain|{temperature}"][0]
        if "x" in (first, again, fresh, rival) or first == rival:
            continue
        key = row["person"], row["clip"], row["gold"]
        cases["nothing more"].append((*key, (first, rival)))
        cases["the same again"].append((*key, (first, rival, again)))
        cases["afresh"].append((*key, (first, rival, fresh)))
        for echo in ECHOES:
            told = first if rng.random() < echo else fresh
            cases[f"shown its own, echo {echo:g}"].append((*key, (first, rival, told)))
    return cases


@pytest.mark.parametrize("temperature", MODELS)
def test_a_third_answer_where_two_contradict_each_other(frames, temperature, capsys):
    """Means over the pairs of a model and another that contradicts it."""
    rng = np.random.default_rng(1)
    by_strategy = defaultdict(list)
    for model, other in itertools.permutations(MODELS[temperature], 2):
        cases = cases_of(frames, model, other, temperature, rng)
        if len(cases["afresh"]) >= 100:
            for name, rows in cases.items():
                by_strategy[name].append(scores(rows))
    actors = {name: by_actor(scored) for name, scored in by_strategy.items()}
    same = defaultdict(list)
    for row, model in itertools.product(frames, MODELS[temperature]):
        first, again, _ = row[f"{model}|plain|{temperature}"]
        same["all"].append(first == again)
        same["wrong" if first != LETTERS[row["gold"]] else "right"].append(first == again)
    gains = {}
    with capsys.disabled():
        print(f"\n{temperature}, {len(by_strategy['afresh'])} pairs: a second answer equals the first in "
              f"{np.mean(same['all']):.3f}, in {np.mean(same['wrong']):.3f} where that is wrong")  # fmt: skip
        for name, scored in actors.items():
            loss, right = np.mean(list(scored.values()), axis=0)
            saved = [actors["nothing more"][person][0] - scored[person][0] for person in scored]
            gains[name], low, high = interval(saved, rng)
            print(f"{name:24s} log loss {loss:.3f}, right {right:.3f}, "
                  f"gains {gains[name]:+.3f} ({low:+.3f} to {high:+.3f})")  # fmt: skip
    # One answer more of the same model is worth little, however it is asked; of a model that always repeats
    # itself it is worth nothing unless it is asked in another way.
    assert all(gain < 0.06 for gain in gains.values())
    if temperature == "t0":
        assert gains["the same again"] < 0.005 < gains["afresh"]
        assert gains["shown its own, echo 0.95"] < gains["afresh"]


class Echoing:
    """Simulated observers; one that is shown its own earlier answer repeats it as often as declared."""

    def __init__(self, session, truth, seed):
        self.base = session.knowledge
        self.items = [f"i{number}" for number in range(ITEMS)]
        self.inner = SimulatedSource(session.inference, self.items, truth, seed)
        self.so_far = Answers.unasked(self.items)
        self.seed = seed

    def ask(self, requests):
        answers = self.inner.ask(requests)
        given = {}
        for place, request in enumerate(requests):
            if not self.base.questions[request.question].recall:
                continue
            known = self.so_far.part(self.items.index(request.item), self.items.index(request.item) + 1)
            earlier = earlier_answer(self.base, known, request.observer, request.about)
            if earlier is None:
                continue
            value = self._repeat(answers, place, request, earlier)
            given.setdefault(request.about, []).append((place, value))
        columns = {name: map(np.array, zip(*pairs, strict=True)) for name, pairs in given.items()}
        answers = replace(answers, given={name: Numbers(*column) for name, column in columns.items()})
        self.so_far = self.so_far.joined(answers)
        return answers

    def _repeat(self, answers, place, request, earlier):
        """Put the earlier answer in the place of mere repeats; return its index, or the number."""
        observer = self.base.observers[request.observer]
        numeric = request.about in observer.numbers
        column = (answers.numbers if numeric else answers.labels)[request.about]
        value = earlier if numeric else observer.labels[request.about].answers.index(_word(earlier))
        rows = np.flatnonzero(column.reading == place)
        rng = np.random.default_rng([self.seed, self.items.index(request.item), request.first])
        repeats = rows[rng.random(len(rows)) < observer.echo[request.question]]
        (column.value if numeric else column.answer)[repeats] = value
        return value


def _word(answer):
    return str(answer).lower() if isinstance(answer, bool) else answer


def test_the_closed_loop_that_checks_contradictions(capsys):
    shipped, told = Session.open(seke.knowledge()), Session.open(seke.knowledge(OVERLAY))
    policy = shipped.knowledge.policy
    sessions = {
        "weigh": shipped.under(replace(policy, checks_first=False)),
        "check afresh": shipped,
        "check, shown its own": told,
    }
    truth = prior_truth(shipped.inference, ITEMS, np.random.default_rng(7))
    figures = {}
    for name, session in sessions.items():
        source = Echoing(session, truth, 8)
        state = run_to_completion(Loop(session), source.items, source)
        level = state.decisions.levels["expression"]
        accepted = level.accepted
        wrong = (level.value != truth["expression"])[accepted].mean()
        whole = np.mean([decision == "accept" for decision in state.decisions.item])
        right = (level.value == truth["expression"]).mean()
        checks = sum(line[2].startswith(("check", "self")) for line in state.given)
        figures[name] = state.cost.mean(), accepted.mean(), wrong
        with capsys.disabled():
            print(f"\n{name:22s} cost {state.cost.mean():.2f}, expression right {right:.3f}, "
                  f"accepted {accepted.mean():.3f}, of these wrong {wrong:.3f}, items accepted {whole:.3f}, "
                  f"checks {checks}")  # fmt: skip
    # Checking first costs hardly more, and what is accepted is no worse.
    cost, coverage, wrong = figures["weigh"]
    checked_cost, checked_coverage, checked_wrong = figures["check afresh"]
    assert checked_cost <= 1.1 * cost
    assert checked_coverage >= coverage - 0.03
    assert checked_wrong <= wrong + 0.02
