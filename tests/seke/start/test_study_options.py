"""seke.toml: options that need not be typed again, where they come from, and what is no option."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from seke.cli import options
from seke.cli.completion import FileText, complete_files
from seke.cli.main import main
from seke.cli.study_options import SHARED, StudyGroup, leaf_commands, say_what_is_used, shared_key_of
from seke.runs.ledger import status_of
from seke.start.study_file import NAME, find_study_file


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with a study's file, and the working directory below it."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


def ask(*words):
    """What a command with the options of a run is given, and what it says."""
    given = {}

    @click.command()
    @options.run(required=False)
    @options.requests()
    @options.labels_final()
    @click.option("--also", multiple=True)
    def ask(**values):
        given.update(values)

    group = StudyGroup("seke", commands={"ask": ask})
    complete_files(group)
    say_what_is_used(group, ())
    result = CliRunner().invoke(group, ["ask", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return given, result.stderr


def test_what_is_typed_comes_first_then_the_environment_then_the_file(study, monkeypatch):
    (study / NAME).write_text(
        'model = "a"\nbase-url = "http://file/v1"\nbase = "posed"\nrun = "runs/one"\nprices = "/p.yaml"\n'
        '[ask]\nrpm = 30\nlabels-final = true\nalso = ["x", "y"]\n'
    )
    given, message = ask()
    names = ("model", "base_urls", "knowledge", "folder", "price_list", "rpm", "labels_final", "also")
    assert [given[name] for name in names] == [
        *("a", ("http://file/v1",), "posed", Path("../runs/one"), Path("/p.yaml"), 30.0, True, ("x", "y")),
    ]
    assert given["key_from"] == "OPENAI_API_KEY"
    assert message == (
        "from ../seke.toml: run=../runs/one model=a base-url=http://file/v1 base=posed prices=/p.yaml "
        "rpm=30.0 labels-final=true also=x,y\n"
    )
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment/v1")
    assert ask()[0]["base_urls"] == ("http://environment/v1",)
    given, message = ask("--base-url", "http://typed/v1", "--model", "b", "-k", "k", "--also", "z")
    assert (given["base_urls"], given["model"], given["knowledge"], given["also"]) == (
        *(("http://typed/v1",), "b", "k", ("z",)),
    )
    assert message == "from ../seke.toml: run=../runs/one prices=/p.yaml rpm=30.0 labels-final=true\n"
    # Prices are stated in one way: what is typed replaces the list of the file.
    given, message = ask("--price-in", "1", "--price-out", "2")
    assert given["price_list"] is None
    assert "prices" not in message
    # The nearest file counts, alone.
    Path(NAME).write_text("")
    given, message = ask()
    assert (given["model"], message) == ("", "")


def test_a_base_is_a_file_of_the_study_or_a_shipped_one(study):
    (study / "posed").mkdir()
    (study / NAME).write_text('base = "posed"\n')
    assert ask()[0]["knowledge"] == "../posed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('modle = "x"', "modle: no such key; did you mean model?"),
        ('knowledge = "x"', "knowledge: is called base here"),
        (
            "max-cost = 3",
            "max-cost: is an option of single commands; put it into the table of one, such as [anno",
        ),
        ("[annotate]\nmax-csot = 3", "annotate.max-csot: no such key; did you mean max-cost?"),
        ("[anotate]\n", "anotate: no such key; did you mean annotate?"),
        ("annotate = 3", "annotate: options of `seke annotate` belong here, as a table [annotate]"),
        ("[knowledge.check]\nstrict = 1", "knowledge.check.strict: is 1; allowed is true or false"),
        ("[annotate]\nmax-cost = '3'", "annotate.max-cost: is '3'; allowed is a number"),
        ("[annotate]\nmax-samples = 3.5", "annotate.max-samples: is 3.5; allowed is a whole number"),
        ("[annotate]\nmax-samples = 0", "annotate.max-samples: 0 is not in the range x>=1"),
        ("[annotate]\ndetail = 'x'", "annotate.detail: is 'x'; allowed is one of 'auto', 'low', 'high'"),
        ("[annotate]\nyes = true", "annotate.yes: is decided anew with each command; type it"),
        ("model = 3", 'model: is 3; allowed is a text in quotes, "..."'),
        ("model = gpt-4o", "is no TOML (Invalid value (at line 1, column 9)); texts stand in quotes"),
        ("api-key = 'sk-1'", "api-key: keys do not belong in this file"),
        ("key-from = 'sk-1'", "key-from: names the environment variable with the key"),
        ("base-url = 'http://me:sk-1@host/v1'", "base-url: an address without user and password"),
    ],
)
def test_what_is_no_option_is_refused(study, text, message):
    (study / NAME).write_text(f"{text}\n")
    result = CliRunner().invoke(main, ["knowledge", "show", "AU6"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"../{NAME}: {message}"), result.stderr
    assert "sk-1" not in result.output
    # Help is there all the same.
    assert CliRunner().invoke(main, ["knowledge", "show", "--help"]).exit_code == 0


def test_keys_of_all_commands_mean_one_thing():
    kinds = {}
    for path, command in leaf_commands(main):
        for parameter in command.params:
            if key := shared_key_of(path, parameter):
                kind = click.Path if isinstance(parameter.type, FileText) else type(parameter.type)
                kinds.setdefault(key, set()).add((kind, getattr(parameter, "multiple", False)))
    assert kinds.keys() == SHARED.keys()
    assert {key: kind for key, kind in kinds.items() if len(kind) > 1} == {}


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_the_file_of_another_user_counts_in_its_own_folder_alone(study):
    (study / NAME).write_text('model = "a"\n')
    os.chown(study / NAME, 54_321, -1)
    assert find_study_file(Path.cwd()) is None
    os.chdir("..")
    assert find_study_file(Path.cwd()) == Path(NAME)


def test_studies_in_the_working_directory_are_named_where_it_is_none(study):
    (study / "below" / "my study").mkdir()
    (study / "below" / "my study" / NAME).write_text("")
    said = "no seke.toml here: its options are not used; my study/ has one (cd 'my study')"
    assert said in " ".join(ask("--base-url", "http://x")[1].split())
    (study / NAME).write_text("")
    assert "no seke.toml here" not in ask()[1]


def test_a_run_is_the_same_as_if_its_options_were_typed(study):
    Image.new("RGB", (64, 64), "white").save(study / "a.png")
    (study / "own.yaml").write_text("extends: shipped\npolicy: {source: judgement, note: t, budget: 2}\n")
    (study / NAME).write_text(
        'base = "own.yaml"\npopulation = "in-the-wild"\nmodel = "gpt-4o"\nrun = "by-file"\n'
        "[annotate]\nmax-samples = 1\ntemperature = 0.5\n"
    )
    result = CliRunner().invoke(main, ["annotate", "../a.png", "--scripted"])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(
        "from ../seke.toml: run=../by-file model=gpt-4o base=../own.yaml population=in"
    )
    (study / NAME).unlink()
    typed = ("-k", "../own.yaml", "--population", "in-the-wild", "--model", "gpt-4o", "--run", "../typed")
    typed += ("--max-samples", "1", "--temperature", ".5")
    assert CliRunner().invoke(main, ["annotate", "../a.png", "--scripted", *typed]).exit_code == 0
    # What is told of an item needs no run either, where the file names it.
    story = CliRunner().invoke(main, ["explain", "a"])
    assert story.exit_code == 2
    assert "name the run or the samples that 'a' is an item of: seke explain RUN a" in story.stderr
    (study / NAME).write_text('base = "own.yaml"\npopulation = "in-the-wild"\nrun = "by-file"\n')
    story = CliRunner().invoke(main, ["explain", "a"])
    assert story.exit_code == 0, story.output
    assert story.stderr.startswith(
        "from ../seke.toml: run=../by-file base=../own.yaml population=in-the-wild"
    )
    assert story.stdout == CliRunner().invoke(main, ["explain", "../by-file", "a"]).stdout
    by_file, by_hand = (status_of(study / name)[0] for name in ("by-file", "typed"))
    assert by_file == by_hand
    assert by_file["settings"]["temperature"] == 0.5
