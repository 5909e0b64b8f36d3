"""The plan of the house: who may import whom, what a start may load, and that a wheel is whole."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import engine
import seke

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("engine", "seke")
    for path in (ROOT / folder).rglob("*.py")
}
HTTP = {"openai", "httpx", "requests", "urllib3", "aiohttp", "http", "urllib", "socket"}
FACES = re.compile(r"\b(happiness|sadness|disgust|contempt|valence|arousal|AU\d+|facial|emotions?)\b")
INFERENCE = {
    "arrays",
    *("answers", "conflict", "diagnostics", "evidence", "exchange", "feasibility", "fit", "gold"),
    *(
        "cost",
        "dependence",
        "imagined",
        "instruments",
        "junction_tree",
        "knowledge",
        "lookahead",
        "network",
        "posterior",
    ),
    *("certification", "design", "guarantee", "preposterior", "reliability", "resampling", "score"),
    *(
        "decision",
        "decision.basis",
        "decision.decision",
        "decision.disputed_labels",
        "decision.expected_gain",
        "decision.level",
        "decision.limits",
    ),
    *("decision.looks_at_labels", "decision.origin", "decision.people", "model", "model.fit_record"),
    *("simulation", "weights", "observation", "observation.dependence", "observation.family"),
    "observation.joint_answers",
}


def imports(path, *, inside_functions=True):
    """Names of the modules that a file imports, with `from a import b` as a.b where that is a module."""
    tree = ast.parse(path.read_text())
    lazy = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if not inside_functions and node in lazy:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("engine")])
def test_the_engine_knows_neither_seke_nor_the_network_nor_faces(name):
    roots = {module.split(".")[0] for module in imports(MODULES[name])}
    assert not roots & ({"seke"} | HTTP)
    assert not FACES.findall(MODULES[name].read_text())


def test_the_inference_half_never_sees_yaml():
    values = {"engine.errors", "engine.formula", *(f"engine.{name}" for name in INFERENCE)}
    language = {name for name in MODULES if name.startswith("engine.")} - values
    assert any("yaml" in set(imports(MODULES[name])) for name in language)
    for name in values:
        seen = set(imports(MODULES[name]))
        assert "yaml" not in seen, name
        assert not seen & language, (name, seen & language)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("seke")])
def test_seke_enters_the_engine_by_its_face(name):
    inner = [module for module in imports(MODULES[name]) if module.startswith("engine.")]
    assert inner == []


def test_imports_run_one_way():
    graph = {
        name: {module for module in imports(path, inside_functions=False) if module in MODULES}
        for name, path in MODULES.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {error.args[1]}")


def test_the_faces_hold_what_they_promise():
    assert sorted(engine.__all__) == engine.__all__
    for module in (engine, seke):
        for name in module.__all__:
            assert getattr(module, name).__doc__ or name == "__version__"


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, **options
    ).stdout


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from seke.cli import main; main(['--help'], standalone_mode=False); "
        "print(sorted(sys.modules))"
    )
    loaded = run(code)
    for name in ("torch", "numpy", "yaml", "rich", "networkx", "pgmpy", "pyro", "openai"):
        assert f"'{name}'" not in loaded


def test_infer_loads_only_what_it_needs():
    code = (
        "import sys; from seke.cli import main; "
        "main(['infer', 'examples/faces/samples.jsonl', '--json'], standalone_mode=False); "
        "print('LOADED', sorted(sys.modules))"
    )
    loaded = run(code).split("LOADED")[1]
    for name in ("pyro", "pgmpy", "pyarrow", "openai", "sympy", "pandas", "rich"):
        assert f"'{name}'" not in loaded


def test_a_wheel_is_whole_and_keeps_to_its_own_knowledge(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (elsewhere / "knowledge").mkdir(parents=True)
    (elsewhere / "knowledge" / "base.yaml").write_text("name: another\n")
    (elsewhere / "samples.jsonl").write_text(
        '{"item": "a", "observer": "gpt-4o", "question": "expression", "draw": 0, "expression": "fear"}\n'
    )
    code = (
        f"import seke, engine; assert seke.__file__.startswith({str(site)!r}), seke.__file__; "
        "print(seke.knowledge().name, next(iter(seke.infer('samples.jsonl')))['item'])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
    ).stdout
    assert shown.split() == ["faces", "a"]
    assert (site / "seke" / "knowledge" / "activations.yaml").exists()
    assert (site / "seke" / "explanation.yaml").exists()
    for name in ("face.yaml", "face.js", "explain.html", "explain.css"):
        assert (site / "seke" / "drawing" / name).exists()
