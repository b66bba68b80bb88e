"""Real servers that keep what they are sent: one for webhooks, one for mail."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Received:
    """Where a server listens, what it answers, and what came."""

    port: int = 0
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@contextmanager
def webhook_server(status: int = 200) -> Iterator[Received]:
    received = Received(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.bodies.append(json.loads(body))
            received.headers.append(dict(self.headers))
            received.paths.append(self.path)
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to the terminal."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from _serving(server, received)


@contextmanager
def mail_server(host: str = "127.0.0.1") -> Iterator[Received]:
    """A server that takes passwords and offers no TLS."""
    received = Received()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            for line in self.rfile:
                self._answer(line.decode().strip())

        def _answer(self, command: str) -> None:
            word = command.upper()
            if word.startswith("RCPT"):
                received.recipients.append(command)
            if word.startswith("AUTH"):
                received.logins.append(command)
                return self._say("235 fine")
            if word.startswith("EHLO"):
                return self._say("250-mail\r\n250 AUTH PLAIN")
            if word.startswith("DATA"):
                self._say("354 go on")
                received.mails.append(self._text())
            self._say("221 bye" if word.startswith("QUIT") else "250 fine")

        def _text(self) -> str:
            lines = []
            for line in self.rfile:
                if line == b".\r\n":
                    break
                lines.append(line.decode())
            return "".join(lines)

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.TCPServer((host, 0), Handler) as server:
        yield from _serving(server, received)


def _serving(server: socketserver.TCPServer, received: Received) -> Iterator[Received]:
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
