"""What a large calibration costs, beside the inference of the same answers."""

from __future__ import annotations

import json
import time

import pytest

import seke

ITEMS, DRAWS = 5000, 10
# CPU of the whole fit in that of one inference of the same answers: measured 6.4.
MOST_INFERENCES = 15


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    samples, gold = folder / "samples.jsonl", folder / "gold.jsonl"
    with samples.open("w") as of_samples, gold.open("w") as of_gold:
        options = {"draws": DRAWS, "questions": ("joint",), "population": "uniform", "seed": 3}
        for part in seke.simulate(None, ITEMS, **options):
            of_samples.writelines(json.dumps(row) + "\n" for row in part.samples)
            of_gold.writelines(json.dumps(row) + "\n" for row in part.truth)
    return samples, gold


def test_all_levels_of_five_thousand_items(study, capsys):
    samples, gold = study
    begun = time.process_time()
    assert sum(1 for _ in seke.infer(samples, population="uniform")) == ITEMS
    inferred = time.process_time() - begun
    begun = time.process_time()
    fit = seke.calibrate(samples, None, gold, population="uniform", with_checks=False)
    fitted = time.process_time() - begun
    with capsys.disabled():
        print(
            f"\n{ITEMS:,} gold items, {ITEMS * DRAWS:,} answers of all levels, {len(fit.entries)} numbers: "
            f"calibrated in {fitted:.0f} s of CPU, inferred in {inferred:.1f} s"
        )
    assert fitted < MOST_INFERENCES * inferred
