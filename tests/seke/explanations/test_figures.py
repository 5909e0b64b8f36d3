"""Pictures of items: what they show is what was inferred, and nobody's text gets out of its place."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import engine
import seke
from engine import Answers, joint_marginal
from seke.cli.main import main
from seke.console.decision_words import LEGEND
from seke.explanations.figures import pictures_of, sheet
from seke.explanations.html import page
from seke.explanations.story import story_of, story_of_samples
from seke.explanations.text import head_sentences, render
from seke.graphics.action_units import Unit, units
from seke.graphics.bars import bars
from seke.graphics.shapes import COLOURS, DARK, Drawing, Shape, Text, fitting
from seke.graphics.style import picture_bytes
from seke.graphics.trajectory import course
from seke.graphics.valence_arousal import DrawnMoments, JointBins, _contours, _ellipse, highest_density, plane
from seke.inference.session import Session
from seke.samples import answers_from, read_batches, single_samples
from seke.tables.record_reader import holds_posteriors, posterior_record, posterior_records
from tests.small_study import SMALL_FACES

ROOT = Path(__file__).parents[3]
FACES = ROOT / "examples" / "faces" / "samples.jsonl"
ANNOTATE = ROOT / "examples" / "annotate"
PLANTS = ROOT / "examples" / "plants"
GARDEN = ROOT / "examples" / "sprinkler"
HOSTILE = [
    "<script>alert(1)</script>",
    '"onload="alert(1)\' & ]]> <!-- x',
    "a\u202eb\u2066c\u200fd\x00\x1b[31m\ufffe\ud800",
    "]]></style><img src=//example.org/x>",
    "x" * 1_000_000,
    "{{ 7 * 7 }} {% raw %}",
    "\u05e9\u05dc\u05d5\u05dd \u4f60\u597d $x^2$ \n\t two",
]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def story():
    """An item of the posed base, which accepts its expression as the shipped one does not.

    An overlay names the files below it from the working folder, which here is the repository's.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return story_of(FACES, "afraid-brows", "posed")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotated") / "run"
    answers = ("--recorded", ANNOTATE / "answers.jsonl")
    done = run("annotate", ANNOTATE, "--run", folder, "--model", "gpt-4o", *answers, "--yes")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def garden_run(tmp_path_factory):
    """The folder of a finished run of a base that is no base of faces, and small; it has no ledger."""
    folder, base = tmp_path_factory.mktemp("garden") / "run", seke.knowledge(GARDEN / "knowledge")
    folder.mkdir()
    shutil.copy(GARDEN / "samples.jsonl", folder)
    run("infer", folder / "samples.jsonl", "-k", GARDEN / "knowledge", "-o", folder / "posteriors.jsonl")
    facts = {
        "model": "made-up",
        "settings": {"temperature": 1.0},
        "observer": base.policy.ask,
        "population": base.reference,
        "strategy": "policy",
        "budget": base.policy.budget,
        "digests": dict(base.digests),
        "knowledge": f"{base.name} {base.digest}",
    }
    (folder / "summary.json").write_text(json.dumps({"facts": facts, "finished": True}))
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Some of the example's items: samples, the file of their records, and these."""
    folder = tmp_path_factory.mktemp("few")
    names = "agreement", "afraid-brows", "contempt", "set-label-doubted", "all-refused"
    lines = [line for line in FACES.read_text().splitlines() if line and json.loads(line)["item"] in names]
    (folder / "s.jsonl").write_text("".join(f"{line}\n" for line in lines))
    assert run("infer", folder / "s.jsonl", "-o", folder / "p.jsonl").exit_code == 0
    return folder / "s.jsonl", folder / "p.jsonl", list(seke.infer(folder / "s.jsonl"))


# Shapes --------------------------------------------------------------------------------------------------


@given(st.text(), st.text())
@settings(max_examples=examples(30))
def test_any_text_is_well_formed_and_its_own(text, title):
    svg = Drawing(10, 10, (Text(1, 2, text), Shape("M 0 0 L 1 1", stroke="ink", width=1)), title, text).svg()
    drawn = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= {"svg", "desc", "text", "path"}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text(text):
    svg = Drawing(10, 10, (Text(1, 2, text),), text, text).svg()
    assert len(svg) < 10_000
    drawn = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= {"svg", "desc", "text"}
    assert set(drawn.attrib) <= {"viewBox", "width", "height", "role", "aria-label", "aria-hidden"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00-\x08\x1b]", svg)


def test_both_writers_draw_the_same_path():
    inner = Drawing(40, 40, (Shape("M 1 2 L 3 4 C 5 6 7 8 9 10 Q 11 12 13 14 Z", fill="ink"),))
    picture = Drawing(100, 100, (inner.as_group(10, 20, 2.0),))
    (patch,) = picture.figure().axes[0].patches
    expected = [(10 + 2 * x, 20 + 2 * y) for x, y in zip(range(1, 14, 2), range(2, 15, 2), strict=True)]
    assert np.allclose(patch.get_path().vertices[:-1], expected)
    assert patch.get_path().codes.tolist() == [1, 2, 4, 4, 4, 3, 3, 79]
    assert 'transform="translate(10 20) scale(2)"' in picture.svg()


def test_a_text_that_has_no_room_is_cut():
    assert fitting("abcdef", 1000, 10) == "abcdef"
    cut = fitting("abcdef" * 20, 100, 10)
    assert cut.endswith("…")
    assert len(cut) == int(100 / 5.6)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [COLOURS, DARK], ids=["light", "dark"])
def test_texts_have_the_contrast_of_wcag(palette):
    paper = luminance(palette["paper"])
    for role in ("ink", "muted", "posterior", "evidence", "accept", "requery", "reject"):
        lighter, darker = sorted((luminance(palette[role]), paper), reverse=True)
        # Words in the colour of answers are bold headings beside other signs; 3 is enough for graphics.
        assert (lighter + 0.05) / (darker + 0.05) >= (3 if role == "evidence" else 4.5), role


# The plane ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=40), st.sampled_from([0.5, 0.9]))
def test_the_highest_density_region_is_the_smallest(weights, mass):
    p = np.array(weights) / sum(weights)
    least = highest_density(p, mass)
    inside = p[p >= least]
    assert inside.sum() >= mass - 1e-9
    assert inside.sum() - (inside == least).sum() * least < mass


def test_contours_hold_their_share_of_a_gaussian():
    edges = np.linspace(-1, 1, 21)
    middles = (edges[:-1] + edges[1:]) / 2
    p = np.exp(-(middles[:, None] ** 2 + middles[None] ** 2) / (2 * 0.3**2))
    p /= p.sum()
    for mass in (0.5, 0.9):
        (ring,) = _contours(JointBins(p, edges, edges), highest_density(p, mass))
        radius = np.hypot(*ring.T).mean()
        assert radius == pytest.approx(0.3 * np.sqrt(-2 * np.log(1 - mass)), abs=0.06)


def test_a_posterior_at_the_border_is_closed_and_inside():
    edges = np.linspace(-1, 1, 5)
    p = np.zeros((4, 4))
    p[0, 3] = 1.0
    (ring,) = _contours(JointBins(p, edges, edges), 1.0)
    assert (ring[0] == ring[-1]).all()
    svg = plane(JointBins(p, edges, edges), names=("x", "y")).svg()
    assert ElementTree.fromstring(svg) is not None


def test_the_ellipse_holds_its_share():
    moments = DrawnMoments((0.2, -0.1), (0.3, 0.2), 0.6)
    covariance = [[0.09, 0.036], [0.036, 0.04]]
    drawn = np.random.default_rng(1).multivariate_normal(moments.mean, covariance, 40_000)
    inverse = np.linalg.inv(covariance)
    radius = np.sqrt(-2 * np.log(1 - 0.9))
    away = _ellipse(moments, radius) - moments.mean
    assert np.allclose(np.einsum("ni,ij,nj->n", away, inverse, away), radius**2)
    off = drawn - moments.mean
    assert (np.einsum("ni,ij,nj->n", off, inverse, off) <= radius**2).mean() == pytest.approx(0.9, abs=0.01)


def test_valence_goes_right_and_arousal_up():
    def dot(point):
        shapes = [
            mark
            for mark in plane(None, [point], names=("x", "y")).marks
            if isinstance(mark, Shape) and mark.fill == "evidence"
        ]
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", shapes[0].path)]
        return np.mean(numbers[::2]), np.mean(numbers[1::2])

    (x0, y0), (x1, y1) = dot((-0.5, -0.5)), dot((0.5, 0.5))
    assert x1 > x0
    assert y1 < y0


# What is shown is what was inferred -------------------------------------------------------------------------


@pytest.mark.parametrize("item", ["afraid-brows", "asked-every-way", "all-refused"])
def test_two_variables_jointly_have_the_marginals_and_the_correlation(item):
    session = Session.open(seke.knowledge())
    (answers,) = read_batches([FACES], session.knowledge)
    of_item = answers.only(np.array([name == item for name in answers.items]))
    joint = joint_marginal(session.inference, of_item, ("valence", "arousal"))
    posterior = session.inference.posterior(of_item)
    assert joint.sum(1) == pytest.approx(posterior.marginals["valence"][0], abs=1e-9)
    assert joint.sum(0) == pytest.approx(posterior.marginals["arousal"][0], abs=1e-9)
    middles = np.linspace(-0.95, 0.95, 20)
    x, y = joint.sum(1) @ middles, joint.sum(0) @ middles
    spread = [joint.sum(a) @ (middles - m) ** 2 for a, m in ((1, x), (0, y))]
    both = (middles - x) @ joint @ (middles - y) / np.sqrt(spread[0] * spread[1])
    # The record's correlation is of values uniform within bins.
    wider = np.sqrt(spread[0] * spread[1] / ((spread[0] + 0.01 / 12) * (spread[1] + 0.01 / 12)))
    assert both * wider == pytest.approx(posterior.correlation[0], abs=1e-6)


def test_any_two_variables_jointly():
    session = Session.open(seke.knowledge())
    joint = joint_marginal(session.inference, Answers.nothing(), ("AU6", "AU12"))
    posterior = session.inference.posterior(Answers.nothing())
    assert joint.shape == (2, 2)
    assert joint[:, 1].sum() == pytest.approx(posterior.marginals["AU12"][0, 1])
    assert joint[1, 1] / joint[1].sum() > joint[0, 1] / joint[0].sum()


@pytest.mark.parametrize(
    "item", ["afraid-brows", "asked-every-way", "all-refused", "same-answer-fifty-times"]
)
def test_the_last_step_is_the_posterior_and_the_first_the_prior(item):
    story = story_of(FACES, item, with_facts=False)
    assert story.steps[-1].p == pytest.approx(story.record["expression"], abs=1e-6)
    assert story.steps[-1].numbers["valence"] == pytest.approx(story.record["valence"]["mean"], abs=1e-6)
    assert len(story.steps) == story.record["diagnostics"]["samples"]
    assert story.prior == pytest.approx(dict.fromkeys(story.prior, 0.125))
    refused = sum(step.status == "refused" for step in story.steps)
    assert refused == story.record["diagnostics"]["refused"]


def test_each_step_is_what_its_answers_alone_come_to():
    lines = [json.loads(line) for line in FACES.read_text().splitlines() if line.strip()]
    samples = [line for line in lines if line["item"] == "asked-every-way"]
    story = story_of(FACES, "asked-every-way", with_facts=False)
    session = Session.open(seke.knowledge())
    for count in (1, 3, len(samples)):
        (answers,) = answers_from(samples[:count], session.knowledge)
        p = session.inference.posterior(answers).marginals["expression"][0]
        assert list(story.steps[count - 1].p.values()) == pytest.approx(p.tolist(), abs=1e-9)


def test_a_reading_alone_is_the_posterior_of_it_alone_without_the_prior():
    lines = [json.loads(line) for line in FACES.read_text().splitlines() if line.strip()]
    samples = [line for line in lines if line["item"] == "afraid-brows" and line["question"] == "expression"]
    story = story_of(FACES, "afraid-brows", population="in-the-wild", with_facts=False)
    (alone,) = seke.infer(samples, population="in-the-wild")
    ((_, observer, likelihood),) = [reading for reading in story.readings if reading[0] == "expression"]
    assert observer == "gpt-4o"
    product = {state: story.prior[state] * likelihood[state] for state in likelihood}
    total = sum(product.values())
    for state, p in product.items():
        assert p / total == pytest.approx(alone["expression"][state], abs=1e-5)


def test_a_run_is_told_in_the_order_of_its_questions(annotated):
    records = {record["item"]: record for record in posterior_records(annotated / "posteriors.jsonl")}
    first = set()
    for item, record in records.items():
        story = story_of(annotated, item, with_facts=False)
        assert story.record == record
        assert story.steps[-1].p == pytest.approx(record["expression"], abs=1e-6)
        first.add(story.steps[0].question)
        if item == "at-rest":
            assert [step.question for step in story.steps] != sorted(step.question for step in story.steps)
    # The policy begins with the same question about every item.
    assert len(first) == 1


def test_without_its_ledger_a_run_can_still_be_told(annotated, tmp_path):
    for name in ("samples.jsonl", "posteriors.jsonl", "summary.json"):
        shutil.copy(annotated / name, tmp_path)
    with_ledger, without = (story_of(folder, "at-rest", with_facts=False) for folder in (annotated, tmp_path))
    assert without.record == with_ledger.record
    assert len(without.steps) == len(with_ledger.steps)


def test_a_run_is_told_under_its_own_base_only(annotated):
    overlay = ROOT / "examples" / "overlay" / "one-cell.yaml"
    done = run("explain", annotated, "at-rest", "-k", overlay)
    assert done.exit_code == 2
    assert "was made with knowledge faces" in done.stderr
    (annotated / "empty").mkdir(exist_ok=True)
    done = run("explain", annotated / "empty", "at-rest")
    assert done.exit_code == 2
    assert "is not a finished run" in done.stderr


def test_every_picture_names_what_it_shows(story):
    drawn = {name: draw(story).svg() for name, _, draw in pictures_of(story)}
    assert set(drawn) == {"face", "posterior", "va", "units", "course"}
    assert {"prior", "posterior", "gpt-4o", "human", "fear", "0.973"} <= set(texts(drawn["posterior"]))
    assert {"valence", "arousal", *story.record["expression"]} <= set(texts(drawn["va"]))
    assert {"AU20", "lip stretcher", "present", "absent", "ask"} <= set(texts(drawn["units"]))
    assert {"0.97 fear", "0.03 surprise", "answers so far"} <= set(texts(drawn["course"]))
    for svg in drawn.values():
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_bars_are_as_long_as_what_they_stand_for():
    def length(p):
        shapes = [mark for mark in bars({"a": p, "b": 1 - p}, title="state").marks if isinstance(mark, Shape)]
        numbers = [
            float(n) for n in re.findall(r"-?[\d.]+", next(o for o in shapes if o.fill == "posterior").path)
        ]
        return max(numbers[::2]) - min(numbers[::2])

    assert length(0.8) == pytest.approx(2 * length(0.4), abs=0.02)
    more = bars({"a": 1.0}, None, [(f"q{i}", "o", {"a": 1.0}) for i in range(8)], title="state").svg()
    assert "3 more readings" in texts(more)


def test_a_base_without_faces_is_drawn_without_one():
    item = next(seke.infer(PLANTS / "samples.jsonl", PLANTS / "knowledge"))["item"]
    story = story_of(PLANTS / "samples.jsonl", item, PLANTS / "knowledge", with_facts=False)
    names = [name for name, *_ in pictures_of(story)]
    assert "face" not in names
    assert "posterior" in names
    assert sheet(story).svg()
    assert "<h1" in page(story)


# Files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv", "csv.gz", "parquet"])
def test_posteriors_are_read_as_they_were_written(tmp_path, ending, few):
    samples, path, inferred = few
    if ending != "jsonl":
        path = tmp_path / f"p.{ending}"
        assert run("infer", samples, "-o", path).exit_code == 0
    assert list(posterior_records(path)) == inferred
    assert holds_posteriors(path)
    assert posterior_record(path, "contempt")["item"] == "contempt"
    with pytest.raises(engine.SekeError, match="did you mean contempt"):
        posterior_record(path, "contemt")


def test_what_holds_no_posteriors(tmp_path):
    for name, text in {"a.jsonl": "{}\n", "b.csv": "item,x\n1,2\n", "c.parquet": "no", "d.jsonl": ""}.items():
        (tmp_path / name).write_text(text)
        assert not holds_posteriors(tmp_path / name)
        with pytest.raises(engine.SekeError, match=name):
            list(posterior_records(tmp_path / name))
    assert not holds_posteriors(FACES)
    assert not holds_posteriors(tmp_path / "nowhere.jsonl")


# The commands -----------------------------------------------------------------------------------------------

HEADS = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}


@pytest.mark.parametrize("form", HEADS)
def test_every_picture_in_every_form(story, form):
    for name, _, draw in pictures_of(story):
        data = picture_bytes(draw(story), form)
        assert data.startswith(HEADS[form]), name
        # As svg each comes again from the command.
        assert form == "svg" or name != "va" or picture_bytes(draw(story), form) == data


@pytest.mark.parametrize("name", ["face", "posterior", "va", "units", "course"])
def test_a_command_writes_its_picture_whole(few, tmp_path, story, name):
    path = tmp_path / "x.svg"
    done = run("plot", name, few[0], "afraid-brows", "-k", "posed", "-o", path)
    assert (done.exit_code, done.output) == (0, "")
    drawings = {picture: draw for picture, _, draw in pictures_of(story)}
    assert path.read_bytes() == picture_bytes(drawings[name](story), "svg")
    assert list(tmp_path.iterdir()) == [path]


def test_scores_networks_and_fits_are_drawn(tmp_path):
    samples, truth, posteriors = tmp_path / "s.jsonl", tmp_path / "t.csv", tmp_path / "p.jsonl"
    given_base = ("-k", SMALL_FACES)
    made = ("--items", 60, "--draws", 1, "--question", "joint", "-o", samples, "--truth", truth)
    assert run("simulate", *given_base, *made).exit_code == 0
    assert run("infer", samples, *given_base, "-o", posteriors).exit_code == 0
    for kind in (
        ["risk-coverage"],
        ["reliability"],
        ["reliability", "--of", "binary"],
        ["reliability", "--of", "AU12"],
    ):
        path = tmp_path / "x.svg"
        done = run("plot", kind[0], posteriors, truth, *given_base, *kind[1:], "-o", path)
        assert done.exit_code == 0, done.output
        assert b"<svg" in path.read_bytes()
    done = run(
        "plot", "reliability", posteriors, truth, *given_base, "--of", "AU21", "-o", tmp_path / "y.svg"
    )
    assert done.exit_code == 2
    assert "did you mean" in done.stderr
    assert not (tmp_path / "y.svg").exists()
    for command in (("plot", "network"), ("knowledge", "graph")):
        assert run(*command, GARDEN / "knowledge", "-o", tmp_path / f"{command[0]}.svg").exit_code == 0
    assert (tmp_path / "plot.svg").read_bytes() == (tmp_path / "knowledge.svg").read_bytes()
    report = seke.score(posteriors, truth, SMALL_FACES, bootstrap=0)
    assert seke.plot.risk_coverage(report).axes
    assert len(seke.plot.reliability(report, "binary").axes) == 5


def test_a_fit_is_drawn_by_arviz(tmp_path):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        chance = np.random.default_rng(0)
        prior = {"still": chance.normal(0, 1, (1, 200)), "moved": chance.normal(0, 1, (1, 200, 2))}
        posterior = {"still": chance.normal(0, 1, (4, 50)), "moved": chance.normal(5, 1, (4, 50, 2))}
        arviz.from_dict(posterior=posterior, prior=prior).to_netcdf(str(tmp_path / "t.nc"), engine="h5netcdf")
    path = tmp_path / "fit.svg"
    done = run("plot", "fit", tmp_path / "t.nc", "-o", path)
    assert (done.exit_code, done.output) == (0, "")
    drawn = path.read_text()
    assert "moved[0]" in drawn
    assert "still" in drawn
    (tmp_path / "bad.nc").write_text("no")
    done = run("plot", "fit", tmp_path / "bad.nc", "-o", path)
    assert done.exit_code == 2
    assert "is no trace of a fit" in done.stderr


def test_units_given_by_hand(tmp_path):
    path = tmp_path / "f.svg"
    assert run("plot", "face", "--units", "AU6=0.9, AU12", "-o", path).exit_code == 0
    assert "AU6 0.90, AU12 1.00" in path.read_text()
    for setting, message in {
        "AU66": "did you mean AU6",
        "AU6=x": "AU6=x",
        "AU6=1.5": "between 0 and 1",
        "AU6=--1": "a number between 0 and 1",
    }.items():
        done = run("plot", "face", "--units", setting, "-o", tmp_path / "no.svg")
        assert done.exit_code == 2, setting
        assert message in done.stderr
    assert not (tmp_path / "no.svg").exists()
    assert run("plot", "face", "-o", path).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plot", "face", FACES, "nobody", "-o", "x.svg"), "no item is called 'nobody'"),
        (("plot", "face", FACES, "afraid-brow", "-o", "x.svg"), "did you mean afraid-brows"),
        (("plot", "face", FACES, "contempt", "-o", "x.gif"), ".png, .svg, .pdf"),
        (("plot", "va", FACES, "contempt", "-o", "nowhere/x.svg"), "its folder does not exist"),
        (
            ("plot", "face", PLANTS / "samples.jsonl", "leaf", "-k", PLANTS / "knowledge", "-o", "x.svg"),
            "leaf",
        ),
        (("explain", FACES, "nobody"), "no item is called 'nobody'"),
        (("explain", FACES, "contempt", "--html", "nowhere/x.html"), "its folder does not exist"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_record_alone_is_drawn_with_less(few, tmp_path):
    _, path, _ = few
    record = posterior_record(path, "afraid-brows")
    assert len(seke.plot.story(record).axes) == 1
    assert seke.plot.va(record).axes[0].texts
    assert len(seke.plot.face({"AU12": 0.9}).axes[0].patches) > 30
    assert seke.plot.face({"AU12": float("nan"), "AU6": None}).axes
    named, sure = seke.plot.face(["AU12"]).axes[0], seke.plot.face({"AU12": 1.0}).axes[0]
    paths = [[patch.get_path().vertices.tolist() for patch in drawn.patches] for drawn in (named, sure)]
    assert paths[0] == paths[1]
    for given_units, problem in (
        ({"AU99": 1}, "AU99: no such action unit; did you mean AU9?"),
        ({"expression": 0.5}, "expression: no such action unit; allowed are AU1"),
        ({"AU12": "much"}, "allowed are probabilities, as in"),
    ):
        with pytest.raises(engine.SekeError, match=re.escape(problem)):
            seke.plot.face(given_units)
    records = seke.infer(few[0])
    assert seke.plot.va(records, "agreement").axes[0].texts
    with pytest.raises(engine.SekeError, match="no item is called 'agreemen'; did you mean agreement"):
        seke.plot.va(records, "agreemen")
    with pytest.raises(engine.SekeError, match="met int; allowed are a run's folder, sample files"):
        seke.plot.va(3, "agreement")
    with pytest.raises(engine.SekeError, match="trace: met InferredRecords; allowed is the file that"):
        seke.plot.fit(records)
    assert dir(seke.plot) == sorted(seke.plot.__all__)
    assert not {"TYPE_CHECKING", "annotations"} & {*dir(seke)}
    done = run("plot", "course", path, "afraid-brows", "-o", tmp_path / "c.svg")
    assert done.exit_code == 2
    assert "there is face, posterior, va, units" in done.stderr
    assert "holds posteriors" in run("explain", path, "afraid-brows").stderr


def test_the_picture_of_an_item_is_not_written_over(annotated, tmp_path):
    shutil.copytree(ANNOTATE, tmp_path / "faces")
    shutil.copytree(annotated, tmp_path / "run")
    items = (annotated / "items.jsonl").read_text("utf-8")
    assert str(ANNOTATE) in items
    (tmp_path / "run" / "items.jsonl").write_text(items.replace(str(ANNOTATE), str(tmp_path / "faces")))
    picture = tmp_path / "faces/at-rest.png"
    for command in (
        ("explain", tmp_path / "run", "at-rest", "--html", tmp_path / "x.html", "--png", picture),
        ("plot", "units", tmp_path / "run", "at-rest", "-o", picture),
    ):
        done = run(*command)
        assert done.exit_code == 2
        assert "is the picture of 'at-rest'; write to another file" in done.stderr
    assert picture.read_bytes() == (ANNOTATE / "at-rest.png").read_bytes()
    assert not (tmp_path / "x.html").exists()


def test_explain_tells_words_facts_page_and_sheet_of_a_run(garden_run, tmp_path):
    html, png, base = tmp_path / "x.html", tmp_path / "x.png", GARDEN / "knowledge"
    files = ("--html", html, "--png", png)
    done = run("explain", garden_run, "rainy-morning", "-k", base, "--text", "--json", *files)
    assert done.exit_code == 0, done.output
    first, _, words = done.stdout.partition("\n")
    facts = json.loads(first)
    assert facts["item"] == "rainy-morning"
    assert facts["record"] == posterior_record(garden_run / "posteriors.jsonl", "rainy-morning")
    assert facts["steps"][-1]["p"] == pytest.approx(facts["posterior"], abs=2e-6)
    assert facts["numbers"]
    assert words.rstrip() == render(facts).rstrip()
    inferred, decided = head_sentences(facts)
    assert inferred.startswith("rainy-morning: the sky is most probably cloudy (")
    assert decided.startswith("The sky is accepted as cloudy: the risk that this is wrong, ")
    # On the page each is a paragraph of its own, however long it is.
    written = unescape(html.read_text())
    assert f'<p dir="auto">{inferred}</p>' in written
    assert f'<p dir="auto">{decided}</p>' in written
    assert png.read_bytes().startswith(b"\x89PNG")
    assert done.stderr.split() == [str(html), str(png)]


def test_a_page_shows_the_words_of_an_explanation(story, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs" / "howto" / "explain.md").read_text("utf-8")
    block = text.split("```text\n")[1].split("```")[0]
    printed = render(story.facts)
    for part in block.split("...\n"):
        assert part.strip("\n") in printed
    assert block.count("\n") > 30


# The page ---------------------------------------------------------------------------------------------------


def with_name(facts, usual, name):
    """The facts with another name, and a hostile text in every place where words of a base stand."""
    if isinstance(facts, dict):
        return {key: with_name(value, usual, name) for key, value in facts.items()}
    if isinstance(facts, list):
        return [with_name(value, usual, name) for value in facts]
    return name[:3000] if facts == usual or (isinstance(facts, str) and " " in facts) else facts


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_page_needs_nothing_else(story):
    text = page(story)
    tags = Tags(text).tags
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in tags
    }
    for _, attributes in tags:
        assert not {"src", "href", "style", "srcset", "xlink:href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    head = [attributes for _, attributes in tags]
    policies = [row["content"] for row in head if row.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = policies
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "url(" not in text
    assert "@import" not in text
    visible_text = re.sub(r"<[^>]+>", " ", text)
    for words in (
        "fear 0.97",
        "shipped/rules.yaml:",
        "What next",
        "Ask affect of gpt-4o",
        "AU1 AU2 AU4 AU5 AU20 AU25",
    ):
        assert words in visible_text, words


@pytest.fixture(scope="module")
def shipped_session():
    """A session of the shipped base."""
    return Session.open(seke.knowledge())


@pytest.fixture(scope="module")
def usual_tags(story):
    """The kinds of tags of a page about an item whose name is harmless."""
    return {tag for tag, _ in Tags(page(story)).tags}


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_item_does_nothing_to_the_page(name, story, usual_tags, shipped_session):
    name = name.encode("utf-8", "replace").decode("utf-8")
    sample = {"item": name, "observer": "gpt-4o", "question": "expression", "draw": 0, "expression": "fear"}
    sample |= {"view": name[:1000]}
    samples = single_samples([sample], shipped_session.knowledge)
    hostile = story_of_samples(shipped_session, samples, name, with_facts=False)
    # The words are the same functions' as those of the terminal; they repeat what the facts have of names.
    hostile = replace(hostile, facts=with_name(story.facts, "afraid-brows", name))
    text, drawn = page(hostile), sheet(hostile)
    assert len(text) < 200_000
    assert {tag for tag, _ in Tags(text).tags} <= usual_tags
    svg = drawn.svg()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\x00-\x08\x1b]", text + svg)
    ElementTree.fromstring(svg)
    assert drawn.figure().axes


def test_a_browser_opens_the_page_without_complaint_and_would_complain(story, chromium, tmp_path):
    """As it is on a light screen; on a dark one with a script, which is all that the console complains of."""
    from PIL import Image

    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    flags += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=2000",
        "--window-size=390,844",
        f"--screenshot={shot}",
    ]
    whole = page(story)
    spoilt = whole.replace("<main>", "<main><script>document.title = 1</script>")
    dark = "--blink-settings=preferredColorScheme=0"
    for text, more, palette in ((whole, [], COLOURS), (spoilt, [dark], DARK)):
        path.write_text(text, "utf-8")
        done = subprocess.run(
            [chromium, *flags, *more, path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        assert bool(complaints) == (text is spoilt)
        assert all("Content Security Policy" in line for line in complaints)
        with Image.open(shot) as picture:
            corner = picture.convert("RGB").getpixel((2, 2))
        assert corner == tuple(int(palette["paper"][i : i + 2], 16) for i in (1, 3, 5))


def test_units_and_course_take_plain_values():
    drawn = units([Unit("AU1", "AU1", 0.7, "accept"), Unit("AU2", "x" * 500, 0.2)])
    assert {"present"} <= set(texts(drawn.svg()))
    assert texts(course([{"a": 0.5, "b": 0.5}]).svg())
    many = course([{"a": 1.0 - k / 200, "b": k / 200} for k in range(100)], 0.9)
    assert "accepted above" in texts(many.svg())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_never_lie_on_one_another(weights):
    total = sum(weights) or 1.0
    p = {f"s{k}": weight / total for k, weight in enumerate(weights)}
    labels = sorted(mark.y for mark in course([p, p]).marks if isinstance(mark, Text) and " s" in mark.text)
    assert all(after - before >= 12.99 for before, after in itertools.pairwise(labels))


def test_the_page_of_a_run_has_the_picture_unless_it_is_redacted(annotated, tmp_path):
    story = story_of(annotated, "smile", with_facts=False)
    assert story.picture is not None
    assert story.picture.startswith(b"\xff\xd8")
    shown, redacted = page(story), page(story, redact_image=True)
    assert shown.count('src="data:image/jpeg;base64,') == 1
    assert "img-src data:" in shown
    assert "<img" not in redacted
    assert "img-src" not in redacted
    (tmp_path / "gone.jsonl").write_bytes((annotated / "items.jsonl").read_bytes())
    try:
        (annotated / "items.jsonl").unlink()
        assert story_of(annotated, "smile", with_facts=False).picture is None
    finally:
        (annotated / "items.jsonl").write_bytes((tmp_path / "gone.jsonl").read_bytes())


# On what it rests ------------------------------------------------------------------------------------------


def test_accepts_on_declared_numbers_are_marked_and_what_nobody_saw_is_inferred():
    rows = [
        Unit("AU1", "AU1", 0.9, "accept", "*"),
        Unit("AU2", "AU2", 0.1, "accept"),
        Unit("AU4", "AU4", 0.9, "inferred"),
        Unit("AU5", "AU5", 0.9, "requery"),
    ]
    words = texts(units(rows).svg())
    assert [word for word in ("present*", "absent", "inferred", "ask") if word in words] == [
        "present*",
        "absent",
        "inferred",
        "ask",
    ]
    assert LEGEND in words
    assert LEGEND not in texts(units(rows[1:]).svg())


@pytest.mark.parametrize(("item", "mark"), [("agreement", "*"), ("human-coder", "")])
def test_the_page_and_the_sheet_mark_an_item_by_what_it_rests_on(item, mark):
    story = story_of(FACES, item, with_facts=False)
    assert story.record["decision"]["item"] == "accept"
    assert f'<span class="badge accept">accept{mark}</span>' in page(story)
    assert (LEGEND in page(story)) == bool(mark)
    assert any(line.startswith(f"accept{mark}: ") for line in texts(sheet(story).svg()))


def test_the_picture_of_a_record_shows_its_inferred_units(few, tmp_path):
    record = json.loads(json.dumps(next(record for record in few[2] if record["item"] == "agreement")))
    record["decision"]["levels"]["AU6"] |= {"decision": "inferred", "origin": "inferred", "basis": None}
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(record) + "\n")
    done = run("plot", "units", path, "agreement", "-o", tmp_path / "u.svg")
    assert done.exit_code == 0, done.output
    words = texts((tmp_path / "u.svg").read_text("utf-8"))
    assert words[words.index("AU6") + 1 :][:3] == [
        "cheek raiser",
        f"{record['action_units']['AU6']:.2f}",
        "inferred",
    ]
