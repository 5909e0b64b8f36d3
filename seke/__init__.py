"""seke: vision-LLM samples of facial emotion -> posteriors and decisions, by declared knowledge.

What the commands do is here as functions on the same values; each is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seke._version import __version__

if TYPE_CHECKING:
    from seke import plot
    from seke.annotation.from_python import annotate
    from seke.benchmarking.run import benchmark
    from seke.benchmarking.score import score
    from seke.calibration.calibrate import calibrate
    from seke.calibration.gold_plan import plan_gold
    from seke.calibration.independence import independence
    from seke.datasets.import_set import import_set
    from seke.explanations.facts import explain
    from seke.exporting.export import export
    from seke.files.shipped import knowledge
    from seke.knowledge_tools.check import check
    from seke.knowledge_tools.diff import diff
    from seke.knowledge_tools.graph import network_graph
    from seke.knowledge_tools.migrate import migrate
    from seke.knowledge_tools.sensitivity import sensitivity
    from seke.knowledge_tools.show import show
    from seke.planning.plan import plan
    from seke.reports.report import report
    from seke.sampling.infer import infer
    from seke.sampling.simulate import simulate
    from seke.tables.label_table import LabelTable, read_labels

LAZY = {
    "annotate": "annotation.from_python",
    "benchmark": "benchmarking.run",
    "calibrate": "calibration.calibrate",
    "LabelTable": "tables.label_table",
    "check": "knowledge_tools.check",
    "diff": "knowledge_tools.diff",
    "explain": "explanations.facts",
    "export": "exporting.export",
    "import_set": "datasets.import_set",
    "independence": "calibration.independence",
    "infer": "sampling.infer",
    "knowledge": "files.shipped",
    "migrate": "knowledge_tools.migrate",
    "network_graph": "knowledge_tools.graph",
    "plan": "planning.plan",
    "plan_gold": "calibration.gold_plan",
    "read_labels": "tables.label_table",
    "report": "reports.report",
    "score": "benchmarking.score",
    "sensitivity": "knowledge_tools.sensitivity",
    "show": "knowledge_tools.show",
    "simulate": "sampling.simulate",
}

__all__ = [
    "LabelTable",
    "__version__",
    "annotate",
    "benchmark",
    "calibrate",
    "check",
    "diff",
    "explain",
    "export",
    "import_set",
    "independence",
    "infer",
    "knowledge",
    "migrate",
    "network_graph",
    "plan",
    "plan_gold",
    "plot",
    "read_labels",
    "report",
    "score",
    "sensitivity",
    "show",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name == "plot":
        return importlib.import_module("seke.plot")
    if name not in LAZY:
        raise AttributeError(f"module 'seke' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"seke.{LAZY[name]}"), name)
    globals()[name] = value
    return value
