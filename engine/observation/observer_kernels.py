"""The kernels of observers, what their labels imply for other variables, and the looks that they share."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace, zeros_like_of
from engine.backend.last_used import LastUsed
from engine.model.confusion import own_answers
from engine.model.knowledge import NumberInstrument
from engine.observation.carried_likelihood import log_mixture
from engine.observation.dependence import (
    LookInputs,
    SharedLook,
    kept_looks,
    settled_follows,
    shared_looks,
)
from engine.observation.echo import Echo
from engine.observation.family import Member, families_of, family_follows, with_families
from engine.observation.kernels import (
    LEAST,
    LabelKernel,
    NumberKernel,
    label_kernel,
    number_kernel,
)
from engine.observation.number_looks import NumberTeller, number_look
from engine.observation.question_rates import kernel_by_question
from engine.observation.report_memory import ReportMemory
from engine.observation.reported_answers import reported_answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Self

    from engine.backend.types import Array, Bools, Floats, Ints
    from engine.model.knowledge import Halo, Knowledge, LabelInstrument, Observer
    from engine.model.responses import Answers
    from engine.model.variable import Variable
    from engine.network.network import Network
    from engine.observation.reported_answers import ReportedAnswers

    Kernel = LabelKernel | NumberKernel


# Kernels that are kept, since every session of a base asks for the same; each has some kilobytes.
_KNOWN: LastUsed[tuple[LabelInstrument, str, tuple[str, ...], bytes], LabelKernel] = LastUsed(1024)


def _by_variable(kernels: Iterable[tuple[int, str]]) -> dict[str, list[int]]:
    """Return variable -> the indices of the observers that answer about it."""
    observers: dict[str, list[int]] = {}
    for index, name in kernels:
        observers.setdefault(name, []).append(index)
    return observers


@dataclass(frozen=True)
class LabelLook:
    """What the looks of a variable of labels come of: shared by all, by families, and by types of reading.

    shares, answer_of: those of `SharedLook.of_types`.
    """

    look: LookInputs
    families: Sequence[Sequence[Member]]
    shares: Sequence[Floats]
    answer_of: Sequence[Ints]

    def finished(self, look: SharedLook) -> SharedLook:
        """Return the looks with families, and types of reading in the place of answers."""
        return with_families(look, self.families).of_types(self.shares, self.answer_of)


class ObserverKernels:
    """The kernels of a network's observers, and what their labels imply for other variables.

    carry, exponent: (observers,). halo: (observers, questions) probability of the switch; halo_of_given: that
    of readings that were told something. echo: by observer, of answers that merely repeat what their prompt
    stated. imagined: (observer, variable) -> (K + 1, M), the distribution of
    the type that a label brings with it: given each root state, and overall for a label that is no root
    state.
    """

    def __init__(
        self, network: Network, knowledge: Knowledge, population: str, like: ObserverKernels | None = None
    ) -> None:
        """Build the kernels; those of a like model whose declaration is the same are reused."""
        self.network, self.knowledge = network, knowledge
        self.observers = tuple(knowledge.observers.values())
        self.kernels: dict[tuple[int, str], Kernel] = {}
        self.imagined: dict[tuple[int, str], Array] = {}
        self.prior = np.array(knowledge.populations[population].p)
        keep = like if like and like.has_observers_of(knowledge, self.prior) else None
        # What is remembered of answers that are weighed again by like models, see `remembering`.
        self.memory: ReportMemory | None = keep.memory if keep else None
        for index, observer in enumerate(self.observers):
            old = keep.observers[index].instruments if keep else {}
            for name, instrument in observer.instruments.items():
                if keep and (old.get(name) is instrument or old.get(name) == instrument):
                    self.kernels[index, name] = keep.kernels[index, name]
                else:
                    self.kernels[index, name] = self._kernel(instrument, knowledge.variables[name])
        self._observers_of = _by_variable(self.kernels)
        for key, kernel in self.kernels.items():
            same = keep and keep.observers[key[0]].stereotype == self.observers[key[0]].stereotype
            if keep and same and keep.network.factors is network.factors and keep.kernels.get(key) is kernel:
                self.imagined |= {key: keep.imagined[key]} if key in keep.imagined else {}
            elif key[1] != network.root:
                self.imagined[key] = self._implied_types(key, kernel)
        self.carry: Array = np.array([o.carry for o in self.observers])
        self.exponent: Array = np.array([o.exponent for o in self.observers])
        self.halo: Array = self._switches([observer.halo for observer in self.observers])
        self.haloed = self.halo > 0
        self.echo: list[Echo] = [
            keep.echo[index]
            if keep and keep.has_echo_of(index, observer, knowledge)
            else _echo_of(observer, knowledge)
            for index, observer in enumerate(self.observers)
        ]
        self.halo_of_given = self._switches([observer.halo_of_given for observer in self.observers])
        # Whose switches carry over, whatever a fit makes of `carry`.
        self.carries: Bools = np.asarray(np.array([o.carry for o in self.observers]) > 0)
        self.repeats = {view.name: view.repeats for view in knowledge.views.values() if view.repeats}
        self.dependent = knowledge.dependence is not None
        self._looks: dict[str, SharedLook | None] = self._reusable_looks(keep) if keep else {}
        self.seen_state = {
            index: self._states_of(root_kernel, index)
            for index in range(len(self.observers))
            if isinstance(root_kernel := self.kernels.get((index, network.root)), LabelKernel)
        }

    def _switches(self, halos: Sequence[Mapping[str, Halo]]) -> Floats:
        """Return the probability of each observer's switch at each question, (observers, questions)."""
        rates = [
            [halo[question].probability if question in halo else 0.0 for question in self.knowledge.questions]
            for halo in halos
        ]
        return np.array(rates).reshape(len(self.observers), -1)

    def has_observers_of(self, knowledge: Knowledge, prior: Floats) -> bool:
        """Return whether the observers, by name and in order, and the prior (K,) are these."""
        names = [observer.name for observer in self.observers]
        return names == list(knowledge.observers) and np.array_equal(self.prior, prior)

    def has_echo_of(self, index: int, observer: Observer, knowledge: Knowledge) -> bool:
        """Return whether an observer echoes what prompts state as its namesake here does."""
        namesake = self.observers[index]
        if list(self.knowledge.questions) != list(knowledge.questions):
            return False
        return namesake is observer or (
            namesake.echo == observer.echo
            and namesake.labels.keys() == observer.labels.keys()
            and all(namesake.labels[name].answers == label.answers for name, label in observer.labels.items())
        )

    def remembering(self, answers: Answers) -> Self:
        """Return the same model; it, and those made like it, remember what these answers report."""
        model = copy(self)
        model.memory = ReportMemory(answers)
        return model

    def apart(self, log_follow: Array) -> Array:
        """Return what answers about a variable say of the label that they follow, (n, K + 1), as it goes on.

        That is as it comes; whoever takes derivatives step by step puts another function in this place.
        """
        return log_follow

    def reported(self, answers: Answers, observer: int, name: str) -> ReportedAnswers:
        """Return what an observer's readings report about a variable."""
        kernel, echo = self.kernels[observer, name], self.echo[observer]
        if self.memory is None or self.memory.answers is not answers:
            return reported_answers(answers, observer, name, kernel, echo)
        return self.memory.reported(observer, name, kernel, echo)

    def mixture(self, table: Array, mix: Array) -> Array:
        """Return `log_mixture` of these, (P, X), from the memory where it is there."""
        return log_mixture(table, mix) if self.memory is None else self.memory.mixture(table, mix)

    def with_kernels(
        self,
        kernels: Mapping[tuple[int, str], Kernel],
        carry: Array,
        exponent: Array,
        halo: Array,
        stereotype: Mapping[tuple[int, str], Array],
    ) -> Self:
        """Return the same observers with other kernels, carry, exponent and halo, which may be torch's.

        Halo stays 0 where it is: whether a reading has a switch does not change. stereotype: P(true | root
        state), (K,), of binary variables where it is not the declared one.
        """
        model = copy(self)
        model.kernels = dict(kernels)
        model._observers_of = _by_variable(kernels)
        model.carry, model.exponent, model.halo = carry, exponent, halo
        # A fit learns each observer's own errors; given the gold, dependence says nothing about them.
        model.dependent, model._looks, model.memory = False, {}, None
        root = self.network.root
        model.imagined = {
            key: self._implied_types(key, kernel, stereotype.get(key))
            for key, kernel in kernels.items()
            if key[1] != root
        }
        return model

    def stereotype(self, key: tuple[int, str]) -> Floats:
        """Return P(state of a variable | root state) as an observer's label implies it, (K, states)."""
        observer, name = key
        table = self.network.given_root[name].copy()
        for state, brought in self.observers[observer].stereotype.items():
            if name in brought:
                p = brought[name]
                table[self.network.root_states.index(state)] = (1 - p, p)
        return table

    def _implied_types(self, key: tuple[int, str], kernel: Kernel, true: Array | None = None) -> Array:
        """Return P(type | state that the label implies), (K + 1, M), see `imagined`."""
        table = asarray_like(self.stereotype(key), kernel.mix)
        xp = namespace(kernel.mix)
        if true is not None:
            table = xp.stack([1 - true, true], 1)
        stereotype = xp.concatenate([table, asarray_like(self.prior[None], kernel.mix) @ table])
        if isinstance(kernel, NumberKernel):
            return stereotype @ kernel.mix
        return stereotype[:, kernel.answer_of] * kernel.share

    def _kernel(self, instrument: LabelInstrument | NumberInstrument, variable: Variable) -> Kernel:
        if isinstance(instrument, NumberInstrument):
            return number_kernel(instrument, variable)
        if instrument.by_question:
            return self._kernel_by_question(instrument)
        key = instrument, variable.kind, variable.states, self.prior.tobytes()
        kernel = _KNOWN.get(key)
        if kernel is None:
            kernel = label_kernel(instrument, variable, self.prior)
            _KNOWN.put(key, kernel)
        return kernel

    def _kernel_by_question(self, instrument: LabelInstrument) -> LabelKernel:
        """Return the kernel of a binary variable that some questions have tables of their own for."""
        tables = [np.array(table) for table in (instrument.confusion, *dict(instrument.by_question).values())]
        questions = [list(self.knowledge.questions).index(name) for name, _ in instrument.by_question]
        (kind,) = instrument.types
        repeat, strength = np.array([kind.repeat]), np.array([kind.strength])
        least = [None] * len(tables)
        return kernel_by_question(tables, questions, repeat, strength, instrument.weight, least)

    def _states_of(self, kernel: LabelKernel, observer: int) -> Ints:
        """Return for each type, (M,), the root state that its own answer names, K where it names none."""
        states = self.network.root_states
        names = self.observers[observer].labels[self.network.root].answers
        return np.array(
            [states.index(names[a]) if names[a] in states else len(states) for a in kernel.answer_of]
        )

    def shared_look(self, name: str) -> SharedLook | None:
        """Return the looks that the observers of a variable share; None where observers are independent.

        Its answers are the types of the observers' kernels, in the order of `observers_of`.
        """
        if name not in self._looks:
            self._looks[name] = self._derive_look(name)
        return self._looks[name]

    def observers_of(self, name: str) -> list[int]:
        """Return the indices of the observers that answer about a variable."""
        return self._observers_of.get(name, [])

    def _reusable_looks(self, like: ObserverKernels) -> dict[str, SharedLook | None]:
        """Return the looks of a like model that were derived from the same tables, follows and section."""
        if like.knowledge.dependence != self.knowledge.dependence:
            return {}

        def traits(observer: Observer) -> tuple[float, str, float, bool]:
            follows, family = settled_follows(observer), observer.family
            return follows, family, family_follows(observer), observer.follows_only

        pairs = zip(like.observers, self.observers, strict=True)
        alike = [old is new or traits(old) == traits(new) for old, new in pairs]

        def same_inputs(name: str) -> bool:
            known = self.observers_of(name)
            return known == like.observers_of(name) and all(
                alike[o] and like.kernels[o, name] is self.kernels[o, name] for o in known
            )

        return {name: look for name, look in like._looks.items() if like.dependent and same_inputs(name)}

    def _derive_look(self, name: str) -> SharedLook | None:
        """Return the looks of a variable, derived from the tables of its observers.

        Those of other variables of labels that have as many states come with it: what is asked about one is
        asked about them, too, and together they take little longer.
        """
        declared, known = self.knowledge.dependence, self.observers_of(name)
        if not self.dependent or declared is None:
            return None
        variables = self.knowledge.variables
        variable = variables[name]
        if variable.kind == "interval":
            return number_look(variable.edges, [self._teller(o, name) for o in known])
        shape = variable.kind, len(variable.states)
        like = [n for n in self._observers_of if (variables[n].kind, len(variables[n].states)) == shape]
        inputs = {n: self._label_look(n) for n in dict.fromkeys([name, *like]) if n not in self._looks}
        several = {n: look_inputs for n, look_inputs in inputs.items() if look_inputs is not None}
        looks = kept_looks([look_inputs.look for look_inputs in several.values()], declared)
        self._looks |= dict.fromkeys(inputs) | {
            n: several[n].finished(look) for n, look in zip(several, looks, strict=True)
        }
        return self._looks[name]

    def _label_look(self, name: str) -> LabelLook | None:
        """Return what the looks of a variable of labels come of; None where its observers share nothing."""
        known = self.observers_of(name)
        observers = [self.observers[o] for o in known]
        follows = np.array([settled_follows(observer) for observer in observers])
        answers = [observer.labels[name].answers for observer in observers]
        kernels = [kernel for o in known if isinstance(kernel := self.kernels[o, name], LabelKernel)]
        mixes, answer_of = [np.asarray(k.mix) for k in kernels], [k.answer_of for k in kernels]
        tables = [
            mix @ np.eye(len(a))[named] for mix, a, named in zip(mixes, answers, answer_of, strict=True)
        ]
        shares = [
            mix / np.maximum(table[:, named], LEAST)
            for mix, table, named in zip(mixes, tables, answer_of, strict=True)
        ]
        strengths = map(family_follows, observers)
        members = list(map(Member, range(len(known)), answers, tables, strengths))
        families = families_of(observers, members)
        if np.count_nonzero(follows) < 2 and not families:
            return None
        variable = self.knowledge.variables[name]
        matches = [own_answers(a, variable) for a in answers]
        shapes = [not observer.follows_only for observer in observers]
        return LabelLook(LookInputs(tables, matches, follows, shapes), families, shares, answer_of)

    def _teller(self, index: int, name: str) -> NumberTeller:
        """Return an observer as one that tells a number, by its kernel: a fit may have moved the declared."""
        observer, kernel = self.observers[index], self.kernels[index, name]
        assert isinstance(kernel, NumberKernel)
        return NumberTeller(
            cuts=tuple(kernel.cuts.tolist()),
            sd=float(kernel.instrument.perception),
            stray=float(kernel.instrument.stray),
            follows=settled_follows(observer),
            family=observer.family,
            family_follows=family_follows(observer),
        )

    def zeros(self, *shape: int) -> Array:
        """Return zeros of a shape, in the library of the kernels, and on their device."""
        return zeros_like_of(shape, self.exponent)


def derive_looks(models: Sequence[ObserverKernels], names: Iterable[str]) -> None:
    """Derive the looks of variables of labels for many models at once; they keep them.

    models: of the same base, as are draws of a fit.
    """
    declared = models[0].knowledge.dependence if models else None
    if declared is None:
        return
    missing = [
        (model, name, inputs)
        for model in models
        for name in names
        if model.dependent and name not in model._looks and (inputs := model._label_look(name)) is not None
    ]
    looks = shared_looks([inputs.look for _, _, inputs in missing], declared)
    for (model, name, inputs), look in zip(missing, looks, strict=True):
        model._looks[name] = inputs.finished(look)


def _echo_of(observer: Observer, knowledge: Knowledge) -> Echo:
    answer_of = {
        name: np.array([_place(state, label.answers) for state in knowledge.variables[name].states])
        for name, label in observer.labels.items()
    }
    return Echo(np.array([observer.echo.get(question, 0.0) for question in knowledge.questions]), answer_of)


def _place(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else -1
