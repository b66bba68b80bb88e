"""What flows wait for: a study's release, a question to people, and its publication."""

from airflow.sdk import Asset


def release_of(study: str) -> Asset:
    """The model that passed its audit; scoring starts when it changes."""
    return Asset(name=f"release__{study}", uri=f"equipoise://releases/{study}", group="releases")


def request_of(study: str) -> Asset:
    """A verdict that people must decide; asking them starts when it changes."""
    return Asset(name=f"request__{study}", uri=f"equipoise://requests/{study}", group="requests")


def publication_of(study: str) -> Asset:
    """The newest generation of predictions; what reads the table may wait for it."""
    return Asset(
        name=f"publication__{study}", uri=f"equipoise://publications/{study}", group="publications"
    )
