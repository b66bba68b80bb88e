"""A decision by each row's own threshold, where the audit gave groups thresholds of their own."""

import polars as pl
import pytest

from pipelines.errors import PublicationGateClosed
from pipelines.publication.contract import COLUMNS, THRESHOLD, published_rows
from tests.pipelines.publication_examples import PREDICTIONS_OF, publication, recorded_release_of


def rows(task: str = "risk") -> pl.DataFrame:
    return PREDICTIONS_OF[task]().select(list(COLUMNS))


def test_each_row_is_decided_by_its_own_threshold_and_shows_it() -> None:
    given = rows()
    assert given["score_calibrated"].to_list() == [0.25, 0.5, 0.75, 0.0]
    own = pl.Series(THRESHOLD, [0.25, 0.51, 0.7, 0.01])
    found = published_rows(publication(1, of=recorded_release_of("risk")), given.with_columns(own))
    assert found[THRESHOLD].equals(own)
    assert found["decision"].to_list() == [True, False, True, False]


def test_without_such_a_column_all_have_the_releases() -> None:
    release = recorded_release_of("risk")
    found = published_rows(publication(1, of=release), rows())
    assert found[THRESHOLD].unique().to_list() == [release.threshold]


@pytest.mark.parametrize("odd", [None, 0.0, 1.0, float("nan"), -0.1])
def test_a_threshold_that_decides_nothing_or_everything_is_refused(odd: float | None) -> None:
    given = rows()
    own = pl.Series(THRESHOLD, [odd, *([0.5] * (given.height - 1))], dtype=pl.Float64)
    with pytest.raises(PublicationGateClosed, match="own threshold is not between 0 and 1"):
        published_rows(publication(1, of=recorded_release_of("risk")), given.with_columns(own))


def test_a_task_without_decisions_takes_no_threshold() -> None:
    given = rows("volatility").with_columns(pl.lit(0.5).alias(THRESHOLD))
    with pytest.raises(PublicationGateClosed, match="decides nothing"):
        published_rows(publication(1, of=recorded_release_of("volatility")), given)
