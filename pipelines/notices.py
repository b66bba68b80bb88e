"""Notices of a failure and of a request that awaits people, as the environment says.

``EQUIPOISE_ALERT_WEBHOOK``    an http(s) URL that takes a JSON POST
``EQUIPOISE_ALERT_MAIL_TO``    addresses, separated by commas
``EQUIPOISE_ALERT_MAIL_FROM``  default ``equipoise@localhost``
``EQUIPOISE_ALERT_SMTP``       ``smtp://[user:password@]host[:port]`` or ``smtps://…``;
                               default ``smtp://localhost:25``; STARTTLS where it is offered;
                               a password goes to another host under TLS alone

The webhook and the mail server may hold a secret: ``EQUIPOISE_ALERT_WEBHOOK_FILE`` and
``EQUIPOISE_ALERT_SMTP_FILE`` name files of their owner alone that hold them.
"""

import json
import logging
import os
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.json_lines import append_line, read_lines
from pipelines.settings import settings

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
OTHERS = 0o077
DEFAULT_SENDER, DEFAULT_SERVER = "equipoise@localhost", "smtp://localhost:25"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Notice:
    """What failed, where; no value of a record and no word of an exception."""

    dag: str
    task: str
    run: str
    attempt: int
    error: str
    exit_code: int
    at: str


@dataclass(frozen=True)
class Asked:
    """People are asked about a release: which study, which request, until when; no number."""

    study: str
    request: str
    until: str
    at: str


class NotDelivered(Exception):
    """A server was reached and would not take the notice."""


def send(notice: Notice | Asked) -> list[str]:
    """Send a notice by every way that is configured; a way that fails never stops another.

    A notice that somebody took is kept in the journal's folder.

    Returns:
        The ways that took it: ``webhook``, ``mail``.
    """
    wanted: dict[str, tuple[str | None, Callable[[str, Notice | Asked], None]]] = {
        "webhook": (_named("EQUIPOISE_ALERT_WEBHOOK"), post),
        "mail": (os.environ.get("EQUIPOISE_ALERT_MAIL_TO", ""), mail),
    }
    taken = [
        way
        for way, (target, deliver) in wanted.items()
        if target and _delivered(way, deliver, target, notice)
    ]
    if taken:
        append_line(_record(), asdict(notice) | {"taken_by": taken})
    return taken


def was_told(dag: str, run: str) -> bool:
    """Whether anybody took a notice of this run."""
    return any((line.get("dag"), line.get("run")) == (dag, run) for line in read_lines(_record()))


def _named(variable: str) -> str | None:
    """What a variable holds, or the file that ``…_FILE`` names; empty where neither is set.

    None where the file is not to be used. A device, as /dev/null, stands for no file.
    """
    file = Path(os.environ.get(f"{variable}_FILE") or os.devnull)
    if value := os.environ.get(variable):
        return value
    try:
        # In a folder that is closed to us this raises, as reading does.
        if file.is_char_device():
            return ""
        if not file.stat().st_mode & OTHERS:
            return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        pass
    log.error("the file of %s_FILE cannot be read, or not by its owner alone", variable)
    return None


def _record() -> Path:
    return settings().journal_dir / "notices.jsonl"


def post(url: str, notice: Notice | Asked) -> None:
    """POST a notice as JSON.

    Raises:
        NotDelivered: the URL is not http(s), or the server did not answer with 2xx.
        OSError: no connection.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotDelivered("not an http(s) URL")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        headers = {"Content-Type": "application/json", "User-Agent": "equipoise"}
        connection.request("POST", path, json.dumps(asdict(notice)).encode(), headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotDelivered(f"the server answered {status}")


def mail(addresses: str, notice: Notice | Asked) -> None:
    """Mail a notice to addresses separated by commas.

    Raises:
        NotDelivered: ``EQUIPOISE_ALERT_SMTP`` is not an smtp(s) URL, or its file is not to be
            used, or it holds a password and another host offers no TLS.
        OSError: no connection, or the server refused (``smtplib.SMTPException``).
    """
    chosen = _named("EQUIPOISE_ALERT_SMTP")
    # Of a file that is not to be used the default is not what was meant.
    parts = urlsplit("" if chosen is None else chosen or DEFAULT_SERVER)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise NotDelivered("EQUIPOISE_ALERT_SMTP is not an smtp(s) URL")
    kind = smtplib.SMTP_SSL if parts.scheme == "smtps" else smtplib.SMTP
    with kind(parts.hostname, parts.port or 0, timeout=TIMEOUT_SECONDS) as server:
        server.ehlo()
        encrypted = parts.scheme == "smtps"
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            encrypted = True
        if parts.username:
            if not encrypted and parts.hostname not in LOCAL_HOSTS:
                log.error("the mail server offers no TLS: it is sent no password and no mail")
                raise NotDelivered("no TLS")
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(_message(addresses, notice))


def _message(addresses: str, notice: Notice | Asked) -> EmailMessage:
    message = EmailMessage()
    message["To"] = addresses
    message["From"] = os.environ.get("EQUIPOISE_ALERT_MAIL_FROM") or DEFAULT_SENDER
    message["Subject"] = _subject(notice)
    message.set_content("\n".join(f"{name}: {value}" for name, value in asdict(notice).items()))
    return message


def _subject(notice: Notice | Asked) -> str:
    if isinstance(notice, Asked):
        return f"Equipoise: {notice.study} awaits an approval (request {notice.request})"
    return f"Equipoise: {notice.task} of {notice.dag} failed ({notice.error})"


def _delivered(
    way: str, deliver: Callable[[str, Notice | Asked], None], target: str, notice: Notice | Asked
) -> bool:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            deliver(target, notice)
        except (OSError, NotDelivered) as error:
            # The class alone: a URL or an answer can hold a secret.
            log.warning("notice by %s, attempt %d: %s", way, attempt, type(error).__name__)
            time.sleep(PAUSE_SECONDS * attempt if attempt < ATTEMPTS else 0)
        else:
            return True
    log.error("nobody was told by %s", way)
    return False
