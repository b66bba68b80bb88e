"""``python -m tests.security.dependency_audit REQUIREMENTS``: known faults of what is locked.

Exit code 1 if a locked version has a known fault, or could not be asked about while the service
answers. Where no service of such faults can be reached (a mirror of packages alone, a machine
apart) it says so and the check goes on: 0.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# One package that surely is in every list: where this one is unknown, so are the others.
PROBE = "certifi"
TIMEOUT_SECONDS = 15
PIP_AUDIT = (
    *(sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format", "json"),
    *("--progress-spinner", "off", "--timeout", str(TIMEOUT_SECONDS), "--requirement"),
)


def main() -> int:
    """Audit the file of pinned requirements that the first argument names."""
    pinned = pins(Path(sys.argv[1]).read_text(encoding="utf-8"))
    probed = known_faults([line for line in pinned if line.startswith(f"{PROBE}==")])
    if judged(probed)[0]:
        print(f"nothing was audited: no service of known faults can be reached ({PROBE})")
        return 0
    unknown, faults = judged(known_faults(pinned))
    print(f"audited {len(pinned) - len(unknown)} of {len(pinned)} locked packages")
    for line in (*(f"not audited: {name}" for name in unknown), *faults):
        print(line)
    return exit_code(unknown, faults)


def exit_code(unknown: list[str], faults: list[str]) -> int:
    """Of what the service that answers says: what it was not asked about may have any fault."""
    return 1 if unknown or faults else 0


def pins(requirements: str) -> list[str]:
    """``name==version`` of each requirement; markers and hashes are left out."""
    return re.findall(r"^([A-Za-z0-9._-]+==[^\s;\\]+)", requirements, re.MULTILINE)


def known_faults(pinned: list[str]) -> dict[str, Any]:
    """What pip-audit says; without an answer, that it audited nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(pinned))
        done = subprocess.run([*PIP_AUDIT, str(file)], check=False, capture_output=True, text=True)
    if not done.stdout:
        reason = (done.stderr.strip() or "no answer").splitlines()[-1]
        return {"dependencies": [{"name": line, "skip_reason": reason} for line in pinned]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def judged(found: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Packages that could not be audited, and a line for each known fault of the others."""
    unknown = [each["name"] for each in found["dependencies"] if "skip_reason" in each]
    faults = [
        f"{each['name']} {each['version']}: {fault['id']}, "
        f"mended in {', '.join(fault['fix_versions']) or 'no version yet'}"
        for each in found["dependencies"]
        for fault in each.get("vulns", [])
    ]
    return unknown, faults


if __name__ == "__main__":
    sys.exit(main())
