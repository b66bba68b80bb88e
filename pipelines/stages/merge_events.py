"""merge_events: the tables of all shards of a source become one artefact."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import load_domain
from pipelines.errors import SourceInvalid
from pipelines.event_store import FOLDER, SUBJECTS, event_files
from pipelines.events import crosswalk_of
from pipelines.ingested_tables import QUARANTINE, read_accounts, read_source_rows, write_tables
from pipelines.publication.crosswalk import lacks_pairs, write_crosswalk
from pipelines.row_accounts import added_up, require_all_rows
from pipelines.settings import settings
from pipelines.shards import WHOLE, shards
from pipelines.stage import run_stage, store
from pipelines.stages.ingest_events import Source, pseudonymise_of
from pipelines.study import Study, load_study


def merge_events(study: str, parts: list[str]) -> str:
    """Put the tables of all shards together; whether 1 or 64, the bytes are the same.

    Args:
        parts: the key of each shard's tables, in any order.

    Raises:
        SourceInvalid: the parts are not all shards of the source as it is now, or rows are lost.
    """
    spec = load_study(study)
    source = Source.of(spec)
    artefact = run_stage(study, source.merged(), lambda draft: _write(source, parts, draft))
    _keep_way_back(spec, artefact.path)
    return artefact.key


def recipe_for(study: str) -> Recipe:
    """What decides the tables: as of their shards, whatever their number."""
    return Source.of(load_study(study)).merged()


def _write(source: Source, parts: list[str], draft: Path) -> Counts:
    folders = [store().open(key) for key in _in_order(source, parts)]
    (draft / FOLDER).mkdir()
    for folder in folders:
        for file in event_files(folder).values():
            _link(file, draft / FOLDER / file.name)
    accounts = added_up(read_accounts(folder) for folder in folders)
    for folder in folders:
        require_all_rows(accounts, read_source_rows(folder))
    return write_tables(
        draft,
        pl.concat([pl.read_parquet(folder / SUBJECTS) for folder in folders]),
        pl.concat([pl.read_parquet(folder / QUARANTINE) for folder in folders]),
        accounts,
    )


def _in_order(source: Source, parts: list[str]) -> list[str]:
    """The parts in the order of their subjects, if they are the shards of the source as it is."""
    keys = [source.shard(shard).key for shard in shards(len(parts))]
    if sorted(parts) != sorted(keys):
        raise SourceInvalid(
            f"The {len(parts)} parts to merge are not the {len(parts)} shards of the source.",
            where=f"{source.spec.name}, merge_events",
            remedy="If the source or the study changed while it was read, run the flow again.",
        )
    return keys


def _link(file: Path, target: Path) -> None:
    """One file under two names: neither memory nor disk is needed. A copy where there are none."""
    try:
        os.link(file, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(file, target)


def _keep_way_back(spec: Study, folder: Path) -> None:
    """Where tables are reused and pairs of the crosswalk are gone, the source makes them again."""
    subjects = pl.read_parquet(folder / SUBJECTS, columns=["subject_id"])["subject_id"]
    if not lacks_pairs(spec.name, subjects, settings()):
        return
    domain, pseudonymise = load_domain(spec.domain), pseudonymise_of(spec)
    with TemporaryDirectory(dir=folder.parent, prefix=".draft-") as work:
        parts = domain.record_parts(spec.records, WHOLE, pseudonymise, Path(work))
        pairs = pl.concat([crosswalk_of(records, pseudonymise) for records in parts])
    write_crosswalk(spec.name, pairs, settings())
