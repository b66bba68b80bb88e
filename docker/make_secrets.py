"""``make_secrets.py FOLDER [--tls]``: the secrets of a cluster, each in a file of its own.

A password or key is made once: a second call keeps it, and writes anew the addresses that contain
it. To change one, remove its file, call again, start ``init`` and then the services. ``--tls``
writes addresses that refuse a server without the certificate of ``/run/tls/ca.crt``.

The files are readable by their owner alone, who must be the user of the containers: this user
(``EQUIPOISE_UID``), or user 50000 where root calls. Nothing is printed but names.
"""

import argparse
import hashlib
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

CONTAINER_USER = 50000
PASSWORDS = ("superuser", "metadata", "predictions", "backup", "broker", "object_store")
STORE_USER = "equipoise"
KEYS = ("fernet_key", "secret_key", "jwt_secret")
VERIFIED_DATABASE = "?sslmode=verify-full&sslrootcert=/run/tls/ca.crt"
VERIFIED_BROKER = "?ssl_cert_reqs=required&ssl_ca_certs=/run/tls/ca.crt"
READABLE_BY_OWNER = 0o600


def main(arguments: list[str] | None = None) -> None:
    """Make what is missing and write what follows from it."""
    parser = argparse.ArgumentParser(prog="make_secrets.py", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tls", action="store_true")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [f"{name}_password" for name in PASSWORDS] + list(KEYS)
    known = {name: _kept(asked.folder / name) for name in made}
    for name, text in _derived(known, tls=asked.tls).items():
        _write(asked.folder / name, text)
    _own(asked.folder)
    print(f"{len(list(asked.folder.iterdir()))} files in {asked.folder}")
    if os.geteuid() not in (0, CONTAINER_USER):
        print(f"Start the services with EQUIPOISE_UID={os.geteuid()}")


def _derived(known: Mapping[str, str], *, tls: bool) -> dict[str, str]:
    database = VERIFIED_DATABASE if tls else ""
    broker, scheme = (VERIFIED_BROKER, "rediss") if tls else ("", "redis")
    metadata = f"airflow:{known['metadata_password']}@postgres:5432/airflow{database}"
    return {
        "superuser_url": f"postgresql://postgres:{known['superuser_password']}"
        f"@postgres:5432/postgres{database}",
        # psycopg both ways: the asynchronous driver that is the default knows no sslmode.
        "metadata_url": f"postgresql+psycopg://{metadata}",
        "result_backend_url": f"db+postgresql+psycopg://{metadata}",
        "predictions_url": f"postgresql://pipeline:{known['predictions_password']}"
        f"@postgres:5432/equipoise{database}",
        "backup_url": f"postgresql://backup:{known['backup_password']}"
        f"@postgres:5432/equipoise{database}",
        "broker_url": f"{scheme}://equipoise:{known['broker_password']}@broker:6379/0{broker}",
        "broker_users": _broker_users(known["broker_password"]),
        "object_store_credentials": f"[default]\naws_access_key_id = {STORE_USER}\n"
        f"aws_secret_access_key = {known['object_store_password']}\n",
        "object_store_users": _store_users(known["object_store_password"]),
    }


def _broker_users(password: str) -> str:
    digest = hashlib.sha256(password.encode()).hexdigest()
    # Who gives no name may ask whether the broker lives, and nothing else.
    return f"user default on nopass -@all +ping\nuser equipoise on #{digest} ~* &* +@all -@admin\n"


def _store_users(password: str) -> str:
    credentials = {"accessKey": STORE_USER, "secretKey": password}
    user = {"name": STORE_USER, "credentials": [credentials], "actions": ["Admin"]}
    return json.dumps({"identities": [user]})


def _kept(file: Path) -> str:
    if not file.exists():
        # 32 bytes in URL-safe base64 are what a Fernet key is.
        text = urlsafe_b64encode(secrets.token_bytes(32)).decode()
        # The sign of equality of a key has a meaning of its own in an address.
        _write(file, text if file.name in KEYS else text.rstrip("="))
    return file.read_text()


def _write(file: Path, text: str) -> None:
    """Write a file that its owner alone can read, at no moment wider."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.replace(file)


def _own(folder: Path) -> None:
    """Give all to the user of the containers, where that is in one's power."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, CONTAINER_USER, 0)


if __name__ == "__main__":
    main()
