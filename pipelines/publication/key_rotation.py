"""Rotate the pseudonym key: who is known keeps the pseudonym; the old key goes."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.errors import SecretMissing
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms, replace_key
from pipelines.publication.crosswalk import crosswalk_studies, read_crosswalk
from pipelines.publication.known_names import unknown_names
from pipelines.publication.tombstones import tombstone_key
from pipelines.settings import Settings


@dataclass(frozen=True)
class Rotation:
    """Fingerprints of both keys, and how many subjects of each study keep their pseudonyms."""

    retired: str
    current: str
    kept: dict[str, int]


def rotate_key(settings: Settings) -> Rotation:
    """Make a new key; nothing that is published, erased or cached changes by it.

    Raises:
        SecretMissing: there is no key; or a study's names were never kept, so that its subjects
            would get new pseudonyms.
        StoreLocked: another process kept the folder of secrets for half a minute.
    """
    kept = {study: _require_known(study, settings) for study in crosswalk_studies(settings)}
    retired, current = replace_key()
    return Rotation(retired, current, kept)


def _require_known(study: str, settings: Settings) -> int:
    """How many subjects the study has; none of them hangs on the key that is to go."""
    pairs = read_crosswalk(study, settings)
    tombstone_key(study)  # from now on it is kept, if an older version had not kept it
    if not _is_public(pairs) and (missing := unknown_names(study, pairs["source_id"])):
        raise SecretMissing(
            f"{missing:,} subjects of {study} would get new pseudonyms: an older version did not "
            "keep their names.",
            where=str(Path(settings.secrets_dir)),
            remedy=f"Ingest them once with this version, then rotate: equipoise run {study}",
        )
    return pairs.height


def _is_public(pairs: pl.DataFrame) -> bool:
    """Whether the pairs are of records whose key is published, and never rotates."""
    return pseudonyms(pairs["source_id"], PUBLISHED_KEY).equals(pairs["subject_id"])
