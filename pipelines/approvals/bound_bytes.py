"""Are the bytes that people were asked about still the ones that lie in the store?"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from pipelines.approvals.audit_drift import drifted
from pipelines.approvals.request import Binding
from pipelines.errors import EquipoiseError
from pipelines.identity import Verdict
from pipelines.manifests import hash_file
from pipelines.provenance import data_sha256, policy_sha256
from pipelines.stage import open_inputs, store
from pipelines.study import Study, load_study

Found = TypeVar("Found")


def binding_of(spec: Study, audit: str, verdict: Verdict) -> Binding:
    """The bytes behind an audit as they are now, every file read and compared.

    Raises:
        ArtefactCorrupt: a file of the audit, model, events or sequences is not as written.
    """
    inputs: dict[str, str] = store().manifest(audit)["recipe"]["inputs"]
    folder = store().open(audit)
    open_inputs({name: inputs[name] for name in ("model", "events", "sequences")})
    return Binding(
        study=spec.name,
        audit_key=audit,
        evidence_sha256=hash_file(folder / "evidence.json"),
        verdict=verdict,
        model_key=inputs["model"],
        model_sha256=store().content_sha256(inputs["model"]),
        data_sha256=data_sha256(inputs["events"], inputs["sequences"]),
        policy_sha256=policy_sha256(spec),
    )


def changed(bound: Binding) -> list[str]:
    """What is no longer as it was when people were asked, in words; none if all is.

    A file that cannot be read is a changed one: an answer is given to bytes that are there.
    """
    return list(_changed(bound))


def _changed(bound: Binding) -> Iterator[str]:
    spec, words = _attempt(lambda: load_study(bound.study))
    if spec is None:
        yield f"the study can no longer be read ({words})"
    elif policy_sha256(spec) != bound.policy_sha256:
        yield "the study's audit policy was changed"
    recipe, words = _attempt(lambda: store().manifest(bound.audit_key)["recipe"])
    if recipe is None:
        yield f"the audit is gone ({words})"
        return
    inputs = recipe["inputs"]
    if spec is not None:
        drift, words = _attempt(lambda: drifted(spec, recipe))
        yield from (
            [f"what stands beside the audit cannot be read ({words})"] if words else drift or ()
        )
    evidence, words = _attempt(lambda: hash_file(store().open(bound.audit_key) / "evidence.json"))
    if evidence != bound.evidence_sha256:
        yield f"the evidence was changed ({words or 'other bytes'})"
    model, words = _attempt(lambda: _content(inputs["model"]))
    if model != bound.model_sha256 or inputs["model"] != bound.model_key:
        yield f"the model was changed ({words or 'other bytes'})"
    data, words = _attempt(lambda: _data(inputs["events"], inputs["sequences"]))
    if data != bound.data_sha256:
        yield f"the data were changed ({words or 'other bytes'})"


def _content(key: str) -> str:
    store().open(key)
    return store().content_sha256(key)


def _data(events: str, sequences: str) -> str:
    open_inputs({"events": events, "sequences": sequences})
    return data_sha256(events, sequences)


def _attempt(read: Callable[[], Found]) -> tuple[Found | None, str]:
    """What was read, or None and the kind of error; its words may name paths alone."""
    try:
        return read(), ""
    except (EquipoiseError, OSError, KeyError) as error:
        return None, type(error).__name__
