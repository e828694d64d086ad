"""Pages of the app."""

from datasets.views.datasets import (
    dataset_create,
    dataset_delete,
    dataset_detail,
    dataset_list,
    dataset_public,
    dataset_update,
    upload_delete,
    version_list,
)
from datasets.views.recipes import (
    recipe_create,
    recipe_delete,
    recipe_detail,
    recipe_list,
    recipe_update,
)
from datasets.views.retention import retention, version_keep
from datasets.views.runs import run_cancel, run_create, run_detail
from datasets.views.sharing import dataset_sharing, share_delete
from datasets.views.statistics import version_statistics
from datasets.views.versions import (
    version_delete,
    version_download,
    version_findings,
    version_remap,
    version_rows,
    version_state,
    version_use,
)

__all__ = [
    "dataset_create",
    "dataset_delete",
    "dataset_detail",
    "dataset_list",
    "dataset_public",
    "dataset_sharing",
    "dataset_update",
    "recipe_create",
    "recipe_delete",
    "recipe_detail",
    "recipe_list",
    "recipe_update",
    "retention",
    "run_cancel",
    "run_create",
    "run_detail",
    "share_delete",
    "upload_delete",
    "version_delete",
    "version_download",
    "version_findings",
    "version_keep",
    "version_list",
    "version_remap",
    "version_rows",
    "version_state",
    "version_statistics",
    "version_use",
]
