"""How quick posteriors are from answers, by numpy and by torch on a CUDA device that makes the evidence, too.

    pytest tests/benchmarks/test_device_speed.py -m slow -s

The shipped base, asked jointly under halo, three draws of each item: by one observer, and by two who share
looks. Numpy has one thread. Posteriors must be equal: to 1e-9 in double, to 1e-4 with the network in single
precision. It has not been run on a device yet; `speeds(base, answers, "cpu:0")` says what torch costs on the
CPU.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from made_up import joint_answers

import seke
from engine import Inference, compile_network

pytestmark = pytest.mark.slow
ITEMS, CHECKED, TURNS = 40_000, 1_000, 3


def asked(base, items):
    """Return description -> answers of one observer, and of two."""
    one = joint_answers(base, items, draws=3)
    other = joint_answers(base, items, draws=3, seed=1)
    second = list(base.observers).index("generic-vlm")
    other = replace(other, reading_observer=other.reading_observer * 0 + second)
    return {"one observer": one, "two observers": one.joined(other)}


def speeds(base, answers, device):
    """Yield what computes, its items a second, and the largest difference of its posteriors from numpy's."""
    network = compile_network(base)
    plain, items = Inference(network, base), len(answers.items)
    expected = plain.posterior(answers.part(0, CHECKED))
    models = {
        "numpy": plain,
        f"{device}, evidence on the CPU": Inference(network, base, device=device),
        f"{device}, evidence there": Inference(network, base, device=device),
        f"{device}, evidence there, network in float32": Inference(network, base, device=device, single=True),
    }
    for name, inference in models.items():
        if "on the CPU" in name:
            inference._evidence_model = plain.observations
        posterior = inference.posterior(answers.part(0, CHECKED))
        apart = max(np.abs(posterior.marginals[v] - p).max() for v, p in expected.marginals.items())
        spent = []
        for _ in range(TURNS):
            start = time.perf_counter()
            inference.posterior(answers)
            spent.append(time.perf_counter() - start)
        yield name, items / min(spent), apart


def test_from_answers_on_a_cuda_device(capsys):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    base = seke.knowledge()
    for who, answers in asked(base, ITEMS).items():
        for name, speed, apart in speeds(base, answers, "cuda"):
            with capsys.disabled():
                print(f"\n{who}, {name}: {speed:,.0f} items/s", end="")
            assert apart < (1e-4 if "float32" in name else 1e-9), name
