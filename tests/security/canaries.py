"""What is planted to be looked for: identifiers of the 18 kinds of HIPAA, and secrets.

The kinds are those of 45 CFR 164.514(b)(2)(i); every planted text is drawn from a fixed seed, is
long enough not to be found by chance, and belongs to nobody.
"""

import base64
import hashlib
import random
import secrets
import string
from pathlib import Path

KINDS = (
    *("name", "address", "date", "phone", "fax", "mail", "social_security", "record_number"),
    *("plan_number", "account", "licence", "vehicle", "device", "url", "ip", "biometric"),
    *("photo", "other"),
)
IDENTIFIERS_PER_KIND = 56
SECRETS = 50
# Pseudonyms decide the split: with a key that is drawn anew a gate may close by chance.
KEY = hashlib.sha256(b"the canaries' pseudonyms").digest()
# Where a patient's words belong, and where a secret does, from an installation's home.
WHERE_PATIENTS_ARE = (
    "data/*",
    "artefacts/ingest_events/*",
    "artefacts/merge_events/*",
    "publication/private/crosswalk/*",
)
WHERE_SECRETS_ARE = ("secrets/*",)


def identifiers() -> dict[str, list[str]]:
    """Kind -> 56 texts: 1,008 in all, no two alike."""
    draw = random.Random(20261123)  # noqa: S311 - planted texts, not keys
    planted = {
        kind: [_identifier(kind, draw) for _ in range(IDENTIFIERS_PER_KIND)] for kind in KINDS
    }
    assert len({text for texts in planted.values() for text in texts}) == 18 * 56
    return planted


def drawn_secrets() -> list[str]:
    """50 secrets, new at each call, so that none can be in the repository."""
    fernet = [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() for _ in range(5)]
    return fernet + [secrets.token_urlsafe(24) for _ in range(SECRETS - len(fernet))]


def write_key(folder: Path) -> None:
    """The key of pseudonyms, into the folder of secrets."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "pseudonym.key").touch(0o600)
    (folder / "pseudonym.key").write_bytes(KEY)


def forms_of_key(key: bytes) -> list[str]:
    """How the bytes of a key may be written, besides as what they are."""
    return [key.hex(), key.decode("latin-1"), base64.b64encode(key).decode()]


def _identifier(kind: str, draw: random.Random) -> str:
    def letters(count: int) -> str:
        return "".join(draw.choices(string.ascii_lowercase, k=count))

    def digits(count: int) -> str:
        return "".join(draw.choices(string.digits, k=count))

    first, last = letters(7).title(), letters(9).title()
    made = {
        "name": f"{first} {last}",
        "address": f"{digits(3)} {last} Street, {first}ville {digits(5)}",
        "date": f"born on the {digits(2)}th of {first} 19{digits(2)}",
        "phone": f"+1-{digits(3)}-555-{digits(6)}",
        "fax": f"fax {digits(3)}.555.{digits(6)}",
        "mail": f"{first}.{last}@{letters(6)}.example".lower(),
        "social_security": f"9{digits(2)}-{digits(2)}-{digits(4)}-{digits(4)}",
        "record_number": f"MRN{digits(12)}",
        "plan_number": f"H{digits(4)}-{digits(3)}-{digits(8)}",
        "account": f"DE{digits(20)}",
        "licence": f"{letters(2).upper()}-DL-{digits(9)}",
        "vehicle": f"VIN{letters(6).upper()}{digits(8)}",
        "device": f"(01){digits(14)}(21){letters(6).upper()}",
        "url": f"https://{letters(9)}.example/patients/{last}?id={digits(5)}",
        "ip": f"2001:db8:{digits(4)}:{digits(4)}::{digits(4)}",
        "biometric": f"iris/{letters(4)}:{secrets_like(draw)}",
        "photo": f"IMG_{last}_{digits(8)}.jpg",
        "other": f"study badge {letters(5)}#{digits(8)}",
    }
    return made[kind]


def secrets_like(draw: random.Random) -> str:
    """Text as of a template of features."""
    return base64.b64encode(draw.randbytes(18)).decode()
