"""An artefact of two small files, as machines that share a store make it and open it."""

from pathlib import Path

from pipelines.artefacts import Counts, Recipe
from pipelines.manifests import MANIFEST

RECIPE = Recipe("ingest_events", {}, {}, {}, {}, {})
KEY = RECIPE.key
CONTENTS = {"events/07.parquet": b"seven" * 1000, "quarantine.parquet": b"a source's own words"}


def write(draft: Path) -> Counts:
    """Make what CONTENTS says."""
    for name, content in CONTENTS.items():
        (draft / name).parent.mkdir(exist_ok=True)
        (draft / name).write_bytes(content)
    return {"files": len(CONTENTS)}


def write_other(draft: Path) -> Counts:
    """What another device makes of the same recipe: other last bits."""
    write(draft)
    (draft / "quarantine.parquet").write_bytes(b"other bytes")
    return {"files": len(CONTENTS)}


def never(draft: Path) -> Counts:
    """The making of an artefact that is there already."""
    raise AssertionError("it is to be fetched, not made")


def contents(artefact: Path) -> dict[str, bytes]:
    """Each file by its name, without the manifest."""
    files = [file for file in artefact.rglob("*") if file.is_file() and file.name != MANIFEST]
    return {str(file.relative_to(artefact)): file.read_bytes() for file in files}
