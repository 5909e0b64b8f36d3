"""People whom a policy may ask: how they are told from models, their price, basis and gain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from brute_force import Reading, Shape, answers_of, random_base, random_items

from engine import (
    Basis,
    Inference,
    LookAhead,
    Option,
    Preposterior,
    Question,
    bases_of,
    compile_network,
    look_in_words,
    people_asked,
    price_of,
)

# A model that repeats itself and errs as everybody does, and an expert who looks for himself, at one price.
CREW = """
dependence: {kinds: {expert: {follows: 0.0, people: true, source: handbook}}}
questions: {judge: {reports: [fault], cost: 0.05, source: judgement, note: A look at the pump.}}
observers:
  source: judgement
  note: Made up for the tests.
  visitor: {askable: true, categorical: {wear: {accuracy: 0.75, repeat: 0.99, strength: 100}}}
  expert:
    kind: expert
    askable: true
    label: an old hand
    categorical: {wear: {accuracy: 0.9, repeat: 0.9, strength: 8}}
policy: {ask: visitor, others: [expert], batches: [1], source: judgement, note: A trial.}
"""
IDLE = "dependence: {kinds: {expert: {people: true}}}"


def open_to_all(seed):
    """A random base of which one observer is a model and the other of people; limits are far off."""
    base = random_base(Shape(seed=seed, states=3, binaries=2, observers=2, couplings=1, rules=0))
    names = [name for names in base.levels.values() for name in names]
    o0, o1 = (replace(base.observers[name], askable=True) for name in ("o0", "o1"))
    policy = replace(
        base.policy,
        budget=100,
        batches=(1, 2),
        ask="o0",
        others=("o1",),
        worth=dict.fromkeys(names, 1.0),
        limits=dict.fromkeys(names, 0.15),
    )
    single = Question(name="each", variables=tuple(names), about_one=True)
    observers = {"o0": o0, "o1": replace(o1, people=True)}
    return replace(base, observers=observers, policy=policy, questions={**base.questions, "each": single})


@pytest.mark.parametrize("seed", range(5))
def test_a_look_of_people_never_loses(seed):
    base = open_to_all(seed)
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, random_items(base, seed, items=1, readings=2, draws=2))
    options = Preposterior(inference, paths=2).options(answers, 0)
    exact = [option for option in options if option.observer == "o1" and option.error == 0]
    assert len(exact) >= 6
    assert min(option.gain for option in exact) >= -1e-12


def test_an_expert_is_asked_rather_than_a_model_that_repeats_itself(overlay_of, names):
    base = overlay_of(CREW, "crew")
    assert people_asked(base) == ("expert",)
    inference = Inference(compile_network(base), base)
    draws = ({names["wear"]: 1},) * 2
    answers = answers_of(base, [[Reading("visitor", "judge", "face", draws)]])
    posterior = inference.posterior(answers)
    ahead, exact = LookAhead(inference), Preposterior(inference)
    (chosen,) = ahead.next(answers, posterior, answers.samples > 0)
    assert chosen.observer == "expert"
    for options in (ahead.options(answers, posterior, 0), exact.options(answers, 0)):
        gains = {o.observer: o for o in options if o.question == "judge"}
        assert gains["expert"].cost == gains["visitor"].cost
        assert gains["expert"].gain > 2 * gains["visitor"].gain


def test_only_people_whom_the_policy_names_are_asked_again(overlay_of, names):
    base = overlay_of(CREW, "crew")
    expert, draws = "expert", ({names["wear"]: 1},)
    answers = answers_of(base, [[Reading(expert, "judge", "face", draws)]])
    for named_people, asked in (((expert,), {expert, "visitor"}), ((), {"visitor"})):
        changed = replace(base, policy=replace(base.policy, others=named_people))
        ahead = LookAhead(Inference(compile_network(changed), changed))
        (row,) = ahead.observers(answers)
        assert {name for name, may in zip(base.observers, row, strict=True) if may} == asked


def test_what_people_say_is_named_as_declared_by_people_unless_a_model_answers_for_them(overlay_of, names):
    base = overlay_of(CREW, "crew")
    expert, wear = "expert", names["wear"]
    answers = answers_of(base, [[Reading(expert, "judge", "face", ({wear: 1},))]])
    assert bases_of(base, answers)[wear] == [Basis.PEOPLE]
    played = replace(base, policy=replace(base.policy, models={expert: "some-model"}))
    assert people_asked(played) == ()
    assert bases_of(played, answers)[wear] == [Basis.DECLARED]


def test_each_look_of_people_costs_as_much(overlay_of):
    base = overlay_of(CREW, "crew")
    judge = replace(base.questions["judge"], cost=2.0, further=0.5)
    expert = replace(base.observers["expert"], cost=10.0)
    base = replace(
        base,
        questions={**base.questions, judge.name: judge},
        observers={**base.observers, expert.name: expert},
    )
    assert price_of(base, expert.name, judge.name, 3) == 60
    assert price_of(base, "visitor", judge.name, 3) == 3


def test_their_look_is_said_in_words(overlay_of, names):
    base = overlay_of(CREW, "crew")
    option = Option("expert", "walk", None, "face", 1, 1.0, 2.0)
    expected = "a look of an old hand at fault is worth its price"
    assert look_in_words(base, option) == expected
    option = replace(option, observer="fitter")
    expected = "a look of a fitter at fault, signs and gauges is worth its price"
    assert look_in_words(base, option) == expected
    about = replace(option, about=names["hot"])
    assert look_in_words(base, about) == f"a look of a fitter at {names['hot']} is worth its price"


def test_a_mark_that_decides_nothing_changes_no_digest(base_of, overlay_of):
    plain = base_of("crew")
    other = "observers: {fitter: {kind: passer-by}}"
    # In this base the fitter is an expert, and may be asked.
    assert overlay_of(IDLE, "crew").digest != plain.digest
    assert overlay_of(IDLE, "crew").observers["fitter"].people
    idle, unmarked = overlay_of(f"{IDLE}\n{other}", "crew"), overlay_of(other, "crew")
    assert idle.dependence.kinds["expert"].people
    assert (idle.digest, idle.digests) == (unmarked.digest, unmarked.digests)
