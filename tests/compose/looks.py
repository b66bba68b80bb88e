"""What the containers of a stack may do, and what they show."""

import json

from tests.compose.docker import Failed, docker
from tests.compose.stack import SERVICES, Stack


def look_at_image(image: str) -> None:
    """No root, no port, no volume, and nothing in the environment that names a secret."""
    [told] = json.loads(docker("inspect", image))
    config = told["Config"]
    assert config["User"] == "50000:0"
    named = [each.partition("=")[0] for each in config["Env"]]
    assert not [name for name in named if any(word in name for word in ("PASS", "KEY", "TOKEN"))]


def look_at_containers(stack: Stack) -> None:
    """As Docker tells it, and as it is inside."""
    containers = stack.containers()
    for service in SERVICES:
        host = containers[service]["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert any(each.startswith("no-new-privileges") for each in host["SecurityOpt"]), service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert bool(host["PortBindings"]) == (service == "api-server"), service
        assert stack.execute(service, "id", "-u").strip() != "0", service
        assert not _can_write(stack, service), service
    assert stack.execute("broker", "ls", "/data/appendonlydir").strip()


def _can_write(stack: Stack, service: str) -> bool:
    try:
        stack.execute(service, "touch", "/canary")
    except Failed:
        return False
    return True


def look_for_secrets(stack: Stack, image: str) -> None:
    """In what Docker keeps of image and containers, in their logs and in their processes."""
    containers = stack.containers()
    shown = {
        "docker inspect of the image": docker("inspect", image),
        "docker history": docker("history", "--no-trunc", image),
        "docker inspect": json.dumps(containers),
        "logs": stack.compose("logs", "--no-color"),
        "processes": "".join(docker("top", containers[service]["Id"]) for service in SERVICES),
    }
    secrets = stack.secret_texts()
    assert len(secrets) >= 10
    for where, text in shown.items():
        assert not any(secret in text for secret in secrets), f"a secret is in {where}"
