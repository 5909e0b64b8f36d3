"""Score a model before and after training by the protocol of FEAB: serve, ask, compare.

    python examples/finetune/evaluate.py --images CK+/test.csv --before untuned --after tuned -o scores

Each model is a folder (or a name on the hub) that serve.py answers from, one request at a time, or NAME@URL:
a model that a server has already. Every picture is asked by `seke bench run`, whose folders (before, after)
stay in the folder given by -o, so that the same command goes on where it stopped; `seke bench feab` writes
its page, table and results into feab/. Exit status: 0 done, 1 questions without an answer, 2 bad input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SEKE = (sys.executable, "-m", "seke")


def run(*command: str | Path) -> None:
    """Run a program to its end.

    Raises:
        SystemExit: with its exit status, where that is not 0.
    """
    status = subprocess.run(list(map(str, command)), check=False).returncode
    if status:
        sys.exit(status)


@contextmanager
def served(model: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield a model's name and the address of its server, which is started if need be and ended after.

    Raises:
        SystemExit: the server did not start; it says why on standard error.
    """
    called, at, url = model.rpartition("@")
    if at and "://" in url:
        yield called, url
        return
    command = [sys.executable, str(HERE / "serve.py"), model, "--name", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if not (address := process.stdout.readline().strip() if process.stdout else ""):
                sys.exit(f"{model}: could not be served (see above)")
            yield name, address
        finally:
            process.terminate()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", action="append", required=True, help="manifest with `source`; may be given again"
    )
    parser.add_argument("--before", required=True, metavar="MODEL")
    parser.add_argument("--after", required=True, metavar="MODEL")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--max-tokens", default="600", help="most tokens of one answer [default: 600]")
    given = parser.parse_args()
    if (given.output / "feab").exists():
        parser.error(f"{given.output / 'feab'}: exists; results are not written over")
    images = [word for path in given.images for word in ("--images", path)]
    for name, model in (("before", given.before), ("after", given.after)):
        with served(model, name) as (called, url):
            where = ("--model", called, "--base-url", url, "--concurrency", "1" if called == name else "16")
            folder = given.output / name
            run(*SEKE, "bench", "run", *images, "--run", folder, *where, "--max-tokens", given.max_tokens)
    runs = (given.output / "after", given.output / "before")
    run(*SEKE, "bench", "feab", *runs, *images, "-o", given.output / "feab")


if __name__ == "__main__":
    main()
