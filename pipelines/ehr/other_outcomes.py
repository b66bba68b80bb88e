"""The same examples under other definitions of the outcome, for the audit of label choice."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.ehr.config import EhrConfig, OutcomeConfig
from pipelines.ehr.outcomes import censoring_weights, label_by, times_after_index
from pipelines.errors import SourceInvalid

COLUMNS = ("title", "subject_id", "label", "weight", "outcome", "followed_days")


def other_labels(
    config: EhrConfig, events: pl.DataFrame, frame: pl.DataFrame, fitted_on: npt.NDArray[np.bool_]
) -> pl.DataFrame:
    """One row per definition and example, definitions in the order of the study.

    Whoever had the outcome, so defined, before the index time is left out: label null, weight 0,
    outcome "prior", followed_days null.

    Args:
        frame: the training examples, with subject_id and index_time.
        fitted_on: [E] the training split, on which the weights for censoring are fitted.

    Raises:
        SourceInvalid: a definition's horizon is longer than anybody was followed.
    """
    found = [
        _labels(other, config, events, frame, fitted_on).select(COLUMNS)
        for other in config.outcome.others()
    ]
    empty = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.Float64) | {"title": pl.String})
    return pl.concat(found) if found else empty.with_columns(pl.col("subject_id").cast(pl.Int64))


def labels_beside(config: EhrConfig, events: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """[E, A] what a network learns beside the study's own outcome, one column per title of `also`.

    Null for whoever had it before the index time, or was lost to follow-up: no weight stands for
    them, since nobody is shown what comes of it.
    """
    people = frame.select("subject_id", "index_time")
    columns = {}
    for outcome in config.outcome.beside():
        own = config.model_copy(update={"outcome": outcome})
        known = label_by(own, times_after_index(own, people, events))["label"]
        had = _had_before(outcome, people, events)
        columns[outcome.title] = known.zip_with(~had, pl.Series([None], dtype=pl.Float32))
    return pl.DataFrame(columns)


def _labels(
    outcome: OutcomeConfig,
    config: EhrConfig,
    events: pl.DataFrame,
    frame: pl.DataFrame,
    fitted_on: npt.NDArray[np.bool_],
) -> pl.DataFrame:
    own = config.model_copy(update={"outcome": outcome})
    people = frame.select("subject_id", "index_time")
    labelled = label_by(own, times_after_index(own, people, events))
    had = _had_before(outcome, people, events)
    labelled = labelled.with_columns(
        title=pl.lit(outcome.title),
        label=pl.when(~had).then("label"),
        outcome=pl.when(had).then(pl.lit("prior")).otherwise("outcome"),
        followed_days=pl.when(~had).then("followed_days"),
    )
    weight = censoring_weights(
        labelled["followed_days"].fill_null(0.0).to_numpy(),
        (labelled["outcome"] == "censored").to_numpy(),
        fitted_on & ~had.to_numpy(),
    )
    weight = np.where(had.to_numpy(), np.float32(0.0), weight)
    if not np.isfinite(weight).all():
        raise SourceInvalid(
            f"Nobody of the training split is followed long enough for {outcome.title!r}.",
            where="ehr.outcome.alternatives",
            remedy="Choose a shorter horizon for it, or leave it out.",
        )
    return labelled.with_columns(weight=pl.Series(weight))


def _had_before(outcome: OutcomeConfig, people: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    first = (
        events.filter(pl.col("code").cast(pl.String).is_in(outcome.codes))
        .group_by("subject_id")
        .agg(first=pl.col("time").min())
    )
    joined = people.join(first, on="subject_id", how="left", maintain_order="left")
    return (joined["first"] <= joined["index_time"]).fill_null(value=False)
