"""`python -m seke`: the command line."""

from seke.cli.main import main

main(prog_name="python -m seke")
