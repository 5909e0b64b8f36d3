"""YAML folder -> `Knowledge`: every section read and checked, all faults in one report."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import KnowledgeError
from engine.language import certificates_yaml as certificate_reader
from engine.language import read_fits
from engine.language import read_observers as observer_reader
from engine.language import read_policy as policy_reader
from engine.language import read_tables as table_reader
from engine.language.fields import Fields
from engine.language.overlay import read_layers
from engine.language.read_copies import copies
from engine.language.read_dependence import dependence
from engine.language.read_variables import formula, of_kind, variables
from engine.language.yaml_nodes import Items, Table
from engine.language.yaml_tree import YamlTree, digests_of, with_digests
from engine.model.knowledge import Code, Coupling, Knowledge, Rule, Source, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from engine.errors import Fault
    from engine.language.fields import Once
    from engine.language.yaml_nodes import Node

REQUIRED = "name variables levels priors observers questions policy"
OPTIONAL = (
    "description sources codes words activations affect couplings rules views dependence fits certificates"
)


def read(path: Path, bases: Mapping[str, Path] | None = None) -> Knowledge:
    """Read a knowledge base: a folder of YAML files, or one file.

    `bases` gives the folders that `extends` may name without a path.

    Raises:
        KnowledgeError: all faults found, each with file, line, column and path.
    """
    faults: list[Fault] = []
    tree = read_layers(path, bases or {}, faults)
    if tree is None:
        raise KnowledgeError(faults, str(path))
    fields = Fields(faults)
    try:
        knowledge = _read_tree(fields, tree)
        if faults:
            raise KnowledgeError(faults)
    except KnowledgeError as error:
        raise KnowledgeError((_explain_removal(fault, tree) for fault in error.faults), str(path)) from None
    declared = YamlTree(tree, partial(_read_changed, fields.read))
    return with_digests(replace(knowledge, numbers=fields.numbers, yaml=declared), tree)


def _explain_removal(fault: Fault, tree: Table) -> Fault:
    """Return the fault of an unknown name with the place where an overlay removed it."""
    named = re.search(r"(?:is called|has no state) '([^']+)'", fault.message)
    if named is None or named[1] not in tree.removed:
        return fault
    what = fault.message.partition("; ")[0]
    hint = f"it was removed at {tree.removed[named[1]]}; remove or change what speaks of it, too"
    return replace(fault, message=f"{what}; {hint}")


def _read_changed(earlier: Mapping[str, Once], tree: Table) -> Knowledge:
    """Read a changed tree, with the unchanged parts from an earlier reading; the base has no digest yet."""
    fields = Fields([], earlier)
    knowledge = _read_tree(fields, tree)
    if fields.faults:
        raise KnowledgeError(fields.faults)
    return knowledge


def _read_tree(fields: Fields, tree: Table) -> Knowledge:
    lacks = [f"`{key}`" for key in REQUIRED.split() if key not in tree]
    if lacks:
        hint = "a file that changes another base begins with `extends:` and that base"
        fields.fault(tree, f"needs {', '.join(lacks)}; {hint}")
    top = fields.table(tree, "", f"{REQUIRED} {OPTIONAL}")
    once, nodes = fields.once, {key: top.get(key) for key in (REQUIRED + " " + OPTIONAL).split()}
    sources = once("sources", [nodes["sources"]], lambda: _sources(fields, nodes["sources"]))
    if not fields.earlier:
        fields.citations(tree, sources)
    by_name = once("variables", [nodes["variables"]], lambda: variables(fields, nodes["variables"]))
    scale = table_reader.words(fields, nodes["words"])
    if not by_name:  # Every name below would be unknown.
        if not fields.faults:
            fields.fault(nodes["variables"] or tree, "declares no variables; a base needs at least one")
        raise KnowledgeError(fields.faults)
    levels = once("levels", [nodes["levels"], by_name], lambda: _levels(fields, nodes["levels"], by_name))
    inputs = [nodes["priors"], by_name]
    prior = once("priors", inputs, lambda: table_reader.priors(fields, nodes["priors"], by_name))
    root = prior.root
    cell_likes, moment_likes = (
        table_reader.mixtures(fields, _inside(top, section, key), root)
        for section, key in (("activations", "cells"), ("affect", "moments"))
    )
    activations = table_reader.Activations(fields, root, by_name, scale, cell_likes)
    inputs = [nodes["activations"], root, scale]
    cells = once("activations", inputs, lambda: activations.read(nodes["activations"]))
    affect, moments = once(
        "affect",
        [nodes["affect"], root],
        lambda: table_reader.affect(fields, nodes["affect"], root, by_name, moment_likes),
    )
    if root is not table_reader.NO_ROOT:
        _check_described(fields, by_name.values(), {root.name, *cells, *affect})
    inputs = [nodes["questions"], by_name, levels]
    questions = once(
        "questions", inputs, lambda: policy_reader.questions(fields, nodes["questions"], by_name, levels)
    )
    likes = {root.name: moment_likes | cell_likes}
    dependence_section = once(
        "dependence", [nodes["dependence"]], lambda: dependence(fields, nodes["dependence"])
    )
    observers = observer_reader.observers(
        fields, nodes["observers"], by_name, questions, likes, dependence_section
    )
    return Knowledge(
        name=fields.text(top, "name"),
        description=fields.text(top, "description"),
        sources=sources,
        variables=by_name,
        codes=once("codes", [nodes["codes"], by_name], lambda: _codes(fields, nodes["codes"], by_name)),
        levels=levels,
        root=root.name,
        reference=prior.reference,
        populations=prior.populations,
        cells=cells,
        affect=affect,
        moments=moments,
        couplings=once(
            "couplings",
            [nodes["couplings"], by_name],
            lambda: _couplings(fields, nodes["couplings"], by_name),
        ),
        rules=once("rules", [nodes["rules"], by_name], lambda: _rules(fields, nodes["rules"], by_name)),
        observers=observers,
        questions=questions,
        policy=policy_reader.policy(fields, nodes["policy"], by_name, levels, observers, questions),
        digest="",
        views=once("views", [nodes["views"]], lambda: policy_reader.views(fields, nodes["views"])),
        dependence=dependence_section,
        copies=copies(fields, nodes["observers"], observers),
        # Their numbers are findings about the base, as those of certificates, and no part of what it says.
        fits=read_fits.fits(Fields(fields.faults), nodes["fits"]),
        guarantee=once(
            "certificates",
            [nodes["certificates"]],
            lambda: certificate_reader.certificates(fields, nodes["certificates"], by_name, digests_of(tree)),
        ),
    )


def _inside(top: Table, section: str, key: str) -> Node | None:
    node = top.get(section)
    return node.get(key) if isinstance(node, Table) else None


def _sources(fields: Fields, node: Node | None) -> dict[str, Source]:
    sources = {}
    table = fields.any_table(node)
    for name, inner in fields.named(node):
        entries = fields.table(inner, "cite", "url used confirmed")
        cite, url, used = (fields.text(entries, key) for key in ("cite", "url", "used"))
        sources[name] = Source(name, cite, url, used, table.places[name])
    return sources


def _codes(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> dict[str, Code]:
    codes = {}
    table = fields.any_table(node)
    for name, inner in fields.named(node):
        entries = fields.table(inner, "label", "description hides")
        hides = fields.all_of(entries.get("hides"), of_kind(variables, "binary"), "binary variable")
        if name in variables:
            fields.key_fault(table, name, "is a variable already")
        label, description = fields.text(entries, "label"), fields.text(entries, "description")
        cited = fields.cited(inner) if hides else {"place": inner.place}
        codes[name] = Code(**cited, name=name, label=label, description=description, hides=hides)
    return codes


def _levels(
    fields: Fields, node: Node | None, variables: Mapping[str, Variable]
) -> dict[str, tuple[str, ...]]:
    levels: dict[str, tuple[str, ...]] = {}
    known = {name: v for name, v in variables.items() if v.kind != "derived"}
    table = fields.any_table(node)
    taken: dict[str, str] = {}
    for name, inner in fields.named(node, strict=True):
        levels[name] = fields.all_of(inner, known, "variable")
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
            "binary": "nothing is said about it: give it cells in `activations`",
            "interval": "nothing is said about it: name it in `affect`",
        }[variable.kind]
        fields.fault(Table(variable.place, f"variables.{variable.name}"), message)


def _couplings(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> tuple[Coupling, ...]:
    couplings: dict[frozenset[str], Coupling] = {}
    for name, inner in fields.named(node):
        entries = fields.table(inner, "pair odds_ratio n", "statement")
        before = len(fields.faults)
        pair = fields.all_of(entries.get("pair"), of_kind(variables, "binary"), "binary variable")
        ratio = fields.number(entries, "odds_ratio", 0.001, 1000, default=1.0)
        n = fields.number(entries, "n", 0.1, 1e6)
        statement = fields.text(entries, "statement")
        cited = fields.cited(entries.get("odds_ratio") or inner)
        if "pair" not in entries or len(fields.faults) > before:
            continue
        if len(pair) != 2:
            fields.fault(entries.entries["pair"], f"must name two variables, not {len(pair)}")
        elif frozenset(pair) in couplings:
            first = couplings[frozenset(pair)].name
            fields.fault(entries.entries["pair"], f"is the pair of couplings.{first} already")
        else:
            couplings[frozenset(pair)] = Coupling(
                **cited, name=name, pair=(pair[0], pair[1]), odds_ratio=ratio, n=n, statement=statement
            )
    return tuple(couplings.values())


def _rules(fields: Fields, node: Node | None, variables: Mapping[str, Variable]) -> tuple[Rule, ...]:
    rules = []
    table = fields.any_table(node)
    for name, inner in fields.named(node):
        entries = fields.table(inner, "if then confidence n", "statement")
        if not all(key in entries for key in ("if", "then", "confidence")):
            continue
        cited = fields.cited(entries.entries["confidence"]) | {"place": table.places[name]}
        rules.append(
            Rule(
                **cited,
                name=name,
                condition=formula(fields, entries.entries["if"], variables),
                then=formula(fields, entries.entries["then"], variables),
                confidence=fields.number(entries, "confidence", 0.001, 0.999),
                n=fields.number(entries, "n", 0.1, 1e6),
                statement=fields.text(entries, "statement"),
            )
        )
    return tuple(rules)
