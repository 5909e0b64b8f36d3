"""A base and who is asked -> the session that decides in a run, and the rule of a baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import Knowledge, SekeError, people_asked
from seke.annotation.stopping_rules import rule_of
from seke.console.plain_text import near
from seke.datasets.images import view_of
from seke.inference.session import Session
from seke.prompts import Questions

if TYPE_CHECKING:
    from seke.annotation.observers import AskedObservers
    from seke.annotation.stopping_rules import Rule


def run_session(
    base: Knowledge,
    asked: AskedObservers,
    population: str | None,
    max_samples: int | None,
    *,
    labels_final: bool,
) -> tuple[Session, Rule | None]:
    """Return the session that decides in a run, and the rule by which a baseline asks; None of a policy.

    Raises:
        engine.SekeError: the policy would ask nothing, or what cannot be put into words or shown.
    """
    if labels_final:
        base = replace(base, policy=replace(base.policy, labels_final=True))
    session = asked.session(Session.open(base, population), max_samples)
    _check_askable(session)
    rule = rule_of(asked.strategy, session.knowledge.policy.budget)
    if rule is not None and not session.guarantee:
        session = _without_look_ahead(session)
    return session, rule


def _without_look_ahead(session: Session) -> Session:
    """Return the session under a policy for which nothing is worth asking."""
    policy = session.knowledge.policy
    worthless = replace(policy, worth=dict.fromkeys(policy.worth, 0.0))
    return replace(session.under(worthless), refused=session.refused)


def _check_askable(session: Session) -> None:
    """Refuse a base whose policy would ask nothing, or what cannot be put into words or shown."""
    base = session.knowledge
    policy, people = base.policy, people_asked(base)
    for observer in (policy.ask, *policy.others):
        if observer in people:
            continue
        instruments = base.observers[observer].instruments
        for question in base.questions.values():
            if not question.prompt and any(name in instruments for name in question.variables):
                missing = f"question {question.name} has no `prompt`"
                raise SekeError(f"{near(question.place)}: {missing}, so {observer} cannot be asked")
    Questions(base).check()
    for view in (base.usual_view, *policy.views):
        view_of(base, view)
    if session.first is None:
        raise SekeError(f"the policy of {base.name} would not ask anything of {policy.ask}")
