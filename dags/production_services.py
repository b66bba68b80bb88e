"""Which service a command starts, and what that service cannot do without."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """What a service is given: what is not its own it need not have.

    queue: broker and results. metadata: Airflow's own database; no worker may be given that login.
    keys: what signs tokens and decrypts connections. predictions: the database of predictions.
    web: it listens to browsers and tasks. superuser: it makes roles and databases; no other may be
    given that login.
    """

    queue: bool = False
    metadata: bool = False
    keys: bool = False
    predictions: bool = False
    web: bool = False
    superuser: bool = False


# By the first words of the command, as docker-compose.yml has them.
SERVICES = {
    ("airflow", "api-server"): Service(queue=True, metadata=True, keys=True, web=True),
    ("airflow", "scheduler"): Service(queue=True, metadata=True, keys=True),
    ("airflow", "dag-processor"): Service(queue=True, metadata=True, keys=True),
    ("airflow", "triggerer"): Service(queue=True, metadata=True, keys=True),
    ("airflow", "celery", "worker"): Service(queue=True, predictions=True),
    ("python", "-m", "dags.cluster", "init"): Service(
        queue=True, metadata=True, keys=True, predictions=True, superuser=True
    ),
    ("equipoise", "restore"): Service(predictions=True, superuser=True),
    ("equipoise",): Service(predictions=True),
}
# A shell, or `airflow standalone`, may start anything.
ANYTHING = Service(queue=True, metadata=True, keys=True, predictions=True, web=True)
LOCAL = ("127.0.0.1", "localhost", "::1")


def service_of(command: list[str]) -> Service:
    """The service of a command; one that is not known is asked for all."""
    known = (each for words, each in SERVICES.items() if tuple(command[: len(words)]) == words)
    return next(known, ANYTHING)


def names_a_host(command: list[str]) -> bool:
    """Whether the command says by itself where to listen, whatever the settings say."""
    return any(word.startswith(("-H", "--ho")) for word in command)
