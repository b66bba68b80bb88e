"""Who has a pseudonym keeps it when the key rotates: the names of a study are known again.

A name (of a subject, or of a set that subjects were drawn in) is kept as a keyed hash beside its
pseudonym and the fingerprint of the key that made it; the crosswalk alone holds names in clear. The
hash's key is the one of the study's tombstones, which no rotation changes: an erased person who
stands in the source again gets the old pseudonym, and is left out by it.
"""

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.durable import only_writer, private_folder, replaced_privately
from pipelines.errors import SecretMissing, SourceInvalid
from pipelines.journal import read_entries
from pipelines.pseudonyms import PUBLISHED_KEY, key_fingerprint, pseudonyms, retired_keys
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.tombstones import tombstone_key
from pipelines.releases import require_study_name
from pipelines.settings import settings

SCHEMA: dict[str, pl.DataType] = {
    "name_hash": pl.Binary(),
    "pseudonym": pl.Int64(),
    "key": pl.String(),
}
LOCK_WAIT_SECONDS = 60.0
INGESTING = ("ingest_events", "merge_events")


def pseudonymiser(study: str, key: bytes) -> Callable[[pl.Series], pl.Series]:
    """What gives each name of a study its pseudonym: the one it has, else a new one by ``key``.

    Several processes may ask at once: who is first decides, and all get the same. Names of public
    records are never kept: their key is published, and stays.

    The function raises:
        SourceInvalid: two names share a pseudonym.
        SecretMissing: a key was rotated and the names that were known before are gone.
        StoreLocked: another process kept the names for a minute.
    """
    if key == PUBLISHED_KEY:
        return lambda names: pseudonyms(names, key)
    return lambda names: _known_or_new(study, key, names)


def first_key(study: str, key: bytes) -> str:
    """Fingerprint of the key that the study's names began with; a rotation does not change it.

    With the same source it decides every pseudonym, and so it belongs into the recipe.
    """
    if key == PUBLISHED_KEY:
        return key_fingerprint(key)
    known = _read(study)
    return str(known["key"][0]) if known.height else key_fingerprint(key)


def unknown_names(study: str, names: pl.Series) -> int:
    """How many of ``names`` a rotation would give another pseudonym."""
    return _hashed(study, names).join(_read(study), on="name_hash", how="anti").height


def _known_or_new(study: str, key: bytes, names: pl.Series) -> pl.Series:
    if names.is_empty():  # Polars would keep the type of the names
        return names.cast(pl.Int64)
    hashed = _hashed(study, names.unique())
    known = _read(study)
    if hashed.join(known, on="name_hash", how="anti").height:
        known = _remember(study, key, hashed)
    found = hashed.join(known, on="name_hash", how="left")
    return names.replace_strict(found["name"], found["pseudonym"], return_dtype=pl.Int64)


def _remember(study: str, key: bytes, hashed: pl.DataFrame) -> pl.DataFrame:
    """All names that are known, those of ``hashed`` that were not with a pseudonym by ``key``."""
    path = _path(study)
    PublicationFolders(settings().publication_dir).make_private()
    private_folder(path.parent)
    with only_writer(path.parent / ".names.lock", LOCK_WAIT_SECONDS):
        known = _read(study)
        new = hashed.join(known, on="name_hash", how="anti").sort("name_hash")
        if new.is_empty():
            return known  # another process was first
        given = new.select(
            "name_hash",
            pseudonym=pseudonyms(new["name"], key),
            key=pl.lit(key_fingerprint(key)),
        )
        known = pl.concat([known, given])
        if known["pseudonym"].n_unique() < known.height:
            raise SourceInvalid(
                "Two names of the source share a pseudonym.",
                where=f"the names of {study}",
                remedy="Rotate the pseudonym key and run again: equipoise rotate-key",
            )
        with replaced_privately(path) as stream:
            known.write_parquet(stream)
    return known


def _read(study: str) -> pl.DataFrame:
    path = _path(study)
    if path.exists():
        return pl.read_parquet(path)
    if retired_keys() and any(entry.stage in INGESTING for entry in read_entries(study)):
        raise SecretMissing(
            "The names that were known before the pseudonym key was rotated are gone.",
            where=str(path),
            remedy="Restore the file from the backup. Without it every subject would get a new "
            "pseudonym.",
        )
    return pl.DataFrame(schema=SCHEMA)


def _hashed(study: str, names: pl.Series) -> pl.DataFrame:
    """``name`` and ``name_hash``: 16 bytes of an HMAC that no rotation changes."""
    kept = tombstone_key(study, was_used=_path(study).exists())
    key = hmac.digest(kept, b"equipoise: names", hashlib.sha256)
    texts = names.cast(pl.String).to_list()
    hashes = [hmac.digest(key, str(text).encode(), "sha256")[:16] for text in texts]
    return pl.DataFrame({"name": names, "name_hash": pl.Series(hashes, dtype=pl.Binary)})


def _path(study: str) -> Path:
    private = PublicationFolders(settings().publication_dir).private
    return private / "crosswalk" / f"{require_study_name(study)}.names"
