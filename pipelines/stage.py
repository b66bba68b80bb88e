"""Run one stage: its recipe, its artefact, its line in the journal."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.artefacts import Artefact, ArtefactStore, Counts, Recipe
from pipelines.gpus import visible_gpus
from pipelines.journal import JournalEntry, append_entry
from pipelines.settings import Settings, settings
from pipelines.source_code import library_versions, source_hashes

log = logging.getLogger(__name__)

CORE_LIBRARIES = ("polars", "numpy")


def store() -> ArtefactStore:
    """The artefact store of this installation, with the one that it shares, if any."""
    return store_of(settings())


def store_of(known: Settings) -> ArtefactStore:
    """The same of the installation whose settings these are."""
    if known.artefacts_url is None:
        return ArtefactStore(known.artefacts_dir)
    # fsspec: only who shares a store pays for it.
    from pipelines.remote_artefacts import RemoteArtefacts

    return ArtefactStore(known.artefacts_dir, RemoteArtefacts(known.artefacts_url))


def device_class() -> str:
    """``cuda`` where a GPU is there and not hidden, else ``cpu``; asked without importing torch."""
    return "cuda" if visible_gpus() else "cpu"


def open_inputs(inputs: Mapping[str, str]) -> dict[str, Path]:
    """The verified directory of each input key, by the input's name."""
    return {name: store().open(key) for name, key in inputs.items()}


def recipe_of(
    stage: str,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    libraries: tuple[str, ...] = CORE_LIBRARIES,
    modules: tuple[str, ...] = (),
    files: Mapping[str, str] | None = None,
    device: str | None = None,
) -> Recipe:
    """The recipe of a stage of this installation.

    Args:
        stage: its name; its source is ``pipelines.stages.<stage>`` and all that imports.
        config: the sections of the study it may read, as plain data.
        inputs: the keys it reads, by name.
        libraries: distributions whose version decides numbers.
        modules: further first-party modules, which a child process runs.
        files: source files by name, each with its fingerprint.
        device: the device class, where it decides numbers.
    """
    versions = library_versions(*libraries)
    return Recipe(
        stage=stage,
        sources=source_hashes(f"pipelines.stages.{stage}", *modules),
        libraries=versions if device is None else versions | {"device": device},
        config=config,
        inputs=inputs,
        files=files or {},
    )


def run_stage(study: str, recipe: Recipe, write: Callable[[Path], Counts]) -> Artefact:
    """Make or reuse the artefact of ``recipe`` and say so in the log and the journal."""
    artefact = store().make(recipe, write)
    append_entry(
        JournalEntry(
            study=study,
            stage=recipe.stage,
            key=artefact.key,
            made=artefact.made,
            seconds=round(artefact.seconds, 3),
            counts=artefact.counts,
        )
    )
    log.info(
        "%s %s in %.1f s: %s",
        artefact.key,
        "made" if artefact.made else "reused",
        artefact.seconds,
        ", ".join(f"{name} {count:,}" for name, count in artefact.counts.items()),
    )
    return artefact
