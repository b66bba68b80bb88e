"""What decides scores: those of one shard, and those of all as they are merged."""

from dataclasses import dataclass
from typing import Any, Self

from models.compression.registry import FORM_MODULES
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Recipe
from pipelines.domains import load_domain, source_module
from pipelines.provenance import standing_release
from pipelines.releases import Release
from pipelines.shards import Shard
from pipelines.stage import recipe_of
from pipelines.study import Study, load_study


@dataclass(frozen=True)
class ScoreRecipes:
    """The recipes of one study, its release, and the sequences that are scored."""

    spec: Study
    release: Release
    sequences: str

    @classmethod
    def of(cls, study: str, sequences: str) -> Self:
        """
        Raises:
            NoRelease: no release stands that the study as it is now may use.
            ArtefactCorrupt: the released model is not the one that was audited.
        """
        spec = load_study(study)
        return cls(spec, standing_release(spec), sequences)

    @property
    def inputs(self) -> dict[str, str]:
        """The artefacts that are read, by name."""
        return {
            "sequences": self.sequences,
            "model": self.release.model_key,
            "trained_on": self.release.sequences_key,
            "audit": self.release.audit_key,
        }

    def shard(self, shard: Shard) -> Recipe:
        """Of one shard."""
        return self._recipe("score_subjects", {"shard": str(shard)})

    def merged(self) -> Recipe:
        """Of all together: it does not say how many shards they were."""
        return self._recipe("merge_scores", {}, "pipelines.stages.score_subjects")

    def _recipe(self, stage: str, further: dict[str, Any], *modules: str) -> Recipe:
        spec, release = self.spec, self.release
        config = {
            "release_id": release.release_id,
            "domain": spec.domain,
            "records": spec.records.model_dump(mode="json"),
            "split": spec.split.kind,
        }
        own = load_domain(spec.domain).LIBRARIES
        return recipe_of(
            stage,
            config=config | further,
            inputs=self.inputs,
            libraries=("polars", "numpy", "torch", "onnxruntime", "torchao", *own),
            modules=(
                "models.bucket_scoring",
                *FORM_MODULES,
                *ENCODER_MODULES,
                source_module(spec.domain),
                *modules,
            ),
            device="cpu",  # see scores_of_shard
        )
