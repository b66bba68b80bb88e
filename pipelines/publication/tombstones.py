"""The tombstone of an erased subject: a keyed hash, which this installation alone can match.

The key is the study's own, made from the installation's, and stays when that one rotates.
PostgreSQL is lent it for one erasure, so that its function hashes the subject by itself, and keeps
no more of it than its sha256.
"""

import hashlib
import hmac

import polars as pl

from pipelines.pseudonyms import lost_secret, pseudonym_key, read_secret, retired_keys, write_first
from pipelines.releases import require_study_name
from pipelines.settings import settings


def subject_hash(study: str, subject_id: int) -> str:
    """64 hex digits: HMAC-SHA256 under the installation's own key, also for public records.

    Raises:
        SecretMissing: the key is readable by others, or is no key.
    """
    return _hash(tombstone_key(study), subject_id)


def tombstone_key(study: str, *, was_used: bool = False) -> bytes:
    """32 bytes: HMAC-SHA256 of the study's name under the installation's own key.

    Made at first use and kept: a rotation of the installation's key does not change it.

    Raises:
        SecretMissing: the installation's key is no key; or ``was_used``, and it is gone, or was
            rotated and what was kept is gone.
        StoreLocked: another process kept the folder of secrets for half a minute.
    """
    kept = settings().secrets_dir / "tombstones" / f"{require_study_name(study)}.key"
    if not kept.exists():
        if was_used and retired_keys():
            raise lost_secret(kept, "The study's key for tombstones and names is gone.")
        key = pseudonym_key(records_are_public=False, was_used=lambda: was_used)
        made = hmac.digest(key, f"equipoise: tombstones\n{study}".encode(), hashlib.sha256)
        write_first(kept, made)
    return read_secret(kept)


def key_sha256(key: bytes) -> str:
    """By which a key is known again, and not found."""
    return hashlib.sha256(key).hexdigest()


def leave_out(rows: pl.DataFrame, study: str, erased: set[str]) -> pl.DataFrame:
    """The rows (with ``subject_id``) but those of erased subjects; nothing is hashed for none.

    Args:
        erased: the study's ``subject_hash`` of every tombstone.

    Raises:
        SecretMissing: the key that made the tombstones is gone.
    """
    if not erased:
        return rows
    key = tombstone_key(study, was_used=True)
    stays = [_hash(key, subject) not in erased for subject in rows["subject_id"]]
    return rows.filter(pl.Series(stays, dtype=pl.Boolean))


def _hash(key: bytes, subject_id: int) -> str:
    return hmac.digest(key, str(subject_id).encode(), hashlib.sha256).hex()
