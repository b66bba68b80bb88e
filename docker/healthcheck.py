"""``healthcheck.py ROLE``: exit code 0 if a container's role works.

Light, as it runs every half minute in every container: it does not import airflow. The api-server
tells of the scheduler, the DAG processor and the triggerer by their last heartbeats; a worker
answers a ping through the broker.
"""

import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

SECONDS = 15.0
# As the api-server names them.
PARTS = {
    "api-server": "metadatabase",
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}


def main(role: str) -> int:
    """0 if the role is healthy."""
    healthy = _worker_answers() if role == "worker" else _server_tells(PARTS[role])
    if not healthy:
        print(f"{role} is not healthy", file=sys.stderr)
    return 0 if healthy else 1


def _server_tells(part: str) -> bool:
    url = os.environ["EQUIPOISE_HEALTH_URL"]
    # The cluster's own authority, where it has one.
    trusted = ssl.create_default_context(cafile=os.environ.get("AIRFLOW__API__SSL_CA_FILE"))
    try:
        with urllib.request.urlopen(url, timeout=SECONDS, context=trusted) as answer:  # noqa: S310
            return bool(json.load(answer)[part]["status"] == "healthy")
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False


def _worker_answers() -> bool:
    from celery import Celery

    command = shlex.split(os.environ["AIRFLOW__CELERY__BROKER_URL_CMD"])
    broker = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    name = f"celery@{socket.gethostname()}"
    try:
        return bool(Celery(broker=broker).control.ping([name], timeout=SECONDS / 3))
    except Exception:
        # An exception's words may hold the broker's URL.
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
