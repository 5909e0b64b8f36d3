"""A page served on this machine alone, at an address that no other page of the browser can guess."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from engine import SekeError

LOOPBACK = "127.0.0.1"
# Bytes of chance in the address, so that no other page of the browser can guess it.
TOKEN_BYTES = 16


class LoopbackServer(ThreadingHTTPServer):
    """Serves on loopback. token: part of its address.

    Raises:
        SekeError: a port that cannot be used.
    """

    daemon_threads = True

    def __init__(self, port: int, handler: type[LoopbackHandler]) -> None:
        """port: 0 for any free one."""
        try:
            super().__init__((LOOPBACK, port), handler)
        except OSError as error:
            raise SekeError(
                f"port {port} of {LOOPBACK} cannot be used ({error.strerror}); name another one"
            ) from None
        self.token = secrets.token_urlsafe(TOKEN_BYTES)

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers requests whose path begins with the token and whose host is this one."""

    server: LoopbackServer

    def asked_for(self) -> str | None:
        """Return what of the server is asked for, "" for its page; None where the request was refused.

        Refused is a request for another host (a name that was made to lead here), or without the token.
        """
        hosts = (f"{LOOPBACK}:{self.server.server_port}", f"localhost:{self.server.server_port}")
        token, slash, name = urlsplit(self.path).path.removeprefix("/").partition("/")
        has_token = secrets.compare_digest(token.encode(), self.server.token.encode())
        if self.headers.get("Host") in hosts and slash and has_token:
            return name
        self.send(HTTPStatus.FORBIDDEN, "text/plain", b"this address is not known")
        return None

    def send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """Send a body that no browser keeps or takes for anything else."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the address has the token in it."""
