"""The engine: declared knowledge -> network -> posteriors -> decisions, for any domain.

This module is its face. What needs torch is imported on first use, so that reading
knowledge and asking for help stay instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engine.answers import Answers, Labels, Numbers, Rankings
from engine.declared import Change, Declared, Leaf, changes, declared_of
from engine.errors import AnswerError, Fault, KnowledgeError, Place, SekeError, did_you_mean
from engine.knowledge import (
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
from engine.reader import read

if TYPE_CHECKING:
    from engine.audit import Audit, AuditedRule, Deviation, audit_network
    from engine.cache import compiled
    from engine.calibration import Fit, FitSettings, fit_observers
    from engine.certificate_reader import certificates_yaml
    from engine.certification import certify, fewest, split
    from engine.compiler import compile_network
    from engine.cost import Cost, cost_of
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
    from engine.dependence import joint_marginal, joint_marginals, looked_marginals, mutual_information
    from engine.design import design_of, mismatches
    from engine.diagnostics import Diagnostics, diagnose
    from engine.exchange import exported
    from engine.feasibility import feasible_interval
    from engine.fitted import Entry, entries_of, overlay_tree, replaced_paths, written
    from engine.gold import Gold, states_of
    from engine.guarantee import Certificate, Design, Guarantee, least_abstention, listed
    from engine.influence import Influence, Influences
    from engine.language.migrate import Migration, read_migration
    from engine.language.read_fits import fits_yaml
    from engine.learned import Learned, learn_knowledge, learn_population
    from engine.learning.drawn_risks import FitDraws
    from engine.lookahead import LookAhead
    from engine.model.fit_record import FitRecord, FittedReading, Threshold
    from engine.network import CompiledRule, Network
    from engine.observation.dependence import reading_follows
    from engine.observation.joint_answers import (
        ErrorRates,
        draws_jointly,
        error_rates,
        observers_jointly,
        readings_jointly,
    )
    from engine.posterior import Inference, Posterior
    from engine.predictive import Check, far_off, predictive_checks
    from engine.preposterior import Outcome, Preposterior
    from engine.reliability import NullInterval, Reliability
    from engine.resampling import mcnemar, percentile_interval, resampled, scored, scored_together
    from engine.resolved import resolve
    from engine.schema import json_schema
    from engine.score import BinaryScore, CategoricalScore, NumberScore, SelectiveScore
    from engine.sensitivity import Flip, Pull, Sensitivity
    from engine.simulation import (
        Misfit,
        SimulatedObserver,
        SimulatedReading,
        draw_looks,
        prior_truth,
        values_of,
    )
    from engine.tempering import tempered
    from engine.unknowns import Unknowns, informative
    from engine.weights import Weights, said_of, weigh_parts

LAZY = {
    "Audit": "audit",
    "AuditedRule": "audit",
    "Deviation": "audit",
    "audit_network": "audit",
    "compiled": "cache",
    "certificates_yaml": "certificate_reader",
    "certify": "certification",
    "fewest": "certification",
    "split": "certification",
    "Cost": "cost",
    "cost_of": "cost",
    "compile_network": "compiler",
    "Basis": "decision.basis",
    "draws_of": "decision.basis",
    "reports_of": "decision.origin",
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
    "joint_marginal": "dependence",
    "joint_marginals": "dependence",
    "looked_marginals": "dependence",
    "mutual_information": "dependence",
    "Diagnostics": "diagnostics",
    "diagnose": "diagnostics",
    "exported": "exchange",
    "feasible_interval": "feasibility",
    "Gold": "gold",
    "Check": "predictive",
    "far_off": "predictive",
    "predictive_checks": "predictive",
    "Fit": "calibration",
    "FitSettings": "calibration",
    "fit_observers": "calibration",
    "Entry": "fitted",
    "entries_of": "fitted",
    "overlay_tree": "fitted",
    "replaced_paths": "fitted",
    "Split": "kinds",
    "split_types": "kinds",
    "written": "fitted",
    "tempered": "tempering",
    "states_of": "gold",
    "Certificate": "guarantee",
    "Design": "guarantee",
    "Guarantee": "guarantee",
    "design_of": "design",
    "mismatches": "design",
    "least_abstention": "guarantee",
    "listed": "guarantee",
    "Influence": "influence",
    "Influences": "influence",
    "Migration": "language.migrate",
    "read_migration": "language.migrate",
    "Learned": "learned",
    "learn_knowledge": "learned",
    "learn_population": "learned",
    "informative": "unknowns",
    "Unknowns": "unknowns",
    "LookAhead": "lookahead",
    "CompiledRule": "network",
    "Network": "network",
    "ErrorRates": "observation.joint_answers",
    "draws_jointly": "observation.joint_answers",
    "error_rates": "observation.joint_answers",
    "observers_jointly": "observation.joint_answers",
    "readings_jointly": "observation.joint_answers",
    "Inference": "posterior",
    "Posterior": "posterior",
    "Outcome": "preposterior",
    "Preposterior": "preposterior",
    "json_schema": "schema",
    "NullInterval": "reliability",
    "Reliability": "reliability",
    "mcnemar": "resampling",
    "percentile_interval": "resampling",
    "resampled": "resampling",
    "scored": "resampling",
    "scored_together": "resampling",
    "resolve": "resolved",
    "BinaryScore": "score",
    "CategoricalScore": "score",
    "NumberScore": "score",
    "SelectiveScore": "score",
    "Flip": "sensitivity",
    "Pull": "sensitivity",
    "Sensitivity": "sensitivity",
    "Misfit": "simulation",
    "SimulatedObserver": "simulation",
    "SimulatedReading": "simulation",
    "draw_looks": "simulation",
    "prior_truth": "simulation",
    "values_of": "simulation",
    "Weights": "weights",
    "said_of": "weights",
    "weigh_parts": "weights",
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
    "Cost",
    "Decisions",
    "Declared",
    "Design",
    "Deviation",
    "Diagnostics",
    "Entry",
    "ErrorRates",
    "Fault",
    "First",
    "Fit",
    "FitDraws",
    "FitRecord",
    "FitSettings",
    "FittedReading",
    "Flip",
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
    "Option",
    "Origin",
    "Outcome",
    "Place",
    "Policy",
    "Posterior",
    "Preposterior",
    "Pull",
    "Question",
    "Rankings",
    "Reliability",
    "SekeError",
    "SelectiveScore",
    "Sensitivity",
    "SimulatedObserver",
    "SimulatedReading",
    "Split",
    "Threshold",
    "Unknowns",
    "Variable",
    "View",
    "Weights",
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
    "looked_marginals",
    "looks_at_labels",
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
    "values_of",
    "weigh_parts",
    "written",
]


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"engine.{LAZY[name]}"), name)
    globals()[name] = value
    return value
