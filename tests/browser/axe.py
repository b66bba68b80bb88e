"""axe-core in a page, put there by the debugger: the page itself still runs no script."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from tests.browser.chromium import Tab

SERIOUS = ("serious", "critical")
# Every rule of WCAG 2.2 A and AA, and what axe calls best practice.
RUN = """
    axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(found => JSON.stringify({
        violations: found.violations.map(each => [each.id, each.impact, each.nodes.map(
            node => node.html.slice(0, 160))]),
        incomplete: found.incomplete.map(each => each.id),
        passes: found.passes.length,
    }))
"""


@dataclass(frozen=True)
class Audit:
    """violations: rule, impact, and the elements that break it. passes: rules that held."""

    violations: tuple[tuple[str, str, tuple[str, ...]], ...]
    incomplete: tuple[str, ...]
    passes: int

    @property
    def serious(self) -> list[tuple[str, str, tuple[str, ...]]]:
        return [each for each in self.violations if each[1] in SERIOUS]


def audit(tab: Tab) -> Audit:
    """What axe finds in the page that is open, everything unfolded."""
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    tab.evaluate(_source())
    found: dict[str, Any] = json.loads(tab.evaluate(RUN))
    return Audit(
        violations=tuple((rule, impact, tuple(on)) for rule, impact, on in found["violations"]),
        incomplete=tuple(found["incomplete"]),
        passes=found["passes"],
    )


def _source() -> str:
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
