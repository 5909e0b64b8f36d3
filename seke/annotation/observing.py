"""Pictures -> samples of networks on this machine: `seke observe` and `seke annotate --with`."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.datasets.images import PictureError, part_shown, view_of
from seke.datasets.manifest import items_of
from seke.files.shipped import knowledge as read_knowledge
from seke.observers.expression_network import CROPS
from seke.observers.panel import ObserverPanel, usable_observers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine import Knowledge
    from seke.datasets.manifest import Item

    Record = dict[str, Any]


@dataclass(frozen=True)
class FreeObservers:
    """Observers that cost nothing: they look at each item once, before anybody is paid."""

    panel: ObserverPanel

    @classmethod
    def open(
        cls, base: Knowledge, names: Sequence[str], networks: Sequence[str | Path] = (), crops: int = CROPS
    ) -> FreeObservers:
        """Load the observers; see `ObserverPanel.open`."""
        return cls(ObserverPanel.open(base, names, [Path(path) for path in networks], crops))

    @property
    def names(self) -> tuple[str, ...]:
        """Who they are."""
        return self.panel.names

    @property
    def networks(self) -> dict[str, str]:
        """Observer -> its network's file, by name and the beginning of its digest."""
        return self.panel.networks

    def close(self) -> None:
        """End the networks."""
        self.panel.close()

    def records(self, item: Item) -> list[Record]:
        """Return the samples of an item's usual view.

        Raises:
            PictureError: it cannot be shown.
        """
        base = self.panel.base
        shown = part_shown(item.path, view_of(base, base.usual_view), item.box)
        return self.panel.samples(item.name, shown)


@contextmanager
def free_observers(
    knowledge: Knowledge | str | Path | None, names: Sequence[str], networks: Sequence[str | Path] = ()
) -> Iterator[dict[str, Any]]:
    """Give what `Job.of` takes of these observers, and their base; they end with the block."""
    if not names:
        yield {"knowledge": knowledge}
        return
    base = read_knowledge(knowledge)
    with closing(FreeObservers.open(base, names, networks)) as free:
        yield {"knowledge": base, "free": free}


@dataclass(frozen=True)
class Observation:
    """What was observed of an item; `problem` says why its picture could not be shown, if it could not."""

    item: Item
    records: list[Record]
    problem: str = ""


def observations(
    items: Sequence[Item], free: FreeObservers, progress: Callable[[int], None] = lambda _: None
) -> Iterator[Observation]:
    """Yield what is observed of each item. progress: is called with how many items were done since."""
    for item in items:
        try:
            yield Observation(item, free.records(item))
        except PictureError as error:
            yield Observation(item, [], str(error))
        progress(1)


def observe(
    images: str | Path | Sequence[str | Path],
    observers: Sequence[str] | None = None,
    *,
    knowledge: Knowledge | str | Path | None = None,
    networks: Sequence[str | Path] = (),
    crops: int = CROPS,
    problems: Callable[[str], None] = lambda _: None,
) -> Iterator[Record]:
    """Yield samples of what networks on this machine see in pictures, as `seke observe` does.

    Args:
        images: pictures, folders, patterns and manifests, as `seke annotate` takes them.
        observers: `face-landmarker`, `fer` or both; by default those whose files and packages are there.
        knowledge: the base whose observers and views are meant; the shipped one by default.
        networks: files in place of those that packages ship, by their ending (.task, .tflite).
        crops: draws of `fer`, each of another crop.
        problems: is called with what could not be shown or is not there.

    Raises:
        engine.SekeError: nothing there, or a package or a file is missing; the message says how to get it.
    """
    base = read_knowledge(knowledge)
    files = [Path(path) for path in networks]
    names = usable_observers(files, problems) if observers is None else observers
    items = items_of([images] if isinstance(images, str | Path) else images, base)
    with closing(FreeObservers.open(base, names, files, crops)) as free:
        for observation in observations(items, free):
            if observation.problem:
                problems(observation.problem)
            yield from observation.records
