"""Source rows become tables and a quarantine, and every row is accounted for."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SourceInvalid
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms
from tests.pipelines.event_examples import ADULTS, event_rows, records, subject_rows


def ingested(events: pl.DataFrame, subjects: pl.DataFrame | None = None) -> Ingested:
    return ingest(records(events, subjects), lambda ids: pseudonyms(ids, PUBLISHED_KEY))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((None, "1", "hdl", "50"), "missing_subject"),
        ((" ", "1", "hdl", "50"), "missing_subject"),
        (("3", "1", "hdl", "50"), "subject_without_row"),
        (("1", None, "hdl", "50"), "missing_time"),
        (("1", "soon", "hdl", "50"), "unreadable_time"),
        (("1", "10001", "hdl", "50"), "time_out_of_range"),
        (("1", "-40001", "hdl", "50"), "time_out_of_range"),
        (("1", "-18700", "hdl", "50"), "before_birth"),
        (("1", "1", "hld", "50"), "unknown_code"),
        (("1", "1", None, "50"), "unknown_code"),
        (("1", "1", "hdl", None), "missing_value"),
        (("1", "1", "hdl", "high"), "unreadable_value"),
        (("1", "1", "hdl", "NaN"), "value_not_finite"),
        (("1", "1", "hdl", "inf"), "value_not_finite"),
        (("1", "1", "stroke", "1e308"), "value_overflows_f32"),
        (("1", "1", "hdl", "0"), "value_physically_impossible"),
        (("1", "1", "hdl", "300.5"), "value_physically_impossible"),
    ],
)
def test_a_row_that_breaks_a_rule_is_quarantined_with_rule_file_and_row(
    row: tuple[str | None, str | None, str | None, str | None], rule: str
) -> None:
    tables = ingested(event_rows(("1", "1", "hdl", "50"), row))

    assert tables.events.height == 1
    found = tables.quarantine.select("rule", "source_file", "source_row").row(0)
    assert found == (rule, "clinic.csv", 2)
    assert tables.quarantine["reason"].null_count() == 0


def test_the_ends_of_a_plausible_range_are_accepted() -> None:
    tables = ingested(event_rows(("1", "1", "hdl", "1"), ("1", "2", "hdl", "300")))

    assert tables.events["numeric_value"].to_list() == [1.0, 300.0]


def test_an_exact_duplicate_is_counted_and_a_repeated_diagnosis_on_another_day_survives() -> None:
    tables = ingested(
        event_rows(
            ("1", "1", "hdl", "50"),
            ("1", "1", "hdl", "50"),
            ("1", "5", "stroke", None),
            ("1", "9", "stroke", None),
        )
    )

    account = tables.accounts[-1]
    assert (account.duplicates, account.accepted, account.quarantined) == (1, 3, 0)
    assert tables.events["source_row"].to_list() == [1, 3, 4]


@pytest.mark.parametrize(
    ("subject", "rule"),
    [
        (("3", None, "female", None), "unreadable_birth"),
        (("3", date(1950, 1, 1), None, None), "unknown_sex"),
        (("1", date(1951, 1, 1), "female", None), "subject_with_two_rows"),
    ],
)
def test_a_subject_row_that_breaks_a_rule_is_quarantined(
    subject: tuple[str, date | None, str | None, str | None], rule: str
) -> None:
    tables = ingested(event_rows(("1", "1", "hdl", "50")), subject_rows(*ADULTS, subject))

    assert tables.subjects.height == 2
    assert tables.quarantine["rule"].to_list() == [rule]


def test_a_matched_set_is_one_cluster_and_a_subject_without_one_is_alone() -> None:
    people = subject_rows(
        ("1", date(1950, 1, 1), "female", "set 9"),
        ("2", date(1950, 1, 1), "male", "set 9"),
        ("3", date(1950, 1, 1), "male", None),
        ("4", date(1950, 1, 1), "male", None),
    )
    clusters = ingested(event_rows(("1", "1", "hdl", "50")), people).subjects["cluster"]

    assert clusters[0] == clusters[1]
    assert clusters.n_unique() == 3


texts = st.one_of(st.none(), st.sampled_from(["1", "2", "3", "x", "-5", "NaN", "1e39", "hdl"]))


@given(st.lists(st.tuples(texts, texts, st.sampled_from(["hdl", "stroke", "?"]), texts)))
def test_rows_in_are_accepted_plus_quarantined_plus_duplicates(
    rows: list[tuple[str | None, str | None, str, str | None]],
) -> None:
    tables = ingested(event_rows(*rows))
    counted = [account for account in tables.accounts if account.file == "clinic.csv"]

    assert tables.events.height == sum(account.accepted for account in counted)
    quarantined = tables.quarantine.filter(pl.col("source_file") == "clinic.csv").height
    assert quarantined == sum(account.quarantined for account in counted)
    sound = [row for row in rows if is_sound(*row)]
    assert tables.events.height == len(set(sound))
    assert sum(account.duplicates for account in counted) == len(sound) - len(set(sound))
    assert quarantined == len(rows) - len(sound)


def is_sound(subject: str | None, day: str | None, code: str, value: str | None) -> bool:
    """The naive oracle: which of ``texts`` may stand where."""
    values = {"hdl": ("1", "2", "3"), "stroke": (None, "1", "2", "3", "-5"), "?": ()}
    return subject in ("1", "2") and day in ("1", "2", "3", "-5") and value in values[code]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((None, "1", "hdl", "50"), "missing_subject"),
        (("1", "1", "hdl", "0.5"), "value_physically_impossible"),
    ],
)
def test_broken_rows_that_look_alike_are_all_quarantined(
    row: tuple[str | None, str | None, str | None, str | None], rule: str
) -> None:
    tables = ingested(event_rows(*[row] * 5_000))

    account = tables.accounts[-1]
    assert (account.quarantined, account.duplicates, account.accepted) == (5_000, 0, 0)
    assert account.quarantined_by_rule == {rule: 5_000}
    assert tables.quarantine["source_row"].to_list() == list(range(1, 5_001))


def test_a_subject_row_said_twice_is_a_duplicate_and_another_row_of_it_is_broken() -> None:
    one, other = ("1", date(1950, 1, 1), "female", None), ("1", date(1951, 1, 1), "female", None)
    tables = ingested(event_rows(("1", "1", "hdl", "50")), subject_rows(one, one, other, other))

    account = tables.accounts[0]
    assert (account.accepted, account.duplicates, account.quarantined) == (1, 1, 2)
    assert tables.quarantine["source_row"].to_list() == [3, 4]


def test_a_part_without_rows_and_one_of_empty_cells_alone_have_their_lines() -> None:
    source = replace(
        records(event_rows()),
        parts=(("clinic.csv", "labs"), ("visits.csv", "bmi")),
        empty_cells={("visits.csv", "bmi"): 7},
    )
    accounts = ingest(source, lambda ids: pseudonyms(ids, PUBLISHED_KEY)).accounts

    counted = [(each.file, each.part, each.rows_in, each.empty) for each in accounts]
    assert counted == [
        ("people.csv", "subjects", 2, 0),
        ("clinic.csv", "labs", 0, 0),
        ("visits.csv", "bmi", 7, 7),
    ]


def test_every_part_is_counted_apart_in_the_order_of_its_first_row() -> None:
    """Against a loop over the parts, each with other rows that break other rules."""
    kinds = (("1", "1", "hdl", "50"), ("1", "1", "hdl", "0"), ("1", "soon", "hdl", "5"))
    rows = event_rows(*[kinds[i % 3] for i in range(60)])
    place = pl.col("source_row") * 7 % 5
    rows = rows.with_columns(
        part=pl.format("part {}", place),
        time_text=pl.when(pl.col("value_text") != "50")
        .then("time_text")
        .otherwise(place.cast(pl.String)),
    )
    tables = ingested(rows)
    counted = tables.accounts[1:]
    assert [account.part for account in counted] == list(dict.fromkeys(rows["part"]))
    for account in counted:
        mine = rows.filter(pl.col("part") == account.part)
        lost = tables.quarantine.filter(pl.col("part") == account.part)
        by_rule = {rule: lost["rule"].to_list().count(rule) for rule in sorted(set(lost["rule"]))}
        accepted = tables.events.join(mine.select("source_row"), on="source_row", how="semi")
        assert account.as_dict() == {
            "file": "clinic.csv",
            "part": account.part,
            "rows_in": mine.height,
            "empty": 0,
            "accepted": accepted.height,
            "quarantined": lost.height,
            "duplicates": mine.height - lost.height - accepted.height,
            "quarantined_by_rule": by_rule,
            "reasons": {rule: records(rows).reasons[rule] for rule in by_rule},
        }
        assert list(account.quarantined_by_rule) == sorted(by_rule)
    assert all(len(account.quarantined_by_rule) == 2 for account in counted)
    assert all(account.duplicates for account in counted)


def test_rows_that_do_not_add_up_are_no_tables() -> None:
    source = records(event_rows(("1", "1", "hdl", "50"), ("2", "1", "hdl", "50")))
    twice = replace(source, codes=pl.concat([source.codes, source.codes]))
    said = r"Rows do not add up: 2 in, 4 accounted for\."
    with pytest.raises(SourceInvalid, match=said) as refused:
        ingest(twice, lambda ids: pseudonyms(ids, PUBLISHED_KEY))
    assert refused.value.where == "clinic.csv (labs)"
