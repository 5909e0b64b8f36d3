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
from engine.knowledge import Knowledge, Number, Observer, Policy, Question, Variable
from engine.reader import read

if TYPE_CHECKING:
    from engine.audit import Audit, AuditedRule, Deviation, audit_network
    from engine.cache import compiled
    from engine.certificate_reader import certificates_yaml
    from engine.certification import certify, fewest, split
    from engine.compiler import compile_network
    from engine.cost import Cost, cost_of
    from engine.decision import (
        Decisions,
        LevelDecision,
        Option,
        acceptable,
        certified_thresholds,
        decide_certified,
        decide_items,
        decide_levels,
    )
    from engine.dependence import mutual_information
    from engine.design import design_of, mismatches
    from engine.diagnostics import Diagnostics, diagnose
    from engine.exchange import exported
    from engine.feasibility import feasible_interval
    from engine.gold import Gold, states_of
    from engine.guarantee import Certificate, Design, Guarantee, least_abstention, listed
    from engine.influence import Influence, Influences
    from engine.lookahead import LookAhead
    from engine.network import CompiledRule, Network
    from engine.posterior import Inference, Posterior
    from engine.preposterior import Outcome, Preposterior
    from engine.resolved import resolve
    from engine.schema import json_schema
    from engine.sensitivity import Flip, Pull, Sensitivity
    from engine.simulation import Misfit, SimulatedObserver, prior_truth, values_of
    from engine.weights import Weights, weigh_parts

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
    "Decisions": "decision",
    "LevelDecision": "decision",
    "Option": "decision",
    "acceptable": "decision",
    "certified_thresholds": "decision",
    "decide_certified": "decision",
    "decide_items": "decision",
    "decide_levels": "decision",
    "mutual_information": "dependence",
    "Diagnostics": "diagnostics",
    "diagnose": "diagnostics",
    "exported": "exchange",
    "feasible_interval": "feasibility",
    "Gold": "gold",
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
    "LookAhead": "lookahead",
    "CompiledRule": "network",
    "Network": "network",
    "Inference": "posterior",
    "Posterior": "posterior",
    "Outcome": "preposterior",
    "Preposterior": "preposterior",
    "json_schema": "schema",
    "resolve": "resolved",
    "Flip": "sensitivity",
    "Pull": "sensitivity",
    "Sensitivity": "sensitivity",
    "Misfit": "simulation",
    "SimulatedObserver": "simulation",
    "prior_truth": "simulation",
    "values_of": "simulation",
    "Weights": "weights",
    "weigh_parts": "weights",
}

__all__ = [
    "AnswerError",
    "Answers",
    "Audit",
    "AuditedRule",
    "Certificate",
    "Change",
    "CompiledRule",
    "Cost",
    "Decisions",
    "Declared",
    "Design",
    "Deviation",
    "Diagnostics",
    "Fault",
    "Flip",
    "Gold",
    "Guarantee",
    "Inference",
    "Influence",
    "Influences",
    "Knowledge",
    "KnowledgeError",
    "Labels",
    "Leaf",
    "LevelDecision",
    "LookAhead",
    "Misfit",
    "Network",
    "Number",
    "Numbers",
    "Observer",
    "Option",
    "Outcome",
    "Place",
    "Policy",
    "Posterior",
    "Preposterior",
    "Pull",
    "Question",
    "Rankings",
    "SekeError",
    "Sensitivity",
    "SimulatedObserver",
    "Variable",
    "Weights",
    "acceptable",
    "audit_network",
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
    "exported",
    "feasible_interval",
    "fewest",
    "json_schema",
    "least_abstention",
    "listed",
    "mismatches",
    "mutual_information",
    "prior_truth",
    "read",
    "resolve",
    "split",
    "states_of",
    "values_of",
    "weigh_parts",
]


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"engine.{LAZY[name]}"), name)
    globals()[name] = value
    return value
