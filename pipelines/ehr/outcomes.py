"""Whom to predict for, and what became of them: windows, competing events, censoring."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.ehr.bins import binned
from pipelines.ehr.config import EhrConfig
from pipelines.ehr.groups import group_names, with_age
from pipelines.ehr.summaries import summary_names, with_summaries
from pipelines.examples import Examples, FlowCount, exclude

STATICS = ("age_years", "sex_male")


def static_names(config: EhrConfig) -> tuple[str, ...]:
    """Age, sex, a yes or no for each value of attributes that are features, and summaries."""
    values = tuple(column for column, _, _ in _feature_values(config))
    return STATICS + values + summary_names(config)


def _feature_values(config: EhrConfig) -> list[tuple[str, str, str]]:
    """(column, attribute, value) of each."""
    return [
        (f"{name}_{value}".replace(" ", "_"), name, value)
        for name, attribute in config.source.subjects.attributes.items()
        if attribute.is_feature
        for value in dict.fromkeys(attribute.values.values())
    ]


def training_examples(config: EhrConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> Examples:
    """One example per subject, at the first index event; label by the outcome window."""
    cohort, groups = config.cohort, group_names(config)
    frame = _with_attributes(config, _first(events, [cohort.index], "index_time"), subjects)
    flow: list[FlowCount] = []
    frame = exclude(
        frame,
        flow,
        groups,
        pl.col("index_time").is_null(),
        "index",
        f"no {cohort.index} event",
    )
    frame = _exclude_by_age_and_history(config, frame, flow, events, "index_time")
    frame = times_after_index(config, frame, events)
    frame = exclude(
        frame,
        flow,
        groups,
        pl.col("end_time").is_null(),
        "follow-up",
        "no end of follow-up is known",
    )
    frame = with_summaries(config, frame.drop("birth"), binned(config, events))
    return Examples(label_by(config, frame), static_names(config), groups, flow)


def scoring_examples(
    config: EhrConfig, events: pl.DataFrame, subjects: pl.DataFrame, as_of: datetime
) -> Examples:
    """One example per subject eligible as of a moment; the index time is the last known event.

    Only what was known by then is looked at: no outcome, no end of follow-up.
    """
    groups = group_names(config)
    known = events.filter(pl.col("known_time") <= as_of)
    features = binned(config, events).filter(pl.col("known_time") <= as_of)
    last = (
        features.filter(pl.col("code").cast(pl.String).is_in(config.feature_codes))
        .group_by("subject_id")
        .agg(index_time=pl.col("time").max())
    )
    frame = _with_attributes(config, last, subjects.filter(pl.col("known_time") <= as_of))
    flow: list[FlowCount] = []
    frame = exclude(
        frame,
        flow,
        groups,
        pl.col("index_time").is_null(),
        "history",
        "no event is known",
    )
    over = sorted({*config.outcome.codes, *config.outcome.competing})
    happened = _first(known, over, "over_time")
    frame = exclude(
        frame.join(happened, on="subject_id", how="left", maintain_order="left"),
        flow,
        groups,
        pl.col("over_time").is_not_null(),
        "already",
        f"had {' or '.join(over)} already",
    ).drop("over_time")
    frame = _exclude_by_age_and_history(
        config, frame.with_columns(as_of=pl.lit(as_of)), flow, known, "as_of"
    )
    frame = frame.drop("as_of", "birth").with_columns(
        scale=pl.lit(1.0, pl.Float32),
        label=pl.lit(None, pl.Float32),
        label_end_time=pl.lit(None, pl.Datetime("us", "UTC")),
    )
    frame = with_summaries(config, frame, features)
    return Examples(frame, static_names(config), groups, flow)


def censoring_weights(
    followed_days: npt.NDArray[np.float64],
    censored: npt.NDArray[np.bool_],
    fitted_on: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Inverse probability of censoring weights: 0 where censored, else 1 / G(T-).

    G is the Kaplan-Meier estimate of staying uncensored, from the rows ``fitted_on`` alone;
    an outcome and a censoring on one day count as the outcome first (Graf et al. 1999).
    """
    days, lost = followed_days[fitted_on], censored[fitted_on]
    moments, losses = np.unique(days[lost], return_counts=True)
    ordered, ordered_seen = np.sort(days), np.sort(days[~lost])
    at_risk = days.size - np.searchsorted(ordered, moments, side="left")
    # Whoever had an outcome on that very day was no longer at risk of being lost on it.
    tied = np.searchsorted(ordered_seen, moments, "right") - np.searchsorted(
        ordered_seen, moments, "left"
    )
    staying = np.concatenate([[1.0], np.cumprod(1 - losses / (at_risk - tied))])
    probability = staying[np.searchsorted(moments, followed_days, side="left")]
    with np.errstate(divide="ignore"):
        return np.where(censored, 0.0, 1 / probability).astype(np.float32)


def days_without_event(config: EhrConfig, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    """[E] days from index + gap to the event, to the loss, or to the end of the horizon.

    Not the frame's own followed_days: these end with a competing event as well, after which the
    weights for censoring ask nothing more of anybody.
    """
    if "followed_days" not in frame.columns:  # of whom is scored, nothing is known yet
        return np.full(frame.height, np.nan, np.float32)
    days = (
        pl.when(pl.col("label") == 0).then(config.outcome.horizon_days).otherwise("followed_days")
    )
    return frame.select(days.cast(pl.Float32)).to_series().to_numpy()


def _with_attributes(
    config: EhrConfig, index: pl.DataFrame, subjects: pl.DataFrame
) -> pl.DataFrame:
    attributes = config.source.subjects.attributes
    frame = subjects.select("subject_id", "cluster", "birth", "sex", *attributes).join(
        index, on="subject_id", how="left", maintain_order="left"
    )
    aged = with_age(frame, config.age_bands_from_years)
    is_male = pl.when(pl.col("sex") != "unknown").then(pl.col("sex") == "male")
    # By pseudonym, so that no order of the source is left in the examples.
    return aged.with_columns(
        is_male.cast(pl.Float64).alias("sex_male"),
        *(
            (pl.col(name) == value).cast(pl.Float64).alias(column)
            for column, name, value in _feature_values(config)
        ),
    ).sort("subject_id")


def _first(events: pl.DataFrame, codes: list[str], name: str) -> pl.DataFrame:
    """subject_id and the time of the first event with one of ``codes``."""
    return (
        events.filter(pl.col("code").cast(pl.String).is_in(codes))
        .group_by("subject_id")
        .agg(pl.col("time").min().alias(name))
    )


def _exclude_by_age_and_history(
    config: EhrConfig, frame: pl.DataFrame, flow: list[FlowCount], events: pl.DataFrame, by: str
) -> pl.DataFrame:
    youngest = config.cohort.minimum_age_years
    day = 1 / 365.25
    frame = exclude(
        frame,
        flow,
        group_names(config),
        pl.col("age_years") + day < youngest,
        "age",
        f"under {youngest} years old",
    )
    for code in config.cohort.exclude_prior:
        frame = frame.join(
            _first(events, [code], "prior_time"),
            on="subject_id",
            how="left",
            maintain_order="left",
        )
        frame = exclude(
            frame,
            flow,
            group_names(config),
            pl.col("prior_time") <= pl.col(by),
            f"prior {code}",
            f"had {code} before",
        ).drop("prior_time")
    return frame


def times_after_index(config: EhrConfig, frame: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Add the first outcome, competing event and end of follow-up after index + gap."""
    outcome = config.outcome
    start = pl.col("index_time") + pl.duration(days=outcome.gap_days)
    wanted = {
        "outcome_time": outcome.codes,
        "competing_time": outcome.competing,
        "end_time": outcome.end_of_follow_up,
    }
    for name, codes in wanted.items():
        after = (
            events.filter(pl.col("code").cast(pl.String).is_in(codes))
            .select("subject_id", "time")
            .join(frame.select("subject_id", "index_time"), on="subject_id")
            .filter(pl.col("time") > start)
        )
        if name == "end_time":
            first = after.group_by("subject_id").agg(pl.col("time").max().alias(name))
        else:
            first = after.group_by("subject_id").agg(pl.col("time").min().alias(name))
        frame = frame.join(first, on="subject_id", how="left", maintain_order="left")
    return frame


def label_by(config: EhrConfig, frame: pl.DataFrame) -> pl.DataFrame:
    """label, outcome and followed_days from the times of ``times_after_index``."""
    horizon = config.outcome.horizon_days
    start = pl.col("index_time") + pl.duration(days=config.outcome.gap_days)

    def days(column: str) -> pl.Expr:
        return (pl.col(column) - start).dt.total_days()

    event = days("outcome_time") <= horizon
    competing = days("competing_time") <= horizon
    first = pl.col("competing_time").is_null() | (
        pl.col("outcome_time") <= pl.col("competing_time")
    )
    outcome = (
        pl.when(event & first)
        .then(pl.lit("event"))
        .when(competing)
        .then(pl.lit("competing"))
        .when(days("end_time") >= horizon)
        .then(pl.lit("followed"))
        .otherwise(pl.lit("censored"))
    )
    followed = (
        pl.when(pl.col("outcome") == "event")
        .then(days("outcome_time"))
        .when(pl.col("outcome") == "competing")
        .then(days("competing_time"))
        .when(pl.col("outcome") == "followed")
        .then(horizon)
        .otherwise(days("end_time"))
    )
    label = (
        pl.when(pl.col("outcome") == "event")
        .then(1.0)
        .when(pl.col("outcome") == "censored")
        .then(None)
        .otherwise(0.0)
    )
    return (
        frame.with_columns(outcome=outcome)
        .with_columns(followed_days=followed.cast(pl.Float64), label=label.cast(pl.Float32))
        .with_columns(
            scale=pl.lit(1.0, pl.Float32),
            label_end_time=pl.when(pl.col("label").is_not_null()).then(
                start + pl.duration(days=pl.col("followed_days"))
            ),
        )
        .drop("outcome_time", "competing_time", "end_time")
    )
