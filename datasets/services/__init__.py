"""Everything that changes datasets and their versions, and what others ask of them."""

from datasets.services.asking import model_names, models_currency, models_offered
from datasets.services.changes import dataset_delete, dataset_update, version_delete
from datasets.services.checks import counting_by_default, version_check
from datasets.services.comparisons import comparison_create, comparison_run
from datasets.services.counts import COUNT_SECONDS, tokenizers_of, tokens_asked, tokens_count
from datasets.services.edits import revision_discard, row_decide
from datasets.services.given import given_as_one
from datasets.services.importing import import_execute
from datasets.services.imports import (
    import_cancel,
    import_choose,
    import_create,
    import_kinds,
    shared_entries,
)
from datasets.services.indexes import (
    INDEX_BYTES,
    INDEX_SECONDS,
    Standing,
    index_make,
    indexes_ready,
)
from datasets.services.info import dataset_name, info_write, versions_materialise
from datasets.services.overlaps import evaluation_sets_of
from datasets.services.providers import (
    Probe,
    provider_create,
    provider_delete,
    provider_test,
    provider_update,
)
from datasets.services.public import public_fetch, public_places, public_sync
from datasets.services.recipes import (
    ASKED,
    ASKING_SECONDS,
    PREVIEWED,
    recipe_ask,
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
    uploads_delete,
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
from datasets.services.reviews import (
    review_create,
    review_decide,
    review_next,
    review_skip,
    review_undo,
)
from datasets.services.runlog import log_lines
from datasets.services.running import run_execute, steps_embed
from datasets.services.runs import run_cancel, run_create, run_resume
from datasets.services.saving import revision_save, revision_write
from datasets.services.sharing import share_create, share_delete
from datasets.services.statistics import version_duplicates, version_statistics
from datasets.services.sweeping import (
    check_start,
    checks_run,
    comparison_start,
    comparisons_run,
    duplicates_run,
    duplicates_start,
    import_start,
    imports_run,
    index_start,
    revision_start,
    revisions_run,
    run_start,
    runs_run,
    statistics_run,
    statistics_start,
    sweep,
    tokens_run,
    tokens_start,
)
from datasets.services.uploads import (
    SMALL,
    Wish,
    dataset_create,
    version_add,
    version_remap,
    version_restore,
)
from datasets.services.uses import (
    stages_of,
    storage_used,
    version_cut_count,
    version_unfit,
)

__all__ = [
    "ASKED",
    "ASKING_SECONDS",
    "CHECKSUMS",
    "COUNT_SECONDS",
    "INDEX_BYTES",
    "INDEX_SECONDS",
    "NOTICE",
    "PREVIEWED",
    "SMALL",
    "Probe",
    "Standing",
    "Wish",
    "check_start",
    "checks_run",
    "comparison_create",
    "comparison_run",
    "comparison_start",
    "comparisons_run",
    "counting_by_default",
    "dataset_create",
    "dataset_delete",
    "dataset_name",
    "dataset_update",
    "duplicates_run",
    "duplicates_start",
    "evaluation_sets_of",
    "given_as_one",
    "import_cancel",
    "import_choose",
    "import_create",
    "import_execute",
    "import_kinds",
    "import_start",
    "imports_run",
    "index_make",
    "index_start",
    "indexes_ready",
    "info_write",
    "log_lines",
    "model_names",
    "models_currency",
    "models_offered",
    "project_empty",
    "provider_create",
    "provider_delete",
    "provider_test",
    "provider_update",
    "public_fetch",
    "public_places",
    "public_sync",
    "recipe_ask",
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
    "review_create",
    "review_decide",
    "review_next",
    "review_skip",
    "review_undo",
    "revision_discard",
    "revision_save",
    "revision_start",
    "revision_write",
    "revisions_run",
    "row_decide",
    "run_cancel",
    "run_create",
    "run_execute",
    "run_resume",
    "run_start",
    "runs_run",
    "share_create",
    "share_delete",
    "shared_entries",
    "stages_of",
    "statistics_run",
    "statistics_start",
    "steps_embed",
    "storage_used",
    "sweep",
    "tokenizers_of",
    "tokens_asked",
    "tokens_count",
    "tokens_run",
    "tokens_start",
    "upload_append",
    "upload_create",
    "uploads_delete",
    "uploads_finished",
    "version_add",
    "version_check",
    "version_cut_count",
    "version_delete",
    "version_duplicates",
    "version_keep",
    "version_remap",
    "version_restore",
    "version_statistics",
    "version_unfit",
    "versions_materialise",
]
