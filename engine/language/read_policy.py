"""The sections about asking and deciding: `questions` and `policy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from engine.language.fields import NUMBER
from engine.language.yaml_nodes import Scalar
from engine.model.knowledge import First, Policy, Question, View

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node, Table
    from engine.model.knowledge import Observer, Variable

    Levels = Mapping[str, tuple[str, ...]]

Value = TypeVar("Value")

# Pixels of the longest side of what is shown.
SMALLEST, LARGEST = 64, 4096
# Risks at which a value may be accepted: never none, and never all.
LEAST_LIMIT, MOST_LIMIT = 0.0001, 0.9999
# Probabilities of the alarm of conflict: no less than what a record can show, no more than an even chance.
LEAST_CONFLICT, MOST_CONFLICT = 1e-6, 0.5


def questions(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable], levels: Levels
) -> dict[str, Question]:
    """Read the `questions` section."""
    by_name = {}
    known = (*levels, *(name for name, variable in variables.items() if variable.kind != "derived"))
    for name, inner in fields.named(node):
        entries = fields.table(inner, "reports cost", "further label about enlarge prompt")
        reports = entries.get("reports")
        reported: list[str] = []
        for what in fields.all_of(reports, known, "level or variable"):
            reported += levels.get(what, (what,))
        if reports is not None and not fields.items_of(reports):
            fields.fault(reports, "must name at least one level or variable")
        about = fields.text(entries, "about")
        if about not in ("", "one"):
            fields.fault(entries.entries["about"], f"may only be `one`, not {about!r}")
        by_name[name] = Question(
            **fields.cited(entries.get("cost") or inner),
            name=name,
            label=fields.text(entries, "label", name),
            variables=tuple(dict.fromkeys(reported)),
            cost=fields.number(entries, "cost", 0, 1e6),
            further=fields.number(entries, "further", 0, 1e6) if "further" in entries else None,
            about_one=bool(about),
            enlarge=fields.flag(entries, "enlarge"),
            prompt=fields.text(entries, "prompt"),
            prompt_place=prompt.place if (prompt := entries.get("prompt")) else inner.place,
        )
        if by_name[name].enlarge and not about:
            fields.fault(entries.entries["enlarge"], "needs `about: one`; what it is about is enlarged")
    return by_name


def views(fields: Fields, node: Node | None) -> dict[str, View]:
    """Read the `views` section."""
    by_name = {}
    for name, inner in fields.named(node):
        entries = fields.table(inner, "size", "margin grey regions")
        regions = {}
        for region, box in fields.named(entries.get("regions")):
            edges = [fields.number_at(edge, 0, 1) for edge in fields.items_of(box)]
            if len(edges) != 4 or edges[0] >= edges[2] or edges[1] >= edges[3]:
                fields.fault(box, "must be [left, top, right, bottom], shares of the box with left < right")
                continue
            regions[region] = (edges[0], edges[1], edges[2], edges[3])
        by_name[name] = View(
            **fields.cited(inner),
            name=name,
            size=fields.whole(entries, "size", SMALLEST, LARGEST),
            margin=fields.number(entries, "margin", 0, 2),
            grey=fields.flag(entries, "grey"),
            regions=regions,
        )
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
    needed = ["required limits worth budget batches conflict"]
    needed += ["tolerance"] if interval else []
    needed += ["ask"] if askable else []
    optional = "cuts tolerance ask others views first worst confidence evidence calibrated_from labels"
    entries = fields.table(node, " ".join(needed), optional)
    for key in ("budget", "batches", "conflict", "worst", "confidence", "evidence", "calibrated_from"):
        if key in entries:
            fields.cited(entries.entries[key])
    spread = _Spread(fields, entries, levels, plain)
    limits, mean_limits = spread.limits(decided)
    ask = entries.get("ask")
    who = fields.one_of(ask, askable, "askable observer") if ask else ""
    budget = fields.whole(entries, "budget", 0, 1_000_000)
    return Policy(
        **fields.cited(node),
        required=fields.all_of(entries.get("required"), levels, "level"),
        limits=limits,
        mean_limits=mean_limits,
        worst=fields.number(entries, "worst", LEAST_LIMIT, MOST_LIMIT, default=0.5),
        confidence=fields.number(entries, "confidence", 0.5, 0.999, default=0.8),
        evidence=fields.number(entries, "evidence", 1, 1000, default=2.0),
        calibrated_from=fields.whole(entries, "calibrated_from", 0, 1_000_000, default=30),
        labels_final=_labels_final(fields, entries),
        cuts=spread.over("cuts", binary, (0.01, 0.99)),
        tolerance=spread.over("tolerance", interval, (1e-6, 1e6), needed=interval),
        worth=spread.over("worth", decided, (0, 1e9), needed=decided),
        budget=budget,
        batches=_batches(fields, entries),
        conflict=_conflict(fields, entries.get("conflict")),
        ask=who,
        others=fields.all_of(entries.get("others"), askable, "askable observer"),
        views=_views(fields, entries.get("views")),
        first=_first(fields, entries.get("first"), asked, observers.get(who), budget),
    )


def _labels_final(fields: Fields, entries: Table) -> bool:
    """Return whether the labels of a data set are kept whatever is seen."""
    node = entries.get("labels")
    return node is not None and fields.one_of(node, ("look", "final"), "way with labels") == "final"


def _first(
    fields: Fields,
    node: Node | None,
    questions: Mapping[str, Question],
    who: Observer | None,
    budget: int,
) -> First | None:
    """Read what is asked first: of the observer who is asked, within the budget."""
    if node is None:
        return None
    entries = fields.table(node, "question", "samples")
    named = entries.get("question")
    name = fields.one_of(named, questions, "question") if named else ""
    question = questions.get(name)
    if question is not None and question.about_one:
        fields.fault(entries.entries["question"], f"{name} is about one variable; ask first about more")
    elif question is not None and who is not None and not set(question.variables) & set(who.instruments):
        fields.fault(entries.entries["question"], f"{who.name} answers nothing of what {name} reports")
    samples = fields.whole(entries, "samples", 1, max(budget, 1), default=1)
    cited = fields.cited(entries.entries["samples"]) if "samples" in entries else {"place": node.place}
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
                f"is {node.text}; it is a probability now, no number of bits: nothing is accepted where "
                f"readings that contradict one another so much are less probable. Allowed is "
                f"{LEAST_CONFLICT:f} to {MOST_CONFLICT:g}, as 0.01; "
                "`seke knowledge migrate` changes an old overlay",
            )
            return 0.0
    return fields.number_at(node, LEAST_CONFLICT, MOST_CONFLICT)


def _views(fields: Fields, node: Node | None) -> tuple[str, ...]:
    """Read names of views; they are the samples' own, so any text will do."""
    return tuple(dict.fromkeys(fields.text_at(item) for item in fields.items_of(node)))


def _batches(fields: Fields, entries: Table) -> tuple[int, ...]:
    node = entries.get("batches")
    sizes = [fields.whole_at(item, 1, 1000) for item in fields.items_of(node)]
    if node is not None and not sizes:
        fields.fault(node, "must be a list of at least one number of answers, such as [1, 2, 4]")
    return tuple(sorted(set(sizes)))


class _Spread:
    """Reads tables of numbers keyed by level or variable; a variable's own number wins."""

    def __init__(
        self, fields: Fields, entries: Table, levels: Levels, variables: Mapping[str, Variable]
    ) -> None:
        self.fields = fields
        self.entries = entries
        self.levels = levels
        self.variables = variables

    def over(
        self,
        key: str,
        allowed: Collection[str],
        limits: tuple[float, float],
        needed: Collection[str] = (),
    ) -> dict[str, float]:
        """Return the number of every variable among `allowed`; those `needed` must have one."""

        def number(inner: Node) -> float:
            self.fields.cited(inner)
            return self.fields.number_at(inner, *limits)

        return self._over(key, allowed, number, needed)

    def limits(self, decided: Collection[str]) -> tuple[dict[str, float], frozenset[str]]:
        """Return each variable's limit, and the variables whose mean risk it caps."""
        both = self._over("limits", decided, self._limit, decided)
        means = frozenset(name for name, (kind, _) in both.items() if kind == "mean")
        return {name: value for name, (_, value) in both.items()}, means

    def _limit(self, node: Node) -> tuple[str, float]:
        """Read a limit: a number, which caps each, or one named `each` or `mean`."""
        fields, kind = self.fields, "each"
        if not isinstance(node, Scalar):
            entries = fields.table(node, "", "each mean")
            named = [key for key in ("each", "mean") if key in entries]
            if len(named) != 1:
                fields.fault(
                    node, "needs just one of `each`, the most of each risk, and `mean`, of their mean"
                )
                return kind, LEAST_LIMIT
            kind = named[0]
            node = entries.entries[kind]
        fields.cited(node)
        return kind, fields.number_at(node, LEAST_LIMIT, MOST_LIMIT)

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
                fields.fault(inner, f"has no use: {name} is {what} and in {self._level(name)}")
        numbers = by_level | by_variable
        missing = [name for name in needed if name not in numbers]
        if node is not None and missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            fields.fault(node, f"says nothing about {', '.join(missing[:5])}{more}")
        return numbers

    def _level(self, name: str) -> str:
        levels = [level for level, names in self.levels.items() if name in names]
        return f"level {levels[0]}" if levels else "no level"
