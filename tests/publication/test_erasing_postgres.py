"""The one function that deletes: whose tombstone it leaves, and who is told to have called it."""

import hashlib
import hmac

import psycopg
import pytest
from psycopg.errors import RestrictViolation

from tests.publication.acting import Connection, acting_as

KEY = b"k" * 32
ERASE = "SELECT erase_subject('toy', %s, %s, 'asked', 'somebody else')"
TOLD = "SELECT subject_hash, login, erased_by FROM erasures WHERE erasure_number < 1001"


def test_the_server_hashes_the_subject_itself_and_writes_down_the_login(
    people: Connection,
) -> None:
    with acting_as(people, "equipoise_test_eraser") as eraser:
        eraser.execute(ERASE, (1, KEY))
        eraser.execute("RESET SESSION AUTHORIZATION")
        expected = hmac.new(KEY, b"1", hashlib.sha256).hexdigest()
        told = eraser.execute(TOLD).fetchall()
        assert told == [(expected, "equipoise_test_eraser", "somebody else")]


@pytest.mark.parametrize("key", [b"q" * 32, KEY + b"k"])
def test_a_key_that_did_not_make_the_studys_tombstones_erases_nobody(
    people: Connection, key: bytes
) -> None:
    with (
        acting_as(people, "equipoise_test_eraser") as eraser,
        pytest.raises(RestrictViolation, match="not the key"),
    ):
        eraser.execute(ERASE, (1, key))


def test_a_key_that_is_too_short_erases_nobody(people: Connection) -> None:
    with acting_as(people, "equipoise_test_eraser") as eraser, pytest.raises(psycopg.Error):
        eraser.execute(ERASE, (1, b"k"))
