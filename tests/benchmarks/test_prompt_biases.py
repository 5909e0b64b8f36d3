"""How small a bias fifty faces find: made-up observers with a known bias against one without.

A joint answer to each of 50 faces with gold of the base's own kind, compared as `seke bench prompts` does;
the second variant has a bias, and else the same answers, so that real wordings, which differ in more, need
more faces. It is found where the interval (95 %) of the paired difference lies on the side of the bias. Share
of 20 seeds, without a bias (another observer of the same kind) and with shares of .05, .1, .2 and .4:

    yes (units called present that are absent)           .05    1.00  1.00  1.00  1.00
    first (answers that name the first option)           .05     .10   .60  1.00  1.00
    coupling (answers whose units follow their label)    .05     .10   .40   .70   .95
    refusal (answers that are refused)                   .00     .10   .75  1.00  1.00

    pytest tests/benchmarks/test_prompt_biases.py -m slow -s
"""

from __future__ import annotations

import pytest

import seke
from seke.benchmarking.prompt_comparison import compare_prompts
from seke.benchmarking.scripted_biases import Bias, BiasedModel
from seke.benchmarking.variant_answers import ORDER, options_of
from seke.prompts import Questions
from seke.sampling.loop import Request
from seke.vision.messages import Call, Picture

FACES, SEEDS = 50, 20
MEASURES = {
    "yes": "yes if absent",
    "first": "first option",
    "coupling": "coupling excess",
    "refusal": "refused",
}
SHARES = (0.05, 0.1, 0.2, 0.4)
# Biases that fifty faces find nearly always, and the largest share found where there is none.
SURE, FALSE_ALARMS = {"yes": 0.1, "first": 0.2, "coupling": 0.4, "refusal": 0.2}, 0.1
pytestmark = pytest.mark.slow


def joint_answers(base, bias, seed, truths):
    """The sample records of one observer's joint answers."""
    questions, model = Questions(base), BiasedModel(base, bias, seed, truths)
    records = []
    for item in truths:
        request = Request(item, base.policy.ask, "joint", None, base.usual_view, 0, 1)
        prompt = questions.prompt(request)
        record = questions.read(request, model.answer(Call(request, prompt, Picture(b"", "", 1, 1, "")), 0))
        listed = options_of(prompt.schema["properties"][base.root])
        records.append({**record, "extra": {ORDER: [listed[0], listed[-1]]}})
    return records


@pytest.fixture(scope="module")
def discovered():
    """(kind, share) -> in which share of the seeds it is found; share 0: without a bias."""
    base, shares = seke.knowledge(), {}
    for seed in range(SEEDS):
        (batch,) = seke.simulate(items=FACES, seed=100 + seed)
        truths = {row["item"]: row for row in batch.truth}
        plain = joint_answers(base, Bias(), seed, truths)
        for kind, measure in MEASURES.items():
            for share in (0.0, *SHARES):
                # Without a bias another seed answers, so that the two differ by chance alone.
                bias, model_seed = Bias(**{kind: share}), seed if share else 1000 + seed
                biased = joint_answers(base, bias, model_seed, truths)
                report = compare_prompts({"a": plain, "b": biased}, base, batch.truth, bootstrap=400)
                (estimates,) = (m["variants"] for m in report.facts["measures"] if m["measure"] == measure)
                low = estimates["b"]["difference"]["low"]
                shares.setdefault((kind, share), []).append(low is not None and low > 0)
    return {key: sum(values) / SEEDS for key, values in shares.items()}


def test_fifty_faces_find_a_bias_of_some_size(discovered, capsys):
    lines = [
        f"{kind:9}" + "".join(f"  {share:.2f}: {discovered[kind, share]:.2f}" for share in (0.0, *SHARES))
        for kind in MEASURES
    ]
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    for kind, share in SURE.items():
        assert discovered[kind, share] >= 0.9, kind
    assert sum(discovered[kind, 0.0] for kind in MEASURES) / len(MEASURES) <= FALSE_ALARMS
