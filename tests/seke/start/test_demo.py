"""`seke demo` and `seke init`: what they write works, with the commands that they print."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner
from PIL import Image

from seke.cli.main import main


def seke(*words, status=0):
    result = CliRunner().invoke(main, [*words], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def printed_commands(message):
    """The commands that are printed on lines of their own, by their second word."""
    lines = [shlex.split(line) for line in message.splitlines() if line.startswith("    ")]
    return {words[1]: words[1:] for words in lines if words[0] == "seke"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo in an empty folder that is there already, and what the command printed."""
    place = tmp_path_factory.mktemp("place")
    (place / "my demo").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return place / "my demo", seke("demo", "my demo")


def test_the_demo_shows_faces_and_what_is_decided_about_them(demo):
    folder, result = demo
    decisions = {
        (r := json.loads(line))["item"]: r["decision"]["item"] for line in result.stdout.splitlines()
    }
    assert set(decisions.values()) == {"accept", "requery", "reject"}
    faces = sorted((folder / "faces").iterdir())
    assert [face.stem for face in faces] == sorted(decisions)
    pixels = set()
    for face in faces:
        with Image.open(face) as picture:
            assert picture.size == (260, 310)
            pixels.add(picture.tobytes())
    assert len(pixels) == len(faces)
    assert printed_commands(result.stderr).keys() == {"knowledge", "annotate", "report", "init"}
    assert "is not empty (it has answers.jsonl and 4 more)" in seke("demo", str(folder), status=2).stderr
    notebook = json.loads((folder / "try.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.mark.slow
def test_what_the_demo_says_to_try_works(demo, monkeypatch):
    folder, result = demo
    monkeypatch.chdir(folder.parent)
    steps = printed_commands(result.stderr)
    assert "1 of 8 decisions change" in seke(*steps["knowledge"]).stdout
    asked = seke(*steps["annotate"]).stdout
    assert "8 items: 3 accept, 5 reject" in asked
    assert "(all made up)" in asked
    seke(*steps["report"])
    assert "are made up (scripted)" in (folder / "report.html").read_text("utf-8")
    seke(*steps["init"])
    monkeypatch.chdir(folder)
    values = {}
    for cell in json.loads((folder / "try.ipynb").read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            exec("".join(cell["source"]), values)
    assert values["mine"]["expression"]["surprise"] > 0.5


def test_a_study_is_ready_to_work_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = (
        "-k",
        "posed",
        "--population",
        "uniform",
        "--model",
        'a "b"',
        "--base-url",
        "http://localhost:1/v1",
    )
    message = seke("init", "new/my-study", *options).stderr
    assert [*printed_commands(message)] == ["knowledge", "demo", "annotate"]
    monkeypatch.chdir("new/my-study")
    shown = seke("knowledge", "show", "AU6")
    assert shown.stderr == "from seke.toml: base=knowledge\n"
    assert "shipped/overlays/posed.yaml" in shown.stdout
    told = seke("annotate", "faces", "--dry-run", status=2).stderr.splitlines()[0]
    assert told == (
        "from seke.toml: run=run model='a \"b\"' base-url=http://localhost:1/v1 base=knowledge "
        "population=uniform"
    )
    # Who is in a study needs none.
    assert printed_commands(seke("demo", "tryout").stderr).keys() == {"knowledge", "annotate", "report"}
    # A new study takes nothing from the one that it happens to be in.
    assert seke("init", "another").stderr.startswith("another has seke.toml, ")
    assert '\nbase = "knowledge"\n' in (tmp_path / "new" / "my-study" / "another" / "seke.toml").read_text(
        "utf-8"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init", "taken"), "taken: is not empty (it has a); name a new or an empty folder"),
        (("init", "taken/a"), "taken/a: is no folder; name a new or an empty one"),
        (("demo", "taken/a"), "taken/a: is no folder; name a new or an empty one"),
        (
            ("init", "s", "--population", "unifrom"),
            "--population unifrom: no such prior; did you mean uniform?",
        ),
        (("init", "s", "-k", "nowhere"), "nowhere: there is no such file or folder; the shipped bases are "),
        (("demo", "taken/a/b"), "taken/a/b: Not a directory"),
    ],
)
def test_what_cannot_begin_leaves_nothing(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").write_text("")
    assert message in seke(*words, status=2).stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "taken"]
