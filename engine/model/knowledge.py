"""The declared values of a knowledge base, as the reader found them.

Every value is immutable and knows its place in the YAML and its source. The places and
sources do not take part in comparison: two bases that say the same are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.fit_record import FitRecord
    from engine.model.formula import Formula
    from engine.model.guarantee import Guarantee

NOWHERE = Place("", 0, 0)


@dataclass(frozen=True)
class Cited:
    """Where a number comes from: `source` is a key of `Knowledge.sources` or `judgement`."""

    place: Place = field(compare=False, default=NOWHERE)
    source: str = field(compare=False, default="judgement")
    note: str = field(compare=False, default="")


@dataclass(frozen=True)
class Number(Cited):
    """A number of the YAML: where it stands, its value, and the least and the greatest it may be."""

    path: str = ""
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Source:
    """A citation."""

    name: str
    cite: str
    url: str = ""
    used: str = ""
    place: Place = field(compare=False, default=NOWHERE)


@dataclass(frozen=True)
class Variable:
    """A variable of the base.

    `states` are the names of its values in order: those declared (categorical, derived),
    `("false", "true")` (binary), or the bins' numbers as text (interval).
    `edges` holds the bins' edges of an interval variable, (bins + 1,), increasing.
    `formulas` holds one formula a state for a derived variable. `places`: where its states are declared.
    """

    name: str
    kind: Literal["categorical", "binary", "interval", "derived"]
    states: tuple[str, ...]
    label: str
    description: str = ""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    edges: tuple[float, ...] = ()
    formulas: tuple[Formula, ...] = ()
    place: Place = field(compare=False, default=NOWHERE)
    places: Mapping[str, Place] = field(compare=False, default_factory=dict)

    @property
    def values(self) -> tuple[str, ...]:
        """What is certified apart: its states, or of an interval one thing, being `within` its tolerance."""
        return ("within",) if self.kind == "interval" else self.states


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
    `weight`: how many answers a reported distribution counts for.
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


@dataclass(frozen=True)
class NumberInstrument(Cited):
    """How an observer reports an interval variable, in the unit of the variable.

    y = gain · r + offset + noise, r = x + perception noise (one a reading), rounded to
    `grid` and clipped; `slip` is the share of answers that are anything in the range.
    """

    variable: str = ""
    gain: float = 1.0
    offset: float = 0.0
    perception: float = 0.0
    noise: float = 0.0
    slip: float = 0.0
    grid: float = 0.0


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

    `kinds`: by name. `default`: that of observers which name none. `n`: for how many answers a state an
    observer's table counts where the looks are derived from all tables; `look_n`, `seen_n`: those of a row of
    the declared shapes of looks and of what is seen in them. `family`: how often members of a family follow
    it, None where that is declared for each family alone; `families`: those with a number of their own.
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

    `origin`: `seen` where it looks at the item, `label` where it is what a data set says of it.
    `kind`: a key of `Dependence.kinds`, empty where the base says nothing of dependence. `follows`: how often
    it settles on what all see in an item, 0 where its errors are its own. `people`: whether its kind is of
    people, who take their time to answer.
    `cost`: what its answers cost, as a multiple of the question's cost. `stereotype`: state -> binary
    variable -> P(true) that its label brings with it under halo, where the network says otherwise.
    """

    name: str = ""
    label: str = ""
    description: str = ""
    askable: bool = False
    origin: Literal["seen", "label"] = "seen"
    kind: str = ""
    follows: float = 0.0
    family: str = ""
    family_follows: float = 0.0
    people: bool = False
    cost: float = 1.0
    exponent: float = 1.0
    carry: float = 0.0
    halo: Mapping[str, Halo] = field(default_factory=dict)
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


@dataclass(frozen=True)
class Question(Cited):
    """One way of asking: the variables it reports, what an answer costs, its prompt template.

    `cost`: of a request with one answer. `further`: of each further answer of the same request, which shares
    the prompt and what is shown, in the same unit; None: as much as the first.
    `about_one`: each asking is about one of the variables, so a closed-world list is no answer. `enlarge`:
    what is shown is the region of a view that this variable is about.
    """

    name: str = ""
    label: str = ""
    variables: tuple[str, ...] = ()
    cost: float = 1.0
    further: float | None = None
    about_one: bool = False
    enlarge: bool = False
    prompt: str = ""
    prompt_place: Place = field(compare=False, default=NOWHERE)

    @property
    def further_cost(self) -> float:
        """The price of each further answer of a request."""
        return self.cost if self.further is None else self.further

    def price(self, answers: int) -> float:
        """Return the price of one request for so many answers: cost + (answers - 1) further; 0 for none."""
        return self.cost + (answers - 1) * self.further_cost if answers else 0.0


@dataclass(frozen=True)
class View(Cited):
    """One way of showing an item. `options`: how, for whoever shows it, by the keys of the YAML."""

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class First(Cited):
    """What is asked first about every item: a question, and for how many answers."""

    question: str = ""
    samples: int = 1


@dataclass(frozen=True)
class Policy(Cited):
    """When an annotation is accepted, asked again or rejected.

    `limits`, `worth`: per variable (levels are spread over their variables by the reader). A limit caps each
    accepted value's risk, or, for a variable of `mean_limits`, the mean risk of what is accepted, of which no
    single risk may be above `worst`. `thresholds`: of such a variable the highest risk accepted, one a value
    (`Variable.values`), where it was found; until then the limit caps each; `adaptive_thresholds`: those for
    items that are asked as the policy asks. `aims`: the risk down to which items are asked, where that is
    another than the highest risk accepted, one a value; `adaptive_aims`: those found with the thresholds.
    `confidence`: with which probability over an uncertain fit a threshold keeps its limit. `evidence`: the
    least likelihood ratio of answers about a binary variable for what is accepted of it. `calibrated_from`:
    items with gold from which a fit counts as a calibration. `models`: observer -> the model that answers
    as it, where that is known (not of the YAML). `labels_final`: whether the labels of a data set are kept
    whatever is seen.
    `cuts`: probability from which a binary variable is called active. `tolerance`: in the
    unit of an interval variable. `worth` is in the unit of the questions' cost; `budget`
    counts answers per item from askable observers; `conflict`: probability of readings that contradict
    one another so much, under which nothing is accepted.
    `ask`: the observer to ask where no askable one has answered yet; `others`: those that may be asked
    besides; `views`: those that may be asked for beside the ones that an item has. `first`: what is asked
    about an item of which nothing is known; None: the question that reports the most, for as many answers as
    gain most for their price.
    """

    required: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    mean_limits: frozenset[str] = frozenset()
    worst: float = 0.5
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    adaptive_thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    aims: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    adaptive_aims: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    confidence: float = 0.8
    evidence: float = 2.0
    calibrated_from: int = 30
    labels_final: bool = False
    models: Mapping[str, str] = field(compare=False, default_factory=dict)
    cuts: Mapping[str, float] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=dict)
    worth: Mapping[str, float] = field(default_factory=dict)
    budget: int = 0
    batches: tuple[int, ...] = (1,)
    conflict: float = 0.0
    ask: str = ""
    others: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    first: First | None = None

    def highest_risks(self, variable: Variable) -> tuple[float, ...]:
        """Return the highest risk at which each value of a variable is accepted (`Variable.values`)."""
        limit = self.limits[variable.name]
        return self.thresholds.get(variable.name, (limit,) * len(variable.values))

    def aimed_at(self) -> Policy:
        """Return the policy as the look-ahead takes it: what is asked for is a risk as low as the aims."""
        return replace(self, thresholds={**self.thresholds, **self.aims}) if self.aims else self

    def highest_risk(self, variable: Variable) -> float | None:
        """Return the highest risk at which anything of a variable is accepted; None where it has no limit."""
        return max(self.highest_risks(variable)) if variable.name in self.limits else None


@dataclass(frozen=True)
class Knowledge:
    """A whole base. `root` is the categorical variable that the populations speak of.

    `cells[variable]` and `moments` have one entry a root state, in its order; `intervals` are the
    interval variables, which `moments` describe jointly.
    `digests`: those of its parts (`guarantee.PARTS`); `observer_digests`, `question_digests`: of each as it
    is now. `fits`: what its observers were fitted to, the latest last. `guarantee`: what was certified with
    it, or with a base that it changed. `numbers`: every number of the YAML by its path; `yaml`: with what
    `engine.language.yaml_tree` reads the base again. A base that was not read has neither.
    `usual_view`: the view of answers that name none, and in which an item is shown first.
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
    views: Mapping[str, View] = field(default_factory=dict)
    usual_view: str = ""
    dependence: Dependence | None = None
    copies: Mapping[str, ObserverCopy] = field(default_factory=dict)
    guarantee: Guarantee | None = None
    numbers: Mapping[str, Number] = field(compare=False, repr=False, default_factory=dict)
    yaml: object = field(compare=False, repr=False, default=None)
