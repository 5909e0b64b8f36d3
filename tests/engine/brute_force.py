"""The whole story of world and observers, summed out term by term: what the engine must agree with.

Slow, for small bases only, and written from the declared knowledge: couplings and rules are evaluated as
declared, with the fitted weight θ; only the local tables and θ are taken from the compiled network. What an
observer sees is found by solving C R = T, what it brings out by summing over every type, and counts by a
Pólya urn, answer by answer.

`random_base` and `random_items` make bases and answers to compare on; `answers_of` writes answers in the
engine's columns.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import (
    Answers,
    Basis,
    Knowledge,
    Labels,
    LevelDecision,
    Numbers,
    Observer,
    Origin,
    Policy,
    Question,
    Rankings,
    Variable,
    compile_network,
)
from engine.language.formula_parser import parse
from engine.model.knowledge import (
    Cell,
    Clarity,
    Coupling,
    Dependence,
    Halo,
    LabelInstrument,
    Moments,
    NumberInstrument,
    Population,
    ReadingType,
    Rule,
)
from engine.observation.dependence import shared_look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from engine import Network
    from engine.observation.dependence import SharedLook

    Floats = NDArray[np.float64]


DEPENDENCE = Dependence(
    clear=Clarity(right=0.8, seen=0.9), ambiguous=Clarity(right=0.2, seen=0.7), n=20, look_n=5, seen_n=8
)


@dataclass(frozen=True)
class Ranked:
    """Places 1 to 3 of a ranking, as answers' indices."""

    places: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """A reported distribution over the answers."""

    p: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """One observer, question and view; each draw maps variables to an index, number, Ranked or Spread."""

    observer: str
    question: str
    view: str
    draws: tuple[Mapping[str, Any], ...]
    # What the prompt stated: (variable, value) pairs.
    given: tuple[tuple[str, float], ...] = ()

    @property
    def variables(self) -> set[str]:
        return {name for draw in self.draws for name in draw}

    @property
    def parts(self) -> tuple[Reading, ...]:
        return (self,)


@dataclass(frozen=True)
class Joined:
    """Readings of one observer that follow one label together."""

    parts: tuple[Reading, ...]

    @property
    def observer(self) -> str:
        return self.parts[0].observer

    @property
    def given(self) -> tuple[tuple[str, float], ...]:
        return self.parts[0].given

    @property
    def variables(self) -> set[str]:
        return {name for part in self.parts for name in part.variables}


@dataclass(frozen=True)
class Truth:
    """What brute force finds for one item; the same fields as `engine.Posterior` for N items."""

    marginals: Mapping[str, Floats]
    correlation: float
    log_evidence: float
    violations: Mapping[str, float]


_COMPILED: list[tuple[Knowledge, Network]] = []


def network_of(base: Knowledge) -> Network:
    """Compile a base, unless the one before was this world, with other observers or another policy beside."""
    beside = ("observers", "questions", "policy", "dependence", "views")
    if not _COMPILED or replace(_COMPILED[0][0], **{name: getattr(base, name) for name in beside}) != base:
        _COMPILED[:] = [(base, compile_network(base))]
    return _COMPILED[0][1]


class World:
    """The joint distribution of a compiled base under a population, one axis a variable, the root first."""

    def __init__(self, network: Network, base: Knowledge, population: str | None = None) -> None:
        self.base = base
        self.population = np.array(base.populations[population or base.reference].p)
        self.names = (base.root, *base.cells, *base.intervals)
        shape = tuple(len(base.variables[name].states) for name in self.names)
        self.values = dict(zip(self.names, np.indices(shape), strict=True))
        log_weight = np.zeros(shape)
        for factor in network.factors:
            if factor.kind == "table":
                node = network.nodes[factor.nodes[0]]
                table = np.full([shape[0], *(shape[self.names.index(v)] for v in node.variables)], -np.inf)
                table[(slice(None), *node.index.T)] = factor.log_table
                log_weight += self.along((base.root, *node.variables), table)
        for coupling in base.couplings:
            first, second = coupling.pair
            both = (self.values[first] == 1) & (self.values[second] == 1)
            log_weight += np.where(both, np.log(coupling.odds_ratio), 0.0)
        self.violated = {}
        for rule, compiled in zip(base.rules, network.rules, strict=True):
            condition, then = (
                np.broadcast_to(f.holds(self.values), shape) for f in (rule.condition, rule.then)
            )
            if compiled.status in ("met", "unmet"):
                log_weight += compiled.weight * condition * (then - rule.confidence)
                self.violated[rule.name] = condition & ~then
        weight = np.exp(
            log_weight - log_weight.reshape(shape[0], -1).max(1).reshape(-1, *[1] * (len(shape) - 1))
        )
        inside = weight.reshape(shape[0], -1).sum(1)
        self.given_root = weight / inside.reshape(-1, *[1] * (len(shape) - 1))
        self.known: dict[tuple[str, str], list[Kind]] = {}
        # What was summed before, by who answered what; the answers are held, so that no others get their id.
        self.answered: dict[tuple[int, str, int], tuple[Observer, Reading, Floats]] = {}
        self.tables: dict[str, Floats] = {}
        self.joint = self.given_root * self.population.reshape(-1, *[1] * (len(shape) - 1))

    def along(self, names: Sequence[str], table: Floats) -> Floats:
        """Lay a table over `names` on the world's axes."""
        return table[tuple(self.values[name] for name in names)]

    def table_of(self, name: str) -> Floats:
        """P(variable | root), (K, states)."""
        if name not in self.tables:
            axes = tuple(i for i, other in enumerate(self.names) if i and other != name)
            self.tables[name] = self.given_root.sum(axis=axes)
        return self.tables[name]

    def probability(self, event: NDArray[np.bool_]) -> float:
        """Return P(event) under the population."""
        return float((self.joint * event).sum())

    def moments(self, state: int) -> tuple[Floats, Floats, Floats]:
        """Mean, sd and correlations of the interval variables given a root state; uniform within bins."""
        return self._moments(self.given_root[state])

    def _moments(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        names = self.base.intervals
        edges = [np.array(self.base.variables[name].edges) for name in names]
        places = [np.take((e[:-1] + e[1:]) / 2, self.values[n][0]) for n, e in zip(names, edges, strict=True)]
        mean = np.array([(p * x).sum() for x in places])
        second = np.array([[(p * x * y).sum() for y in places] for x in places])
        covariance = second - np.outer(mean, mean)
        covariance += np.diag([(e[1] - e[0]) ** 2 / 12 for e in edges])
        sd = np.sqrt(np.diag(covariance))
        return mean, sd, covariance / np.outer(sd, sd)

    def item(self, readings: Sequence[Reading]) -> Truth:
        """Weigh every state of the world and every pattern of halo switches."""
        p = sum(weight for _, weight in self._patterns(readings))
        total = p.sum()
        p = p / total
        marginals = {
            name: p.sum(axis=tuple(i for i in range(p.ndim) if i != axis))
            for axis, name in enumerate(self.names)
        }
        for variable in self.base.variables.values():
            if variable.kind == "derived":
                events = [f.holds(self.values) for f in variable.formulas]
                marginals[variable.name] = np.array([(p * e).sum() for e in events])
        correlation = self._moments(p.sum(0))[2][0, 1] if len(self.base.intervals) > 1 else math.nan
        violations = {name: float((p * event).sum()) for name, event in self.violated.items()}
        return Truth(marginals, float(correlation), math.log(total), violations)

    def looked(self, readings: Sequence[Reading], gold: Mapping[str, int]) -> Iterator[dict[str, Floats]]:
        """P(variable = state, a reading did not follow its label | all answers, gold), of each reading."""
        known = np.ones(self.joint.shape)
        for other, state in gold.items():
            known = known * (self.values[other] == state)
        patterns = [(followed, weight * known) for followed, weight in self._patterns(readings)]
        total = sum(weight.sum() for _, weight in patterns)
        for target in readings:
            unfollowed = sum(weight for followed, weight in patterns if target not in followed)
            yield {
                name: np.asarray(
                    unfollowed.sum(axis=tuple(i for i in range(unfollowed.ndim) if i != axis)) / total
                )
                for axis, name in enumerate(self.names)
            }

    def _patterns(self, readings: Sequence[Reading]) -> Iterator[tuple[list[Reading], Floats]]:
        """Yield which readings follow their label, with the weight of every state of the world."""
        switched = [k for k in readings if self._halo(k) > 0 and (k.given or k.variables - {self.base.root})]
        # Those that were told something carry over among themselves.
        owners = list(dict.fromkeys((k.observer, bool(k.given)) for k in switched))
        settings = [
            self._settings(owner[0], [k for k in switched if (k.observer, bool(k.given)) == owner])
            for owner in owners
        ]
        for parts in itertools.product(*settings):
            followed = [k for on, _, _ in parts for k in on]
            bundles = [on for on, together, _ in parts if together]
            chance = math.prod(p for *_, p in parts)
            yield followed, self.joint * chance * self._pattern(readings, followed, bundles)

    def _settings(self, owner: str, switched: list[Reading]) -> list[tuple[list[Reading], bool, float]]:
        """Return which of an observer's readings are on, whether together, and how probable that is.

        Together they are where one number u, uniform, is below the halo of each; its pieces are gone through.
        """
        carry = self.base.observers[owner].carry if len(switched) > 1 else 0.0
        settings = []
        for on in itertools.product((False, True), repeat=len(switched)):
            followed = [k for k, switched_on in zip(switched, on, strict=True) if switched_on]
            p = math.prod(self._halo(k) if k in followed else 1 - self._halo(k) for k in switched)
            settings.append((followed, False, (1 - carry) * p))
        if carry:
            cuts = sorted({0.0, 1.0, *map(self._halo, switched)})
            for low, high in itertools.pairwise(cuts):
                middle = (low + high) / 2
                settings.append(([k for k in switched if self._halo(k) > middle], True, carry * (high - low)))
        return settings

    def _halo(self, reading: Reading) -> float:
        observer = self.base.observers[reading.observer]
        halo = (observer.halo_of_given if reading.given else observer.halo).get(reading.question)
        return halo.probability if halo else 0.0

    def _pattern(
        self,
        readings: Sequence[Reading],
        followed: Sequence[Reading],
        bundles: Sequence[Sequence[Reading]] = (),
    ) -> Floats:
        """P(all answers | world, which readings follow their label, and which of them do so together).

        Readings that follow together are as one reading that gave all their answers about the root, with a
        Pólya urn for each.
        """
        joined = [Joined(tuple(bundle)) for bundle in bundles if bundle]
        single = [k for k in readings if not any(k in bundle for bundle in bundles)]
        readings = [*single, *joined]
        followed = [k for k in readings if k in followed or k in joined]
        total = np.ones(self.joint.shape)
        for stated in [k for k in followed if k.given]:
            total *= self._stated(stated) ** self.base.observers[stated.observer].exponent
        readings, followed = (
            [k for k in ks if not (k.given and k in followed)] for ks in (readings, followed)
        )
        root = self.base.root
        by_variable: dict[str, list[tuple[Observer, list[Reading]]]] = {}
        log_tails = []
        for observer in self.base.observers.values():
            observer_readings = [k for k in readings if k.observer == observer.name]
            for name in (*observer.labels, *observer.numbers):
                used = [
                    k
                    for k in observer_readings
                    if name in k.variables and (name == root or k not in followed)
                ]
                if name == root:
                    used += [k for k in observer_readings if k in followed and k not in used]
                if used:
                    by_variable.setdefault(name, []).append((observer, used))
            tails = [
                d[root].places
                for k in observer_readings
                for part in k.parts
                for d in part.draws
                if isinstance(d.get(root), Ranked) and not part.given
            ]
            tails = [places for places in tails if len(places) > 1]
            if tails:
                log_tail = np.mean([self._tail(observer, places) for places in tails], axis=0)
                log_tails.append((observer.follows, observer.exponent * log_tail))
        for name, parts in by_variable.items():
            total *= self.along((name,), self._together(name, parts, followed))
        if log_tails:
            counted = self._counted(log_tails) if self.base.dependence else 1.0
            total *= self.along((root,), np.exp(sum(log for _, log in log_tails) / counted))
        return total

    def _together(
        self, name: str, contributions: Sequence[tuple[Observer, list[Reading]]], followed: Sequence[Reading]
    ) -> Floats:
        """P(what all observers answered about a variable | its state), (states,), summed over the looks."""
        look = self.look(name) if len(contributions) > 1 else None
        if look is None:
            return math.prod(self.seen(o, name, used, followed) ** o.exponent for o, used in contributions)
        likelihoods = []
        for x in range(len(self.base.variables[name].states)):
            terms = []
            for j in range(len(look.look_given_state[x])):
                term = look.look_given_state[x, j]
                groups: dict[tuple[str, str], list[tuple[Observer, list[Reading], Sequence[Reading]]]] = {}
                for o, used in contributions:
                    groups.setdefault((o.family, "" if o.family else o.name), []).append((o, used, followed))
                for members in groups.values():
                    term *= self._of_family(name, x, look, j, members)
                terms.append(term)
            likelihoods.append(sum(terms))
        return np.array(likelihoods)

    def _of_family(
        self,
        name: str,
        x: int,
        look: SharedLook,
        j: int,
        members: Sequence[tuple[Observer, list[Reading], Sequence[Reading]]],
    ) -> float:
        """P(what a family, or a single observer, answered | x, look): over what the family made of it."""
        family = members[0][0].family
        fellows = [o for o in self.base.observers.values() if name in o.labels and o.family == family]
        # Who answers alone is as if without family, also where an exponent tempers the answers.
        if not family or len(members) < 2:
            ((observer, used, followed),) = members
            return self._answered(
                name, x, observer, used, followed, self._settles(name, look, observer)[x, j]
            )
        skills = [self.told_apart(observer, name) for observer in fellows]
        names = sorted({answer for observer in fellows for answer in observer.labels[name].answers})
        tables = []
        for observer in fellows:
            given = self._settles(name, look, observer)[x, j]
            tables.append(
                dict.fromkeys(names, 0.0) | dict(zip(observer.labels[name].answers, given, strict=True))
            )
        total = sum(skills)
        weights = [skill / total if total else 1 / len(skills) for skill in skills]
        made = {a: sum(w * table[a] for w, table in zip(weights, tables, strict=True)) for a in names}
        chance = 0.0
        for outcome in names:
            if made[outcome] == 0:
                continue
            term = made[outcome]
            for observer, used, followed in members:
                place = [o.name for o in fellows].index(observer.name)
                table = tables[place]
                share = min(observer.family_follows / observer.carry, 1.0) if observer.carry else 1.0
                share *= skills[place] / max(skills) if total > 1e-12 and observer.family_follows else 0.0
                # What both make as often is the same; what is over is shared out.
                over = {a: table[a] - min(table[a], made[a]) for a in names}
                same = min(table[outcome], made[outcome])
                given = []
                for answer in observer.labels[name].answers:
                    coupled = same if answer == outcome else 0.0
                    if sum(over.values()) > 1e-15:
                        coupled += (made[outcome] - same) * over[answer] / sum(over.values())
                    given.append(share * coupled / made[outcome] + (1 - share) * table[answer])
                term *= self._answered(name, x, observer, used, followed, np.array(given))
            chance += term
        return chance

    def _settles(self, name: str, look: SharedLook, observer: Observer) -> Floats:
        """P(an observer settles on an answer | truth, look), as the look has it."""
        known = [o.name for o in self.base.observers.values() if name in o.labels]
        return look.answer_given[known.index(observer.name)]

    def _answered(
        self,
        name: str,
        x: int,
        observer: Observer,
        used: list[Reading],
        followed: Sequence[Reading],
        given: Floats,
    ) -> float:
        """P(an observer's answers | x) where it settles on each answer with these probabilities."""
        chance, settled = self.settled(observer, name, x, used, followed)
        answer = np.array([kind.answer for kind in self.kinds(observer, name)])
        # Of one answer each kind of reading has its share, whatever the look.
        share = chance / np.bincount(answer, chance)[answer]
        return float((given[answer] * share) @ settled) ** observer.exponent

    def told_apart(self, observer: Observer, name: str) -> float:
        """The mean total variation between a row of what an observer settles on and the mean row."""
        answers = observer.labels[name].answers
        table = np.zeros((len(self.base.variables[name].states), len(answers)))
        for kind in self.kinds(observer, name):
            table[:, kind.answer] += kind.chance
        middle = table.mean(0)
        return float(np.mean([np.maximum(row - middle, 0).sum() for row in table]))

    def look(self, name: str) -> SharedLook | None:
        """What all see of a variable, from what each observer's answers settle on; None: independent."""
        base = self.base
        known = [o for o in base.observers.values() if name in o.labels]
        families = [o.family for o in known if o.family and o.family_follows]
        apart = sum(o.follows > 0 for o in known) < 2 and len(families) == len(set(families))
        if base.dependence is None or apart:
            return None
        # What is settled on follows the look so often that a reading that carries it over does as declared.
        follows = np.array(
            [
                min(o.follows / o.carry, 0.99) if o.follows and o.carry else 0.99 * (o.follows > 0)
                for o in known
            ]
        )
        states = base.variables[name].states
        tables, matches = [], []
        for observer in known:
            kinds, answers = self.kinds(observer, name), observer.labels[name].answers
            settles = np.zeros((len(states), len(answers)))
            for kind in kinds:
                settles[:, kind.answer] += kind.chance
            tables.append(settles)
            matches.append(np.array([[float(a == state) for a in answers] for state in states]))
        return shared_look(tables, matches, follows, base.dependence)

    def seen(
        self, observer: Observer, name: str, readings: Sequence[Reading], followed: Sequence[Reading] = ()
    ) -> Floats:
        """P(one observer's answers about one variable | its state), (states,), summed over m and every r."""
        states = range(len(self.base.variables[name].states))
        both = (self.settled(observer, name, x, readings, followed) for x in states)
        return np.array([chance @ settled for chance, settled in both])

    def settled(
        self,
        observer: Observer,
        name: str,
        x: int,
        readings: Sequence[Reading],
        followed: Sequence[Reading] = (),
    ) -> tuple[Floats, Floats]:
        """P(m | x) and P(one observer's answers about one variable | x, m), both (kinds,), over every r."""
        kinds = self.kinds(observer, name)
        chance = np.array([kind.chance[x] for kind in kinds])
        likely = []
        for reading in readings:
            answer_likelihoods = self._likelihoods(observer, name, reading)
            if reading in followed:
                answer_likelihoods = answer_likelihoods * [self._follow(observer, reading, k) for k in kinds]
            # P(r | m, x): carried, or a fresh draw.
            bring = observer.carry * np.eye(len(kinds)) + (1 - observer.carry) * chance
            likely.append(bring @ answer_likelihoods)
        return chance, np.prod(likely, axis=0)

    def _likelihoods(self, observer: Observer, name: str, reading: Reading | Joined) -> Floats:
        """P(a reading's answers about one variable | what it brings out), (kinds,)."""
        likelihoods = np.ones(len(self.kinds(observer, name)))
        for part in reading.parts:
            key = id(observer), name, id(part)
            if key not in self.answered:
                draws = [d[name] for d in part.draws if name in d]
                p = np.array([kind.likelihood(draws) for kind in self.kinds(observer, name)])
                self.answered[key] = observer, part, p
            likelihoods = likelihoods * self.answered[key][2]
        return likelihoods

    def kinds(self, observer: Observer, name: str) -> list[Kind]:
        """Everything that an observer may see of a variable."""
        key = (observer.name, name)
        if key not in self.known:
            number, label = observer.numbers.get(name), observer.labels.get(name)
            variable = self.base.variables[name]
            self.known[key] = (
                number_kinds(number, variable) if number else label_kinds(label, variable.states)
            )
        return self.known[key]

    def _stated(self, reading: Reading) -> float:
        """P(all answers | the reading follows what its prompt stated), over the root states that implies."""
        observer, root, stated = self.base.observers[reading.observer], self.base.root, dict(reading.given)
        chance = self.population.copy()
        for name, value in stated.items():
            edges = self.base.variables[name].edges
            state = int(value)
            if edges:
                state = next(i for i, high in enumerate(edges[1:]) if value < high or high == edges[-1])
            chance *= np.eye(len(chance))[state] if name == root else self.table_of(name)[:, state]
        if root in stated:
            chance = np.eye(len(chance))[int(stated[root])]
        chance = chance / chance.sum()
        total = 0.0
        for p, label in zip(chance, self.base.variables[root].states, strict=True):
            about_root = 1.0
            if root in reading.variables:
                instrument = observer.labels[root]
                shares = np.repeat([t.share for t in instrument.types], len(instrument.answers))
                likelihoods = self._likelihoods(observer, root, reading)
                about_root = sum(
                    share * likelihood
                    for share, likelihood, k in zip(
                        shares, likelihoods, self.kinds(observer, root), strict=True
                    )
                    if instrument.answers[k.answer] == label
                )
            total += p * about_root * self._follow_label(observer, reading, label)
        return total

    def _follow(self, observer: Observer, reading: Reading, kind: Kind) -> float:
        """P(the other answers | the reading follows this label)."""
        return self._follow_label(observer, reading, observer.labels[self.base.root].answers[kind.answer])

    def _follow_label(self, observer: Observer, reading: Reading, label: str) -> float:
        root = self.base.root
        states = self.base.variables[root].states
        total = 1.0
        for name in reading.variables - {root}:
            table = self.table_of(name).copy()
            for state, brought in observer.stereotype.items():
                if name in brought:
                    table[states.index(state)] = [1 - brought[name], brought[name]]
            stereotype = table[states.index(label)] if label in states else self.population @ table
            kinds, likelihoods = self.kinds(observer, name), self._likelihoods(observer, name, reading)
            if name in observer.numbers:
                total *= stereotype @ np.array([k.chance for k in kinds]).T @ likelihoods
            else:
                # Imagined once, then answered as if it had been seen.
                shares = np.repeat([t.share for t in observer.labels[name].types], 2)
                imagined = np.array([stereotype[k.answer] for k in kinds])
                total *= (shares * imagined) @ likelihoods
        return total

    @staticmethod
    def _counted(log_tails: Sequence[tuple[float, Floats]]) -> float:
        """How many times over tails say the same: 1 + (n - 1) λ, those that tell nothing not counted."""
        ranges = [float(max(log) - min(log)) for _, log in log_tails]
        if not any(ranges):
            return 1.0
        number = sum(ranges) ** 2 / sum(r * r for r in ranges)
        share = sum(r * follows for r, (follows, _) in zip(ranges, log_tails, strict=True)) / sum(ranges)
        return 1 + (number - 1) * share

    def _tail(self, observer: Observer, places: Sequence[int]) -> Floats:
        """Log P(places 2 and 3 | the first, truth), (K,)."""
        instrument = observer.labels[self.base.root]
        table = np.array(instrument.confusion)
        states = self.base.variables[self.base.root].states
        first = places[0]
        log_tail = np.zeros(len(states))
        for x, state in enumerate(states):
            posterior = self.population * table[:, first]
            habit = instrument.habit[first] if instrument.habit else posterior @ table / posterior.sum()
            weight = [
                habit[k]
                * math.exp(
                    instrument.bonus if answer == state else instrument.pull[x][k] if instrument.pull else 0
                )
                for k, answer in enumerate(instrument.answers)
            ]
            remaining = set(range(len(weight))) - {first}
            for place in places[1:]:
                log_tail[x] += math.log(weight[place] / sum(weight[k] for k in remaining))
                remaining.remove(place)
        return log_tail


@dataclass(frozen=True)
class Kind:
    """One thing that may be seen: its chance for each truth, its own answer, and how its answers go."""

    chance: tuple[float, ...]
    answer: int
    alpha: Floats | None = None
    weight: float = 1.0
    number: tuple[NumberInstrument, float, float, float] | None = None

    def likelihood(self, draws: Sequence[Any]) -> float:
        """P(the sequence of answers | this is what the reading brings out)."""
        if self.number is not None:
            return math.prod(number_chance(*self.number, y) for y in draws)
        return urn(self.alpha, weights(draws, len(self.alpha), self.weight))


def weights(draws: Sequence[Any], size: int, weight: float) -> list[tuple[int, float]]:
    """Write answers as (answer, how many it counts for)."""
    weighted_answers: list[tuple[int, float]] = []
    for draw in draws:
        if isinstance(draw, Spread):
            weighted_answers += [(y, weight * p) for y, p in enumerate(draw.p)]
        else:
            weighted_answers.append((draw.places[0] if isinstance(draw, Ranked) else int(draw), 1.0))
    return weighted_answers


def urn(alpha: Floats, answers: Sequence[tuple[int, float]]) -> float:
    """P(sequence) of a Pólya urn; whole answers one by one, then fractions by the same ratio of gammas."""
    held, total = np.array(alpha, dtype=float), 1.0
    for y, weight in answers:
        if weight == 1:
            total *= held[y] / held.sum()
            held[y] += 1
    shares = np.zeros(len(held))
    for y, weight in answers:
        shares[y] += 0 if weight == 1 else weight
    log = math.lgamma(held.sum()) - math.lgamma(held.sum() + shares.sum())
    log += sum(math.lgamma(a + w) - math.lgamma(a) for a, w in zip(held, shares, strict=True))
    return total * math.exp(log)


def label_kinds(instrument: LabelInstrument, states: Sequence[str]) -> list[Kind]:
    """Types of a label instrument: (type of reading, what is seen); truth by truth C solves C R = T."""
    if instrument.settled:
        return settled_kinds(instrument, states)
    table = np.array(instrument.confusion)
    habit = table.min(axis=0) / table.min(axis=0).sum()
    size = len(habit)
    rows = [t.repeat * np.eye(size) + (1 - t.repeat) * habit for t in instrument.types]
    right, wrong = (np.array([t.shares[i] for t in instrument.types]) for i in (0, 1))
    chance = np.empty((len(table), len(rows), size))
    for x, state in enumerate(states):
        named = state in instrument.answers
        share = np.array([wrong if named and answer != state else right for answer in instrument.answers]).T
        average = sum(part[:, None] * r for part, r in zip(share, rows, strict=True))
        chance[x] = share * np.linalg.solve(average.T, table[x])
    return [
        Kind(tuple(chance[:, k, m]), m, t.strength * r[m], instrument.weight)
        for k, (t, r) in enumerate(zip(instrument.types, rows, strict=True))
        for m in range(size)
    ]


def settled_kinds(instrument: LabelInstrument, states: Sequence[str]) -> list[Kind]:
    """What an observer settles on as declared; each answer scatters to those with which it is confused."""
    settled, (kind,), kinds = np.array(instrument.settled), instrument.types, []
    for number, answer in enumerate(instrument.answers):
        confused = settled[states.index(answer)] if answer in states else settled.mean(0)
        other_answers = np.maximum(np.delete(confused, number), 1e-6)
        row = np.insert((1 - kind.repeat) * other_answers / other_answers.sum(), number, kind.repeat)
        kinds.append(Kind(tuple(settled[:, number]), number, kind.strength * row, instrument.weight))
    return kinds


def number_kinds(instrument: NumberInstrument, variable: Variable) -> list[Kind]:
    """Cells of what a number instrument perceives; their chances by quadrature over the bin."""
    edges = np.array(variable.edges)
    low, high, reach = edges[0], edges[-1], 4 * instrument.perception
    width = min(edges[1] - low, instrument.perception / 2, instrument.noise / instrument.gain)
    cuts = np.linspace(low - reach, high + reach, math.ceil((high - low + 2 * reach) / width) + 1)
    points, share = np.polynomial.legendre.leggauss(48)
    outer = np.concatenate([[-np.inf], cuts[1:-1], [np.inf]])
    kinds = []
    for cell in range(len(cuts) - 1):
        chance = []
        for a, b in itertools.pairwise(edges):
            x = (a + b) / 2 + (b - a) / 2 * points
            inside = [
                normal((outer[cell + 1] - t) / instrument.perception)
                - normal((outer[cell] - t) / instrument.perception)
                for t in x
            ]
            within = min(max(cuts[cell + 1], low), high) - min(max(cuts[cell], low), high)
            strays = instrument.stray * within / (high - low)
            chance.append((1 - instrument.stray) * float(share @ inside) / 2 + strays)
        centre = (cuts[cell] + cuts[cell + 1]) / 2
        kinds.append(Kind(tuple(chance), -1, number=(instrument, centre, low, high)))
    return kinds


def number_chance(instrument: NumberInstrument, centre: float, low: float, high: float, y: float) -> float:
    """P(answer y on its grid | what was perceived); the ends of the range hold all that lies beyond."""
    middle = instrument.gain * centre + instrument.offset
    above = 1.0 if y >= high - 1e-9 else normal((y + instrument.grid / 2 - middle) / instrument.noise)
    under = 0.0 if y <= low + 1e-9 else normal((y - instrument.grid / 2 - middle) / instrument.noise)
    cell = min(y + instrument.grid / 2, high) - max(y - instrument.grid / 2, low)
    near = y - instrument.grid / 2 <= instrument.nothing < y + instrument.grid / 2
    told = (1 - instrument.blank) * (above - under) + instrument.blank * near
    return instrument.slip * cell / (high - low) + (1 - instrument.slip) * told


def normal(z: float) -> float:
    """Return the standard normal distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def seen_level(accepted: Any, value: Any, risk: Any) -> LevelDecision:
    """Return decisions about a variable that was looked at in every item, with evidence enough."""
    count = len(risk)
    every, none = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
    origin, basis = np.full(count, Origin.SEEN, np.int8), np.full(count, Basis.DECLARED, np.int8)
    numbers = np.array(value, float), np.array(risk, float)
    return LevelDecision(
        np.array(accepted, bool), *numbers, every, origin, none, basis, np.zeros(count), numbers[1]
    )


def answers_of(
    base: Knowledge, items: Sequence[Sequence[Reading]], rng: np.random.Generator | None = None
) -> Answers:
    """Write readings in the engine's columns; with `rng`, readings and rows in any order."""
    flat = [(i, reading) for i, readings in enumerate(items) for reading in readings]
    if rng is not None:
        rng.shuffle(flat)
    views = tuple(dict.fromkeys(k.view for _, k in flat)) or ("face",)
    givens = tuple(dict.fromkeys(k.given for _, k in flat if k.given))
    observers, questions = list(base.observers), list(base.questions)
    labels: dict[str, list[tuple[int, int, float, bool]]] = {}
    numbers: dict[str, list[tuple[int, float]]] = {}
    rankings: dict[str, list[tuple[int, list[int]]]] = {}
    for place, (_, reading) in enumerate(flat):
        for draw in reading.draws:
            for name, answer in draw.items():
                if base.variables[name].kind == "interval":
                    numbers.setdefault(name, []).append((place, float(answer)))
                    continue
                rows = labels.setdefault(name, [])
                if isinstance(answer, Spread):
                    rows += [(place, y, p, True) for y, p in enumerate(answer.p)]
                elif isinstance(answer, Ranked):
                    rows.append((place, answer.places[0], 1.0, False))
                    padded = [*answer.places, -1, -1][:3]
                    rankings.setdefault(name, []).append((place, padded))
                else:
                    rows.append((place, int(answer), 1.0, False))

    def columns(rows: list[Any], *kinds: Any) -> list[Any]:
        if rng is not None:
            rng.shuffle(rows)
        return [np.array([row[i] for row in rows], dtype=kind) for i, kind in enumerate(kinds)]

    item = np.array([i for i, _ in flat], dtype=np.int64)
    draws = np.bincount(item, weights=[len(k.draws) for _, k in flat], minlength=len(items)).astype(np.int64)
    askable = np.array([base.observers[k.observer].askable * len(k.draws) for _, k in flat])
    none = np.zeros(len(items), dtype=np.int64)
    return Answers(
        tuple(f"item-{i}" for i in range(len(items))),
        views,
        item,
        np.array([observers.index(k.observer) for _, k in flat], dtype=np.int64),
        np.array([questions.index(k.question) for _, k in flat], dtype=np.int64),
        np.array([views.index(k.view) for _, k in flat], dtype=np.int64),
        {n: Labels(*columns(r, np.int64, np.int64, np.float64, np.bool_)) for n, r in labels.items()},
        {n: Numbers(*columns(r, np.int64, np.float64)) for n, r in numbers.items()},
        {n: Rankings(*columns(r, np.int64, np.int64)) for n, r in rankings.items()},
        draws,
        none,
        none,
        none,
        none,
        np.bincount(item, weights=askable, minlength=len(items)).astype(np.int64),
        none,
        np.array([givens.index(k.given) if k.given else -1 for _, k in flat], dtype=np.int64),
        givens,
    )


@dataclass(frozen=True)
class Shape:
    """What a random base has."""

    states: int = 3
    binaries: int = 3
    bins: tuple[int, ...] = ()
    couplings: int = 1
    rules: int = 2
    observers: int = 2
    halo: bool = True
    exponent: bool = False
    dependent: bool = False
    families: bool = False
    types: int = 1
    seed: int = field(default=0)


def random_base(shape: Shape) -> Knowledge:
    """Make a base of this shape; numbers by its seed."""
    rng = np.random.default_rng(shape.seed)
    root = Variable("root", "categorical", tuple(f"r{i}" for i in range(shape.states)), "root")
    binary = [Variable(f"b{i}", "binary", ("false", "true"), f"b{i}") for i in range(shape.binaries)]
    intervals = [_interval(f"v{i}", bins) for i, bins in enumerate(shape.bins)]
    variables = {v.name: v for v in (root, *binary, *intervals)}
    if len(intervals) > 1:
        first_interval, second_interval = intervals[0], intervals[1]
        texts = [
            f"v0 > {first_interval.edges[1]:.12f} & v1 <= {second_interval.edges[1]:.12f}",
            f"v0 <= {first_interval.edges[1]:.12f}",
            "",
        ]
        texts[2] = f"v0 > {first_interval.edges[1]:.12f} & v1 > {second_interval.edges[1]:.12f}"
        formulas = tuple(parse(text, variables) for text in texts)
        variables["side"] = Variable("side", "derived", ("a", "b", "c"), "side", formulas=formulas)
    cells = {v.name: tuple(Cell(p=float(rng.uniform(0.05, 0.95)), n=10) for _ in root.states) for v in binary}
    pairs = list(itertools.combinations([v.name for v in binary], 2))
    rng.shuffle(pairs)
    couplings = tuple(
        Coupling(name=f"c{i}", pair=tuple(pair), odds_ratio=float(np.exp(rng.normal())), n=10)
        for i, pair in enumerate(pairs[: shape.couplings])
    )
    populations = {}
    for name in ("here", "there"):
        p = rng.dirichlet(np.full(shape.states, 3.0)) * 0.9 + 0.1 / shape.states
        populations[name] = Population(name=name, p=tuple(map(float, p)))
    moments = tuple(_random_moments(rng, intervals) for _ in root.states) if intervals else ()
    rules = tuple(_random_rule(rng, i, variables) for i in range(shape.rules))
    names = tuple(v for v in variables if v != "side")
    questions = {
        "all": Question(name="all", variables=names),
        "some": Question(name="some", variables=tuple(v.name for v in binary), cost=0.5),
    }
    observers = {}
    for i in range(shape.observers):
        observers[f"o{i}"] = _random_observer(rng, f"o{i}", shape, variables, intervals)
    if shape.families:
        observers = in_families(observers, shape.seed)
    first, other_names = (root.name,), tuple(n for n in names if n != "root")
    policy = Policy(
        required=("first",),
        limits=dict.fromkeys(names, 0.1),
        tolerance={v.name: 0.3 for v in intervals},
        worth=dict.fromkeys(names, 4.0),
        budget=100,
        batches=(1, 2, 4),
        ask="o0",
    )
    return Knowledge(
        "random",
        "",
        {},
        variables,
        {},
        {"first": first, "rest": other_names},
        "root",
        "here",
        populations,
        cells,
        tuple(v.name for v in intervals),
        moments,
        couplings,
        rules,
        observers,
        questions,
        policy,
        "",
        dependence=DEPENDENCE if shape.dependent else None,
        usual_view="face",
    )


def in_families(observers: Mapping[str, Observer], seed: int) -> dict[str, Observer]:
    """Give observers families: most are of one, some of another or of none."""
    rng = np.random.default_rng([seed, 1])
    follows = {"many": float(rng.choice([0.3, 0.9, 1])), "few": float(rng.choice([0, 0.6]))}
    names = [str(rng.choice(["many", "many", "few", ""])) for _ in observers]
    return {
        observer.name: replace(observer, family=family, family_follows=follows.get(family, 0.0))
        for observer, family in zip(observers.values(), names, strict=True)
    }


def _interval(name: str, bins: int) -> Variable:
    edges = tuple(round(float(x), 12) for x in np.linspace(-1, 1, bins + 1))
    centres = tuple(f"{(a + b) / 2:g}" for a, b in itertools.pairwise(edges))
    return Variable(name, "interval", centres, name, edges=edges)


def _random_moments(rng: np.random.Generator, intervals: Sequence[Variable]) -> Moments:
    """Return the moments of some distribution on the grid, so that they can be met."""
    axes = [(np.array(v.edges)[:-1] + np.array(v.edges)[1:]) / 2 for v in intervals]
    grid = np.stack([g.reshape(-1) for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    log = grid @ rng.normal(0, 1, len(axes)) - (grid**2) @ rng.uniform(-0.5, 2, len(axes))
    log += 0.5 * rng.normal() * grid.prod(axis=1) * (len(axes) > 1)
    p = np.exp(log - log.max())
    p /= p.sum()
    mean = p @ grid
    covariance = (grid - mean).T @ ((grid - mean) * p[:, None])
    covariance += np.diag([(v.edges[1] - v.edges[0]) ** 2 / 12 for v in intervals])
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    return Moments(
        mean=tuple(map(float, mean)),
        sd=tuple(map(float, sd)),
        correlation=tuple(tuple(map(float, row)) for row in correlation),
        n=10,
    )


def _random_rule(rng: np.random.Generator, number: int, variables: Mapping[str, Variable]) -> Rule:
    binary = [v.name for v in variables.values() if v.kind == "binary"]
    rng.shuffle(binary)
    atoms = [f"{'!' * int(rng.integers(2))}{name}" for name in binary]
    for v in variables.values():
        if v.kind == "interval":
            edges = v.edges[1:-1]
            atoms.append(f"{v.name} {rng.choice(['>', '<='])} {edges[rng.integers(len(edges))]:.12f}")
            atoms.append(f"{v.name} > {edges[0]:.12f}")
    state = rng.choice(variables["root"].states)
    least = int(rng.integers(1, len(atoms)))
    forms = [
        (atoms[0], atoms[1]),
        (f"{atoms[0]} & {atoms[1]}", f"root == {state}"),
        (f"root == {state}", f"{atoms[0]} | {atoms[1]}"),
        (f"count({', '.join(atoms)}) >= {least}", f"root != {state}"),
        (f"!({atoms[0]} & {atoms[-1]})", atoms[1]),
        (atoms[-1], f"{atoms[0]} & root in [{state}, {variables['root'].states[0]}]"),
        (f"count({', '.join(atoms[1:])}) == {least} | {atoms[1]}", atoms[0]),
    ]
    if "side" in variables:
        forms += [("side == a", atoms[0]), (f"{atoms[0]} & {atoms[1]}", "side in [a, c]")]
    condition, then = forms[rng.integers(len(forms))]
    return Rule(
        name=f"rule-{number}",
        condition=parse(condition, variables),
        then=parse(then, variables),
        confidence=float(rng.uniform(0.1, 0.95)),
        n=float(rng.integers(1, 20)),
        statement=f"if {condition} then {then}",
    )


def _random_observer(
    rng: np.random.Generator,
    name: str,
    shape: Shape,
    variables: Mapping[str, Variable],
    intervals: Sequence[Variable],
) -> Observer:
    root = variables["root"]
    answers = root.states
    if rng.random() < 0.4:
        answers = (*answers[1:], "other") if rng.random() < 0.5 else (*answers, "other")
    table = rng.dirichlet(np.ones(len(answers)), len(root.states)) * 0.6 + 0.4 / len(answers)
    if answers == root.states:
        table = 0.5 * table + 0.5 * np.eye(len(answers))
    label = _instrument(rng, "root", answers, table, shape.types)
    if rng.random() < 0.5:
        pull = [[rng.normal() if a != s else 0.0 for a in answers] for s in root.states]
        label = replace(label, pull=tuple(tuple(map(float, row)) for row in pull))
    labels = {"root": label}
    for variable in variables.values():
        if variable.kind == "binary" and rng.random() < 0.9:
            sensitivity, specificity = rng.uniform(0.5, 0.97, 2)
            table = np.array([[specificity, 1 - specificity], [1 - sensitivity, sensitivity]])
            labels[variable.name] = _instrument(rng, variable.name, ("false", "true"), table, shape.types)
    numbers = {
        v.name: NumberInstrument(
            variable=v.name,
            gain=float(rng.uniform(0.8, 1.3)),
            offset=float(rng.normal(0, 0.1)),
            perception=float(rng.uniform(0.15, 0.5)),
            noise=float(rng.uniform(0.1, 0.3)),
            slip=float(rng.uniform(0.005, 0.1)),
            grid=float(rng.choice([0.1, 0.25, 0.5])),
        )
        for v in intervals
        if rng.random() < 0.9
    }
    # Some are often blank, some readings stray.
    numbers = {
        name: replace(
            instrument,
            blank=0.2 * (instrument.grid == 0.25),
            nothing=variables[name].edges[0],
            stray=0.1 * (instrument.grid == 0.5),
        )
        for name, instrument in numbers.items()
    }
    halo = {}
    if shape.halo and rng.random() < 0.8:
        halo["all"] = Halo(given="root", probability=float(rng.uniform(0.05, 0.6)))
    stereotype = {
        state: {v.name: float(rng.uniform(0.05, 0.95)) for v in variables.values() if v.kind == "binary"}
        for state in root.states
        if rng.random() < 0.4
    }
    return Observer(
        name=name,
        askable=True,
        exponent=float(rng.uniform(0.4, 1.2)) if shape.exponent else 1.0,
        carry=float(rng.choice([0, 0.4, 0.85, 1])),
        halo=halo,
        stereotype=stereotype,
        labels=labels,
        numbers=numbers,
        follows=float(rng.choice([0, 0.2, 0.9])) if shape.dependent else 0.0,
    )


def _instrument(
    rng: np.random.Generator, name: str, answers: tuple[str, ...], table: Floats, types: int
) -> LabelInstrument:
    table = table / table.sum(axis=1, keepdims=True)
    least = 1 - table.min(axis=0).sum()
    share = rng.dirichlet(np.full(types, 3.0))
    misread = rng.dirichlet(np.full(types, 3.0)).tolist() if types > 1 and rng.random() < 0.7 else None
    # Each type repeats at least as often as the table asks of all together.
    kinds = tuple(
        ReadingType(
            name=f"t{i}",
            share=float(s),
            repeat=float(least + (0.999 - least) * rng.uniform(0.1, 1)),
            strength=float(rng.uniform(1, 30)),
            misread=misread and float(misread[i]),
        )
        for i, s in enumerate(share)
    )
    settled = ()
    if name == "root" and types == 1 and rng.random() < 0.5:
        settled = tuple(tuple(map(float, row)) for row in table)
        plain = LabelInstrument(variable=name, answers=answers, types=kinds, settled=settled)
        drawn = [
            kind.alpha / kinds[0].strength
            for kind in settled_kinds(plain, [f"r{i}" for i in range(len(table))])
        ]
        table = table @ np.array(drawn)
    return LabelInstrument(
        variable=name,
        answers=answers,
        confusion=tuple(tuple(map(float, row)) for row in table),
        settled=settled,
        types=kinds,
        bonus=float(rng.uniform(0, 1.5)),
        habit=tuple(tuple(map(float, row)) for row in rng.dirichlet(np.ones(len(answers)), len(answers)))
        if rng.random() < 0.4
        else (),
        weight=float(rng.choice([1.0, 1.5, 3.0])),
    )


def random_items(
    base: Knowledge, seed: int, items: int = 3, readings: int = 3, draws: int = 3
) -> list[list[Reading]]:
    """Make answers about some items: partial ones, of every form, from several observers and views."""
    rng = np.random.default_rng(seed)
    keys = list(itertools.product(base.observers.values(), base.questions.values(), ("face", "side")))
    items_readings = []
    for _ in range(items):
        chosen = rng.permutation(len(keys))[: rng.integers(0, readings + 1)]
        item_readings = []
        for observer, question, view in (keys[i] for i in chosen):
            given = [_draw(rng, base, observer, question) for _ in range(rng.integers(1, draws + 1))]
            given = [draw for draw in given if draw]
            if given:
                item_readings.append(Reading(observer.name, question.name, view, tuple(given)))
        items_readings.append(item_readings)
    return items_readings


def _draw(
    rng: np.random.Generator, base: Knowledge, observer: Observer, question: Question
) -> dict[str, Any]:
    draw: dict[str, Any] = {}
    for name in question.variables:
        if rng.random() < 0.35:
            continue
        if name in observer.numbers:
            instrument, edges = observer.numbers[name], base.variables[name].edges
            step = rng.integers(0, round((edges[-1] - edges[0]) / instrument.grid) + 1)
            draw[name] = float(np.clip(edges[0] + step * instrument.grid, edges[0], edges[-1]))
        elif name in observer.labels:
            size = len(observer.labels[name].answers)
            form = rng.integers(4)
            if form == 0:
                draw[name] = Spread(tuple(map(float, rng.dirichlet(np.ones(size)))))
            elif form == 1 and name == base.root:
                draw[name] = Ranked(
                    tuple(map(int, rng.permutation(size)[: rng.integers(1, min(3, size) + 1)]))
                )
            else:
                draw[name] = int(rng.integers(size))
    return draw
