"""Questions in two forms: what can be named in the declared order and reversed, and what that is worth."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

import seke
from engine import view_in_form
from seke.prompts import Questions
from seke.sampling.loop import Request
from seke.vision.messages import Choice

ITEMS = 160


@cache
def questions():
    return Questions(seke.knowledge())


def request(question, form, about=None, observer="gpt-4o", item="face-1", draw=0):
    return Request(item, observer, question, about, view_in_form("face", form), draw, 1)


def places(text, names):
    """Where names stand in a text, in the order of the text."""
    return sorted(names, key=text.index)


def test_the_reversed_form_has_all_lists_the_other_way_round():
    base = questions().base
    for question in ("joint", "action_units"):
        plain, reverse = (questions().prompt(request(question, form)) for form in (0, 1))
        units = [f"- {unit} {base.variables[unit].label}" for unit in base.cells]
        assert places(plain.system, units) == units
        assert places(reverse.system, units) == units[::-1]
        states = [f"- {state}:" for state in base.variables["expression"].states]
        assert places(plain.system, states) == states
        assert places(reverse.system, states) == states[::-1]
        assert len(plain.system) == len(reverse.system)
        assert plain.digest != reverse.digest
    marks = [questions().prompt(request("action_units", form)) for form in (0, 1)]
    declared, reverse = (list(m.schema["properties"]["action_units"]["properties"]) for m in marks)
    assert reverse == declared[::-1]
    # And so has the example.
    assert [places(m.text.splitlines()[-1], [f'"{n}"' for n in declared]) for m in marks] == [
        [f'"{n}"' for n in declared],
        [f'"{n}"' for n in reverse],
    ]
    enums = [
        questions().prompt(request("expression", form)).schema["properties"]["expression"]["items"]["enum"]
        for form in (0, 1)
    ]
    assert enums[1] == enums[0][::-1]


@pytest.mark.parametrize("question", ["joint", "expression", "action_units"])
def test_the_same_answer_is_the_same_record_in_both_forms_but_for_its_view(question):
    answer = json.dumps(
        {
            "action_units": ["AU6", "AU12"],
            "valence": 0.5,
            "arousal": 0.1,
            "expression": ["fear", "anger", "neutral"],
        }
        if question == "joint"
        else {"expression": ["fear", "anger", "neutral"], "action_units": {"AU1": True, "AU4": None}}
    )
    plain, reverse = (questions().read(request(question, form), Choice(0, answer, "stop")) for form in (0, 1))
    assert (plain.pop("view"), reverse.pop("view")) == ("face", "face@reversed")
    assert plain == reverse
    assert plain.get("status", "ok") == "ok"


def test_every_form_of_a_question_is_told(tmp_path):
    (tmp_path / "o.yaml").write_text("extends: shipped\nquestions: {action_units: {forms: 2}}\n")
    both = Questions(seke.knowledge(tmp_path / "o.yaml"))
    cases = {asked.question: [case for case, _ in both.variants(asked)] for asked in both.all_requests()}
    differ = ", where earlier answers differ"
    assert cases["action_units"] == ["", differ, ", in reversed order", f"{differ}, in reversed order"]
    assert cases["joint"] == [""]


def first_option_answers(bias, forms, draws):
    """Records of an observer that names the first option with a probability, and else the truth."""
    rng = np.random.default_rng(5)
    states = questions().base.variables["expression"].states
    for i in range(ITEMS):
        for draw in range(draws):
            asked = request("expression", draw % forms, None, "generic-vlm", f"face-{i}", draw // forms)
            ranking = questions().prompt(asked).schema["properties"]["expression"]
            options = ranking.get("items", ranking)["enum"]
            best = options[0] if rng.random() < bias else states[i % len(states)]
            others = rng.permutation([state for state in states if state != best])
            named = [best, *others[:2]] if "items" in ranking else best
            yield questions().read(asked, Choice(draw // forms, json.dumps({"expression": named}), "stop"))


@cache
def belief_in_the_first(bias, forms, draws):
    """The mean posterior of the first declared option."""
    first = questions().base.variables["expression"].states[0]
    records = list(seke.infer(list(first_option_answers(bias, forms, draws))))
    return np.mean([record["expression"][first] for record in records])


@pytest.mark.parametrize("bias", [0.3, 1.0])
def test_what_a_first_option_bias_does_to_the_posterior_is_halved_with_two_forms(bias):
    unbiased = belief_in_the_first(0.0, 1, 2)
    one, two = (belief_in_the_first(bias, forms, 2) - unbiased for forms in (1, 2))
    assert one > 0.02
    assert 0.3 < two / one < 0.65


def test_with_more_draws_it_is_at_most_halved():
    unbiased = belief_in_the_first(0.0, 1, 6)
    one, two = (belief_in_the_first(0.5, forms, 6) - unbiased for forms in (1, 2))
    assert two < 0.6 * one


@pytest.mark.parametrize("view", ["face", "face@reversed"])
def test_an_answer_means_the_same_in_both_forms(tmp_path, view):
    """Words of sight have an order of their own, and other names of keys are read in both."""
    path = tmp_path / "o.yaml"
    path.write_text("extends: shipped\nquestions: {joint: {forms: 2, also: {action_units: [units]}}}\n")
    questions = Questions(seke.knowledge(path))
    asked = Request("i", "gpt-4o", "joint", None, view, 0, 1)
    seen = {"units": ["AU6"], "not_visible": ["AU25"], "valence": 0.6, "arousal": 0.2, "expression": "fear"}

    def read(sight):
        return questions.read(asked, Choice(0, json.dumps({"face": sight, **seen}), "stop"))

    clear = read("clear")
    assert (clear["action_units"]["AU6"], clear["action_units"]["AU25"]) == (True, None)
    assert (clear["expression"], clear["valence"]) == ("fear", 0.6)
    assert read("cannot be judged")["status"] == "not_judged"
