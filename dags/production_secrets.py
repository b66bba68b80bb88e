"""Secrets in production: hard to guess, of one use each, in files of their owner alone."""

import base64
import binascii
import stat
from collections import Counter
from urllib.parse import urlsplit

from dags.production_addresses import (
    login,
)
from dags.production_configuration import (
    ALERTS,
    BACKUP,
    METADATA,
    NO_METADATA,
    PREDICTIONS,
    SUPERUSER,
    Configuration,
    read_by,
    variable,
)
from dags.production_findings import Found, UnsafeSetting

# Every password that comes with an image or a manual is shorter.
SHORTEST_PASSWORD = 16
FEWEST_SIGNS = 8
SHORTEST_KEY = 32
KEYS = (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret"))
SECRET_VARIABLES = (
    PREDICTIONS,
    SUPERUSER,
    BACKUP,
    *ALERTS,
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
SECRET_PREFIXES = ("AIRFLOW_CONN_",)


def keys(configuration: Configuration) -> Found:
    """Airflow makes up the keys that it is not given, in each container another."""
    for section, key in KEYS:
        value, setting = configuration.option(section, key), variable(section, key)
        if not (configuration.service.keys or configuration.is_given(section, key)):
            continue
        if not value or not configuration.is_given(section, key):
            yield UnsafeSetting(
                f"There is no {key.replace('_', ' ')}: each service would make one of its own.",
                where=setting,
                remedy=f"Set {setting}_CMD to `cat` a file that docker/make_secrets.py makes.",
            )
        elif key == "fernet_key" and not all(map(_is_fernet_key, value.split(","))):
            yield UnsafeSetting(
                "The Fernet key is no Fernet key: connections could not be encrypted.",
                where=setting,
                remedy="Give it 32 random bytes in URL-safe base64: docker/make_secrets.py does.",
            )
        elif any(len(each) < SHORTEST_KEY or _is_flat(each) for each in _keys(key, value)):
            yield UnsafeSetting(
                f"The {key.replace('_', ' ')} can be guessed.",
                where=setting,
                remedy="Give it 32 random bytes: docker/make_secrets.py does.",
            )


def passwords(configuration: Configuration) -> Found:
    """Of logins and of users: long, random."""
    for setting, address in configuration.addresses().items():
        name, password = login(address)
        if address and _is_weak(password, name):
            yield UnsafeSetting(
                "A password is missing, is one that comes with an image, or can be guessed.",
                where=setting,
                remedy="Let docker/make_secrets.py make it, and run init again.",
            )
    for name, password in configuration.users().items():
        if _is_weak(password, name):
            yield UnsafeSetting(
                f"The first password of the user {name} can be guessed.",
                where=str(configuration.secrets_folder / "airflow_passwords.json"),
                remedy="Remove its line and run init again: it makes another.",
            )


def apart(configuration: Configuration) -> Found:
    """Nobody does another's work with another's rights, and only one is the superuser."""
    seen: dict[tuple[str, str], str] = {}
    for setting, address in configuration.databases().items():
        role = "metadata" if setting in map(_setting, METADATA) else setting
        name, _ = login(address)
        place = (urlsplit(address).hostname or "", name)
        is_superusers = name == "postgres" and setting != f"{SUPERUSER}_FILE"
        if name and (is_superusers or seen.setdefault(place, role) != role):
            yield UnsafeSetting(
                "A login does the work of two, or that of a superuser.",
                where=setting,
                remedy="Give each a login of its own: docker/make_secrets.py and init do.",
            )


def superuser(configuration: Configuration) -> Found:
    """Who makes roles is known to whoever makes them, and goes when that is done."""
    setting = f"{SUPERUSER}_FILE"
    if setting in configuration.databases() and not configuration.service.superuser:
        yield UnsafeSetting(
            "The superuser's login is given to a command that has no use for it.",
            where=setting,
            remedy="Give it to `python -m dags.cluster init` and `equipoise restore` alone.",
        )


def metadata(configuration: Configuration) -> Found:
    """Whoever writes to it approves releases; workers run the code of studies and of DAGs."""
    service = configuration.service
    if not service.queue or service.metadata:
        return
    for each in METADATA:
        if configuration.is_given(*each):
            yield UnsafeSetting(
                "A worker is given the login of Airflow's metadata, and has no use for it.",
                where=variable(*each),
                remedy=f"Set {variable(*METADATA[0])}={NO_METADATA} for workers, and leave out the "
                "rest of it, as docker-compose.yml does.",
            )


def shared_secrets(configuration: Configuration) -> Found:
    """What opens one door opens no other."""
    held: dict[tuple[str, str], str] = {}
    for address in configuration.addresses().values():
        name, password = login(address)
        # The metadata's login is named twice: for either kind of driver.
        held[(urlsplit(address).hostname or "", name)] = password
    given = [configuration.option(*each) for each in KEYS]
    counts = Counter(filter(None, [*held.values(), *configuration.users().values(), *given]))
    if any(count > 1 for count in counts.values()):
        yield UnsafeSetting(
            "Two logins, users or keys share one secret.",
            where="the addresses of databases and broker, the keys, the users' passwords",
            remedy="Let docker/make_secrets.py make each anew, and run init again.",
        )


def secrets_in_the_environment(configuration: Configuration) -> Found:
    """A variable is inherited by every child, and `docker inspect` shows it."""
    sensitive = {variable(*each) for each in configuration.sensitive}
    for name, value in sorted(configuration.environment.items()):
        is_secret = name in sensitive or name in SECRET_VARIABLES
        is_secret = is_secret and value != NO_METADATA
        if value and (is_secret or name.startswith(SECRET_PREFIXES)):
            yield UnsafeSetting(
                "A secret stands in a variable.",
                where=name,
                remedy=f"Write it into a file, and name the file: {_instead(name)}.",
            )


def secret_files(configuration: Configuration) -> Found:
    """A file that holds a secret is its owner's alone."""
    for setting, file in configuration.secret_files():
        try:
            mode = file.stat().st_mode
        except OSError:
            yield UnsafeSetting(
                "A file that holds a secret is not there.",
                where=f"{setting}: {file}",
                remedy="Make it with docker/make_secrets.py, or mount it.",
            )
            continue
        # /dev/null stands for a file that nobody named.
        if mode & 0o077 and not stat.S_ISCHR(mode):
            yield UnsafeSetting(
                "Others than its owner can read a file that holds a secret.",
                where=f"{setting}: {file}",
                remedy="Run `chmod 600` on it.",
            )


def commands(configuration: Configuration) -> Found:
    """Only of a file is it known who can read it."""
    for section, key in configuration.sensitive:
        name = f"{variable(section, key)}_CMD"
        command = configuration.environment.get(name, "")
        if command and read_by(command) is None:
            yield UnsafeSetting(
                "A secret comes from another command than `cat FILE`.",
                where=name,
                remedy="Write it into a file of mode 600, and let the command be `cat FILE`.",
            )


def _is_weak(password: str, name: str) -> bool:
    return len(password) < SHORTEST_PASSWORD or _is_flat(password) or password == name


def _is_flat(text: str | bytes) -> bool:
    return len(set(text)) < FEWEST_SIGNS


def _keys(key: str, value: str) -> list[str | bytes]:
    """Of a Fernet key the bytes, as its text may hide that they are all the same; it may be two."""
    if key != "fernet_key":
        return [value]
    return [base64.urlsafe_b64decode(each.strip()) for each in value.split(",")]


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text.strip())) == SHORTEST_KEY
    except (binascii.Error, ValueError):
        return False


def _setting(option: tuple[str, str]) -> str:
    return variable(*option)


def _instead(name: str) -> str:
    if name.startswith("AIRFLOW__"):
        return f"{name}_CMD=cat FILE"
    if name.startswith("AWS_"):
        return "AWS_SHARED_CREDENTIALS_FILE"
    return "PGPASSFILE" if name == "PGPASSWORD" else f"{name}_FILE"
