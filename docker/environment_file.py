"""The ``.env`` beside the compose files: what a cluster is made of, whatever shell it is called in.

Compose reads it there by itself; a variable of the shell goes before it. It is written once and is
then its owner's to change.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASE, GPU, PROD = (f"docker-compose{each}.yml" for each in ("", ".gpu", ".prod"))
DEFAULT_SECRETS = ROOT / "var" / "cluster" / "secrets"
DEFAULT_STORE = "s3://equipoise/artefacts"
HEADER = """\
# Made once by docker/make_secrets.py; yours to change. It belongs in the backup of keys.
"""
# `${NAME…}`, or a variable that is passed on by its name alone.
TAKEN = re.compile(r"\$\{((?:EQUIPOISE|AWS)_\w+)|^ +((?:EQUIPOISE|AWS)_\w+):$", re.MULTILINE)
PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)
READABLE_BY_OWNER = 0o600


def shape(
    secrets: Path, owner: int, told: Mapping[str, str], *, tls: bool, gpu: bool, s3: bool
) -> dict[str, str]:
    """What to remember: files and profiles, who owns the secrets, and what the shell says.

    Args:
        secrets: the folder of secrets.
        owner: the user of the containers.
        told: the shell's variables; those that a compose file takes are remembered.
    """
    files = [BASE, *([GPU] if gpu else []), *([PROD] if tls else [])]
    found = {
        "COMPOSE_PROJECT_NAME": told.get("COMPOSE_PROJECT_NAME") or _project(ROOT.name),
        "COMPOSE_FILE": ":".join(files),
        "COMPOSE_PROFILES": "s3" if s3 else "",
    }
    if s3:
        found["EQUIPOISE_ARTEFACTS_URL"] = DEFAULT_STORE
    found |= {name: told[name] for name in _taken() if told.get(name)}
    # A relative path goes with the folder; the files' owner is who may read them.
    found["EQUIPOISE_UID"] = str(owner)
    found["EQUIPOISE_SECRETS"] = (
        "./var/cluster/secrets" if secrets.resolve() == DEFAULT_SECRETS else str(secrets.resolve())
    )
    return found


def write_once(file: Path, found: Mapping[str, str]) -> bool:
    """Write the file where there is none, for its owner alone; whether it was written.

    Raises:
        ValueError: a value cannot stand in such a file; it names the variable.
    """
    text = HEADER + "".join(f"{name}={_quoted(name, value)}\n" for name, value in found.items())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    return True


def agrees(file: Path, *, tls: bool) -> bool:
    """Whether the file names docker-compose.prod.yml just where the secrets ask for TLS."""
    named = [line for line in file.read_text().splitlines() if line.startswith("COMPOSE_FILE=")]
    return any(PROD in line for line in named) == tls


def _taken() -> list[str]:
    """Every variable that a compose file takes from the shell."""
    texts = [(ROOT / each).read_text() for each in (BASE, GPU, PROD)]
    return sorted({found[1] or found[2] for text in texts for found in TAKEN.finditer(text)})


def _project(folder: str) -> str:
    """The name that Compose itself gives the volumes of a project in this folder."""
    return re.sub(r"[^-_a-z0-9]", "", folder.lower()).lstrip("-_") or "equipoise"


def _quoted(name: str, value: str) -> str:
    if "'" in value or not value.isprintable():
        raise ValueError(f"{name} holds a quote or a line's end: no .env can say it")
    return value if PLAIN.fullmatch(value) else f"'{value}'"
