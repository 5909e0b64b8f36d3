"""Reading YAML: what every construct means, and what is said of every fault."""

from __future__ import annotations

import math
import random
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from renaming import BASES
from thorough import examples

from engine import First, KnowledgeError, compile_network, declared_of, read
from engine.model.formula import Count, In, Not

if TYPE_CHECKING:
    from collections.abc import Callable

    from renaming import Names

    from engine import Knowledge

GOLDEN = Path(__file__).parents[1] / "golden"
SHIPPED = Path(__file__).parents[3] / "knowledge"
MACHINE = (BASES / "machine.yaml").read_text("utf-8")
QUICK = 1.0


def message_of(path: Path, folder: Path) -> str:
    """Return the report of reading and compiling a faulty base, with paths relative to `folder`."""
    with pytest.raises(KnowledgeError) as caught:
        compile_network(read(path))
    text = str(caught.value).replace(f"{folder}/", "")
    return text.replace(str(folder), ".")


# What is said of a fault


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_fault_is_reported_in_full(path: Path) -> None:
    expected = path.with_suffix(".txt").read_text("utf-8").rstrip("\n")
    assert message_of(path, GOLDEN) == expected


def test_every_report_has_its_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {path.stem for path in GOLDEN.glob("*.yaml")}


def test_faults_of_several_files_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(MACHINE)
    (tmp_path / "b.yaml").write_text("name: again\nlevels: {fault: [weer]}\n")
    (tmp_path / "c.yaml").write_text("policy: {budget: -1, tolerence: x}\n")
    assert message_of(tmp_path, tmp_path) == "\n".join(
        [
            "b.yaml:1:1: name: is given twice; first at a.yaml:2:1",
            "b.yaml:2:10: levels.fault: is given twice; first at a.yaml:23:10",
            "c.yaml:1:10: policy.budget: is given twice; first at a.yaml:114:3",
            "c.yaml:1:22: policy.tolerence: unknown key; did you mean tolerance?",
        ]
    )


def quickly(write: Callable[[Path], None], expected: str, tmp_path: Path) -> None:
    """Hold that what `write` makes of x.yaml is refused by this report in less than a second of CPU time."""
    path = tmp_path / "x.yaml"
    write(path)
    started = time.process_time()
    assert message_of(path, tmp_path) == expected
    assert time.process_time() - started < QUICK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "\n".join(
                ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
                + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
            ),
            "x.yaml:1:5: a0: anchors and aliases (& and *) are not part of the language; write the value out",
            id="alias bomb",
        ),
        pytest.param(
            f"name: {'x' * 10_000_000}\n",
            "x.yaml:1:1: the file has 10000007 bytes; at most 1000000 are read",
            id="scalar of 10 MB",
        ),
        pytest.param(
            f"extends: machine\ndescription: {'x ' * 100_000}\n",
            "x.yaml:2:14: description: has 199999 characters; at most 100000 are read",
            id="long scalar",
        ),
        pytest.param(
            f"levels:\n  {'x' * 300}: [a]\n",
            "x.yaml:2:3: levels: holds a key of 300 characters; at most 200 are read",
            id="long key",
        ),
        pytest.param(
            "variables: " + "[" * 10_000 + "]" * 10_000,
            f"x.yaml:1:42: variables{'[0]' * 16}...: is nested more than 30 deep",
            id="deep lists",
        ),
        pytest.param(
            "\n".join(" " * depth + "a:" for depth in range(1_400)),
            f"x.yaml:32:32: {'.'.join('a' * 29)}...: is nested more than 30 deep",
            id="deep mappings",
        ),
        pytest.param(
            "{a: " * 10_000,
            f"x.yaml:1:125: {'.'.join('a' * 29)}...: is nested more than 30 deep",
            id="deep mappings in one line",
        ),
        pytest.param("? [a, b]\n: c\n", "x.yaml:1:3: a key must be a plain name", id="list as a key"),
        pytest.param(
            "{}\n",
            "x.yaml:1:1: needs `name`, `variables`, `levels`, `priors`, `observers`, `questions`, `policy`; "
            "a file that changes another base begins with `extends:` and that base",
            id="empty mapping",
        ),
        pytest.param(
            "",
            "x.yaml:1:1: needs `name`, `variables`, `levels`, `priors`, `observers`, `questions`, `policy`; "
            "a file that changes another base begins with `extends:` and that base",
            id="empty file",
        ),
        pytest.param(
            "just a text", "x.yaml:1:1: must be a mapping of sections, not the text 'just a text'", id="text"
        ),
    ],
)
def test_hostile_text_is_refused_quickly(text: str, expected: str, tmp_path: Path) -> None:
    quickly(lambda path: path.write_text(text), expected, tmp_path)


def test_binary_file(tmp_path: Path) -> None:
    expected = "x.yaml:2:5: is not a text file: it holds the control character U+0000"
    quickly(lambda path: path.write_bytes(b"name:\nabcd\0\1\2"), expected, tmp_path)
    expected = "x.yaml:1:1: is not UTF-8 text (byte 0xff)"
    quickly(lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" * 1000), expected, tmp_path)


def test_paths_that_hold_no_base(tmp_path: Path) -> None:
    assert message_of(tmp_path / "none", tmp_path) == "none:1:1: there is no such file or folder"
    (tmp_path / "empty").mkdir()
    assert message_of(tmp_path / "empty", tmp_path) == "empty:1:1: the folder holds no .yaml file"


def test_folder_of_many_files(tmp_path: Path) -> None:
    for n in range(501):
        (tmp_path / f"{n}.yaml").touch()
    expected = ".:1:1: the folder holds 501 YAML files; at most 500 are read"
    assert message_of(tmp_path, tmp_path) == expected


def test_values_of_all_files_count_together(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.yaml").write_text(f"x{n}: [{'a, ' * 99_000}a]\n")
    (tmp_path / "3.yaml").write_text("x3: a\n")
    assert message_of(tmp_path, tmp_path).splitlines() == [
        "2.yaml:1:5973: x2[1989]: exceeds the 200000 keys, values and lists that a base may have",
        "3.yaml:1:1: exceeds the 200000 keys, values and lists that a base may have",
    ]


def test_many_variables_and_names_that_are_like_them(tmp_path: Path) -> None:
    names = "".join(f"  v{n}: {{kind: binary}}\n" for n in range(2_000))
    rules = "".join(f"  r{n}: {{if: v{n}x, then: hot, confidence: 0.5, n: 1}}\n" for n in range(60))
    text = MACHINE.replace("variables:\n", f"variables:\n{names}").replace("rules:\n", f"rules:\n{rules}")
    (tmp_path / "x.yaml").write_text(text)
    started = time.process_time()
    report = message_of(tmp_path / "x.yaml", tmp_path)
    assert report.startswith("x.yaml:9:3: variables: declares 2008 variables; allowed are 1000\n")
    assert time.process_time() - started < 2 * QUICK


def test_long_chain_of_bases(tmp_path: Path) -> None:
    for n in range(9):
        (tmp_path / f"{n}.yaml").write_text(f"extends: {n + 1}.yaml\n")
    (tmp_path / "9.yaml").write_text(MACHINE)
    assert message_of(tmp_path / "0.yaml", tmp_path) == (
        "7.yaml:1:10: extends: is the end of a chain of more than 8 bases"
    )


def test_base_extends_itself(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("extends: x.yaml\n")
    assert message_of(tmp_path / "x.yaml", tmp_path) == (
        "x.yaml:1:10: extends: 'x.yaml' extends this base in turn"
    )


def test_endless_faults_end(tmp_path: Path) -> None:
    codes = "\n".join(f"  {n}%: {{label: x}}" for n in range(5_000))
    (tmp_path / "x.yaml").write_text(MACHINE.replace("codes:\n", f"codes:\n{codes}\n"))
    started = time.process_time()
    with pytest.raises(KnowledgeError) as caught:
        read(tmp_path / "x.yaml")
    assert len(caught.value.faults) == 500
    assert time.process_time() - started < 2


# What the constructs mean


def test_variables(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    wear, hot, load, regime = (base.variables[names[n]] for n in ("wear", "hot", "load", "regime"))
    assert (wear.kind, wear.label) == ("categorical", "what is wrong")
    assert wear.states == tuple(names[s] for s in ("sound", "worn", "clogged"))
    assert wear.descriptions[names["sound"]] == "nothing"
    assert (hot.kind, hot.states, hot.about) == ("binary", ("false", "true"), {"place": "case"})
    assert hot.description == "The case is too " + names["hot"] + " to touch."
    assert load.edges == (-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1)
    assert load.states[0] == "-0.875"
    assert regime.states == tuple(names[s] for s in ("idle", "driven", "starved"))
    assert regime.formulas[0] == In(names["load"], frozenset(range(4)))
    assert base.codes["smoking"].hides == (names["hot"],)
    assert base.levels["gauges"] == (names["load"], names["flow"])


def test_populations(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    assert (base.root, base.reference) == (names["wear"], "uniform")
    assert base.populations["uniform"].p == (1 / 3, 1 / 3, 1 / 3)
    assert base.populations["in-service"].p == pytest.approx((0.7, 0.2, 0.1))
    assert base.populations["in-service"].source == "handbook"


def test_cells_words_and_background(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    sound, worn, clogged = base.cells[names["noisy"]]
    assert (sound.p, worn.p, clogged.p) == (0.2, 0.8, 0.4)
    dripping = base.cells[names["dripping"]]
    assert [(cell.p, cell.n) for cell in dripping] == [(0.1, 5), (0.1, 5), (0.3, 5)]
    assert worn.source == "handbook"


def test_moments(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    assert base.intervals == (names["load"], names["flow"])
    assert base.moments[0].mean == (0.1, 2.5)
    assert base.moments[0].sd == (0.4, 0.8)
    assert base.moments[0].correlation == ((1, 0.3), (0.3, 1))
    assert base.moments[2].correlation == ((1, 0), (0, 1))


def test_couplings_and_rules(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    (rattle,) = base.couplings
    assert (rattle.pair, rattle.odds_ratio, rattle.n) == ((names["noisy"], names["shaking"]), 3, 10)
    heat, dry = base.rules
    both = (In(names["hot"], frozenset({1})), In(names["noisy"], frozenset({1})))
    assert heat.condition == Count(both, frozenset({2}))
    assert heat.then == In(names["load"], frozenset(range(4, 8)))
    assert (heat.confidence, heat.n, heat.source) == (0.8, 10, "handbook")
    assert (dry.source, dry.note) == ("judgement", "A guess.")
    assert heat.place.line == 54


def test_observers(base_of: Callable[[str], Knowledge], names: Names) -> None:
    fitter, logbook = base_of("machine").observers.values()
    assert (fitter.askable, fitter.exponent, fitter.carry) == (True, 1, 0.6)
    assert (logbook.askable, logbook.exponent, logbook.carry, logbook.label) == (False, 0.9, 0, "logbook")
    halo = fitter.halo["walk"]
    assert (halo.given, halo.probability) == (names["wear"], 0.2)
    wear = fitter.labels[names["wear"]]
    assert wear.answers == tuple(names[s] for s in ("sound", "worn", "clogged"))
    assert wear.confusion[1] == pytest.approx((0.2, 0.7, 0.1))
    assert (wear.bonus, wear.weight) == (0.5, 2)
    assert [(t.share, t.repeat, t.strength) for t in wear.types] == [(1, 0.9, 8)]
    shaking = fitter.labels[names["shaking"]]
    assert shaking.confusion == ((0.9, pytest.approx(0.1)), (pytest.approx(0.3), 0.7))
    assert [(t.repeat, t.strength) for t in shaking.types] == [(0.95, 20)]
    assert [(t.repeat, t.strength) for t in fitter.labels[names["hot"]].types] == [(0.9, 8)]
    load = fitter.numbers[names["load"]]
    assert (load.gain, load.offset, load.perception, load.noise) == (1.1, -0.05, 0.2, 0.05)
    assert (load.slip, load.grid) == (0.02, 0.1)
    assert fitter.numbers[names["flow"]].gain == 1
    # No share is blank or strays where none is declared; nothing is the low end of the range.
    assert (load.blank, load.nothing, load.stray) == (0, -1, 0)
    assert logbook.labels[names["wear"]].confusion[0] == pytest.approx((0.9, 0.05, 0.05))


@pytest.mark.parametrize("bits", ["4.0", "100"])
def test_a_conflict_in_bits_is_refused_and_says_what_it_is_now(
    overlay_of: Callable[..., Knowledge], bits: str
) -> None:
    with pytest.raises(KnowledgeError) as refused:
        overlay_of(f"policy: {{source: judgement, note: Old., conflict: {bits}}}\n")
    (fault,) = refused.value.faults
    assert fault.path == "policy.conflict"
    assert fault.message.startswith(f"is {bits}; it is now a probability, not a number of bits")
    assert "0.000001 to 0.5" in fault.message
    assert "`seke knowledge migrate`" in fault.message


@pytest.mark.parametrize("value", ["0", "-0.1", "0.51"])
def test_a_conflict_is_a_probability_that_can_raise_an_alarm(
    overlay_of: Callable[..., Knowledge], value: str
) -> None:
    with pytest.raises(KnowledgeError, match=r"policy\.conflict"):
        overlay_of(f"policy: {{source: judgement, note: Odd., conflict: {value}}}\n")


def test_questions_and_policy(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("machine")
    walk, listen, check = base.questions.values()
    signs = tuple(names[n] for n in ("hot", "noisy", "shaking", "dripping"))
    assert walk.variables == (names["wear"], *signs, names["load"], names["flow"])
    assert (listen.variables, listen.cost) == ((names["noisy"], names["shaking"]), 0.25)
    assert (listen.further, listen.price(3)) == (None, 0.75)
    assert (check.about_one, walk.about_one, check.label) == (True, False, "check")
    policy = base.policy
    assert policy.required == ("fault", "gauges")
    # A variable's own number wins over that of its level.
    assert policy.limits == {
        names["wear"]: 0.1,
        names["hot"]: 0.15,
        names["noisy"]: 0.15,
        names["shaking"]: 0.15,
        names["dripping"]: 0.05,
        names["load"]: 0.25,
        names["flow"]: 0.25,
    }
    assert policy.cuts == {names["dripping"]: 0.4}
    assert policy.tolerance == {names["load"]: 0.3, names["flow"]: 0.6}
    assert policy.worth[names["wear"]] == 20
    assert (policy.budget, policy.batches, policy.conflict, policy.ask) == (12, (1, 2, 4), 0.01, "fitter")


def test_who_may_be_asked_and_at_what_price(base_of: Callable[[str], Knowledge]) -> None:
    base = base_of("machine")
    assert (base.policy.others, base.policy.views) == ((), ())
    assert [observer.cost for observer in base.observers.values()] == [1.0, 1.0]


def test_others_views_and_costs(overlay_of: Callable[..., Knowledge]) -> None:
    base = overlay_of(
        """
observers: {logbook: {askable: true, cost: 2.5, carry: 0.5, source: judgement, note: A trial.}}
policy: {others: [logbook], views: [face, "from the side"]}
"""
    )
    assert base.policy.others == ("logbook",)
    assert base.policy.views == ("face", "from the side")
    assert base.observers["logbook"].cost == 2.5


def test_what_further_answers_of_a_request_cost(overlay_of: Callable[..., Knowledge]) -> None:
    base = overlay_of("questions: {listen: {further: 0.05, source: judgement, note: The sound is kept.}}")
    listen = base.questions["listen"]
    assert (listen.cost, listen.further_cost) == (0.25, 0.05)
    assert [listen.price(answers) for answers in (0, 1, 2, 5)] == pytest.approx([0, 0.25, 0.3, 0.45])
    assert base.questions["walk"].further_cost == base.questions["walk"].cost
    free = overlay_of("questions: {listen: {further: 0, source: judgement, note: Nothing is paid.}}")
    assert free.questions["listen"].price(9) == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "questions: {listen: {further: -1, source: judgement, note: x}}",
            "questions.listen.further: is -1; allowed is 0 to 1000000",
        ),
        (
            "views: {wide: {size: 640, repeats: 1, source: judgement, note: x}}",
            "views.wide.repeats: is of the usual view, the first one; only another view may repeat it",
        ),
        (
            "views: {wide: {size: 640, repeats: 1.5, source: judgement, note: x}}",
            "views.wide.repeats: is 1.5; allowed is 0 to 1",
        ),
        ("policy: {others: [logbook]}", "policy.others[0]: no askable observer is called 'logbook'"),
        ("policy: {others: fitter}", "policy.others: must be a list, such as [a, b], not 'fitter'"),
        ("policy: {others: [fitter, fitter]}", "policy.others[1]: fitter is named twice"),
        ("policy: {views: [no]}", "policy.views[0]: YAML reads no as a truth value; quote it"),
        ("policy: {views: face}", "policy.views: must be a list, such as [a, b], not 'face'"),
        (
            "observers: {fitter: {cost: -1, source: judgement, note: x}}",
            "observers.fitter.cost: is -1; allowed is 0 to 1000000",
        ),
    ],
)
def test_faults_of_who_may_be_asked(overlay_of: Callable[..., Knowledge], text: str, message: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        overlay_of(text)
    (fault,) = caught.value.faults
    assert f"{fault.path}: {fault.message}".startswith(message)
    assert (fault.place.line, Path(fault.place.file).name) == (2, "overlay.yaml")


def test_what_is_asked_first(
    overlay_of: Callable[..., Knowledge], base_of: Callable[[str], Knowledge]
) -> None:
    assert base_of("machine").policy.first is None
    assert overlay_of("policy: {first: {question: listen}}").policy.first == First(question="listen")
    text = "policy: {first: {question: walk, samples: 12, source: judgement, note: A trial.}}"
    base = overlay_of(text)
    assert base.policy.first == First(question="walk", samples=12)
    assert base.policy.first.note == "A trial."
    assert base.digest != base_of("machine").digest


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("{question: lisen}", "policy.first.question: no question is called 'lisen'; did you mean listen?"),
        (
            "{question: check}",
            "policy.first.question: check is about one variable; the first question must be about several",
        ),
        (
            "{question: walk, samples: 13, source: judgement, note: x}",
            "policy.first.samples: is 13; allowed is 1 to 12",
        ),
        ("{question: walk, samples: 2}", "policy.first.samples: has no source"),
        ("{samples: 2, source: judgement, note: x}", "policy.first: needs `question`"),
        ("walk", "policy.first: must be a mapping"),
        ("{question: walk, answers: 2}", "policy.first.answers: unknown key"),
    ],
)
def test_faults_of_what_is_asked_first(
    overlay_of: Callable[..., Knowledge], first: str, message: str
) -> None:
    with pytest.raises(KnowledgeError) as caught:
        overlay_of(f"policy: {{first: {first}}}")
    (fault,) = caught.value.faults
    assert f"{fault.path}: {fault.message}".startswith(message)


def test_the_observer_who_is_asked_must_answer_what_is_asked_first(
    overlay_of: Callable[..., Knowledge],
) -> None:
    lamp = """
questions: {lamp: {reports: [glow], cost: 1, source: judgement, note: x}}
variables: {glow: {kind: binary, label: glow}}
activations: {cells: {worn: {glow: {p: 0.2, n: 3, source: judgement, note: x}}}}
levels: {lamps: [glow]}
policy: {first: {question: lamp}, limits: {lamps: 0.1}, worth: {lamps: 1}, source: judgement, note: x}
"""
    with pytest.raises(KnowledgeError) as caught:
        overlay_of(lamp)
    messages = [f"{fault.path}: {fault.message}" for fault in caught.value.faults]
    assert messages == ["policy.first.question: fitter does not answer anything that lamp asks for"]


def test_reading_types(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of(
        """
remove: [observers.logbook.categorical.wear.repeat, observers.logbook.categorical.wear.strength]
observers:
  logbook:
    categorical:
      wear:
        source: handbook
        types: {easy: {share: 0.7, repeat: 0.99, strength: 50}, hard: {share: 0.3, repeat: 0.8, strength: 2}}
"""
    )
    types = base.observers["logbook"].labels[names["wear"]].types
    assert [(t.name, t.share, t.repeat, t.strength) for t in types] == [
        ("easy", 0.7, 0.99, 50),
        ("hard", 0.3, 0.8, 2),
    ]


def test_formulas(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of(
        """
rules:
  source: handbook
  counted: {if: "count(hot, noisy, shaking) >= 2", then: "wear in [worn, clogged]", confidence: 0.9, n: 5}
  derived: {if: regime == starved, then: not hot or dripping, confidence: 0.7, n: 5}
"""
    )
    rules = {rule.name: rule for rule in base.rules}
    hot, noisy, shaking, dripping = (
        In(names[n], frozenset({1})) for n in ("hot", "noisy", "shaking", "dripping")
    )
    assert rules["counted"].condition == Count((hot, noisy, shaking), frozenset({2, 3}))
    assert rules["counted"].then == In(names["wear"], frozenset({1, 2}))
    starved = Count(
        (In(names["load"], frozenset({4, 5, 6, 7})), In(names["flow"], frozenset({0, 1}))), frozenset({2})
    )
    assert rules["derived"].condition == starved
    assert rules["derived"].then == Count((Not(hot), dripping), frozenset({1, 2}))
    assert {rule.status for rule in compile_network(base).rules} <= {"met", "unmet"}


def test_base_with_one_observer_and_no_numbers(base_of: Callable[[str], Knowledge], names: Names) -> None:
    base = base_of("weather")
    assert (base.intervals, base.moments) == ((), ())
    assert base.policy.tolerance == {}
    network = compile_network(base)
    assert network.rules[0].status == "met"
    assert network.rules[0].reached == pytest.approx(0.7, abs=1e-3)


def test_shipped_base_is_read() -> None:
    assert read(SHIPPED).policy.ask


# Overlays


def test_overlay_of_one_cell(
    overlay_of: Callable[..., Knowledge], base_of: Callable[[str], Knowledge], names: Names
) -> None:
    base = base_of("machine")
    changed = overlay_of(
        "activations: {cells: {worn: {hot: {p: 0.7, source: judgement, note: Seen on site.}}}}\n"
    )
    cell = changed.cells[names["hot"]][1]
    assert (cell.p, cell.n) == (0.7, 10)
    assert (cell.source, cell.note) == ("judgement", "Seen on site.")
    assert (cell.place.file.endswith("overlay.yaml"), cell.place.line) == (True, 2)
    cells = dict(base.cells)
    cells[names["hot"]] = (cells[names["hot"]][0], cell, cells[names["hot"]][2])
    assert replace(changed, digest="") == replace(base, cells=cells, digest="")
    assert changed.cells[names["hot"]][0].source == "handbook"


def test_note_beside_a_number_joins_the_inherited_source(
    overlay_of: Callable[..., Knowledge], names: Names
) -> None:
    changed = overlay_of("activations: {source: handbook, cells: {worn: {hot: {p: 0.7, note: Table 3.}}}}\n")
    cell = changed.cells[names["hot"]][1]
    assert (cell.source, cell.note) == ("handbook", "Table 3.")


def test_new_state_like_others(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of(
        """
variables: {wear: {states: {cracked: the case is cracked}}}
priors: {populations: {in-service: {add: {cracked: 0.1}, source: judgement, note: Rare.}}}
activations:
  source: judgement
  note: A crack is wear that drips.
  cells: {cracked: {like: {worn: 0.75, sound: 0.25}, dripping: {p: 0.9, n: 5}}}
affect:
  source: judgement
  note: A crack is wear that drips.
  moments: {cracked: {like: {worn: 0.5, clogged: 0.5}}}
"""
    )
    assert base.variables[names["wear"]].states[-1] == "cracked"
    assert base.populations["uniform"].p == (0.25, 0.25, 0.25, 0.25)
    assert base.populations["in-service"].p == pytest.approx((0.63, 0.18, 0.09, 0.1))
    hot = base.cells[names["hot"]][3]
    assert (hot.p, hot.n) == pytest.approx((0.75 * 0.6 + 0.25 * 0.1, 0.75 * 10 + 0.25 * 20))
    assert hot.note == names.rename("A crack is wear that drips.")
    assert base.cells[names["dripping"]][3].p == 0.9
    moments = base.moments[3]
    assert moments.mean == pytest.approx((0.4, 1.55))
    # Law of total variance, worked by hand: the mean of the variances and the variance of the means.
    assert moments.sd[0] == pytest.approx(math.sqrt((0.16 + 0.09) / 2 + 0.01))
    assert moments.sd[1] == pytest.approx(math.sqrt((0.81 + 0.36) / 2 + 0.45**2))
    covariance = 0.1 * 0.4 * 0.9 / 2 - 0.1 * 0.45
    assert moments.correlation[0][1] == pytest.approx(covariance / moments.sd[0] / moments.sd[1])
    row = base.observers["fitter"].labels[names["wear"]].confusion[3]
    assert row == pytest.approx((0.35, 0.5625, 0.0875))
    assert base.observers["logbook"].labels[names["wear"]].answers[-1] == "cracked"


def test_remove_state(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of("remove: [variables.wear.states.clogged]\n")
    states = (names["sound"], names["worn"])
    assert base.variables[names["wear"]].states == states
    assert base.populations["uniform"].p == (0.5, 0.5)
    assert base.populations["in-service"].p == pytest.approx((7 / 9, 2 / 9))
    assert len(base.cells[names["hot"]]) == len(base.moments) == 2
    wear = base.observers["fitter"].labels[names["wear"]]
    assert len(wear.confusion) == 2
    assert wear.answers == (*states, names["clogged"])
    assert base.observers["logbook"].labels[names["wear"]].answers == states


def test_probabilities_given_anew_after_a_removal_must_sum_to_one(
    overlay_of: Callable[..., Knowledge],
) -> None:
    text = """
remove: [variables.wear.states.clogged]
priors: {populations: {in-service: {source: handbook, p: {sound: 0.7, worn: 0.2}}}}
"""
    with pytest.raises(KnowledgeError, match=r"in-service\.p: sums to 0\.9; must sum to 1$"):
        overlay_of(text)


def test_remove_binary_variable(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of("remove: [variables.shaking, couplings.rattle, rules.dry]\n")
    gone = names["shaking"]
    assert gone not in base.variables
    assert gone not in base.cells
    assert gone not in base.levels["signs"]
    assert gone not in base.policy.limits
    assert base.questions["listen"].variables == (names["noisy"],)
    assert gone not in base.observers["fitter"].labels
    assert compile_network(base).rules[0].status == "met"


def test_remove_interval_variable(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of("remove: [variables.flow, variables.regime, rules.dry]\n")
    assert base.intervals == (names["load"],)
    assert [m.mean for m in base.moments] == [(0.1,), (0.3,), (0.5,)]
    assert base.moments[0].correlation == ((1,),)
    assert base.policy.tolerance == {names["load"]: 0.3}
    assert list(base.observers["fitter"].numbers) == [names["load"]]
    assert compile_network(base).rules[0].status == "met"


def test_remove_every_variable_of_a_level(overlay_of: Callable[..., Knowledge], names: Names) -> None:
    base = overlay_of(
        "remove: [variables.load, variables.flow, variables.regime, rules.dry, rules.driven-heat]\n"
    )
    assert "gauges" not in base.levels
    assert (base.intervals, base.moments, base.rules) == ((), (), ())
    assert base.policy.required == ("fault",)
    assert base.questions["walk"].variables[-1] == names["dripping"]
    assert base.observers["fitter"].numbers == {}


def test_question_that_reports_nothing_more_goes_too(overlay_of: Callable[..., Knowledge]) -> None:
    base = overlay_of(
        "remove: [variables.noisy, variables.shaking, couplings.rattle, rules.dry, rules.driven-heat]\n"
    )
    assert list(base.questions) == ["walk", "check"]


def test_chain_of_overlays(folder: Path, names: Names) -> None:
    (folder / "one").mkdir()
    (folder / "one" / "a.yaml").write_text(
        names.rename("extends: ../machine.yaml\nname: one\nremove: [rules.dry]\n")
    )
    (folder / "two.yaml").write_text(
        names.rename("extends: one\nactivations: {source: handbook, cells: {worn: {hot: {p: 0.65}}}}\n")
    )
    base = read(folder / "two.yaml")
    assert base.name == "one"
    assert [rule.name for rule in base.rules] == ["driven-heat"]
    assert base.cells[names["hot"]][1].p == 0.65


def test_known_bases_are_extended_by_name(folder: Path) -> None:
    (folder / "over.yaml").write_text("extends: pumps\nname: mine\n")
    assert read(folder / "over.yaml", {"pumps": folder / "machine.yaml"}).name == "mine"


# Files and the digest


def split(text: str, folder: Path, seed: int) -> None:
    """Write each section of a base into one of three files, in any order."""
    sections: list[list[str]] = []
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            sections.append([])
        if sections:
            sections[-1].append(line)
    chance = random.Random(seed)
    chance.shuffle(sections)
    folder.mkdir()
    for n in range(3):
        part = sections[n::3]
        (folder / f"{n}.yaml").write_text("\n".join(line for lines in part for line in lines))


def test_digest_does_not_depend_on_files(folder: Path) -> None:
    text = (folder / "machine.yaml").read_text()
    whole = read(folder / "machine.yaml")
    for seed in range(3):
        split(text, folder / f"parts-{seed}", seed)
        assert read(folder / f"parts-{seed}").digest == whole.digest


def test_section_may_be_split_between_files(folder: Path, names: Names) -> None:
    (folder / "split").mkdir()
    whole = (folder / "machine.yaml").read_text()
    rule = next(line for line in whole.splitlines() if line.startswith("  dry:"))
    (folder / "split" / "a.yaml").write_text(whole.replace(rule + "\n", ""))
    (folder / "split" / "b.yaml").write_text(f"rules:\n  source: handbook\n{rule}\n")
    (folder / "split" / ".hidden.yaml").write_text("not read: [")
    base = read(folder / "split")
    assert base.digest == read(folder / "machine.yaml").digest
    assert [rule.source for rule in base.rules] == ["handbook", "judgement"]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("p: 0.6, n: 10", "p: 0.61, n: 10", False),
        ("confidence: 0.8", "confidence: 0.81", False),
        ("budget: 12", "budget: 13", False),
        ("perception: 0.2", "perception: 0.21", False),
        ('if: "hot & noisy"', 'if: "hot | noisy"', False),
        ("note: A guess.", "note: A better guess.", True),
        ("# A pump", "# The pump", True),
    ],
)
def test_digest_changes_with_what_is_said(old: str, new: str, same: bool, folder: Path, names: Names) -> None:
    text = (folder / "machine.yaml").read_text()
    changed = text.replace(names.rename(old), names.rename(new), 1)
    assert changed != text
    (folder / "changed.yaml").write_text(changed)
    assert (read(folder / "changed.yaml").digest == read(folder / "machine.yaml").digest) is same


# Any text at all: a base or a report, soon

WORDS = """
no null ~ .nan .inf 1e3 -1 0 2 0.5 1e999 99999999999 '' '0.5' [] {} [a] {a: b} : - ? | > & * ! % @ # , [ ] { }
&a *a !t source note judgement like p n uniform add remove extends kind states bins range reports types given
"""
TOKENS = (*WORDS.split(), "\t", "\n", "  ", "\u00e9", "\u2028", "9" * 400, "x" * 300, "- - - -")
EDITS = st.tuples(
    st.sampled_from(["drop line", "repeat line", "swap", "replace", "insert", "indent", "cut", "borrow"]),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(TOKENS),
)


def mutated(text: str, edits: list[tuple[str, float, float, str]]) -> str:
    """Return the text after some edits, each at places given as shares of its length."""
    for kind, start_share, end_share, token in edits:
        lines = text.split("\n")
        a, b = int(start_share * len(lines)), int(end_share * len(lines))
        words = lines[a].split(" ")
        at = int(end_share * len(words))
        match kind:
            case "drop line":
                del lines[a]
            case "repeat line":
                lines.insert(b, lines[a])
            case "swap":
                lines[a], lines[b] = lines[b], lines[a]
            case "replace":
                words[at] = token
                lines[a] = " ".join(words)
            case "insert":
                position = int(end_share * (len(lines[a]) + 1))
                lines[a] = lines[a][:position] + token + lines[a][position:]
            case "indent":
                lines[a] = " " * int(end_share * 12) + lines[a].lstrip()
            case "cut":
                del lines[b:]
            case "borrow":
                other_words = lines[b].split(" ")
                words[at] = other_words[int(start_share * len(other_words))]
                lines[a] = " ".join(words)
        text = "\n".join(lines) or "\n"
    return text


def read_or_report(path: Path) -> None:
    # CPU time: what else the machine does is no matter.
    started = time.process_time()
    faults = None
    try:
        read(path)
    except KnowledgeError as error:
        faults = error.faults
    assert faults is None or faults
    assert all(fault.place.line >= 1 and fault.place.column >= 1 for fault in faults or ())
    assert time.process_time() - started < 2


def fuzz_file(edits: list[tuple[str, float, float, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(mutated(MACHINE, edits), "utf-8")
        read_or_report(path)


def fuzz_folder(which: int, edits: list[tuple[str, float, float, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "base"
        shutil.copytree(SHIPPED, copy)
        files = sorted(copy.rglob("*.yaml"))
        path = files[which % len(files)]
        path.write_text(mutated(path.read_text("utf-8"), edits), "utf-8")
        read_or_report(copy)


SLOWLY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
SEVERAL = st.lists(EDITS, min_size=1, max_size=4)


@settings(SLOWLY, max_examples=examples(60))
@given(SEVERAL)
def test_mutated_file(edits: list[tuple[str, float, float, str]]) -> None:
    fuzz_file(edits)


@settings(SLOWLY, max_examples=examples(15))
@given(st.integers(0, 99), SEVERAL)
def test_mutated_folder(which: int, edits: list[tuple[str, float, float, str]]) -> None:
    fuzz_folder(which, edits)


@settings(SLOWLY, max_examples=examples(60))
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(text, "utf-8")
        read_or_report(path)


@pytest.mark.slow
@settings(SLOWLY, max_examples=17_000, derandomize=False)
@given(SEVERAL)
def test_many_mutated_files(edits: list[tuple[str, float, float, str]]) -> None:
    fuzz_file(edits)


@pytest.mark.slow
@settings(SLOWLY, max_examples=3_000, derandomize=False)
@given(st.integers(0, 99), SEVERAL)
def test_many_mutated_folders(which: int, edits: list[tuple[str, float, float, str]]) -> None:
    fuzz_folder(which, edits)


def test_the_usual_view_is_the_first_of_the_views_else_the_one_that_is_given(
    base_of: Callable[[str], Knowledge], overlay_of: Callable[..., Knowledge], folder: Path
) -> None:
    assert base_of("machine").usual_view == "face"
    assert read(folder / "machine.yaml").usual_view == "usual"
    text = (
        "views: {source: judgement, note: A trial., wide: {size: 640, grey: true}, "
        "near: {size: 320, repeats: 0.9}}"
    )
    base = overlay_of(text)
    again = declared_of(base).with_numbers({"views.near.size": 300})
    assert [base.usual_view, again.usual_view] == ["wide", "wide"]
    assert declared_of(base_of("machine")).with_numbers({}).usual_view == "face"
    assert [view.repeats for view in base.views.values()] == [0.0, 0.9]
    assert (base.views["wide"].options["grey"], again.views["near"].options["size"]) == (True, 300)
