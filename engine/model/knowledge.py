"""The declared values of a knowledge base, as the reader found them.

Every value is immutable and knows its place in the YAML and its source. The places and
sources do not take part in comparison: two bases that say the same are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from engine.model.citation import Cited
from engine.model.notebook_html import notebook_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.citation import Number, Source
    from engine.model.fit_record import FitRecord
    from engine.model.formula import Formula
    from engine.model.guarantee import Guarantee
    from engine.model.policy import Briefing, Policy, Question, View
    from engine.model.variable import Variable


@dataclass(frozen=True)
class Code(Cited):
    """A name that answers may use though it is no variable; it makes `hides` not visible."""

    name: str = ""
    label: str = ""
    description: str = ""
    hides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Population(Cited):
    """P(root): `p` has one probability a state, in the order of the root's states."""

    name: str = ""
    p: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cell(Cited):
    """P(binary variable | root state): a probability and its strength as a pseudo-count."""

    p: float = 0.0
    n: float = 0.0


@dataclass(frozen=True)
class Moments(Cited):
    """Mean, sd and correlation of the interval variables given a root state; n: pseudo-count.

    `mean` and `sd` have one number a variable; `correlation` is a full matrix.
    """

    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    correlation: tuple[tuple[float, ...], ...] = ()
    n: float = 0.0


@dataclass(frozen=True)
class Coupling(Cited):
    """An odds ratio between two binary variables, everything else being equal."""

    name: str = ""
    pair: tuple[str, str] = ("", "")
    odds_ratio: float = 1.0
    n: float = 0.0
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule(Cited):
    """`confidence` is P(then | condition) in the compiled network (reference population)."""

    name: str
    condition: Formula
    then: Formula
    confidence: float = 0.0
    n: float = 0.0
    statement: str = ""


@dataclass(frozen=True)
class ReadingType(Cited):
    """One kind of reading: its share, and how its draws scatter (repeat ρ, Dirichlet strength s).

    `share`: of the readings that bring out the truth's own answer; `misread`: of those that bring out
    another, None where it is the same.
    """

    name: str = ""
    share: float = 1.0
    repeat: float = 1.0
    strength: float = 1.0
    misread: float | None = None

    @property
    def shares(self) -> tuple[float, float]:
        """Return its share of the readings that are right, and of those that are misread."""
        return self.share, self.share if self.misread is None else self.misread


@dataclass(frozen=True)
class LabelInstrument(Cited):
    """How an observer reports a categorical or binary variable.

    `confusion`: P(one answer | truth), rows = states of the variable, columns = `answers`.
    `types`: one entry, or several where readings differ in kind; shares sum to 1.
    `settled`: P(what the observer settles on | truth), as `confusion` has it; then draws scatter as answers
    are confused, and `confusion` follows. () where the table of one answer is declared.
    `bonus`: Plackett-Luce bonus g of the truth at places 2 and 3 of a ranking; `habit`: P(place 2 |
    place 1) whatever the truth, rows and columns = `answers`, zero diagonal; () where none is declared;
    `pull`: how much a truth draws other answers to these places, in log-odds, rows = states, columns =
    `answers`, 0 at its own name; () for none.
    `weight`: how many answers a reported distribution counts for. `total`: what its numbers sum to, 1 or, of
    percentages, 100.
    `by_question`: of a binary variable, each question with a table of its own, and `confusion` in it.
    """

    variable: str = ""
    answers: tuple[str, ...] = ()
    confusion: tuple[tuple[float, ...], ...] = ()
    types: tuple[ReadingType, ...] = ()
    settled: tuple[tuple[float, ...], ...] = ()
    bonus: float = 0.0
    habit: tuple[tuple[float, ...], ...] = ()
    pull: tuple[tuple[float, ...], ...] = ()
    weight: float = 1.0
    total: float = 1.0
    by_question: tuple[tuple[str, tuple[tuple[float, ...], ...]], ...] = ()


@dataclass(frozen=True)
class NumberInstrument(Cited):
    """How an observer reports an interval variable, in the unit of the variable.

    y = gain · r + offset + noise, r = x + perception noise (one a reading), rounded to
    `grid` and clipped; `slip` is the share of answers that are anything in the range. `blank`: the share of
    the other answers that are `nothing`, whatever the reading. `stray`: the share of readings that bring out
    anything in the range, whatever the item.
    """

    variable: str = ""
    gain: float = 1.0
    offset: float = 0.0
    perception: float = 0.0
    noise: float = 0.0
    slip: float = 0.0
    grid: float = 0.0
    blank: float = 0.0
    nothing: float = 0.0
    stray: float = 0.0


@dataclass(frozen=True)
class Halo(Cited):
    """With `probability` the rest of an answer follows its label of `given`, not the item."""

    given: str = ""
    probability: float = 0.0


@dataclass(frozen=True)
class Clarity(Cited):
    """Items that are alike in how clear they are, both as shares beyond chance.

    `right`: how many look like what they are. `seen`: how often an observer that follows the look answers it.
    """

    right: float = 0.0
    seen: float = 0.0


@dataclass(frozen=True)
class ObserverKind(Cited):
    """Observers that are alike in how often they follow what all see in an item, instead of looking anew.

    `people`: whether they are people, and not programs.
    `n`: for how many items with gold `follows` counts where a fit asks how sure it is; 0: taken as known.
    """

    name: str = ""
    follows: float = 0.0
    n: float = 0.0
    people: bool = False


@dataclass(frozen=True)
class Family(Cited):
    """Observers of one model. `follows`: how often a reading of one is what the family makes of the item.

    `n`: as that of a kind.
    """

    name: str = ""
    follows: float = 0.0
    n: float = 0.0


@dataclass(frozen=True)
class Dependence(Cited):
    """How observers err together (see `engine.observation.dependence`).

    `kinds`: by name. `default`: the kind of observers that name none. `n`: the answers that each row of an
    observer's table counts for where the looks are derived from all tables; `look_n`, `seen_n`: those of a
    row of the declared shapes of looks, and of the answers seen in them. `family`: how often members of a
    family follow it, None where that is declared for each family alone; `families`: those with a number of
    their own.
    """

    clear: Clarity = Clarity()
    ambiguous: Clarity = Clarity()
    kinds: Mapping[str, ObserverKind] = field(default_factory=dict)
    default: str = ""
    n: float = 1.0
    look_n: float = 1.0
    seen_n: float = 1.0
    family: Family | None = None
    families: Mapping[str, Family] = field(default_factory=dict)

    def family_named(self, name: str) -> Family | None:
        """Return what holds for a family: its own entry, else the usual one, None where there is neither."""
        return self.families.get(name, self.family)


@dataclass(frozen=True)
class Observer(Cited):
    """An instrument that answers questions; `labels` and `numbers` are keyed by variable.

    `origin`: `seen` where it looks at the item, `label` where it stands for the labels of a data set.
    `kind`: a key of `Dependence.kinds`, empty where the base says nothing of dependence. `follows`: how often
    it settles on what all see in an item, 0 where its errors are its own. `follows_only`: whether the looks
    are derived without its table, so that it changes no posterior of the answers of others. `people`: whether
    its kind is of people, who take their time to answer.
    `cost`: what its answers cost, as a multiple of the question's cost. `stereotype`: state -> binary
    variable -> P(true) that its label brings with it under halo, where the network says otherwise.
    `halo_of_given`: question -> how often an answer follows what its prompt stated, where it stated anything.
    `echo`: question -> how often an answer merely repeats what its prompt stated of the same variable.
    """

    name: str = ""
    label: str = ""
    description: str = ""
    askable: bool = False
    origin: Literal["seen", "label"] = "seen"
    kind: str = ""
    follows: float = 0.0
    follows_only: bool = False
    family: str = ""
    family_follows: float = 0.0
    people: bool = False
    cost: float = 1.0
    exponent: float = 1.0
    carry: float = 0.0
    halo: Mapping[str, Halo] = field(default_factory=dict)
    halo_of_given: Mapping[str, Halo] = field(default_factory=dict)
    echo: Mapping[str, float] = field(default_factory=dict)
    stereotype: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: Mapping[str, LabelInstrument] = field(default_factory=dict)
    numbers: Mapping[str, NumberInstrument] = field(default_factory=dict)

    @property
    def instruments(self) -> Mapping[str, LabelInstrument | NumberInstrument]:
        """How it answers about each variable."""
        return {**self.labels, **self.numbers}


@dataclass(frozen=True)
class ObserverCopy(Cited):
    """Another name of an observer, the `original`: a second run of the same instrument.

    An answer of a copy that the original, or another copy, gave to the same question about the same view is
    the same answer and counts once; another answer counts as a further draw of the original's reading.
    """

    name: str = ""
    label: str = ""
    description: str = ""
    original: str = ""


# The name of the usual view of a base that declares no views, where the reader is given none.
USUAL_VIEW = "usual"


@dataclass(frozen=True)
class Knowledge:
    """A whole base. `root` is the categorical variable that the populations speak of.

    `cells[variable]` and `moments` have one entry a root state, in its order; `intervals` are the
    interval variables, which `moments` describe jointly.
    `digests`: those of its parts (`guarantee.PARTS`); `observer_digests`, `question_digests`: of each as it
    is now. `fits`: the readings and gold that its observers were fitted to, the latest last. `guarantee`: the
    one certified with it, or with a base that it changed. `numbers`: every number of the YAML by its path;
    `yaml`: with what `engine.language.yaml_tree` reads the base again. A base that was not read has neither.
    `usual_view`: the view of answers that name none, and in which an item is shown first. `usual_population`:
    the one that is taken where none is chosen; "" is the reference.
    """

    name: str
    description: str
    sources: Mapping[str, Source]
    variables: Mapping[str, Variable]
    codes: Mapping[str, Code]
    levels: Mapping[str, tuple[str, ...]]
    root: str
    reference: str
    populations: Mapping[str, Population]
    cells: Mapping[str, tuple[Cell, ...]]
    intervals: tuple[str, ...]
    moments: tuple[Moments, ...]
    couplings: tuple[Coupling, ...]
    rules: tuple[Rule, ...]
    observers: Mapping[str, Observer]
    questions: Mapping[str, Question]
    policy: Policy
    digest: str
    digests: Mapping[str, str] = field(compare=False, default_factory=dict)
    observer_digests: Mapping[str, str] = field(compare=False, default_factory=dict)
    question_digests: Mapping[str, str] = field(compare=False, default_factory=dict)
    fits: tuple[FitRecord, ...] = ()
    briefing: Briefing | None = None
    views: Mapping[str, View] = field(default_factory=dict)
    usual_view: str = USUAL_VIEW
    usual_population: str = ""
    dependence: Dependence | None = None
    copies: Mapping[str, ObserverCopy] = field(default_factory=dict)
    guarantee: Guarantee | None = None
    numbers: Mapping[str, Number] = field(compare=False, repr=False, default_factory=dict)
    yaml: object = field(compare=False, repr=False, default=None)

    def __repr__(self) -> str:
        sizes = f"{len(self.rules)} rules, {len(self.observers)} observers"
        return f"<knowledge {self.name} {self.digest}: {', '.join(self.levels)}; {sizes}>"

    def _repr_html_(self) -> str:
        rows = [
            *(("level", level, _names_in_short(names)) for level, names in self.levels.items()),
            (f"P({self.root})", self.reference, _names_in_short([*self.populations])),
            ("rules", len(self.rules), _names_in_short([rule.name for rule in self.rules])),
            ("couplings", len(self.couplings), ""),
            ("observers", len(self.observers), _names_in_short([*self.observers])),
            ("questions", len(self.questions), _names_in_short([*self.questions])),
            ("sources", len(self.sources), ""),
        ]
        title, notes = f"{self.name} {self.digest}", [" ".join(self.description.split())]
        return notebook_html(title, head=("", "", "names"), rows=rows, notes=notes)


# Characters of a list of names in a table.
LONGEST_NAMES = 90


def _names_in_short(names: Sequence[str]) -> str:
    """Return names with commas between them, cut where there are many."""
    text = ", ".join(names)
    return text if len(text) <= LONGEST_NAMES else f"{text[: LONGEST_NAMES - 4].rpartition(',')[0]}, ..."
