"""The log of events: each event's hash covers the hash before it, so that none can be changed.

The hash is sha256 over number, event, study, payload and previous hash, a line each; no part holds
a line break (a payload is JSON). PostgreSQL computes it in a trigger, DuckDB's writer here.
The log alone cannot tell that its end was cut off: the head is kept outside (``anchor``).
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

GENESIS = "0" * 64


class Event(NamedTuple):
    """A row of ``event_log``, in the order of its columns."""

    event_number: int
    event: str
    study: str
    payload: str
    previous_sha256: str
    event_sha256: str


class Head(NamedTuple):
    """An event that was the newest one when it was written down."""

    event_number: int
    event_sha256: str


def event_sha256(number: int, event: str, study: str, payload: str, previous: str) -> str:
    """64 hex digits over all that an event says and the hash of the one before."""
    return hashlib.sha256(f"{number}\n{event}\n{study}\n{payload}\n{previous}".encode()).hexdigest()


def next_event(head: Head, event: str, study: str, payload: str) -> Event:
    """The event that follows ``head``; number 0 with ``GENESIS`` heads an empty log."""
    number, previous = head.event_number + 1, head.event_sha256
    digest = event_sha256(number, event, study, payload, previous)
    return Event(number, event, study, payload, previous, digest)


def broken_events(events: Iterable[Event], anchored: Iterable[Head] = ()) -> list[str]:
    """What does not hold, in words; empty for a log that was only ever added to.

    Args:
        events: the whole log, by number.
        anchored: heads kept outside of the database.
    """
    broken: list[str] = []
    head = Head(0, GENESIS)
    hashes = {0: GENESIS}
    for event in events:
        expected = next_event(head, event.event, event.study, event.payload)
        if event != expected:
            broken.append(f"event {expected.event_number} is not the one that was written")
        head = Head(event.event_number, event.event_sha256)
        hashes[head.event_number] = head.event_sha256
    for known in anchored:
        if hashes.get(known.event_number) != known.event_sha256:
            broken.append(f"event {known.event_number} is not the one that was the head")
    return broken
