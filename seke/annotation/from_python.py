"""`seke annotate` as a function."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seke.annotation.job import Job
from seke.annotation.observing import free_observers
from seke.annotation.several import FurtherModel, SeveralModels
from seke.console.notebook import item_bar
from seke.vision.messages import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seke.annotation.run_summary import RunSummary
    from seke.vision.messages import Model
    from seke.vision.prices import Prices

# Of the first model's server, unless said otherwise.
KEY_VARIABLE = "OPENAI_API_KEY"


def annotate(
    images: str | Path | Sequence[str | Path],
    folder: str | Path,
    model: str | Model,
    *,
    settings: Settings | None = None,
    base_url: str | Sequence[str] | None = None,
    prices: Prices | None = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    retry_refused: bool = False,
    forget_unanswered: bool = False,
    branch_of: str | Path | None = None,
    also: Mapping[str, str | Model] | None = None,
    observed_by: Sequence[str] = (),
    networks: Sequence[str | Path] = (),
    **given: Any,
) -> RunSummary:
    """Annotate pictures as `seke annotate` does; the results are files in a folder.

    The pictures are sent without asking: see that their terms allow it. An interrupt ends the run once the
    open requests are answered, a second one at once; what came is kept, and the same call goes on. In a
    notebook a bar shows how many items are settled, unless `progress` is given.

    Args:
        images: pictures, folders, patterns and manifests.
        folder: of the run; the same one goes on.
        model: its name at an OpenAI-compatible endpoint, or whoever answers (`seke.vision.messages.Model`).
        settings: how it is asked; the usual ones by default.
        base_url: of the endpoint (its key is in OPENAI_API_KEY), or of several; the client's own by default.
        prices: of the endpoint's tokens (`seke.vision.prices.Prices`); `max_cost` needs them.
        concurrency: requests on their way at once, at each endpoint.
        rpm: requests a minute at most, at each endpoint.
        tpm: tokens a minute at most, at each endpoint.
        retry_refused: ask again what was refused or not judged.
        forget_unanswered: count earlier requests without an answer as not paid.
        branch_of: the folder of another run, whose answers to the same prompts about the same pictures are
            used.
        also: further observers of the base that may be asked -> who answers as each: MODEL at the endpoint,
            MODEL@BASE_URL, or a model. The key of an address of its own is in `SEKE_KEY_` and the observer's
            name. Names have no prices; `max_cost` needs endpoints with prices.
        observed_by: networks on this machine that look first, at no cost: `face-landmarker`, `fer`.
        networks: files of these in place of those that packages ship.
        given: knowledge, labels, answers (of people for whom items wait), labels_final, population, observer,
            strategy, max_samples, max_cost, shard, problems, progress, declared_prices; see `Job.of`.

    Raises:
        engine.KnowledgeError, engine.SekeError: bad input; nothing was sent.
    """
    model_settings = settings or Settings(_name_of(model))
    options, addresses = {"concurrency": concurrency, "rpm": rpm, "tpm": tpm}, _addresses(base_url)
    model, further = _models(model, also or {}, model_settings, prices, addresses, options)
    given |= {"concurrency": concurrency * max(len(addresses), 1), "prices": prices, "also": further}
    images = [images] if isinstance(images, str | Path) else images
    origin = None if branch_of is None else Path(branch_of)
    with free_observers(given.get("knowledge"), observed_by, networks) as free:
        job = Job.of(images, Path(folder), model, model_settings, **(given | free))
        with settled_items_shown(job, "progress" in given):
            return job.run(retry_refused=retry_refused, forget_unanswered=forget_unanswered, branch_of=origin)


def _addresses(base_url: str | Sequence[str] | None) -> tuple[str, ...]:
    return (base_url,) if isinstance(base_url, str) else tuple(base_url or ())


@contextmanager
def settled_items_shown(job: Job, is_shown: bool) -> Iterator[None]:
    """Show in a notebook how many items of a run are settled, unless somebody shows that already."""
    with item_bar("annotating", len(job.items), False if is_shown else None) as advance:
        if not is_shown:
            job.annotator.progress = lambda settled, _answers, _spent: advance(settled)
        yield


def _models(
    model: str | Model,
    also: Mapping[str, str | Model],
    settings: Settings,
    prices: Prices | None,
    addresses: Sequence[str],
    options: Mapping[str, Any],
) -> tuple[Model, dict[str, str]]:
    """Return who answers for all observers, and further observer -> the name of the model behind it."""
    from seke.vision.client import Endpoint
    from seke.vision.model_servers import servers_of

    endpoint = partial(Endpoint, settings, prices=prices)
    first = servers_of(endpoint, addresses, **options) if isinstance(model, str) else model
    options = {**options, "base_urls": addresses}
    further = {name: _further_model(name, answerer, settings, options) for name, answerer in also.items()}
    names = {observer: _name_of(answerer) for observer, answerer in further.items()}
    return (SeveralModels(first, further) if further else first), names


def _further_model(
    observer: str, answerer: str | Model, settings: Settings, options: Mapping[str, Any]
) -> Model:
    if not isinstance(answerer, str):
        return answerer
    return FurtherModel.of(observer, answerer).client(settings, key_from=KEY_VARIABLE, **options)


def _name_of(model: str | Model) -> str:
    """Return the name of a model: as its server calls it, else of what it is made of."""
    if isinstance(model, str):
        return model
    settings = getattr(model, "settings", None)
    return settings.model if isinstance(settings, Settings) else type(model).__name__
