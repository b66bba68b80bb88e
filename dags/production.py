"""``python -m dags.production [COMMAND]``: refuse to start on settings unsafe in production.

Each container runs it before its service, whose command it is told. All that is unsafe is told at
once, each with its place and its remedy, and no value of a setting is: no part, no length.
"""

import os
import sys

from dags.production_configuration import Configuration
from dags.production_findings import UnsafeSetting
from dags.production_rules import RULES
from dags.production_services import names_a_host, service_of
from pipelines.settings import settings


def main(command: list[str]) -> int:
    """Print each unsafe setting of the service that a command starts; 0 if there is none."""
    found = unsafe_settings(this_configuration(command))
    for unsafe in found:
        print(f"{unsafe}\n", file=sys.stderr)
    if found:
        print(f"{len(found)} unsafe: nothing is started.", file=sys.stderr)
        return UnsafeSetting.exit_code
    return 0


def unsafe_settings(configuration: Configuration) -> list[UnsafeSetting]:
    """All that is unsafe, in the order of the rules; what two rules find is told once."""
    found = {str(unsafe): unsafe for rule in RULES for unsafe in rule(configuration)}
    return list(found.values())


def this_configuration(command: list[str]) -> Configuration:
    """The environment of this process and what Airflow makes of it; imports airflow."""
    from airflow.configuration import conf

    def option(section: str, key: str) -> str:
        return str(conf.get(section, key, fallback="") or "").strip()

    return Configuration(
        environment=dict(os.environ),
        option=option,
        sensitive=tuple(sorted(conf.sensitive_config_values)),
        secrets_folder=settings().secrets_dir,
        service=service_of(command),
        says_where=names_a_host(command),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
