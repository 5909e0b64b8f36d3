"""What may be asked of observers, and when an item is accepted: questions, views and the policy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.model.citation import NOWHERE, Cited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.errors import Place
    from engine.model.variable import Variable

# Follows the name of a view in readings that were asked in the reversed form; names have no such sign.
REVERSED = "@reversed"


def view_in_form(view: str, form: int) -> str:
    """Return the view of readings in a form of the question: 0 as declared, 1 reversed."""
    return f"{view}{REVERSED}" if form else view


def shown_view(view: str) -> str:
    """Return the view that readings show, in whatever form they were asked."""
    return view.removesuffix(REVERSED)


@dataclass(frozen=True)
class Sight:
    """How well what is asked about can be seen: the first key of an answer, and word -> what it means.

    The words stand best first; with the last one the answer says that nothing can be judged.
    """

    key: str
    words: Mapping[str, str]

    @property
    def all_words(self) -> tuple[str, ...]:
        """The key and the words, which answers may call otherwise."""
        return (self.key, *self.words)

    @property
    def nothing(self) -> str:
        """The word that says that nothing can be judged."""
        return tuple(self.words)[-1]


@dataclass(frozen=True)
class Question(Cited):
    """One way of asking: the variables it reports, what an answer costs, its prompt template.

    `cost`: of a request with one answer. `further`: of each further answer of the same request, which shares
    the prompt and what is shown, in the same unit; None: as much as the first.
    `about_one`: each asking is about one of the variables, so a closed-world list is no answer. `enlarge`:
    what is shown is the region of a view that this variable is about. `whole`: the whole stands beside it.
    `forms`: in how many orders what can be named is listed, over which draws are split evenly; each is a
    reading of its own, in a view of its own name (`view_in_form`).
    `check`: it is asked only about a variable that a contradiction names. `recall`: its prompt states what
    the observer answered about that variable before, and what contradicts it.
    `sight`: what an answer says first; None where it need not. `also`: a key of its answers, a word of
    `sight`, `true`, `false` or `null` -> other names that answers may have for it. `scale`: the ends of the
    scale on which answers give numbers; None: each variable's own range.
    `tells`: the variables whose known values its
    prompt states.
    """

    name: str = ""
    label: str = ""
    variables: tuple[str, ...] = ()
    cost: float = 1.0
    further: float | None = None
    about_one: bool = False
    enlarge: bool = False
    whole: bool = False
    forms: int = 1
    check: bool = False
    recall: bool = False
    sight: Sight | None = None
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: tuple[float, float] | None = None
    tells: tuple[str, ...] = ()
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
class Lookalikes(Cited):
    """Binary variables that are taken for one another, and in words how each looks."""

    name: str = ""
    of: tuple[str, ...] = ()
    statement: str = ""


@dataclass(frozen=True)
class Briefing(Cited):
    """What is told to all who are asked, whatever the question.

    `intensity`: from which one a binary variable is true, on the scale of labels that have several; None
    where that is not said. `counts`: the same in words. `confounders`: what looks like a change and is none.
    `prompt`: a template that is told before each question, the same for all of them.
    """

    intensity: int | None = None
    counts: str = ""
    confounders: Mapping[str, str] = field(default_factory=dict)
    unlike: tuple[Lookalikes, ...] = ()
    prompt: str = ""
    prompt_place: Place = field(compare=False, default=NOWHERE)


@dataclass(frozen=True)
class View(Cited):
    """One way of showing an item. `options`: by the keys of the YAML, for the application.

    `repeats`: the probability that a reading in it is the reading of the usual view once more.
    """

    name: str = ""
    repeats: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class First(Cited):
    """The first question about every item, and the number of its answers."""

    question: str = ""
    samples: int = 1


@dataclass(frozen=True)
class Policy(Cited):
    """When an annotation is accepted, asked again or rejected.

    `limits`, `worth`: per variable (levels are spread over their variables by the reader). A limit caps each
    accepted value's risk, or, for a variable of `mean_limits`, the mean risk of its accepted values; no
    single one may be above `worst`. `thresholds`: for such a variable the highest accepted risk of each value
    (`Variable.values`), once found; until then the limit caps each; `adaptive_thresholds`: those for
    items that are asked as the policy asks. `aims`: the risk down to which items are asked, where that is
    another than the highest risk accepted, one a value; `adaptive_aims`: those found with the thresholds.
    `confidence`: with which probability over an uncertain fit a threshold keeps its limit. `evidence`: the
    least likelihood ratio of answers about a binary variable that lets its value be accepted.
    `calibrated_from`: items with gold from which a fit counts as a calibration. `models`: observer -> the
    model that answers as it, where that is known (not of the YAML). `labels_final`: whether the labels of a
    data set are kept whatever is seen.
    `cuts`: probability from which a binary variable is called active. `tolerance`: in the
    unit of an interval variable. `worth` is in the unit of the questions' cost; `budget`
    counts answers per item from askable observers; `conflict`: nothing is accepted where readings that
    contradict one another so much are less probable than this.
    `ask`: the observer to ask where no askable one has answered yet; `others`: those that may be asked
    besides; `views`: those that may be asked for beside the ones that an item has. `checks_first`: whether
    a question about a variable that a contradiction names comes before all others, once, where it is worth
    its price. `first`: the question
    about an item without answers; None: the question that reports the most, for as many answers as
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
    checks_first: bool = False
    first: First | None = None

    def highest_risks(self, variable: Variable) -> tuple[float, ...]:
        """Return the highest risk at which each value of a variable is accepted (`Variable.values`)."""
        limit = self.limits[variable.name]
        return self.thresholds.get(variable.name, (limit,) * len(variable.values))

    def aimed_at(self) -> Policy:
        """Return the policy of the look-ahead, which asks until risks are as low as the aims."""
        return replace(self, thresholds={**self.thresholds, **self.aims}) if self.aims else self

    def highest_risk(self, variable: Variable) -> float | None:
        """Return the highest risk at which anything of a variable is accepted; None where it has no limit."""
        return max(self.highest_risks(variable)) if variable.name in self.limits else None
