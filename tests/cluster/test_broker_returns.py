"""A worker with the shipped settings waits for a broker that is away, and is never started anew."""

import json
import sys
import time
from pathlib import Path

import pytest

from dags.processes import Service, stop
from tests.cluster.broker import own_broker
from tests.cluster.settings import clean_environment, shipped
from tests.cluster.strikes import KILL
from tests.faults.airflow_services import wait_for

pytestmark = pytest.mark.faults

APP = """
import json, os
from celery import Celery

app = Celery(broker=os.environ["BROKER"])
app.conf.update(json.loads(os.environ["SETTINGS"]))
"""
AWAY_SECONDS = 5


def test_a_worker_outlives_its_broker(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    settings = json.loads(shipped()["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    settings["broker_connection_retry_on_startup"] = True
    worker = Service("worker", tmp_path)
    with own_broker(tmp_path / "broker", "127.0.0.1") as broker:
        environment = clean_environment() | {"BROKER": broker.url, "SETTINGS": json.dumps(settings)}
        environment["PYTHONPATH"] = str(tmp_path)
        words = ["-m", "celery", "-A", "app", "worker", "-P", "solo", "-l", "info"]
        worker.start([sys.executable, *words], environment)
        try:
            wait_for(lambda: _connections(worker) == 1)
            first = worker.leader()
            broker.service.signal(KILL)
            wait_for(lambda: broker.service.members() == [])
            time.sleep(AWAY_SECONDS)
            broker.start()
            wait_for(lambda: _connections(worker) >= 2 or worker.leader() is None)
            assert first is not None
            assert worker.leader() == first
        finally:
            stop([worker], patience_seconds=8)


def _connections(worker: Service) -> int:
    return worker.log_file.read_text().count("Connected to redis")
