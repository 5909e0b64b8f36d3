"""What a server supports: structured output, several choices, the name of its token limit.

Parameters that a server refuses are omitted or renamed; its refusals and answers show which.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seke.vision.messages import NO_PICTURE

if TYPE_CHECKING:
    from collections.abc import Collection

    from seke.vision.messages import Call, Settings

# How an answer's form is asked for: its schema with bounds, which keep servers that generate by it from
# endless lists; without them, for servers that take a part of JSON Schema; any object; nothing.
FORMATS = ("bounded", "json_schema", "json_object", "")
BOUNDS = ("minItems", "maxItems", "minimum", "maximum")
LIMITS = ("max_tokens", "max_completion_tokens")
FORMAL = ("response_format", "json_schema", "schema")
# How a server names a bound that it does not take: as a word of JSON Schema, not as a maximum of anything.
BOUND = re.compile(r"""\b(min|max)items\b|['"`](minimum|maximum)['"`]|\binvalid schema\b""")
# How servers refuse a message of the system, as issues of vLLM, llama.cpp and OpenAI's clients quote them:
# "System role not supported", "roles must alternate user/assistant", "got system",
# "'messages[0].role' does not support 'system'".
SYSTEM = re.compile(
    r"""\bsystem (role|prompt|message)s?\b|['"`]system['"`]|\bgot system\b|\broles must alternate\b"""
    r"""|\bdeveloper instruction\b|messages\[0\]\.role"""
)
# How servers name the number of choices in a refusal: 'n', n > 1, "one completion choice", "candidates".
SEVERAL = re.compile(r"""['"`]n['"`]|\bn\b *(=|>|must|should|is)|\bchoices?\b|\bcandidates?\b""")
# Parameters that may be left out where they are at what a server takes without them.
USUAL = {"temperature": 1.0, "top_p": 1.0, "detail": "auto"}
# How servers say of a parameter, with or without quotes, that they do not take it.
NOT_TAKEN = re.compile(
    r"unsupported|not (currently )?support|unknown|unrecogni[sz]ed|unexpected|not (permitted|allowed)"
    r"|forbidden|no such|not a valid|extra inputs|additional propert"
)


@dataclass(frozen=True)
class Dialect:
    """form, limit: places in FORMATS and LIMITS, which a server goes through from the first.

    several: whether several choices are asked for in one request. omitted: parameters that are left out.
    system: whether messages of the system are sent.
    """

    form: int = 0
    limit: int = 0
    several: bool = True
    omitted: frozenset[str] = frozenset()
    system: bool = True

    def adapt(
        self, message: str, samples: int, settings: Settings, free: Collection[str] = ()
    ) -> Dialect | None:
        """Return the dialect to try next after a request for `samples` answers was refused for its form.

        free: parameters that may be what the server likes. None where the message names no parameter, or
        where the new request would ask for something else.
        """
        text = message.lower()
        steps: tuple[tuple[Any, dict[str, Any]], ...] = (
            (LIMITS[1] in text and self.limit == 0, {"limit": 1}),
            (self.system and settings.system and SYSTEM.search(text), {"system": False}),
            (self.form == 0 and BOUND.search(text), {"form": 1}),
        )
        for is_meant, step in steps:
            if is_meant:
                return replace(self, **step)
        if any(word in text for word in FORMAL) and self.form + 1 < len(FORMATS):
            return self.simpler()
        for name in ("seed", *USUAL):
            # A seed makes an answer repeatable where it can be.
            usual = name in free or name == "seed" or getattr(settings, name) == USUAL[name]
            if usual and name not in self.omitted and name not in settings.extra and names(text, name):
                return replace(self, omitted=self.omitted | {name})
        if samples > 1 and SEVERAL.search(text):
            return replace(self, several=False)
        return None

    def simpler(self) -> Dialect:
        """Return the dialect that asks for the form in a simpler way, which is not for the bounds' sake."""
        return replace(self, form=max(self.form + 1, FORMATS.index("json_object")))

    def combine(self, dialect: Dialect) -> Dialect:
        """Return the dialect of a server that showed the limits of both."""
        form, limit = max(self.form, dialect.form), max(self.limit, dialect.limit)
        return Dialect(
            form,
            limit,
            self.several and dialect.several,
            self.omitted | dialect.omitted,
            self.system and dialect.system,
        )

    def messages(self, call: Call, settings: Settings) -> list[dict[str, Any]]:
        """Return what is told and shown; what all requests share comes first, so that a server keeps it."""
        picture, system = call.picture, call.prompt.system
        apart = bool(system) and settings.system and self.system
        if picture == NO_PICTURE:
            text = call.prompt.text if apart or not system else f"{system}\n\n{call.prompt.text}"
            plain = [{"role": "user", "content": text}]
            return [{"role": "system", "content": system}, *plain] if apart else plain
        data = base64.b64encode(picture.data).decode("ascii")
        url = {"url": f"data:{picture.media_type};base64,{data}"}
        url |= {} if "detail" in self.omitted else {"detail": picture.detail or settings.detail}
        content = [{"type": "image_url", "image_url": url}, _text(call.prompt.text)]
        if settings.picture == "last":
            content.reverse()
        if system and not apart:
            content.insert(0, _text(system))
        user = {"role": "user", "content": content}
        return [{"role": "system", "content": system}, user] if apart else [user]

    def body(self, call: Call, samples: int, settings: Settings, seed: int) -> dict[str, Any]:
        """Return the request body that asks for `samples` answers."""
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": self.messages(call, settings),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed,
            LIMITS[self.limit]: settings.max_tokens,
        }
        if samples > 1:
            body["n"] = samples
        kind = FORMATS[self.form]
        if kind in ("bounded", "json_schema"):
            whole = call.prompt.schema
            schema = whole if kind == "bounded" else without_bounds(whole)
            named = {"name": "answer", "strict": True, "schema": dict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        elif kind:
            body["response_format"] = {"type": kind}
        return {name: value for name, value in body.items() if name not in self.omitted} | dict(
            settings.extra
        )


def names(text: str, parameter: str) -> bool:
    """Whether a message in small letters names a parameter: in quotes, or as what is not taken."""
    if re.search(rf"['\"`.]{parameter}\b", text):
        return True
    # As a word it means other things, too.
    return parameter != "detail" and bool(NOT_TAKEN.search(text) and re.search(rf"\b{parameter}\b", text))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def without_bounds(schema: Any) -> Any:
    """Return a JSON Schema without bounds of numbers and lengths."""
    if isinstance(schema, Mapping):
        return {key: without_bounds(part) for key, part in schema.items() if key not in BOUNDS}
    return [without_bounds(part) for part in schema] if isinstance(schema, list) else schema
