"""Everything that changes deployments and conversations."""

from inference.services.conversations import (
    Turn,
    answer_finish,
    answer_save,
    conversation_create,
    conversation_delete,
    conversation_update,
    turn_begin,
)
from inference.services.deployments import (
    deployment_create,
    deployment_delete,
    deployment_restart,
    deployment_stop,
    version_refusal,
)
from inference.services.lifecycle import (
    deployment_ready,
    deployment_sync,
    deployment_touch,
    deployment_unload,
    deployments_sweep,
    version_guard,
    workload_sync,
)
from inference.services.removal import project_empty
from inference.services.targets import NotReady, Target, deployment_named, model_target, target_of

__all__ = [
    "NotReady",
    "Target",
    "Turn",
    "answer_finish",
    "answer_save",
    "conversation_create",
    "conversation_delete",
    "conversation_update",
    "deployment_create",
    "deployment_delete",
    "deployment_named",
    "deployment_ready",
    "deployment_restart",
    "deployment_stop",
    "deployment_sync",
    "deployment_touch",
    "deployment_unload",
    "deployments_sweep",
    "model_target",
    "project_empty",
    "target_of",
    "turn_begin",
    "version_guard",
    "version_refusal",
    "workload_sync",
]
