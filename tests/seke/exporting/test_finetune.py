"""The training recipe on a tiny model of random weights: it learns, and can be asked by a server.

pip install -c constraints.txt -e '.[train]' && pytest -m slow tests/seke/exporting/test_finetune.py
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "examples" / "finetune"
EXAMPLE = ROOT / "examples" / "annotate"
NEEDED = ("datasets", "trl", "peft", "transformers")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in NEEDED),
        reason="the extra `train` is not installed",
    ),
]


def ran(*command):
    """Run a program to its end, away from every hub."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    options = {"capture_output": True, "text": True, "env": env}
    done = subprocess.run([sys.executable, *map(str, command)], check=False, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def seke(*args):
    return ran("-c", "from seke.cli.main import main; main()", *args)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """An export of the offline example, a model that knows nothing, and what became of it."""
    folder = tmp_path_factory.mktemp("finetune")
    recorded = ("--model", "gpt-4o", "--recorded", EXAMPLE / "answers.jsonl")
    seke("annotate", EXAMPLE, "--run", folder / "run", *recorded)
    tasks = [part for task in ("expression", "affect", "action_units") for part in ("--task", task)]
    options = (*tasks, "--uncalibrated", "--allow-scripted", "--split", "train:.7,val:.3")
    seke("export", folder / "run", "-o", folder / "data", "-f", "trl", *options)
    ran(RECIPE / "tiny.py", folder / "tiny")
    steps = ("--max-steps", 30, "--per-device-train-batch-size", 2, "--gradient-accumulation-steps", 1)
    options = ("--config", RECIPE / "trl.yaml", *steps, "--learning-rate", 0.02, "--logging-steps", 1)
    arguments = ("--model-name-or-path", folder / "tiny", "--output-dir", folder / "tuned")
    output = ran(RECIPE / "train.py", "--export", folder / "data", *arguments, *options)
    return folder, output


def test_the_loss_falls(work):
    losses = [float(loss) for loss in re.findall(r"'loss': '?([\d.]+)", work[1])]
    assert len(losses) == 30
    chance = math.log(260)
    assert losses[0] == pytest.approx(chance, abs=0.03)
    # What is learned is an adapter in a frozen model that knows nothing, so that it does not fall far.
    assert sum(losses[-5:]) / 5 < chance - 0.08


def test_only_the_language_part_was_trained(work):
    from transformers import AutoModelForImageTextToText

    before, after = (
        AutoModelForImageTextToText.from_pretrained(work[0] / name).state_dict() for name in ("tiny", "tuned")
    )
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved
    assert not any(re.search("vision|projector", name) for name in moved)


# What PEFT and transformers warn each other of is not ours to mend.
@pytest.mark.filterwarnings("ignore")
def test_of_the_model_of_the_recipe_too_the_part_that_sees_gets_no_adapter():
    """Qwen2-VL names its parts otherwise than the model of random weights."""
    from peft import get_peft_model
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    sys.path.insert(0, str(RECIPE))
    try:
        import train
    finally:
        sys.path.remove(str(RECIPE))
    given, _, model_settings = train.arguments_of(["--config", str(RECIPE / "trl.yaml")])
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    sections = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}}
    words = {**small, **sections, "vocab_size": 300, "num_key_value_heads": 2}
    sight = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=words, vision_config=sight))
    adapted = get_peft_model(model, train.adapter_of(given, model_settings))
    learned = {name for name, weights in adapted.named_parameters() if weights.requires_grad}
    assert sum("visual" in name for name, _ in model.named_parameters()) > 5
    assert len(learned) == 14
    assert all("language_model.layers.0" in name for name in learned)


@contextmanager
def served(folder):
    command = [sys.executable, str(RECIPE / "serve.py"), str(folder), "--port", "0"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "env": env}
    with subprocess.Popen(command, **options) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_the_trained_model_is_asked_through_a_server(work):
    folder, _ = work
    with served(folder / "tuned") as url:
        where = ("--model", "tuned", "--base-url", url, "--concurrency", 1, "--max-tokens", 20)
        seke("annotate", EXAMPLE, "--run", folder / "asked", *where, "--max-samples", 1)
    summary = json.loads((folder / "asked" / "summary.json").read_text())
    assert summary["finished"]
    assert summary["totals"]["answers"] == 6


def test_models_are_scored_before_and_after(work, tmp_path):
    """Of a set that FEAB has in name only: the pictures are drawn."""
    folder, _ = work
    for path in EXAMPLE.glob("*.png"):
        shutil.copy(path, tmp_path)
    rows = ["path,item,source,expression"]
    rows += [
        f"{name}.png,{name},rafdb,{label}"
        for name, label in (("smile", "happiness"), ("downcast", "sadness"))
    ]
    manifest = tmp_path / "faces.csv"
    manifest.write_text("\n".join(rows) + "\n")
    with served(folder / "tuned") as url:
        models = ("--before", folder / "tiny", "--after", f"tuned@{url}")
        options = ("--images", manifest, "-o", tmp_path / "scores", "--max-tokens", 20)
        output = ran(RECIPE / "evaluate.py", *models, *options)
    assert "one: after, other: before" in output
    results = json.loads((tmp_path / "scores" / "feab" / "results.json").read_text())
    # They know nothing, so nothing of them can be read: all of that counts as wrong.
    for system in results["predictions"]:
        card = system["variables"]["expression"]
        assert card["void"] == {"refused": 0, "unreadable": 2}
        assert card["scores"]["accuracy"]["value"] == 0
