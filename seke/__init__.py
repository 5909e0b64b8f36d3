"""seke: vision-LLM samples of facial emotion -> posteriors and decisions, by declared knowledge.

What the commands do is here as functions on the same values; each is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seke import plot
    from seke.annotation.from_python import annotate
    from seke.bench.run import benchmark
    from seke.bench.score import score
    from seke.calibration.independence import independence
    from seke.calibration.needed import plan_gold
    from seke.calibration.run import calibrate
    from seke.explanation import explain
    from seke.exporting.export import export
    from seke.importing.run import import_set
    from seke.inference import infer
    from seke.labels import LabelTable, read_labels
    from seke.planning.plan import plan
    from seke.reports.run import report
    from seke.shipped import knowledge
    from seke.simulation import simulate
    from seke.workbench.check import check
    from seke.workbench.diff import diff
    from seke.workbench.graph import network_graph
    from seke.workbench.migrate import migrate
    from seke.workbench.sensitivity import sensitivity
    from seke.workbench.show import show

LAZY = {
    "annotate": "annotation.from_python",
    "benchmark": "bench.run",
    "calibrate": "calibration.run",
    "LabelTable": "labels",
    "check": "workbench.check",
    "diff": "workbench.diff",
    "explain": "explanation",
    "export": "exporting.export",
    "import_set": "importing.run",
    "independence": "calibration.independence",
    "infer": "inference",
    "knowledge": "shipped",
    "migrate": "workbench.migrate",
    "network_graph": "workbench.graph",
    "plan": "planning.plan",
    "plan_gold": "calibration.needed",
    "read_labels": "labels",
    "report": "reports.run",
    "score": "bench.score",
    "sensitivity": "workbench.sensitivity",
    "show": "workbench.show",
    "simulate": "simulation",
}

__version__ = "0.1.0"
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
