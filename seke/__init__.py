"""seke: vision-LLM samples of facial emotion -> posteriors and decisions, by declared knowledge.

What the commands do is here as functions on the same values; each is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# What type checkers see; a name that is imported as itself is exported.
if TYPE_CHECKING:
    from seke import plot as plot
    from seke._version import __version__ as __version__
    from seke.annotation.from_python import annotate as annotate
    from seke.benchmarking.run import benchmark as benchmark
    from seke.benchmarking.score import score as score
    from seke.calibration.calibrate import calibrate as calibrate
    from seke.calibration.gold_plan import plan_gold as plan_gold
    from seke.calibration.independence import independence as independence
    from seke.datasets.import_set import import_set as import_set
    from seke.explanations.facts import explain as explain
    from seke.exporting.export import export as export
    from seke.files.shipped import knowledge as knowledge
    from seke.knowledge_tools.check import check as check
    from seke.knowledge_tools.diff import diff as diff
    from seke.knowledge_tools.graph import network_graph as network_graph
    from seke.knowledge_tools.migrate import migrate as migrate
    from seke.knowledge_tools.sensitivity import sensitivity as sensitivity
    from seke.knowledge_tools.show import show as show
    from seke.planning.plan import plan as plan
    from seke.reports.report import report as report
    from seke.sampling.infer import infer as infer
    from seke.sampling.simulate import simulate as simulate
    from seke.tables.label_table import LabelTable as LabelTable
    from seke.tables.label_table import read_labels as read_labels

# What runs: the names of each module, which is imported when one of them is first used.
LAZY = {
    "_version": "__version__",
    "annotation.from_python": "annotate",
    "benchmarking.run": "benchmark",
    "benchmarking.score": "score",
    "calibration.calibrate": "calibrate",
    "calibration.gold_plan": "plan_gold",
    "calibration.independence": "independence",
    "datasets.import_set": "import_set",
    "explanations.facts": "explain",
    "exporting.export": "export",
    "files.shipped": "knowledge",
    "knowledge_tools.check": "check",
    "knowledge_tools.diff": "diff",
    "knowledge_tools.graph": "network_graph",
    "knowledge_tools.migrate": "migrate",
    "knowledge_tools.sensitivity": "sensitivity",
    "knowledge_tools.show": "show",
    "planning.plan": "plan",
    "plot": "plot",
    "reports.report": "report",
    "sampling.infer": "infer",
    "sampling.simulate": "simulate",
    "tables.label_table": "LabelTable read_labels",
}
_MODULE_OF = dict(sorted((name, module) for module, names in LAZY.items() for name in names.split()))

# Type checkers would take a computed list for an empty one.
if not TYPE_CHECKING:
    __all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'seke' has no attribute {name!r}")
    module = importlib.import_module(f"seke.{_MODULE_OF[name]}")
    value = module if name == "plot" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
