"""A study: one YAML file, read whole or refused with all its errors at once.

Light on purpose: a DAG file and ``--help`` read a study without Polars or torch.
"""

from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.config import ModelConfig
from pipelines.comparison.config import AutoSection, require_readable, without_auto
from pipelines.cross_validation import (
    CrossValidationSection,
    default_folds,
    require_decided_in_time,
)
from pipelines.domains import config_class, domain_names
from pipelines.errors import StudyInvalid
from pipelines.settings import settings
from pipelines.splits import SplitSection
from pipelines.strict_yaml import strict_yaml
from pipelines.task_rules import require_answerable
from pipelines.tuning.config import TuningSection, require_measurable
from validation.config import AuditConfig
from validation.mitigation.config import MitigationConfig

MAXIMUM_STUDY_BYTES = 256 * 1024


class ExchangeSchedule(BaseModel):
    """After each session's own close (a half day's is early), never on a holiday."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: str = Field(min_length=1, description="a calendar of exchange_calendars, as XNYS")
    minutes: int = Field(ge=0, le=24 * 60)


class Schedule(BaseModel):
    """Cron expressions (UTC), and for scoring an exchange's sessions in the place of one.

    Without any only a person or an asset starts the flow.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: str | None = None
    score: str | None = None
    score_after_close: ExchangeSchedule | None = None

    @model_validator(mode="after")
    def _has_one_clock(self) -> "Schedule":
        if self.score is not None and self.score_after_close is not None:
            raise ValueError("give score (a cron expression) or score_after_close, not both")
        return self

    @property
    def when_scored(self) -> str:
        """In words for a table."""
        if self.score_after_close is not None:
            after = self.score_after_close
            return f"{after.minutes} min after each close of {after.exchange}"
        return f"at {self.score}" if self.score else "when released"


class ContractSection(BaseModel):
    """What the study declares of its tables beyond its codes; UTC days, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    earliest: date
    latest: date
    minimum_events: int = Field(1, ge=1)
    minimum_subjects: int = Field(1, ge=1)
    max_quarantined_share: float = Field(ge=0, le=1)


class Study(BaseModel):
    """The sections of a study, composed. ``records`` is its domain's own section.

    ``cross_validation``: the folds by which models are chosen (compared, tuned, raced); where the
    YAML names none, those that suit the split.
    ``auto``: where the YAML says `model: auto`, the race that chooses what is trained; ``model`` is
    then what all that race have in common.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    domain: str
    owner: str
    purpose: str
    not_for: str
    limits_of_the_data: list[str] = Field(min_length=1)
    schedule: Schedule = Schedule()
    records: Any
    split: SplitSection
    cross_validation: CrossValidationSection = Field(None, validate_default=True)
    contract: ContractSection
    model: ModelConfig
    auto: AutoSection | None = None
    audit: AuditConfig
    mitigation: MitigationConfig | None = None
    tuning: TuningSection | None = None

    @model_validator(mode="before")
    @classmethod
    def _auto_stands_in_the_place_of_a_model(cls, study: Any) -> Any:
        return without_auto(study) if isinstance(study, dict) else study

    @model_validator(mode="after")
    def _race_can_be_run(self) -> "Study":
        if self.auto is None:
            return self
        if self.mitigation is not None:
            raise ValueError(
                "mitigation: a race trains without it, so `model: auto` would choose by other "
                "networks than are trained; name the model, or leave mitigation away"
            )
        require_readable(self.auto, self.model, self.require_fitting)
        return self

    @field_validator("cross_validation", mode="before")
    @classmethod
    def _folds_suit_the_split(cls, section: Any, info: ValidationInfo) -> Any:
        if section is None and "split" in info.data:
            return default_folds(info.data["split"])
        return section

    @model_validator(mode="after")
    def _tuning_fits_the_audit(self) -> "Study":
        if self.tuning is not None:
            require_measurable(self.audit, self.tuning.constraints)
        return self

    @model_validator(mode="after")
    def _model_fits_the_task(self) -> "Study":
        self.require_fitting(self.model)
        reweighed = self.mitigation is not None and self.mitigation.reweighing
        if reweighed and self.model.head == "hazard":
            raise ValueError("mitigation.reweighing: a hazard counts everybody as long as seen")
        return self

    def require_fitting(self, model: ModelConfig) -> None:
        """Raises ValueError, by the field, where this study cannot train such a model section."""
        # A domain's section that cannot be read is an error of its own.
        beside = getattr(self.records, "learned_beside", ())
        others = self.records is None or bool(beside)
        require_answerable(model, self.audit.task, has_other_outcomes=others)
        require_decided_in_time(
            self.split, self.cross_validation, head=model.head, learned_beside=beside
        )

    @model_validator(mode="after")
    def _mitigation_fits_the_audit(self) -> "Study":
        if self.mitigation is None:
            return self
        if self.mitigation.group_robust is not None and self.model.accumulate_batches > 1:
            raise ValueError(
                "mitigation.group_robust: groups' weights move with each batch, expected "
                "model.accumulate_batches: 1"
            )
        if self.audit.task != "risk":
            raise ValueError("mitigation: only a study of risk has groups of people to serve")
        if self.mitigation.attribute not in self.audit.attributes:
            raise ValueError(
                f"mitigation.attribute: {self.mitigation.attribute!r} is none of audit.attributes, "
                "so nobody would see what it does"
            )
        return self

    @model_validator(mode="after")
    def _tuning_fits_what_is_trained(self) -> "Study":
        if self.tuning is None:
            return self
        if self.mitigation is not None:
            raise ValueError(
                "tuning: its trials are trained and measured without the section mitigation, so "
                "the best of them says nothing of the model that is audited: tune first, then "
                "take out `tuning` and add `mitigation`"
            )
        asked, given = self.tuning.networks_per_fold, len(self.model.seeds)
        if asked > given:
            raise ValueError(
                f"tuning.networks_per_fold: expected at most {given}, as many as model.seeds has, "
                f"found {asked}"
            )
        return self


def study_names() -> list[str]:
    """The studies of this installation: the stems of the YAML files."""
    return sorted(path.stem for path in settings().studies_dir.glob("*.yaml"))


def load_study(name: str) -> Study:
    """Read and check a study.

    Raises:
        StudyInvalid: no such file, not YAML, or the schema is broken; every breach is named.
    """
    path = settings().studies_dir / f"{name}.yaml"
    raw = _read_yaml(path, name)
    domain = raw.get("domain")
    if domain not in domain_names():
        raise _invalid(path, f"domain: expected one of {', '.join(domain_names())}")
    errors: list[str] = []
    section = raw.pop(domain, None)
    records = _validated(config_class(domain), section, f"{domain}.", errors)
    study = _validated(Study, {**raw, "name": name, "records": records}, "", errors)
    if isinstance(study, Study) and study.audit.task != study.records.task:
        errors.append(
            f"audit.task: the audit is of {study.audit.task} and section {domain} predicts "
            f"{study.records.task}"
        )
    if errors or not isinstance(study, Study):
        raise _invalid(path, "\n".join(errors))
    return study


def _read_yaml(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        known = ", ".join(study_names()) or "none"
        raise StudyInvalid(
            f"There is no study named {name}.",
            where=str(path.parent),
            remedy=f"Name one of these: {known}. A study is a YAML file in that folder.",
        )
    if path.stat().st_size > MAXIMUM_STUDY_BYTES:
        raise _invalid(path, f"the file is larger than {MAXIMUM_STUDY_BYTES:,} bytes")
    try:
        raw = strict_yaml(path.read_text())
    except yaml.YAMLError as error:
        raise _invalid(path, f"not readable as YAML: {error}") from None
    if not isinstance(raw, dict):
        raise _invalid(path, "expected a mapping of sections")
    return raw


def _validated(cls: type[BaseModel], raw: Any, prefix: str, errors: list[str]) -> Any:
    try:
        return cls.model_validate(raw)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            place = prefix + ".".join(str(part) for part in detail["loc"])
            errors.append(f"{place.rstrip('.')}: {detail['msg']}")
    return None


def _invalid(path: Path, cause: str) -> StudyInvalid:
    return StudyInvalid(
        f"The study {path.stem} cannot be used:\n{cause}",
        where=str(path),
        remedy="Correct the lines named above; studies/nafld_diabetes.yaml is a working example.",
    )
