"""check_events: the tables are judged against what the study declares. It changes nothing."""

import json
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts, Recipe
from pipelines.domains import load_domain, source_module
from pipelines.errors import ContractBroken
from pipelines.event_store import event_parts, read_subjects, scan_events
from pipelines.stage import open_inputs, recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.channels import copied_channels
from validation.contract import TableContract
from validation.data_evidence import CheckResult
from validation.expectations import check_tables, contract_checks

# So many are held at once; buckets are whole, and more of them in one part say nothing else.
EVENTS_AT_ONCE = 2_000_000


def check_events(study: str, events: str) -> str:
    """Write what every expectation found, then fail if one was not met.

    Raises:
        ContractBroken: an expectation is not met; the artefact with the findings stays.
    """
    spec = load_study(study)
    artefact = run_stage(
        study,
        recipe_for(study, events),
        lambda draft: _write(open_inputs({"events": events})["events"], spec, draft),
    )
    _judge(artefact.path)
    return artefact.key


def recipe_for(study: str, events: str) -> Recipe:
    """What decides the findings: the tables, the declared contract and the domain's own checks."""
    spec = load_study(study)
    return recipe_of(
        "check_events",
        config={
            "contract": table_contract(spec).model_dump(mode="json"),
            "records": spec.records.model_dump(mode="json"),
        },
        inputs={"events": events},
        modules=(source_module(spec.domain),),
        libraries=("polars", "great-expectations", *load_domain(spec.domain).LIBRARIES),
    )


def table_contract(spec: Study) -> TableContract:
    """The contract of the event, subject and quarantine tables: domain and study together."""
    declared = load_domain(spec.domain).tables_may_hold(spec.records)
    return TableContract.model_validate(declared | spec.contract.model_dump())


def _write(events: Path, spec: Study, draft: Path) -> Counts:
    domain, table = load_domain(spec.domain), scan_events(events)
    subjects = read_subjects(events)
    copies = copied_channels(event_parts(events, EVENTS_AT_ONCE))
    accounts = pl.read_parquet(events / "accounts.parquet")
    outcomes = check_tables(
        {
            "events": event_parts(events, EVENTS_AT_ONCE),
            "subjects": subjects,
            "quarantine": accounts.select(
                pl.format("{} ({})", "file", "part").alias("file"),
                pl.exclude("file", "part").cast(pl.Int64),
            ),
            "copies": pl.DataFrame(
                [copy.as_dict() for copy in copies],
                schema={
                    "code": pl.String,
                    "copy_of": pl.String,
                    "joined_rows": pl.Int64,
                    "equal_rows": pl.Int64,
                },
            ),
        },
        table_contract(spec),
    )
    checks = [
        *contract_checks(outcomes),
        *(
            CheckResult(kind="contract", **check)
            for check in domain.checks(spec.records, table, subjects)
        ),
    ]
    findings = {
        "checks": [check.model_dump(mode="json") for check in checks],
        "findings": domain.findings(spec.records, table, subjects),
        "copied_channels": [copy.as_dict() for copy in copies],
    }
    (draft / "checks.json").write_text(json.dumps(findings, indent=1))
    return {
        "expectations": len(checks),
        "unmet": sum(not check.passed for check in checks),
        "copied_channels": len(copies),
    }


def _judge(folder: Path) -> None:
    checks = json.loads((folder / "checks.json").read_text())["checks"]
    unmet = [check for check in checks if not check["passed"]]
    if unmet:
        raise ContractBroken(
            f"{len(unmet)} of {len(checks)} expectations are not met:\n"
            + "\n".join(f"  {check['table']}: {check['words']}" for check in unmet),
            where=str(folder / "checks.json"),
            remedy="Mend the source, or change what the study declares under `contract` and "
            "`codes`, and say why.",
        )
