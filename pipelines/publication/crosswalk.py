"""The way back from pseudonym to source id: its own file, for its owner alone."""

from pathlib import Path

import polars as pl

from pipelines.durable import only_writer, private_folder, replaced_privately
from pipelines.errors import SourceInvalid, SourceMissing
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.tombstones import leave_out
from pipelines.releases import require_study_name
from pipelines.settings import Settings

COLUMNS: dict[str, pl.DataType] = {"subject_id": pl.Int64(), "source_id": pl.String()}
# As long as the 64 shards of the largest source take that are ingested at once, one by one.
LOCK_WAIT_SECONDS = 600.0


def write_crosswalk(study: str, frame: pl.DataFrame, settings: Settings) -> Path:
    """Add the pairs of ``frame`` (subject_id, source_id) to the study's crosswalk.

    Pairs of earlier days stay: a subject who left the source was published nonetheless. A subject
    who was erased is left out, as long as the source may still name them.

    Raises:
        SourceInvalid: a pseudonym has two source ids, a source id two pseudonyms, or one is null.
        StoreLocked: another process kept the crosswalk for ten minutes.
    """
    path = _path(study, settings)
    PublicationFolders(settings.publication_dir).make_private()
    private_folder(path.parent)
    with only_writer(path.parent / ".lock", LOCK_WAIT_SECONDS):
        pairs = frame.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
        if path.exists():
            pairs = pl.concat([pl.read_parquet(path), pairs])
        pairs = leave_out(pairs, study, _erased(path)).unique().sort("subject_id", "source_id")
        _require_one_to_one(pairs, path)
        _write(pairs, path)
    return path


def forget_pair(study: str, subject_id: int, hashed: str, settings: Settings) -> None:
    """Remove the subject's pair for good: the tombstone ``hashed`` keeps it from coming back.

    Raises:
        StoreLocked: another process kept the crosswalk for ten minutes.
    """
    path = _path(study, settings)
    PublicationFolders(settings.publication_dir).make_private()
    private_folder(path.parent)
    with only_writer(path.parent / ".lock", LOCK_WAIT_SECONDS):
        erased = sorted({*_erased(path), hashed})
        with replaced_privately(_tombstones(path)) as stream:
            stream.write("\n".join(erased).encode())
        if path.exists():
            _write(pl.read_parquet(path).filter(pl.col("subject_id") != subject_id), path)


def _erased(path: Path) -> set[str]:
    """The tombstones of those whose pairs were removed."""
    file = _tombstones(path)
    return set(file.read_text(encoding="utf-8").split()) if file.exists() else set()


def _tombstones(path: Path) -> Path:
    return path.with_suffix(".erased")


def lacks_pairs(study: str, subject_ids: pl.Series, settings: Settings) -> bool:
    """Whether one of these subjects, who was not erased, has no pair in the study's crosswalk."""
    path = _path(study, settings)
    missing = subject_ids.alias("subject_id").to_frame()
    if path.exists():
        missing = missing.join(pl.read_parquet(path), on="subject_id", how="anti")
    return leave_out(missing, study, _erased(path)).height > 0


def has_crosswalk(study: str, settings: Settings) -> bool:
    """Whether the study has a crosswalk."""
    return _path(study, settings).exists()


def crosswalk_studies(settings: Settings) -> list[str]:
    """The studies that have a crosswalk, by name."""
    return sorted(file.stem for file in _folder(settings).glob("[!.]*.parquet"))


def read_crosswalk(study: str, settings: Settings) -> pl.DataFrame:
    """The pairs (subject_id i64, source_id str) of a study, by subject_id.

    Raises:
        SourceMissing: the study has no crosswalk.
    """
    path = _path(study, settings)
    if not path.exists():
        raise SourceMissing(
            f"{study} has no crosswalk.",
            where=str(path),
            remedy=f"It is written when events are ingested: equipoise run {study}",
        )
    return pl.read_parquet(path)


def _path(study: str, settings: Settings) -> Path:
    return _folder(settings) / f"{require_study_name(study)}.parquet"


def _folder(settings: Settings) -> Path:
    return PublicationFolders(settings.publication_dir).private / "crosswalk"


def _require_one_to_one(pairs: pl.DataFrame, path: Path) -> None:
    for column in COLUMNS:
        broken = pairs.height - pairs[column].drop_nulls().n_unique()
        if broken:
            raise SourceInvalid(
                f"{broken} pairs of the crosswalk have a {column} that is null or not unique.",
                where=str(path),
                remedy="Look for another pseudonym key or another source under this study's name.",
            )


def _write(pairs: pl.DataFrame, path: Path) -> None:
    with replaced_privately(path) as stream:
        pairs.write_parquet(stream)
