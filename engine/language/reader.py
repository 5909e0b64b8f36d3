"""YAML folder -> `Knowledge`: every section read and checked, all faults in one report."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.backend.last_used import LastUsed
from engine.errors import KnowledgeError
from engine.language import read_fits
from engine.language import read_observers as observer_reader
from engine.language import read_policy as policy_reader
from engine.language import read_tables as table_reader
from engine.language.certificates_yaml import certificates
from engine.language.fields import Fields
from engine.language.overlay import MOST_KEPT, read_layers
from engine.language.parameter_paths import CELLS, MOMENTS
from engine.language.read_dependence import dependence
from engine.language.read_variables import KINDS, formula, of_kind, variables
from engine.language.yaml_nodes import Items, Table
from engine.language.yaml_tree import YamlTree, digests_of, with_digests
from engine.model.citation import Source
from engine.model.knowledge import USUAL_VIEW, Code, Coupling, Knowledge, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from engine.errors import Fault
    from engine.language.fields import Entries, Once
    from engine.language.overlay import LayerKey
    from engine.language.yaml_nodes import Node
    from engine.model.variable import Variable


_KNOWN: LastUsed[tuple[tuple[LayerKey, ...], str], Knowledge] = LastUsed(MOST_KEPT)


def read(path: Path, bases: Mapping[str, Path] | None = None, usual_view: str = USUAL_VIEW) -> Knowledge:
    """Read a knowledge base: a folder of YAML files, or one file.

    `bases` gives the folders that `extends` may name without a path; `usual_view` the view of answers that
    name none, for a base without `views`; with them it is the first. A base whose files hold what they held
    at an earlier reading is that same value.

    Raises:
        KnowledgeError: all faults found, each with file, line, column and path.
    """
    faults: list[Fault] = []
    tree, layers = read_layers(path, bases or {}, faults)
    if tree is None:
        raise KnowledgeError(faults, str(path))
    key = (layers, usual_view)
    known = _KNOWN.get(key) if layers and not faults else None
    if known is not None:
        return known
    fields = Fields(faults)
    try:
        knowledge = _read_tree(fields, tree, usual_view)
        if faults:
            raise KnowledgeError(faults)
    except KnowledgeError as error:
        raise KnowledgeError((_explain_removal(fault, tree) for fault in error.faults), str(path)) from None
    declared = YamlTree(tree, partial(_read_changed, fields.cache, usual_view))
    whole = with_digests(replace(knowledge, numbers=fields.numbers, yaml=declared), tree)
    if layers:
        _KNOWN.put(key, whole)
    return whole


def _explain_removal(fault: Fault, tree: Table) -> Fault:
    """Return the fault of an unknown name with the place where an overlay removed it."""
    named = re.search(r"(?:is called|has no state) '([^']+)'", fault.message)
    if named is None or named[1] not in tree.removed:
        return fault
    what = fault.message.partition("; ")[0]
    hint = f"it was removed at {tree.removed[named[1]]}; also remove or change everything that refers to it"
    return replace(fault, message=f"{what}; {hint}")


def _read_changed(earlier: Mapping[str, Once], usual_view: str, tree: Table) -> Knowledge:
    """Read a changed tree, with the unchanged parts from an earlier reading; the base has no digest yet."""
    fields = Fields([], earlier)
    knowledge = _read_tree(fields, tree, usual_view)
    if fields.faults:
        raise KnowledgeError(fields.faults)
    return knowledge


def _read_tree(fields: Fields, tree: Table, usual_view: str) -> Knowledge:
    top = fields.table(tree, "BASE")

    def section(key: str, make: Callable[..., Any], *inputs: Any) -> Any:
        """Return the values of a section, from the cache where it and its other inputs are unchanged."""
        node = top.get(key)
        return fields.once(key, [node, *inputs], lambda: make(fields, node, *inputs))

    sources = section("sources", _sources)
    if not fields.earlier:
        fields.citations(tree, sources)
    by_name = section("variables", variables)
    scale = table_reader.words(fields, top.get("words"))
    _check_any(fields, top, by_name)
    fields.names = _variable_names(by_name)
    levels = section("levels", _levels, by_name)
    fields.names |= {"level": levels, "level or variable": (*levels, *fields.names["variable"])}
    prior = section("priors", table_reader.priors, by_name)
    root = prior.root
    cell_likes, moment_likes = (
        table_reader.mixtures(fields, _inside(top, *path), root) for path in (CELLS, MOMENTS)
    )
    cells = section(CELLS[0], table_reader.cells, root, by_name, scale, cell_likes)
    intervals, moments = section(MOMENTS[0], table_reader.moments, root, by_name, moment_likes)
    if root is not table_reader.NO_ROOT:
        _check_described(fields, by_name.values(), {root.name, *cells, *intervals})
    questions = section("questions", policy_reader.questions, levels, by_name)
    fields.names["question"] = questions
    likes = {root.name: moment_likes | cell_likes}
    shared = section("dependence", dependence)
    views = section("views", policy_reader.views)
    observers = observer_reader.observers(fields, top.get("observers"), by_name, questions, likes, shared)
    return Knowledge(
        **top.values("name description"),
        sources=sources,
        variables=by_name,
        codes=section("codes", _codes, by_name),
        levels=levels,
        root=root.name,
        reference=prior.reference,
        populations=prior.populations,
        usual_population=prior.usual,
        cells=cells,
        intervals=intervals,
        moments=moments,
        couplings=section("couplings", _couplings, by_name),
        rules=section("rules", _rules, by_name),
        observers=observers,
        questions=questions,
        policy=section("policy", policy_reader.policy, by_name, levels, observers, questions),
        digest="",
        briefing=section("briefing", policy_reader.briefing),
        views=views,
        usual_view=next(iter(views), usual_view),
        dependence=shared,
        copies=observer_reader.copies(fields, top.get("observers"), observers),
        # Their numbers are findings about the base, as those of certificates, and no part of what it says.
        fits=read_fits.fits(Fields(fields.faults), top.get("fits")),
        guarantee=section("certificates", lambda f, node: certificates(f, node, by_name, digests_of(tree))),
    )


def _check_any(fields: Fields, top: Entries, variables: Mapping[str, Variable]) -> None:
    """Raise a KnowledgeError where there are no variables: every name would be unknown."""
    if not variables:
        if not fields.faults:
            top.fault("variables", "declares no variables; a base needs at least one")
        raise KnowledgeError(fields.faults)


def _variable_names(variables: Mapping[str, Variable]) -> dict[str, Collection[str]]:
    """Return the names of variables by kind, and of those that are no functions of others."""
    names: dict[str, Collection[str]] = {f"{kind} variable": of_kind(variables, kind) for kind in KINDS}
    return names | {"variable": [name for name in variables if variables[name].kind != "derived"]}


def _inside(top: Entries, section: str, key: str) -> Node | None:
    node = top.get(section)
    return node.get(key) if isinstance(node, Table) else None


def _sources(fields: Fields, node: Node | None) -> dict[str, Source]:
    table = fields.any_table(node)
    return {
        name: Source(name, **fields.table(inner, "SOURCE").values("cite url used"), place=table.places[name])
        for name, inner in fields.named(node)
    }


def _codes(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> dict[str, Code]:
    codes = {}
    table = fields.any_table(node)
    for name, inner in fields.named(node):
        entries = fields.table(inner, "CODE")
        values = entries.values("label description hides")
        if name in variables:
            fields.key_fault(table, name, "is a variable already")
        cited = fields.cited(inner) if values["hides"] else {"place": inner.place}
        codes[name] = Code(**cited, name=name, **values)
    return codes


def _levels(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable]
) -> dict[str, tuple[str, ...]]:
    levels: dict[str, tuple[str, ...]] = {}
    table = fields.any_table(node)
    taken: dict[str, str] = {}
    for name, inner in fields.named(node, strict=True):
        levels[name] = fields.all_of(inner, fields.names["variable"], "variable")
        for variable in levels[name]:
            if variable in taken:
                fields.fault(inner, f"{variable} is in level {taken[variable]} already")
            taken[variable] = name
        if name in variables and name not in levels[name] and isinstance(inner, Items):
            fields.key_fault(table, name, "is also a variable that is not in this level; rename one")
    return levels


def _check_described(fields: Fields, variables: Iterable[Variable], known: set[str]) -> None:
    for variable in variables:
        if variable.kind == "derived" or variable.name in known:
            continue
        message = {
            "categorical": "only the variable of `priors` may be categorical",
            "binary": "the base says nothing about it: give it cells in `activations`",
            "interval": "the base says nothing about it: name it in `affect`",
        }[variable.kind]
        fields.fault(Table(variable.place, f"variables.{variable.name}"), message)


def _couplings(fields: Fields, node: Node | None, _: Mapping[str, Variable]) -> tuple[Coupling, ...]:
    couplings: dict[frozenset[str], Coupling] = {}
    for name, inner in fields.named(node):
        entries = fields.table(inner, "COUPLING")
        before = len(fields.faults)
        values = entries.values("pair odds_ratio n statement")
        pair = values["pair"]
        cited = entries.cited("odds_ratio")
        if "pair" not in entries or len(fields.faults) > before:
            continue
        if len(pair) != 2:
            entries.fault("pair", f"must name two variables, not {len(pair)}")
        elif frozenset(pair) in couplings:
            entries.fault("pair", f"is the pair of couplings.{couplings[frozenset(pair)].name} already")
        else:
            couplings[frozenset(pair)] = Coupling(**cited, name=name, **values)
    return tuple(couplings.values())


def _rules(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> tuple[Rule, ...]:
    rules = []
    table = fields.any_table(node)
    for name, inner in fields.named(node):
        entries = fields.table(inner, "RULE")
        if not all(key in entries for key in ("if", "then", "confidence")):
            continue
        rules.append(
            Rule(
                **entries.cited("confidence") | {"place": table.places[name]},
                name=name,
                condition=formula(fields, entries["if"], variables),
                then=formula(fields, entries["then"], variables),
                **entries.values("confidence n statement"),
            )
        )
    return tuple(rules)
