"""The examples run, and what their READMEs say is so.

Each README holds tables of items: its name, a sentence, a number, a decision. The tests read them.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import seke
from seke.cli.main import main

EXAMPLES = Path(__file__).parent.parent / "examples"
FACES = EXAMPLES / "faces" / "samples.jsonl"
RUNS = {
    "faces": (FACES, None),
    "sprinkler": (EXAMPLES / "sprinkler" / "samples.jsonl", EXAMPLES / "sprinkler" / "knowledge"),
    "checks": (EXAMPLES / "checks" / "samples.jsonl", None),
    "crowd": (EXAMPLES / "crowd" / "samples.csv", EXAMPLES / "crowd" / "knowledge"),
    "plants": (EXAMPLES / "plants" / "samples.jsonl", EXAMPLES / "plants" / "knowledge"),
}
OVERLAYS = ("one-cell", "one-rule", "compound", "seven-classes")
ROUNDING = 0.0101


@pytest.fixture(scope="module")
def records_of(tmp_path_factory):
    """Posterior records by item: examples are run from Python, overlays from the command line.

    Of the faces overlays are run on those that their README and the tests look at.
    """
    kept = {}
    looked_at = {look_at.replace("`", "").split(": ")[0] for look_at, *_ in readme_overlay_rows().values()}
    few = tmp_path_factory.mktemp("overlays") / "few.jsonl"
    lines = FACES.read_text("utf-8").splitlines(keepends=True)
    few.write_text(
        "".join(line for line in lines if json.loads(line)["item"] in {*looked_at, "agreement", "verified"})
    )

    def records(name):
        if name not in kept:
            overlay = EXAMPLES / "overlay" / f"{name}.yaml"
            run = seke.infer(*RUNS[name]) if name in RUNS else printed(few, overlay)
            kept[name] = {record["item"]: record for record in run}
        return kept[name]

    return records


def printed(samples, knowledge):
    """The records that the command line prints; it must not warn."""
    options = ["-k", str(knowledge)] if knowledge else []
    result = CliRunner().invoke(main, ["infer", str(samples), *options])
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(folder, columns):
    """The cells of all table rows of a README whose first cell is in backticks."""
    text = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    assert cells
    assert {len(row) for row in cells} == {columns}
    return [[cell.strip() for cell in row] for row in cells]


def row_of(record):
    """The last two cells of an item's row, as they should stand in the README."""
    decision = record["decision"]
    decided = decision["item"]
    if decided == "reject":
        decided += f": {decision['reasons'][0]}"
    if "rain" in record.get("posteriors", {}):
        return [f"{record['posteriors']['rain']:.2f}", decided]
    posteriors = record.get("posteriors", record)
    p = next(posteriors[name] for name in ("expression", "species", "disease") if name in posteriors)
    best = max(p, key=p.__getitem__)
    return [f"{best} {p[best]:.2f}", decided]


def same(readme, computed):
    """Equal but for the rounding of the number at the end."""
    word, number = readme[0].rpartition(" ")[::2]
    true_word, true_number = computed[0].rpartition(" ")[::2]
    near = abs(float(number) - float(true_number)) < ROUNDING
    return word == true_word and near and readme[1] == computed[1]


@pytest.mark.parametrize("name", RUNS)
def test_readme_says_what_is_decided(name, records_of):
    records = records_of(name)
    readme_rows = {row[0].strip("`"): row[2:] for row in rows(name, 4)}
    assert list(readme_rows) == list(records)
    true = {item: row_of(record) for item, record in records.items()}
    wrong = [
        f"{i}: README {readme_rows[i]}, seke {true[i]}"
        for i in readme_rows
        if not same(readme_rows[i], true[i])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", RUNS)
def test_command_line_gives_the_same_records(name, records_of):
    assert printed(*RUNS[name]) == list(records_of(name).values())


def test_shipped_json_lines_hold_no_blank_lines():
    """Tools that read JSON Lines refuse them."""
    root = EXAMPLES.parent
    files = [
        path for folder in ("examples", "knowledge", "seke") for path in (root / folder).rglob("*.jsonl")
    ]
    assert len(files) >= 6
    blank = [path.name for path in files if not all(map(str.strip, path.read_text("utf-8").splitlines()))]
    assert blank == []


def test_faces_are_said_to_be_made_by_hand():
    text = (EXAMPLES / "faces" / "README.md").read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    assert first.startswith("These samples were made by hand")
    assert "no real face" in first


def test_faces_show_every_decision_and_reason(records_of):
    decisions = [record["decision"] for record in records_of("faces").values()]
    assert len(decisions) >= 24
    assert {decision["item"] for decision in decisions} == {"accept", "requery", "reject"}
    reasons = {
        decision["reasons"][0].partition(":")[0] for decision in decisions if decision["item"] == "reject"
    }
    assert reasons == {"refused", "unreadable", "conflict", "budget", "unresolvable"}


def test_samples_are_short_lines_with_every_observer_and_question():
    lines = [line for line in FACES.read_text().splitlines() if line]
    assert max(map(len, lines)) < 260
    samples = [json.loads(line) for line in lines]
    base = seke.knowledge()
    # Tools of others, which follow only, have their own example.
    usual = {name for name, observer in base.observers.items() if not observer.follows_only}
    assert {sample["observer"] for sample in samples} == usual
    checks = [json.loads(line) for line in RUNS["checks"][0].read_text().splitlines()]
    asked = {sample["question"] for sample in samples}
    assert asked == {name for name, question in base.questions.items() if not question.check}
    assert asked | {sample["question"] for sample in checks} == set(base.questions)


def test_fifty_equal_answers_saturate(records_of):
    """They give no more than an answer that is certain of what the model sees: C[x, y] P(x) / Σ."""
    once = records_of("faces")["same-answer-once"]["expression"]["happiness"]
    fifty = records_of("faces")["same-answer-fifty-times"]["expression"]["happiness"]
    label = seke.knowledge().observers["gpt-4o"].labels["expression"]
    (kind,) = label.types
    column = [row[label.answers.index("happiness")] for row in label.confusion]
    least = [min(cells) for cells in zip(*label.confusion, strict=True)]
    habit = least[label.answers.index("happiness")] / sum(least)
    seen = [p - (1 - kind.repeat) * habit for p in column]
    state = list(seke.knowledge().variables["expression"].states).index("happiness")
    assert once < fifty <= seen[state] / sum(seen) + 1e-6
    assert fifty < 0.6


def test_units_asked_alone_outweigh_those_that_follow_the_label(records_of):
    record = records_of("faces")["stereotype-against-units"]
    assert record["expression"]["disgust"] > 3 * record["expression"]["happiness"]
    assert record["action_units"]["AU9"] > 0.5 > record["action_units"]["AU12"]


def test_refusals_and_extra_say_nothing(records_of):
    faces = records_of("faces")
    assert faces["all-refused"]["diagnostics"]["refused"] == 3
    assert faces["unreadable"]["diagnostics"]["unreadable"] == 2
    for item in ("all-refused", "unreadable"):
        assert set(faces[item]["expression"].values()) == {0.125}
    assert faces["some-refused"]["expression"] == pytest.approx(faces["one-answer"]["expression"], abs=1e-6)
    samples = [json.loads(line) for line in FACES.read_text().splitlines() if "with-extra" in line]
    (plain,) = seke.infer([{k: v for k, v in samples[0].items() if k != "extra"}])
    assert plain["expression"] == pytest.approx(faces["with-extra"]["expression"], abs=1e-6)


def test_a_stretched_mouth_is_no_closed_jaw(records_of):
    stretched, closed = records_of("faces")["mouth-stretch"], records_of("faces")["jaw-closed"]
    assert stretched["action_units"]["AU26"] > 0.5 > closed["action_units"]["AU26"]


def test_labels_of_a_set_are_looked_at_before_they_are_accepted(records_of):
    faces = records_of("faces")
    alone = faces["set-label-alone"]["decision"]
    assert alone["levels"]["expression"]["origin"] == "label"
    assert alone["item"] == "requery"
    assert alone["levels"]["expression"]["decision"] == "requery"
    seen = faces["set-label-completed"]["decision"]["levels"]["expression"]
    assert (seen["decision"], seen["origin"]) == ("accept", "seen")


def test_labels_that_are_kept_are_said_to_disagree_with_what_was_seen(records_of):
    looked = records_of("faces")["set-label-doubted"]
    samples = map(json.loads, FACES.read_text("utf-8").splitlines())
    about_it = [sample for sample in samples if sample["item"] == "set-label-doubted"]
    (kept,) = seke.infer(about_it, labels_final=True)
    values = [record["decision"]["levels"]["expression"]["value"] for record in (looked, kept)]
    assert values == ["happiness", "anger"]
    assert looked["diagnostics"]["overruled"] == kept["diagnostics"]["overruled"] == ["expression"]


def readme_overlay_rows():
    return {row[0].strip("`").removesuffix(".yaml"): row[2:] for row in rows("overlay", 5)}


def number_in_readme(record, quantity):
    """The number that the overlays' README speaks of: `mean valence` or P(an expression)."""
    if quantity == "mean valence":
        return record["valence"]["mean"]
    return record["expression"].get(re.fullmatch(r"P\((\w+)\)", quantity)[1], 0.0)


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_moves_the_posterior_as_its_readme_says(name, records_of):
    look_at, before, after = readme_overlay_rows()[name]
    item, quantity = look_at.replace("`", "").split(": ")
    numbers = [number_in_readme(records_of(run)[item], quantity) for run in ("faces", name)]
    assert numbers == pytest.approx([float(before), float(after)], abs=ROUNDING)
    assert (numbers[1] - numbers[0]) * (float(after) - float(before)) > 0


def test_every_overlay_is_small_and_says_how_to_try_it():
    files = sorted((EXAMPLES / "overlay").glob("*.yaml"))
    assert {file.stem for file in files} == set(OVERLAYS) == set(readme_overlay_rows())
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ")
        assert lines[1] == f"# Try: seke infer examples/faces/samples.jsonl -k examples/overlay/{file.name}"
        assert len(lines) <= 30


def test_the_rule_makes_valence_surer(records_of):
    risks = [
        records_of(run)["verified"]["decision"]["levels"]["valence"]["risk"] for run in ("faces", "one-rule")
    ]
    assert risks == pytest.approx([0.071, 0.050], abs=0.001)


def test_compound_and_seven_classes_change_the_states(records_of):
    eight = set(records_of("faces")["agreement"]["expression"])
    assert set(records_of("compound")["agreement"]["expression"]) == eight | {"fearfully_surprised"}
    for record in records_of("seven-classes").values():
        assert set(record["expression"]) == eight - {"contempt"}
        assert sum(record["expression"].values()) == pytest.approx(1, abs=1e-5)


def textbook(likelihood):
    """P(rain, sprinkler, wet grass) by summing the textbook's network; `likelihood(sprinkler, wet)`."""
    total, sums = 0.0, [0.0, 0.0, 0.0]
    for clear, sprinkler, rain, wet in itertools.product((0, 1), repeat=4):
        p_sprinkler, p_rain = (0.5, 0.2) if clear else (0.1, 0.8)
        p_wet = {0: 0.01, 1: 0.9, 2: 0.99}[sprinkler + rain]
        p = 0.5 * likelihood(sprinkler, wet)
        for happens, rate in ((sprinkler, p_sprinkler), (rain, p_rain), (wet, p_wet)):
            p *= rate if happens else 1 - rate
        total += p
        sums = [s + p * happens for s, happens in zip(sums, (rain, sprinkler, wet), strict=True)]
    return [s / total for s in sums]


SENSOR = {1: 0.95, 0: 0.05}
NEIGHBOUR = {1: 0.8, 0: 0.05}
SEEN = {
    "nobody-home": lambda sprinkler, wet: 1,
    "wet": lambda sprinkler, wet: SENSOR[wet],
    "dry": lambda sprinkler, wet: 1 - SENSOR[wet],
    "sprinkler": lambda sprinkler, wet: NEIGHBOUR[sprinkler],
    "wet-and-sprinkler": lambda sprinkler, wet: SENSOR[wet] * NEIGHBOUR[sprinkler],
}


@pytest.mark.parametrize("item", SEEN)
def test_sprinkler_is_the_network_of_the_textbook(item, records_of):
    p = records_of("sprinkler")[item]["posteriors"]
    assert [p["rain"], p["sprinkler"], p["wet_grass"]] == pytest.approx(textbook(SEEN[item]), abs=0.005)


def test_sprinkler_explains_the_wet_grass_away(records_of):
    rain = {item: record["posteriors"]["rain"] for item, record in records_of("sprinkler").items()}
    assert rain["wet"] > rain["nobody-home"] > rain["wet-and-sprinkler"]
    # Not because of the sky alone: under a sky already known, the second cause still lowers the first.
    sky = {"item": "x", "observer": "neighbour", "question": "look", "draw": 0, "reports": {"sky": "clear"}}
    wet = {"item": "x", "observer": "sensor", "question": "lawn", "draw": 0, "reports": {"wet_grass": True}}
    tap = {"item": "x", "observer": "neighbour", "question": "tap", "draw": 0, "reports": {"sprinkler": True}}
    knowledge = RUNS["sprinkler"][1]
    (before,) = seke.infer([sky, wet], knowledge)
    (after,) = seke.infer([sky, wet, tap], knowledge)
    assert after["posteriors"]["rain"] < before["posteriors"]["rain"] - 0.1


def test_crowd_counts_by_who_says_it(records_of):
    p = {item: record["posteriors"]["species"] for item, record in records_of("crowd").items()}
    prior = p["picture-missing"]
    assert prior == pytest.approx({"wren": 0.1, "sparrow": 0.5, "dunnock": 0.2, "robin": 0.2})
    rise = {bird: p[f"ben-says-{bird}"][bird] / prior[bird] for bird in ("wren", "sparrow")}
    assert rise["wren"] > 4 * rise["sparrow"]
    assert p["split-but-ann"]["dunnock"] > 0.9 > 0.5 > p["split-crowd"]["dunnock"]
    assert records_of("crowd")["ann-against-crowd"]["diagnostics"]["conflict"] < 0.1
