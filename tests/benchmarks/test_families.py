"""Prompts of one vision model are wrong together: what a declared family makes of that.

    pytest tests/benchmarks/test_families.py -m slow -s

Two and three prompts of gpt-4o (plain, with action units, with three examples), alone and beside two other
models, on the frames, splits and gold of `test_shared_errors`: the same fit read with the prompts declared as
one `family`, and as strangers, who share the look alone. `one prompt` is the plain one by itself.

Data: vision models on frames of RAVDESS, in ../shared/data; skips where absent.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_shared_errors import DATA, SPLITS, Frames, Ours, Scores, Setup, jackknife

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="the shared data are not here"),
]

TWO = ("gpt-4o", "gpt-4o-facs")
THREE = (*TWO, "gpt-4o-3shot")
STRANGERS = ("gemma3", "mistral-small")
CASES = {
    "two prompts": TWO,
    "three prompts": THREE,
    "three prompts and two other models": (*THREE, *STRANGERS),
}
SIZES = (0, 30, 100)


def scores_of(setup, size, folder):
    """Scores of the test clips of all splits, with dependence as the setup declares it."""
    frames = Frames.read(setup)
    folder.mkdir()
    ours = Ours(setup, frames, folder)
    parts, truths, people = [], [], []
    for order, test in frames.splits(4):
        truths.append(frames.truth[test])
        people.append(frames.person[test])
        parts.append(ours.posteriors(order[:size], test)[True])
    return Scores.of(parts, truths, people)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_prompts_of_one_model(case, size, tmp_path, capsys):
    models = CASES[case]
    strangers = Setup(models, in_base=models)
    alone = Setup(models[:1], in_base=models)
    setups = {"family": replace(strangers, family=True), "strangers": strangers, "one prompt": alone}
    scores = {title: scores_of(setup, size, tmp_path / title) for title, setup in setups.items()}
    family = scores["family"]
    lines = [f"{case}, gold of {size}, {SPLITS} splits, {len(family.loss)} clips tested"]
    for title, peer in scores.items():
        less = family.loss - peer.loss
        paired = f"  family less {less.mean():+.3f} ± {jackknife(less, peer.person):.3f}"
        lines.append(peer.line(title) + (paired if title != "family" else ""))
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    less = family.loss - scores["strangers"].loss
    assert less.mean() <= 0.02
    assert (-0.1 if size == 0 else -0.05) <= family.gap <= 0.05
    assert family.gap <= scores["strangers"].gap + 0.01
