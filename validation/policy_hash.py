"""One hash over the policy that a model is audited by: what an approval is bound to."""

import hashlib
import json

from validation.config import AuditConfig


def policy_sha256(policy: AuditConfig) -> str:
    """sha256 of the policy as JSON with sorted keys and no spaces.

    The limits of a generation of predictions are not among it: no model is judged by them.
    """
    judged_by = policy.model_dump(mode="json", exclude={"predictions"})
    text = json.dumps(judged_by, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
