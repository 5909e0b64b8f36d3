"""`seke infer --engine ray`: the options of a cluster, and the records in shards."""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seke.cli import options
from seke.cli.output import print_message
from seke.files.shard_folder import PARQUET, SHARD_FORMATS, USUAL_SHARDS, ShardFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seke.cli.options import Option
    from seke.console.infer_summary import InferSummary
    from seke.inference.session import Session
    from seke.sampling.blind import BlindAnswers

HERE, RAY = "here", "ray"
# Bytes of a label table that are digested at once.
BLOCK = 1 << 20


@dataclass(frozen=True)
class ClusterOptions:
    """Where the records are made, and in how many files; None for what was not given."""

    engine: str
    address: str | None
    shards: int | None
    shard_format: str | None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> ClusterOptions:
        """Return the options of `cluster_options` among those given, which lose them."""
        return cls(**{option.name: given.pop(option.name) for option in fields(cls)})

    def check(self, refused: Sequence[str], output: Path | None, samples: Sequence[str]) -> None:
        """Refuse options that do not go together, and samples that cannot be read by several processes.

        refused: those given that have no meaning on a cluster.

        Raises:
            engine.SekeError: there are such.
        """
        from engine import SekeError
        from seke.files.addresses import check_no_keys, is_address
        from seke.files.lines import check_file

        if self.engine != RAY:
            self._check_here(samples)
            return
        if refused:
            raise SekeError(f"{refused[0]}: has no meaning with --engine ray; leave it out")
        if output is None:
            raise SekeError("--engine ray writes a folder with a file for each shard; name it with -o")
        if output.is_file():
            raise SekeError(f"{output}: is a file; --engine ray writes a folder")
        for name in samples:
            if samples.count(name) > 1:
                raise SekeError(f"{name}: is named twice; its samples would count twice. Name it once")
            if is_address(name):
                check_no_keys(name)
                continue
            if name == "-" or (Path(name).exists() and not Path(name).is_file()):
                raise SekeError(f"{name}: is no file; other processes read the samples, so name files")
            check_file(name)

    def _check_here(self, samples: Sequence[str]) -> None:
        """Refuse what is for a cluster alone."""
        from engine import SekeError
        from seke.files.addresses import check_no_keys, is_address

        own_options = {
            "--address": self.address,
            "--shards": self.shards,
            "--shard-format": self.shard_format,
        }
        given = [name for name, value in own_options.items() if value is not None]
        if given:
            raise SekeError(f"{given[0]}: is for --engine ray")
        for name in samples:
            if is_address(name) and not Path(name).exists():
                check_no_keys(name)
                raise SekeError(f"{name}: addresses are read with --engine ray; or fetch the file first")


def cluster_options() -> Option:
    """Return the options of `ClusterOptions`."""
    return options.group(
        click.option(
            "--engine",
            type=options.OneOf([HERE, RAY]),
            default=HERE,
            show_default=True,
            help="What does the work: this process, or Ray here or on a cluster (-o is a folder then).",
        ),
        click.option(
            "--address",
            metavar="ADDRESS",
            help="With --engine ray: HOST:PORT of the head of a cluster, or auto.  [default: this machine]",
        ),
        click.option(
            "--shards",
            type=options.COUNT,
            metavar="N",
            help=f"With --engine ray: parts of the items, a file each.  [default: {USUAL_SHARDS}]",
        ),
        click.option(
            "--shard-format",
            type=options.OneOf(list(SHARD_FORMATS)),
            help=f"With --engine ray: format of the files.  [default: {PARQUET}]",
        ),
    )


def infer_on_ray(
    session: Session,
    samples: Sequence[str],
    folder_path: Path,
    cluster: ClusterOptions,
    settings: dict[str, str | int | bool | None],
    blind: BlindAnswers | None,
) -> tuple[Session, InferSummary]:
    """Make the records that a folder lacks; return the session that decided, and what was decided in all.

    settings: what else the records depend on, by the name of its option. blind: what leaves labels out; it
    counts them.
    """
    from os.path import abspath

    from seke._version import __version__
    from seke.console.infer_summary import InferSummary
    from seke.console.summary_counts import add_counts
    from seke.files.addresses import is_address, stamps_of
    from seke.results.on_ray import connected, infer_shards, session_as_begun
    from seke.results.shard_work import ShardWork

    made_with = {"seke": __version__, "knowledge": session.knowledge.digest, **settings}
    made_with["population"] = session.inference.population
    names = tuple(name if is_address(name) else abspath(name) for name in samples)
    folder = ShardFolder.opened(folder_path, made_with, list(names), cluster.shards, cluster.shard_format)
    manifest = folder.manifest
    gold = None if blind is None else blind.table
    work = ShardWork(session, names, len(manifest.shards), manifest.format, gold)
    stamps = stamps_of(names, all_here=cluster.address is None)
    try:
        if folder.is_finished(stamps):
            print_message(f"{folder_path}: has all shards of these samples; nothing is to be done")
            session = session_as_begun(session, folder)
        else:
            with connected(cluster.address) as ray:
                session = infer_shards(ray, work, folder)
            folder.note_inputs(stamps)
    except KeyboardInterrupt:
        shards = len(manifest.shards)
        made = shards - len(folder.missing())
        print_message(f"interrupted: {made} of {shards} shards are in {folder_path}; repeat it to go on")
        raise
    summary = InferSummary(session.knowledge)
    for shard in manifest.shards:
        add_counts(summary, shard.counts)
        if blind is not None and "left_out" in shard.counts:
            blind.add(shard.counts["left_out"])
    return session, summary


def file_digest(path: str) -> str:
    """Return the digest of a file's bytes."""
    from seke.files.inputs import open_file

    digest = blake2b(digest_size=16)
    with open_file(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
