"""Pages of the app."""

from datasets.views.comparisons import comparison_create, comparison_detail
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
from datasets.views.edits import (
    revision_detail,
    revision_discard,
    revision_save,
    row_decide,
    row_edit,
)
from datasets.views.imports import (
    import_cancel,
    import_choose,
    import_create,
    import_detail,
    import_list,
    import_resume,
    public_fetch,
)
from datasets.views.providers import (
    provider_create,
    provider_delete,
    provider_list,
    provider_test,
    provider_update,
)
from datasets.views.recipes import (
    recipe_ask,
    recipe_create,
    recipe_delete,
    recipe_detail,
    recipe_list,
    recipe_update,
)
from datasets.views.retention import retention, version_keep
from datasets.views.reviews import review_create, review_row
from datasets.views.rows import version_rows
from datasets.views.runs import run_cancel, run_create, run_detail, run_resume
from datasets.views.sharing import dataset_sharing, share_delete
from datasets.views.statistics import version_statistics
from datasets.views.versions import (
    version_delete,
    version_download,
    version_findings,
    version_remap,
    version_restore,
    version_state,
    version_use,
)

__all__ = [
    "comparison_create",
    "comparison_detail",
    "dataset_create",
    "dataset_delete",
    "dataset_detail",
    "dataset_list",
    "dataset_public",
    "dataset_sharing",
    "dataset_update",
    "import_cancel",
    "import_choose",
    "import_create",
    "import_detail",
    "import_list",
    "import_resume",
    "provider_create",
    "provider_delete",
    "provider_list",
    "provider_test",
    "provider_update",
    "public_fetch",
    "recipe_ask",
    "recipe_create",
    "recipe_delete",
    "recipe_detail",
    "recipe_list",
    "recipe_update",
    "retention",
    "review_create",
    "review_row",
    "revision_detail",
    "revision_discard",
    "revision_save",
    "row_decide",
    "row_edit",
    "run_cancel",
    "run_create",
    "run_detail",
    "run_resume",
    "share_delete",
    "upload_delete",
    "version_delete",
    "version_download",
    "version_findings",
    "version_keep",
    "version_list",
    "version_remap",
    "version_restore",
    "version_rows",
    "version_state",
    "version_statistics",
    "version_use",
]
