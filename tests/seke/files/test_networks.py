"""The compiled networks that ship: those of the shipped bases as they are now, and no others."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from engine import compile_network
from seke.files.networks import network_of, shipped_networks
from seke.files.shipped import knowledge, shipped_bases

# Iterations stop at other last digits on other machines.
CLOSE = {"rtol": 1e-7, "atol": 1e-9, "equal_nan": True}
MAKE = "make them anew: python -m seke.files.networks"


def no_compiling(_):
    raise AssertionError(f"a shipped base compiles; {MAKE}")


def alike(shipped, fresh):
    """Whether two networks are the same but for rounding."""
    if isinstance(fresh, np.ndarray):
        return shipped.shape == fresh.shape and np.allclose(
            shipped, fresh, rtol=1e-7, atol=1e-9, equal_nan=True
        )
    if is_dataclass(fresh):
        return type(shipped) is type(fresh) and all(
            alike(getattr(shipped, field.name), getattr(fresh, field.name)) for field in fields(fresh)
        )
    if isinstance(fresh, dict):
        return list(shipped) == list(fresh) and all(alike(shipped[name], fresh[name]) for name in fresh)
    if isinstance(fresh, tuple):
        return len(shipped) == len(fresh) and all(map(alike, shipped, fresh))
    if isinstance(fresh, float):
        return bool(np.isclose(shipped, fresh, **CLOSE))
    return shipped == fresh


@pytest.mark.parametrize("name", shipped_bases())
def test_a_shipped_base_is_compiled_already_and_as_its_yaml_says(name, monkeypatch):
    base = knowledge(name)
    fresh = compile_network(base)
    monkeypatch.setattr("engine.compilation.compiler.build_network", no_compiling)
    monkeypatch.setenv("SEKE_CACHE", "")
    assert alike(network_of(base), fresh), MAKE


def test_no_other_network_ships():
    assert len(list(shipped_networks().glob("*.npz"))) == len(shipped_bases()), MAKE
