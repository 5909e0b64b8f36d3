"""What runs without the extras, and what is said where one is missing."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import seke
from engine import SekeError
from seke.console.extras import EXTRAS, WHAT, missing_package_text
from tests.small_study import SMALL_FACES

ROOT = Path(__file__).parents[3]
FACES = ROOT / "examples" / "faces" / "samples.jsonl"

# Runs commands in a process that can import no package of an extra; prints status and output of each.
ALONE = """
import json, sys
from click.testing import CliRunner
names = set(json.loads(sys.argv[1]))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from seke.cli.main import main
results = []
for command in json.loads(sys.argv[2]):
    result = CliRunner().invoke(main, command)
    results.append((result.exit_code, result.output))
import seke
try:
    seke.calibrate([], gold=[])
except Exception as error:
    results.append((type(error).__name__, str(error)))
print(json.dumps(results))
"""


def main_commands(run):
    """What is used most, on few items; run: the folder of a run that comes of it."""
    small = ("-k", str(SMALL_FACES))
    return (
        ["infer", "samples.jsonl", "-o", "records.jsonl"],
        ["infer", "samples.jsonl", "-k", "posed"],
        ["annotate", "faces", "--run", run, "--model", "gpt-4o", "--scripted", "--max-samples", "4", *small],
        ["annotate", "faces", "--run", "r", "--model", "gpt-4o", "--dry-run", "--max-samples", "3", *small],
        ["knowledge", "show", "AU6"],
        ["knowledge", "diff", "posed", "spontaneous"],
        ["simulate", "--items", "3", "-o", "made.jsonl", *small],
        ["plan", "--items", "3", "--limits", "1", "--fixed", "1", *small],
        ["bench", "score", "records.jsonl", "gold.csv", "--bootstrap", "20"],
        [
            *("export", run, "-o", "exported", "--format", "parquet", "--uncalibrated", "--allow-scripted"),
            *small,
        ],
    )


COMMANDS_OF_EXTRAS = (
    ["calibrate", "samples.jsonl", "--gold", "gold.csv", "-o", "o.yaml"],
    ["annotate", "faces", "--run", "r", "--model", "gpt-4o"],
    ["infer", "samples.jsonl", "--device", "cuda"],
    ["infer", "samples.jsonl", "--explain", "agreement", "--device", "cuda"],
    ["knowledge", "graph", "-o", "graph.png"],
    # These are refused before anything is computed, even before a name is looked up.
    ["explain", "samples.jsonl", "nobody", "--html", "story.html"],
    ["explain", "samples.jsonl", "nobody", "--png", "story.png"],
    ["report", "no-such-run", "-o", "report.html"],
    ["bench", "score", "no-such-file.jsonl", "gold.csv", "--pictures", "plots"],
    ["plot", "units", "samples.jsonl", "nobody", "-o", "units.pdf"],
    ["independence", "no-such-file.jsonl", "--gold", "gold.csv", "-o", "together.svg"],
    ["knowledge", "export", "bif", "-o", "network.bif"],
)


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """Status and output of each main command, of each that needs an extra, and what Python says."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "gold.csv").write_text("item,expression\nagreement,happiness\nverified,anger\n")
    lines = FACES.read_text("utf-8").splitlines(keepends=True)
    items = ('"item": "agreement"', '"item": "verified"')
    (folder / "samples.jsonl").write_text("".join(line for line in lines if any(i in line for i in items)))
    (folder / "faces").mkdir()
    # These two are accepted as they are.
    for name in ("smile", "broad-smile"):
        shutil.copy(ROOT / "examples" / "annotate" / f"{name}.png", folder / "faces")
    main = main_commands(str(folder / "run"))
    given = [json.dumps(sorted(EXTRAS)), json.dumps([*main, *COMMANDS_OF_EXTRAS])]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *given],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "SEKE_CACHE": ""},
    )
    results = json.loads(done.stdout.splitlines()[-1])
    return results[: len(main)], results[len(main) : -1], results[-1]


def test_the_main_commands_need_no_extra(ends):
    results, _, _ = ends
    commands = main_commands("run")
    failed = [(command, *end) for command, end in zip(commands, results, strict=True) if end[0]]
    assert failed == []
    assert "what gold labels would buy is not known: fits need" in results[3][1]


def test_a_missing_package_is_met_by_the_command_that_installs_it(ends):
    _, results, in_python = ends
    fits = "fits need torch, which is not installed; pip install 'seke[calibrate]'"
    assert [(status, output.splitlines()[-1]) for status, output in results] == [
        (2, fits),
        (2, "asking models needs openai, which is not installed; pip install 'seke[vision]'"),
        *[(2, "computing on a device needs torch, which is not installed; pip install 'seke[gpu]'")] * 2,
        *[(2, "pictures and plots need matplotlib, which is not installed; pip install 'seke[plots]'")] * 7,
        (2, "networks for other programs need pgmpy, which is not installed; pip install 'seke[exchange]'"),
    ]
    # In Python the function is there, and says the same when it is called.
    assert in_python == ["SekeError", fits]


def test_a_figure_in_python_names_what_it_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SekeError, match=r"pictures and plots need matplotlib.*seke\[plots\]"):
        seke.plot.face({"AU6": 0.9})


def test_extras_are_those_that_are_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {"pyro": "pyro-ppl"}
    for module, extra in EXTRAS.items():
        distributions = {re.split(r"[<>=\[]", entry)[0] for entry in declared[extra]}
        assert names.get(module, module) in distributions
        assert extra in WHAT
    assert missing_package_text("torch.nn") == missing_package_text("torch")
    assert missing_package_text("surely_not") is None
