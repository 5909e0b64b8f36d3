"""Made-up truth and answers, drawn as the observation model has it (see `kernels` and `evidence`).

    truth x -> look j, the same for all -> what an observer sees, m -> what a reading brings out, r
    -> propensities θ -> answers

What inference sums over is drawn here, with the same kernels. A misfit makes observers that differ on
purpose from those that are declared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.inference.choice import choose
from engine.inference.shared_switch import SharedSwitch
from engine.inference.stated_answers import follow_stated
from engine.observation.evidence import Evidence
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.knowledge import Knowledge
    from engine.network.network import Network
    from engine.observation.evidence import ObservationModel
    from engine.observation.kernels import NumberKernel


# Products of codes up to this are told apart by 64 bits.
MOST_JOINT_CODES = 2**62


@dataclass(frozen=True)
class Misfit:
    """How simulated observers differ from the declared ones.

    independent: every draw is a reading of its own, which neither repeats nor carries anything over. halo:
    probability with which a reading that may follow its label does, instead of the declared one. drift: the
    share of answers that are anything: 0 of the first item, and growing to this of the last.
    """

    independent: bool = False
    halo: float | None = None
    drift: float = 0.0


AS_DECLARED = Misfit()
# What prompts state that state nothing.
NOTHING: Mapping[str, Floats] = MappingProxyType({})


def draw_truth(
    inference: Inference,
    evidence: Evidence,
    rng: np.random.Generator,
    known: Mapping[str, Ints] | None = None,
) -> dict[str, Ints]:
    """Draw a state of each variable but the derived ones, (N,), given evidence of one row an item.

    One variable after another from its marginal given those before, which together is the joint. Items that
    are alike in all that bears on a variable, given the root and those before, share its marginal, which is
    inferred once.

    known: variable -> (N,) the only state that the evidence leaves, -1 where it leaves several; what is known
    need not be inferred. The draws are the same without it.
    """
    logs, known = evidence.log_likelihood, known or {}
    truth: dict[str, Ints] = {}
    certain: dict[str, Floats] = {}
    # Which items have the same evidence of a variable.
    kinds: dict[str, Ints] = {}
    for name in (inference.network.root, *inference.network.node_of):
        drawn = known.get(name, np.full(evidence.items, -1)).copy()
        u, items = rng.random(evidence.items), np.flatnonzero(drawn < 0)
        if items.size:
            bearing = [v for v in bearing_on(inference.network, name, truth) if v in truth or v in logs]
            for v in (v for v in bearing if v not in truth and v not in kinds):
                kinds[v] = np.unique(logs[v], axis=1, return_inverse=True)[1].reshape(-1)
            first, alike = _alike([(truth if v in truth else kinds)[v][items] for v in bearing], len(items))
            rows = items[first]
            given = replace(
                evidence,
                items=len(rows),
                row_item=np.arange(len(rows)),
                log_weight=evidence.log_weight[rows],
                log_likelihood={v: (certain if v in certain else logs)[v][:, rows] for v in bearing},
                has_evidence=np.full(len(rows), bool(inference.steps)),
            )
            drawn[items] = choose(inference.marginals(given)[name][alike], u[items])
        truth[name] = drawn
        size = len(inference.knowledge.variables[name].states)
        certain[name] = np.where(np.arange(size)[:, None] == drawn, 0.0, -np.inf)
    return truth


def bearing_on(network: Network, name: str, known: Collection[str]) -> list[str]:
    """Return the variables of which a state or evidence may bear on a variable, in the network's order.

    known: those whose states are known. Given the root, nothing passes a node of which all is known (the
    nodes of each clique are neighbours of one another); on the root all bears.
    """
    if network.root not in known:
        return [network.root, *network.node_of]
    neighbours: dict[str, set[str]] = {node: set() for node in network.nodes}
    families = ((node.name, *node.parents) for node in network.function_nodes.values())
    for clique in (*network.cliques, *families):
        for node in clique:
            neighbours[node] |= set(clique)
    start = network.node_of[name].name
    reached, ahead = {start}, [start]
    while ahead:
        node = ahead.pop()
        state_node = network.state_nodes.get(node)
        if node == start or not state_node or not set(state_node.variables) <= set(known):
            ahead += neighbours[node] - reached
            reached |= neighbours[node]
    return [network.root, *(v for v, state_node in network.node_of.items() if state_node.name in reached)]


def _alike(codes: Sequence[Ints], items: int) -> tuple[Ints, Ints]:
    """Return the first item of each distinct row of codes (N,) each, and the row that each item has, (N,)."""
    joint, values = np.zeros(items, dtype=np.int64), 1
    for code in codes:
        size = int(code.max()) + 1
        if values > MOST_JOINT_CODES // size:
            joint = np.unique(joint, return_inverse=True)[1].reshape(-1)
            values = int(joint.max()) + 1
        joint, values = joint * size + code, values * size
    _, first, alike = np.unique(joint, return_index=True, return_inverse=True)
    return first, alike.reshape(-1)


def prior_truth(inference: Inference, items: int, rng: np.random.Generator) -> dict[str, Ints]:
    """Draw states of items of which nothing is known, variable -> (N,)."""
    none = np.zeros(items, dtype=bool)
    nothing = Evidence(items, np.arange(items), np.zeros(items), {}, none, np.zeros((2, 0), dtype=np.int64))
    return draw_truth(inference, nothing, rng)


def draw_looks(
    observations: ObservationModel, truth: Mapping[str, Ints], rng: np.random.Generator
) -> dict[str, Ints]:
    """Draw what each item looks like, and what families make of it, where observers are dependent.

    Variable -> (N, 1 + families): the look, then for each family of the look the answer that it settles on.
    """
    looks = {}
    # Looks of numbers have chance of their own: with or without them, all else is drawn as before.
    of_numbers = rng.spawn(1)[0]
    for name in truth:
        look = observations.shared_look(name)
        if look is not None:
            x = truth[name]
            chance = of_numbers if observations.knowledge.variables[name].kind == "interval" else rng
            drawn = choose(look.look_given_state[x], chance.random(len(x)))
            made = [choose(family.settled_given[x, drawn], chance.random(len(x))) for family in look.families]
            looks[name] = np.stack([drawn, *made], axis=1)
    return looks


def propensities(alpha: Floats, rng: np.random.Generator) -> Floats:
    """Draw distributions over answers, (N, answers), from a Dirichlet of each row of alpha, of its shape."""
    theta = rng.standard_gamma(alpha)
    return np.asarray(theta / theta.sum(1, keepdims=True))


def draw_labels(alpha: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Draw `count` answers from a Dirichlet-multinomial of each row of alpha (N, answers), (N, count)."""
    theta = propensities(alpha, rng)
    return np.stack([choose(theta, rng.random(len(theta))) for _ in range(count)], axis=1)


def draw_numbers(kernel: NumberKernel, kind: Ints, count: int, rng: np.random.Generator) -> Floats:
    """Draw numbers of the instrument, (N, count): on its grid and within its range, slips and blanks, too."""
    instrument, shape = kernel.instrument, (len(kind), count)
    value = instrument.gain * kernel.nodes[kind][:, None] + instrument.offset
    value = value + instrument.noise * rng.standard_normal(shape)
    if instrument.blank:
        value = np.where(rng.random(shape) < instrument.blank, instrument.nothing, value)
    value = np.where(rng.random(shape) < instrument.slip, _draw_any_number(kernel, shape, rng), value)
    on_grid = kernel.low + instrument.grid * np.round((value - kernel.low) / instrument.grid)
    return np.clip(on_grid, kernel.low, kernel.high)


def _draw_any_number(kernel: NumberKernel, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw numbers of the grid, all equally likely, in this shape."""
    steps = round((kernel.high - kernel.low) / kernel.instrument.grid)
    return np.asarray(kernel.low + kernel.instrument.grid * rng.integers(0, steps + 1, shape))


class SimulatedObserver:
    """One observer's answers about items of known truth; what it sees of an item stays the same.

    truth: variable -> (N,) states. when: (N,) where in the run each item stands, from 0 (first) to 1 (last).
    looks: what the items look like (`draw_looks`), the same for all observers; None where one is alone.
    """

    def __init__(
        self,
        observations: ObservationModel,
        name: str,
        truth: Mapping[str, Ints],
        rng: np.random.Generator,
        misfit: Misfit = AS_DECLARED,
        when: Floats | None = None,
        looks: Mapping[str, Ints] | None = None,
    ) -> None:
        self.observations, self.truth, self.rng, self.misfit = observations, truth, rng, misfit
        self.base = observations.knowledge
        self.index = [observer.name for observer in observations.observers].index(name)
        self.observer = observations.observers[self.index]
        self.items = len(truth[self.base.root])
        self.kernels = {v: k for (o, v), k in observations.kernels.items() if o == self.index}
        self.seen = {name: self._draw_settled(name, looks or {}, rng) for name in self.kernels}
        self.switches, self.told_switches = SharedSwitch(), SharedSwitch()
        self.usual: dict[str, SimulatedReading] = {}
        self.lost = misfit.drift * (np.linspace(0, 1, self.items) if when is None else when)

    def reading(
        self, question: str, draws: int, view: str = "", stated: Mapping[str, Floats] = NOTHING
    ) -> dict[str, NDArray[Any]]:
        """Ask a question about a view not shown yet; return answers by variable, (N, draws).

        view: its name; one without a name repeats no other. stated: as `begin` takes it. Labels are indices
        of the instrument's answers (binary: 0 absent, 1 present), numbers in the unit.
        """
        return self.begin(question, view=view, stated=stated).more(draws)

    def begin(
        self,
        question: str,
        rng: np.random.Generator | None = None,
        view: str = "",
        stated: Mapping[str, Floats] = NOTHING,
    ) -> SimulatedReading:
        """Begin a reading of a question about a view not shown yet; rng: of all that is drawn in it.

        stated: variable -> (N,) what its prompts state of the items, as `model.responses.Given` has it, NaN
        where they state nothing; how often answers echo that is left to `stated_answers.repeat_stated`. A
        view that repeats the usual one begins the reading of that, too, where it has not begun.
        """
        rng = self.rng if rng is None else rng
        share = 0.0 if self.misfit.independent else self.observations.repeats.get(view, 0.0)
        if share or view == self.base.usual_view:
            usual = self.usual.get(question) or SimulatedReading(self, question, rng, stated)
            self.usual[question] = usual
            if not share:
                return usual
            before = dict(self.switches.types)
            reading = SimulatedReading(self, question, rng, stated)
            once_more: Bools = np.asarray(rng.random(self.items) < share)
            reading.repeat(usual, once_more)
            # A label that was followed in a reading that is none is not kept.
            self.switches.types = {
                name: np.where(once_more, before.get(name, -1), types)
                for name, types in self.switches.types.items()
            }
            return reading
        return SimulatedReading(self, question, rng, stated)

    def reading_types(
        self, question: str, rng: np.random.Generator, stated: Mapping[str, Floats] = NOTHING
    ) -> dict[str, Ints]:
        """Draw what a reading brings out of each variable, (N,) reading types; stated: as `begin` has it."""
        names = [v for v in self.base.questions[question].variables if v in self.kernels]
        carry = 0.0 if self.misfit.independent else self.observations.carry[self.index]
        reading_types: dict[str, Ints] = {}
        for name in names:
            again = rng.random(self.items) < carry
            reading_types[name] = np.where(again, self.seen[name], self._draw_fresh(name, rng))
        self._follow_label(question, reading_types, rng)
        if stated:
            carry = 0.0 if self.misfit.independent else float(self.observations.carry[self.index])
            asked = self.observations, self.index, question
            follow_stated(*asked, stated, reading_types, self.told_switches, carry, rng)
        return reading_types

    def _draw_settled(self, name: str, looks: Mapping[str, Ints], rng: np.random.Generator) -> Ints:
        """Draw what the observer settles on, (N,) reading types."""
        look = self.observations.shared_look(name) if name in looks else None
        known = self.observations.observers_of(name)
        if look is None or self.index not in known:
            return self._draw_fresh(name, rng)
        place, x, drawn = known.index(self.index), self.truth[name], looks[name]
        number = look.family_of(place)
        if number < 0:
            given = look.answer_given[place][x, drawn[:, 0]]
        else:
            given = look.families[number].of_member(place)[x, drawn[:, 0], drawn[:, 1 + number]]
        return choose(given, rng.random(self.items))

    def _draw_fresh(self, name: str, rng: np.random.Generator) -> Ints:
        """Draw each item's type given its truth alone, (N,)."""
        return choose(np.asarray(self.kernels[name].mix)[self.truth[name]], rng.random(self.items))

    def _follow_label(self, question: str, reading_types: dict[str, Ints], rng: np.random.Generator) -> None:
        """Replace the types by those that the label implies, in items whose switch is on."""
        root, questions = self.base.root, list(self.base.questions)
        declared = self.observations.halo[self.index, questions.index(question)]
        halo = self.misfit.halo if declared and self.misfit.halo is not None else declared
        if root not in reading_types or not halo:
            return
        carry = 0.0 if self.misfit.independent else float(self.observations.carry[self.index])
        on, same = self.switches.draw(float(halo), carry, self.items, rng)
        first = self.switches.types
        if root in first:
            reading_types[root] = np.where(on & same, first[root], reading_types[root])
        label = self.observations.seen_state[self.index][reading_types[root]]
        for name in (name for name in reading_types if name != root):
            implied = np.asarray(self.observations.imagined[self.index, name])[label]
            followed = choose(implied, rng.random(self.items))
            if name in first:
                followed = np.where(same & (first[name] >= 0), first[name], followed)
            reading_types[name] = np.where(on, followed, reading_types[name])
            self.switches.keep(name, followed, on)
        self.switches.keep(root, reading_types[root], on)


class SimulatedReading:
    """One reading of all items: its types and propensities stay, whenever further answers are drawn.

    Answers are drawn one after another, so that the first do not depend on how many follow.
    """

    def __init__(
        self,
        observer: SimulatedObserver,
        question: str,
        rng: np.random.Generator,
        stated: Mapping[str, Floats] = NOTHING,
    ) -> None:
        self.observer, self.question, self.rng, self.stated = observer, question, rng, stated
        self._begin()

    def more(self, count: int) -> dict[str, NDArray[Any]]:
        """Draw further answers by variable, (N, count), as `SimulatedObserver.reading` has them."""
        drawn: dict[str, list[NDArray[Any]]] = {name: [] for name in self.reading_types}
        for _ in range(count):
            if self.observer.misfit.independent:
                self._begin()
            for name in self.reading_types:
                drawn[name].append(self._answer(name))
        return {name: np.stack(answers, axis=1) for name, answers in drawn.items()}

    def repeat(self, other: SimulatedReading, once_more: Bools) -> None:
        """Take what another reading brought out, and its propensities, of items in which it is that, (N,)."""
        for name, kind in other.reading_types.items():
            self.reading_types[name] = np.where(once_more, kind, self.reading_types[name])
        for name, theta in other.theta.items():
            self.theta[name] = np.where(once_more[:, None], theta, self.theta[name])

    def _begin(self) -> None:
        self.reading_types = self.observer.reading_types(self.question, self.rng, self.stated)
        self.theta: dict[str, Floats] = {}
        for name, kind in self.reading_types.items():
            kernel = self.observer.kernels[name]
            if isinstance(kernel, LabelKernel):
                place = list(self.observer.base.questions).index(self.question)
                (block,) = kernel.blocks(np.array([place])).tolist()
                self.theta[name] = propensities(np.asarray(kernel.alpha_of(block))[kind], self.rng)

    def _answer(self, name: str) -> NDArray[Any]:
        """Draw the next answer of each item about a variable, (N,)."""
        kernel, items = self.observer.kernels[name], self.observer.items
        lost = self.rng.random(items) < self.observer.lost
        if isinstance(kernel, LabelKernel):
            anything = self.rng.integers(0, kernel.alpha.shape[1], items)
            return np.where(lost, anything, choose(self.theta[name], self.rng.random(items)))
        number = _draw_any_number(kernel, (items,), self.rng)
        return np.where(lost, number, draw_numbers(kernel, self.reading_types[name], 1, self.rng)[:, 0])


def values_of(
    base: Knowledge, truth: Mapping[str, Ints], rng: np.random.Generator
) -> Iterator[tuple[str, list[Any]]]:
    """Yield variables with the truth as people write it: state names, true or false, numbers within a bin."""
    for name, states in truth.items():
        variable = base.variables[name]
        if variable.kind == "interval":
            edges = np.array(variable.edges)
            yield name, rng.uniform(edges[states], edges[states + 1]).tolist()
        elif variable.kind == "binary":
            yield name, (states == 1).tolist()
        else:
            yield name, [variable.states[state] for state in states]
