"""Bases compared by the evidence of the same answers: the one that made them wins, one's own as each kind."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Inference, SekeError
from seke.cli.main import main
from seke.files.networks import network_of
from seke.files.shipped import knowledge, shipped_bases, shipped_name
from seke.knowledge_tools.compare_bases import MOST_ITEMS, Z, other_bases
from seke.samples import answers_from

KINDS = ("posed", "spontaneous", "in-the-wild")


def made_by(base, items=150):
    """Samples about items made up from a base: units listed by one coder."""
    parts = seke.simulate(base, items, draws=1, observers=["human"], questions=["action_units"], seed=3)
    return [sample for part in parts for sample in part.samples]


@pytest.mark.parametrize("kind", ["shipped", *KINDS])
def test_the_base_that_made_the_answers_foretells_them_best(kind):
    comparison = seke.compare_bases(made_by(kind))
    best, *others = comparison.facts["bases"]
    assert best["base"] == {"shipped": "faces"}.get(kind, kind)
    assert {base["base"] for base in others} == {"faces", *KINDS} - {best["base"]}


def test_gains_are_paired_differences_over_items():
    samples = made_by("posed", 40)
    facts = {base["base"]: base for base in seke.compare_bases(samples).facts["bases"]}
    answers = [*answers_from(samples, knowledge())]
    logs = {}
    for name in ("shipped", "posed"):
        base = knowledge(name)
        inference = Inference(network_of(base), base)
        logs[name] = np.concatenate([inference.log_evidence(part) for part in answers])
    gains = logs["posed"] - logs["shipped"]
    margin = Z * gains.std(ddof=1) / len(gains) ** 0.5
    assert facts["posed"]["gain"] == pytest.approx(gains.mean(), abs=1e-9)
    assert facts["posed"]["interval"] == pytest.approx([gains.mean() - margin, gains.mean() + margin])
    assert facts["posed"]["better"] == (gains > 0).mean()
    assert facts["faces"]["used"]
    assert facts["faces"]["gain"] == 0


def test_of_many_items_the_same_are_drawn_in_any_order():
    coder = {"observer": "human", "draw": 0}
    samples = [
        {"item": f"item {i}", **coder, "question": "expression", "expression": "fear"}
        if i % 3
        else {"item": f"item {i}", **coder, "question": "action_units", "action_units": []}
        for i in range(MOST_ITEMS + 700)
    ]
    shuffled = random.Random(1).sample(samples, len(samples))
    facts, again = seke.compare_bases(samples).facts, seke.compare_bases(shuffled).facts
    assert (facts["items"], facts["of"]) == (MOST_ITEMS, MOST_ITEMS + 700)
    assert again["bases"] == [
        {**base, **{name: pytest.approx(base[name]) for name in ("log_evidence", "gain", "interval")}}
        for base in facts["bases"]
    ]


def test_a_base_of_ones_own_is_compared_with_itself_as_each_kind(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: shipped\nname: own\n"
        "observers: {human: {cost: 3, source: judgement, note: paid by the hour}}\n"
    )
    others = other_bases(knowledge(own))
    assert list(others) == [f"own as {kind}" for kind in sorted(KINDS)]
    assert {base.observers["human"].cost for base in others.values()} == {3}
    assert others["own as posed"].cells == knowledge("posed").cells
    # However it is given: as a path or as a base.
    samples = made_by("posed", 5)
    names = [[base["base"] for base in seke.compare_bases(samples, given).facts["bases"]]
             for given in (str(own), own, knowledge(own))]  # fmt: skip
    assert names[0] == names[1] == names[2]
    assert set(names[0]) == {"own", *others}
    shipped = seke.compare_bases(samples, knowledge("posed")).facts["bases"]
    assert {base["base"] for base in shipped} == {"faces", *KINDS}


def test_overlays_that_do_not_fit_are_left_out(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: shipped\nremove: [rules.surprise-shows-twice]\n")
    why = r"no shipped overlay fits faces, .*; in-the-wild: remove\[1\]: was removed already"
    with pytest.raises(SekeError, match=why):
        other_bases(knowledge(own))
    own.write_text("extends: posed\nname: own\nremove: [rules.contempt-in-a-lip-corner]\n")
    assert "own as in-the-wild" not in other_bases(knowledge(own))


def test_names_of_shipped_bases_need_no_path(tmp_path, monkeypatch):
    assert list(shipped_bases()) == ["shipped", "in-the-wild", "posed", "spontaneous"]
    monkeypatch.chdir(tmp_path)
    assert [shipped_name(name) for name in (None, "posed", "other")] == ["shipped", "posed", None]
    (tmp_path / "posed").mkdir()
    assert shipped_name("posed") is None
    (tmp_path / "mine.yaml").write_text("extends: in-the-wild\nname: mine\n")
    assert knowledge(tmp_path / "mine.yaml").cells == knowledge("in-the-wild").cells


def test_overlays_and_tests_beside_a_base_are_no_part_of_it(tmp_path):
    (tmp_path / "base.yaml").write_text("extends: shipped\nname: mine\n")
    for folder in ("overlays", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "other.yaml").write_text("name: other\n")
    assert knowledge(tmp_path).name == "mine"


def test_the_commands_print_it_after_their_work(tmp_path):
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(sample) + "\n" for sample in made_by("posed", 20)))
    done = CliRunner().invoke(main, ["infer", str(samples), "-k", "posed", "--compare-bases"])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 20
    assert "Evidence an item under each base, in nats, over 20 items:" in done.stderr
    assert "posed (used)" in done.stderr
    refused = CliRunner().invoke(main, ["infer", "-", "--compare-bases"], input=samples.read_text())
    assert refused.exit_code == 2
    assert "--compare-bases reads the samples a second time; give files, not a pipe" in refused.stderr
    run = ["annotate", "examples/annotate/smile.png", "--run", str(tmp_path / "run"), "--scripted"]
    annotated = CliRunner().invoke(main, [*run, "--compare-bases"])
    assert "Evidence an item under each base, in nats, over 1 item:" in annotated.stderr
