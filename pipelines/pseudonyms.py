"""Pseudonyms: a keyed HMAC of the source's id, so that nobody without the key can go back."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.durable import (
    PRIVATE_FILE_MODE,
    fsync_path,
    new_private_file,
    only_writer,
    private_folder,
    rename_into_place,
)
from pipelines.errors import SecretMissing
from pipelines.restoring import require_restored
from pipelines.settings import settings

KEY_BYTES = 32
LOCK_WAIT_SECONDS = 30.0
KEY_FILE = "pseudonym.key"
RETIRED_FILE = "pseudonym.retired"
# Not a secret: for records that anyone can download, a shared key lets figures be repeated.
PUBLISHED_KEY = hashlib.sha256(b"equipoise: pseudonyms of public records").digest()


def pseudonyms(ids: pl.Series, key: bytes) -> pl.Series:
    """int64 >= 0: the first 63 bits of HMAC-SHA256 of each id (RFC 2104)."""
    unique = ids.unique()
    numbers = [
        int.from_bytes(hmac.digest(key, str(source_id).encode(), "sha256")[:8], "big") >> 1
        for source_id in unique
    ]
    if not numbers:  # Polars would keep the type of the names
        return ids.cast(pl.Int64)
    return ids.replace_strict(unique, pl.Series(numbers, dtype=pl.Int64), return_dtype=pl.Int64)


def key_fingerprint(key: bytes) -> str:
    """16 hex digits that tell two keys apart and lead back to neither."""
    return hashlib.sha256(key).hexdigest()[:16]


def pseudonym_key(records_are_public: bool, was_used: Callable[[], bool] = lambda: False) -> bytes:
    """The key of this installation, made at first use and readable by its owner alone.

    Args:
        records_are_public: take the published key.
        was_used: asked where there is no key: whether pseudonyms of one are kept already.

    Raises:
        SecretMissing: the key was used and is gone, is readable by others, or is no key.
        StoreLocked: another process kept the folder of secrets for half a minute.
        BackupInvalid: a restore into the home was begun and did not end.
    """
    require_restored(settings().home)
    if records_are_public:
        return PUBLISHED_KEY
    path = settings().secrets_dir / KEY_FILE
    if not _is_written(path):
        if was_used():
            raise lost_secret(
                path, "The pseudonym key is gone, and pseudonyms made with it are kept."
            )
        _make_key(path)
    return read_secret(path)


def replace_key() -> tuple[str, str]:
    """Put a new key in the place of the installation's; fingerprints of the old and the new.

    The old key is gone with the rename. Killed at any moment, the old key or the new one is whole.

    Raises:
        SecretMissing: there is no key, or it is none.
        StoreLocked: another process kept the folder of secrets for half a minute.
    """
    path = settings().secrets_dir / KEY_FILE
    if not _is_written(path):
        raise SecretMissing(
            "There is no pseudonym key that could be rotated.",
            where=str(path),
            remedy="Nothing is to be done: the key is made at first use.",
        )
    with only_writer(path.parent / ".lock", LOCK_WAIT_SECONDS):
        old, new = pseudonym_key(records_are_public=False), secrets.token_bytes(KEY_BYTES)
        # First the note, then the key: a retired key that is in use still is none.
        kept = [*_retired(), key_fingerprint(old)]
        write_secret(path.with_name(RETIRED_FILE), "\n".join(dict.fromkeys(kept)).encode())
        write_secret(path, new)
    return key_fingerprint(old), key_fingerprint(new)


def retired_keys() -> tuple[str, ...]:
    """Fingerprints of the keys that were rotated away, oldest first."""
    path = settings().secrets_dir / KEY_FILE
    current = key_fingerprint(path.read_bytes()) if path.exists() else ""
    return tuple(key for key in _retired() if key != current)


def read_secret(path: Path) -> bytes:
    """The key in ``path``.

    Raises:
        SecretMissing: it is no key, or others than its owner can read it.
    """
    if path.stat().st_mode & 0o077 or path.stat().st_size != KEY_BYTES:
        raise lost_secret(path, f"A key must be {KEY_BYTES} bytes that only its owner can read.")
    return path.read_bytes()


def write_first(path: Path, content: bytes) -> None:
    """Write a secret, unless another process was first: then that one's is the secret.

    Raises:
        StoreLocked: another process kept the folder of secrets for half a minute.
    """
    private_folder(path.parent)
    with only_writer(settings().secrets_dir / ".lock", LOCK_WAIT_SECONDS):
        if not path.exists():
            write_secret(path, content)


def write_secret(path: Path, content: bytes) -> None:
    """Put a whole, synced file that only its owner can read in the place of ``path``."""
    rename_into_place(_draft(path, content), path, PRIVATE_FILE_MODE)


def _retired() -> list[str]:
    path = settings().secrets_dir / RETIRED_FILE
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def _is_written(path: Path) -> bool:
    """An empty file is what a process left that was killed while it made a key."""
    return path.exists() and path.stat().st_size > 0


def _make_key(path: Path) -> None:
    """Link a whole, synced draft into place: the key is there to stay, or is not there."""
    private_folder(path.parent)
    with only_writer(path.parent / ".lock", LOCK_WAIT_SECONDS):
        if _is_written(path):
            return  # another process was first: its key is the key
        path.unlink(missing_ok=True)
        draft = _draft(path, secrets.token_bytes(KEY_BYTES))
        os.link(draft, path)
        draft.unlink()
        fsync_path(path.parent)
        fsync_path(path.parent.parent)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.parent / f".draft-{path.name}"
    draft.unlink(missing_ok=True)
    with new_private_file(draft) as stream:
        stream.write(content)
    fsync_path(draft)
    return draft


def lost_secret(path: Path, cause: str) -> SecretMissing:
    """What is said of a key that cannot be made again."""
    return SecretMissing(
        cause,
        where=str(path),
        remedy="Restore it from the backup and run `chmod 600` on it. A new key would give "
        "every subject a new pseudonym.",
    )
