"""Taking items, or all of a person, out of a run and its exports: `seke forget` as a function.

All new files are written aside before the first takes its place: exports first, then what a review made of
the run and how its exports were reworded, then the run, whose list of items is last. A process that is killed
halfway leaves files that are each whole, and the same call ends what it began. Of what is forgotten the run
keeps salted digests, so that nothing is asked about it again, and what it cost.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean
from seke.annotation.branches import is_run, origin_of
from seke.console.plain_text import first_names
from seke.files.shipped import knowledge as read_knowledge
from seke.files.staged import StagedFolder
from seke.release.forgotten_export import ExportRows, items_of_export, stage_export
from seke.release.forgotten_run import RunRows, items_of_run, stage_run
from seke.runs.forgotten import ForgottenItems
from seke.runs.ledger import locked
from seke.runs.run_folder import ANNOTATORS, REWORDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine import Knowledge

REVIEW = "review"
# Bytes of a file that is looked through for a name, at most.
MOST_BYTES = 64 << 20
# What no command can reach.
OUT_OF_REACH = (
    "the pictures themselves, and manifests, label tables and samples that name them",
    "copies: backups, branches of the run, exports that were not named, uploads, caches of loaders, "
    "recorded answers elsewhere, and models that were trained on the data",
)


@dataclass(frozen=True)
class ForgetReport:
    """What was forgotten. items: that were met somewhere; known: that were forgotten before.

    runs, exports: the rows that went. fallen: certificates that were made with an item; unknown_certificates:
    those of which nobody can tell. still: what names an item still, and what to do about it; out_of_reach:
    what no command reaches. dry: whether nothing was changed.
    """

    items: tuple[str, ...]
    known: tuple[str, ...]
    runs: tuple[RunRows, ...]
    exports: tuple[ExportRows, ...]
    fallen: tuple[str, ...] = ()
    unknown_certificates: tuple[str, ...] = ()
    still: tuple[str, ...] = ()
    out_of_reach: tuple[str, ...] = field(default=OUT_OF_REACH)
    dry: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to do, as far as that can be told."""
        return not (self.fallen or self.unknown_certificates or self.still)


def forget(
    items: str | Sequence[str] = (),
    run: str | Path = "",
    *,
    groups: str | Sequence[str] = (),
    exports: str | Path | Sequence[str | Path] = (),
    knowledge: str | Path | Sequence[str | Path] = (),
    dry: bool = False,
) -> ForgetReport:
    """Take items out of a run and its exports.

    Args:
        items: names of items, or one.
        run: the folder of `seke annotate`.
        groups: persons (column `group`), of whom all items go.
        exports: folders of `seke export`.
        knowledge: bases and overlays whose certificates may rest on the items; the run's own among them.
        dry: whether only to say what would go.

    Raises:
        engine.SekeError: an item or a person that nothing names; a folder that is no run or no export;
            another process has the run. Nothing is changed then.
    """
    items, groups, exports, knowledge = (_several(given) for given in (items, groups, exports, knowledge))
    folder = Path(run)
    if not run or not is_run(folder):
        raise SekeError(f"{folder}: is no run" if run else "name the run: --run RUN")
    if not items and not groups:
        raise SekeError("name items, or persons with --group")
    bases = [(str(path), read_knowledge(path)) for path in knowledge]
    folders = [path for path in (folder / REVIEW, folder / REWORDINGS, folder) if is_run(path)]
    try:
        with ExitStack() as stack:
            for path in folders:
                stack.enter_context(locked(path))
            return _Forgetting(folders, [Path(path) for path in exports], bases, dry).of(items, groups)
    except OSError as error:
        place = error.filename or folder
        raise SekeError(f"{place}: cannot be written ({error.strerror or error}); forget again") from None


def _several(given: Any) -> list[Any]:
    """Return one value or several as a list."""
    return [given] if isinstance(given, str | Path) else list(given)


class _Forgetting:
    def __init__(
        self, runs: list[Path], exports: list[Path], bases: list[tuple[str, Knowledge]], dry: bool
    ) -> None:
        self.runs, self.exports, self.bases, self.dry = runs, exports, bases, dry
        self.named: dict[str, str | None] = {}
        for path in exports:
            self.named |= items_of_export(path)
        for path in runs:
            self.named |= {name: group or self.named.get(name) for name, group in items_of_run(path).items()}

    def of(self, items: Sequence[str], groups: Sequence[str]) -> ForgetReport:
        """Forget items and persons."""
        before = ForgottenItems.of(self.runs[-1])
        of_groups = [name for name, group in self.named.items() if group in set(groups)]
        wanted = list(dict.fromkeys([*items, *of_groups]))
        self._check_known(items, groups, before)
        present = tuple(name for name in wanted if name in self.named)
        known = tuple(name for name in wanted if name not in self.named)
        bases = [*(base for _, base in self.bases), read_knowledge(None)]
        staged: list[StagedFolder] = []
        run_rows, export_rows = [], []
        try:
            for path in self.exports:
                changes, of_export = stage_export(path, wanted)
                staged.append(changes)
                export_rows.append(of_export)
            for path in self.runs:
                changes, of_run = stage_run(path, wanted, groups, bases)
                staged.append(changes)
                run_rows.append(of_run)
        except BaseException:
            _discard(staged, [*self.exports, *self.runs])
            raise
        if self.dry:
            _discard(staged, [])
        else:
            for changes in staged:
                changes.commit()
        fallen, untold = self._certificates(wanted)
        rows = tuple(run_rows), tuple(export_rows)
        still = tuple(self._still(wanted, run_rows))
        return ForgetReport(present, known, *rows, fallen, untold, still, dry=self.dry)

    def _check_known(self, items: Sequence[str], groups: Sequence[str], before: ForgottenItems) -> None:
        for name in items:
            if name not in self.named and not before.has(name):
                raise SekeError(
                    f"{self.runs[-1]}: no item {name!r}, here or in an export{did_you_mean(name, self.named)}"
                )
        persons = {group for group in self.named.values() if group is not None}
        for name in groups:
            if name not in persons and not before.has_group(name):
                raise SekeError(
                    f"{self.runs[-1]}: no person {name!r} (column group), here or in an export"
                    f"{did_you_mean(name, persons)}"
                )

    def _certificates(self, items: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return which certificates were made with an item, and those of which this is not known."""
        fallen, untold = [], []
        for path, base in self.bases:
            guarantee = base.guarantee
            if guarantee is None:
                continue
            certified = first_names([test.name for test in guarantee.certified], 5) or "none"
            if not guarantee.gold_items:
                untold.append(
                    f"{path}: certificates ({certified}) do not say with which items they were made; if one "
                    "of these was among the gold they fall: certify anew"
                )
            elif members := [name for name in items if guarantee.made_with(name)]:
                fallen.append(
                    f"{path}: made with {first_names(members, 3)}, so these fall: {certified}; calibrate "
                    "anew without them (seke calibrate --alpha)"
                )
        return tuple(fallen), tuple(untold)

    def _still(self, items: Sequence[str], run_rows: Sequence[RunRows]) -> Iterator[str]:
        """Yield what names an item still."""
        origin = origin_of(self.runs[-1])
        if origin is not None and is_run(origin):
            shared = [name for name in items if name in items_of_run(origin)]
            if shared:
                yield (
                    f"{origin}: this run is a branch of it, and it has {first_names(shared, 3)}; "
                    f"forget there, too (--run {origin})"
                )
        for rows in run_rows:
            overlay = Path(rows.folder) / ANNOTATORS
            if overlay.is_file() and "answers.jsonl" in rows.rows:
                yield f"{overlay}: was learned with these answers, too; seke review import learns it anew"
        # Where nothing was changed all files name the item.
        for path in () if self.dry else (*self.exports, self.runs[-1]):
            for file in _naming(path, items):
                yield f"{file}: names an item still, and is none of the files that are rewritten; look at it"


def _discard(staged: list[StagedFolder], folders: list[Path]) -> None:
    for changes in [*staged, *(StagedFolder(path) for path in folders)]:
        changes.discard()


def _naming(folder: Path, items: Sequence[str]) -> Iterator[Path]:
    """Yield the files of a folder in which a name stands as a text of its own."""
    texts = [f'"{name}"'.encode("utf-8", "surrogatepass") for name in items]
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        data = path.read_bytes()
        if any(text in data for text in texts):
            yield path
