"""Requests -> prompts, rendered from the templates in the knowledge with the knowledge itself.

A template (`prompt` of a question) is jinja2, and may use

    knowledge.LEVEL   what a level is about: its states where it is one categorical variable, else its
                      variables; each with name, label, description, and what is told `about` it (muscle,
                      region)
    patterns          for each state of the root: name, label, usual (binary variables that are true more
                      often than for other states, most likely first), rare (those least likely) and means
                      (name and value of interval variables)
    codes             what may be named though it is no variable, and hides some: name, label, description and
                      hides (names of variables)
    counts            in a sentence, from which change on a binary variable counts
    confounders       what looks like a change and is none, in words
    unlike            variables that are taken for one another: name, names and statement; of a question about
                      one variable those with that one
    rules             name and statement of each rule that holds often, and how often (nearly always,
                      mostly, often)
    asks              names of the levels and variables that this answer is to tell of
    known             what is known of the picture already, where the question `tells` it: name, label, value
                      (a state, present or absent, or a number) and accuracy, in words
    doubt             what earlier answers contradict each other about; only names, no value is given away
    shown             the part that the picture was cut to; empty where it shows the whole
    whole             whether the whole stands beside that part
    about             the variable that the question is about, where it is about one
    sides             what is offered of that variable, each with name, label and description: of a binary one
                      false (as its `about.rest` says) and true, of a categorical one the states in question,
                      of an interval one the points of its scale; only names, no value is given away
    earlier           of a question that recalls: what the observer answered about that variable before
    against           of such a question: what contradicts that, in words
    sight             what an answer says first of how well it sees, where the question declares it: its key
                      and words, each with name and description, the last one for what cannot be judged
    scale             the ends (low, high) of the scale of numbers, where the question declares one; on it are
                      means, known values, and numbers that begin a text `about` an interval variable
    answer            the form of the answer as JSON

so that whoever edits YAML edits prompts. The template of `briefing` may use the first six (of `unlike` all
that there are): its text is the same in all prompts, and is told first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Briefing, Fault, KnowledgeError, SekeError, did_you_mean, shown_view, view_in_form
from engine import Place as At
from seke.console.plain_text import near
from seke.prompts.known_facts import known_facts
from seke.prompts.parser import read_choice
from seke.prompts.response_schema import form_of
from seke.prompts.scale_words import on_scale
from seke.sampling.loop import Request
from seke.vision.messages import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge, Question, Variable
    from seke.prompts.response_schema import Form
    from seke.vision.messages import Choice

    Record = dict[str, Any]

# A sign is a usual one of a state that shows it with this probability at least, and so many times as often
# as states do on average: what all states show tells nothing of one. Below the last one it is rare.
USUAL, TYPICAL, RARE = 0.25, 1.5, 0.1
# Prompts that are kept.
CACHED_PROMPTS = 1000
# How often a rule holds, in words: the first of them whose probability its confidence reaches. Of a rule
# below the last one nothing is told: it fails about as often as it holds.
OFTEN = ((0.95, "nearly always"), (0.8, "mostly"), (0.6, "often"))
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Context:
    """What a prompt may say of its item.

    known: variable -> value that is known already, a state's name, true or false, or a number. doubt:
    variables about which earlier answers contradict each other. shown: the part that the picture is cut to.
    known_by: the observer that stands for what is known, empty where none is named. states: those in question
    of a categorical variable that is asked about alone, in its order; all where it is empty. earlier,
    against: what a question that recalls states, see above.
    """

    known: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    doubt: tuple[str, ...] = ()
    shown: str = ""
    known_by: str = ""
    states: tuple[str, ...] = ()
    earlier: str | bool | float | None = None
    against: str = ""

    def given(self, question: Question, about: str | None) -> Record:
        """Return what the prompt of a question states of the item: variable -> value."""
        known = {name: value for name, value in self.known.items() if name in question.tells}
        return known | ({about: self.earlier} if about and self.earlier is not None else {})


@dataclass(frozen=True)
class Questions:
    """The questions of a base as prompts and forms; both are cached, since most items are asked alike."""

    base: Knowledge
    _prompts: dict[Any, Prompt] = field(default_factory=dict, repr=False, compare=False)
    _forms: dict[Any, Form] = field(default_factory=dict, repr=False, compare=False)
    _systems: dict[Any, str] = field(default_factory=dict, repr=False, compare=False)

    def prompt(self, request: Request, context: Context | None = None) -> Prompt:
        """Return the prompt of a request.

        Raises:
            engine.KnowledgeError: a template that cannot be rendered, at its place.
            engine.SekeError: a question without a template, or to an observer who reports nothing of it.
        """
        context = context or Context()
        # The view says in which form it is asked.
        key = (
            *request.line[1:],
            *map(str, context.known.items()),
            context.doubt,
            context.shown,
            context.known_by,
            context.states,
            repr(context.earlier),
            context.against,
        )
        if key not in self._prompts:
            if len(self._prompts) >= CACHED_PROMPTS:
                self._prompts.clear()
            self._prompts[key] = self._make_prompt(request, context)
        return self._prompts[key]

    def _make_prompt(self, request: Request, context: Context) -> Prompt:
        form = self.form(request, context)
        question = self.base.questions[request.question]
        if not question.prompt:
            raise SekeError(
                f"{near(question.place)}: question {question.name} has no `prompt`, so no model can be asked"
            )
        words = self._words(request, context, form)
        at = f"questions.{question.name}.prompt", question.prompt_place
        # A question about one variable lists in its own text what can be named; what all share stays.
        system = self.system(question.scale, reverse=_is_reversed(request) and not request.about)
        text = _render(question.prompt, words, *at)
        return Prompt.of(text, form.schema(), system, context.given(question, request.about))

    def system(self, scale: tuple[float, float] | None = None, *, reverse: bool = False) -> str:
        """Return what is told first in all prompts on one scale; empty where the base has no such text.

        reverse: with what can be named in reversed order.

        Raises:
            engine.KnowledgeError: a template that cannot be rendered, at its place.
        """
        if (scale, reverse) not in self._systems:
            words = on_scale(self._knowledge_words, self.base, scale)
            words = _reversed_words(words) if reverse else words
            words = {**words, "unlike": self._lookalikes(set(self.base.variables))}
            place = "briefing.prompt", self.briefing.prompt_place
            self._systems[scale, reverse] = _render(self.briefing.prompt, words, *place)
        return self._systems[scale, reverse]

    def read(self, request: Request, choice: Choice, context: Context | None = None) -> Record:
        """Return the sample record that an answer to a request makes."""
        levels = read_choice(self.form(request, context or Context()), choice)
        key = {"item": request.item, "observer": request.observer, "question": request.question}
        return {**key, "view": request.view, "draw": choice.draw, **levels}

    def form(self, request: Request, context: Context) -> Form:
        """Return the form of an answer to a request."""
        key = (request.observer, request.question, request.about, frozenset(context.known))
        if key not in self._forms:
            self._forms[key] = form_of(self.base, *key)
        return self._forms[key].reversed() if _is_reversed(request) else self._forms[key]

    def check(self) -> None:
        """Render every template that the policy may use, once.

        Raises:
            engine.KnowledgeError: all templates that cannot be rendered, each at its place.
        """
        faults: list[Fault] = []
        for request in self.all_requests():
            question = self.base.questions[request.question]
            if question.tells and question.name not in self.base.observers[request.observer].halo_of_given:
                faults.append(_told_fault(question, request.observer))
            try:
                self.prompt(request)
                self.prompt(request, _told_example(self.base, question))
            except KnowledgeError as error:
                faults += error.faults
            except SekeError:
                continue
        if faults:
            raise KnowledgeError(faults)

    def variants(self, request: Request) -> list[tuple[str, Prompt]]:
        """Return each prompt that a request may have, and in words when it has it; the plain one first."""
        base, question = self.base, self.base.questions[request.question]
        variable = base.variables[request.about] if request.about else None
        region = variable.about.get("region", "") if variable else ""
        states = variable.states[:2] if variable and variable.kind == "categorical" else ()
        contexts = [
            ("", Context()),
            (", of a part of the picture", Context(shown=str(region) if question.enlarge else "")),
            (", where earlier answers differ", Context(doubt=tuple(base.cells)[:1])),
            (", told what is known", _told_example(base, question)),
            (f", where {' and '.join(states)} are in question", Context(states=states)),
        ]
        if question.recall:
            earlier = variable.states[-1] if variable and variable.kind != "interval" else 0.0
            contexts.append((", where an earlier answer is stated", Context(earlier=earlier)))
        prompts: dict[str, tuple[str, Prompt]] = {}
        for form, order in enumerate(("", ", in reversed order")[: question.forms]):
            in_form = replace(request, view=view_in_form(request.view, form))
            for case, context in contexts:
                prompt = self.prompt(in_form, context)
                prompts.setdefault(prompt.digest, (case + order, prompt))
        return [*prompts.values()]

    def all_requests(self, item: str = "item") -> list[Request]:
        """Return a request of each question to each observer that the policy may ask; of those about one
        variable one.
        """
        policy, requests = self.base.policy, []
        for observer in dict.fromkeys(name for name in (policy.ask, *policy.others) if name):
            reporter = self.base.observers[observer]
            for question in self.base.questions.values():
                variables = [name for name in question.variables if name in reporter.instruments]
                if variables and question.prompt:
                    about = variables[0] if question.about_one else None
                    requests.append(Request(item, observer, question.name, about, self.base.usual_view, 0, 1))
        return requests

    def _words(self, request: Request, context: Context, form: Form) -> Record:
        asked = {name for key in form.keys for name in key.members}
        levels = [name for name, members in self.base.levels.items() if asked & set(members)]
        question = self.base.questions[request.question]
        scale = question.scale
        known = known_facts(self.base, context.given(question, None), context.known_by)
        sides = self._sides(request.about, context.states, scale) if request.about else []
        named = {**on_scale(self._knowledge_words, self.base, scale), "sides": sides}
        return {
            **(_reversed_words(named) if _is_reversed(request) else named),
            "asks": [*levels, *(name for name in self.base.variables if name in asked)],
            # A template that states what its question does not declare names something that is not there.
            **({"known": on_scale({"known": known}, self.base, scale)["known"]} if question.tells else {}),
            "scale": {"low": scale[0], "high": scale[1]} if scale else None,
            "doubt": [self._entry(self.base.variables[name]) for name in context.doubt],
            "shown": context.shown,
            "whole": bool(context.shown) and question.whole,
            "about": self._entry(self.base.variables[request.about]) if request.about else None,
            "unlike": self._lookalikes(asked),
            "sight": _sight_words(question),
            "earlier": None if context.earlier is None else _stated(context.earlier),
            "against": context.against,
            "answer": form.words(),
        }

    def _sides(self, about: str, states: tuple[str, ...], scale: tuple[float, float] | None) -> list[Record]:
        """Return what is offered of a variable, in its declared order; states: those of a categorical one."""
        variable = self.base.variables[about]
        if variable.kind == "interval":
            points = on_scale(self._entry(variable), self.base, scale)["about"]
            return [{"name": name, "label": name, "description": text} for name, text in points.items()]
        texts = variable.descriptions
        if variable.kind == "binary":
            texts = {"false": variable.about.get("rest", ""), "true": variable.description}
        offered = states or variable.states
        return [{"name": state, "label": state, "description": texts.get(state, "")} for state in offered]

    def _lookalikes(self, asked: set[str]) -> list[Record]:
        """Return what tells variables apart of which at least one is asked for."""
        return [
            {"name": alike.name, "names": [*alike.of], "statement": alike.statement}
            for alike in self.briefing.unlike
            if not asked.isdisjoint(alike.of)
        ]

    @cached_property
    def briefing(self) -> Briefing:
        """What is told to all who are asked."""
        return self.base.briefing or Briefing()

    @cached_property
    def _knowledge_words(self) -> Record:
        """The words that every template may use: levels, patterns and rules of the base."""
        base = self.base
        rules = [
            {"name": rule.name, "statement": rule.statement, "often": _often(rule.confidence)}
            for rule in base.rules
            if rule.statement and rule.confidence >= OFTEN[-1][0]
        ]
        codes = [
            {"name": code.name, "label": code.label, "description": code.description, "hides": [*code.hides]}
            for code in base.codes.values()
            if code.hides
        ]
        levels = {name: self._level(members) for name, members in base.levels.items()}
        briefed = {"counts": self.briefing.counts, "confounders": [*self.briefing.confounders.values()]}
        return {"knowledge": levels, "patterns": self._patterns(), "codes": codes, "rules": rules, **briefed}

    def _level(self, members: tuple[str, ...]) -> list[Record]:
        only = self.base.variables[members[0]]
        if len(members) > 1 or only.kind != "categorical":
            return [self._entry(self.base.variables[name]) for name in members]
        return [
            {"name": state, "label": state, "description": only.descriptions.get(state, "")}
            for state in only.states
        ]

    def _patterns(self) -> list[Record]:
        base, patterns = self.base, []
        cells = {name: np.array([cell.p for cell in row]) for name, row in base.cells.items()}
        for k, state in enumerate(base.variables[base.root].states):
            ranked = sorted(cells, key=lambda name: -cells[name][k])
            typical = (n for n in ranked if cells[n][k] >= max(USUAL, TYPICAL * cells[n].mean()))
            usual = [self._entry(base.variables[n]) for n in typical]
            rare = [self._entry(base.variables[n]) for n in reversed(ranked) if cells[n][k] < RARE]
            means = base.moments[k].mean if base.moments else ()
            mean_values = [
                {"name": n, "value": round(m, 1) + 0.0} for n, m in zip(base.intervals, means, strict=False)
            ]
            patterns.append(
                {"name": state, "label": state, "usual": usual, "rare": rare, "means": mean_values}
            )
        return patterns

    def _entry(self, variable: Variable) -> Record:
        described = {"name": variable.name, "label": variable.label, "description": variable.description}
        return described | {"about": dict(variable.about)}


def _render(template: str, words: Record, path: str, place: At) -> str:
    """Return the text of a template at a place of the YAML.

    Raises:
        engine.KnowledgeError: it cannot be rendered.
    """
    from seke.prompts import bounded_template

    try:
        return bounded_template.render(template, words).strip()
    except Exception as error:  # a template's expressions may raise anything
        fault = error
        if isinstance(error, RecursionError):
            deep = "it is nested too deeply, or calls itself without end"
            fault = RecursionError(deep).with_traceback(error.__traceback__)
        raise KnowledgeError([_fault(template, fault, words, path, place)]) from None


def _stated(value: str | bool | float) -> str:
    """Return an earlier answer as a prompt states it."""
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _fault(template: str, error: Exception, words: Record, path: str, place: At) -> Fault:
    """Return what is wrong with a template, and where."""
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error).split()) or type(error).__name__
    missing = text.split("'")[1] if text.startswith("'") and "is undefined" in text else ""
    hint = did_you_mean(missing, words) if missing and " " not in missing else ""
    if missing == "known":
        hint = "; a question whose prompt states what is known names that under `tells`"
    # The text begins below the line on which a block scalar is opened.
    below = place.line + (line or 0) if "\n" in template else place.line
    where = f"line {line} of the template: " if line else ""
    return Fault(At(place.file, below, place.column), path, f"{where}{text}{hint}")


def _is_reversed(request: Request) -> bool:
    """Say whether a request lists what can be named in reversed order."""
    return request.view != shown_view(request.view)


def _reversed_words(words: Record) -> Record:
    """Return the words of a prompt with what can be named in reversed order."""
    levels = {name: entries[::-1] for name, entries in words["knowledge"].items()}
    lists = {name: words[name][::-1] for name in ("patterns", "codes", "sides") if name in words}
    return words | {"knowledge": levels} | lists


def _told_fault(question: Question, observer: str) -> Fault:
    """Return the fault of a question that tells an observer what it may then follow instead of looking."""
    halo = f"halo: {{{question.name}: {{given: told, probability: ...}}}}"
    message = f"nothing says how often observer {observer} follows what it is told; declare it as `{halo}`"
    return Fault(question.place, f"questions.{question.name}.tells", message)


def _told_example(base: Knowledge, question: Question) -> Context:
    """Return a context in which a question tells its first variable; an empty one where it tells nothing."""
    labellers = (name for name, observer in base.observers.items() if observer.origin == "label")
    known: Record = {}
    for variable in (base.variables[name] for name in question.tells[:1]):
        values = {"binary": True, "interval": sum(variable.edges[:: len(variable.edges) - 1]) / 2}
        known = {variable.name: values.get(variable.kind, variable.states[0])}
    return Context(known, known_by=next(labellers, "") if known else "")


def _sight_words(question: Question) -> Record | None:
    """Return key and words of what an answer says first; None where the question declares nothing."""
    if question.sight is None:
        return None
    words = [{"name": name, "description": text} for name, text in question.sight.words.items()]
    return {"key": question.sight.key, "words": words}


def _often(confidence: float) -> str:
    """Return in words how often a rule holds."""
    return next(words for least, words in OFTEN if confidence >= least)
