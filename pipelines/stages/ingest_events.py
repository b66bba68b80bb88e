"""ingest_events: source files become the event, subject and quarantine tables of a shard."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import load_domain, source_module
from pipelines.errors import SourceInvalid, StudyInvalid
from pipelines.event_store import write_events
from pipelines.events import Pseudonymise, ingest
from pipelines.ingested_tables import write_source_rows, write_tables
from pipelines.pseudonyms import pseudonym_key
from pipelines.publication.crosswalk import has_crosswalk, write_crosswalk
from pipelines.publication.known_names import first_key, pseudonymiser
from pipelines.row_accounts import Place, added_up
from pipelines.settings import settings
from pipelines.shard_parts import run_shard
from pipelines.shards import WHOLE, Shard
from pipelines.stage import CORE_LIBRARIES, recipe_of, store
from pipelines.study import Study, load_study

# Rows that do not fit memory; it is gone before the artefact is whole.
WORK = "work"


def ingest_events(study: str, shard: str = str(WHOLE)) -> str:
    """Read the study's source, judge every row of a shard's subjects, keep what is sound.

    Where the tables of all shards are there already, it is their key that is returned.

    Args:
        shard: such as ``2/8``: the third of eight.

    Raises:
        SourceMissing: the source is not there.
        SourceInvalid: the source is not what the study describes, or changed while it was read.
        SecretMissing: the pseudonym key is gone, and pseudonyms made with it are kept.
        StudyInvalid: the words name no shard, or the study's domain has one alone.
    """
    spec = load_study(study)
    of = Shard.read(shard)
    if of != WHOLE and not load_domain(spec.domain).CAN_BE_SHARDED:
        raise StudyInvalid(
            f"The domain {spec.domain} cannot be cut into shards.",
            where=f"{study}, shard {shard}",
            remedy="Ingest it whole: shard 0/1.",
        )
    source = Source.of(spec)
    return run_shard(study, source, of, lambda draft: _write(source, of, draft))


def recipe_for(study: str, shard: str = str(WHOLE)) -> Recipe:
    """What decides a shard's tables: as ``Source``, and which shard it is."""
    return Source.of(load_study(study)).shard(Shard.read(shard))


@dataclass(frozen=True)
class Source:
    """What decides the tables: source files, the domain's section, readers, rules, and the key."""

    spec: Study
    files: Mapping[str, str]

    @classmethod
    def of(cls, spec: Study) -> Self:
        """Reads the source's files for their fingerprints."""
        files = load_domain(spec.domain).fingerprint(spec.records)
        key = first_key(spec.name, _key(spec))
        return cls(spec, {**files, "pseudonym key": key})

    def shard(self, shard: Shard) -> Recipe:
        """The recipe of a shard's tables."""
        return self._recipe("ingest_events", {"shard": str(shard)})

    def merged(self) -> Recipe:
        """The recipe of the tables of all shards: it says nothing of how many they were."""
        return self._recipe("merge_events", {}, "pipelines.stages.ingest_events")

    def _recipe(self, stage: str, config: dict[str, str], *modules: str) -> Recipe:
        records = self.spec.records.model_dump(mode="json")
        return recipe_of(
            stage,
            config={"domain": self.spec.domain, "records": records} | config,
            inputs={},
            libraries=(*CORE_LIBRARIES, *load_domain(self.spec.domain).LIBRARIES),
            modules=(source_module(self.spec.domain), *modules),
            files=self.files,
        )


def pseudonymise_of(spec: Study) -> Pseudonymise:
    """What gives the names of the study's source their pseudonyms."""
    return pseudonymiser(spec.name, _key(spec))


def _write(source: Source, shard: Shard, draft: Path) -> Counts:
    spec = source.spec
    domain, pseudonymise = load_domain(spec.domain), pseudonymise_of(spec)
    subjects, quarantine, pairs, accounts = [], [], [], []
    source_rows: Mapping[Place, int] = {}
    for records in domain.record_parts(spec.records, shard, pseudonymise, draft / WORK):
        ingested = ingest(records, pseudonymise)
        write_events(draft, ingested.events, shard)
        subjects.append(ingested.subjects)
        quarantine.append(ingested.quarantine)
        pairs.append(ingested.crosswalk)
        accounts.append(ingested.accounts)
        source_rows = records.source_rows
    shutil.rmtree(draft / WORK, ignore_errors=True)
    write_source_rows(draft, source_rows)
    counts = write_tables(draft, pl.concat(subjects), pl.concat(quarantine), added_up(accounts))
    _require_unchanged(source)
    write_crosswalk(spec.name, pl.concat(pairs), settings())
    return counts


def _require_unchanged(source: Source) -> None:
    """The files that were read are those whose hashes are in the recipe."""
    if Source.of(source.spec) != source:
        raise SourceInvalid(
            "A file of the source, or the pseudonym key, changed while it was read.",
            where=f"{source.spec.name}, ingest_events",
            remedy="Run the flow again when the source is whole: nothing of this reading is kept.",
        )


def _key(spec: Study) -> bytes:
    public = spec.records.source.records_are_public
    return pseudonym_key(public, lambda: _key_was_used(spec.name))


def _key_was_used(study: str) -> bool:
    """Whether anything kept here would lose its subjects under a new key.

    The key is the installation's: tables of any study whose records are not public count.
    """
    keys = [key for stage in ("ingest_events", "merge_events") for key in store().keys(stage)]
    recipes = [store().manifest(key)["recipe"] for key in keys]
    return has_crosswalk(study, settings()) or any(
        not recipe["config"]["records"]["source"]["records_are_public"] for recipe in recipes
    )
