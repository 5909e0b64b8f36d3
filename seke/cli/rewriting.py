"""The model of `seke export --rewrite`, by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from seke.cli import model_options as asking
from seke.cli.output import print_message

if TYPE_CHECKING:
    from seke.exporting.rewriting import Rewriter

# Options that are about the model alone.
ABOUT = (
    *("base_urls", "key_from", "max_cost", "price_in", "price_out", "price_cached", "price_list"),
    *("concurrency", "deadline", "rpm", "tpm", "temperature", "max_tokens", "extra"),
)
# What the other commands that ask a model can do besides.
ELSEWHERE = {"recorded": None, "scripted": False, "show_prompts": False, "dry_run": False, "batch": False}


def rewriter(model: str, given: dict[str, Any]) -> Rewriter | None:
    """Take the options of the model out of those that were given; return it, or None where none is named.

    Raises:
        engine.SekeError: an option of a model without one; no key; no prices for --max-cost.
    """
    from engine import SekeError

    context = click.get_current_context()
    about = {name: given.pop(name) for name in ABOUT}
    if not model:
        for option in context.command.params:
            named = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
            if option.name in ABOUT and named:
                raise SekeError(
                    f"{option.opts[-1]}: is about the model of --rewrite; name it with --rewrite MODEL"
                )
        return None
    from seke.annotation.several import endpoints_of
    from seke.exporting.rewriting import Rewriter

    asked = {**about, **ELSEWHERE, "model": model, "seed": given["seed"]}
    settings, prices = asking.settings(asked), asking.prices(asked)
    # What a text says does not depend on how freely it is reworded.
    client = asking.model(settings, prices, asked, free=("temperature",))
    places = " and ".join(endpoint.where for endpoint in endpoints_of(client))
    print_message(f"questions and answers go to {model} at {places}: no picture and no name")
    return Rewriter(client, settings, about["max_cost"], asking.concurrency(asked), print_message)
