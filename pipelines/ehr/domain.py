"""The EHR domain, as the stages see it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.ehr import files, other_outcomes, outcomes, rdatasets, sharded_rows
from pipelines.ehr.bins import binned
from pipelines.ehr.config import EhrConfig, FilesSource
from pipelines.ehr.summaries import summary_names, with_summaries
from pipelines.errors import SourceInvalid
from pipelines.events import Pseudonymise, Records
from pipelines.examples import Examples
from pipelines.shards import Shard

CAN_BE_SHARDED = True
DERIVES_FEATURES = False
LIBRARIES: tuple[str, ...] = ()
# The networks of different seeds agree within this many standard deviations, nineteen in twenty.
BAND_IN_STANDARD_DEVIATIONS = 1.96


def task(config: EhrConfig) -> tuple[str, tuple[float, ...]]:
    """A probability of the outcome; no quantiles."""
    return config.task, ()


def horizon(config: EhrConfig) -> str:
    """How far a label looks, in words."""
    return f"{config.outcome.horizon_days} days"


def declared(config: EhrConfig) -> dict[str, str]:
    """Source, index and censoring in words."""
    cohort, outcome = config.cohort, config.outcome
    free = f" and had no {_listed(cohort.exclude_prior)} before" if cohort.exclude_prior else ""
    ends = [code for code in outcome.end_of_follow_up if code not in outcome.competing]
    censoring = f"whose records end ({_listed(ends)}) within the horizon without the outcome"
    if outcome.competing:
        censoring += f"; after {_listed(outcome.competing)} it counts as not having happened"
    return {
        "source": _where(config),
        "index": f"the first {_listed([cohort.index])}, of whoever is "
        f"{cohort.minimum_age_years} or older then{free}",
        "censoring": censoring,
    }


def _where(config: EhrConfig) -> str:
    source = config.source
    if isinstance(source, FilesSource):
        return f"the files of the folder {source.folder.name}"
    return f"the tables of the package {source.package}"


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(code.replace("_", " ") for code in codes)


def lookback_days(config: EhrConfig) -> int | None:
    """How far an example looks back; None for all of it."""
    return config.cohort.lookback_days


def block_sessions(config: EhrConfig) -> int | None:
    """Clusters of patients are no blocks of time."""
    return None


def is_point_in_time(config: EhrConfig) -> bool:
    """Patients are taken from the records as they were, those who died among them."""
    return True


def names_are_public(config: EhrConfig) -> bool:
    """Patients are published under pseudonyms alone."""
    return False


def checks(config: EhrConfig, events: pl.LazyFrame, subjects: pl.DataFrame) -> list[dict[str, Any]]:
    """The declared contract says all that is checked of health records so far."""
    return []


def findings(
    config: EhrConfig, events: pl.LazyFrame, subjects: pl.DataFrame
) -> list[dict[str, Any]]:
    """Nothing beyond what every domain is searched for."""
    return []


def feature_events(config: EhrConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """A measurement is a feature as it stands, or as part of the bin that it lies in.

    Each feature is of one event alone, so that a replay of cut features cuts the events.
    """
    return binned(config, events)


def derived_statics(
    config: EhrConfig, features: pl.DataFrame, examples: pl.DataFrame
) -> pl.DataFrame:
    """The summaries of measurements; age, sex and attributes are of subjects, not of events."""
    return with_summaries(config, examples, features).select(summary_names(config))


def published(config: EhrConfig, scored: pl.DataFrame) -> pl.DataFrame:
    """The probability with the band in which networks of other seeds would answer."""
    band = BAND_IN_STANDARD_DEVIATIONS * pl.col("seed_spread")
    return scored.with_columns(
        score_calibrated=pl.col("score"),
        score_low=(pl.col("score") - band).clip(0, 1),
        score_high=(pl.col("score") + band).clip(0, 1),
    )


def fingerprint(config: EhrConfig) -> Mapping[str, str]:
    """Source file -> sha256."""
    if isinstance(config.source, FilesSource):
        return files.fingerprint(config.source)
    return rdatasets.fingerprint(config.source)


def record_parts(
    config: EhrConfig, shard: Shard, pseudonymise: Pseudonymise, work: Path
) -> Iterator[Records]:
    """The source rows of a shard's patients, in parts that fit memory."""
    source = config.source
    if isinstance(source, FilesSource):
        folder, tables = source.folder.name, files.tables(source, work)
    else:
        folder, tables = source.package, rdatasets.tables(source)
    return sharded_rows.record_parts(config, tables, folder, shard, pseudonymise, work)


def training_examples(config: EhrConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> Examples:
    """Whom the study learns from, with their labels."""
    return outcomes.training_examples(config, events, subjects)


def scoring_examples(
    config: EhrConfig, events: pl.DataFrame, subjects: pl.DataFrame, as_of: datetime
) -> Examples:
    """Whom the study predicts for as of a moment."""
    return outcomes.scoring_examples(config, events, subjects, as_of)


def weights(frame: pl.DataFrame, fitted_on: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The weight of each training example: inverse probability of censoring.

    Raises:
        SourceInvalid: nobody of the training split is followed as long as some example is.
    """
    weight = outcomes.censoring_weights(
        frame["followed_days"].to_numpy(), (frame["outcome"] == "censored").to_numpy(), fitted_on
    )
    if not np.isfinite(weight).all():
        raise SourceInvalid(
            "Everybody of the training split is lost before the horizon ends: no weight can "
            "stand for those who were not followed.",
            where="ehr.outcome.horizon_days",
            remedy="Choose a shorter horizon, or give records with a longer follow-up.",
        )
    return weight


def followed_days(config: EhrConfig, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
    """Days without the event: the whole horizon where it did not come; NaN where nothing is known.

    Whoever had a competing event is followed to the end, too: it is known that nothing came.
    """
    return outcomes.days_without_event(config, frame)


def labels_beside(config: EhrConfig, events: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """A column per outcome of `also`; null for whoever was lost, or had it before."""
    return other_outcomes.labels_beside(config, events, frame)


def other_labels(
    config: EhrConfig,
    events: pl.DataFrame,
    frame: pl.DataFrame,
    fitted_on: npt.NDArray[np.bool_],
) -> pl.DataFrame | None:
    """What the examples' labels would be had the outcome been defined otherwise.

    Raises:
        SourceInvalid: a definition's horizon is longer than anybody was followed.
    """
    return other_outcomes.other_labels(config, events, frame, fitted_on)


def codes_of_other_labels(config: EhrConfig) -> list[str]:
    """What decides the other definitions, and what ends a follow-up."""
    return sorted(
        {
            code
            for other in config.outcome.others()
            for code in (*other.codes, *other.competing, *other.end_of_follow_up)
        }
    )


def channel_kinds(config: EhrConfig, events: pl.DataFrame) -> dict[str, str]:
    """Feature code -> ``numeric`` or ``event``."""
    return {
        name: "numeric" if config.codes[name].role == "measurement" else "event"
        for name in config.feature_codes
    }


def tables_may_hold(config: EhrConfig) -> dict[str, Any]:
    """What the declared contract says of codes and subject attributes."""
    people = config.source.subjects
    return {
        "codes": {
            name: {"low": code.plausible[0], "high": code.plausible[1], "unit": code.unit}
            if code.plausible
            else {"unit": code.unit}
            for name, code in config.codes.items()
        },
        "subject_attributes": {
            "sex": {"type": "text", "allowed": tuple(sorted(set(people.sex_values.values())))},
            "birth": {"type": "date"},
            "cluster": {"type": "integer"},
            "known_time": {"type": "time"},
            **{
                name: {"type": "text", "required": False}
                | ({"allowed": tuple(attribute.values.values())} if attribute.values else {})
                for name, attribute in people.attributes.items()
            },
        },
        "acknowledged_copies": tuple(
            (name, code.copy_of) for name, code in config.codes.items() if code.copy_of
        ),
    }
