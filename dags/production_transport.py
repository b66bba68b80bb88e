"""What crosses a network in production does so under TLS, to whom its address names."""

from urllib.parse import urlsplit

from dags.production_addresses import (
    BROKER_QUERY,
    DATABASE_QUERY,
    asked,
    asks_for_more,
    is_postgresql,
)
from dags.production_configuration import (
    BROKER,
    Configuration,
    variable,
)
from dags.production_findings import Found, UnsafeSetting
from dags.production_services import LOCAL

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
    if not configuration.service.metadata:
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
    is_asked = configuration.service.queue and not is_proxied
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


def _more(setting: str, known: set[str]) -> UnsafeSetting:
    return UnsafeSetting(
        "An address asks for more than TLS: for another host or login, or for less.",
        where=setting,
        remedy=f"Leave nothing after its question mark but {', '.join(sorted(known))}.",
    )
