"""Everything that changes models, versions and evaluations."""

from registry.services.base_models import (
    base_model_add,
    base_model_update,
    catalogue_import,
    demo_arguments,
    demo_model_create,
)
from registry.services.evaluations import (
    evaluation_create,
    evaluation_delete,
    evaluation_rescore,
)
from registry.services.imports import folder_import, import_candidates, model_import
from registry.services.removal import project_empty
from registry.services.versions import (
    model_delete,
    model_update,
    version_delete,
    version_publish,
)

__all__ = [
    "base_model_add",
    "base_model_update",
    "catalogue_import",
    "demo_arguments",
    "demo_model_create",
    "evaluation_create",
    "evaluation_delete",
    "evaluation_rescore",
    "folder_import",
    "import_candidates",
    "model_delete",
    "model_import",
    "model_update",
    "project_empty",
    "version_delete",
    "version_publish",
]
