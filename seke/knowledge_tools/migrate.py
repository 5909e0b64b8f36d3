"""`seke knowledge migrate`: overlays that an earlier version wrote, rewritten for this one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import KnowledgeError, SekeError, read_migration
from seke.console.plain_text import count, near, near_file
from seke.files.atomic import check_target, replacing, write_file
from seke.files.shipped import shipped_bases, shipped_name
from seke.files.text_report import TextReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Migration

    Facts = dict[str, Any]

# The end of the names under which old texts are kept; bases do not read it.
OLD = ".old"
# Overlays that extend one another; a base is read no further either (engine/language/overlay.py).
LONGEST_CHAIN = 8
UNRECORDED = (
    "it has numbers of a fit but no record of that fit (section `fits`), so its numbers do not count as "
    "calibrated; run seke calibrate again to get the record"
)


@dataclass(frozen=True, repr=False)
class MigrationReport(TextReport):
    """The result of a migration.

    facts: JSON values: `overlay`, `changes` (each with `place`, `path`, `old`, `new`, `reason`), `advice`
    (what to do next, a line each), `written` and `kept` (files that were written, and those with old texts).
    texts: the text of each file as it is written now.
    """

    facts: Mapping[str, Any]
    texts: Mapping[Path, str]

    def __str__(self) -> str:
        return "\n".join(_lines(self.facts))


def migrate(
    overlay: str | Path, output: str | Path | None = None, *, in_place: bool = False
) -> MigrationReport:
    """Rewrite an overlay of an earlier version, a file or a folder, for this version.

    Args:
        overlay: its place; it is left as it is unless `in_place` is true.
        output: a new file, or for a folder a new folder; nothing is written where it is None.
        in_place: write it where it is, and keep the old text of each file that changes as NAME.old.

    Raises:
        engine.KnowledgeError: YAML that cannot be read. engine.SekeError: a place that cannot be written.
    """
    path, target = Path(overlay), None if output is None else Path(output)
    if target is not None:
        if in_place:
            raise SekeError("name either a new place or --in-place")
        _check_new(path, target)
    moved = None if target is None else (target if path.is_dir() else target.parent)
    migration = _read(path, moved)
    written: list[str] = []
    kept: list[str] = []
    if target is not None:
        written = _write_anew(migration, path, target)
    elif in_place:
        written, kept = _write_over(migration)
    facts = {
        "overlay": near_file(str(path)),
        "changes": [
            {
                "place": near(change.place),
                "path": change.path,
                "old": change.old,
                "new": change.new,
                "reason": change.reason,
            }
            for change in migration.rewrites
        ],
        "advice": _advice(migration, target or path),
        "written": written,
        "kept": kept,
    }
    return MigrationReport(
        facts, {file: new.decode("utf-8-sig") for file, (_, new) in migration.files.items()}
    )


def hint(base: str | Path | None, *, faulty: bool) -> str:
    """Return the commands that migrate a base and those it extends; an empty text where none needs it.

    faulty: whether it has faults. A conflict in bits is one; what else changes is no fault.
    """
    if base is None or shipped_name(base):
        return ""
    old = _bases_to_migrate(Path(base), but="" if faulty else "policy.conflict")
    commands = [f"seke knowledge migrate {_shell_path(path)} --in-place" for path in old]
    if not commands:
        return ""
    head = "written for an earlier version; to rewrite it (the old text stays beside it as NAME.old):"
    return "\n  ".join([head, *commands])


def _read(path: Path, moved: Path | None = None) -> Migration:
    return read_migration(path, shipped_bases(), moved)


def _bases_to_migrate(path: Path | None, but: str = "") -> list[Path]:
    """Return those of a base and its parents that need a migration of more than the path `but`."""
    outdated = []
    for _ in range(LONGEST_CHAIN):
        if path is None:
            break
        try:
            migration = _read(path)
        except KnowledgeError:
            break  # Whoever reads the base says what is wrong with it.
        outdated += [path] if any(change.path != but for change in migration.rewrites) else []
        path = migration.base
    return outdated


def _check_new(path: Path, target: Path) -> None:
    """Refuse a place that exists, or would be read with the overlay."""
    if path.is_dir():
        if target.exists():
            raise SekeError(f"{target}: exists already; name a new folder, or --in-place")
        if not target.parent.is_dir():
            raise SekeError(f"{target}: its parent folder does not exist")
        if target.resolve().is_relative_to(path.resolve()):
            raise SekeError(f"{target}: lies in {path} and would be read with it; name another")
        return
    check_target(target, ("yaml", "yml"))
    if target.is_file():
        raise SekeError(f"{target}: exists already; name a new file, or --in-place")


def _write_anew(migration: Migration, path: Path, target: Path) -> list[str]:
    """Write a new file, or a new folder as a whole; return the files written."""
    if not path.is_dir():
        write_file(migration.files[path][1], target)
        return [near_file(str(target))]
    with replacing(target) as unfinished:
        for file, (_, new) in migration.files.items():
            place = unfinished / file.relative_to(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(new)
    return [near_file(str(target / file.relative_to(path))) for file in migration.files]


def _write_over(migration: Migration) -> tuple[list[str], list[str]]:
    """Write changed files in place, all or none; return them, and the files with their old texts."""
    changed = {file: texts for file, texts in migration.files.items() if texts[0] != texts[1]}
    places = {file: file.with_name(file.name + OLD) for file in changed}
    for place in places.values():
        if place.exists():
            raise SekeError(f"{place}: exists already; move it away, so that no old text is lost")
    begun: list[Path] = []
    try:
        for file, (old, _) in changed.items():
            write_file(old, places[file])
        for file, (_, new) in changed.items():
            begun.append(file)
            write_file(new, file)
    except OSError:
        for file in begun:
            write_file(changed[file][0], file)
        for place in places.values():
            place.unlink(missing_ok=True)
        raise
    return [near_file(str(file)) for file in changed], [near_file(str(place)) for place in places.values()]


def _advice(migration: Migration, path: Path) -> list[str]:
    """Return what the user has to do next, a line each."""
    advice = _renewal(migration, path)
    if migration.unrecorded:
        advice.append(UNRECORDED)
    advice += [
        f"its base needs migration, too: seke knowledge migrate {_shell_path(base)} --in-place"
        for base in _bases_to_migrate(migration.base)
    ]
    return advice


def _renewal(migration: Migration, path: Path) -> list[str]:
    """Return the line with the command that certifies again, if certificates were taken out.

    It runs on the base before the fit, so that no gold counts twice.
    """
    made = migration.certificates
    if made is None:
        return []
    base = path
    if migration.unrecorded and migration.extends:
        base = migration.base or Path(migration.extends)
    output = path.with_name(f"{path.stem}-certified.yaml")
    parts = ["to certify it again: seke calibrate SAMPLES --gold TABLE"]
    parts += [f"-k {_shell_path(base)}", f"-o {_shell_path(output)}"]
    parts += [f"--{name} {shlex.quote(getattr(made, name))}" for name in ("alpha", "delta")]
    parts += [f"--population {shlex.quote(made.population)}"] if made.population else []
    # Certificates of that time are about each value.
    parts += ["--each-value", *(["--groups COLUMN"] if made.by_subject else [])]
    return [" ".join([*parts, *(["--adaptive"] if made.adaptive else [])])]


def _shell_path(path: Path) -> str:
    return shlex.quote(near_file(str(path)))


def _lines(facts: Mapping[str, Any]) -> list[str]:
    changes = facts["changes"]
    lines = [
        f"{change['place']}: {change['path']}: "
        + (f"{change['old']} -> {change['new']}" if change["new"] else "removed")
        + f"; {change['reason']}"
        for change in changes
    ]
    if changes:
        lines.append(f"{facts['overlay']}: {count(len(changes), 'change')}")
    else:
        lines.append(f"{facts['overlay']}: needs no change; this version reads it as it is")
    return [*lines, *facts["advice"], *(f"{place}: keeps the old text" for place in facts["kept"])]
