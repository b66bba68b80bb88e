"""What is changed past the store is told: in the log, in the tables, in the rows, at the end."""

import random
from collections.abc import Callable
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.publication.anchor import anchor_file, read_anchors, write_anchor
from pipelines.publication.chain import GENESIS, Event, Head, broken_events, next_event
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.settings import Settings
from tests.pipelines.publication_examples import STUDY, predictions, publication


def log_of(length: int, rng: random.Random) -> list[Event]:
    events, head = [], Head(0, GENESIS)
    for _ in range(length):
        event = next_event(head, "audit", rng.choice("ab"), f'{{"value": {rng.random()}}}')
        events.append(event)
        head = Head(event.event_number, event.event_sha256)
    return events


def rehashed(events: list[Event], start: int) -> list[Event]:
    """What a forger who knows the rule makes of the log from ``start`` on."""
    made = events[:start]
    head = Head(made[-1].event_number, made[-1].event_sha256) if made else Head(0, GENESIS)
    for event in events[start:]:
        made.append(next_event(head, event.event, event.study, event.payload))
        head = Head(made[-1].event_number, made[-1].event_sha256)
    return made


def edit(events: list[Event], at: int, rng: random.Random) -> list[Event]:
    changed = events[at]._replace(payload=f'{{"value": {rng.random() + 2}}}')
    return [*events[:at], changed, *events[at + 1 :]]


def delete(events: list[Event], at: int, rng: random.Random) -> list[Event]:
    return [*events[:at], *events[at + 1 :]]


def add(events: list[Event], at: int, rng: random.Random) -> list[Event]:
    return [*events[:at], events[at]._replace(payload='{"value": 3}'), *events[at:]]


def swap(events: list[Event], at: int, rng: random.Random) -> list[Event]:
    other = (at + 1 + rng.randrange(len(events) - 1)) % len(events)
    swapped = list(events)
    swapped[at], swapped[other] = events[other], events[at]
    return swapped


def cut(events: list[Event], at: int, rng: random.Random) -> list[Event]:
    return events[:at]


def renumbered(tampering: Callable[..., list[Event]]) -> Callable[..., list[Event]]:
    """The forger hashes all anew; only a head that was kept outside tells."""

    def forge(events: list[Event], at: int, rng: random.Random) -> list[Event]:
        return rehashed(tampering(events, at, rng), 0)

    return forge


TAMPERINGS = {
    "edit": edit,
    "delete": delete,
    "insert": add,
    "reorder": swap,
    "cut the end": cut,
    "edit and hash anew": renumbered(edit),
    "delete and hash anew": renumbered(delete),
    "insert and hash anew": renumbered(add),
    "reorder and hash anew": renumbered(swap),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_with_the_log_is_told_a_hundred_times_of_a_hundred(tampering: str) -> None:
    told = 0
    for seed in range(100):
        rng = random.Random(seed)  # noqa: S311 - no secret
        events = log_of(rng.randrange(2, 30), rng)
        anchored = [Head(events[-1].event_number, events[-1].event_sha256)]
        assert broken_events(events, anchored) == []
        at = rng.randrange(len(events))
        told += broken_events(TAMPERINGS[tampering](events, at, rng), anchored) != []
    assert told == 100


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8))
def test_a_log_that_was_only_added_to_holds(told: list[tuple[str, str]]) -> None:
    events, head = [], Head(0, GENESIS)
    for event, payload in told:
        events.append(next_event(head, event, "toy", payload))
        head = Head(events[-1].event_number, events[-1].event_sha256)
    assert broken_events(events, [head] if events else []) == []


def test_a_head_is_written_once_and_half_a_line_of_a_killed_process_is_cut(home: Settings) -> None:
    for _ in range(2):
        write_anchor(Head(1, "a" * 64), home)
    with anchor_file(home).open("a") as stream:
        stream.write('{"event_num')
    assert read_anchors(home) == (Head(1, "a" * 64),)
    write_anchor(Head(2, "b" * 64), home)
    assert read_anchors(home) == (Head(1, "a" * 64), Head(2, "b" * 64))


def change(home: Settings, admin_url: str, statement: str) -> None:
    """As who owns the file, or as a superuser of the server."""
    if home.database_url is None:
        with duckdb.connect(str(PublicationFolders(home.publication_dir).writer)) as by_hand:
            by_hand.execute("SET TimeZone = 'UTC'")
            by_hand.execute(statement)
        return
    with psycopg.connect(admin_url, options="-c search_path=equipoise") as connection:
        tables: list[tuple[Any, ...]] = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'equipoise'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        connection.execute(statement)
        for (table,) in tables:
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


CHANGES = {
    "UPDATE event_log SET payload = '{}' WHERE event_number = 2": "event 2 is not",
    "DELETE FROM event_log WHERE event_number = 3": "event 3 is not",
    "DELETE FROM event_log WHERE event_number > 4": "event 6 is not the one that was the head",
    "UPDATE audits SET recorded_at = recorded_at + INTERVAL 1 DAY": "audits: 2 rows are gone",
    "UPDATE withdrawals SET reason = 'another'": "withdrawals: 1 rows are gone or changed",
    "DELETE FROM withdrawals": "withdrawals: 1 rows are gone or changed",
    "UPDATE predictions SET score = 0.125 WHERE subject_id = 1": "1 rows are not those committed",
    "UPDATE predictions SET commitment = row_key WHERE subject_id = 1": "its predictions are not",
}


@pytest.mark.parametrize("statement", CHANGES)
def test_what_is_changed_by_hand_is_told(
    home: Settings, request: pytest.FixtureRequest, statement: str
) -> None:
    store = open_store(home)
    store.publish(publication(1), predictions(1))
    store.withdraw(STUDY, "why", "Ada")
    assert store.verify() == ()

    admin_url = request.getfixturevalue("admin_url") if home.database_url else ""
    by_server = statement.replace("INTERVAL 1 DAY", "INTERVAL '1 day'")
    change(home, admin_url, by_server)

    assert any(CHANGES[statement] in told for told in store.verify()), store.verify()


def test_the_servers_own_check_finds_the_events_that_do_not_hold(admin_url: str) -> None:
    with psycopg.connect(admin_url, options="-c search_path=equipoise") as connection:
        for number in range(5):
            row = ("audit", "toy", f'{{"number": {number}}}')
            connection.execute(
                "INSERT INTO event_log (event, study, payload) VALUES (%s, %s, %s)", row
            )
        asked = "SELECT broken_event_numbers()"
        assert connection.execute(asked).fetchall() == []
        connection.execute("ALTER TABLE event_log DISABLE TRIGGER ALL")
        connection.execute("UPDATE event_log SET study = 'other' WHERE event_number = 3")
        assert connection.execute(asked).fetchall() == [(3,)]
        connection.execute("DELETE FROM event_log WHERE event_number = 2")
        assert connection.execute(asked).fetchall() == [(3,), (4,), (5,)]
