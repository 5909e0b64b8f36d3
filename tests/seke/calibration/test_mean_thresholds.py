"""The thresholds of items that are asked as the policy asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seke
from engine import FitDraws, Threshold
from seke.calibration.mean_thresholds import (
    SHARES,
    Attempt,
    _Ends,
    _Search,
    best,
    distinct_ends,
    thresholds_of,
)
from seke.calibration.summary import facts_of, text_of
from seke.inference.session import Session
from seke.samples import answers_from, single_samples
from seke.sampling.answerers import RecordedSource
from seke.sampling.loop import Loop
from seke.sampling.replay import replay

PLANTS = Path(__file__).parents[2] / "few_plants.yaml"
ITEMS, LIMIT = 40, 0.1
# Of the fit: enough that four in five of them are not all.
DRAWS = 40


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A calibration on made-up plants, a session with its base, and the answers, whole and one by one."""
    folder = tmp_path_factory.mktemp("plants")
    root = seke.knowledge(PLANTS).root
    base, overlay = folder / "base.yaml", folder / "fit.yaml"
    policy = f"{{source: judgement, note: a trial, limits: {{{root}: {{mean: {LIMIT}}}}}}}"
    base.write_text(f"extends: {PLANTS}\npolicy: {policy}\n", encoding="utf-8")
    parts = list(seke.simulate(PLANTS, ITEMS, draws=2, seed=5))
    rows = [row for part in parts for row in part.samples]
    fit = seke.calibrate(
        rows, base, [row for part in parts for row in part.truth], output=overlay, with_checks=False
    )
    overlay.write_text(fit.overlay, encoding="utf-8")
    session = Session.open(seke.knowledge(overlay))
    (answers,) = answers_from(rows, session.knowledge)
    return fit, session, answers, single_samples(rows, session.knowledge)


def search_of(fitted, limit=LIMIT, progress=lambda *_: None):
    fit, session, _, singles = fitted
    policy = session.knowledge.policy
    limits = {**policy.limits, session.knowledge.root: limit}
    bare = {"thresholds": {}, "adaptive_thresholds": {}, "aims": {}, "adaptive_aims": {}}
    session = session.under(replace(policy, limits=limits, **bare))
    draws = FitDraws.of(fit.fit, session.inference, np.random.default_rng(0), draws=DRAWS)
    return _Search(session, draws, singles, progress)


@pytest.fixture(scope="module")
def searched(fitted):
    """A search, the thresholds of items as answered, and of those asked; and that it tells how far it is."""
    told = []
    search = search_of(fitted, progress=lambda *step: told.append(step))
    found = search.thresholds(fitted[2])
    for stage, most in (
        ("thresholds, as the policy asks", len(SHARES) * ITEMS),
        ("thresholds, from draws of the fit", DRAWS),
    ):
        steps = [done for name, done, total in told if name == stage and total == most]
        assert steps == sorted(steps)
        assert len(steps) >= len(SHARES)
        assert steps[-1] == most
    told.clear()
    return search, *found


def attempt_of(search, share, keys):
    """What comes of one share of the limits, found on its own."""
    asked = search.under(share, keys)
    ends = _Ends.of(search.session, search.draws, asked.answers)
    return search._attempt(share, asked, ends.thresholds(np.arange(len(asked.answers.items))))


@pytest.fixture(scope="module")
def attempts_alone(searched):
    """Share of the limits -> what comes of it, found on its own."""
    search, _, asked = searched
    keys = {(threshold.variable, threshold.value) for threshold in asked}
    return {share: attempt_of(search, share, keys if share < 1 else ()) for share in SHARES}


def made_threshold(variable, accepted, aim):
    return Threshold(variable, Threshold.ANY, LIMIT, 0.2, 20, accepted, 0.08, aim)


def in_use(search, threshold):
    """The session that asks and decides by a threshold of the root."""
    base = search.session.knowledge
    values = len(base.variables[base.root].values)
    caps = {base.root: (threshold.risk,) * values}
    aims = {base.root: (threshold.aim,) * values}
    return search.session.under(replace(base.policy, adaptive_thresholds=caps, adaptive_aims=aims))


def of_root(search, thresholds):
    (threshold,) = [t for t in thresholds if t.variable == search.session.knowledge.root]
    return threshold


def test_that_aim_is_best_whose_accepted_are_worth_most_beyond_what_they_cost():
    """By hand: 6 signs at 10 and 10 colours at 4 are worth 100, less 30 they cost; and so on."""
    worth = {"sign": 10.0, "colour": 4.0}
    rows = (
        # aim, accepted signs and colours, cost: net worth
        (0.1, 6, 10, 30.0, 70.0),
        (0.07, 9, 10, 55.0, 75.0),
        (0.05, 9, 12, 65.0, 73.0),
        (0.035, 10, 10, 65.0, 75.0),
    )
    attempts = [
        Attempt.of([made_threshold("sign", signs, aim), made_threshold("colour", colours, aim)], worth, cost)
        for aim, signs, colours, cost, _ in rows
    ]
    assert [attempt.net_worth for attempt in attempts] == [net for *_, net in rows]
    # Of two that are worth as much the first, which asks less far down.
    assert best(attempts) == attempts[1].thresholds
    # Worth 180, but colour is met too seldom there to have a threshold.
    lacking = Attempt.of([made_threshold("sign", 20, 0.025)], worth, 20.0)
    assert lacking.net_worth == 180
    assert best([*attempts, lacking]) == attempts[1].thresholds
    assert best([attempts[0], lacking]) == attempts[0].thresholds
    assert best([Attempt.of([], worth, 5.0)]) == ()


def test_each_end_is_judged_once_and_every_aim_as_on_its_own(fitted, searched, attempts_alone):
    """Thresholds of ends that are shared are those of items that are inferred and drawn for one aim alone."""
    search, plain, asked = searched
    answers = fitted[2]
    shares, replays = search.replays()
    assert shares == SHARES
    stack, rows = distinct_ends([(replayed.answers, replayed.taken) for replayed in replays])
    ends = {taken for replayed in replays for taken in replayed.taken}
    assert len(stack.items) == len(ends) < len(SHARES) * ITEMS
    np.testing.assert_array_equal(rows[0], np.arange(ITEMS))
    for replayed, row in zip(replays, rows, strict=True):
        np.testing.assert_array_equal(stack.samples[row], replayed.answers.samples)
    whole = _Ends.of(search.session, search.draws, answers).thresholds(np.arange(ITEMS))
    for thresholds, expected in ((asked, best(list(attempts_alone.values()))), (plain, whole)):
        assert len(thresholds) == len(expected) > 0
        for threshold, other in zip(thresholds, expected, strict=True):
            values = {
                name: pytest.approx(value, abs=1e-12)
                for name, value in vars(threshold).items()
                if isinstance(value, float)
            }
            assert vars(other) == {**vars(threshold), **values}


def test_a_threshold_keeps_its_limit_on_the_items_on_which_it_was_found(searched):
    """They are asked anew, as a base with this threshold asks; its aim and risk are those of the record."""
    search, _, asked = searched
    threshold = of_root(search, asked)
    session = in_use(search, threshold).asking()
    answers = replay(session, search.recorded, among_recorded=True).answers
    level = session.levels(answers)[threshold.variable]
    assert 0 < level.accepted.sum() == threshold.accepted
    assert level.eligible.sum() == threshold.items
    drawn = search.draws.risks(answers, {threshold.variable: level})
    risk, weight = drawn.risk[threshold.variable][:, level.accepted], drawn.weight[:, level.accepted]
    means = np.sort((risk * weight).sum(1) / weight.sum(1))
    confidence = session.knowledge.policy.confidence
    assert (means <= LIMIT + 1e-9).mean() >= confidence
    assert threshold.mean == pytest.approx(np.quantile(means, confidence, method="higher"))


def test_of_all_aims_that_one_is_taken_whose_accepted_are_worth_most_beyond_their_price(
    searched, attempts_alone
):
    """Of all variables, and only of aims under which each value has a threshold that has one at the limit."""
    search, _, asked_best = searched
    policy = search.session.knowledge.policy
    keys = {(threshold.variable, threshold.value) for threshold in asked_best}
    worth = {}
    for share in SHARES:
        thresholds = attempts_alone[share].thresholds
        if {(threshold.variable, threshold.value) for threshold in thresholds} == keys:
            accepted = sum(policy.worth[threshold.variable] * threshold.accepted for threshold in thresholds)
            worth[share * LIMIT] = accepted - search.under(share, keys if share < 1 else ()).cost.sum()
    assert len(worth) > 1
    assert of_root(search, asked_best).aim == max(worth, key=worth.get)


@pytest.mark.parametrize("limit", [0.02, 0.3])
def test_with_the_same_aim_a_lower_limit_accepts_no_more(fitted, limit):
    counts = []
    for allowed in sorted((LIMIT, limit)):
        search = search_of(fitted, allowed)
        key = {(search.session.knowledge.root, Threshold.ANY)}
        counts.append(of_root(search, attempt_of(search, 0.05 / allowed, key).thresholds).accepted)
    assert counts == sorted(counts)
    assert counts[1] > 0


def test_a_fit_records_the_aim_and_the_base_that_is_read_again_asks_down_to_it(fitted):
    fit, session, _, _ = fitted
    (threshold,) = [t for t in fit.record.adaptive_thresholds if t.variable == session.knowledge.root]
    assert threshold.aim in [pytest.approx(share * LIMIT) for share in SHARES]
    policy = session.knowledge.policy
    assert policy.adaptive_aims[threshold.variable][0] == pytest.approx(threshold.aim, abs=1e-6)
    asking = session.asking()
    variable = session.knowledge.variables[threshold.variable]
    highest, aim = (
        p.highest_risk(variable) for p in (asking.knowledge.policy, asking.look_ahead.base.policy)
    )
    assert highest == pytest.approx(threshold.risk, abs=1e-6)
    assert aim == pytest.approx(threshold.aim, abs=1e-6)


def test_several_processes_find_the_same(fitted, searched):
    search, plain, asked = searched
    assert replace(search, processes=2).thresholds(fitted[2]) == (plain, asked)


def test_without_recorded_samples_there_are_thresholds_of_items_as_answered_alone(fitted):
    fit, session, answers, _ = fitted
    plain, asked = thresholds_of(session, fit.fit, answers, np.random.default_rng(0), None, None)
    assert plain
    assert asked == ()
    assert all(threshold.aim is None for threshold in plain)


def test_an_accepted_item_is_asked_on_until_its_risk_is_aimed_at(fitted):
    """Accepted up to .4 and asked down to .05: as many answers as with a cap of .05, and more is accepted."""
    search = search_of(fitted)
    root = search.session.knowledge.root
    low, high = (
        replay(in_use(search, Threshold(root, Threshold.ANY, LIMIT, risk, 0, 0, 0.0, 0.05)), search.recorded)
        for risk in (0.05, 0.4)
    )
    np.testing.assert_array_equal(low.answers.samples, high.answers.samples)
    np.testing.assert_array_equal(low.cost, high.cost)
    accepted = [
        in_use(search, Threshold(root, Threshold.ANY, LIMIT, risk, 0, 0, 0.0, 0.05))
        .asking()
        .levels(replayed.answers)[root]
        .accepted
        for risk, replayed in ((0.05, low), (0.4, high))
    ]
    assert (accepted[0] <= accepted[1]).all()
    assert accepted[0].sum() < accepted[1].sum()


def test_among_recorded_answers_no_item_ends_for_want_of_an_answer(fitted):
    """One answer of each line: where a second one is asked for, the item ends there, unless it may not be."""
    _, session, _, singles = fitted
    first = [line not in singles.line[:number] for number, line in enumerate(singles.line)]
    mask = np.array(first)
    lines = tuple(line for line, kept in zip(singles.line, first, strict=True) if kept)
    once = replace(
        singles,
        item=singles.item[mask],
        line=lines,
        answers=singles.answers.only(mask),
        place=singles.place[mask],
    )
    source = RecordedSource(once)
    assert set(source.counts.values()) == {1}
    assert replay(session, once).short.any()
    among = replay(session, once, among_recorded=True)
    assert not among.short.any()
    # What the policy would ask for is what there is still, or nothing.
    loop = Loop(session.asking(), source.counts)
    standing = loop.begin(among.answers, dict.fromkeys(lines, 1))
    assert not standing.requests


def test_the_summary_says_how_far_down_items_are_asked(fitted):
    fit = fitted[0]
    plain, asked = (part.splitlines() for part in text_of(fit).split("Risks accepted to keep")[1:])
    after_limit = ["accepted", "at", "risk", "accepts", "mean", "risk"]
    assert plain[1].split() == ["value", "limit", *after_limit]
    assert asked[1].split() == ["value", "limit", "asked", "down", "to", *after_limit]
    for line, threshold in zip(asked[2:], fit.record.adaptive_thresholds, strict=False):
        name = [threshold.variable] + [threshold.value] * (threshold.value != Threshold.ANY)
        assert line.split()[: len(name) + 2] == [*name, f"{threshold.limit:g}", f"{threshold.aim:.3f}"]
    record = facts_of(fit)["record"]
    assert [row["aim"] for row in record["thresholds"]] == [None] * len(fit.record.thresholds)
    aims = [threshold.aim for threshold in fit.record.adaptive_thresholds]
    assert [row["aim"] for row in record["adaptive_thresholds"]] == aims
    assert aims
