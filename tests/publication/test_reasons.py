"""Why a row has its score is published with it: whole, in order, committed to, or not at all."""

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import PublicationGateClosed
from pipelines.publication.commitments import COMMITTED, broken_commitments, commit_rows
from pipelines.publication.contract import REASONS, published_rows
from pipelines.publication.postgres_setup import set_up
from pipelines.publication.reasons import with_reasons
from pipelines.publication.schema import REASON_COLUMNS
from pipelines.publication.store import PublicationStore
from pipelines.reason_table import REASONS as TABLE
from tests.pipelines.publication_examples import STUDY, predictions, publication, recorded_release

TOLD = pl.DataFrame(
    [
        (1, 1, "hdl", 12.5, -0.75, "occlusion"),
        (1, 2, "age_years", None, 0.5, "occlusion"),
        (1, 3, "bmi", 0.0, 0.25, "occlusion"),
        (1, 4, "fib4", 3.0, 0.1, "occlusion"),
        (3, 1, "a|b, 'c'", 400.0, 0.125, "occlusion"),
    ],
    schema=TABLE,
    orient="row",
)

OF_THE_VERSION_BEFORE = "bf9d18fc0fb774a4fb5a1dda87ffcce004cd1d17f82a23a027e9f6017832ccf2"


def explained(number: int = 1) -> pl.DataFrame:
    return with_reasons(predictions(number), TOLD)


def test_three_reasons_of_a_subject_stand_side_by_side_and_the_fourth_is_left_out() -> None:
    by_subject = {row["subject_id"]: row for row in explained().iter_rows(named=True)}
    assert [by_subject[1][name] for name in REASONS] == [
        "occlusion",
        *("hdl", 12.5, -0.75),
        *("age_years", None, 0.5),
        *("bmi", 0.0, 0.25),
    ]
    assert by_subject[3]["reason_1_channel"] == "a|b, 'c'"
    assert [by_subject[2][name] for name in REASONS] == [None] * len(REASONS)


def test_reasons_are_read_as_they_were_given_and_the_store_verifies(
    store: PublicationStore,
) -> None:
    given = explained()
    store.publish(publication(1, of=recorded_release()), given)
    assert_frame_equal(store.read_current(STUDY).select(given.columns), given)
    assert store.verify() == ()


def test_rows_without_reasons_say_so_in_every_column(store: PublicationStore) -> None:
    store.publish(publication(1, of=recorded_release()), predictions(1))
    assert store.read_current(STUDY).select(*REASONS).null_count().row(0) == (4,) * len(REASONS)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"reason_method": None}, "reason_method is named"),
        ({"reason_method": ""}, "reason_method is named"),
        ({"reason_1_channel": None}, "reason_method is named"),
        ({"reason_1_channel": ""}, "reason 1 has a channel"),
        ({"reason_1_contribution": None}, "reason 1 has a channel"),
        ({"reason_2_channel": None, "reason_2_contribution": None}, "reason 3 follows"),
        ({"reason_3_channel": None, "reason_3_contribution": None}, "reason 3 has a channel"),
        ({"reason_1_contribution": float("nan")}, "reason 1 has finite numbers"),
        ({"reason_2_contribution": float("inf")}, "reason 2 has finite numbers"),
        ({"reason_1_days_before": -0.5}, "reason 1 has finite numbers"),
    ],
)
def test_a_broken_reason_closes_the_gate_by_its_rule(
    change: dict[str, str | float | None], rule: str
) -> None:
    first = pl.col("subject_id") == 1
    broken = explained().with_columns(
        pl.when(first).then(pl.lit(value, REASONS[name])).otherwise(pl.col(name)).alias(name)
        for name, value in change.items()
    )
    with pytest.raises(PublicationGateClosed, match=rf"1 of 4 rows break: {rule}"):
        published_rows(publication(1, of=recorded_release()), broken)


def test_some_of_the_columns_of_reasons_are_refused() -> None:
    with pytest.raises(PublicationGateClosed, match="columns missing"):
        published_rows(
            publication(1, of=recorded_release()), explained().drop("reason_2_contribution")
        )


def _committed(rows: pl.DataFrame) -> pl.DataFrame:
    of_publication = {name: pl.lit("x") for name in ("generation_id", "release_id", "audit_id")}
    told = published_rows(publication(1, of=recorded_release()), rows)
    return commit_rows(told.with_columns(**of_publication, study=pl.lit(STUDY)).select(COMMITTED))


@pytest.mark.parametrize("name", REASONS)
def test_whoever_changes_a_reason_breaks_the_rows_commitment(name: str) -> None:
    rows = _committed(explained())
    assert broken_commitments(rows) == 0
    other: str | float = "other" if REASONS[name] == pl.String() else 99.0
    changed = pl.when(pl.col("subject_id") == 1).then(pl.lit(other)).otherwise(pl.col(name))
    assert broken_commitments(rows.with_columns(changed.alias(name))) == 1


def test_a_row_without_reasons_is_committed_to_as_before_there_were_any() -> None:
    """The hash is of the version before, for the first row and a key of 32 zeros."""
    rows = _committed(predictions(1)).with_columns(
        row_key=pl.lit(bytes(32)), commitment=pl.lit(bytes.fromhex(OF_THE_VERSION_BEFORE))
    )
    assert broken_commitments(rows.head(1)) == 0
    assert broken_commitments(rows.head(1).with_columns(reason_method=pl.lit("occlusion"))) == 1


def test_a_database_of_the_version_before_gets_reasons_and_keeps_rows_and_rights(
    admin_url: str,
) -> None:
    with psycopg.connect(admin_url) as connection:
        rights = _rights(connection)
        connection.execute("SET search_path = equipoise")
        for function in ("predictions_as_of(date)", "predictions_seen_at(timestamptz)"):
            connection.execute(f"DROP FUNCTION {function}")
        for view in ("predictions_withdrawn", "predictions_current", "predictions_published"):
            connection.execute(f"DROP VIEW {view}")
        for name in REASON_COLUMNS:
            connection.execute(f"ALTER TABLE predictions DROP COLUMN {name} CASCADE")
        connection.execute(
            "CREATE VIEW predictions_published AS SELECT * FROM predictions;"
            "CREATE VIEW predictions_current AS SELECT * FROM predictions_published;"
            "CREATE VIEW predictions_withdrawn AS SELECT * FROM predictions_published;"
            "CREATE FUNCTION predictions_as_of(date) RETURNS INTEGER LANGUAGE sql RETURN 1;"
            "CREATE FUNCTION predictions_seen_at(timestamptz) RETURNS INTEGER LANGUAGE sql RETURN 1"
        )
        owned = "ALTER {} OWNER TO equipoise_owner"
        for view in ("published", "current", "withdrawn"):
            connection.execute(owned.format(f"VIEW predictions_{view}"))
        for function in ("predictions_as_of(date)", "predictions_seen_at(timestamptz)"):
            connection.execute(owned.format(f"FUNCTION {function}"))
    assert set_up(admin_url) == "upgraded"
    with psycopg.connect(admin_url) as connection:
        assert _rights(connection) == rights
    assert set_up(admin_url) == "was there already"


def _rights(connection: psycopg.Connection) -> set[tuple[str, ...]]:
    """Who may do what with which table, column and function of the schema, and every guard."""
    asked = (
        "SELECT grantee, table_name, privilege_type FROM information_schema.table_privileges"
        " WHERE table_schema = 'equipoise'",
        "SELECT grantee, table_name, column_name, privilege_type"
        " FROM information_schema.column_privileges WHERE table_schema = 'equipoise'",
        "SELECT grantee, routine_name, privilege_type FROM information_schema.routine_privileges"
        " WHERE specific_schema = 'equipoise'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'equipoise'::regnamespace AND contype <> 'n'",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'equipoise'",
        "SELECT relname, array_to_string(reloptions, ' ', '') FROM pg_class"
        " WHERE relnamespace = 'equipoise'::regnamespace AND relkind = 'v'",
    )
    return {row for query in asked for row in connection.execute(query).fetchall()}
