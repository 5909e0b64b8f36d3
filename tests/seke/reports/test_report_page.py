"""The page of a report in a real browser: what it shows by mouse, keys and address; nothing leaves it.

They want Chromium (of the system) and the package playwright, and are passed over without them.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from test_report import FACES, HOSTILE, LINES, PLANTS, ROOT

import seke
from seke.cli.main import main
from seke.graphics.shapes import DARK

if TYPE_CHECKING:
    from pathlib import Path

DECISIONS = ("accept", "requery", "reject")
# Of how many pages were opened.
LOADS = itertools.count()


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def files(tmp_path_factory, annotated, inferred_faces):
    """A report of the shipped items with gold and another prior, and one of a run with pictures."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(inferred_faces, folder / "p.jsonl")
    run("infer", FACES, "--population", "in-the-wild", "-o", folder / "wild.jsonl")
    items = list(dict.fromkeys(json.loads(line)["item"] for line in LINES))
    rows = [f"{item},{'fear' if k % 2 else 'happiness'},{k % 2}" for k, item in enumerate(items)]
    (folder / "gold.csv").write_text("item,expression,AU12\n" + "\n".join(rows) + "\n")
    # This gold is made up, and so independent of the set's labels.
    with pytest.warns(UserWarning, match="gold entered as evidence, too"):
        made = seke.report(
            folder / "p.jsonl",
            samples=FACES,
            gold=folder / "gold.csv",
            compare=folder / "wild.jsonl",
            keep_gold_evidence=True,
        )
    made.save(folder / "faces.html")
    shutil.copytree(annotated, folder / "run")
    seke.report(folder / "run").save(folder / "run.html")
    return folder


@pytest.fixture(scope="module")
def window(browser):
    """A window without a network; one for all, as each new one costs a process."""
    with browser.new_context(offline=True) as context:
        opened_page = context.new_page()
        opened_page.problems, opened_page.asked = [], []
        opened_page.on("console", lambda message: opened_page.problems.append(message.text))
        opened_page.on("pageerror", lambda error: opened_page.problems.append(str(error)))
        opened_page.on("dialog", lambda dialog: opened_page.problems.append(dialog.message))
        opened_page.on("request", lambda request: opened_page.asked.append(request.url))
        yield opened_page


@pytest.fixture
def page(window):
    """Load a page in the window anew; at the end nothing was complained of, or asked for."""
    window.problems.clear()
    window.asked.clear()

    def opened(path: Path, address: str = "", *, width=1280, height=900, scheme="light"):
        window.set_viewport_size({"width": width, "height": height})
        window.emulate_media(media="screen", color_scheme=scheme)
        # Without a question of its own another address would only move within the page.
        window.goto(f"{path.as_uri()}?{next(LOADS)}{address}")
        window.wait_for_selector("html[data-ready=yes]")
        return window

    yield opened
    assert window.problems == []
    assert [url for url in window.asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def faces_page(files, browser):
    """The report of the shipped items in a window that stays open; a test begins where it wants to be."""
    window = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    opened_page = window.new_page()
    problems = []
    opened_page.on("console", lambda message: problems.append(message.text))
    opened_page.on("pageerror", lambda error: problems.append(str(error)))
    opened_page.goto((files / "faces.html").as_uri())
    opened_page.wait_for_selector("html[data-ready=yes]")
    yield opened_page
    assert problems == []
    window.close()


def shown(page):
    """The names in the table, from the top."""
    return page.locator("tr.row a").all_inner_texts()


def test_all_sections_open_and_say_what_they_are_about(faces_page):
    report_page = faces_page
    for name, words in (
        (
            "Overview",
            ("What is accepted", "Coverage against risk", "Classes", "Are the stated probabilities"),
        ),
        ("Items", ("33 items",)),
        ("Knowledge", ("Rules", "shipped/rules.yaml", "Numbers that the data contradict", "The network")),
        ("Observers", ("GPT-4o", "Its answers, by the truth", "Action units", "Questions")),
        ("Compare", ("decisions differ", "Side by side", "not stated")),
    ):
        report_page.get_by_role("link", name=name, exact=True).click()
        section = report_page.locator(f"main > section[aria-label={name}]")
        section.wait_for()
        text = section.inner_text()
        assert all(word in text for word in words), text
        assert report_page.locator("nav a[aria-current]").inner_text() == name


def test_items_without_an_answer_are_in_a_row_of_their_own_and_the_tables_fit(files, faces_page):
    report_page = faces_page
    report_page.get_by_role("link", name="Overview", exact=True).click()
    records = [json.loads(line) for line in (files / "p.jsonl").read_text().splitlines()]
    silent = [
        record
        for record in records
        if record["diagnostics"]["samples"]
        == sum(record["diagnostics"][name] for name in ("refused", "unreadable", "not_judged"))
    ]
    rows = report_page.locator("table[aria-label=classes] tbody tr")
    counts = [row.locator("th, td").all_inner_texts() for row in rows.all()]
    assert len(silent) > 1
    assert (counts[-1][0], counts[-1][2]) == ("(no answer)", f"{len(silent)}")
    assert sum(int(cells[2]) for cells in counts) == len(records)
    for scrolled in report_page.locator("main .scroll").all():
        assert scrolled.evaluate("part => part.scrollWidth <= part.clientWidth")


def test_the_doubt_from_the_base_has_a_column_where_it_was_drawn(tmp_path, page):
    plants = FACES.parents[1] / "plants"
    base = plants / "knowledge" / "tomatoes.yaml"
    for name, options in (("plain", ()), ("drawn", ("--knowledge-uncertainty",))):
        run("infer", plants / "samples.jsonl", "-k", base, "-o", tmp_path / f"{name}.jsonl", *options)
        made = seke.report(tmp_path / f"{name}.jsonl", base)
        made.save(tmp_path / f"{name}.html")
        levels = page(tmp_path / f"{name}.html").locator("table[aria-label='what is accepted']")
        heads = levels.locator("th").all_inner_texts()
        assert ("doubt from the base" in heads) == (name == "drawn")
    at = heads.index("doubt from the base")
    for row, level in enumerate(made.facts["overview"]["levels"]):
        cells = levels.locator("tbody tr").nth(row).locator("th, td").all_inner_texts()
        assert cells[at] == f"{100 * level['of_knowledge']:.1f} %"


def test_the_table_sorts_filters_and_searches_and_the_address_keeps_it(files, page):
    report_page = page(files / "faces.html", "#section=items")
    records = [json.loads(line) for line in (files / "p.jsonl").read_text().splitlines()]
    report_page.get_by_role("button", name="conflict").click()
    order = sorted(records, key=lambda record: -record["diagnostics"]["conflict_bits"])
    assert shown(report_page)[:5] == [record["item"] for record in order][:5]
    assert report_page.locator("th[aria-sort=descending]").count() == 1
    report_page.get_by_label("reject").check()
    rejected = [record["item"] for record in order if record["decision"]["item"] == "reject"]
    report_page.wait_for_timeout(100)
    assert shown(report_page) == rejected
    report_page.get_by_label("any expression").select_option("fear")
    report_page.get_by_label("search items").fill("r")
    report_page.wait_for_timeout(300)
    address = report_page.evaluate("location.hash")
    for part in ("sort=-conflict", "decision=reject", "label=fear", "q=r"):
        assert part in address
    filtered = shown(report_page)
    again = page(files / "faces.html", address)
    assert shown(again) == filtered
    again.get_by_role("button", name="Clear").click()
    again.wait_for_timeout(200)
    assert "33 items" in again.locator("main > section:not([hidden])").inner_text()


def test_an_item_opens_by_mouse_key_and_address(files, page):
    report_page = page(files / "run.html", "#section=items")
    report_page.locator("tr.row", has_text="startled").click()
    panel = report_page.locator("article.panel")
    panel.wait_for()
    text = panel.inner_text()
    for words in (
        "accept",
        "surprise",
        "Valence and arousal",
        "Action units",
        "upper lid raiser",
        "What next",
    ):
        assert words in text
    assert "Answers, in their order" in text
    assert panel.locator("img").evaluate("image => image.naturalWidth") > 60
    answers = [
        json.loads(line)["item"] for line in (files / "run" / "samples.jsonl").read_text().splitlines()
    ]
    assert panel.locator("table.answers tbody tr").count() == answers.count("startled") > 1
    assert panel.locator("svg").count() >= 4
    report_page.keyboard.press("Escape")
    report_page.wait_for_timeout(200)
    assert panel.count() == 0
    report_page.locator(".list").focus()
    report_page.keyboard.press("ArrowDown")
    report_page.keyboard.press("ArrowDown")
    report_page.wait_for_timeout(300)
    assert "item=broad-smile" in report_page.evaluate("location.hash")
    report_page.go_back()
    other = page(files / "run.html", "#section=items&item=smile")
    assert "happiness" in other.locator("article.panel").inner_text()


def test_violated_rules_are_told_with_their_line(tmp_path, page):
    key = {"item": "a", "question": "action_units", "draw": 0, "action_units": ["AU24", "AU25"]}
    who = (("human", "face"), ("human", "other"), ("gpt-4o", "face"))
    lines = [json.dumps({**key, "observer": observer, "view": view}) for observer, view in who]
    (tmp_path / "s.jsonl").write_text("\n".join(lines) + "\n")
    run("infer", tmp_path / "s.jsonl", "-o", tmp_path / "p.jsonl")
    seke.report(tmp_path / "p.jsonl", samples=tmp_path / "s.jsonl").save(tmp_path / "r.html")
    report_page = page(tmp_path / "r.html", "#section=items&item=a")
    text = report_page.locator("article.panel").inner_text()
    (rule,) = (rule for rule in seke.knowledge().rules if rule.name == "pressed-lips-are-closed")
    assert rule.statement in text
    assert f"{rule.name} 0." in text
    assert f"shipped/rules.yaml:{rule.place.line}" in text


def test_an_item_says_what_contradicts_itself_and_what_a_check_changed(tmp_path, page):
    samples = FACES.parents[1] / "checks" / "samples.jsonl"
    run("infer", samples, "-o", tmp_path / "p.jsonl")
    seke.report(tmp_path / "p.jsonl", samples=samples).save(tmp_path / "r.html")
    at = "#section=items&item="
    words = page(tmp_path / "r.html", f"{at}rule-broken").locator("article.panel").inner_text()
    assert "It comes first, as it checks a contradiction (rule wrinkled-nose-is-unpleasant)." in words
    assert "rule wrinkled-nose-is-unpleasant: to be looked at again are valence, AU9" in words
    words = page(tmp_path / "r.html", f"{at}rule-checked").locator("article.panel").inner_text()
    assert "Questions about one thing alone, and what they changed" in words
    assert "rule wrinkled-nose-is-unpleasant: solved" in words


def test_declared_shares_are_told_to_the_last_digit(tmp_path, page):
    base, garden = tmp_path / "strict.yaml", ROOT / "examples" / "sprinkler"
    note = "source: judgement, note: a trial"
    base.write_text(
        f"extends: {garden / 'knowledge'}\npolicy: {{limits: {{sky: {{each: 0.025}}}}, {note}}}\n"
        f"rules: {{both-wet-it: {{confidence: 0.9625, {note}}}}}\n"
    )
    run("infer", garden / "samples.jsonl", "-k", base, "-o", tmp_path / "p.jsonl")
    made = seke.report(tmp_path / "p.jsonl", knowledge=base, samples=garden / "samples.jsonl")
    made.save(tmp_path / "r.html")
    report_page = page(tmp_path / "r.html")
    picture = report_page.locator("svg[aria-label='risk against coverage of sky']")
    assert "Limit of each risk: a value is accepted if its risk is 2.5 % or less." in report_page.inner_text(
        "main"
    )
    # What stands at the lines of the upright axis is where they are.
    ends = picture.locator("text[text-anchor=end]").all_text_contents()
    risks = [float(text.removesuffix(" %")) for text in ends if "accepted" not in text]
    assert len(risks) > 2
    assert risks == pytest.approx([risks[1] * k for k in range(len(risks))])
    report_page.get_by_role("link", name="Knowledge", exact=True).click()
    assert "96.25 %" in report_page.locator("main > section[aria-label=Knowledge]").inner_text()


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    """A report of items of which nothing more is asked, so that values are inferred, and their records."""
    folder = tmp_path_factory.mktemp("grounds")
    base, note = folder / "overlay.yaml", "source: judgement, note: a trial"
    base.write_text(f"extends: posed\npolicy: {{budget: 1, required: [expression], {note}}}\n")
    run("infer", FACES, "-k", base, "-o", folder / "p.jsonl")
    seke.report(folder / "p.jsonl", base).save(folder / "r.html")
    return folder / "r.html", [json.loads(line) for line in (folder / "p.jsonl").read_text().splitlines()]


def on(records, basis):
    """The items that are accepted on a basis; the expression is all that is required."""
    accepted = (record for record in records if record["decision"]["item"] == "accept")
    return [
        record["item"] for record in accepted if record["decision"]["levels"]["expression"]["basis"] == basis
    ]


def test_items_are_filtered_by_what_they_rest_on(grounds, page):
    path, records = grounds
    report_page = page(path)
    declared, overview = on(records, "declared"), report_page.locator("main > section[aria-label=Overview]")
    assert len(declared) > 1
    overview.get_by_role("link", name=f"{len(declared)} of them uncalibrated*").click()
    report_page.wait_for_selector("tr.row")
    assert shown(report_page) == declared
    assert set(report_page.locator("tr.row td.decision").all_inner_texts()) == {"accept*"}
    assert "* accepted on declared numbers" in report_page.locator("main").inner_text()
    choice = report_page.locator("select[data-name=basis]")
    for option, names in (
        ("accepted on: declared (people)", on(records, "declared (people)")),
        (
            "has values nobody looked at",
            [
                record["item"]
                for record in records
                if any(level["decision"] == "inferred" for level in record["decision"]["levels"].values())
            ],
        ),
        (
            "has values with too little evidence",
            [record["item"] for record in records if record["diagnostics"]["lacking_evidence"]],
        ),
        (
            "has an overruled label",
            [record["item"] for record in records if record["diagnostics"]["overruled"]],
        ),
    ):
        choice.select_option(option)
        report_page.wait_for_timeout(200)
        assert shown(report_page) == names != []
    choice.select_option("accepted on: declared (people)")
    report_page.wait_for_timeout(200)
    assert set(report_page.locator("tr.row td.decision").all_inner_texts()) == {"accept"}
    report_page.get_by_role("button", name="Clear").click()
    report_page.wait_for_timeout(200)
    assert "33 items" in report_page.locator("[role=status]").inner_text()


def test_an_item_says_who_looked_and_on_what_each_value_rests(grounds, page):
    path, records = grounds
    (record,) = (candidate for candidate in records if candidate["item"] == "afraid-brows")
    report_page = page(path, "#section=items&item=afraid-brows")
    panel = report_page.locator("article.panel")
    assert "accept* fear 0.97; rests on declared numbers" in " ".join(panel.inner_text().split())
    panel.locator("summary").click()
    rows = {}
    for line in panel.locator("table.grounds, table[aria-label^=grounds]").locator("tbody tr").all():
        name, decision, looked, basis, *_ = line.locator("th, td").all_inner_texts()
        rows[name] = (decision, looked, basis)
    levels = record["decision"]["levels"]
    assert rows.keys() == levels.keys()
    assert rows["arousal"] == ("inferred", "nobody looked", "")
    looked = {"seen": "somebody looked", "inferred": "nobody looked", "label": "a label says so"}
    for name, level in levels.items():
        mark = "*" if level["basis"] == "declared" else ""
        assert rows[name] == (level["decision"] + mark, looked[level["origin"]], level["basis"] or "")


def test_the_limit_of_a_mean_is_not_called_one_of_each(grounds, page):
    text = page(grounds[0]).locator("main").inner_text()
    assert "Limit of the mean risk: at most 5 % of the accepted values of a variable may be wrong" in text
    assert "The highest risk that was accepted is" in text


def test_a_page_of_old_records_says_that_it_does_not_know(grounds, tmp_path, page):
    for record in (old_records := json.loads(json.dumps(grounds[1]))):
        for level in record["decision"]["levels"].values():
            del level["origin"], level["basis"]
        for key in ("conflict", "lacking_evidence", "overruled"):
            del record["diagnostics"][key]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(record) + "\n" for record in old_records))
    seke.report(tmp_path / "p.jsonl").save(tmp_path / "r.html")
    old = page(tmp_path / "r.html", "#section=items&item=afraid-brows")
    assert "accept fear 0.97; its record does not say what it rests on" in " ".join(
        old.locator("article.panel").inner_text().split()
    )
    assert "*" not in old.locator("main").inner_text()


def test_a_number_of_the_comparison_leads_to_its_items(files, faces_page):
    before, after = (
        {r["item"]: r["decision"]["item"] for r in map(json.loads, (files / n).read_text().splitlines())}
        for n in ("p.jsonl", "wild.jsonl")
    )
    changed = Counter((before[name], after[name]) for name in before if before[name] != after[name])
    ((old, new), count) = changed.most_common(1)[0]
    report_page = faces_page
    report_page.get_by_role("link", name="Compare", exact=True).click()
    report_page.get_by_label(f"{count} items from {old} to {new}").click()
    report_page.wait_for_selector("tr.row")
    assert shown(report_page) == [name for name in before if (before[name], after[name]) == (old, new)]


def test_dark_phone_and_print(files, page):
    report_page = page(files / "run.html", "#section=items&item=smile", scheme="dark")
    paper = report_page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == f"rgb({', '.join(str(int(DARK['paper'][i : i + 2], 16)) for i in (1, 3, 5))})"
    small = page(files / "run.html", "#section=items&item=smile", width=390, height=844)
    for name in ("Overview", "Items", "Knowledge", "Observers"):
        small.get_by_role("link", name=name, exact=True).click()
        small.wait_for_timeout(100)
        assert small.evaluate("document.documentElement.scrollWidth") <= 390
    # On paper the list is whole, wherever one was on the page, and it counts samples as the records do.
    printed = page(files / "faces.html")
    data = printed.pdf()
    assert data.startswith(b"%PDF")
    assert data.count(b"/Type /Page\n") >= 4 or data.count(b"/Type /Page") >= 5
    printed.emulate_media(media="print")
    printed.evaluate("dispatchEvent(new Event('beforeprint'))")
    cells = "rows => rows.map((row) => [1, 6].map((at) => row.children[at].textContent))"
    on_paper = dict(printed.eval_on_selector_all("tr.row", cells))
    assert on_paper == {
        r["item"]: f"{r['diagnostics']['samples']}" + (f" ({in_vain} ✕)" if in_vain else "")
        for r in map(json.loads, (files / "p.jsonl").read_text("utf-8").splitlines())
        for in_vain in [sum(r["diagnostics"][name] for name in ("refused", "unreadable", "not_judged"))]
    }
    cut = "links => links.some((link) => link.offsetWidth > link.parentElement.clientWidth)"
    assert not printed.eval_on_selector_all("tr.row td:nth-child(2) a", cut)


def test_text_of_anybodys_is_text(tmp_path, page):
    samples, base = tmp_path / "samples.jsonl", PLANTS / "knowledge"
    names = [name for name in HOSTILE if len(name) < 1000]
    first = json.loads((PLANTS / "samples.jsonl").read_text("utf-8").splitlines()[0])
    answers = [{**first, "item": name, "view": name} for name in names]
    samples.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    run("infer", samples, "-k", base, "-o", tmp_path / "p.jsonl")
    seke.report(tmp_path / "p.jsonl", base, samples=samples).save(tmp_path / "r.html")
    report_page = page(tmp_path / "r.html", "#section=items")
    assert report_page.locator("tr.row").count() == len(names)
    for row in range(len(names)):
        report_page.locator("tr.row").nth(row).click()
        report_page.wait_for_timeout(150)
        assert report_page.locator("article.panel").count() == 1
    assert report_page.locator("main img[src^='//']").count() == 0
    assert report_page.locator("script:not([type]):not([id])").count() == 1


def test_the_browser_finds_what_is_wrong_with_a_page(files, page, tmp_path):
    """The checks above can fail: a strange script is refused by the policy, and the console says so."""
    html = (files / "run.html").read_text("utf-8")
    bad = tmp_path / "bad.html"
    bad.write_text(html.replace("<main", "<script>document.title = 'taken'</script><main", 1), "utf-8")
    report_page = page(bad)
    assert any("Content Security Policy" in problem for problem in report_page.problems)
    assert report_page.title() != "taken"
    report_page.problems.clear()
