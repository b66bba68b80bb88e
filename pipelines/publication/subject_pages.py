"""Pages about single subjects: where they lie, and that they go when the subject is erased."""

import os
from pathlib import Path

from pipelines.durable import PRIVATE_FILE_MODE, private_folder, rename_into_place
from pipelines.releases import require_study_name
from pipelines.settings import Settings


def write_subject_page(study: str, subject: int, page: str, settings: Settings) -> Path:
    """Put the page where its owner alone reads it; it was never readable by others."""
    file = _file(study, subject, settings)
    private_folder(file.parent.parent)
    private_folder(file.parent)
    draft = file.with_name(f".draft-{file.name}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(page)
    rename_into_place(draft, file, PRIVATE_FILE_MODE)
    return file


def forget_subject_page(study: str, subject: int, settings: Settings) -> None:
    """Remove the subject's page, and what a killed process left of one."""
    file = _file(study, subject, settings)
    for left in (file, file.with_name(f".draft-{file.name}")):
        left.unlink(missing_ok=True)


def _file(study: str, subject: int, settings: Settings) -> Path:
    return settings.home / "explanations" / require_study_name(study) / f"{subject}.html"
