"""A stage's version: the text of its module and of every first-party module it imports."""

import ast
import hashlib
import threading
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST_PARTY = ("pipelines", "models", "validation")

# They carry work about and decide no number: what they hand to a stage (its config sections, its
# input keys) is in the recipe already. A change here must not make a model train again.
CARRYING_PACKAGE = "pipelines.publication."
CARRIERS = frozenset(
    {
        "pipelines.artefacts",
        "pipelines.domains",
        "pipelines.durable",
        "pipelines.errors",
        "pipelines.journal",
        "pipelines.kept_workspaces",
        "pipelines.ledger",
        "pipelines.manifests",
        "pipelines.provenance",
        "pipelines.releases",
        "pipelines.remote_artefacts",
        "pipelines.remote_files",
        "pipelines.remote_folder",
        "pipelines.remote_objects",
        "pipelines.remote_places",
        "pipelines.settings",
        "pipelines.source_code",
        "pipelines.stage",
        "pipelines.strict_yaml",
        "pipelines.study",
    }
)

# Trials run at a time in threads, and in Python 3.11 two parses at a time end in a SystemError.
_PARSING = threading.Lock()


@cache
def source_hashes(*modules: str) -> dict[str, str]:
    """Module name -> sha256 (16 hex) of its text, for ``modules`` and all they import of ours.

    Imports are read from the syntax tree, inside functions too, so nothing is executed.
    """
    hashes: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _path(module)
        carries = module in CARRIERS or module.startswith(CARRYING_PACKAGE)
        if module in hashes or carries or path is None:
            continue
        text = path.read_text()
        hashes[module] = hashlib.sha256(text.encode()).hexdigest()[:16]
        with _PARSING:
            tree = ast.parse(text)
        waiting.extend(_imports(tree))
    return dict(sorted(hashes.items()))


def data_hashes(folder: str) -> dict[str, str]:
    """File -> sha256 of what lies in a first-party folder and is no Python: templates, styles."""
    return {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def library_versions(*names: str) -> dict[str, str]:
    """Distribution name -> installed version."""
    return {name: version(name) for name in names}


def _imports(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
            found.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return [name for name in found if name.split(".")[0] in FIRST_PARTY]


def _path(module: str) -> Path | None:
    """The file of a module; None for a package's empty face and for a name that is no module.

    Looked up on disk: asking Python's import system would run the parent module.
    """
    path = (ROOT / Path(*module.split("."))).with_suffix(".py")
    return path if path.is_file() else None
