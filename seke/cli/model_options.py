"""Shared parts of the commands that ask a model: settings, the model, consent, costs."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from seke.cli.options import AT_ONCE, IN_A_BATCH
from seke.cli.output import print_message
from seke.progress import printed

# Fields of a request that cannot be passed on, and why.
OWN_FIELDS = {
    **{name: f"is set by --{name}" for name in ("model", "temperature", "seed")},
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), "is set by --max-tokens"),
    **dict.fromkeys(("messages", "n", "response_format"), "is what the program asks itself"),
}

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.annotation.several import FurtherModel
    from seke.runs.ledger import Totals
    from seke.vision.client import Endpoint
    from seke.vision.messages import Model, Settings
    from seke.vision.prices import Prices


def concurrency(given: dict[str, Any]) -> int:
    """Return the number of requests that may be open at once, at all servers."""
    return _concurrency_of_one(given) * max(len(given["base_urls"]), 1)


def _concurrency_of_one(given: dict[str, Any]) -> int:
    """Return the number of requests that may be open at once at one server."""
    requests: int = given["concurrency"] or (IN_A_BATCH if given["batch"] else AT_ONCE)
    return requests


def settings(given: dict[str, Any]) -> Settings:
    """Return the sampling settings of the model."""
    from engine import SekeError
    from seke.vision.messages import Settings

    stand_in = "recorded" if given["recorded"] else "scripted" if given["scripted"] else ""
    if not given["model"] and not stand_in:
        raise SekeError("name the model with --model (or try things out with --scripted)")
    names = ("temperature", "max_tokens", "detail", "seed", "picture", "system")
    options = {name: given[name] for name in names if name in given}
    return Settings(given["model"] or stand_in, extra=extra_fields(given["extra"]), **options)


def extra_fields(texts: Sequence[str]) -> dict[str, Any]:
    """Return the further fields of requests that were given as KEY=JSON.

    Raises:
        engine.SekeError: another form; a field that has an option, or is the program's own.
    """
    from engine import SekeError

    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not name or not equals:
            raise SekeError(f"--extra {text}: the form is KEY=JSON, such as enable_thinking=false")
        if name in OWN_FIELDS:
            raise SekeError(f"--extra {text}: {name} {OWN_FIELDS[name]}")
        if name in fields:
            raise SekeError(f"--extra {text}: {name} is given twice")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            word = shlex.quote(f"{name}={json.dumps(value.strip())}")
            raise SekeError(
                f"--extra {text}: {value!r} is no JSON; a text stands in quotes (--extra {word}), true, "
                "false and null in small letters"
            ) from None
    return fields


def prices(given: dict[str, Any]) -> Prices | None:
    """Return the prices that were given, or None."""
    from engine import SekeError
    from seke.vision.prices import Prices, read_prices

    if given["price_list"] is not None:
        if any(given[name] is not None for name in ("price_in", "price_out", "price_cached")):
            raise SekeError("give --prices, or the prices themselves, not both")
        return read_prices(given["price_list"], given["model"])
    prompt, answer = given["price_in"], given["price_out"]
    if prompt is None and answer is None:
        if given["max_cost"] is not None and not (given["recorded"] or given["scripted"]):
            raise SekeError(
                "--max-cost needs the prices of a million tokens: --price-in and --price-out, or --prices"
            )
        return None
    if prompt is None or answer is None:
        raise SekeError("give both --price-in and --price-out")
    return Prices(prompt, answer, given["price_cached"])


def applicable_prices(prices: Prices | None, given: dict[str, Any]) -> Prices | None:
    """Return the prices that apply: those of a batch are lower."""
    return prices.in_batch() if prices is not None and given["batch"] else prices


def model(
    settings: Settings, prices: Prices | None, given: dict[str, Any], *, free: Sequence[str] = ()
) -> Model:
    """Return the model to ask: a server, a recording, or scripted answers.

    free: settings that a server need not take.
    """
    if given["recorded"] or given["scripted"]:
        from seke.vision.fake import RecordedModel, ScriptedModel

        if given["scripted"] and not given["recorded"]:
            return ScriptedModel(given["seed"])
        return RecordedModel.read(given["recorded"], by_observer=bool(given.get("also")))
    if given["show_prompts"] or given["dry_run"]:
        return _Nobody()
    from functools import partial

    from engine import SekeError
    from seke.runs.batch_client import Batches
    from seke.vision.client import Endpoint
    from seke.vision.model_servers import servers_of

    names = ("key_from", "rpm", "tpm", "deadline")
    options: dict[str, Any] = {"prices": prices, "concurrency": _concurrency_of_one(given), "free": free}
    options |= {name: given[name] for name in names}
    addresses = given["base_urls"]
    if not given["batch"]:
        return servers_of(partial(Endpoint, settings), addresses, **options)
    if len(addresses) > 1:
        raise SekeError("a batch has only one server; name one --base-url, or ask without --batch")
    return Batches(settings, tell=print_message, base_url=next(iter(addresses), None), **options)


def combined_model(
    first: Model,
    further: Sequence[FurtherModel],
    prices_of: Mapping[str, Prices | None],
    settings: Settings,
    given: dict[str, Any],
) -> Model:
    """Return one model that routes requests to several, each with its own server and rate.

    prices_of: further observer -> the prices of its model's tokens.
    """
    from seke.annotation.several import SeveralModels

    if not further:
        return first
    if given["scripted"] or given["recorded"] or given["show_prompts"] or given["dry_run"]:
        return SeveralModels(first, {model.observer: first for model in further})
    options = {name: given[name] for name in ("base_urls", "key_from", "rpm", "tpm", "deadline")}
    options["concurrency"] = _concurrency_of_one(given)
    models: dict[str, Model] = {}
    for model in further:
        models[model.observer] = model.client(settings, prices=prices_of[model.observer], **options)
    return SeveralModels(first, models)


def prices_of_further(further: Sequence[FurtherModel], given: dict[str, Any]) -> dict[str, Prices | None]:
    """Return further observer -> the prices of its model in the list; None where there is no list."""
    from seke.vision.prices import read_prices

    path = given["price_list"]
    return {
        further_model.observer: None if path is None else read_prices(path, further_model.model)
        for further_model in further
    }


class _Nobody:
    """A model for runs that send nothing."""

    async def ask(self, *_: Any) -> Any:
        """Answer nothing."""
        raise AssertionError


def confirm(pictures: int, model: Model, *, yes: bool) -> None:
    """Print where pictures are sent, and require consent."""
    from engine import SekeError
    from seke.annotation.several import endpoints_of

    places = dict.fromkeys(place for client in endpoints_of(model) if (place := _far_place(client)))
    if not places:
        return
    print_message(
        f"{pictures:,} pictures will be sent to {' and to '.join(places)}. "
        "Many face sets forbid passing their pictures on, also to a model's server: read their terms first."
    )
    if yes:
        return
    if not sys.stdin.isatty():
        raise SekeError("no terminal to ask on; allow the upload with --yes")
    printed(result=False)
    if not click.confirm("Send them?", err=True):
        raise SekeError("nothing was sent")


def _far_place(endpoint: Endpoint) -> str:
    """Return the address of a remote server with its key, an empty text for a local one."""
    from urllib.parse import urlsplit

    from seke.vision.client import LOCAL

    where = urlsplit(endpoint.where)
    if where.hostname in LOCAL:
        return ""
    way = " (unencrypted)" if where.scheme == "http" else ""
    return f"{endpoint.where}{way}, with the key in {endpoint.key_from}"


def account_line(totals: Totals) -> str:
    """Return a line with requests, answers, tokens and cost."""
    counts = [f"{totals.answers:,} answers{scripted_text(totals)} in {totals.requests:,} requests"]
    for count, what in (
        (totals.failed, "failed"),
        (totals.unknown, "unknown"),
        (totals.refused, "refused"),
        (totals.unreadable, "unreadable"),
        (totals.not_judged, "not judged"),
    ):
        if count:
            counts.append(f"{count:,} {what}")
    cached = f" ({totals.cached_tokens:,} cached)" if totals.cached_tokens else ""
    tokens = f"{totals.prompt_tokens:,}{cached} + {totals.answer_tokens:,} tokens"
    if totals.reasoning_tokens:
        tokens += f" ({totals.reasoning_tokens:,} of reasoning)"
    alike = f"; {totals.reusable:.0%} of the texts began as earlier ones" if totals.reusable else ""
    return f"{', '.join(counts)}; {tokens}{alike}{_cost_in_words(totals)}"


def scripted_text(totals: Totals) -> str:
    """Return in brackets how many answers are made up; no text where none is."""
    if not totals.scripted:
        return ""
    return f" ({'all' if totals.scripted == totals.answers else f'{totals.scripted:,}'} made up)"


def _cost_in_words(totals: Totals) -> str:
    """Return the cost after a semicolon; nothing where nothing is known of any."""
    known = totals.spent or totals.perhaps
    if not known and totals.unpriced:
        return "; no prices known"
    if not known and totals.answers <= totals.refused:
        return ""
    perhaps = f", perhaps {totals.perhaps:.4f} more" if totals.perhaps else ""
    unpriced = f", {totals.unpriced:,} requests unpriced" if totals.unpriced else ""
    return f"; {totals.spent:.4f} USD{perhaps}{unpriced}"
