"""The sections about asking and deciding: `questions`, `briefing`, `views` and `policy`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from engine.errors import did_you_mean
from engine.language.field_table import TABLES
from engine.language.fields import NUMBER
from engine.language.yaml_nodes import Scalar
from engine.model.policy import Briefing, First, Lookalikes, Policy, Question, Sight, View

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.language.field_table import FieldSpec
    from engine.language.fields import Entries, Fields
    from engine.language.yaml_nodes import Node
    from engine.model.knowledge import Observer
    from engine.model.variable import Variable

    Levels = Mapping[str, tuple[str, ...]]

Value = TypeVar("Value")

POLICY = TABLES["POLICY"].fields
# Marks of a binary variable that may have other names.
MARKS = ("true", "false", "null")
MOST_CONFLICT = POLICY["conflict"].high


def questions(
    fields: Fields, node: Node | None, levels: Levels, variables: Mapping[str, Variable]
) -> dict[str, Question]:
    """Read the `questions` section."""
    by_name = {}
    for name, inner in fields.named(node):
        entries = fields.table(inner, "QUESTION")
        reported, stated = (
            [name for what in entries.value(key) for name in levels.get(what, (what,))]
            for key in ("reports", "tells")
        )
        if "reports" in entries and not fields.items_of(entries["reports"]):
            entries.fault("reports", "must name at least one level or variable")
        about, sight = entries.value("about"), _sight(fields, entries.get("sight"), (*levels, *variables))
        by_name[name] = Question(
            **entries.cited("cost"),
            name=name,
            variables=tuple(dict.fromkeys(reported)),
            about_one=bool(about),
            sight=sight,
            also=_other_names(entries, (*levels, *variables, *(sight.all_words if sight else ()))),
            scale=_scale(entries, [variables[name].kind for name in reported if name in variables]),
            tells=tuple(dict.fromkeys(stated)),
            prompt_place=(entries.get("prompt") or inner).place,
            **entries.values("cost further enlarge whole forms check recall prompt")
            | {"label": entries.value("label") or name},
        )
        if by_name[name].enlarge and not about:
            entries.fault("enlarge", "needs `about: one`: the part that the question is about is enlarged")
        if by_name[name].whole and not by_name[name].enlarge:
            entries.fault("whole", "needs `enlarge: true`: the whole stands beside the part that is enlarged")
        if by_name[name].check and not about:
            entries.fault("check", "needs `about: one`: what a contradiction names is asked about alone")
        if by_name[name].recall and not about:
            entries.fault("recall", "needs `about: one`: what was answered about one variable is stated")
    return by_name


def briefing(fields: Fields, node: Node | None) -> Briefing | None:
    """Read the `briefing` section; two variables are told apart in one place."""
    if node is None:
        return None
    entries = fields.table(node, "BRIEFING")
    lookalikes: list[Lookalikes] = []
    place_of: dict[frozenset[str], str] = {}
    for name, inner in fields.named(entries.get("unlike")):
        apart = fields.table(inner, "ALIKE")
        values = apart.values("of statement")
        if "of" in apart and len(values["of"]) < 2:
            apart.fault("of", "must name at least two variables, such as [a, b]")
        for pair in map(frozenset, itertools.combinations(values["of"], 2)):
            if pair in place_of:
                message = f"{' and '.join(sorted(pair))} are told apart in unlike.{place_of[pair]} already"
                apart.fault("of", message)
            place_of.setdefault(pair, name)
        lookalikes.append(Lookalikes(place=inner.place, name=name, **values))
    return Briefing(
        **entries.cited("intensity") if "intensity" in entries else {"place": node.place},
        **entries.values("intensity counts confounders prompt"),
        prompt_place=(entries.get("prompt") or node).place,
        unlike=tuple(lookalikes),
    )


def _other_names(entries: Entries, allowed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read other names of keys and words of answers, each of which means one."""
    also = {name: tuple(names) for name, names in entries.value("also").items()}
    meant: dict[str, str] = {}
    for name, names in also.items():
        if name not in (*allowed, *MARKS):
            hint = did_you_mean(name, (*allowed, *MARKS))
            entries.fault(
                "also", f"{name!r} is no level, variable, word of `sight`, true, false or null{hint}"
            )
        for text in names:
            if text.strip() in allowed and text.strip() != name:
                entries.fault("also", f"{text!r} is {text.strip()} itself, and cannot mean {name}")
            if meant.setdefault(text.strip().casefold(), name) != name:
                entries.fault("also", f"{text!r} means {meant[text.strip().casefold()]} and {name}")
    return also


def _scale(entries: Entries, kinds: Collection[str]) -> tuple[float, float] | None:
    """Read the ends of the scale of the numbers in answers; None where the variables' ranges are that."""
    if "scale" not in entries:
        return None
    ends = entries.value("scale")
    if len(ends) != 2 or ends[0] >= ends[1]:
        entries.fault("scale", "must be [low, high], with low under high, such as [1, 9]")
        return None
    if "interval" not in kinds:
        entries.fault("scale", "is of numbers; this question reports no interval variable")
    return ends[0], ends[1]


def _sight(fields: Fields, node: Node | None, taken: Collection[str]) -> Sight | None:
    """Read what an answer says first of how well it sees; None where nothing is declared.

    taken: names of other keys of answers.
    """
    if node is None:
        return None
    entries = fields.table(node, "SIGHT")
    words = entries.value("words")
    if entries.value("key") in taken:
        entries.fault("key", f"{entries.value('key')} is a level or variable; give it another key")
    if "words" in entries and len(words) < 2:
        entries.fault("words", "needs two words at least: that it can be judged, and, last, that it cannot")
    return Sight(entries.value("key"), words) if entries.value("key") and len(words) > 1 else None


def views(fields: Fields, node: Node | None) -> dict[str, View]:
    """Read the `views` section."""
    by_name: dict[str, View] = {}
    for name, inner in fields.named(node):
        entries = fields.table(inner, "VIEW")
        regions = {}
        for region, box in fields.named(entries.get("regions")):
            edges = fields.read(box, entries.fields["regions"].inner[0])
            if len(edges) != 4 or edges[0] >= edges[2] or edges[1] >= edges[3]:
                fields.fault(box, "must be [left, top, right, bottom], shares of the box with left < right")
                continue
            regions[region] = edges
        if not by_name and entries.value("repeats"):
            entries.fault("repeats", "is of the usual view, the first one; only another view may repeat it")
        by_name[name] = View(
            **fields.cited(inner),
            name=name,
            repeats=entries.value("repeats"),
            options=entries.values("size least detail margin grey mirror") | {"regions": regions},
        )
        if by_name[name].options["least"] > by_name[name].options["size"]:
            entries.fault("least", "is more than `size`, the most that its longest side has")
    return by_name


def policy(
    fields: Fields,
    node: Node | None,
    variables: Mapping[str, Variable],
    levels: Levels,
    observers: Mapping[str, Observer],
    asked: Mapping[str, Question],
) -> Policy:
    """Read the `policy` section; numbers of a level are spread over its variables.

    asked: the questions that there are.
    """
    if node is None:
        return Policy()
    plain = {name: variable for name, variable in variables.items() if variable.kind != "derived"}
    decided = {name: variables[name].kind for names in levels.values() for name in names}
    interval = [name for name, kind in decided.items() if kind == "interval"]
    binary = [name for name, kind in decided.items() if kind == "binary"]
    askable = [name for name, observer in observers.items() if observer.askable]
    fields.names["askable observer"] = askable
    entries = fields.table(node, "POLICY", ["tolerance"] * bool(interval) + ["ask"] * bool(askable))
    spread = _Spread(fields, entries, levels, plain)
    limits, mean_limits = spread.limits(decided)
    budget, ask = entries.value("budget"), entries.value("ask")
    return Policy(
        **fields.cited(node),
        limits=limits,
        mean_limits=mean_limits,
        **entries.values("required worst confidence evidence calibrated_from"),
        labels_final=entries.value("labels") == "final",
        cuts=spread.over("cuts", binary),
        tolerance=spread.over("tolerance", interval, needed=interval),
        worth=spread.over("worth", decided, needed=decided),
        budget=budget,
        batches=_batches(entries),
        conflict=_conflict(fields, entries.get("conflict")),
        ask=ask,
        others=entries.value("others"),
        views=tuple(dict.fromkeys(entries.value("views"))),
        checks_first=entries.value("contradictions") == "check",
        first=_first(fields, entries.get("first"), asked, observers.get(ask), budget),
    )


def _first(
    fields: Fields, node: Node | None, questions: Mapping[str, Question], who: Observer | None, budget: int
) -> First | None:
    """Read what is asked first: of the observer who is asked, within the budget."""
    if node is None:
        return None
    entries = fields.table(node, "FIRST")
    name = entries.value("question")
    question = questions.get(name)
    if question is not None and question.about_one:
        entries.fault("question", f"{name} is about one variable; the first question must be about several")
    elif question is not None and who is not None and not set(question.variables) & set(who.instruments):
        entries.fault("question", f"{who.name} does not answer anything that {name} asks for")
    samples = entries.within("samples", 1, max(budget, 1))
    cited = entries.cited("samples") if "samples" in entries else {"place": node.place}
    return First(**cited, question=name, samples=samples)


def _conflict(fields: Fields, node: Node | None) -> float:
    """Read the probability under which readings contradict one another too much; bits are refused."""
    if node is None:
        return 0.0
    if isinstance(node, Scalar) and node.plain and NUMBER.fullmatch(node.text):
        value = float(node.text)
        if value > MOST_CONFLICT:
            fields.fault(
                node,
                f"is {node.text}; it is now a probability, not a number of bits: an item is rejected if a "
                f"conflict of its readings this strong has a lower probability. Allowed is "
                f"{POLICY['conflict'].low:f} to {MOST_CONFLICT:g}, such as 0.01; "
                "`seke knowledge migrate` rewrites an old overlay",
            )
            return 0.0
    return float(fields.read(node, POLICY["conflict"]))


def _batches(entries: Entries) -> tuple[int, ...]:
    sizes = entries.value("batches")
    if "batches" in entries and not sizes:
        entries.fault("batches", "must be a list of at least one number of answers, such as [1, 2, 4]")
    return tuple(sorted(set(sizes)))


class _Spread:
    """Reads tables of numbers keyed by level or variable; a variable's own number wins."""

    def __init__(
        self, fields: Fields, entries: Entries, levels: Levels, variables: Mapping[str, Variable]
    ) -> None:
        self.fields = fields
        self.entries = entries
        self.levels = levels
        self.variables = variables

    def over(self, key: str, allowed: Collection[str], needed: Collection[str] = ()) -> dict[str, float]:
        """Return the number of every variable among `allowed`; those `needed` must have one."""
        return self._over(key, allowed, lambda node: self._number(node, POLICY[key].inner[0]), needed)

    def _number(self, node: Node, field: FieldSpec) -> float:
        self.fields.cited(node)
        return float(self.fields.read(node, field))

    def limits(self, decided: Collection[str]) -> tuple[dict[str, float], frozenset[str]]:
        """Return each variable's limit, and the variables whose mean risk it caps."""
        both = self._over("limits", decided, self._limit, decided)
        means = frozenset(name for name, (kind, _) in both.items() if kind == "mean")
        return {name: value for name, (_, value) in both.items()}, means

    def _limit(self, node: Node) -> tuple[str, float]:
        """Read a limit: a number, which caps each, or one named `each` or `mean`."""
        risk, table = POLICY["limits"].inner[0].inner
        if isinstance(node, Scalar):
            return "each", self._number(node, risk)
        entries = self.fields.table(node, table.what)
        kinds = [key for key in table.fields if key in entries]
        if len(kinds) != 1:
            message = "needs either `each`, a limit of each risk, or `mean`, a limit of their mean"
            self.fields.fault(node, message)
            return "each", risk.low
        return kinds[0], self._number(entries[kinds[0]], risk)

    def _over(
        self, key: str, allowed: Collection[str], read: Callable[[Node], Value], needed: Collection[str]
    ) -> dict[str, Value]:
        fields, node = self.fields, self.entries.get(key)
        by_level: dict[str, Value] = {}
        by_variable: dict[str, Value] = {}
        known = (*self.levels, *self.variables)
        for name, inner in fields.known(node, known, "level or variable"):
            value = read(inner)
            if name in self.levels:
                by_level |= {variable: value for variable in self.levels[name] if variable in allowed}
            elif name in allowed:
                by_variable[name] = value
            else:
                what = self.variables[name].kind
                fields.fault(inner, f"has no effect: {name} is {what} and in {self._level(name)}")
        numbers = by_level | by_variable
        missing = [name for name in needed if name not in numbers]
        if node is not None and missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            fields.fault(node, f"says nothing about {', '.join(missing[:5])}{more}")
        return numbers

    def _level(self, name: str) -> str:
        levels = [level for level, names in self.levels.items() if name in names]
        return f"level {levels[0]}" if levels else "no level"
