"""What is unsafe in production, one rule each; a rule names a place and never a value."""

from collections.abc import Callable

from dags import production_secrets as secrets
from dags import production_transport as transport
from dags.production_configuration import Configuration, variable
from dags.production_findings import Found, UnsafeSetting


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


RULES: tuple[Callable[[Configuration], Found], ...] = (
    auth_manager,
    executor,
    transport.databases,
    transport.asynchronous_driver,
    transport.broker,
    secrets.keys,
    secrets.passwords,
    secrets.apart,
    secrets.superuser,
    secrets.metadata,
    secrets.shared_secrets,
    secrets.secrets_in_the_environment,
    secrets.secret_files,
    secrets.commands,
    transport.drivers,
    transport.web,
    transport.tasks,
    transport.object_store,
)
