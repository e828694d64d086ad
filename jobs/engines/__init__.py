"""Engines: what turns a job into a configuration and a workload, and reads its results back."""

from jobs.engines.base import Engine
from jobs.engines.llamafactory.engine import LlamaFactory

ENGINES: dict[str, Engine] = {"llamafactory": LlamaFactory()}


def engine_named(name: str) -> Engine:
    """The engine of that name; KeyError for a name that no job of ours has."""
    return ENGINES[name]
