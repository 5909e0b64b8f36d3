"""The engine: declared knowledge -> network -> posteriors -> decisions, for any domain.

This module is its face. Everything is imported on first use, so that reading knowledge
and asking for help stay instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# What type checkers see; a name that is imported as itself is exported.
if TYPE_CHECKING:
    from engine.analysis.audit import Audit as Audit
    from engine.analysis.audit import AuditedRule as AuditedRule
    from engine.analysis.audit import Deviation as Deviation
    from engine.analysis.audit import audit_network as audit_network
    from engine.analysis.counterfactuals import Counterfactual as Counterfactual
    from engine.analysis.counterfactuals import FactorContribution as FactorContribution
    from engine.analysis.counterfactuals import Sensitivity as Sensitivity
    from engine.analysis.sensitivity import Influence as Influence
    from engine.analysis.sensitivity import Influences as Influences
    from engine.analysis.weight_of_evidence import Weights as Weights
    from engine.analysis.weight_of_evidence import said_of as said_of
    from engine.analysis.weight_of_evidence import weigh_parts as weigh_parts
    from engine.backend.types import Bools as Bools
    from engine.backend.types import Floats as Floats
    from engine.backend.types import Ints as Ints
    from engine.certification.learn_then_test import certify as certify
    from engine.certification.learn_then_test import split as split
    from engine.certification.sampling_design import design_of as design_of
    from engine.certification.sampling_design import mismatches as mismatches
    from engine.compilation.cache import compiled as compiled
    from engine.compilation.compiler import compile_network as compile_network
    from engine.compilation.feasibility import feasible_interval as feasible_interval
    from engine.decision.basis import Basis as Basis
    from engine.decision.basis import bases_of as bases_of
    from engine.decision.basis import draws_of as draws_of
    from engine.decision.decision import Decisions as Decisions
    from engine.decision.decision import Option as Option
    from engine.decision.decision import acceptable as acceptable
    from engine.decision.decision import all_required as all_required
    from engine.decision.decision import certified_thresholds as certified_thresholds
    from engine.decision.decision import decide_certified as decide_certified
    from engine.decision.decision import decide_items as decide_items
    from engine.decision.decision import decide_levels as decide_levels
    from engine.decision.decision import highest_risk as highest_risk
    from engine.decision.decision import look_in_words as look_in_words
    from engine.decision.decision import overrules as overrules
    from engine.decision.disputed_labels import disputed_labels as disputed_labels
    from engine.decision.level import LevelDecision as LevelDecision
    from engine.decision.limits import MeanThreshold as MeanThreshold
    from engine.decision.limits import set_thresholds as set_thresholds
    from engine.decision.limits import thresholds_by_value as thresholds_by_value
    from engine.decision.looks_at_labels import LabelLooks as LabelLooks
    from engine.decision.looks_at_labels import joined_looks as joined_looks
    from engine.decision.looks_at_labels import looks_at_labels as looks_at_labels
    from engine.decision.origin import Origin as Origin
    from engine.decision.origin import labels_of as labels_of
    from engine.decision.origin import reports_of as reports_of
    from engine.decision.people import is_person as is_person
    from engine.decision.people import people_asked as people_asked
    from engine.decision.people import price_of as price_of
    from engine.decision.voi_approximate import LookAhead as LookAhead
    from engine.decision.voi_exact import Outcome as Outcome
    from engine.decision.voi_exact import Preposterior as Preposterior
    from engine.errors import AnswerError as AnswerError
    from engine.errors import Fault as Fault
    from engine.errors import KnowledgeError as KnowledgeError
    from engine.errors import Place as Place
    from engine.errors import SekeError as SekeError
    from engine.errors import did_you_mean as did_you_mean
    from engine.inference.diagnostics import Diagnostics as Diagnostics
    from engine.inference.diagnostics import diagnose as diagnose
    from engine.inference.joint import joint_marginal as joint_marginal
    from engine.inference.joint import joint_marginals as joint_marginals
    from engine.inference.joint import marginals_without_halo as marginals_without_halo
    from engine.inference.joint import mutual_information as mutual_information
    from engine.inference.posterior import Inference as Inference
    from engine.inference.posterior import Posterior as Posterior
    from engine.inference.simulation import Misfit as Misfit
    from engine.inference.simulation import SimulatedObserver as SimulatedObserver
    from engine.inference.simulation import SimulatedReading as SimulatedReading
    from engine.inference.simulation import draw_looks as draw_looks
    from engine.inference.simulation import prior_truth as prior_truth
    from engine.inference.simulation import values_of as values_of
    from engine.language.certificates_yaml import certificates_yaml as certificates_yaml
    from engine.language.json_schema import json_schema as json_schema
    from engine.language.migrate import Migration as Migration
    from engine.language.migrate import read_migration as read_migration
    from engine.language.parameter_paths import yaml_path as yaml_path
    from engine.language.read_fits import fits_yaml as fits_yaml
    from engine.language.reader import read as read
    from engine.language.writer import resolve as resolve
    from engine.language.yaml_tree import Change as Change
    from engine.language.yaml_tree import Leaf as Leaf
    from engine.language.yaml_tree import YamlTree as YamlTree
    from engine.language.yaml_tree import changes as changes
    from engine.language.yaml_tree import declared_of as declared_of
    from engine.learning.answered_observers import informative as informative
    from engine.learning.drawn_risks import DrawnRisks as DrawnRisks
    from engine.learning.drawn_risks import FitDraws as FitDraws
    from engine.learning.em import Learned as Learned
    from engine.learning.em import learn_knowledge as learn_knowledge
    from engine.learning.em import learn_population as learn_population
    from engine.learning.observer_fit import Fit as Fit
    from engine.learning.observer_fit import FitSettings as FitSettings
    from engine.learning.observer_fit import fit_observers as fit_observers
    from engine.learning.overlay_of_fit import Entry as Entry
    from engine.learning.overlay_of_fit import entries_of as entries_of
    from engine.learning.overlay_of_fit import overlay_tree as overlay_tree
    from engine.learning.overlay_of_fit import replaced_paths as replaced_paths
    from engine.learning.overlay_of_fit import unidentified_numbers as unidentified_numbers
    from engine.learning.overlay_of_fit import written as written
    from engine.learning.parameters import ObserverParameters as ObserverParameters
    from engine.learning.posterior_predictive import Check as Check
    from engine.learning.posterior_predictive import far_off as far_off
    from engine.learning.posterior_predictive import predictive_checks as predictive_checks
    from engine.learning.priors import FitPriors as FitPriors
    from engine.learning.reading_types import ComponentTrial as ComponentTrial
    from engine.learning.reading_types import split_types as split_types
    from engine.learning.tempering import tempered as tempered
    from engine.metrics.binomial import fewest as fewest
    from engine.metrics.bootstrap import mcnemar as mcnemar
    from engine.metrics.bootstrap import percentile_interval as percentile_interval
    from engine.metrics.bootstrap import resampled as resampled
    from engine.metrics.bootstrap import scored as scored
    from engine.metrics.bootstrap import scored_together as scored_together
    from engine.metrics.calibration_error import NullInterval as NullInterval
    from engine.metrics.calibration_error import Reliability as Reliability
    from engine.metrics.scores import BinaryScore as BinaryScore
    from engine.metrics.scores import CategoricalScore as CategoricalScore
    from engine.metrics.scores import NumberScore as NumberScore
    from engine.metrics.scores import SelectiveScore as SelectiveScore
    from engine.model.fit_record import FitRecord as FitRecord
    from engine.model.fit_record import FittedReading as FittedReading
    from engine.model.fit_record import Threshold as Threshold
    from engine.model.gold import Gold as Gold
    from engine.model.gold import states_of as states_of
    from engine.model.guarantee import Certificate as Certificate
    from engine.model.guarantee import Design as Design
    from engine.model.guarantee import Guarantee as Guarantee
    from engine.model.guarantee import least_abstention as least_abstention
    from engine.model.guarantee import listed as listed
    from engine.model.knowledge import First as First
    from engine.model.knowledge import Knowledge as Knowledge
    from engine.model.knowledge import LabelInstrument as LabelInstrument
    from engine.model.knowledge import Number as Number
    from engine.model.knowledge import Observer as Observer
    from engine.model.knowledge import Policy as Policy
    from engine.model.knowledge import Question as Question
    from engine.model.knowledge import Variable as Variable
    from engine.model.knowledge import View as View
    from engine.model.responses import Answers as Answers
    from engine.model.responses import Labels as Labels
    from engine.model.responses import Numbers as Numbers
    from engine.model.responses import Rankings as Rankings
    from engine.network.cost import Cost as Cost
    from engine.network.cost import cost_of as cost_of
    from engine.network.network import Network as Network
    from engine.network.pgmpy_export import exported as exported
    from engine.network.values import CompiledRule as CompiledRule
    from engine.observation.dependence import reading_follows as reading_follows
    from engine.observation.joint_answers import ErrorRates as ErrorRates
    from engine.observation.joint_answers import draws_jointly as draws_jointly
    from engine.observation.joint_answers import error_rates as error_rates
    from engine.observation.joint_answers import observers_jointly as observers_jointly
    from engine.observation.joint_answers import readings_jointly as readings_jointly

# What runs: the names of each module, which is imported when one of them is first used.
LAZY = {
    "analysis.audit": "Audit AuditedRule Deviation audit_network",
    "analysis.counterfactuals": "Counterfactual FactorContribution Sensitivity",
    "analysis.sensitivity": "Influence Influences",
    "analysis.weight_of_evidence": "Weights said_of weigh_parts",
    "backend.types": "Bools Floats Ints",
    "certification.learn_then_test": "certify split",
    "certification.sampling_design": "design_of mismatches",
    "compilation.cache": "compiled",
    "compilation.compiler": "compile_network",
    "compilation.feasibility": "feasible_interval",
    "decision.basis": "Basis bases_of draws_of",
    "decision.decision": (
        "Decisions Option acceptable all_required certified_thresholds decide_certified decide_items "
        "decide_levels highest_risk look_in_words overrules"
    ),
    "decision.disputed_labels": "disputed_labels",
    "decision.level": "LevelDecision",
    "decision.limits": "MeanThreshold set_thresholds thresholds_by_value",
    "decision.looks_at_labels": "LabelLooks joined_looks looks_at_labels",
    "decision.origin": "Origin labels_of reports_of",
    "decision.people": "is_person people_asked price_of",
    "decision.voi_approximate": "LookAhead",
    "decision.voi_exact": "Outcome Preposterior",
    "errors": "AnswerError Fault KnowledgeError Place SekeError did_you_mean",
    "inference.diagnostics": "Diagnostics diagnose",
    "inference.joint": "joint_marginal joint_marginals marginals_without_halo mutual_information",
    "inference.posterior": "Inference Posterior",
    "inference.simulation": "Misfit SimulatedObserver SimulatedReading draw_looks prior_truth values_of",
    "language.certificates_yaml": "certificates_yaml",
    "language.json_schema": "json_schema",
    "language.migrate": "Migration read_migration",
    "language.parameter_paths": "yaml_path",
    "language.read_fits": "fits_yaml",
    "language.reader": "read",
    "language.writer": "resolve",
    "language.yaml_tree": "Change Leaf YamlTree changes declared_of",
    "learning.answered_observers": "informative",
    "learning.drawn_risks": "DrawnRisks FitDraws",
    "learning.em": "Learned learn_knowledge learn_population",
    "learning.observer_fit": "Fit FitSettings fit_observers",
    "learning.overlay_of_fit": "Entry entries_of overlay_tree replaced_paths unidentified_numbers written",
    "learning.parameters": "ObserverParameters",
    "learning.posterior_predictive": "Check far_off predictive_checks",
    "learning.priors": "FitPriors",
    "learning.reading_types": "ComponentTrial split_types",
    "learning.tempering": "tempered",
    "metrics.binomial": "fewest",
    "metrics.bootstrap": "mcnemar percentile_interval resampled scored scored_together",
    "metrics.calibration_error": "NullInterval Reliability",
    "metrics.scores": "BinaryScore CategoricalScore NumberScore SelectiveScore",
    "model.fit_record": "FitRecord FittedReading Threshold",
    "model.gold": "Gold states_of",
    "model.guarantee": "Certificate Design Guarantee least_abstention listed",
    "model.knowledge": "First Knowledge LabelInstrument Number Observer Policy Question Variable View",
    "model.responses": "Answers Labels Numbers Rankings",
    "network.cost": "Cost cost_of",
    "network.network": "Network",
    "network.pgmpy_export": "exported",
    "network.values": "CompiledRule",
    "observation.dependence": "reading_follows",
    "observation.joint_answers": "ErrorRates draws_jointly error_rates observers_jointly readings_jointly",
}
_MODULE_OF = dict(sorted((name, module) for module, names in LAZY.items() for name in names.split()))

# Type checkers would take a computed list for an empty one.
if not TYPE_CHECKING:
    __all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    module = importlib.import_module(f"engine.{_MODULE_OF[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
