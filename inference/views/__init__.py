"""Pages of deployments and of the playground."""

from inference.views.conversations import (
    conversation_ask,
    conversation_create,
    conversation_delete,
    conversation_detail,
    conversation_list,
    conversation_rename,
    conversation_settings,
    playground,
)
from inference.views.deployments import (
    deployment_create,
    deployment_delete,
    deployment_detail,
    deployment_list,
    deployment_log,
    deployment_restart,
    deployment_stop,
)

__all__ = [
    "conversation_ask",
    "conversation_create",
    "conversation_delete",
    "conversation_detail",
    "conversation_list",
    "conversation_rename",
    "conversation_settings",
    "deployment_create",
    "deployment_delete",
    "deployment_detail",
    "deployment_list",
    "deployment_log",
    "deployment_restart",
    "deployment_stop",
    "playground",
]
