"""Take published predictions back, or bring them back, in whichever store there is."""

from pipelines.publication.store import open_store
from pipelines.settings import Settings


def withdraw(
    study: str, reason: str, by: str, settings: Settings, *, generation_id: str | None = None
) -> tuple[str, ...]:
    """Take a study's predictions out of the readers' sight: all that stand, or one generation.

    The rows stay and are read in ``predictions_withdrawn``. Returns the generations withdrawn by
    this call; one that was withdrawn before is not withdrawn twice.

    Raises:
        GateClosed: the reason or the name is empty.
        NoRelease: the study published nothing, or no generation of that name.
        StoreLocked: another process publishes.
        DatabaseUnavailable: the PostgreSQL that the installation names cannot be used.
    """
    return open_store(settings).withdraw(study, reason, by, generation_id=generation_id)


def reinstate(
    study: str, generation_id: str, reason: str, by: str, settings: Settings
) -> tuple[str, ...]:
    """Bring a withdrawn generation back; returns and raises as ``withdraw`` does."""
    return open_store(settings).reinstate(study, generation_id, reason, by)


def finish_changes(settings: Settings) -> None:
    """Show readers what a killed process had committed: a withdrawal counts from its commit.

    For callers who may refuse before they publish; ``publish`` and ``withdraw`` do it themselves.

    Raises:
        StoreLocked: another process publishes.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    open_store(settings).finish_changes()
