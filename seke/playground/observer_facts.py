"""How the observers of a base answer, as JSON values: all that likelihoods of answers need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from engine import Inference, Knowledge, Observer
    from seke.playground.knowledge_facts import Citations

    Facts = dict[str, Any]


def observer_facts(inference: Inference, citations: Citations) -> list[Facts]:
    """Return the observers of an inference, each with its kernels and with the questions it can answer.

    Of labels a kernel is `mix` P(type | truth), (K, M), and `alpha`, (M, answers); of numbers it is computed
    on the page, from the instrument and the cuts between the values that a reading brings out.
    """
    base = inference.knowledge
    return [
        facts
        for index in range(len(base.observers))
        if (facts := _observer(inference, citations, index))["questions"]
    ]


def _observer(inference: Inference, citations: Citations, index: int) -> Facts:
    base = inference.knowledge
    observer = list(base.observers.values())[index]
    return {
        "name": observer.name,
        "label": observer.label or observer.name,
        "description": observer.description,
        "exponent": observer.exponent,
        "stereotype": {state: dict(brought) for state, brought in observer.stereotype.items()},
        "labels": {
            name: _labels(inference, index, name) | citations.of(instrument)
            for name, instrument in observer.labels.items()
        },
        "numbers": {
            name: _numbers(inference, index, name) | citations.of(instrument)
            for name, instrument in observer.numbers.items()
        },
        "questions": _questions(base, observer),
    }


def _questions(base: Knowledge, observer: Observer) -> list[Facts]:
    """Return the questions about several variables, and about what; all of them may follow a label."""
    return [
        {
            "name": question.name,
            "label": question.label or question.name,
            "variables": variables,
            "halo": observer.halo[question.name].probability if question.name in observer.halo else 0.0,
        }
        for question in base.questions.values()
        if not question.about_one
        and (variables := [name for name in question.variables if name in observer.instruments])
    ]


def _labels(inference: Inference, index: int, name: str) -> Facts:
    kernel: Any = inference.observations.kernels[index, name]
    questions = list(inference.knowledge.questions)
    return {
        "answers": list(inference.observations.observers[index].labels[name].answers),
        "mix": np.asarray(kernel.mix).tolist(),
        "alpha": np.asarray(kernel.alpha).tolist(),
        "by_question": {
            questions[question]: np.asarray(alpha).tolist() for question, alpha in kernel.by_question
        },
        "answer_of": np.asarray(kernel.answer_of).tolist(),
        "share": np.asarray(kernel.share).tolist(),
    }


def _numbers(inference: Inference, index: int, name: str) -> Facts:
    kernel: Any = inference.observations.kernels[index, name]
    keys = ("gain", "offset", "perception", "noise", "slip", "grid", "blank", "nothing", "stray")
    return {
        **{key: getattr(kernel.instrument, key) for key in keys},
        "cuts": [float(kernel.cuts[0]), float(kernel.cuts[-1]), len(kernel.cuts)],
    }
