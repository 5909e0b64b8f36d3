"""What a network costs: the count tells a quick base from a slow one, and promises no more than is done."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from engine import Inference, compile_network, cost_of, read
from engine.observation.evidence import Evidence

BASES = Path(__file__).parents[1] / "bases"
ITEMS = 20_000


@pytest.fixture(scope="module")
def small():
    return compile_network(read(BASES / "weather.yaml"))


def test_a_small_base_is_promised_no_more_than_a_few_times_what_it_does(small):
    """Where tables are tiny, most of the CPU's time is what every row takes whatever the network."""
    rng, every = np.random.default_rng(0), np.ones(ITEMS, dtype=bool)
    base = read(BASES / "weather.yaml")
    names = [small.root, *small.node_of]
    logs = {name: np.log(rng.uniform(0.05, 1, (len(base.variables[name].states), ITEMS))) for name in names}
    none = np.zeros((2, 0), dtype=np.int64)
    evidence = Evidence(ITEMS, np.arange(ITEMS), np.zeros(ITEMS), logs, every, none)
    inference, spent = Inference(small, base), []
    for _ in range(5):
        start = time.thread_time()
        inference.given(evidence)
        spent.append(time.thread_time() - start)
    assert cost_of(small).items_a_second < 5 * ITEMS / min(spent)


def test_a_base_with_larger_tables_is_told_from_a_small_one(small):
    larger = cost_of(compile_network(read(BASES / "machine.yaml")))
    assert cost_of(small).items_a_second > 2 * larger.items_a_second
