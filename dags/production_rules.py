"""What is unsafe in production, one rule each; a rule names a place and never a value."""

import base64
import binascii
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from dags.production_addresses import (
    BROKER_QUERY,
    DATABASE_QUERY,
    asked,
    asks_for_more,
    is_postgresql,
    login,
)
from dags.production_configuration import (
    ALERTS,
    BACKUP,
    BROKER,
    DATABASES,
    PREDICTIONS,
    SUPERUSER,
    Configuration,
    read_by,
    variable,
)
from dags.production_services import LOCAL
from pipelines.errors import EquipoiseError

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
PROXY = "EQUIPOISE_BEHIND_TLS_PROXY"
# Option -> the words that may not be in it; none: it may not be given at all.
PAST_THE_ADDRESS = {
    ("celery", "result_backend_sqlalchemy_engine_options"): ("connect_args", "creator"),
    ("celery", "extra_celery_config"): ("ssl", "_url", "backend", "engine", "transport"),
    ("celery", "celery_config_options"): (),
    ("database", "sql_alchemy_connect_args"): (),
    ("database", "sql_alchemy_connect_args_async"): (),
    ("database", "sql_alchemy_engine_args"): ("connect_args", "creator"),
}
TRANSPORT_OPTIONS = ("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__",)


class UnsafeSetting(EquipoiseError):
    """A setting that no installation in production may start with."""

    exit_code = 44


Found = Iterator[UnsafeSetting]


def auth_manager(configuration: Configuration) -> Found:
    """The simple one keeps passwords as text and shows them in its log."""
    if configuration.option("core", "auth_manager").endswith("SimpleAuthManager"):
        yield UnsafeSetting(
            "The SimpleAuthManager is for development.",
            where=variable("core", "auth_manager"),
            remedy="Set it to airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager.",
        )


def executor(configuration: Configuration) -> Found:
    """Tasks of an executor in the scheduler's own process share its secrets and its fate."""
    if configuration.option("core", "executor").rpartition(".")[2] in (
        "LocalExecutor",
        "SequentialExecutor",
    ):
        yield UnsafeSetting(
            "Tasks run inside the scheduler's container.",
            where=variable("core", "executor"),
            remedy="Set it to CeleryExecutor, as docker/airflow.env does.",
        )


def databases(configuration: Configuration) -> Found:
    """Each is a PostgreSQL whose certificate is verified."""
    for setting, address in configuration.databases().items():
        if not is_postgresql(address):
            yield UnsafeSetting(
                "No PostgreSQL is named: a file of one machine, or nothing, holds the tables.",
                where=setting,
                remedy="Name the server: docker/make_secrets.py writes the addresses.",
            )
        elif asked(address, "sslmode") != "verify-full":
            yield UnsafeSetting(
                "A database is reached without TLS, or whoever answers is believed.",
                where=setting,
                remedy="Add ?sslmode=verify-full&sslrootcert=/run/tls/ca.crt to the address: "
                "docker/make_secrets.py --tls does.",
            )
        if asks_for_more(address, DATABASE_QUERY):
            yield _more(setting, DATABASE_QUERY)


def asynchronous_driver(configuration: Configuration) -> Found:
    """The one that Airflow takes by itself does not understand sslmode."""
    address = configuration.option("database", "sql_alchemy_conn_async")
    if not configuration.service.airflow:
        return
    if not address or "asyncpg" in urlsplit(address).scheme:
        yield UnsafeSetting(
            "The api-server would use asyncpg, which verifies no certificate by `sslmode`.",
            where=variable("database", "sql_alchemy_conn_async"),
            remedy="Give it the metadata's own address, beginning with postgresql+psycopg.",
        )


def broker(configuration: Configuration) -> Found:
    """Whoever writes to the broker starts tasks."""
    address = configuration.addresses().get(variable(*BROKER))
    if address is None:
        return
    verified = asked(address, "ssl_cert_reqs") in ("required", "CERT_REQUIRED")
    if urlsplit(address).scheme != "rediss" or not verified:
        yield UnsafeSetting(
            "The broker is reached without TLS, or whoever answers is believed.",
            where=variable(*BROKER),
            remedy="Write rediss://…?ssl_cert_reqs=required&ssl_ca_certs=/run/tls/ca.crt: "
            "docker/make_secrets.py --tls does.",
        )
    if asks_for_more(address, BROKER_QUERY):
        yield _more(variable(*BROKER), BROKER_QUERY)


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
        role = "metadata" if setting in map(_setting, DATABASES) else setting
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


def shared_secrets(configuration: Configuration) -> Found:
    """What opens one door opens no other."""
    held: dict[tuple[str, str], str] = {}
    for address in configuration.addresses().values():
        name, password = login(address)
        # Metadata and results are one login of one server, and may be named twice.
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


def drivers(configuration: Configuration) -> Found:
    """Options of drivers go past the addresses, and may take their TLS back."""
    for (section, key), words in PAST_THE_ADDRESS.items():
        given = configuration.option(section, key).lower()
        is_given = configuration.is_given(section, key)
        if is_given and (not words or any(word in given for word in words)):
            yield UnsafeSetting(
                "Options of a driver may take back what the addresses say.",
                where=variable(section, key),
                remedy="Leave them out: TLS, host and login stand in the addresses.",
            )
    for name in sorted(configuration.environment):
        if name.startswith(TRANSPORT_OPTIONS) and "SSL" in name:
            yield UnsafeSetting(
                "Options of a driver may take back what the addresses say.",
                where=name,
                remedy="Leave it out: TLS stands in the broker's address.",
            )


def web(configuration: Configuration) -> Found:
    """Passwords and tokens go to the api-server, from browsers and from tasks."""
    option = configuration.option
    if option("api", "expose_config").lower() not in ("", "false", "f", "0", "non-sensitive-only"):
        yield UnsafeSetting(
            "The page shows the settings, and the secrets among them.",
            where=variable("api", "expose_config"),
            remedy="Set it to False.",
        )
    if configuration.environment.get(PROXY, "") == "1":
        return
    is_local = option("api", "host") in LOCAL and not configuration.says_where
    has_certificate = option("api", "ssl_cert") and option("api", "ssl_key")
    if configuration.service.web and not (is_local or has_certificate):
        yield UnsafeSetting(
            "The api-server listens to other machines without TLS.",
            where=variable("api", "ssl_cert"),
            remedy=f"Give it ssl_cert and ssl_key; or set {PROXY}=1 where a proxy speaks TLS and "
            "nothing but the proxy and the cluster reaches the port.",
        )


def tasks(configuration: Configuration) -> Found:
    """Wherever the api-server listens: what tasks say to it crosses the network."""
    url = urlsplit(configuration.option("core", "execution_api_server_url"))
    is_proxied = configuration.environment.get(PROXY, "") == "1"
    is_asked = configuration.service.airflow and not is_proxied
    if is_asked and url.scheme != "https" and url.hostname not in LOCAL:
        yield UnsafeSetting(
            "Tasks talk to the api-server without TLS.",
            where=variable("core", "execution_api_server_url"),
            remedy=f"Let it begin with https; or set {PROXY}=1 where the cluster's own network "
            "is closed.",
        )


def object_store(configuration: Configuration) -> Found:
    """Artefacts are records of people on their way."""
    told = configuration.environment
    if not told.get("EQUIPOISE_ARTEFACTS_URL", "").startswith("s3:"):
        return
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        if told.get(name, "").lower().startswith("http:"):
            yield UnsafeSetting(
                "The store of artefacts is reached without TLS.",
                where=name,
                remedy="Name a store that speaks TLS by EQUIPOISE_S3_ENDPOINT=https://….",
            )


RULES: tuple[Callable[[Configuration], Found], ...] = (
    auth_manager,
    executor,
    databases,
    asynchronous_driver,
    broker,
    keys,
    passwords,
    apart,
    superuser,
    shared_secrets,
    secrets_in_the_environment,
    secret_files,
    commands,
    drivers,
    web,
    tasks,
    object_store,
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


def _more(setting: str, known: set[str]) -> UnsafeSetting:
    return UnsafeSetting(
        "An address asks for more than TLS: for another host or login, or for less.",
        where=setting,
        remedy=f"Leave nothing after its question mark but {', '.join(sorted(known))}.",
    )


def _setting(option: tuple[str, str]) -> str:
    return variable(*option)


def _instead(name: str) -> str:
    if name.startswith("AIRFLOW__"):
        return f"{name}_CMD=cat FILE"
    if name.startswith("AWS_"):
        return "AWS_SHARED_CREDENTIALS_FILE"
    return "PGPASSFILE" if name == "PGPASSWORD" else f"{name}_FILE"
