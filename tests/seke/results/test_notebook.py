"""A notebook as people run it: results, progress and pictures are shown; a script of theirs is well typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CELLS = {
    "infer": (
        "import json, pathlib, pandas, seke\n"
        "rows = pathlib.Path('examples/faces/samples.jsonl').read_text('utf-8').splitlines()\n"
        "frame = pandas.DataFrame(map(json.loads, filter(None, rows)))\n"
        "result = seke.infer(frame)\n"
        "result"
    ),
    "bar": "seke.infer(frame[:3]).to_arrow().num_rows",
    "table": "result.to_datasets().to_pandas().equals(result.to_pandas())",
    "check": "seke.check('examples/sprinkler/knowledge')",
    "face": "seke.plot.face({'AU6': 0.9, 'AU12': 0.95})",
    "inline": "import matplotlib.pyplot\nseke.plot.face({'AU6': 0.9, 'AU12': 0.95})",
    "plan": "seke.plan('examples/sprinkler/knowledge', items=5)",
    "play": "seke.play('examples/sprinkler/knowledge')",
    "fault": "seke.infer(frame.rename(columns={'item': 'Item'}))",
}
SCRIPT = """
from collections.abc import Iterator
from typing import Any

import polars

import seke


def accepted(frame: polars.DataFrame) -> Iterator[str]:
    result = seke.infer(frame, population="uniform", progress=False)
    for record in result:
        yield str(record["item"])
    table: polars.DataFrame = result.to_polars()
    print(table.height, len(result.notes()), result.to_arrow().num_rows)


def numbers(result: seke.InferredRecords, gold: list[dict[str, Any]]) -> None:
    report = seke.score(result, gold)
    print(str(report), seke.check().facts["rules"], seke.knowledge().digest)
    seke.plot.reliability(report).savefig("reliability.svg")


seke.infer(3)
seke.infer("samples.jsonl", populaton="uniform")
"""


@pytest.mark.slow
def test_a_notebook_shows_what_its_cells_are(monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=300, allow_errors=True, resources=resources).execute()
    outputs = {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}
    shown = {
        name: {kind: data for output in cell if "data" in output for kind, data in output["data"].items()}
        for name, cell in outputs.items()
    }
    bar = "".join(output["text"] for output in outputs["bar"] if output.get("name") == "stderr")
    widgets = [output for output in outputs["bar"] if "widget-view" in str(output.get("data"))]
    assert len(outputs["infer"]) == 1
    assert "inferring: 100%" in bar or widgets
    assert "<td>happiness 0.99</td><td>+0.74 ± 0.29</td>" in shown["infer"]["text/html"]
    assert shown["table"]["text/plain"] == "True"
    for name in ("check", "plan"):
        assert "<pre>" in shown[name]["text/html"]
        assert len(outputs[name]) == 1
    assert "<iframe sandbox" in shown["play"]["text/html"]
    assert shown["play"]["text/plain"].startswith("<PlayPage of ")
    for name in ("face", "inline"):
        assert shown[name]["image/png"].startswith("iVBOR")
        assert [output["output_type"] for output in outputs[name]] == ["execute_result"]
    (fault,) = outputs["fault"]
    assert fault["evalue"] == "frame: Item: unknown column; did you mean item?"


@pytest.mark.slow
def test_a_users_script_is_checked_against_the_types_that_are_shipped(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    options = ["--strict", "--cache-dir", str(tmp_path / "cache"), "--config-file", "", "script.py"]
    # Its packages are where installed ones are, whose own faults are not the script's.
    packages = {"MYPYPATH": "", "PYTHONPATH": ""}
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **packages},
        check=False,
    )
    faults = [line.partition(": ")[2] for line in checked.stdout.splitlines() if ": error: " in line]
    assert len(faults) == 2, checked.stdout
    assert 'Argument 1 to "infer" has incompatible type "int"' in faults[0]
    assert 'Unexpected keyword argument "populaton" for "infer"' in faults[1]
