"""ingest_events: source files become the event, subject and quarantine tables."""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import Domain, load_domain, source_module
from pipelines.durable import PRIVATE_FILE_MODE
from pipelines.event_store import write_events
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import pseudonym_key
from pipelines.publication.crosswalk import has_crosswalk, write_crosswalk
from pipelines.publication.known_names import first_key, pseudonymiser
from pipelines.settings import settings
from pipelines.stage import CORE_LIBRARIES, recipe_of, run_stage, store
from pipelines.study import load_study


def ingest_events(study: str) -> str:
    """Read the study's source, judge every row, and keep what is sound under pseudonyms.

    Raises:
        SourceMissing: the source is not there.
        SourceInvalid: the source is not what the study describes.
        SecretMissing: the pseudonym key is gone, and pseudonyms made with it are kept.
    """
    spec = load_study(study)
    domain = load_domain(spec.domain)
    artefact = run_stage(
        study, recipe_for(study), lambda draft: _write(study, domain, spec.records, draft)
    )
    if not artefact.made and not has_crosswalk(study, settings()):
        # The tables are reused and the way back is gone: it is made again from the source.
        write_crosswalk(study, _ingested(study, domain, spec.records).crosswalk, settings())
    return artefact.key


def recipe_for(study: str) -> Recipe:
    """What decides the tables: source files, the domain's section, readers, rules, and the key."""
    spec = load_study(study)
    files = load_domain(spec.domain).fingerprint(spec.records)
    key = first_key(study, _key(study, spec.records))
    return recipe_of(
        "ingest_events",
        config={"domain": spec.domain, "records": spec.records.model_dump(mode="json")},
        inputs={},
        libraries=(*CORE_LIBRARIES, *load_domain(spec.domain).LIBRARIES),
        modules=(source_module(spec.domain),),
        files={**files, "pseudonym key": key},
    )


def _write(study: str, domain: Domain, config: Any, draft: Path) -> Counts:
    ingested = _ingested(study, domain, config)
    write_events(draft, ingested.events)
    tables = {
        "subjects": ingested.subjects.sort("subject_id"),
        "accounts": pl.DataFrame([account.as_dict() for account in ingested.accounts]).drop(
            "quarantined_by_rule", "reasons"
        ),
    }
    for name, table in tables.items():
        table.write_parquet(draft / f"{name}.parquet")
    _write_for_owner(ingested.quarantine, draft / "quarantine.parquet")
    accounts = [account.as_dict() for account in ingested.accounts]
    (draft / "accounts.json").write_text(json.dumps(accounts, indent=1))
    write_crosswalk(study, ingested.crosswalk, settings())
    return {
        "rows_in": sum(account.rows_in for account in ingested.accounts),
        "accepted": sum(account.accepted for account in ingested.accounts),
        "quarantined": sum(account.quarantined for account in ingested.accounts),
        "duplicates": sum(account.duplicates for account in ingested.accounts),
        "empty": sum(account.empty for account in ingested.accounts),
        "events": ingested.events.height,
        "subjects": ingested.subjects.height,
    }


def _write_for_owner(table: pl.DataFrame, path: Path) -> None:
    """Quarantined rows are the source's own words: nobody else may open them, at no moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        table.write_parquet(stream)


def _key(study: str, config: Any) -> bytes:
    return pseudonym_key(config.source.records_are_public, lambda: _key_was_used(study))


def _key_was_used(study: str) -> bool:
    """Whether anything kept here would lose its subjects under a new key.

    The key is the installation's: tables of any study whose records are not public count.
    """
    manifests = settings().artefacts_dir.glob("ingest_events/[!.]*/manifest.json")
    keys = [f"ingest_events/{manifest.parent.name}" for manifest in manifests]
    recipes = [store().manifest(key)["recipe"] for key in keys]
    return has_crosswalk(study, settings()) or any(
        not recipe["config"]["records"]["source"]["records_are_public"] for recipe in recipes
    )


def _ingested(study: str, domain: Domain, config: Any) -> Ingested:
    return ingest(domain.read_records(config), pseudonymiser(study, _key(study, config)))
