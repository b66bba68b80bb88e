"""Ask people about a release in Airflow's own page; the task parks until they answer.

It never ends in ``dag.test()``, which waits for ever: only the flow ``approve`` uses it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from dags.answers import APPROVE, REASON, REJECT
from dags.silence import without_values
from pipelines.errors import ApprovalRefused


class AskPeople(HITLOperator):
    """Shows the request that waits, and waits for one answer until the request expires.

    What was answered is not handed on: ``record_answer`` reads it from the API's own record.
    """

    def __init__(self, *, study: str, **further: Any) -> None:
        self.study = study
        super().__init__(
            subject=f"Release the model of {study}?",
            options=[APPROVE, REJECT],
            params={
                REASON: Param(
                    "",
                    type="string",
                    title="Reason",
                    description_md="Why; it is recorded with your name and shown in the report.",
                )
            },
            **further,
        )

    def execute(self, context: Any) -> Any:
        """Put the newest request before people.

        Raises:
            AirflowSkipException: no request waits.
        """
        question = without_values(_question)(self.study)
        if question is None:
            raise AirflowSkipException("no request waits for an answer")
        self.subject, self.body, expires_at = question
        self.response_timeout = max(expires_at - datetime.now(UTC), timedelta(seconds=1))
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Somebody answered, or nobody did in time.

        Raises:
            ApprovalRefused: the request expired without an answer.
            AirflowSkipException: it was answered on the command line meanwhile, or is void.
        """
        if "error" in event:
            if not without_values(_expired)(self.study):
                raise AirflowSkipException("the request was answered elsewhere, or is void")
            raise ApprovalRefused(
                f"Nobody answered about {self.study} before the request expired.",
                where=f"the request on the newest audit of {self.study}",
                remedy=f"Nothing is released. Ask again: equipoise run {self.study}",
            )


def _expired(study: str) -> bool:
    """Whether the newest request ended without enough answers; without any, nothing did."""
    from pipelines.approvals.requests import newest_request

    listed = newest_request(study)
    return listed is not None and listed.state in ("expired", "waiting")


def _question(study: str) -> tuple[str, str, datetime] | None:
    """Subject, page and end of the request that waits; None if none does."""
    from pipelines.approvals.page import page_of, subject_of
    from pipelines.approvals.requests import newest_request

    listed = newest_request(study)
    if listed is None or listed.state != "waiting":
        return None
    return subject_of(listed.request), page_of(listed), listed.request.expires_at
