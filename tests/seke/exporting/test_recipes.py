"""The recipes of examples/finetune, held against the packages that they are for.

pytest tests/seke/exporting/test_recipes.py            # the files of the recipes agree with each other
python examples/finetune/environments.py llamafactory DIR && export SEKE_LLAMAFACTORY=DIR/bin/python
python examples/finetune/environments.py ms-swift DIR && export SEKE_MSSWIFT=DIR/bin/python
pytest -m slow -rs tests/seke/exporting/test_recipes.py      # -rs prints what had no environment
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from made_run import made_records, made_run, picture

import seke
from seke.exporting.formats import Messages, Trl, dataset_info
from seke.exporting.instruction_texts import TASKS

ROOT = Path(__file__).parents[3]
RECIPES = ROOT / "examples" / "finetune"
# Package -> the variable that names a Python which has it.
VARIABLES = {"llamafactory": "SEKE_LLAMAFACTORY", "ms-swift": "SEKE_MSSWIFT"}
# What differs for a model of random weights on a CPU, whose tokens are bytes.
TINY = {
    "trl": {},
    "llamafactory": {"template": "llava", "cutoff_len": 4096, "bf16": "false", "use_cpu": "true"},
    "ms-swift": {"model_type": "llava1_5_hf", "max_length": 4096, "torch_dtype": "float32"},
}
MODEL = {"trl": "model_name_or_path", "llamafactory": "model_name_or_path", "ms-swift": "model"}


def recipe(name):
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text("utf-8"))


def module(name):
    spec = importlib.util.spec_from_file_location(f"finetune_{name}", RECIPES / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def pins(path):
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_recipes_name_what_an_export_writes(tmp_path):
    trl, factory, swift = map(recipe, ("trl", "llamafactory", "ms-swift"))
    registered = dataset_info((trl["train_split"], trl["eval_split"]))
    assert [factory["dataset"], factory["eval_dataset"]] == list(registered)
    assert factory["dataset_dir"] == factory["media_dir"] == swift["ENV"]["ROOT_IMAGE_DIR"] == trl["export"]
    paths = [f"{trl['export']}/{entry['file_name']}" for entry in registered.values()]
    assert [*swift["dataset"], *swift["val_dataset"]] == paths
    with_files = [Messages("messages", tmp_path, ()), Trl("trl", tmp_path, ())]
    written = [format_.path(trl["train_split"]) for format_ in with_files]
    assert written == [registered["seke_train"]["file_name"], "trl/train.jsonl"]


def test_recipes_teach_the_same_way():
    trl, factory, swift = map(recipe, ("trl", "llamafactory", "ms-swift"))
    same = "num_train_epochs learning_rate lr_scheduler_type per_device_train_batch_size seed"
    for name in (*same.split(), "gradient_accumulation_steps", "lora_alpha", "lora_dropout"):
        assert trl[name] == factory[name] == swift[name], name
    assert trl["lora_r"] == factory["lora_rank"] == swift["lora_rank"]
    assert trl["model_name_or_path"] == factory["model_name_or_path"] == swift["model"]
    assert trl["lora_target_modules"] == swift["target_modules"] == ["all-linear"]
    assert factory["image_max_pixels"] == swift["ENV"]["MAX_PIXELS"]
    assert factory["freeze_vision_tower"]
    assert factory["freeze_multi_modal_projector"]
    assert swift["freeze_vit"]
    assert swift["freeze_aligner"]
    # Names of modules as LLaVA and Qwen2-VL have them.
    frozen = re.compile(trl["frozen_modules"])
    sees = (
        "model.vision_tower.layers.0.mlp.fc1",
        "model.visual.merger.mlp.0",
        "model.multi_modal_projector.linear_1",
    )
    assert all(map(frozen.fullmatch, sees))
    assert not frozen.fullmatch("model.language_model.layers.0.mlp.up_proj")


def test_versions_are_exact_and_the_same_everywhere():
    readme = (RECIPES / "README.md").read_text("utf-8")
    ours = pins(ROOT / "constraints.txt")
    assert f"trl {ours['trl']}, peft {ours['peft']}, transformers {ours['transformers']}" in readme
    for package, distribution in (("llamafactory", "llamafactory"), ("ms-swift", "ms_swift")):
        versions = pins(RECIPES / "environments" / f"{package}.txt")
        assert "torch" not in versions
        for name in (distribution, "transformers", "peft", "trl"):
            assert f"{name.replace('_', '-')} {versions[name]}" in readme, name
        assert (
            f" {versions[distribution]}." in (RECIPES / f"{package}.yaml").read_text("utf-8").splitlines()[0]
        )


ROW = {
    "messages": [
        {"role": "user", "content": "<image>What is shown?"},
        {"role": "assistant", "content": "Joy."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "AU12."},
    ],
    "images": ["a.png"],
    "task": "conversation",
}


@pytest.mark.parametrize(
    ("learned", "fault"),
    [
        ([("Joy.</s>AU12.", 1)], None),
        ([("AU12. Joy.", 1)], "not all of the answer 'AU12.'"),
        ([("Joy.", 1)], "not all of the answer 'AU12.'"),
        ([("What is shown? Joy. AU12.", 1)], "a question is learned"),
        ([("Joy. AU12.", 2)], "2 pictures of 1"),
        ([], "0 rows of 1"),
    ],
)
def test_a_row_that_is_read_otherwise_is_a_fault(learned, fault):
    faults = list(module("check").faults_of([ROW], learned))
    assert len(faults) == (fault is not None)
    assert all(fault in line for line in faults)


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("environments", ["ms-swift", "."], "exists; name a folder that is to be made"),
        ("check", ["trl", "."], "has no trl/; seke export --format"),
        (
            "evaluate",
            ["--images", "a.csv", "--before", "a", "--after", "b", "-o", "."],
            "exists; results are not",
        ),
    ],
)
def test_scripts_refuse_what_cannot_be(script, arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "feab").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as stopped:
        module(script).main()
    assert message in f"{stopped.value} {capsys.readouterr().err}"


# The packages --------------------------------------------------------------------------------------------


def ran(*command, **options):
    """Run a program to its end, away from every hub."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=env, **options
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def environment(package):
    """The Python that has a package; tests are passed over, and say so, where there is none."""
    if package == "trl":
        pytest.importorskip("trl")
        return sys.executable
    return os.environ.get(VARIABLES[package]) or pytest.skip(
        f"{VARIABLES[package]} names no Python: examples/finetune/environments.py {package} DIR makes one"
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Rows of every task in the folder `data`, and the model `tiny`."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("recipes")
    records = list(made_records(36))
    items = []
    for number in range(len(records)):
        path = picture(folder / "faces" / f"{number} é.png", number)
        box = [1.0, 2.0, 9.0, 9.0] if number % 7 == 0 else None
        known = {"path": str(path), "group": f"p{number % 9}", "source": "", "box": box}
        items.append({**known, "picture": f"{number:064x}"})
    options = {"formats": ("messages", "trl"), "tasks": TASKS, "uncalibrated": True}
    seke.export(made_run(folder / "run", records, items), folder / "data", split="train:.6,val:.4", **options)
    ran(sys.executable, RECIPES / "tiny.py", folder / "tiny")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("package", TINY)
def test_every_row_is_converted_by_the_package_itself(package, work):
    python = environment(package)
    changes = {MODEL[package]: "tiny", **TINY[package]}
    options = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    facts = json.loads(ran(python, RECIPES / "check.py", package, "data", *options, cwd=work))
    assert facts["splits"].keys() == {"train", "val"}
    rows_of = module("check").rows_of
    for split, read in facts["splits"].items():
        rows = rows_of(work / "data" / "messages" / f"{split}.jsonl")
        assert read["rows"] == len(rows)
        assert read["tasks"] == Counter(row["task"] for row in rows)
        assert {"check", "compare", "conversation", "reasoned"} <= read["tasks"].keys()
        # A row of each task, and of `compare` two pictures.
        assert read["batch"] == {"rows": len(read["tasks"]), "pictures": len(read["tasks"]) + 1}


STEPS = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "learning_rate": 0.01,
}


def trained(package, python, work):
    """Train for two steps by the package's own command, and merge; return the folder of the whole model."""
    changes = {MODEL[package]: "tiny", **TINY[package], **STEPS}
    tuned = f"tuned-{package}"
    if package == "llamafactory":
        command = [python, "-m", "llamafactory.cli"]
        words = [f"{name}={value}" for name, value in changes.items()]
        ran(*command, "train", RECIPES / "llamafactory.yaml", *words, cwd=work)
        of_model = ("--model_name_or_path", "tiny", "--template", "llava")
        adapter = ("--adapter_name_or_path", recipe(package)["output_dir"])
        ran(*command, "export", *of_model, *adapter, "--export_dir", tuned, cwd=work)
    else:
        command = [python, "-m", "swift.cli.main"]
        words = [part for name, value in changes.items() for part in (f"--{name}", str(value))]
        ran(*command, "sft", RECIPES / "ms-swift.yaml", *words, cwd=work)
        (adapter,) = (work / recipe(package)["output_dir"]).glob("v0-*/checkpoint-2")
        options = ("--merge_lora", "true", "--output_dir", tuned, "--use_hf", "true")
        ran(*command, "export", "--adapters", adapter, *options, cwd=work)
    return work / tuned


@pytest.mark.slow
@pytest.mark.parametrize("package", VARIABLES)
def test_the_package_trains_the_language_part_alone(package, work):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    tuned = trained(package, environment(package), work)
    before, after = (
        AutoModelForImageTextToText.from_pretrained(folder).state_dict() for folder in (work / "tiny", tuned)
    )
    assert before.keys() == after.keys()
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved
    assert not any(re.search("vision|projector", name) for name in moved)
    assert AutoProcessor.from_pretrained(tuned).chat_template
