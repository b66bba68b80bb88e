"""``make_secrets.py FOLDER [--env .env]``: the secrets of a cluster, each in a file of its own.

A password or key is made once: a second call keeps it, and writes anew the addresses that contain
it. To change one, remove its file (``…_password``, ``…_key``, ``jwt_secret``: docs/deployment.md),
call again, start ``init`` and then the services. ``--tls`` writes addresses that refuse a server
without the certificate of ``/run/tls/ca.crt``; later calls remember it, until ``--no-tls``.

The files are readable by their owner alone, who must be the user of the containers: this user
(``EQUIPOISE_UID``), or user 50000 where root calls. ``--env`` writes what else the cluster is made
of, once. Nothing is printed but names.
"""

import argparse
import hashlib
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from environment_file import agrees, shape, write_once

CONTAINER_USER = 50000
PASSWORDS = ("superuser", "metadata", "results", "predictions", "backup", "broker", "object_store")
STORE_USER = "equipoise"
CREDENTIALS = "object_store_credentials"
KEYS = ("fernet_key", "secret_key", "jwt_secret")
VERIFIED_DATABASE = "?sslmode=verify-full&sslrootcert=/run/tls/ca.crt"
VERIFIED_BROKER = "?ssl_cert_reqs=required&ssl_ca_certs=/run/tls/ca.crt"
READABLE_BY_OWNER = 0o600


def main(arguments: list[str] | None = None) -> None:
    """Make what is missing and write what follows from it."""
    asked = _asked(arguments)
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tls = _speaks_tls(folder) if asked.tls is None else asked.tls
    _take_back_superuser(folder)
    before = {file.name for file in folder.iterdir()}
    made = [f"{name}_password" for name in PASSWORDS] + list(KEYS)
    known = {name: _kept(folder / name) for name in made}
    for name, text in _derived(known, tls=tls).items():
        if name != CREDENTIALS or _are_ours(folder / name):
            _write(folder / name, text)
    _own(folder)
    print(f"new: {', '.join(sorted(known.keys() - before)) or 'nothing'}")
    print(f"{len(list(folder.iterdir()))} files in {folder}, {'with' if tls else 'without'} TLS")
    if asked.env:
        _remember(asked, tls=tls)
    elif _owner() != CONTAINER_USER:
        print(f"Start the services with EQUIPOISE_UID={_owner()}")


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make_secrets.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="of the secrets: EQUIPOISE_SECRETS")
    parser.add_argument(
        "--tls", action=argparse.BooleanOptionalAction, help="default: as the folder has it"
    )
    parser.add_argument(
        "--env", type=Path, metavar="FILE", help="the .env beside the compose files"
    )
    parser.add_argument("--gpu", action="store_true", help="name docker-compose.gpu.yml in it")
    parser.add_argument("--s3", action="store_true", help="name the profile s3 in it")
    asked = parser.parse_args(arguments)
    if (asked.gpu or asked.s3) and not asked.env:
        parser.error("--gpu and --s3 are told to the file that --env names")
    return asked


def _remember(asked: argparse.Namespace, *, tls: bool) -> None:
    """Write the cluster's shape where none is written; where one is, say whether it fits."""
    found = shape(asked.folder, _owner(), os.environ, tls=tls, gpu=asked.gpu, s3=asked.s3)
    try:
        written = write_once(asked.env, found)
    except ValueError as error:
        raise SystemExit(f"{error}; unset it, or write it there another way.") from None
    print(f"{asked.env}: {'written' if written else 'was there, and is kept as it is'}")
    if not agrees(asked.env, tls=tls):
        change = "add docker-compose.prod.yml to" if tls else "take docker-compose.prod.yml out of"
        print(f"{asked.env} does not fit these secrets: {change} its COMPOSE_FILE.")


def _speaks_tls(folder: Path) -> bool:
    """Whether the addresses that stand there ask for TLS; those of a new folder do not."""
    addresses = [file.read_text() for file in folder.glob("*_url")]
    return any(VERIFIED_DATABASE in text or VERIFIED_BROKER in text for text in addresses)


def _derived(known: Mapping[str, str], *, tls: bool) -> dict[str, str]:
    database = VERIFIED_DATABASE if tls else ""
    broker, scheme = (VERIFIED_BROKER, "rediss") if tls else ("", "redis")
    metadata = f"airflow:{known['metadata_password']}@postgres:5432/airflow{database}"
    # Workers note there what came of a task, with a login that sees no other table.
    results = f"results:{known['results_password']}@postgres:5432/airflow{database}"
    return {
        "superuser_url": f"postgresql://postgres:{known['superuser_password']}"
        f"@postgres:5432/postgres{database}",
        # psycopg both ways: the asynchronous driver that is the default knows no sslmode.
        "metadata_url": f"postgresql+psycopg://{metadata}",
        "result_backend_url": f"db+postgresql+psycopg://{results}",
        "predictions_url": f"postgresql://pipeline:{known['predictions_password']}"
        f"@postgres:5432/equipoise{database}",
        "backup_url": f"postgresql://backup:{known['backup_password']}"
        f"@postgres:5432/equipoise{database}",
        "broker_url": f"{scheme}://equipoise:{known['broker_password']}@broker:6379/0{broker}",
        "broker_users": _broker_users(known["broker_password"]),
        CREDENTIALS: f"[default]\naws_access_key_id = {STORE_USER}\n"
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


def _are_ours(credentials: Path) -> bool:
    """Whether the credentials are of the profile's own store: another store's are not ours."""
    ours = f"aws_access_key_id = {STORE_USER}\n"
    return not credentials.exists() or ours in credentials.read_text()


def _kept(file: Path) -> str:
    if not file.exists():
        _write(file, _made(file.name))
    # One that was written by hand ends with a line's end, which is not part of it.
    return file.read_text().strip()


def _made(name: str) -> str:
    # 32 bytes in URL-safe base64 are what a Fernet key is.
    text = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    # The sign of equality of a key has a meaning of its own in an address.
    return text if name in KEYS else text.rstrip("=")


def _take_back_superuser(folder: Path) -> None:
    """A password that was removed, out of its address: the server goes on asking for that one."""
    file, address = folder / "superuser_password", folder / "superuser_url"
    if address.exists() and not file.exists():
        _write(file, urlsplit(address.read_text()).password or "")


def _write(file: Path, text: str) -> None:
    """Write a file that its owner alone can read, at no moment wider."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.replace(file)


def _owner() -> int:
    """Who owns the files, and runs the containers."""
    return os.geteuid() or CONTAINER_USER


def _own(folder: Path) -> None:
    """Give all to the user of the containers, where that is in one's power."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, _owner(), 0)


if __name__ == "__main__":
    main()
