"""ingest_events: source files become the event, subject and quarantine tables."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import Domain, load_domain, source_module
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import pseudonym_key, pseudonyms
from pipelines.publication.crosswalk import has_crosswalk, write_crosswalk
from pipelines.settings import settings
from pipelines.stage import recipe_of, run_stage
from pipelines.study import load_study


def ingest_events(study: str) -> str:
    """Read the study's source, judge every row, and keep what is sound under pseudonyms."""
    spec = load_study(study)
    domain = load_domain(spec.domain)
    artefact = run_stage(
        study, recipe_for(study), lambda draft: _write(study, domain, spec.records, draft)
    )
    if not artefact.made and not has_crosswalk(study, settings()):
        # The tables are reused and the way back is gone: it is made again from the source.
        write_crosswalk(study, _ingested(domain, spec.records).crosswalk, settings())
    return artefact.key


def recipe_for(study: str) -> Recipe:
    """What decides the tables: the source files, the domain's section, its readers and rules."""
    spec = load_study(study)
    return recipe_of(
        "ingest_events",
        config={"domain": spec.domain, "records": spec.records.model_dump(mode="json")},
        inputs={},
        modules=(source_module(spec.domain),),
        files=load_domain(spec.domain).fingerprint(spec.records),
    )


def _write(study: str, domain: Domain, config: Any, draft: Path) -> Counts:
    ingested = _ingested(domain, config)
    tables = {
        "events": ingested.events,
        "subjects": ingested.subjects,
        "quarantine": ingested.quarantine,
        "accounts": pl.DataFrame([account.as_dict() for account in ingested.accounts]).drop(
            "quarantined_by_rule"
        ),
    }
    for name, table in tables.items():
        table.write_parquet(draft / f"{name}.parquet")
    # Quarantined rows are the source's own words: for their owner's eyes.
    (draft / "quarantine.parquet").chmod(0o600)
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


def _ingested(domain: Domain, config: Any) -> Ingested:
    key = pseudonym_key(config.source.records_are_public)
    return ingest(domain.read_records(config), lambda ids: pseudonyms(ids, key))
