"""What the summary of a fit says of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Entry
from engine.learning.overlay_of_fit import _entry
from engine.model.parameter_key import ParameterKey
from seke.calibration.summary import _row


def test_a_number_that_answers_contradict_is_as_uncertain_as_its_fit_says() -> None:
    draws = np.random.default_rng(0).normal(size=4000)
    key = ParameterKey("human", "", "binary").of("strength")
    _, entry = _entry(key, 50 + 30 * draws, 241.0, 241 + 90 * draws, 50.0)
    assert entry.prior_sd == pytest.approx(30, rel=0.05)
    assert entry.sd == pytest.approx(90, rel=0.05)
    assert entry.learned < 0
    assert entry.shift > 6
    assert _row(entry)[2:] == ("241.000", f"{entry.sd:.3f}", "moved")
    # What hardly moved was hardly determined, and what moved with certainty was learned.
    near, sure = (Entry(entry.keys, 50.0, 30.0, value, sd) for value, sd in ((55.0, 31.0), (241.0, 3.0)))
    assert (_row(near)[-1], _row(sure)[-1]) == ("0%", "99%")
