"""``python -m validation.profiles EVIDENCE``: how much of each profile an audit covers."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from validation.evidence import load_evidence
from validation.profiles.coverage import Coverage, coverage_of
from validation.profiles.reading import SHIPPED, load_profiles
from validation.report.render import section_anchors


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m validation.profiles", description=__doc__)
    parser.add_argument("evidence", type=Path, help="evidence.json of audit_model")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="more profiles")
    parser.add_argument("--missing", action="store_true", help="name what a profile still lacks")
    given = parser.parse_args(arguments)
    evidence = load_evidence(given.evidence)
    raw = json.loads(given.evidence.read_text(encoding="utf-8"))
    profiles = load_profiles(SHIPPED, *given.folder)
    for found in coverage_of(profiles, raw, section_anchors(evidence)):
        print(line_of(found))
        if given.missing and found.concerns:
            print("\n".join(missing_of(found)))


def line_of(found: Coverage) -> str:
    """One profile in one line."""
    if not found.concerns or found.share is None:
        return f"{found.profile.id:<20} does not concern this study"
    return (
        f"{found.profile.id:<20} {found.share:6.1%}  {found.covered} of {found.asked} items:"
        f" {found.count('measured')} measured, {found.count('declared')} declared;"
        f" {found.count('missing')} lack their evidence,"
        f" {found.count('owner_must_write')} are the owner's to write"
    )


def missing_of(found: Coverage) -> list[str]:
    """The items that could be covered and are not, with what is absent."""
    return [
        f"  {each.item.id}: {each.item.text} ({', '.join(each.absent)})"
        for each in found.items
        if each.state == "missing"
    ]


if __name__ == "__main__":
    main()
