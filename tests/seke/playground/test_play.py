"""The page that tries a base out, in a real browser: its numbers are the engine's; it follows the files.

They want Chromium (of the system) and the package playwright, and are passed over without them.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import seke
from engine import Inference, SekeError
from engine.analysis.adjoint import slopes
from engine.analysis.declared_values import declared_values
from engine.inference.known_values import allowed_evidence
from seke.cli.main import main
from seke.files.networks import network_of
from seke.graphics.shapes import DARK
from seke.playground.network_facts import network_facts
from seke.sampling.infer import batches

EXAMPLES = Path(__file__).parents[3] / "examples"
OTHERS = [EXAMPLES / "sprinkler" / "knowledge", EXAMPLES / "plants" / "knowledge"]
PROGRAM = "from seke.cli.main import main; main()"
EXPECTATION = """\
expectations:
  watered:
    given: "sprinkler & !rain"
    expect: {wet_grass: "> 0.8"}
    statement: A sprinkler alone wets the grass.
    source: judgement
    note: made up
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of the shipped base, made by the command."""
    path = tmp_path_factory.mktemp("play") / "play.html"
    result = CliRunner().invoke(main, ["knowledge", "play", "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert path.stat().st_size < 1_500_000
    return path


class Window:
    """A tab without a network that opens one page after another; none complains, or asks for others."""

    def __init__(self, browser):
        self.context = browser.new_context(offline=True)
        self.page, self.allowed = self.context.new_page(), ()
        self.page.problems, self.page.asked = [], []
        self.page.on("console", lambda message: self.page.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.page.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.page.problems.append(dialog.message))
        self.page.on("request", lambda request: self.page.asked.append(request.url))

    def open(self, address, allowed=("file:",), *, offline=True, width=1280, height=900, scheme="light"):
        self.check()
        self.allowed = allowed
        self.context.set_offline(offline)
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(media="screen", color_scheme=scheme)
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready=yes][data-explained=yes]")
        return self.page

    def check(self):
        assert self.page.problems == []
        assert [url for url in self.page.asked if not url.startswith(self.allowed)] == []
        self.page.asked.clear()


@pytest.fixture(scope="module")
def opened(browser):
    """Open pages in a window, each in place of the last."""
    window = Window(browser)
    yield window.open
    window.check()
    window.context.close()


@pytest.fixture(scope="module")
def shipped(path, browser):
    window = Window(browser)
    yield window.open(path.as_uri())
    window.check()
    window.context.close()


def said(page):
    page.wait_for_selector("html[data-explained=yes]")
    return page.inner_text("#sentence").replace("\xa0", " ")


def random_likelihoods(network, rng, count):
    """Soft and hard evidence about some variables: variable -> (count, states)."""
    allowed = {}
    for name, states in network.states.items():
        table = rng.random((count, len(states)))
        table[rng.random(table.shape) < 0.2] = 0
        table[np.arange(count), rng.integers(len(states), size=count)] = 1
        table[rng.random(count) < 0.5] = 1
        allowed[name] = table
    return allowed


POSTERIORS = """([population, rows]) => rows.map((logs) => {
  for (const name in logs) logs[name] = logs[name].map((log) => log ?? -Infinity);
  const found = posterior(tree, population, [{logWeight: 0, logs}]);
  return found && {marginals: found.marginals, logZ: found.logZ,
    violated: found.rules.map((rule) => rule.violated)};
})"""


SLOPES = """([logs, target]) => {
  fit ??= featuresOf(tree, facts.knowledge);
  return slopesOf(tree, facts.knowledge, fit, rootOf(tree, state.population, [{logWeight: 0, logs}]), target);
}"""


def logs_of(allowed, item):
    """Log-likelihoods as JSON, None where they are minus infinity."""
    with np.errstate(divide="ignore"):
        rows = {name: np.log(table[item]).tolist() for name, table in allowed.items()}
    return {name: [None if log == -np.inf else log for log in row] for name, row in rows.items()}


@pytest.mark.parametrize("place", [None, *OTHERS], ids=["shipped", "sprinkler", "plants"])
def test_posteriors_and_derivatives_are_the_engine_s(place, shipped, opened, tmp_path):
    base, rng, count = seke.knowledge(place), np.random.default_rng(3), 12
    network, page = network_of(base), shipped
    if place is not None:
        seke.play(place, tmp_path / "other.html")
        page = opened((tmp_path / "other.html").as_uri())
    allowed = random_likelihoods(network, rng, count)
    names = [rule.name for rule in network.rules]
    for population in base.populations:
        inference = Inference(network, base, population)
        wanted = inference.given(allowed_evidence(inference, allowed))
        got = page.evaluate(POSTERIORS, [population, [logs_of(allowed, item) for item in range(count)]])
        possible = np.flatnonzero([result is not None for result in got])
        assert len(possible) > count / 2
        for item in possible:
            for name, p in wanted.marginals.items():
                np.testing.assert_allclose(got[item]["marginals"][name], p[item], rtol=0, atol=1e-9)
            violated = np.array(got[item]["violated"])[[names.index(name) for name in wanted.rules]]
            np.testing.assert_allclose(violated, wanted.violations[item], rtol=0, atol=1e-9)
            assert got[item]["logZ"] == pytest.approx(wanted.log_evidence[item], abs=1e-9)
    # The engine's derivatives want evidence that leaves every root state possible.
    allowed = {name: np.maximum(table[:2], 0.01) for name, table in allowed.items()}
    inference = Inference(network, base)
    for item in range(2):
        of_item = {name: table[item : item + 1] for name, table in allowed.items()}
        evidence = allowed_evidence(inference, of_item)
        p = inference.marginals(evidence)[base.root][0]
        target = int(p.argmax())
        contrast = np.where(np.arange(len(p)) == target, 1, -p / max(1 - p[target], 1e-12))
        wanted = slopes(inference, evidence, contrast[None])
        got = page.evaluate(SLOPES, [logs_of(allowed, item), target])
        for number in declared_values(base):
            of_kind = got[{"cell": "cells", "coupling": "couplings", "rule": "rules"}[number.kind]]
            slope = of_kind[number.key[0]]
            slope = slope[number.key[1]] if number.kind == "cell" else slope
            assert slope == pytest.approx(wanted.declared[0, number.column], abs=1e-8), number.path
        for name, change in wanted.without.items():
            assert got["without"][name] == pytest.approx(change[0], abs=1e-8)


def random_samples(base, rng):
    """One reading of each observer and question, with one to ten equal answers: item -> (state, samples)."""
    made = {}
    for observer in base.observers.values():
        for question in base.questions.values():
            names = [name for name in question.variables if name in observer.instruments]
            if question.about_one or not names:
                continue
            item = f"{observer.name}/{question.name}"
            times = int(rng.choice([1, 2, 5, 10]))
            reports, state = {}, {"units": {}, "ranges": {}, "root": "", "target": ""}
            for name in names:
                variable = base.variables[name]
                if rng.random() < 0.3:
                    continue
                if variable.kind == "binary":
                    reports[name] = state["units"][name] = bool(rng.random() < 0.4)
                elif variable.kind == "interval":
                    reports[name] = round(float(rng.uniform(-1, 1)), 2)
                    state["ranges"][name] = [reports[name]] * 2
                else:
                    answers = observer.labels[name].answers
                    reports[name] = state["root"] = str(
                        rng.choice([a for a in answers if a in variable.states])
                    )
            if not reports:
                continue
            state |= {
                "by": observer.name,
                "question": question.name,
                "times": times,
                "population": base.reference,
            }
            record = {"item": item, "observer": observer.name, "question": question.name, "reports": reports}
            made[item] = state, [record | {"draw": draw} for draw in range(times)]
    return made


def test_answers_of_an_observer_weigh_as_in_the_engine(shipped):
    """Labels that scatter, numbers, and answers that may follow their label (halo)."""
    base, rng = seke.knowledge(), np.random.default_rng(5)
    inference, page = Inference(network_of(base), base), shipped
    followed = 0
    for _ in range(2):
        made = random_samples(base, rng)
        assert {item.partition("/")[0] for item in made} > {"gpt-4o", "human", "openface", "facereader"}
        samples = [sample for _, rows in made.values() for sample in rows]
        (answers,) = batches(samples, base)
        wanted = inference.posterior(answers)
        followed += int((wanted.followed > 0.01).sum())
        got = page.evaluate(
            "(states) => states.map((s) => posterior(tree, s.population, rowsOf(s, known(s))).marginals)",
            [made[item][0] for item in answers.items],
        )
        for number, marginals in enumerate(got):
            for name, p in wanted.marginals.items():
                np.testing.assert_allclose(
                    marginals[name], p[number], rtol=0, atol=1e-9, err_msg=answers.items[number]
                )
    assert followed


def test_an_observer_has_its_own_answers(opened, tmp_path):
    """A base of one variable, whose passers-by may say that they are unsure, which others cannot."""
    base = seke.knowledge(EXAMPLES / "crowd" / "knowledge")
    seke.play(base, tmp_path / "birds.html")
    page = opened((tmp_path / "birds.html").as_uri() + "#by=passers-by&is=unsure")
    question = next(name for name, asked in base.questions.items() if base.root in asked.variables)
    reports = {base.root: "unsure"}
    record = {"item": "a", "observer": "passers-by", "question": question, "draw": 0, "reports": reports}
    (answers,) = batches([record], base)
    wanted = Inference(network_of(base), base).posterior(answers).marginals[base.root][0]
    got = page.evaluate("posterior(tree, state.population, rowsOf(state, known(state))).p")
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)
    assert "unsure" in page.inner_text("#weights")
    page.select_option("#by", "ann")
    assert page.evaluate("known(state)") == {}
    assert said(page).startswith("Nothing is known yet")


def test_it_is_played_by_keyboard_and_kept_in_its_address(shipped):
    page, begin = shipped, shipped.url.partition("#")[0]
    assert said(page).startswith("Nothing is known yet")
    face = page.inner_html("#face")
    radio = page.locator("#field-AU12 input").first
    radio.focus()
    page.keyboard.press("ArrowRight")
    page.locator("#field-AU6 input").first.focus()
    page.keyboard.press("ArrowRight")
    assert "happiness" in said(page)
    inference = Inference(network_of(seke.knowledge()), seke.knowledge())
    seen = {"AU12": np.array([[0.0, 1]]), "AU6": np.array([[0.0, 1]])}
    p = inference.marginals(allowed_evidence(inference, seen))["expression"][0].max()
    assert f"happiness {100 * p:.0f} %" in said(page)
    assert page.inner_html("#face") != face
    weights = page.inner_text("#weights")
    assert "AU12 lip corner puller seen" in weights
    assert "shipped/activations.yaml:52:17" in weights
    assert "A smile looks pleasant" in page.inner_text("#rules")
    assert "AU6 with AU12: odds ratio" in page.inner_text("#carry")
    page.get_by_role("button", name="contempt").press("Enter")
    assert page.inner_text("#weights-title") == "What speaks for contempt"
    page.wait_for_timeout(300)
    assert page.url.endswith("#AU12=1&AU6=1&about=contempt")
    # The same address brings the same state back; of a hostile one what can be read.
    address, sentence = page.url, said(page)
    page.goto(f"{begin}#AU12=7&__proto__=1&valence=NaN~2&is=nobody&by=nobody&AU4=1")
    page.locator("#weights-title", has_text="contempt").wait_for(state="detached")
    assert page.evaluate("known(state)") == {"AU4": True}
    page.goto(address)
    page.locator("#weights-title", has_text="contempt").wait_for()
    assert said(page) == sentence
    page.click("#reset")
    assert said(page).startswith("Nothing is known yet")
    # What cannot be together is said, and taken back.
    page.evaluate("change({root: 'fear', ranges: {valence: [-0.9, -0.9]}})")
    assert "valence −0.8" in said(page)
    page.evaluate("state = stateAt('AU12=1'); show()")
    page.select_option("#by", "gpt-4o")
    assert page.evaluate("state.question") == "joint"
    assert page.input_value("#times") == "1"
    before_more = said(page)
    page.select_option("#times", "10")
    assert said(page) != before_more
    page.select_option("#question", "expression")
    assert page.locator("#field-AU12 input").first.is_disabled()
    assert said(page).startswith("Nothing is known yet")


def test_examples_are_judged_as_the_test_of_the_base_judges_them(shipped):
    page, expectations = shipped, seke.knowledge_expectations().facts["expectations"]
    rows = page.locator("#examples tbody tr")
    assert rows.count() == len(expectations)
    verdicts = page.locator("#examples .badge").all_inner_texts()
    assert verdicts == ["holds" if entry["holds"] else "fails" for entry in expectations]
    for entry, text in zip(expectations, rows.all_inner_texts(), strict=True):
        state, p = max(entry["root"].items(), key=lambda pair: pair[1])
        assert f"{state} {100 * p:.0f} %" in text.replace("\xa0", " ")
    page.select_option("#example", label="typical fear")
    assert "fear" in said(page)
    rows.nth(3).get_by_role("button").click()
    assert page.evaluate("Object.entries(state.units).filter(([, seen]) => seen).map(([name]) => name)") == [
        "AU1",
        "AU4",
        "AU15",
    ]


def test_a_phone_the_dark_and_paper(path, opened):
    phone = opened(f"{path.as_uri()}#AU12=1&valence=-0.2~1", width=390, height=844, scheme="dark")
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert "happiness" in phone.inner_text("#strip")
    colour = DARK["paper"].removeprefix("#")
    wanted = tuple(int(colour[at : at + 2], 16) for at in (0, 2, 4))
    background = "getComputedStyle(document.body).backgroundColor"
    assert phone.evaluate(background) == f"rgb{wanted}"
    phone.emulate_media(media="print", color_scheme="dark")
    assert phone.evaluate(background) == "rgb(255, 255, 255)"


@pytest.fixture
def garden(tmp_path):
    """A copy of the small base with an expectation, and its file of rules and cells."""
    shutil.copytree(OTHERS[0], tmp_path / "garden")
    (tmp_path / "garden" / "tests").mkdir()
    (tmp_path / "garden" / "tests" / "watered.yaml").write_text(EXPECTATION)
    return tmp_path / "garden" / "garden.yaml"


def test_texts_of_a_base_are_only_texts(garden, opened):
    hostile = "</script><img src=x onerror=alert(1)><b>bold</b>"
    garden.write_text(garden.read_text().replace("Both wet the grass.", f'"{hostile}"'))
    seke.play(garden.parent, garden.parent / "page.html")
    page = opened((garden.parent / "page.html").as_uri() + "#sprinkler=1&rain=1")
    assert hostile in page.inner_text("#rules")
    assert page.locator("img").count() == 0
    # A base without faces has nothing to say about them.
    assert "face" not in page.inner_text("body")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the page to write with -o FILE.html, or --serve it"),
        (["--serve", "-o", "page.html"], "name the page to write"),
        (["-o", "page.html", "--port", "80"], "--port goes with --serve"),
        (["-o", "page.pdf"], "page.pdf: the ending says the format: .html"),
        (["nowhere", "-o", "page.html"], "nowhere"),
    ],
)
def test_wrong_usage_writes_nothing(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["knowledge", "play", *arguments])
    assert result.exit_code == 2
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_base_that_is_too_wide_is_refused():
    base = seke.knowledge()
    with pytest.raises(SekeError, match=r"cells in its tables; a page can sum over 10\."):
        network_facts(network_of(base), base, most_cells=10)


def status_of(address, **headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_served_page_follows_the_files_until_ctrl_c(garden, opened):
    text = garden.read_text()
    command = [sys.executable, "-c", PROGRAM, "knowledge", "play", str(garden.parent), "--serve"]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = serving.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        page = opened(f"{address}#wet_grass=1&rain=0", allowed=(address,), offline=False)
        before_edit = page.inner_text("#weights")
        rule = 'sprinkler-wets-it: {if: "sprinkler & !rain", then: wet_grass, confidence: '
        garden.write_text(text.replace(f"{rule}0.9", f"{rule}0.6"))
        page.locator("#changes", has_text="0.9 -> 0.6").wait_for(timeout=20_000)
        changes = page.inner_text("#changes")
        assert "rules.sprinkler-wets-it.confidence" in changes
        assert "garden.yaml:33:" in changes
        assert "holds → fails" in changes
        assert page.inner_text("#examples .badge") == "fails"
        assert page.inner_text("#weights") != before_edit
        assert page.url.endswith("#wet_grass=1&rain=0")
        # A fault is shown with its place; the page goes on with the last good base.
        garden.write_text(text.replace(f"{rule}0.9", f"{rule}1.9"))
        page.wait_for_selector("#notice.fault")
        assert "garden.yaml:33:77: rules.sprinkler-wets-it.confidence" in page.inner_text("#notice")
        page.click("#reset")
        assert said(page).startswith("Nothing is known yet")
        garden.write_text(text)
        page.wait_for_selector("#notice:not(.fault)", state="attached")
        page.locator("#changes", has_text="0.6 -> 0.9").wait_for()
        # Only this page, at this host, with its secret.
        assert [status_of(address), status_of(address + "other")] == [200, 404]
        assert status_of(address, Host="elsewhere.example") == 403
        assert status_of(address.rsplit("/", 2)[0] + "/") == 403
        page.goto("about:blank")
    finally:
        serving.send_signal(signal.SIGINT)
        _, messages = serving.communicate(timeout=20)
    assert serving.returncode == 0, messages
    assert "compiled in" in messages
    assert "the page keeps the base as it was" in messages
