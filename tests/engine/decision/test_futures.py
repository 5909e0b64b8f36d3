"""What could be asked about many items at once, and answers drawn ahead of an item's posterior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import answers_of, random_items
from test_voi_exact import asking_base

from engine import Inference, LookAhead, Preposterior, compile_network

SEEDS = range(4)
PATHS = 400


def made(seed):
    base = asking_base(seed)
    rng = np.random.default_rng(seed)
    inference = Inference(compile_network(base), base)
    return inference, answers_of(base, random_items(base, rng, 5), rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_options_of_many_items_are_those_of_each(seed):
    inference, answers = made(seed)
    ahead, posterior = LookAhead(inference), inference.posterior(answers)
    by_item = ahead.options_by_item(answers, posterior)
    assert len(by_item) == 5
    for item, options in enumerate(by_item):
        assert [option.rate for option in options] == sorted((o.rate for o in options), reverse=True)
        gains, each = (
            {
                (o.observer, o.question, o.about, o.view, o.samples): (o.gain, o.cost)
                for o in some
                if o.gain > 0
            }
            for some in (options, ahead.options(answers, posterior, item))
        )
        assert gains.keys() == each.keys()
        for key, gain_and_cost in gains.items():
            assert gain_and_cost == pytest.approx(each[key], abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_posteriors_of_drawn_futures_average_to_the_posterior_of_now(seed):
    """E[P(x | answers so far, drawn answer)] = P(x | answers so far)."""
    inference, answers = made(seed)
    ahead = Preposterior(inference, seed, PATHS)
    now = inference.posterior(answers)
    checked = 0
    for option in ahead.options(answers, 0)[:4]:
        futures = ahead.futures(answers, 0, option)
        assert len(futures.items) == PATHS
        then = inference.posterior(futures)
        for name, p in now.marginals.items():
            mean, error = then.marginals[name].mean(0), then.marginals[name].std(0) / np.sqrt(PATHS)
            np.testing.assert_allclose(mean, p[0], atol=4.5 * error.max() + 1e-3, err_msg=name)
            checked += 1
    assert checked > 0


def test_a_question_that_may_not_be_asked_has_no_futures():
    inference, answers = made(0)
    ahead = Preposterior(inference, 0, 10)
    option = ahead.options(answers, 0)[0]
    with pytest.raises(ValueError, match="is no question that may be asked about the item"):
        ahead.futures(answers, 0, replace(option, question="nothing"))
