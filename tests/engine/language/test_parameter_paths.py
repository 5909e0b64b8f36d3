"""Where parameters of observers stand in the YAML, by hand; names may have dots."""

from __future__ import annotations

import pytest

from engine.language.parameter_paths import yaml_keys, yaml_path
from engine.learning.priors import DeclaredWidths, FitPriors
from engine.model.citation import Number
from engine.model.parameter_key import ParameterKey

NAME = "gpt-4.1"
TABLE = ParameterKey(NAME, "settled", "categorical", "kind")
EASY = ParameterKey(NAME, "repeat", "categorical", "kind", reading_type="easy")
RATE = ParameterKey(NAME, "sensitivity", "binary", "sign")


@pytest.mark.parametrize(
    ("key", "width", "expected"),
    [
        (ParameterKey(NAME, "carry"), "", "carry"),
        (ParameterKey(NAME, "carry"), "sd", "sd.carry"),
        (ParameterKey(NAME), "n", "n"),
        (ParameterKey(NAME, "probability", question="look"), "", "halo.look.probability"),
        (ParameterKey(NAME, "probability", question="look"), "n", "halo.look.n"),
        (ParameterKey(NAME, "stereotype", cell=("up", "sign")), "sd", "stereotype.up.sd.sign"),
        (TABLE.of("settled", "up", "down"), "", "categorical.kind.settled.up.down"),
        (TABLE.of("settled", "up"), "n", "categorical.kind.n.up"),
        (TABLE, "n", "categorical.kind.n"),
        (EASY, "", "categorical.kind.types.easy.repeat"),
        (EASY, "n", "categorical.kind.types.easy.n"),
        (EASY.of("strength"), "sd", "categorical.kind.types.easy.sd.strength"),
        (TABLE.of("habit", "up"), "n", "categorical.kind.ranking.n.up"),
        (TABLE.of("bonus"), "sd", "categorical.kind.ranking.sd.bonus"),
        (TABLE.of("pull", "up", "down"), "sd", "categorical.kind.ranking.pull.up.sd.down"),
        (RATE, "", "binary.cells.sign.sensitivity"),
        (RATE.of(""), "", "binary.cells.sign"),
        (ParameterKey(NAME, "repeat", "binary"), "", "binary.repeat"),
        (ParameterKey(NAME, "offset", "interval", "size"), "sd", "interval.size.sd.offset"),
    ],
)
def test_a_key_leads_to_its_place(key, width, expected):
    assert yaml_keys(key, width) == ("observers", NAME, *expected.split("."))
    assert yaml_path(key, width) == f"observers.{NAME}.{expected}"


def test_an_observer_with_a_dot_in_its_name_has_its_own_spread():
    declared = DeclaredWidths({f"observers.{NAME}.spread": Number(value=0.2)}, FitPriors())
    assert declared.log_sd(ParameterKey(NAME, "exponent"), 1.0) == 0.2
    assert declared.log_sd(ParameterKey("gpt-4", "exponent"), 1.0) == FitPriors().spread
