"""The engine: declared knowledge -> network -> posteriors -> decisions, for any domain.

This module is its public interface. Everything is imported on first use, so that reading knowledge
and asking for help stay instant.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# What type checkers see, and what `lazy_face` reads; a name that is imported as itself is exported.
if TYPE_CHECKING:
    from engine.analysis.audit import Audit as Audit
    from engine.analysis.audit import AuditedRule as AuditedRule
    from engine.analysis.audit import Deviation as Deviation
    from engine.analysis.audit import audit_network as audit_network
    from engine.analysis.counterfactuals import Counterfactual as Counterfactual
    from engine.analysis.counterfactuals import FactorContribution as FactorContribution
    from engine.analysis.counterfactuals import Sensitivity as Sensitivity
    from engine.analysis.declared_values import DeclaredValue as DeclaredValue
    from engine.analysis.expectations import DemandResult as DemandResult
    from engine.analysis.expectations import ExpectationResult as ExpectationResult
    from engine.analysis.expectations import Remedy as Remedy
    from engine.analysis.expectations import examine_expectation as examine_expectation
    from engine.analysis.knowledge_draws import KnowledgeDraws as KnowledgeDraws
    from engine.analysis.known_weights import KnownWeights as KnownWeights
    from engine.analysis.known_weights import weigh_known_values as weigh_known_values
    from engine.analysis.number_verdicts import KnowledgeTest as KnowledgeTest
    from engine.analysis.number_verdicts import NumberTest as NumberTest
    from engine.analysis.number_verdicts import TableItems as TableItems
    from engine.analysis.root_prediction import RootPrediction as RootPrediction
    from engine.analysis.root_prediction import predict_root as predict_root
    from engine.analysis.root_prediction import predictions_without_one as predictions_without_one
    from engine.analysis.root_prediction import with_prior as with_prior
    from engine.analysis.sensitivity import Influence as Influence
    from engine.analysis.sensitivity import Influences as Influences
    from engine.analysis.weight_of_evidence import Weights as Weights
    from engine.analysis.weight_of_evidence import said_of as said_of
    from engine.analysis.weight_of_evidence import weigh_parts as weigh_parts
    from engine.backend.types import Bools as Bools
    from engine.backend.types import Floats as Floats
    from engine.backend.types import Ints as Ints
    from engine.certification.learn_then_test import certify as certify
    from engine.certification.learn_then_test import predicted_thresholds as predicted_thresholds
    from engine.certification.learn_then_test import split as split
    from engine.certification.sampling_design import design_of as design_of
    from engine.certification.sampling_design import mismatches as mismatches
    from engine.compilation.cache import compiled as compiled
    from engine.compilation.cache import ship as ship
    from engine.compilation.compiler import compile_network as compile_network
    from engine.compilation.feasibility import feasible_interval as feasible_interval
    from engine.decision.basis import Basis as Basis
    from engine.decision.basis import bases_of as bases_of
    from engine.decision.basis import draws_of as draws_of
    from engine.decision.contradictions import checks_of as checks_of
    from engine.decision.contradictions import contradictions_of as contradictions_of
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
    from engine.decision.decision import risk_of_each as risk_of_each
    from engine.decision.disputed_labels import disputed_labels as disputed_labels
    from engine.decision.gold_evidence import GoldEvidence as GoldEvidence
    from engine.decision.gold_evidence import labelled_by_sets as labelled_by_sets
    from engine.decision.level import LevelDecision as LevelDecision
    from engine.decision.limits import EligibleRisks as EligibleRisks
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
    from engine.inference.contradiction import CheckEffect as CheckEffect
    from engine.inference.contradiction import Contradiction as Contradiction
    from engine.inference.diagnostics import Diagnostics as Diagnostics
    from engine.inference.diagnostics import diagnose as diagnose
    from engine.inference.joint import joint_marginal as joint_marginal
    from engine.inference.joint import joint_marginals as joint_marginals
    from engine.inference.joint import marginals_without_halo as marginals_without_halo
    from engine.inference.joint import mutual_information as mutual_information
    from engine.inference.known_values import root_bits as root_bits
    from engine.inference.posterior import Inference as Inference
    from engine.inference.posterior import Posterior as Posterior
    from engine.inference.simulation import Misfit as Misfit
    from engine.inference.simulation import SimulatedObserver as SimulatedObserver
    from engine.inference.simulation import SimulatedReading as SimulatedReading
    from engine.inference.simulation import draw_looks as draw_looks
    from engine.inference.simulation import prior_truth as prior_truth
    from engine.inference.simulation import values_of as values_of
    from engine.inference.stated_answers import repeat_stated as repeat_stated
    from engine.language.certificates_yaml import certificates_yaml as certificates_yaml
    from engine.language.json_schema import json_schema as json_schema
    from engine.language.migrate import Migration as Migration
    from engine.language.migrate import read_migration as read_migration
    from engine.language.parameter_paths import yaml_path as yaml_path
    from engine.language.read_expectations import read_expectations as read_expectations
    from engine.language.read_fits import fits_yaml as fits_yaml
    from engine.language.reader import read as read
    from engine.language.writer import resolve as resolve
    from engine.language.yaml_tree import Change as Change
    from engine.language.yaml_tree import Leaf as Leaf
    from engine.language.yaml_tree import changes as changes
    from engine.language.yaml_tree import declared_of as declared_of
    from engine.learning.answered_observers import informative as informative
    from engine.learning.coupling import EXCESS as EXCESS
    from engine.learning.drawn_risks import DrawnRisks as DrawnRisks
    from engine.learning.drawn_risks import FitDraws as FitDraws
    from engine.learning.em import Learned as Learned
    from engine.learning.em import learn_knowledge as learn_knowledge
    from engine.learning.em import learn_population as learn_population
    from engine.learning.followed_shares import with_followed_shares as with_followed_shares
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
    from engine.learning.posterior_predictive import RATE_OF_QUESTION as RATE_OF_QUESTION
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
    from engine.metrics.calibration_error import null_intervals as null_intervals
    from engine.metrics.proportions import IntervalEstimate as IntervalEstimate
    from engine.metrics.scores import BinaryScore as BinaryScore
    from engine.metrics.scores import CategoricalScore as CategoricalScore
    from engine.metrics.scores import NumberScore as NumberScore
    from engine.metrics.scores import SelectiveScore as SelectiveScore
    from engine.model.citation import Number as Number
    from engine.model.expectation import Expectation as Expectation
    from engine.model.fit_record import FitRecord as FitRecord
    from engine.model.fit_record import FittedReading as FittedReading
    from engine.model.fit_record import Threshold as Threshold
    from engine.model.gold import Gold as Gold
    from engine.model.gold import states_of as states_of
    from engine.model.guarantee import Breadth as Breadth
    from engine.model.guarantee import Certificate as Certificate
    from engine.model.guarantee import Design as Design
    from engine.model.guarantee import Guarantee as Guarantee
    from engine.model.guarantee import ValueTest as ValueTest
    from engine.model.guarantee import gold_digests as gold_digests
    from engine.model.guarantee import least_abstention as least_abstention
    from engine.model.guarantee import listed as listed
    from engine.model.knowledge import Knowledge as Knowledge
    from engine.model.knowledge import LabelInstrument as LabelInstrument
    from engine.model.knowledge import Observer as Observer
    from engine.model.notebook_html import notebook_frame as notebook_frame
    from engine.model.notebook_html import notebook_html as notebook_html
    from engine.model.policy import Briefing as Briefing
    from engine.model.policy import First as First
    from engine.model.policy import Policy as Policy
    from engine.model.policy import Question as Question
    from engine.model.policy import Sight as Sight
    from engine.model.policy import View as View
    from engine.model.policy import shown_view as shown_view
    from engine.model.policy import view_in_form as view_in_form
    from engine.model.responses import Answers as Answers
    from engine.model.responses import Given as Given
    from engine.model.responses import Labels as Labels
    from engine.model.responses import Numbers as Numbers
    from engine.model.responses import Rankings as Rankings
    from engine.model.variable import Variable as Variable
    from engine.network.cost import Cost as Cost
    from engine.network.cost import cost_of as cost_of
    from engine.network.network import Network as Network
    from engine.network.pgmpy_export import exported as exported
    from engine.observation.dependence import reading_follows as reading_follows
    from engine.observation.joint_answers import ErrorRates as ErrorRates
    from engine.observation.joint_answers import draws_jointly as draws_jointly
    from engine.observation.joint_answers import error_rates as error_rates
    from engine.observation.joint_answers import observers_jointly as observers_jointly
    from engine.observation.joint_answers import readings_jointly as readings_jointly


def lazy_face(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose names are imported on first use.

    The names are those that its file imports as themselves, for type checkers: `from a.b import c as c`.
    """
    # Each stands on a line of its own; parsing the file would take a tenth of the time of a short command.
    lines = re.finditer(r"^ +from ([\w.]+) import (\w+) as (\w+)$", Path(file).read_text("utf-8"), re.M)
    module_of = {line[2]: line[1] for line in lines if line[2] == line[3]}

    def load(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if module_of[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted(module_of)

    return load, names, sorted(module_of)


# Type checkers would take computed names for none.
if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = lazy_face(__name__, __file__)
