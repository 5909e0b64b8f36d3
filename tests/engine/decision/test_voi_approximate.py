"""What the look-ahead sees by itself, with the shipped knowledge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine import Inference, LookAhead, Preposterior, compile_network
from engine.decision.asked_items import binary_informativeness
from seke.files.shipped import knowledge
from seke.samples import answers_from, read_batches


@pytest.fixture(scope="module")
def inference():
    base = knowledge()
    return Inference(compile_network(base), base)


def with_policy(inference, **changes):
    base = inference.knowledge
    return inference.with_knowledge(replace(base, policy=replace(base.policy, **changes)))


def samples(question, draws, **answer):
    key = {"item": "a", "observer": "gpt-4o", "question": question}
    return [{**key, "draw": draw, **answer} for draw in range(draws)]


# For tests that look at gains which are summed over all answers, and not drawn.
FEW_PATHS = 5


def both(inference, records, paths=200):
    """The options of both look-aheads, keyed by all but their gains; paths: of what the exact one draws."""
    (answers,) = answers_from(records, inference.knowledge)
    bulk = LookAhead(inference)
    posterior = inference.posterior(answers)
    option_lists = (
        bulk.options(answers, posterior, 0),
        Preposterior(inference, paths=paths).options(answers, 0),
    )
    return [
        {(o.observer, o.question, o.about, o.view, o.samples): o for o in options} for options in option_lists
    ]


def test_another_draw_of_a_saturated_reading_is_worth_nothing(inference):
    records = samples("expression", 40, expression="happiness")
    for option_of in both(with_policy(inference, budget=200, batches=(1,)), records):
        again = option_of["gpt-4o", "expression", None, "face", 1]
        other = option_of["gpt-4o", "affect", None, "face", 1]
        assert again.gain < 0.02 * other.gain


def test_what_single_precision_rounds_is_no_reason_to_ask(inference):
    """Another draw of a saturated reading is not asked for even where it is free."""
    base = inference.knowledge
    questions = {"expression": replace(base.questions["expression"], cost=0.0, further=None)}
    policy = replace(base.policy, budget=10_000, batches=(1,), first=None)
    free = inference.with_knowledge(replace(base, questions=questions, policy=policy))
    for label in base.variables["expression"].states:
        (answers,) = answers_from(samples("expression", 5000, expression=label), free.knowledge)
        assert LookAhead(free).next(answers, free.posterior(answers), np.array([True])) == (None,)


def test_units_asked_alone_beat_the_joint_question_under_halo(inference):
    """Where only the units are at stake."""
    policy = inference.knowledge.policy
    units = inference.knowledge.levels["action_units"]
    worth = {name: float(name in units) for name in policy.worth}
    for option_of in both(
        with_policy(inference, worth=worth, batches=(1,)), samples("expression", 1, expression="anger")
    ):
        alone = option_of["gpt-4o", "action_units", None, "face", 1]
        joint = option_of["gpt-4o", "joint", None, "face", 1]
        assert alone.gain > joint.gain
        assert alone.rate > 1.5 * joint.rate


def test_a_second_observer_beats_a_tenth_draw(inference):
    """One whose errors are its own; of one that follows the same look there is less to hope for."""
    records = samples("expression", 9, expression="fear")
    dependent = with_policy(inference, others=("generic-vlm",), budget=60, batches=(1,))
    for alone, option_of in zip(
        both(independent(dependent), records, FEW_PATHS), both(dependent, records, FEW_PATHS), strict=True
    ):
        tenth = alone["gpt-4o", "expression", None, "face", 1]
        second = alone["generic-vlm", "expression", None, "face", 1]
        assert second.gain > 3 * tenth.gain + second.error
        assert 0 < option_of["generic-vlm", "expression", None, "face", 1].gain < second.gain


def test_who_is_unavailable_is_not_asked_though_it_answered_and_nothing_else_changes(inference):
    inference = with_policy(inference, others=("generic-vlm",), budget=60)
    records = samples("expression", 2, expression="fear")
    records += [
        {**record, "observer": "generic-vlm"} for record in samples("expression", 1, expression="fear")
    ]
    (answers,) = answers_from(records, inference.knowledge)
    posterior = inference.posterior(answers)
    every = LookAhead(inference).options(answers, posterior, 0)
    for name in ("generic-vlm", "gpt-4o"):
        ahead = LookAhead(inference, unavailable=[name])
        kept = ahead.options(answers, posterior, 0)
        assert kept == tuple(option for option in every if option.observer != name)
        assert 0 < len(kept) < len(every)
        (best,) = ahead.next(answers, posterior, np.array([True]))
        assert best is None or best.observer != name
    nobody = LookAhead(inference, unavailable=["generic-vlm", "gpt-4o"])
    assert nobody.options(answers, posterior, 0) == ()
    assert nobody.next(answers, posterior, np.array([True])) == (None,)


def independent(inference):
    base = inference.knowledge
    observers = {name: replace(observer, follows=0.0) for name, observer in base.observers.items()}
    return inference.with_knowledge(replace(base, observers=observers))


def test_another_view_beats_another_draw_of_a_saturated_reading(inference):
    records = samples("expression", 12, expression="fear")
    for option_of in both(
        with_policy(inference, views=("face", "grey"), budget=60, batches=(1,)), records, FEW_PATHS
    ):
        again = option_of["gpt-4o", "expression", None, "face", 1]
        grey = option_of["gpt-4o", "expression", None, "grey", 1]
        assert grey.gain > again.gain
        assert ("gpt-4o", "affect", None, "face", 1) in option_of


def test_a_view_that_repeats_the_usual_one_is_worth_what_another_draw_is(inference):
    records = samples("expression", 3, expression="fear")
    asking = with_policy(inference, views=("face", "mirror"), budget=60, batches=(1,))
    views, gains = asking.knowledge.views, []
    for share in (1.0, 0.5, 0.0):
        mirror = replace(views["face"], name="mirror", repeats=share)
        base = replace(asking.knowledge, views={**views, "mirror": mirror})
        gains.append(
            [
                [option_of["gpt-4o", "expression", None, view, 1].gain for view in ("face", "mirror")]
                for option_of in both(asking.with_knowledge(base), records, FEW_PATHS)
            ]
        )
    whole, half, none = np.array(gains)
    np.testing.assert_allclose(whole[:, 0], whole[:, 1], atol=1e-9)
    assert (half[:, 1] < none[:, 1]).all()
    assert (half[:, 1] > whole[:, 1]).all()
    np.testing.assert_allclose(whole[:, 0], none[:, 0], atol=1e-9)


def test_a_dear_observer_is_asked_less(inference):
    base = inference.knowledge
    dear = {**base.observers, "generic-vlm": replace(base.observers["generic-vlm"], cost=50.0)}
    records = samples("expression", 9, expression="fear")
    cheap = with_policy(inference, others=("generic-vlm",), batches=(2,))
    for price, priced in (
        (1.0, cheap),
        (50.0, cheap.with_knowledge(replace(cheap.knowledge, observers=dear))),
    ):
        for option_of in both(priced, records, FEW_PATHS):
            option = option_of["generic-vlm", "expression", None, "face", 2]
            question = base.questions["expression"]
            assert option.cost == pytest.approx(price * (question.cost + question.further))
            assert option.rate == pytest.approx(option.gain / option.cost)


@pytest.mark.parametrize("step", [12, pytest.param(3, marks=pytest.mark.slow)])
def test_bulk_and_exact_agree_on_the_shipped_example(inference, step):
    """Of some of the items that are asked about."""
    base = inference.knowledge
    (answers,) = read_batches(["examples/faces/samples.jsonl"], base)
    bulk, exact = LookAhead(inference), Preposterior(inference, paths=100)
    posterior = inference.posterior(answers)
    first = bulk.next(answers, posterior, answers.asked < base.policy.budget)
    shares, ranks = [], []
    for item in np.flatnonzero([option is not None for option in first])[::step]:
        by_all = {(o.question, o.about, o.samples): o for o in exact.options(answers, item)}
        by_bulk = {(o.question, o.about, o.samples): o for o in bulk.options(answers, posterior, item)}
        chosen = first[item]
        best = next(iter(by_all.values()))
        shares.append(by_all[chosen.question, chosen.about, chosen.samples].rate / best.rate)
        # Of options that are worth next to nothing the order is one of sampled paths.
        rates = [(by_all[key].rate, option.rate) for key, option in by_bulk.items() if option.gain > 0]
        ranks.append(spearmanr([rate for rate in rates if rate[0] > 0.1 * best.rate])[0])
    assert len(ranks) > 20 / step
    assert min(shares) > 0.8
    assert min(ranks) > 0.85
    assert np.median(ranks) > 0.95


def test_what_is_next_is_the_best_of_all_options(inference):
    """Although batches are left out where the largest is not worth the price of one answer."""
    base = inference.knowledge
    (answers,) = read_batches(["examples/faces/samples.jsonl"], base)
    ahead, posterior = LookAhead(inference), inference.posterior(answers)
    open_items = answers.asked < base.policy.budget
    nexts = ahead.next(answers, posterior, open_items)
    best = [next(iter(options), None) for options in ahead.options_by_item(answers, posterior)]
    asked = 0
    for item in np.flatnonzero(open_items):
        following, of_all = nexts[item], best[item]
        if following is not None:
            assert (following.question, following.about) == (of_all.question, of_all.about)
            assert following.rate == pytest.approx(of_all.rate, rel=1e-5)
            asked += 1
        elif of_all is not None:
            # A few paths may see more in few answers than in many, by no more than they err.
            assert of_all.gain < of_all.cost + of_all.error
    assert 0 < asked < open_items.sum()


def test_both_look_ahead_to_the_aim_and_not_to_the_highest_risk_accepted(inference):
    """A face that is accepted as happy, at a risk above the aim, counts as one that is not accepted."""
    records = samples("expression", 1, expression="happiness")
    (answers,) = answers_from(records, inference.knowledge)
    root, policy = inference.knowledge.root, inference.knowledge.policy
    risk = 1 - float(inference.posterior(answers).marginals[root].max())
    states = len(inference.network.root_states)
    low, high = ({root: (share * risk,) * states} for share in (0.5, 1.5))
    alone = {name: float(name == root) for name in policy.worth}
    inference = with_policy(inference, worth=alone, batches=(4,))
    # The lower risk is aimed at, is the highest accepted, and is neither.
    aimed = both(with_policy(inference, thresholds=high, aims=low), records)
    capped = both(with_policy(inference, thresholds=low), records)
    accepted = both(with_policy(inference, thresholds=high), records)
    joint = "gpt-4o", "joint", None, "face", 4
    for with_aim, with_cap, without_aim in zip(aimed, capped, accepted, strict=True):
        assert with_aim == with_cap
        assert with_aim[joint].gain > 0
        assert all(option.gain == 0 for option in without_aim.values())
    quick, exact = (options[joint] for options in aimed)
    assert abs(quick.gain - exact.gain) < 3 * np.hypot(quick.error, exact.error)


def test_a_variable_is_informative_by_what_it_says_of_the_root_and_by_its_own_variance():
    """Worked by hand for a root of two equal states; the order needs a weight between .025 and .32."""
    root, given_root = np.array([[0.5, 0.5]]), {
        "tells most": (0.9, 0.1),
        "tells nothing, unsure": (0.5, 0.5),
        "tells little, nearly sure": (0.06, 0.02),
        "tells some, fairly sure": (0.25, 0.05),
    }  # fmt: skip
    active = np.array([list(zip(*given_root.values(), strict=True))])
    (scores,) = binary_informativeness(root, active)
    # Σ P(r, v)² / P(v) over both values of v, and a tenth of P(v) (1 - P(v)).
    assert scores[0] == pytest.approx(2 * (0.45**2 + 0.05**2) / 0.5 + 0.1 * 0.25)
    assert scores[1] == pytest.approx(0.5 + 0.1 * 0.25)
    assert scores[2] == pytest.approx((0.03**2 + 0.01**2) / 0.04 + (0.47**2 + 0.49**2) / 0.96 + 0.1 * 0.0384)
    assert [list(given_root)[place] for place in np.argsort(-scores)] == [
        "tells most", "tells some, fairly sure", "tells nothing, unsure", "tells little, nearly sure"
    ]  # fmt: skip


def test_both_look_aheads_know_that_a_question_has_rates_of_its_own(inference):
    """A yes or no about one unit that is nearly always right is worth more than one at the shared rates."""
    inference = with_policy(inference, batches=(1,))
    base = inference.knowledge
    observer = base.observers["gpt-4o"]
    sharp = {
        name: replace(instrument, by_question=(("verify", ((0.98, 0.02), (0.02, 0.98))),))
        if base.variables[name].kind == "binary"
        else instrument
        for name, instrument in observer.labels.items()
    }
    observers = {**base.observers, "gpt-4o": replace(observer, labels=sharp)}
    apart = Inference(inference.network, replace(base, observers=observers))
    units = {"AU1": True, "AU4": False, "AU12": True}
    gains, compared = {}, set()
    for records in (
        samples("action_units", 1, action_units=units),
        [
            *samples("action_units", 1, action_units=units),
            *samples("verify", 1, action_units={"AU12": True}),
        ],
    ):
        for name, of_base in {"shared": inference, "apart": apart}.items():
            bulk, exact = both(of_base, records, FEW_PATHS)
            for unit in ("AU12", "AU6"):
                key = ("gpt-4o", "verify", unit, "face", 1)
                # The bulk one looks at the units that tell most.
                if bulk[key].gain:
                    assert bulk[key].gain == pytest.approx(exact[key].gain, rel=0.4, abs=0.02)
                    compared.add((name, len(records)))
                gains[name, len(records), unit] = exact[key].gain
    assert compared == {("shared", 1), ("shared", 2), ("apart", 1), ("apart", 2)}
    assert gains["apart", 1, "AU12"] > 5 * gains["shared", 1, "AU12"]
    # Another draw of a reading that is sharp tells less than the first.
    assert gains["apart", 2, "AU12"] < gains["apart", 1, "AU12"]


def test_what_is_next_of_an_item_does_not_depend_on_what_is_beside_it(inference):
    """Of items beside it other observers answered, too, and so it is looked at as one of several."""
    inference = with_policy(inference, ask="gpt-4o", others=("generic-vlm",))
    answer = {"expression": ["happiness", "anger", "neutral"], "valence": 0.5, "arousal": 0.0}
    key = {"question": "joint", "draw": 0, "action_units": ["AU4", "AU6", "AU25"]}
    alone = [{"item": "alone", "observer": "gpt-4o", **key, **answer}]
    beside = [
        {"item": "beside", "observer": observer, **key, **answer} for observer in ("gpt-4o", "generic-vlm")
    ]
    options = []
    for records in (alone, alone + beside):
        (answers,) = answers_from(records, inference.knowledge)
        every = np.ones(len(answers.items), dtype=bool)
        posterior, may_ask = inference.posterior(answers), lambda line: line[2] == "affect"
        options.append(LookAhead(inference).next(answers, posterior, every, may_ask)[0])
    first, second = options
    assert first is not None
    assert (first.question, first.samples) == (second.question, second.samples)
    assert second.gain == pytest.approx(first.gain, rel=1e-5)
