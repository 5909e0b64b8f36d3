"""Makes an environment in which check.py holds an export and a recipe against LLaMA-Factory or ms-swift.

    python examples/finetune/environments.py llamafactory ../llamafactory
    python examples/finetune/environments.py ms-swift ../ms-swift

What these two ask for excludes each other's and what seke is tested with, so each gets an environment of its
own, with the exact versions of environments/*.txt. torch is not fetched again: the environment looks at the
one that runs this script. Minutes, 300 MB from the package index.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
# Package -> the variable that tells the tests where its environment is.
VARIABLES = {"llamafactory": "SEKE_LLAMAFACTORY", "ms-swift": "SEKE_MSSWIFT"}
TORCH = ("torch", "torchgen", "functorch")


def lend_torch(site_packages: Path) -> str:
    """Let an environment see this one's torch, and nothing else of it; return the version.

    Raises:
        SystemExit: there is none here.
    """
    try:
        torch = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"{sys.executable} has no torch; install it first (a CPU build is enough)")
    lent = site_packages / "lent"
    lent.mkdir()
    for name in (*TORCH, f"torch-{torch.version}.dist-info"):
        (lent / name).symlink_to(Path(str(torch.locate_file(name))).resolve())
    (site_packages / "lent.pth").write_text(f"{lent}\n")
    return torch.version


def make(package: str, folder: Path) -> Path:
    """Make the environment; return its Python. Nothing is left where that fails.

    Raises:
        SystemExit: the folder exists; no torch; what the package index could not give.
    """
    if folder.exists():
        sys.exit(f"{folder}: exists; name a folder that is to be made")
    try:
        venv.create(folder, with_pip=True)
        python = folder.resolve() / "bin" / "python"
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site_packages = subprocess.run([python, "-c", query], check=True, capture_output=True, text=True)
        lend_torch(Path(site_packages.stdout.strip()))
        versions = HERE / "environments" / f"{package}.txt"
        install = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--requirement",
            versions,
        ]
        if subprocess.run(install, check=False).returncode:
            sys.exit(f"{package} could not be installed; pip says why above")
        if package == "llamafactory":
            # It imports torchaudio for sounds, of which an export has none; builds for CUDA do not load on a
            # machine without it.
            (Path(site_packages.stdout.strip()) / "torchaudio.py").write_text('"""Nothing: no sounds."""\n')
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return python


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", choices=list(VARIABLES))
    parser.add_argument("folder", type=Path, help="where to make it; must not exist")
    given = parser.parse_args()
    python = make(given.package, given.folder)
    print(f"export {VARIABLES[given.package]}={python}")


if __name__ == "__main__":
    main()
