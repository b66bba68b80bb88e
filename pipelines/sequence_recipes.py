"""What decides sequences: those of one shard, and those of all as they are merged."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from pipelines.artefacts import Recipe
from pipelines.domains import load_domain, source_module
from pipelines.provenance import standing_release
from pipelines.shards import Shard
from pipelines.stage import CORE_LIBRARIES, recipe_of
from pipelines.study import Study, load_study


@dataclass(frozen=True)
class SequenceRecipes:
    """The recipes of one study, events and, where people are scored, moment.

    ``as_of``: the moment that subjects are scored as of; None for training, which has labels,
    splits and a vocabulary of its own. ``inputs``: the artefacts that are read, by name.
    """

    spec: Study
    as_of: datetime | None
    inputs: dict[str, str]

    @classmethod
    def of(cls, study: str, events: str, as_of: str | None = None) -> Self:
        """
        Args:
            as_of: an ISO date or time; a time without zone is UTC, a date means its first moment.

        Raises:
            NoRelease: people are to be scored, and no release stands.
        """
        spec = load_study(study)
        if as_of is None:
            return cls(spec, None, {"events": events})
        moment = datetime.fromisoformat(as_of)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        vocabulary = standing_release(spec).sequences_key
        return cls(spec, moment, {"events": events, "vocabulary": vocabulary})

    def shard(self, shard: Shard) -> Recipe:
        """Of one shard: nothing of the split, which is drawn once all are together."""
        return self._recipe("build_sequences", {"shard": str(shard)})

    def merged(self) -> Recipe:
        """Of all together: it does not say how many shards they were."""
        split = {} if self.as_of else {"split": self.spec.split.model_dump(mode="json")}
        return self._recipe("merge_sequences", split, "pipelines.stages.build_sequences")

    def _recipe(self, stage: str, further: dict[str, Any], *modules: str) -> Recipe:
        spec = self.spec
        config = {"domain": spec.domain, "records": spec.records.model_dump(mode="json")}
        moment = {"as_of": self.as_of.isoformat()} if self.as_of else {}
        return recipe_of(
            stage,
            config=config | moment | further,
            inputs=self.inputs,
            libraries=(*CORE_LIBRARIES, *load_domain(spec.domain).LIBRARIES),
            modules=(source_module(spec.domain), *modules),
        )
