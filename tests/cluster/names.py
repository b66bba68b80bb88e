"""The name of a host: as processes of one machine all would bear one, each is told its own."""

import os


def host_name() -> str:
    """What Airflow writes down as the place where a task ran."""
    return os.environ["CLUSTER_HOST"]
