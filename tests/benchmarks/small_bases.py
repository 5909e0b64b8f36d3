"""Small bases as YAML, of a root of K states and a few observers, and records of their answers."""

from __future__ import annotations

HEAD = """name: {name}
variables:
  {root}: {{kind: categorical, label: {root}, states: {{{states}}}}}
{variables}levels: {{{levels}}}
priors:
  variable: {root}
  reference: uniform
  populations: {{uniform: {{p: uniform, source: judgement, note: Nothing is known.}}}}
questions: {{{question}: {{reports: [{reported}], cost: 1, source: judgement, note: A unit.}}}}
policy:
  source: judgement
  note: For a benchmark.
  required: [{required}]
  limits: {{{limits}}}
  worth: {{{worth}}}
  tolerance: {{{tolerance}}}
  budget: {budget}
  conflict: 0.000001
  batches: [1]
  ask: {first}
"""
OBSERVER = """  {name}:
    source: judgement
    note: For a benchmark.
    askable: true
{keys}
"""


def small_base(
    name, root, states, observers, *, question, limit, budget, below=None, tolerance="", sections=""
):
    """Return the YAML of a base whose one question is about the root or, where given, the level below it.

    states: of the root, whose prior is uniform. observers: name -> its keys in YAML, lines without their
    indentation; the first one is asked. limit: of the risk of everything. below: name of the level and its
    variables, each with its declaration. tolerance: of intervals, `name: value`. sections: further YAML.
    """
    level, declared = below or (root, {})
    levels = {root: root, level: ", ".join(declared) or root}
    variables = "".join(
        f"  {variable}: {{{keys}, label: {variable}}}\n" for variable, keys in declared.items()
    )
    head = HEAD.format(
        name=name,
        root=root,
        states=", ".join(f"{state}: {state}" for state in states),
        variables=variables,
        levels=", ".join(f"{key}: [{members}]" for key, members in levels.items()),
        question=question,
        reported=levels[level],
        required=level,
        limits=", ".join(f"{key}: {limit}" for key in levels),
        worth=", ".join(f"{key}: 1" for key in levels),
        tolerance=tolerance,
        budget=budget,
        first=next(iter(observers)),
    )
    keys_by_name = {
        name: "\n".join(f"    {line}" for line in keys.splitlines()) for name, keys in observers.items()
    }
    texts = [OBSERVER.format(name=name, keys=keys) for name, keys in keys_by_name.items()]
    return f"{head}{sections}\nobservers:\n{''.join(texts)}"


def record(item, reports, *, question, observer="model", draw=0, **more):
    """Return one sample: an answer of an observer to a question about an item, variable -> value."""
    return {
        "item": item,
        "observer": observer,
        "question": question,
        "draw": draw,
        **more,
        "reports": reports,
    }
