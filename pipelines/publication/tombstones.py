"""The tombstone of an erased subject: a keyed hash, which this installation alone can match."""

import hashlib
import hmac

import polars as pl

from pipelines.pseudonyms import pseudonym_key


def subject_hash(study: str, subject_id: int) -> str:
    """64 hex digits: HMAC-SHA256 under the installation's own key, also for public records.

    Raises:
        SecretMissing: the key is readable by others, or is no key.
    """
    return _hash(_key(), study, subject_id)


def leave_out(rows: pl.DataFrame, study: str, erased: set[str]) -> pl.DataFrame:
    """The rows (with ``subject_id``) but those of erased subjects; nothing is hashed for none.

    Args:
        erased: the study's ``subject_hash`` of every tombstone.

    Raises:
        SecretMissing: the key that made the tombstones is gone.
    """
    if not erased:
        return rows
    key = _key(was_used=True)
    stays = [_hash(key, study, subject) not in erased for subject in rows["subject_id"]]
    return rows.filter(pl.Series(stays, dtype=pl.Boolean))


def _key(*, was_used: bool = False) -> bytes:
    return pseudonym_key(records_are_public=False, was_used=lambda: was_used)


def _hash(key: bytes, study: str, subject_id: int) -> str:
    said = f"equipoise: tombstone\n{study}\n{subject_id}".encode()
    return hmac.digest(key, said, hashlib.sha256).hex()
