"""Several models in one run: each call goes to the model that answers as the observer it asks.

OBSERVER=MODEL[@BASE_URL] --FurtherModel.parse--> FurtherModel --endpoint--> Endpoint --+
                                                  the first model ----------------------+--> SeveralModels
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine import SekeError
from seke.vision.errors import AccountError, FatalError, ObserverLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from seke.runs.ledger import Ledger
    from seke.vision.client import Endpoint
    from seke.vision.messages import Call, Choice, Journal, Model, Settings
    from seke.vision.model_servers import ModelServers

FORM = "OBSERVER=MODEL, or OBSERVER=MODEL@BASE_URL (such as llava=llava-1.6-34b@http://localhost:8000/v1)"
# What may stand for a model and the address of its server. Names of models have colons, slashes and @, too.
WITH_ADDRESS = re.compile(r"(?P<model>.+?)@(?P<address>https?://.+)", re.DOTALL)
IN_BATCHES = "a batch has only one model; ask several models (--also) without --batch"
# Begins the name of the environment variable that holds the key of an observer's server.
KEY_PREFIX = "SEKE_KEY_"


@dataclass(frozen=True)
class FurtherModel:
    """A model that may be asked beside the first.

    observer: as whom it answers. model: as its server calls it. base_url: of its server; None where it is the
    first model's.
    """

    observer: str
    model: str
    base_url: str | None = None

    @classmethod
    def parse(cls, text: str) -> FurtherModel:
        """Read OBSERVER=MODEL[@BASE_URL].

        Raises:
            engine.SekeError: another form.
        """
        observer, _, model_text = (part.strip() for part in text.partition("="))
        if not observer or not model_text:
            raise SekeError(f"--also {text}: is not of the form {FORM}")
        return cls.of(observer, model_text)

    @classmethod
    def of(cls, observer: str, text: str) -> FurtherModel:
        """Read MODEL[@BASE_URL], of an observer.

        Raises:
            engine.SekeError: an address that is none.
        """
        match = WITH_ADDRESS.fullmatch(text)
        if match is not None:
            address = match["address"]
            if not _host(address):
                raise SekeError(f"--also {observer}: {address} names no server; the form is {FORM}")
            return cls(observer, match["model"], address)
        model, at, address = text.rpartition("@")
        if at and (not model or "/" in address or ":" in address):
            raise SekeError(
                f"--also {observer}: {address or text} is no address; one begins with http:// or https://"
            )
        return cls(observer, text)

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the key of its server."""
        return KEY_PREFIX + re.sub(r"[^A-Z0-9]", "_", self.observer.upper())

    def client(
        self, settings: Settings, *, base_urls: Sequence[str], key_from: str, **options: Any
    ) -> Endpoint | ModelServers:
        """Return the client of its server, or of all of the first model's.

        settings, base_urls, key_from: of the first model, whose key goes to no other server. options: those
        of `Endpoint`.

        Raises:
            FatalError: no key.
        """
        from seke.vision.client import Endpoint
        from seke.vision.model_servers import servers_of

        has_key = bool(os.environ.get(self.key_variable, "").strip())
        firsts = base_urls or (None,)
        is_first = self.base_url is None or any(_same_server(self.base_url, address) for address in firsts)
        variable = self.key_variable if has_key or not is_first else key_from
        addresses = base_urls if self.base_url is None else (self.base_url,)
        endpoint = partial(Endpoint, replace(settings, model=self.model))
        return servers_of(endpoint, addresses, key_from=variable, **options)


def further_models(texts: Iterable[str]) -> tuple[FurtherModel, ...]:
    """Read what was given as --also.

    Raises:
        engine.SekeError: another form; an observer twice.
    """
    models: dict[str, FurtherModel] = {}
    for text in texts:
        further = FurtherModel.parse(text)
        if further.observer in models:
            earlier = models[further.observer].model
            raise SekeError(
                f"--also {text}: {further.observer} stands for {earlier} already; allowed is one model each"
            )
        models[further.observer] = further
    return tuple(models.values())


class SeveralModels:
    """Sends each call to the model of its observer; an async context manager.

    first: answers as every observer that `further` does not name. A fault of the first ends the run, a fault
    of another one is the end of that one alone. lost: observer -> why it cannot be asked any more.
    """

    def __init__(self, first: Model, further: Mapping[str, Model]) -> None:
        self.first, self.further = first, dict(further)
        self.lost: dict[str, str] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> SeveralModels:
        # One model may answer as several observers.
        models: dict[int, Any] = {id(model): model for model in (self.first, *self.further.values())}
        for model in models.values():
            if hasattr(model, "__aenter__"):
                await self._stack.enter_async_context(model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """Check that every model answers, where it has a check.

        Raises:
            FatalError: the first one is not; of another one it is noted in `lost`.
        """
        await _check(self.first)
        names = list(self.further)
        checks = (_check(model) for model in self.further.values())
        for name, fault in zip(names, await asyncio.gather(*checks, return_exceptions=True), strict=True):
            if isinstance(fault, FatalError):
                self.lost[name] = str(fault)
            elif isinstance(fault, BaseException):
                raise fault

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `messages.Model`.

        Raises:
            seke.vision.errors.ObserverLostError: the observer of this call cannot be asked any more.
        """
        observer = call.request.observer
        if observer not in self.further:
            return await self.first.ask(call, journal)
        if observer in self.lost:
            raise ObserverLostError(self.lost[observer])
        try:
            return await self.further[observer].ask(call, journal)
        except AccountError:
            raise
        except FatalError as error:
            self.lost.setdefault(observer, str(error))
            raise ObserverLostError(str(error)) from None


def addresses_of(first: str, model: Model) -> dict[str, str]:
    """Return observer -> its server's address, without credentials, where there is one.

    first: the observer that the first model answers as.
    """
    models = {first: model.first, **model.further} if isinstance(model, SeveralModels) else {first: model}
    return {
        name: address for name, answerer in models.items() if (address := getattr(answerer, "where", None))
    }


def models_of(model: Model) -> list[Model]:
    """Return the models that are asked, of one model itself alone."""
    return [model.first, *model.further.values()] if isinstance(model, SeveralModels) else [model]


def endpoints_of(model: Model) -> list[Endpoint]:
    """Return the clients of servers among the models that are asked."""
    from seke.vision.client import Endpoint

    clients = (
        client for one_model in models_of(model) for client in getattr(one_model, "endpoints", (one_model,))
    )
    return [client for client in clients if isinstance(client, Endpoint)]


def tell_of_servers(model: Model, problems: Callable[[str], None]) -> None:
    """Have it said what becomes of the servers of models that have several."""
    from seke.vision.model_servers import ModelServers

    for answering in models_of(model):
        if isinstance(answering, ModelServers):
            answering.tell = problems


def address_notes(model: Model) -> list[str]:
    """Return in words what was left out of the addresses of servers, each once."""
    return list(dict.fromkeys(client.note for client in endpoints_of(model) if client.note))


def note_answered(model: Model, ledger: Ledger) -> None:
    """Let the clients of servers know whether their models ever answered in this run."""
    further = model.further if isinstance(model, SeveralModels) else {}
    first = model.first if isinstance(model, SeveralModels) else model
    for observer, count in ledger.answers_by().items():
        for client in endpoints_of(further.get(observer, first)):
            client.failures.answered |= count > 0


def check_several(model: Model, also: Iterable[str], max_cost: float | None) -> None:
    """See that further observers can be asked of this model, within what may be spent.

    Raises:
        engine.SekeError: it asks in batches; no price is known of what one of them answers.
    """
    from seke.runs.batch_client import Batches

    further = model.further if isinstance(model, SeveralModels) else {}
    if any(also) and any(isinstance(client, Batches) for client in models_of(model)):
        raise SekeError(IN_BATCHES)
    unpriced = [name for name, client in further.items() if getattr(client, "prices", model) is None]
    if max_cost is not None and unpriced:
        raise SekeError(
            "--max-cost needs the prices of every model, by a list (--prices); none are known of "
            f"{', '.join(unpriced)}"
        )


async def _check(model: Model) -> None:
    if hasattr(model, "check"):
        await model.check()


def _host(address: str) -> str | None:
    """Return the name of the machine in an address; None where there is none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _same_server(address: str | None, other_address: str | None) -> bool:
    """Say whether two addresses are of one server; None is that of the client."""
    if address is None or other_address is None:
        return address == other_address
    places = [urlsplit(text) for text in (address, other_address)]
    return len({(place.scheme, place.hostname, place.port) for place in places}) == 1
