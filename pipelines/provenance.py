"""Do artefacts belong together, and does a release still belong to its study?"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.errors import ArtefactCorrupt, NoRelease
from pipelines.manifests import hash_file, hash_json
from pipelines.releases import Release, current_release, list_releases
from pipelines.stage import store
from pipelines.study import Study
from validation import policy_hash
from validation.evidence import LineageEntry

# Artefact of an audit -> the artefacts that its own recipe must name.
LINKS: Mapping[str, tuple[str, ...]] = {
    "predictions": ("sequences", "model"),
    "model": ("sequences",),
    "sequences": ("events",),
    "checks": ("events",),
}


def broken_links(keys: Mapping[str, str]) -> list[str]:
    """Which of an audit's artefacts were not made of the others, in words; none if all belong.

    A task that is run again by hand can hand on the key of another model or other events.
    """
    return [
        f"{keys[name]} was made of {made_of.get(source)}, not of {keys[source]}"
        for name, sources in LINKS.items()
        for made_of in [store().manifest(keys[name])["recipe"]["inputs"]]
        for source in sources
        if made_of.get(source) != keys[source]
    ]


def changed_since(lineage: tuple[LineageEntry, ...]) -> list[str]:
    """The artefacts whose bytes are no longer those that the evidence was measured on."""
    return [entry.key for entry in lineage if store().content_sha256(entry.key) != entry.sha256]


def records_sha256(spec: Study) -> str:
    """One hash over the domain's section: source, codes, cohort, outcome, groups."""
    return hash_json(spec.records.model_dump(mode="json"))


def policy_sha256(spec: Study) -> str:
    """One hash over what a model is audited by; the limits of a generation are not among it."""
    return policy_hash.policy_sha256(spec.audit)


def data_sha256(events_key: str, sequences_key: str) -> str:
    """One hash over the bytes of the events and the sequences that a model was trained on."""
    return hash_json([store().content_sha256(key) for key in (events_key, sequences_key)])


def standing_release(spec: Study) -> Release:
    """The release that stands, if the study still says what the model was trained and audited for.

    Raises:
        NoRelease: none stands, or it answers another question or another policy.
        ArtefactCorrupt: the released model's bytes, or its evidence's, are no longer those that
            were audited.
    """
    release = current_release(spec.name)
    differing = ", ".join(_differences(release, spec))
    if differing:
        raise NoRelease(
            f"The release of {spec.name} was made under another {differing} than the study's now.",
            where=f"release {release.release_id}",
            remedy=f"Train and audit the study as it stands: equipoise run {spec.name}",
        )
    if hash_file(store().open(release.audit_key) / "evidence.json") != release.audit_sha256:
        raise ArtefactCorrupt(
            "The evidence that the release rests on is no longer the one that was judged.",
            where=str(store().path(release.audit_key)),
            remedy="Restore the audit from the backup, or remove it and audit again: "
            f"equipoise run {spec.name}",
        )
    if store().content_sha256(release.model_key) != release.model_sha256:
        raise ArtefactCorrupt(
            "The released model was made anew and is no longer the one that was audited.",
            where=str(store().path(release.model_key)),
            remedy="Restore it from the backup, or remove the artefacts of predict_holdout and "
            f"audit_model that were made of it and audit again: equipoise run {spec.name}",
        )
    return release


def release_of(study: str, scores: Path) -> Release | None:
    """The release that made the scores in a folder; None if it was withdrawn or never recorded."""
    wanted = json.loads((scores / "release.json").read_text())["release_id"]
    usable = [listed for listed in list_releases(study) if listed.state != "withdrawn"]
    return next((one.release for one in usable if one.release.release_id == wanted), None)


def _differences(release: Release, spec: Study) -> Iterator[str]:
    if release.records_sha256 != records_sha256(spec):
        yield f"section {spec.domain}"
    if release.policy_sha256 != policy_sha256(spec):
        yield "audit policy"
