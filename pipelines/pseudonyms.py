"""Pseudonyms: a keyed HMAC of the source's id, so that nobody without the key can go back."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import polars as pl

from pipelines.errors import SecretMissing
from pipelines.settings import settings

KEY_BYTES = 32
# Not a secret: for records that anyone can download, a shared key lets figures be repeated.
PUBLISHED_KEY = hashlib.sha256(b"equipoise: pseudonyms of public records").digest()


def pseudonyms(ids: pl.Series, key: bytes) -> pl.Series:
    """int64 >= 0: the first 63 bits of HMAC-SHA256 of each id (RFC 2104)."""
    unique = ids.unique()
    numbers = [
        int.from_bytes(hmac.digest(key, str(source_id).encode(), "sha256")[:8], "big") >> 1
        for source_id in unique
    ]
    return ids.replace_strict(unique, pl.Series(numbers, dtype=pl.Int64), return_dtype=pl.Int64)


def pseudonym_key(records_are_public: bool) -> bytes:
    """The key of this installation, made at first use and readable by its owner alone.

    Raises:
        SecretMissing: the key file is readable by others or is not a key.
    """
    if records_are_public:
        return PUBLISHED_KEY
    path = settings().secrets_dir / "pseudonym.key"
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077 or path.stat().st_size != KEY_BYTES:
        raise SecretMissing(
            f"The pseudonym key must be {KEY_BYTES} bytes that only its owner can read.",
            where=str(path),
            remedy="Restore it from the backup and run `chmod 600` on it. A new key would give "
            "every subject a new pseudonym.",
        )
    return path.read_bytes()


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
