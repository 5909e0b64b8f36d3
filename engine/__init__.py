"""The engine: declared knowledge -> network -> posteriors -> decisions, for any domain.

This module is its face. What needs torch is imported on first use, so that reading
knowledge and asking for help stay instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engine.errors import AnswerError, Fault, KnowledgeError, Place, SekeError, did_you_mean
from engine.language.reader import read
from engine.language.yaml_tree import Change, Leaf, YamlTree, changes, declared_of
from engine.model.knowledge import (
    First,
    Knowledge,
    LabelInstrument,
    Number,
    Observer,
    Policy,
    Question,
    Variable,
    View,
)
from engine.model.responses import Answers, Labels, Numbers, Rankings

if TYPE_CHECKING:
    from engine.analysis.audit import Audit, AuditedRule, Deviation, audit_network
    from engine.analysis.counterfactuals import Counterfactual, FactorContribution, Sensitivity
    from engine.analysis.sensitivity import Influence, Influences
    from engine.analysis.weight_of_evidence import Weights, said_of, weigh_parts
    from engine.certification.learn_then_test import certify, split
    from engine.certification.sampling_design import design_of, mismatches
    from engine.compilation.cache import compiled
    from engine.compilation.compiler import compile_network
    from engine.compilation.feasibility import feasible_interval
    from engine.decision.basis import Basis, bases_of, draws_of
    from engine.decision.decision import (
        Decisions,
        Option,
        acceptable,
        all_required,
        certified_thresholds,
        decide_certified,
        decide_items,
        decide_levels,
        highest_risk,
        look_in_words,
        overrules,
    )
    from engine.decision.disputed_labels import disputed_labels
    from engine.decision.level import LevelDecision
    from engine.decision.limits import MeanThreshold, set_thresholds, thresholds_by_value
    from engine.decision.looks_at_labels import LabelLooks, joined_looks, looks_at_labels
    from engine.decision.origin import Origin, labels_of, reports_of
    from engine.decision.people import is_person, people_asked, price_of
    from engine.decision.voi_approximate import LookAhead
    from engine.decision.voi_exact import Outcome, Preposterior
    from engine.inference.diagnostics import Diagnostics, diagnose
    from engine.inference.joint import (
        joint_marginal,
        joint_marginals,
        marginals_without_halo,
        mutual_information,
    )
    from engine.inference.posterior import Inference, Posterior
    from engine.inference.simulation import (
        Misfit,
        SimulatedObserver,
        SimulatedReading,
        draw_looks,
        prior_truth,
        values_of,
    )
    from engine.language.certificates_yaml import certificates_yaml
    from engine.language.json_schema import json_schema
    from engine.language.migrate import Migration, read_migration
    from engine.language.parameter_paths import yaml_path
    from engine.language.read_fits import fits_yaml
    from engine.language.writer import resolve
    from engine.learning.answered_observers import informative
    from engine.learning.drawn_risks import DrawnRisks, FitDraws
    from engine.learning.em import Learned, learn_knowledge, learn_population
    from engine.learning.observer_fit import Fit, FitSettings, fit_observers
    from engine.learning.overlay_of_fit import (
        Entry,
        entries_of,
        overlay_tree,
        replaced_paths,
        unidentified_numbers,
        written,
    )
    from engine.learning.parameters import ObserverParameters
    from engine.learning.posterior_predictive import Check, far_off, predictive_checks
    from engine.learning.priors import FitPriors
    from engine.learning.tempering import tempered
    from engine.metrics.binomial import fewest
    from engine.metrics.bootstrap import mcnemar, percentile_interval, resampled, scored, scored_together
    from engine.metrics.calibration_error import NullInterval, Reliability
    from engine.metrics.scores import BinaryScore, CategoricalScore, NumberScore, SelectiveScore
    from engine.model.fit_record import FitRecord, FittedReading, Threshold
    from engine.model.gold import Gold, states_of
    from engine.model.guarantee import Certificate, Design, Guarantee, least_abstention, listed
    from engine.network.cost import Cost, cost_of
    from engine.network.network import Network
    from engine.network.pgmpy_export import exported
    from engine.network.values import CompiledRule
    from engine.observation.dependence import reading_follows
    from engine.observation.joint_answers import (
        ErrorRates,
        draws_jointly,
        error_rates,
        observers_jointly,
        readings_jointly,
    )

LAZY = {
    "Audit": "analysis.audit",
    "AuditedRule": "analysis.audit",
    "Deviation": "analysis.audit",
    "audit_network": "analysis.audit",
    "compiled": "compilation.cache",
    "certificates_yaml": "language.certificates_yaml",
    "certify": "certification.learn_then_test",
    "fewest": "metrics.binomial",
    "split": "certification.learn_then_test",
    "Cost": "network.cost",
    "cost_of": "network.cost",
    "compile_network": "compilation.compiler",
    "Basis": "decision.basis",
    "draws_of": "decision.basis",
    "reports_of": "decision.origin",
    "DrawnRisks": "learning.drawn_risks",
    "FitDraws": "learning.drawn_risks",
    "fits_yaml": "language.read_fits",
    "FitRecord": "model.fit_record",
    "FittedReading": "model.fit_record",
    "Threshold": "model.fit_record",
    "bases_of": "decision.basis",
    "disputed_labels": "decision.disputed_labels",
    "LabelLooks": "decision.looks_at_labels",
    "joined_looks": "decision.looks_at_labels",
    "looks_at_labels": "decision.looks_at_labels",
    "Origin": "decision.origin",
    "labels_of": "decision.origin",
    "look_in_words": "decision.decision",
    "is_person": "decision.people",
    "people_asked": "decision.people",
    "price_of": "decision.people",
    "highest_risk": "decision.decision",
    "overrules": "decision.decision",
    "MeanThreshold": "decision.limits",
    "set_thresholds": "decision.limits",
    "thresholds_by_value": "decision.limits",
    "Decisions": "decision.decision",
    "LevelDecision": "decision.level",
    "Option": "decision.decision",
    "all_required": "decision.decision",
    "acceptable": "decision.decision",
    "certified_thresholds": "decision.decision",
    "decide_certified": "decision.decision",
    "decide_items": "decision.decision",
    "decide_levels": "decision.decision",
    "reading_follows": "observation.dependence",
    "joint_marginal": "inference.joint",
    "joint_marginals": "inference.joint",
    "marginals_without_halo": "inference.joint",
    "mutual_information": "inference.joint",
    "Diagnostics": "inference.diagnostics",
    "diagnose": "inference.diagnostics",
    "exported": "network.pgmpy_export",
    "feasible_interval": "compilation.feasibility",
    "Gold": "model.gold",
    "Check": "learning.posterior_predictive",
    "far_off": "learning.posterior_predictive",
    "predictive_checks": "learning.posterior_predictive",
    "Fit": "learning.observer_fit",
    "FitSettings": "learning.observer_fit",
    "fit_observers": "learning.observer_fit",
    "Entry": "learning.overlay_of_fit",
    "entries_of": "learning.overlay_of_fit",
    "overlay_tree": "learning.overlay_of_fit",
    "replaced_paths": "learning.overlay_of_fit",
    "ComponentTrial": "learning.reading_types",
    "split_types": "learning.reading_types",
    "written": "learning.overlay_of_fit",
    "tempered": "learning.tempering",
    "states_of": "model.gold",
    "Certificate": "model.guarantee",
    "Design": "model.guarantee",
    "Guarantee": "model.guarantee",
    "design_of": "certification.sampling_design",
    "mismatches": "certification.sampling_design",
    "least_abstention": "model.guarantee",
    "listed": "model.guarantee",
    "Influence": "analysis.sensitivity",
    "Influences": "analysis.sensitivity",
    "Migration": "language.migrate",
    "read_migration": "language.migrate",
    "Learned": "learning.em",
    "learn_knowledge": "learning.em",
    "learn_population": "learning.em",
    "informative": "learning.answered_observers",
    "FitPriors": "learning.priors",
    "ObserverParameters": "learning.parameters",
    "unidentified_numbers": "learning.overlay_of_fit",
    "yaml_path": "language.parameter_paths",
    "LookAhead": "decision.voi_approximate",
    "CompiledRule": "network.values",
    "Network": "network.network",
    "ErrorRates": "observation.joint_answers",
    "draws_jointly": "observation.joint_answers",
    "error_rates": "observation.joint_answers",
    "observers_jointly": "observation.joint_answers",
    "readings_jointly": "observation.joint_answers",
    "Inference": "inference.posterior",
    "Posterior": "inference.posterior",
    "Outcome": "decision.voi_exact",
    "Preposterior": "decision.voi_exact",
    "json_schema": "language.json_schema",
    "NullInterval": "metrics.calibration_error",
    "Reliability": "metrics.calibration_error",
    "mcnemar": "metrics.bootstrap",
    "percentile_interval": "metrics.bootstrap",
    "resampled": "metrics.bootstrap",
    "scored": "metrics.bootstrap",
    "scored_together": "metrics.bootstrap",
    "resolve": "language.writer",
    "BinaryScore": "metrics.scores",
    "CategoricalScore": "metrics.scores",
    "NumberScore": "metrics.scores",
    "SelectiveScore": "metrics.scores",
    "Counterfactual": "analysis.counterfactuals",
    "FactorContribution": "analysis.counterfactuals",
    "Sensitivity": "analysis.counterfactuals",
    "Misfit": "inference.simulation",
    "SimulatedObserver": "inference.simulation",
    "SimulatedReading": "inference.simulation",
    "draw_looks": "inference.simulation",
    "prior_truth": "inference.simulation",
    "values_of": "inference.simulation",
    "Weights": "analysis.weight_of_evidence",
    "said_of": "analysis.weight_of_evidence",
    "weigh_parts": "analysis.weight_of_evidence",
}

__all__ = [
    "AnswerError",
    "Answers",
    "Audit",
    "AuditedRule",
    "Basis",
    "BinaryScore",
    "CategoricalScore",
    "Certificate",
    "Change",
    "Check",
    "CompiledRule",
    "ComponentTrial",
    "Cost",
    "Counterfactual",
    "Decisions",
    "Design",
    "Deviation",
    "Diagnostics",
    "DrawnRisks",
    "Entry",
    "ErrorRates",
    "FactorContribution",
    "Fault",
    "First",
    "Fit",
    "FitDraws",
    "FitPriors",
    "FitRecord",
    "FitSettings",
    "FittedReading",
    "Gold",
    "Guarantee",
    "Inference",
    "Influence",
    "Influences",
    "Knowledge",
    "KnowledgeError",
    "LabelInstrument",
    "LabelLooks",
    "Labels",
    "Leaf",
    "Learned",
    "LevelDecision",
    "LookAhead",
    "MeanThreshold",
    "Migration",
    "Misfit",
    "Network",
    "NullInterval",
    "Number",
    "NumberScore",
    "Numbers",
    "Observer",
    "ObserverParameters",
    "Option",
    "Origin",
    "Outcome",
    "Place",
    "Policy",
    "Posterior",
    "Preposterior",
    "Question",
    "Rankings",
    "Reliability",
    "SekeError",
    "SelectiveScore",
    "Sensitivity",
    "SimulatedObserver",
    "SimulatedReading",
    "Threshold",
    "Variable",
    "View",
    "Weights",
    "YamlTree",
    "acceptable",
    "all_required",
    "audit_network",
    "bases_of",
    "certificates_yaml",
    "certified_thresholds",
    "certify",
    "changes",
    "compile_network",
    "compiled",
    "cost_of",
    "decide_certified",
    "decide_items",
    "decide_levels",
    "declared_of",
    "design_of",
    "diagnose",
    "did_you_mean",
    "disputed_labels",
    "draw_looks",
    "draws_jointly",
    "draws_of",
    "entries_of",
    "error_rates",
    "exported",
    "far_off",
    "feasible_interval",
    "fewest",
    "fit_observers",
    "fits_yaml",
    "highest_risk",
    "informative",
    "is_person",
    "joined_looks",
    "joint_marginal",
    "joint_marginals",
    "json_schema",
    "labels_of",
    "learn_knowledge",
    "learn_population",
    "least_abstention",
    "listed",
    "look_in_words",
    "looks_at_labels",
    "marginals_without_halo",
    "mcnemar",
    "mismatches",
    "mutual_information",
    "observers_jointly",
    "overlay_tree",
    "overrules",
    "people_asked",
    "percentile_interval",
    "predictive_checks",
    "price_of",
    "prior_truth",
    "read",
    "read_migration",
    "reading_follows",
    "readings_jointly",
    "replaced_paths",
    "reports_of",
    "resampled",
    "resolve",
    "said_of",
    "scored",
    "scored_together",
    "set_thresholds",
    "split",
    "split_types",
    "states_of",
    "tempered",
    "thresholds_by_value",
    "unidentified_numbers",
    "values_of",
    "weigh_parts",
    "written",
    "yaml_path",
]


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"engine.{LAZY[name]}"), name)
    globals()[name] = value
    return value
