"""Items that are asked about very often, or seen in very many views."""

from __future__ import annotations

import time

import pytest

import seke
from engine import AnswerError

KEY = {"item": "a", "observer": "gpt-4o", "question": "joint"}
MOST_SECONDS = 60  # for a machine under load; each takes about one


def inferred(samples, **options):
    started = time.monotonic()
    (record,) = seke.infer(samples, **options)
    assert time.monotonic() - started < MOST_SECONDS
    return record


def test_an_item_may_have_five_thousand_samples():
    answers = [
        {**KEY, "draw": k, "expression": ("fear", "surprise")[k % 3 == 0], "valence": -0.4}
        for k in range(5_000)
    ]
    record = inferred(answers)
    assert record["diagnostics"]["samples"] == 5_000
    # Draws of one reading say less and less: ever more of them make nobody sure of what one look showed.
    few = inferred(answers[:50])
    assert record["expression"]["fear"] == pytest.approx(few["expression"]["fear"], abs=0.15)
    assert record["expression"]["fear"] > 0.5 > record["expression"]["surprise"]


def test_an_item_may_be_seen_in_sixty_views(tmp_path):
    (tmp_path / "views.yaml").write_text(
        "extends: shipped\nviews:\n  source: judgement\n  note: Made up.\n"
        + "".join(f"  frame{k}: {{size: 256}}\n" for k in range(60))
    )
    key = {**KEY, "question": "action_units", "draw": 0, "action_units": ["AU6", "AU12"]}
    answers = [{**key, "view": f"frame{k}"} for k in range(60)]
    record = inferred(answers, knowledge=tmp_path / "views.yaml")
    once = inferred(answers[:1], knowledge=tmp_path / "views.yaml")
    assert record["diagnostics"]["samples"] == 60
    assert record["action_units"]["AU12"] >= once["action_units"]["AU12"]
    # Several levels at once follow the first one with a chance, in each view: of that many all cases are no
    # longer counted.
    joint = [{**KEY, "draw": 0, "view": f"frame{k}", "expression": "fear", "valence": 0} for k in range(60)]
    with pytest.raises(AnswerError, match="item 'a' has 60 readings under halo; at most 10 can be computed"):
        inferred(joint, knowledge=tmp_path / "views.yaml")
