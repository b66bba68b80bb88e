"""Who reads predictions is written down, whatever way they take."""

from typing import LiteralString

import psycopg
import pytest

from tests.publication.acting import Connection, acting_as

READS = "SELECT reader, relation FROM access_log ORDER BY read_number"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM predictions",
        "SELECT * FROM predictions_published",
        "SELECT * FROM predictions_withdrawn",
        "SELECT * FROM predictions_as_of('2030-01-01')",
        "SELECT * FROM predictions_seen_at('infinity')",
        "COPY (SELECT subject_id FROM predictions) TO STDOUT",
        "DECLARE c CURSOR FOR SELECT subject_id FROM predictions; FETCH 1 FROM c",
        "SELECT task FROM predictions_current WHERE subject_id = 1",
    ],
)
def test_who_reads_predictions_is_written_down_whatever_way_they_take(
    people: Connection, query: LiteralString
) -> None:
    with acting_as(people, "equipoise_test_auditor") as reader:
        if query.startswith("COPY"):
            with reader.cursor().copy(query) as copy:
                assert list(copy)
        else:
            reader.execute(query)
        reader.execute("RESET SESSION AUTHORIZATION")
        reads = reader.execute(READS).fetchall()
        assert reads
        assert set(reads) == {("equipoise_test_auditor", "predictions")}


def test_a_read_that_could_not_be_written_down_is_refused(people: Connection) -> None:
    with acting_as(people, "equipoise_test_auditor") as reader:
        reader.execute("SET LOCAL transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("SELECT count(*) FROM predictions")


def test_a_read_that_was_rolled_back_leaves_a_gap_in_the_numbers(
    people: Connection,
) -> None:
    """What a reader takes back is the row: its number is spent, the server's log has its line."""
    with acting_as(people, "equipoise_test_auditor") as reader:
        reader.execute("SAVEPOINT before")
        reader.execute("SELECT count(*) FROM predictions")
        reader.execute("ROLLBACK TO before")
        reader.execute("SELECT count(*) FROM predictions")
        reader.execute("SELECT count(*) FROM predictions")
        reader.execute("RESET SESSION AUTHORIZATION")
        numbers = [
            row[0] for row in reader.execute("SELECT read_number FROM access_log").fetchall()
        ]
        last = reader.execute("SELECT last_value FROM access_log_read_number_seq").fetchall()
        assert len(numbers) == 2
        assert last == [(max(numbers),)]
        assert min(numbers) > 1
