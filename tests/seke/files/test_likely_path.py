"""What is guessed where a path leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from seke.cli.main import main
from seke.files.likely_path import likely_name, path_hint


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("sample.jsonl", ["truth.csv", "samples.jsonl"], "samples.jsonl"),
        ("samples.json", ["samples.csv", "samples.jsonl"], "samples.csv"),
        ("samples.jsonl", ["samples.csv", "SAMPLES.jsonl"], "SAMPLES.jsonl"),
        ("runn", ["run", "faces"], "run"),
        ("posd", ["posed", "spontaneous"], "posed"),
        # What is merely as long, or has the same ending, is not meant.
        ("nothere.yaml", ["nonote.yaml", "other.yaml"], ""),
        ("mine.yaml", ["line2.yaml"], ""),
        ("x" * 10_000, ["x"], ""),
        ("a", [], ""),
    ],
)
def test_a_name_is_guessed_only_where_it_is_close(name: str, names: list[str], meant: str) -> None:
    assert likely_name(name, names) == meant


def test_a_path_is_looked_for_from_other_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("study/runs/one/samples.jsonl", "top.jsonl", "study/.hidden/secret.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.chdir(tmp_path / "study")
    hints = {
        "study/runs/one/samples.jsonl": "; did you mean runs/one/samples.jsonl?",
        "samples.jsonl": "; did you mean runs/one/samples.jsonl?",
        "top.jsonl": "; did you mean ../top.jsonl?",
        "runs/two/samples.jsonl": "; did you mean runs/one/samples.jsonl?",
        "secret.jsonl": "",
        f"{tmp_path}/elsewhere/top.jsonl": "",
        "a\0b": "",
    }
    assert {path: path_hint(path, Path.is_file) for path in hints} == hints


def test_commands_say_which_file_or_run_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "runt"):
        Path(name).mkdir()
    for name in ("run/ledger.sqlite", "run/samples.jsonl", "nonote.yaml"):
        Path(name).write_text("")
    for words, message in (
        (("infer", "samples.jsonl"), "samples.jsonl: no such file; did you mean run/samples.jsonl?"),
        (("runs", "status", "runn"), "runn: there is no such folder; did you mean run?"),
        (("runs", "status", "elsewhere"), "elsewhere: there is no such folder"),
        (("runs", "status", "runt"), "runt: is no run (it has no ledger.sqlite)"),
        (
            ("infer", "run/samples.jsonl", "-k", "nothere.yaml"),
            "nothere.yaml: there is no such file or folder; the shipped bases are ",
        ),
        (
            ("infer", "run/samples.jsonl", "-k", "nonnote.yaml"),
            "nonnote.yaml: there is no such file or folder; did you mean nonote.yaml?",
        ),
        (
            ("infer", "run/samples.jsonl", "-k", "posd"),
            "posd: there is no such file or folder; did you mean posed?",
        ),
    ):
        result = CliRunner().invoke(main, list(words))
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(message), result.stderr
