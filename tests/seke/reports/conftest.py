"""What the tests of a report's data and of its page both read."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from seke.cli.main import main

EXAMPLES = Path(__file__).parents[3] / "examples"


def _run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def annotated(tmp_path_factory):
    """The folder of a run over six pictures, whose answers were recorded; to be read only."""
    folder, source = tmp_path_factory.mktemp("annotated") / "run", EXAMPLES / "annotate"
    _run("annotate", source, "--run", folder, "--model", "gpt-4o", "--recorded", source / "answers.jsonl")
    return folder


@pytest.fixture(scope="session")
def inferred_faces(tmp_path_factory):
    """The records of the shipped items; to be read only."""
    path = tmp_path_factory.mktemp("faces") / "p.jsonl"
    _run("infer", EXAMPLES / "faces" / "samples.jsonl", "-o", path)
    return path
