"""``python -m tests.cluster.released STUDY``: the flow up to a release, stage by stage."""

import sys

from pipelines.stages.audit_model import audit_model
from pipelines.stages.build_sequences import build_sequences
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.merge_events import merge_events
from pipelines.stages.merge_sequences import merge_sequences
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model

WHOLE = "0/1"


def main(study: str) -> None:
    """What is there already is used; the release, and the audit before it, are the study's own."""
    events = merge_events(study, [ingest_events(study, WHOLE)])
    checks = check_events(study, events)
    sequences = merge_sequences(study, events, [build_sequences(study, events, WHOLE)])
    model = train_model(study, sequences)
    predictions = predict_holdout(study, sequences, model)
    release_model(study, audit_model(study, events, checks, sequences, model, predictions))


if __name__ == "__main__":
    main(sys.argv[1])
