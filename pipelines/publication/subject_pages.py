"""Pages about single subjects: where they lie, and that they go when the subject is erased."""

from pathlib import Path

from pipelines.durable import private_folder, replaced_privately
from pipelines.releases import require_study_name
from pipelines.settings import Settings


def write_subject_page(study: str, subject: int, page: str, settings: Settings) -> Path:
    """Put the page where its owner alone reads it; it was never readable by others."""
    file = _file(study, subject, settings)
    private_folder(file.parent.parent)
    private_folder(file.parent)
    with replaced_privately(file) as stream:
        stream.write(page.encode())
    return file


def forget_subject_page(study: str, subject: int, settings: Settings) -> None:
    """Remove the subject's page, and what a killed process left of one."""
    file = _file(study, subject, settings)
    for left in (file, file.with_name(f".draft-{file.name}")):
        left.unlink(missing_ok=True)


def _file(study: str, subject: int, settings: Settings) -> Path:
    return settings.home / "explanations" / require_study_name(study) / f"{subject}.html"
