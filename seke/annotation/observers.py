"""Which observers of a base the models of a run are, and a policy that asks these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import SekeError, people_asked
from seke.files.shipped import GENERIC_OBSERVER
from seke.samples.columns_builder import cure_of_unknown_observer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge
    from seke.inference.session import Session


def observer_of(base: Knowledge, model: str) -> str:
    """Return the observer that a model is: the one whose name equals or begins the model's, else the generic.

    Raises:
        engine.SekeError: none of these.
    """
    askable = [name for name in askable_of(base) if not base.observers[name].people]
    short = model.rpartition("/")[2]
    for name in sorted(askable, key=len, reverse=True):
        if name in (model, short) or short.startswith(name):
            return name
    if GENERIC_OBSERVER in askable:
        return GENERIC_OBSERVER
    if len(askable) == 1:
        return askable[0]
    raise SekeError(f"which observer is {model!r}? name one with --observer: {', '.join(askable)}")


def askable_of(base: Knowledge) -> list[str]:
    """Return the observers that can be asked."""
    return [name for name, observer in base.observers.items() if observer.askable]


@dataclass(frozen=True)
class AskedObservers:
    """Who is asked in a run, by a policy or by a baseline that asks the first one alone.

    first: who of the base the model is. also: further observers -> the name of the model behind each.
    """

    first: str
    model: str
    also: Mapping[str, str]
    strategy: str

    @classmethod
    def of(
        cls, base: Knowledge, model: str, observer: str | None, also: Mapping[str, str], strategy: str
    ) -> AskedObservers:
        """Check that these observers can be asked beside the first one, see `observer_of`.

        Raises:
            engine.SekeError: one cannot, with the nearest that can.
        """
        first = observer or observer_of(base, model)
        for name in also:
            _check_askable(base, name)
            if name == first:
                raise SekeError(
                    f"{model} already answers as observer {name!r} (--observer names another one for it); "
                    f"observers that can be asked: {', '.join(askable_of(base))}"
                )
        return cls(first, model, also, strategy)

    def session(self, session: Session, budget: int | None) -> Session:
        """Return a session as a run asks by this strategy."""
        if self.strategy != "policy":
            return asking(session, self.first, budget, self.model, people=False)
        return asking(session, self.first, budget, self.model, self.also).asking()


def asking(
    session: Session,
    observer: str,
    budget: int | None,
    model: str = "",
    also: Mapping[str, str] | None = None,
    *,
    people: bool = True,
) -> Session:
    """Return the session with a policy that asks this observer; a guarantee stays where nothing changes.

    model: who answers as this observer; the observer itself where nothing is said. also: further observers
    that may be asked -> who answers as each. people: whether items may wait for the people whom the base's
    policy names.
    """
    base = session.knowledge
    _check_askable(base, observer)
    policy, also = base.policy, also or {}
    limit, models = policy.budget if budget is None else budget, {observer: model} if model else {}
    awaited_people = [
        name for name in people_asked(base) if people and name in policy.others and name != observer
    ]
    # Those that the base names keep its order, so that a policy that asks the same is the same.
    further = tuple(dict.fromkeys((*also, *awaited_people)))
    further = policy.others if set(policy.others) == set(further) else further
    new_policy = replace(policy, ask=observer, others=further, budget=limit, models={**models, **also})
    if new_policy.first is not None and new_policy.first.samples > new_policy.budget:
        new_policy = replace(new_policy, first=replace(new_policy.first, samples=max(new_policy.budget, 1)))
    if new_policy == policy:
        return session.with_policy(new_policy)
    promised = session.guarantee is not None or session.refused
    refused = ("it was made for the declared policy, but this run asks by another one",) if promised else ()
    return replace(session.under(new_policy), refused=refused)


def _check_askable(base: Knowledge, name: str) -> None:
    if name not in base.observers:
        raise SekeError(f"no observer is called {name!r}; {cure_of_unknown_observer(askable_of(base))}")
    if not base.observers[name].askable:
        raise SekeError(
            f"observer {name!r} cannot be asked (`askable`); those that can: {', '.join(askable_of(base))}"
        )
