"""The address of a server as it was given -> what its client takes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the client adds to an address itself, and people copy along with it.
METHODS = ("/chat/completions", "/completions")
# The parameter by which Azure's addresses are known; its servers take a key in a header of their own.
VERSION, KEY_HEADER = "api-version", "api-key"


@dataclass(frozen=True)
class ServerAddress:
    """An address, and the parameters of each request to it. note: in words what was left out of it."""

    base_url: str | None = None
    query: Mapping[str, str] | None = None
    note: str = ""

    @classmethod
    def of(cls, text: str | None) -> ServerAddress:
        """Read an address; None is that of the client."""
        if text is None:
            return cls()
        parts = urlsplit(text.strip())
        path, note = parts.path.rstrip("/"), ""
        method = next((method for method in METHODS if path.endswith(method)), "")
        if method:
            path = path.removesuffix(method)
            note = f"--base-url: {method} is added by the program, so it is left out of the address"
        address = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        return cls(address, dict(parse_qsl(parts.query, keep_blank_values=True)) or None, note)

    @property
    def verification(self) -> ssl.SSLContext | bool:
        """How the HTTP client verifies the server: as usual, but with no certificates where none is asked.

        To read them takes longer than all else of a start; without any a secure connection would be refused.
        """
        plain = urlsplit(self.base_url or "").scheme == "http"
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True

    def headers(self, key: str) -> dict[str, str]:
        """Return the headers of each request beside the usual ones."""
        return {KEY_HEADER: key} if key and self.query and VERSION in self.query else {}
