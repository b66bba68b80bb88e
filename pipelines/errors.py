"""What a user can cause: one class, one exit code, one remedy.

A message names files, rows, columns, rules and counts. It never carries a value of a record.
"""

from typing import ClassVar


class EquipoiseError(Exception):
    """Said to a person without a traceback: the cause, where it is, and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, where: str, remedy: str) -> None:
        super().__init__(cause, where, remedy)
        self.cause = cause
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause}\n  where:  {self.where}\n  remedy: {self.remedy}"


class StudyInvalid(EquipoiseError):
    """A study's YAML is absent, unreadable or breaks its schema."""

    exit_code = 10


class SourceMissing(EquipoiseError):
    """A file, package or table that the study names is not there."""

    exit_code = 11


class SourceInvalid(EquipoiseError):
    """The source is there and cannot be read as the study describes it."""

    exit_code = 12


class ContractBroken(EquipoiseError):
    """The tables break an expectation that the study declares."""

    exit_code = 20


class LeakageFound(EquipoiseError):
    """The future, or another split, reached a feature."""

    exit_code = 21


class GateClosed(EquipoiseError):
    """The audit of a model did not pass: nothing is released."""

    exit_code = 22


class PublicationGateClosed(EquipoiseError):
    """The audit of a generation of predictions did not pass: nothing is published."""

    exit_code = 23


class NoRelease(EquipoiseError):
    """Scoring was asked for and no release stands."""

    exit_code = 24


class AwaitingApproval(EquipoiseError):
    """The audit is before people: nothing is released until they answer."""

    exit_code = 25


class ApprovalRefused(EquipoiseError):
    """An answer to a request that cannot count: expired, already answered, another person's."""

    exit_code = 26


class SubjectUnknown(EquipoiseError):
    """No current prediction is of the subject that was asked for."""

    exit_code = 27


class NoTrialKeepsConstraints(EquipoiseError):
    """A tuning ended, and none of its trials keeps what the study asks of a model."""

    exit_code = 28


class ReleaseChanged(EquipoiseError):
    """Another release stands than the one that a run began with: the run is to begin anew."""

    exit_code = 29


class ArtefactCorrupt(EquipoiseError):
    """A file of an artefact is missing or is not the file that was written."""

    exit_code = 30


class StoreLocked(EquipoiseError):
    """Another process holds the file that only one may write."""

    exit_code = 31


class SecretMissing(EquipoiseError):
    """A key that pseudonyms need is absent or readable by others."""

    exit_code = 32


class DatabaseUnavailable(EquipoiseError):
    """The PostgreSQL server that the installation names cannot be reached or used."""

    exit_code = 33


class PdfMissing(EquipoiseError):
    """What prints a report as PDF is not installed."""

    exit_code = 34


class CompressionImpossible(EquipoiseError):
    """The model has no such smaller form, or is one already."""

    exit_code = 35


class ArtefactStoreUnavailable(EquipoiseError):
    """The store of artefacts that machines share cannot be reached or used."""

    exit_code = 36


class TrainingFailed(EquipoiseError):
    """The training process ended without a model."""

    exit_code = 40


class RunFailed(EquipoiseError):
    """A stage failed for a reason that is not the user's; the log says which."""

    exit_code = 41


class TrainingInterrupted(EquipoiseError):
    """Somebody ended the training process: it says nothing of what was trained."""

    exit_code = 43


class InstallationUnfit(EquipoiseError):
    """The doctor found what will stop a run."""

    exit_code = 50


class BackupInvalid(EquipoiseError):
    """A backup cannot be made or used as it is asked for."""

    exit_code = 51
