"""Everything that changes datasets and their versions, and what others ask of them."""

from datasets.services.changes import dataset_delete, dataset_update, version_delete
from datasets.services.checks import counting_by_default, version_check
from datasets.services.given import given_as_one
from datasets.services.info import dataset_name, info_write, versions_materialise
from datasets.services.overlaps import evaluation_sets_of
from datasets.services.recipes import (
    PREVIEWED,
    recipe_create,
    recipe_delete,
    recipe_preview,
    recipe_update,
    recipe_versions,
)
from datasets.services.removal import project_empty
from datasets.services.resumable import (
    CHECKSUMS,
    upload_append,
    upload_create,
    upload_delete,
    uploads_finished,
)
from datasets.services.retention import (
    NOTICE,
    retention_due,
    retention_of,
    retention_reset,
    retention_set,
    retention_sweep,
    version_keep,
)
from datasets.services.running import run_execute
from datasets.services.runs import run_cancel, run_create
from datasets.services.sharing import share_create, share_delete
from datasets.services.statistics import version_statistics
from datasets.services.sweeping import (
    check_start,
    checks_run,
    run_start,
    runs_run,
    statistics_run,
    statistics_start,
    sweep,
)
from datasets.services.uploads import (
    SMALL,
    Wish,
    dataset_create,
    version_add,
    version_remap,
)
from datasets.services.uses import (
    stages_of,
    storage_used,
    token_statistics,
    version_cut_count,
    version_unfit,
)

__all__ = [
    "CHECKSUMS",
    "NOTICE",
    "PREVIEWED",
    "SMALL",
    "Wish",
    "check_start",
    "checks_run",
    "counting_by_default",
    "dataset_create",
    "dataset_delete",
    "dataset_name",
    "dataset_update",
    "evaluation_sets_of",
    "given_as_one",
    "info_write",
    "project_empty",
    "recipe_create",
    "recipe_delete",
    "recipe_preview",
    "recipe_update",
    "recipe_versions",
    "retention_due",
    "retention_of",
    "retention_reset",
    "retention_set",
    "retention_sweep",
    "run_cancel",
    "run_create",
    "run_execute",
    "run_start",
    "runs_run",
    "share_create",
    "share_delete",
    "stages_of",
    "statistics_run",
    "statistics_start",
    "storage_used",
    "sweep",
    "token_statistics",
    "upload_append",
    "upload_create",
    "upload_delete",
    "uploads_finished",
    "version_add",
    "version_check",
    "version_cut_count",
    "version_delete",
    "version_keep",
    "version_remap",
    "version_statistics",
    "version_unfit",
    "versions_materialise",
]
