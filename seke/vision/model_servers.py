"""One model behind several servers: each call goes to the server that should answer it soonest.

    expected wait = (calls that are open there + 1) x mean seconds of an answer there

so that a server twice as fast gets twice as many, and a slow one is never waited for while another is free.
A server that does not answer is set aside, its call goes to another one, and it is tried again later. Whoever
keeps account sees requests, not servers: nothing that is answered is asked again elsewhere.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seke.vision.errors import AccountError, FatalError, SilentServerError, UnansweredError
from seke.vision.messages import Choice, consecutive_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from seke.vision.client import Endpoint
    from seke.vision.messages import Call, Failure, Journal, Reply
    from seke.vision.prices import Prices

# Attempts of a request at one server, before another one is asked.
ATTEMPTS = 2
# Of the last answer in the mean seconds: as if about the last twenty counted.
WEIGHT = 0.1
# Seconds for which a server is set aside: each time twice as long, and no longer than the longest.
FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
# Seconds between two looks at servers that are all set aside.
LOOK_SECONDS = 0.1
# Times in a row that every server was set aside, after which the run ends: some 75 seconds.
MOST_STRIKES = 5


@dataclass
class _Server:
    """A server and what is known of it. seconds: mean time of an answer, None before the first.

    strikes: times that it was set aside since its last answer. back_at: when it is tried again; 0 while it is
    used, infinite while it is tried.
    """

    endpoint: Endpoint
    calls: int = 0
    seconds: float | None = None
    strikes: int = 0
    back_at: float = 0.0
    reason: str = ""

    def note_answer(self, seconds: float) -> None:
        """Take the time of an answer into the mean."""
        self.seconds = seconds if self.seconds is None else self.seconds + WEIGHT * (seconds - self.seconds)
        self.strikes = 0

    def note_loss(self, seconds: float) -> None:
        """Take the time of a call that brought nothing for an answer's, where it was longer."""
        self.seconds = max(self.seconds or 0.0, seconds)


class _NotedChoices:
    """A journal that remembers what came in answer to one call, whatever else went wrong with it."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.by_draw = journal, dict[int, Choice]()

    async def sent(self, call: Call, draws: tuple[int, ...], worst_price: float | None) -> int:
        """See `messages.Journal`."""
        return await self.journal.sent(call, draws, worst_price)

    async def answered(self, number: int, reply: Reply) -> None:
        """See `messages.Journal`."""
        await self.journal.answered(number, reply)
        self.by_draw |= {choice.draw: choice for choice in reply.choices}

    async def failed(self, number: int, failure: Failure) -> None:
        """See `messages.Journal`."""
        await self.journal.failed(number, failure)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What came, in the order of the draws."""
        return tuple(self.by_draw[draw] for draw in sorted(self.by_draw))


class ModelServers:
    """Asks a model at several servers; an async context manager, as `Endpoint` is.

    concurrency: calls that are open at once at each server. tell: is called with what becomes of servers.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        concurrency: int = 16,
        tell: Callable[[str], None] = lambda _: None,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        """first_wait: seconds for which a server is set aside the first time."""
        self.endpoints, self.concurrency, self.tell = tuple(endpoints), concurrency, tell
        self.first_wait = first_wait
        self._servers = [_Server(endpoint) for endpoint in endpoints]
        self._room = asyncio.Semaphore(concurrency * len(self._servers))
        self._stack = AsyncExitStack()
        self._checks: list[asyncio.Task[None]] = []

    @property
    def where(self) -> str:
        """The addresses that pictures are sent to."""
        return " and ".join(endpoint.where for endpoint in self.endpoints)

    @property
    def prices(self) -> Prices | None:
        """The prices of the model's tokens."""
        return self.endpoints[0].prices

    async def __aenter__(self) -> ModelServers:
        for endpoint in self.endpoints:
            await self._stack.enter_async_context(endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._checks:
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        await self._stack.aclose()

    async def check(self) -> None:
        """Check that a server answers; others are set aside.

        Raises:
            FatalError: none does.
        """
        await asyncio.gather(*map(self._check, self._servers))
        if all(server.strikes for server in self._servers):
            raise self._nobody()

    async def ask(self, call: Call, journal: Journal) -> tuple[Choice, ...]:
        """Return the answers to a call; see `messages.Model`."""
        request, noted = call.request, _NotedChoices(journal)
        draws = range(request.first, request.first + request.samples)
        async with self._room:
            while missing := [draw for draw in draws if draw not in noted.by_draw]:
                first, samples = consecutive_runs(missing)[0]
                part = replace(call, request=replace(request, first=first, samples=samples))
                try:
                    await self._ask_soonest(part, noted)
                except UnansweredError as error:
                    raise type(error)(error.reason, noted.choices) from None
        return noted.choices

    async def _ask_soonest(self, call: Call, journal: Journal) -> None:
        """Ask the server that should answer soonest; set it aside where it does not answer."""
        server = await self._soonest()
        server.calls += 1
        started = time.monotonic()
        try:
            await server.endpoint.ask(call, journal)
        except AccountError:
            raise
        except (FatalError, SilentServerError) as error:
            # Calls that were on their way together fail together.
            if server.back_at == 0:
                self._set_aside(server, error)
        except UnansweredError:
            server.note_loss(time.monotonic() - started)
            raise
        else:
            if server.strikes:
                self.tell(f"{server.endpoint.where}: answers again")
            server.note_answer(time.monotonic() - started)
        finally:
            server.calls -= 1

    async def _soonest(self) -> _Server:
        """Return the server that should answer soonest, as soon as there is one.

        Raises:
            FatalError: there was none for too long.
        """
        while True:
            now = time.monotonic()
            for server in self._servers:
                if 0 < server.back_at <= now:
                    server.back_at = math.inf
                    self._checks.append(asyncio.create_task(self._try_again(server)))
            usable = [server for server in self._servers if server.back_at == 0]
            free = [server for server in usable if server.calls < self.concurrency]
            if usable:
                # One that has not answered yet is taken to be as fast as any.
                fastest = min((server.seconds for server in usable if server.seconds), default=1.0)
                waits = [(server.calls + 1) * (server.seconds or fastest) for server in free or usable]
                return (free or usable)[waits.index(min(waits))]
            if all(server.strikes >= MOST_STRIKES for server in self._servers):
                raise self._nobody()
            await asyncio.sleep(LOOK_SECONDS)

    async def _try_again(self, server: _Server) -> None:
        """Check a server whose time aside is over, and use it again where it answers."""
        server.endpoint.revive()
        try:
            await server.endpoint.check()
        except FatalError as error:
            self._set_aside(server, error)
        else:
            server.back_at = 0.0

    async def _check(self, server: _Server) -> None:
        """Check a server, and set it aside where it does not answer."""
        try:
            await server.endpoint.check()
        except FatalError as error:
            self._set_aside(server, error)

    def _set_aside(self, server: _Server, error: FatalError | SilentServerError) -> None:
        """Ask a server nothing for a while."""
        server.strikes += 1
        wait = min(self.first_wait * 2 ** (server.strikes - 1), LONGEST_WAIT)
        server.back_at = time.monotonic() + wait
        where, reason = server.endpoint.where, str(error)
        server.reason = reason if reason.startswith(where) else f"{where}: {reason}"
        if server.strikes == 1:
            self.tell(f"{server.reason}; it is set aside, and tried again from time to time")

    def _nobody(self) -> FatalError:
        """Return the error where no server answers."""
        reasons = "; ".join(server.reason for server in self._servers)
        return FatalError(f"none of {len(self._servers)} servers can be asked: {reasons}")


def servers_of(
    endpoint: Callable[..., Endpoint], addresses: Sequence[str], **options: Any
) -> Endpoint | ModelServers:
    """Return the client of a model at these addresses; none is that of the client library.

    endpoint: makes the client of one of them. options: its further arguments; `concurrency` is that of each.

    Raises:
        FatalError: no key; an address twice.
    """
    places = [address.strip().rstrip("/") for address in addresses]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise FatalError(f"--base-url {twice}: is named twice; name each server once")
    attempts = {"attempts": ATTEMPTS} if len(addresses) > 1 else {}
    clients = [endpoint(base_url=address, **options, **attempts) for address in addresses or (None,)]
    return ModelServers(clients, options["concurrency"]) if len(clients) > 1 else clients[0]
