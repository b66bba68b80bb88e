"""The metadata database of a running Airflow: its tables, and the pools that tasks wait in.

Imports airflow: to be imported once the environment is entered.
"""

from airflow.models.pool import Pool
from airflow.utils.db import upgradedb
from airflow.utils.session import create_session

GPU = "gpu"
# One machine has one; whoever adds workers with a GPU raises it: `airflow pools set gpu N …`.
FIRST_GPU_SLOTS = 1


def migrate_with_pools() -> None:
    """Create or migrate the tables, and make the pool that training waits in if there is none.

    The migration takes a lock in the database: of two at once the second finds it done. A pool
    that is there keeps its slots, which are the installation's.
    """
    upgradedb()
    if _has_pool(GPU):
        return
    Pool.create_or_update_pool(
        name=GPU,
        slots=FIRST_GPU_SLOTS,
        description="Training: one model at a time per slot",
        include_deferred=False,
    )


def _has_pool(name: str) -> bool:
    with create_session() as session:
        return Pool.get_pool(name, session=session) is not None
