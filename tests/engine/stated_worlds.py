"""Small bases whose observer is asked blind, told values, or shown an earlier answer; and such answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from brute_force import Shape, random_base

from engine import Answers, Inference, compile_network
from engine.model.knowledge import Halo
from engine.model.policy import Question


def world(seed, told=0.0, echo=0.0, carry=0.6):
    """A base with one observer, who is asked blind, told values, or shown an earlier answer."""
    shape = Shape(states=3, binaries=2, couplings=1, rules=1, bins=(3,), observers=1, halo=False, seed=seed)
    base = random_base(shape)
    (observer,) = base.observers.values()
    # Instruments of everything, so that each kind of answer is made up.
    names = tuple(observer.instruments)
    questions = {
        "first": Question(name="first", variables=names),
        "told": Question(name="told", variables=names, tells=(base.root,)),
        "again": Question(name="again", variables=names, about_one=True, recall=True),
    }
    changed = replace(
        observer,
        carry=carry,
        exponent=1.0,
        halo={},
        halo_of_given={"told": Halo(given="told", probability=told)} if told else {},
        echo={"again": echo} if echo else {},
    )
    base = replace(base, questions=questions, observers={observer.name: changed})
    return Inference(compile_network(base), base)


def with_reading(answers, inference, question, drawn, view="face", stated=()):
    """Return the answers with one more reading of every item; stated: variable -> (N,)."""
    base, count = inference.knowledge, len(answers.items)
    (observer,) = base.observers.values()
    labels, numbers = {}, {}
    for name, values in drawn.items():
        item = np.repeat(np.arange(count), values.shape[1])
        if name in observer.numbers:
            numbers[name] = item, values.reshape(-1)
        else:
            labels[name] = item, values.reshape(-1).astype(np.int64), np.ones(len(item))
    further = Answers.unasked(answers.items).with_answers(
        (0, list(base.questions).index(question), view), labels, numbers
    )
    if stated:
        rows = list(zip(*(column.tolist() for column in dict(stated).values()), strict=True))
        givens = list(dict.fromkeys(rows))
        names = list(dict(stated))
        further = replace(
            further,
            reading_given=np.array([givens.index(row) for row in rows]),
            givens=tuple(tuple(zip(names, row, strict=True)) for row in givens),
        )
    return answers.joined(further)
