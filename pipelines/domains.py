"""The domains by name. Each is a folder; nothing of it is imported before it is asked for."""

import importlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipelines.settings import settings
from pipelines.shards import Shard, shards

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from pipelines.events import Pseudonymise, Records
    from pipelines.examples import Examples

CONFIG_MODULES = {
    "ehr": ("pipelines.ehr.config", "EhrConfig"),
    "market": ("pipelines.market.config", "MarketConfig"),
}
# Said here too, for the files of DAGs: a domain's module is heavy to import.
SHARDED = frozenset({"ehr"})
DOMAIN_MODULES = {"ehr": "pipelines.ehr.domain", "market": "pipelines.market.domain"}


class Domain(Protocol):
    """What a domain module gives to the stages, all of it pure but for reading sources."""

    # Whether its tables may be made and scored in shards of subjects, as SHARDED says.
    CAN_BE_SHARDED: bool
    # Features that are computed from several events are replayed from the cut events themselves.
    DERIVES_FEATURES: bool
    # Distributions beyond the core's whose version decides what the domain reads or derives.
    LIBRARIES: tuple[str, ...]

    def task(self, config: Any) -> tuple[str, tuple[float, ...]]:
        """What is predicted (risk, direction, volatility, quantiles) and the quantiles' levels."""

    def horizon(self, config: Any) -> str: ...

    def declared(self, config: Any) -> dict[str, str]:
        """Where records come from (source), who is taken when (index), whose label stays unknown
        (censoring): in words, for the report."""

    def lookback_days(self, config: Any) -> int | None: ...

    def block_sessions(self, config: Any) -> int | None:
        """The length of a block of time that is drawn as one; None where clusters are no blocks."""

    def is_point_in_time(self, config: Any) -> bool:
        """Whether the universe holds those who were there at the time, the dead among them."""

    def names_are_public(self, config: Any) -> bool:
        """Whether subjects are published under the source's names: never where they are persons."""

    def fingerprint(self, config: Any) -> Mapping[str, str]: ...

    def record_parts(
        self, config: Any, shard: Shard, pseudonymise: "Pseudonymise", work: Path
    ) -> "Iterator[Records]":
        """The source rows of a shard's subjects, in at least one part; a subject is in one part.

        work: a folder for what does not fit memory; the caller removes it.
        """

    def tables_may_hold(self, config: Any) -> dict[str, Any]: ...

    def checks(
        self, config: Any, events: "pl.LazyFrame", subjects: "pl.DataFrame"
    ) -> list[dict[str, Any]]:
        """Further checks of the tables: name, table, passed, words, unexpected."""

    def findings(
        self, config: Any, events: "pl.LazyFrame", subjects: "pl.DataFrame"
    ) -> list[dict[str, Any]]:
        """What is odd and allowed: kind, where, words, count, share."""

    def channel_kinds(self, config: Any, events: "pl.DataFrame") -> dict[str, str]: ...

    def feature_events(
        self, config: Any, events: "pl.DataFrame", subjects: "pl.DataFrame"
    ) -> "pl.DataFrame":
        """The events that become channels, each known as early as it could be computed."""

    def derived_statics(
        self, config: Any, features: "pl.DataFrame", examples: "pl.DataFrame"
    ) -> "pl.DataFrame":
        """The static columns that come from ``feature_events``, a row per subject_id, index_time.

        Asked for only where features are not derived: else examples are rebuilt whole.
        """

    def training_examples(
        self, config: Any, events: "pl.DataFrame", subjects: "pl.DataFrame"
    ) -> "Examples": ...

    def weights(
        self, frame: "pl.DataFrame", fitted_on: "npt.NDArray[np.bool_]"
    ) -> "npt.NDArray[np.float32]": ...

    def followed_days(self, config: Any, frame: "pl.DataFrame") -> "npt.NDArray[np.float32]":
        """Per example: days of its horizon without the event; all of it where the label is 0, NaN
        where nothing is known."""

    def labels_beside(
        self, config: Any, events: "pl.DataFrame", frame: "pl.DataFrame"
    ) -> "pl.DataFrame":
        """A column per outcome that is learned beside the study's own: 1, 0, null if unknown."""

    def other_labels(
        self,
        config: Any,
        events: "pl.DataFrame",
        frame: "pl.DataFrame",
        fitted_on: "npt.NDArray[np.bool_]",
    ) -> "pl.DataFrame | None":
        """The training examples' labels and weights by other definitions; None where none is."""

    def codes_of_other_labels(self, config: Any) -> list[str]:
        """The codes of the events that ``other_labels`` looks at; it is given no others."""

    def scoring_examples(
        self, config: Any, events: "pl.DataFrame", subjects: "pl.DataFrame", as_of: datetime
    ) -> "Examples": ...

    def published(self, config: Any, scored: "pl.DataFrame") -> "pl.DataFrame":
        """Scores with what readers are shown: score_calibrated, score_low, score_high and so on."""


def domain_names() -> list[str]:
    """The domains there are."""
    return sorted(CONFIG_MODULES)


def config_class(name: str) -> type[Any]:
    """The pydantic class of a domain's section; light to import."""
    module, cls = CONFIG_MODULES[name]
    return cast("type[Any]", getattr(importlib.import_module(module), cls))


def load_domain(name: str) -> Domain:
    """The domain's module; imports Polars."""
    module: ModuleType = importlib.import_module(DOMAIN_MODULES[name])
    return cast("Domain", module)


def shards_of(name: str) -> list[Shard]:
    """The shards that a domain's stages are mapped over; light to import."""
    return shards(settings().shards if name in SHARDED else 1)


def source_module(name: str) -> str:
    """The module whose source decides a domain's artefacts."""
    return DOMAIN_MODULES[name]
