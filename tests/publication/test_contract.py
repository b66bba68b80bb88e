"""What either store does: the same tests over DuckDB and PostgreSQL."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import GateClosed, NoRelease, PublicationGateClosed
from pipelines.identity import Verdict
from pipelines.publication.contract import AuditReference
from pipelines.publication.rules import TASKS
from pipelines.publication.store import PublicationStore
from pipelines.releases import record_release, withdraw_release
from tests.pipelines.publication_examples import (
    PASSED,
    PREDICTIONS_OF,
    STUDY,
    approval_of,
    numbers,
    predictions,
    publication,
    recorded_release,
    recorded_release_of,
    release,
)


def publish_number(
    store: PublicationStore, number: int, *, day: int | None = None, rows: int = 4
) -> str:
    published = publication(number, day=day)
    return store.publish(published, predictions(number, rows=rows)).generation_id


@pytest.mark.parametrize("task", TASKS)
def test_what_is_published_is_read_as_it_was_given(store: PublicationStore, task: str) -> None:
    given = PREDICTIONS_OF[task](3)
    store.publish(publication(3, of=recorded_release_of(task)), given)
    read = store.read_current(f"toy_{task}")
    assert_frame_equal(read.select(given.columns), given, check_column_order=False)


def test_the_newest_day_is_current_and_a_rerun_of_an_old_one_hides_nothing(
    store: PublicationStore,
) -> None:
    publish_number(store, 1, day=10)
    publish_number(store, 2, day=5)
    assert numbers(store.read_current(STUDY)) == [1.0]
    publish_number(store, 3, day=10)
    assert numbers(store.read_current(STUDY)) == [3.0]
    assert [listed.is_current for listed in store.list_generations(STUDY)] == [False, False, True]


@pytest.mark.parametrize(
    ("day", "expected"),
    [(date(2020, 1, 1), []), (date(2020, 1, 4), [1.0]), (date(2020, 1, 5), [4.0])],
)
def test_a_day_finds_the_generation_that_stood_for_it(
    store: PublicationStore, day: date, expected: list[float]
) -> None:
    publish_number(store, 1)
    publish_number(store, 4)
    assert numbers(store.read_as_of(STUDY, day)) == expected


def test_what_was_seen_at_any_past_moment_is_told_again(store: PublicationStore) -> None:
    """After each step what is current is kept; later the same moment shows the same rows."""
    seen: list[tuple[datetime, pl.DataFrame]] = [(datetime.now(UTC), pl.DataFrame())]
    first = publish_number(store, 1)
    steps = (
        lambda: publish_number(store, 2),
        lambda: store.withdraw(STUDY, "why", "Ada"),
        lambda: store.reinstate(STUDY, first, "why", "Ada"),
        lambda: publish_number(store, 3, day=1),
        lambda: store.withdraw(STUDY, "why", "Ada", generation_id=first),
    )
    seen.append((datetime.now(UTC), store.read_current(STUDY)))
    for step in steps:
        step()
        seen.append((datetime.now(UTC), store.read_current(STUDY)))

    assert [numbers(frame) for _, frame in seen[1:]] == [[1.0], [2.0], [], [1.0], [3.0], [3.0]]
    for moment, frame in seen[1:]:
        assert_frame_equal(store.read_seen_at(STUDY, moment), frame)
    assert store.read_seen_at(STUDY, seen[0][0]).is_empty()


def test_publishing_the_same_generation_twice_adds_no_row(store: PublicationStore) -> None:
    first = store.publish(publication(1), predictions(1))
    second = store.publish(publication(1), predictions(1))
    assert (first.made, second.made) == (True, False)
    assert second.model_copy(update={"made": True}) == first
    assert store.read_current(STUDY).height == 4


def test_withdrawn_rows_are_read_apart_and_come_back(store: PublicationStore) -> None:
    first, second = publish_number(store, 1), publish_number(store, 2)
    assert store.withdraw(STUDY, "wrong units", "Ada") == (first, second)
    assert store.withdraw(STUDY, "once more", "Ada") == ()
    assert store.read_current(STUDY).is_empty()
    withdrawn = store.read_withdrawn(STUDY)
    assert set(withdrawn.select("reason", "changed_by").rows()) == {("wrong units", "Ada")}
    assert withdrawn.height == 8
    assert store.reinstate(STUDY, first, "right units", "Grace") == (first,)
    assert numbers(store.read_current(STUDY)) == [1.0]
    assert numbers(store.read_withdrawn(STUDY)) == [2.0]
    states = [listed.state for listed in store.list_generations(STUDY)]
    assert states == ["reinstated", "withdrawn"]


def test_a_withdrawn_generation_does_not_come_back_by_a_rerun(store: PublicationStore) -> None:
    publish_number(store, 1)
    store.withdraw(STUDY, "why", "Ada")
    with pytest.raises(PublicationGateClosed, match="was withdrawn"):
        publish_number(store, 1)


def test_what_was_never_published_cannot_be_withdrawn(store: PublicationStore) -> None:
    with pytest.raises(NoRelease, match="published nothing"):
        store.withdraw(STUDY, "why", "Ada")
    publish_number(store, 1)
    with pytest.raises(NoRelease, match="named 00ff"):
        store.withdraw(STUDY, "why", "Ada", generation_id="00ff")
    with pytest.raises(GateClosed, match="needs a reason"):
        store.withdraw(STUDY, " ", "Ada")


@pytest.mark.parametrize("verdict", ["fail", "cannot_tell"])
def test_an_audit_that_did_not_pass_publishes_nothing_and_cannot_pass_later(
    store: PublicationStore, verdict: Verdict
) -> None:
    failed = PASSED.model_copy(update={"verdict": verdict})
    with pytest.raises(PublicationGateClosed, match=f"predictions says {verdict}"):
        store.publish(publication(1, audit=failed), predictions(1))
    with pytest.raises(PublicationGateClosed, match="on the same evidence"):
        store.publish(publication(1), predictions(1))
    assert store.list_generations(STUDY) == ()


def test_the_audit_of_a_model_is_none_of_a_generation(store: PublicationStore) -> None:
    standing = recorded_release()
    borrowed = AuditReference(
        audit_id=standing.audit_key, verdict="pass", evidence_sha256=standing.audit_sha256
    )
    with pytest.raises(PublicationGateClosed, match="on the same evidence"):
        store.publish(publication(1, of=standing, audit=borrowed), predictions(1))


@pytest.mark.parametrize("verdict", ["fail", "cannot_tell"])
def test_what_people_approved_is_published_although_it_did_not_pass(
    store: PublicationStore, verdict: Verdict
) -> None:
    approved = record_release(STUDY, release(verdict=verdict))
    assert store.record_approval(approved.approval)
    assert not store.record_approval(approved.approval)
    store.publish(publication(1, of=approved), predictions(1))
    assert numbers(store.read_current(STUDY)) == [1.0]
    assert store.verify() == ()


def test_a_rejection_is_recorded_and_told(store: PublicationStore) -> None:
    rejected = approval_of(verdict="fail", decision="rejected")
    assert store.record_approval(rejected)
    assert store.verify() == ()
    with pytest.raises(PublicationGateClosed, match="on the same evidence"):
        store.record_approval(approval_of())


def test_a_release_withdrawn_after_the_scoring_publishes_nothing(store: PublicationStore) -> None:
    scored = publication(1)
    withdraw_release(STUDY, "why", "Ada")
    with pytest.raises(PublicationGateClosed, match="release is withdrawn"):
        store.publish(scored, predictions(1))


def test_a_refusal_never_shows_a_value_of_a_record(store: PublicationStore) -> None:
    secret = predictions(1).with_columns(split=pl.lit("ssn-123-45"), score_low=pl.lit(77.25))
    with pytest.raises(PublicationGateClosed) as refused:
        store.publish(publication(1), secret)
    assert "ssn" not in str(refused.value)
    assert "77" not in str(refused.value)


def test_a_whole_life_leaves_a_store_that_verifies(store: PublicationStore) -> None:
    publish_number(store, 1)
    publish_number(store, 2, rows=30)
    store.withdraw(STUDY, "why", "Ada")
    store.record_approval(approval_of(model="train_model/0002", verdict="fail"))
    assert store.verify() == ()
