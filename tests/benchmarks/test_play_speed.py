"""How soon the page of `seke knowledge play` shows a change, beside the engine's inference in the same run.

    pytest tests/benchmarks/test_play_speed.py -m slow -s

Aimed at: under 50 ms for the shipped base, which a hand does not notice.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import seke
from engine import Inference
from engine.inference.known_values import allowed_evidence
from seke.files.networks import network_of

pytestmark = pytest.mark.slow
REPEATS = 20
# The page infers and draws all that it shows; the engine infers alone.
MOST_TIMES = 5.0
REDRAWS = """(count) => Array.from({length: count}, () => {
  const begin = performance.now();
  show();
  return performance.now() - begin;
})"""


def test_a_change_is_shown_at_once(browser, tmp_path, capsys):
    seke.play(None, tmp_path / "play.html")
    page = browser.new_page()
    page.goto(f"{(tmp_path / 'play.html').as_uri()}#AU12=1&AU6=1")
    page.wait_for_selector("html[data-ready=yes][data-explained=yes]")
    redraws = page.evaluate(REDRAWS, REPEATS)
    inference = Inference(network_of(seke.knowledge()), seke.knowledge())
    seen = {name: np.array([[0.0, 1.0]]) for name in ("AU12", "AU6")}
    inferences = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        inference.marginals(allowed_evidence(inference, seen))
        inferences.append(1000 * (time.perf_counter() - begin))
    ratio = np.median(redraws) / np.median(inferences)
    with capsys.disabled():
        shown, alone = np.median(redraws), np.median(inferences)
        print(f"\na redraw {shown:.1f} ms, the engine's inference {alone:.1f} ms, ratio {ratio:.1f}")
    assert ratio < MOST_TIMES
