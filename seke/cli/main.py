"""The command line with all its commands. Slow imports are made where they are used."""

from __future__ import annotations

import os

import click

from seke._version import __version__
from seke.cli.annotate import annotate
from seke.cli.bench import bench
from seke.cli.calibrate import calibrate
from seke.cli.completion import complete_files
from seke.cli.convert import convert
from seke.cli.demo import demo, init
from seke.cli.dupes import dupes
from seke.cli.explain import explain, plot
from seke.cli.export import export
from seke.cli.forget import forget
from seke.cli.import_ import import_
from seke.cli.independence import independence
from seke.cli.infer import infer
from seke.cli.knowledge import knowledge
from seke.cli.observe import observe
from seke.cli.plan import plan
from seke.cli.report import report
from seke.cli.review import review
from seke.cli.simulate import simulate
from seke.cli.study_options import StudyGroup

# Products here are small: a second thread of numpy's library takes a third more of the CPU and saves no time.
# It is read when numpy is imported, by no command before now.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@click.group(
    cls=StudyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="seke")
def main() -> None:
    """Turn answers of vision models about faces into posteriors and decisions.

    Emotion knowledge in YAML is compiled into a Bayesian network. Samples are its noisy observations. The
    posteriors decide what is accepted, rejected or asked again.

    Options need not be typed again if they stand in a file seke.toml in the working directory or above it
    (seke init makes one). What is typed comes first, then environment variables, then the nearest seke.toml,
    then the defaults.

    \b
    Examples:
      seke demo
      seke infer seke-demo/samples.jsonl
    """


for command in (
    demo,
    init,
    annotate,
    knowledge,
    calibrate,
    independence,
    bench,
    import_,
    dupes,
    convert,
    plan,
    export,
    forget,
    plot,
    explain,
    report,
    review,
    infer,
    observe,
    simulate,
):
    main.add_command(command)
complete_files(main)
main.say_what_is_used()
