"""seke: vision-LLM samples of facial emotion -> posteriors and decisions, by declared knowledge.

What the commands do is here as functions on the same values; each is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import lazy_face as _lazy_face

# What type checkers see, and what `lazy_face` reads; a name that is imported as itself is exported.
if TYPE_CHECKING:
    from seke import plot as plot
    from seke._version import __version__ as __version__
    from seke.annotation.from_python import annotate as annotate
    from seke.annotation.merged_runs import merge_runs as merge_runs
    from seke.annotation.observing import observe as observe
    from seke.benchmarking.feab import feab as feab
    from seke.benchmarking.prompt_comparison import compare_prompts as compare_prompts
    from seke.benchmarking.prompt_trial import prompt_trial as prompt_trial
    from seke.benchmarking.run import benchmark as benchmark
    from seke.benchmarking.score import score as score
    from seke.calibration.calibrate import calibrate as calibrate
    from seke.calibration.gold_plan import plan_gold as plan_gold
    from seke.calibration.independence import independence as independence
    from seke.datasets.import_set import import_set as import_set
    from seke.datasets.packed_pictures import unpack as unpack
    from seke.explanations.facts import explain as explain
    from seke.exporting.export import export as export
    from seke.files.shipped import knowledge as knowledge
    from seke.formats.convert import convert as convert
    from seke.knowledge_tools.check import check as check
    from seke.knowledge_tools.compare_bases import compare_bases as compare_bases
    from seke.knowledge_tools.diff import diff as diff
    from seke.knowledge_tools.expectation_report import knowledge_expectations as knowledge_expectations
    from seke.knowledge_tools.graph import network_graph as network_graph
    from seke.knowledge_tools.migrate import migrate as migrate
    from seke.knowledge_tools.sensitivity import sensitivity as sensitivity
    from seke.knowledge_tools.show import show as show
    from seke.knowledge_tools.table_verdicts import knowledge_test as knowledge_test
    from seke.planning.plan import plan as plan
    from seke.playground.page import play as play
    from seke.release.forget import forget as forget
    from seke.reports.report import report as report
    from seke.results.infer import infer as infer
    from seke.results.inferred_records import InferredRecords as InferredRecords
    from seke.review.export import review_export as review_export
    from seke.review.import_answers import review_import as review_import
    from seke.review.outlook import review_outlook as review_outlook
    from seke.sampling.simulate import simulate as simulate
    from seke.tables.label_table import LabelTable as LabelTable
    from seke.tables.label_table import read_labels as read_labels

# Type checkers would take computed names for none.
if not TYPE_CHECKING:
    _load, __dir__, __all__ = _lazy_face(__name__, __file__)

    def __getattr__(name: str) -> object:
        try:
            return _load(name)
        except ModuleNotFoundError as error:
            from seke.console.extras import stand_in

            return stand_in(name, error)
