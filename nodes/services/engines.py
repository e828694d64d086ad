"""How an engine's environment is started, and with which environment variables."""

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings

from nodes.models import Workload
from nodes.services.keys import serve_key

# What an engine may know of the platform's own environment, in a container too.
ALLOWED_IN_CONTAINERS = (
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
ALLOWED = (
    *ALLOWED_IN_CONTAINERS,
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)


class EngineMissing(Exception):
    """The engine is not installed on this machine."""


def engines_installed() -> list[str]:
    """Names of the engines whose environment is complete."""
    return sorted(path.parent.name for path in Path(settings.ENGINES_DIR).glob("*/engine.json"))


def engine_facts(name: str) -> dict[str, Any]:
    """The engine's `engine.json`. Raises `EngineMissing`."""
    path = Path(settings.ENGINES_DIR) / name / "engine.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineMissing(name) from error
    if Path(name).name != name or not isinstance(facts, dict):
        raise EngineMissing(name)
    return facts


def engine_command(name: str, verb: str) -> tuple[str, ...]:
    """What starts a verb of an engine. Raises `EngineMissing`."""
    facts = engine_facts(name)
    command = facts.get("command") or [facts["python"], "-m", "trainer_runtime"]
    return (*(str(part) for part in command), verb)


def engine_caches(workload: Workload) -> dict[str, Path]:
    """Where engines keep what they have of hubs, by the variable that tells them."""
    home = Path(settings.TRAINER_HOME) / "hf-cache"
    return {"HF_HOME": home / workload.engine, "MODELSCOPE_CACHE": home / "modelscope"}


def engine_environment(workload: Workload, *, contained: bool) -> dict[str, str]:
    """A closed environment: nothing of the platform's secrets, paths or Python leaks into it.

    The runner adds where the workload finds its devices, caches and socket.
    """
    allowed = ALLOWED_IN_CONTAINERS if contained else ALLOWED
    env = {name: os.environ[name] for name in allowed if name in os.environ}
    env |= {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if settings.HUB_ONLINE:
        env["HF_ENDPOINT"] = settings.HF_ENDPOINT
    else:
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    env |= {str(name): str(value) for name, value in workload.env.items()}
    if workload.is_service:
        env["TRAINER_SERVE_KEY"] = serve_key(workload)
    return env
