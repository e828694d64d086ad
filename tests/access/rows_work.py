"""Rows of data, models, jobs, deployments and nodes."""

from tests.access.rows_accounts import OPERATORS_403, OWNERS_OWN
from tests.access.table import (
    DEVELOPERS,
    EVERYBODY,
    IN,
    OPERATORS,
    PEOPLE,
    RESEARCHERS,
    SIGNED_IN,
    VIEWERS,
    Expected,
    Row,
    api,
    at_least,
    over_api,
)

VIEWERS_OR_404 = {**VIEWERS, "anonymous": 404}
OF_DATASET = {"pk": "dataset", "dataset_pk": "dataset"}
OF_VERSION = {"pk": "version", "dataset_pk": "dataset"}
VERSION_PARTS = ("cuts", "download", "findings", "overlaps", "rows", "statistics", "tokenizers")
OF_RUN = {"run_id": "recipe_run"}
PUBLIC = {"dataset_id": "public_dataset", "version_id": "public_version"}

DATASETS = {
    "datasets:dataset_list": Row(get=SIGNED_IN),
    "datasets:dataset_public": Row(get=EVERYBODY),
    "datasets:dataset_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:retention": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:upload_delete": Row(post=OWNERS_OWN),
    "datasets:dataset_detail": Row(get=VIEWERS_OR_404),
    "datasets:dataset_update": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:public_fetch": Row(post=OPERATORS),
    "datasets:dataset_delete": Row(post=RESEARCHERS),
    "datasets:dataset_sharing": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:share_delete": Row(post=RESEARCHERS, objects={"dataset_id": "shared_dataset"}),
    "datasets:version_list": Row(get=VIEWERS_OR_404, post={**RESEARCHERS, "anonymous": 404}),
    "datasets:version_rows": Row(get=VIEWERS_OR_404),
    "datasets:version_findings": Row(get=VIEWERS_OR_404),
    "datasets:version_statistics": Row(get=VIEWERS_OR_404),
    "datasets:version_use": Row(get=VIEWERS_OR_404),
    "datasets:version_state": Row(get=VIEWERS_OR_404),
    "datasets:version_remap": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:version_download": Row(get=VIEWERS_OR_404),
    "datasets:version_keep": Row(post=RESEARCHERS),
    "datasets:version_delete": Row(post=RESEARCHERS),
    "datasets:import_list": Row(get=SIGNED_IN),
    "datasets:import_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:import_detail": Row(get=VIEWERS),
    "datasets:import_choose": Row(post=RESEARCHERS),
    "datasets:import_resume": Row(post=RESEARCHERS),
    "datasets:import_cancel": Row(post=RESEARCHERS),
    "datasets:comparison_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:comparison_detail": Row(get=VIEWERS),
    "api-comparison-list": api(
        get=SIGNED_IN, post=VIEWERS, data={"before": "version", "after": "other_version"}
    ),
    "api-comparison-detail": api("comparison", get=VIEWERS),
    "api-comparison-rows": api("comparison", get=VIEWERS),
    "datasets:version_restore": Row(post=RESEARCHERS),
    "api-dataset-version-restore": Row(post=over_api(RESEARCHERS), objects=OF_VERSION),
    "datasets:row_edit": Row(get=RESEARCHERS, post=RESEARCHERS, objects={"number": "1"}),
    "datasets:row_decide": Row(post=RESEARCHERS, objects={"number": "1"}),
    "datasets:revision_detail": Row(get=VIEWERS),
    "datasets:revision_save": Row(post=RESEARCHERS),
    "datasets:revision_discard": Row(post=RESEARCHERS),
    "datasets:review_create": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:review_row": Row(
        get=RESEARCHERS, post=RESEARCHERS, objects={"revision_id": "review"}
    ),
    "api-revision-list": api(
        get=SIGNED_IN, post=RESEARCHERS, data={"version": "version", "name": "look"}
    ),
    "api-revision-next": api("review", post=RESEARCHERS),
    "api-revision-decide": api("review", post=RESEARCHERS),
    "api-revision-undo": api("review", post=RESEARCHERS),
    "api-revision-agreement": api("review", get=VIEWERS),
    "api-revision-detail": api("revision", get=VIEWERS, delete=RESEARCHERS),
    "api-revision-decisions": api("revision", get=VIEWERS),
    "api-revision-save": api("revision", post=RESEARCHERS),
    "datasets:recipe_list": Row(get=SIGNED_IN),
    "datasets:recipe_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:recipe_detail": Row(get=VIEWERS),
    "datasets:recipe_update": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:recipe_delete": Row(post=RESEARCHERS),
    "datasets:recipe_ask": Row(post=RESEARCHERS),
    "datasets:run_resume": Row(post=RESEARCHERS, objects=OF_RUN),
    "datasets:provider_list": Row(get=SIGNED_IN),
    "datasets:provider_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "datasets:provider_update": Row(get=RESEARCHERS, post=RESEARCHERS),
    "datasets:provider_test": Row(post=RESEARCHERS),
    "datasets:provider_delete": Row(post=RESEARCHERS),
    "datasets:run_create": Row(post=RESEARCHERS),
    "datasets:run_detail": Row(get=VIEWERS, objects=OF_RUN),
    "datasets:run_cancel": Row(post=RESEARCHERS, objects=OF_RUN),
    "api-upload-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-upload-detail": api("upload", get=OWNERS_OWN, patch=OWNERS_OWN, delete=OWNERS_OWN),
    "api-import-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-import-detail": api("import", get=VIEWERS),
    "api-import-choose": api("import", post=RESEARCHERS),
    "api-import-resume": api("import", post=RESEARCHERS),
    "api-import-cancel": api("import", post=RESEARCHERS),
    "api-recipe-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-recipe-detail": api("recipe", get=VIEWERS, patch=RESEARCHERS, delete=RESEARCHERS),
    "api-recipe-kinds": api(get=SIGNED_IN),
    "api-recipe-preview": api("recipe", get=VIEWERS),
    "api-recipe-ask": api("recipe", post=RESEARCHERS, data={"version": "version"}),
    "api-provider-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-provider-detail": api("provider", get=VIEWERS, patch=RESEARCHERS, delete=RESEARCHERS),
    "api-provider-test": api("provider", post=RESEARCHERS),
    "api-recipe-run-resume": api("recipe_run", post=RESEARCHERS),
    "api-recipe-run": api("recipe", post=RESEARCHERS, data={"version": "version"}),
    "api-recipe-run-list": api(get=SIGNED_IN),
    "api-recipe-run-detail": api("recipe_run", get=VIEWERS),
    "api-recipe-run-cancel": api("recipe_run", post=RESEARCHERS),
    "api-dataset-list": Row(get=EVERYBODY, post=at_least(0, anonymous=401)),
    "api-dataset-detail": Row(
        get=VIEWERS_OR_404,
        patch=over_api(RESEARCHERS),
        delete=over_api(RESEARCHERS),
        objects=OF_DATASET,
    ),
    "api-dataset-shares": Row(
        get=over_api(RESEARCHERS), post=over_api(RESEARCHERS), objects=OF_DATASET
    ),
    "api-dataset-share": Row(delete=over_api(RESEARCHERS), objects={"pk": "shared_dataset"}),
    "api-dataset-version-list": Row(
        get=VIEWERS_OR_404, post=over_api(RESEARCHERS), objects=OF_DATASET
    ),
    "api-dataset-version-detail": Row(
        get=VIEWERS_OR_404, delete=over_api(RESEARCHERS), objects=OF_VERSION
    ),
    "api-dataset-version-row": Row(
        patch=over_api(RESEARCHERS), objects={**OF_VERSION, "number": "1"}
    ),
    "api-dataset-version-keep": Row(
        post=over_api(RESEARCHERS), objects=OF_VERSION, data={"kept": True}
    ),
    "api-dataset-version-mapping": Row(post=over_api(RESEARCHERS), objects=OF_VERSION),
    **{
        f"api-dataset-version-{word}": Row(get=VIEWERS_OR_404, objects=OF_VERSION)
        for word in VERSION_PARTS
    },
}
PUBLIC_DATASETS = {
    "datasets:dataset_detail (public)": Row(get=EVERYBODY, objects=PUBLIC),
    "datasets:dataset_update (public)": Row(get=OPERATORS, post=OPERATORS, objects=PUBLIC),
    "datasets:dataset_delete (public)": Row(post=OPERATORS, objects=PUBLIC),
    "datasets:version_rows (public)": Row(get=EVERYBODY, objects=PUBLIC),
    "datasets:version_download (public)": Row(get=EVERYBODY, objects=PUBLIC),
    "datasets:version_delete (public)": Row(post=OPERATORS, objects=PUBLIC),
    "api-dataset-detail (public)": Row(
        get=EVERYBODY,
        patch=over_api(OPERATORS),
        delete=over_api(OPERATORS),
        objects={"pk": "public_dataset"},
    ),
}
# `stranger` is in no project of the team and was let in by name, to read.
SHARED = {"dataset_id": "shared_dataset", "version_id": "shared_version"}
SHARED_API = {"pk": "shared_version", "dataset_pk": "shared_dataset"}
READERS: Expected = {**VIEWERS_OR_404, "stranger": IN}
SHARED_DATASETS = {
    **{
        f"datasets:{word} (shared)": Row(get=READERS, objects=SHARED)
        for word in (
            *("dataset_detail", "version_rows", "version_findings", "version_statistics"),
            *("version_use", "version_state", "version_download"),
        )
    },
    "datasets:version_list (shared)": Row(
        get=READERS, post={**RESEARCHERS, "anonymous": 404}, objects=SHARED
    ),
    "datasets:dataset_update (shared)": Row(get=RESEARCHERS, post=RESEARCHERS, objects=SHARED),
    "datasets:dataset_sharing (shared)": Row(get=RESEARCHERS, post=RESEARCHERS, objects=SHARED),
    "datasets:dataset_delete (shared)": Row(post=RESEARCHERS, objects=SHARED),
    "datasets:version_remap (shared)": Row(get=RESEARCHERS, post=RESEARCHERS, objects=SHARED),
    "datasets:version_keep (shared)": Row(post=RESEARCHERS, objects=SHARED),
    "datasets:version_delete (shared)": Row(post=RESEARCHERS, objects=SHARED),
    "api-dataset-detail (shared)": Row(
        get=READERS,
        patch=over_api(RESEARCHERS),
        delete=over_api(RESEARCHERS),
        objects={"pk": "shared_dataset"},
    ),
    "api-dataset-shares (shared)": Row(
        get=over_api(RESEARCHERS), post=over_api(RESEARCHERS), objects={"pk": "shared_dataset"}
    ),
    "api-dataset-version-list (shared)": Row(
        get=READERS, post=over_api(RESEARCHERS), objects=SHARED_API
    ),
    "api-dataset-version-detail (shared)": Row(
        get=READERS, delete=over_api(RESEARCHERS), objects=SHARED_API
    ),
    "api-dataset-version-mapping (shared)": Row(post=over_api(RESEARCHERS), objects=SHARED_API),
    **{
        f"api-dataset-version-{word} (shared)": Row(get=READERS, objects=SHARED_API)
        for word in VERSION_PARTS
    },
}
VERSION = {"model_id": "model", "version_id": "model_version"}
HIDDEN = {"model_id": "hidden_base"}
REGISTRY = {
    "registry:model_list": Row(get=SIGNED_IN),
    "registry:catalogue": Row(get=OPERATORS),
    "registry:base_model_add": Row(get=OPERATORS, post=OPERATORS),
    "registry:model_import": Row(get=OPERATORS, post=OPERATORS),
    "registry:base_model_edit": Row(get=OPERATORS, post=OPERATORS, objects=HIDDEN),
    "registry:base_model_switch": Row(post=OPERATORS, objects=HIDDEN),
    "registry:model_detail": Row(get=VIEWERS),
    "registry:model_detail (hidden)": Row(get=OPERATORS, objects=HIDDEN),
    "registry:model_edit": Row(get=RESEARCHERS, post=RESEARCHERS),
    "registry:model_delete": Row(post=RESEARCHERS),
    "registry:version_detail": Row(get=VIEWERS, objects=VERSION),
    "registry:version_download": Row(get=VIEWERS, objects=VERSION),
    "registry:version_delete": Row(post=RESEARCHERS, objects=VERSION),
    "registry:evaluation_list": Row(get=SIGNED_IN),
    "registry:evaluation_compare": Row(get=SIGNED_IN),
    "registry:evaluation_detail": Row(get=VIEWERS),
    "registry:evaluation_download": Row(get=VIEWERS),
    "registry:evaluation_rescore": Row(post=RESEARCHERS),
    "registry:evaluation_delete": Row(post=RESEARCHERS),
    "api-model-list": api(get=SIGNED_IN),
    "api-model-detail": api("model", get=VIEWERS, patch=RESEARCHERS, delete=RESEARCHERS),
    "api-model-version-list": api(get=SIGNED_IN),
    "api-model-version-detail": api("model_version", get=VIEWERS, delete=RESEARCHERS),
    "api-model-version-files": api("model_version", get=VIEWERS),
    "api-model-version-download": api("model_version", get=VIEWERS),
    "api-base-model-list": api(get=SIGNED_IN, post=OPERATORS_403),
    "api-base-model-detail": api(
        "hidden_base", get=OPERATORS, patch=OPERATORS_403, delete=OPERATORS_403
    ),
    "api-base-model-templates": api(get=SIGNED_IN),
    "api-base-model-import-folders": api(get=OPERATORS_403),
    "api-base-model-import-folder": api(post=OPERATORS_403),
    "api-evaluation-list": api(get=SIGNED_IN),
    "api-evaluation-detail": api("evaluation", get=VIEWERS, delete=RESEARCHERS),
    "api-evaluation-rows": api("evaluation", get=VIEWERS),
    "api-evaluation-rescore": api("evaluation", post=RESEARCHERS),
    "api-evaluation-download": api("evaluation", get=VIEWERS),
}
JOBS = {
    "jobs:job_list": Row(get=SIGNED_IN),
    "jobs:job_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "jobs:job_detail": Row(get=VIEWERS),
    "jobs:job_metrics": Row(get=VIEWERS),
    "jobs:job_cancel": Row(post=RESEARCHERS),
    "jobs:job_stop": Row(post=RESEARCHERS),
    "jobs:job_pause": Row(post=RESEARCHERS),
    "jobs:job_resume": Row(post=RESEARCHERS),
    "jobs:job_retry": Row(post=RESEARCHERS),
    "jobs:job_delete": Row(post=RESEARCHERS),
    "jobs:job_config": Row(get=VIEWERS),
    "jobs:job_log": Row(get=VIEWERS),
    "jobs:job_archive": Row(get=VIEWERS),
    "jobs:job_file": Row(get=VIEWERS, objects={"path": "config.yaml"}),
    "api-job-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-job-detail": api(
        "job", data={"priority": 40}, get=VIEWERS, patch=RESEARCHERS, delete=RESEARCHERS
    ),
    "api-job-file": Row(get=over_api(VIEWERS), objects={"pk": "job", "path": "config.yaml"}),
    "api-job-preview": api(post=SIGNED_IN),
    "api-job-options": api(get=SIGNED_IN),
    **{
        f"api-job-{word}": api("job", post=RESEARCHERS)
        for word in ("cancel", "stop", "pause", "resume", "retry")
    },
    **{
        f"api-job-{word}": api("job", get=VIEWERS)
        for word in ("clone", "metrics", "checkpoints", "events", "log", "files", "archive")
    },
}
INFERENCE = {
    "inference:deployment_list": Row(get=SIGNED_IN),
    "inference:deployment_create": Row(get=SIGNED_IN, post=SIGNED_IN),
    "inference:deployment_detail": Row(get=VIEWERS),
    "inference:deployment_log": Row(get=VIEWERS),
    "inference:deployment_stop": Row(post=DEVELOPERS),
    "inference:deployment_restart": Row(post=DEVELOPERS),
    "inference:deployment_delete": Row(post=DEVELOPERS),
    "inference:playground": Row(get=SIGNED_IN),
    "inference:conversation_create": Row(post=SIGNED_IN),
    "inference:conversation_list": Row(get=SIGNED_IN),
    "inference:conversation_detail": Row(get=OWNERS_OWN),
    "inference:conversation_settings": Row(post=OWNERS_OWN),
    "inference:conversation_rename": Row(post=OWNERS_OWN),
    "inference:conversation_delete": Row(post=OWNERS_OWN),
    "inference:conversation_ask": Row(post=OWNERS_OWN),
    "api-deployment-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-deployment-detail": api("deployment", get=VIEWERS, delete=DEVELOPERS),
    "api-deployment-stop": api("deployment", post=DEVELOPERS),
    "api-deployment-restart": api("deployment", post=DEVELOPERS),
    "api-deployment-log": api("deployment", get=VIEWERS),
    "api-conversation-list": api(get=SIGNED_IN, post=SIGNED_IN),
    "api-conversation-detail": api(
        "conversation", get=OWNERS_OWN, patch=OWNERS_OWN, delete=OWNERS_OWN
    ),
    "api-conversation-messages": api("conversation", get=OWNERS_OWN, post=OWNERS_OWN),
}
# The gateway takes keys only: whoever comes with a session and no key is a visitor.
KEYS_ONLY: Expected = dict.fromkeys(PEOPLE, 401)
GATEWAY = {
    "gateway-chat": Row(post=KEYS_ONLY),
    "gateway-models": Row(get=KEYS_ONLY),
    "gateway-model": Row(get=KEYS_ONLY),
    "gateway-unknown": Row(),
}
# Nodes come with keys of their own, which no person has.
OF_OUTPUT = {"epoch": "1", "sha256": "0" * 64}
AGENTS = {
    "api-agent-join": Row(post=EVERYBODY),
    "api-agent-hello": Row(post=KEYS_ONLY),
    "api-agent-home": Row(get=KEYS_ONLY),
    "api-agent-growth": Row(post=KEYS_ONLY),
    "api-agent-input": Row(get=KEYS_ONLY, objects=OF_OUTPUT),
    "api-agent-input-file": Row(get=KEYS_ONLY, objects=OF_OUTPUT),
    "api-agent-outputs": Row(post=KEYS_ONLY, put=KEYS_ONLY, objects=OF_OUTPUT),
    "api-agent-output-bytes": Row(put=KEYS_ONLY, objects=OF_OUTPUT),
}
OF_CHANNEL = {"channel_id": "alert_channel"}
NODES = {
    "nodes:node_list": Row(get=SIGNED_IN),
    "nodes:node_detail": Row(get=SIGNED_IN),
    "nodes:node_samples": Row(get=SIGNED_IN),
    "nodes:node_cordon": Row(post=OPERATORS),
    "nodes:node_note": Row(post=OPERATORS),
    "nodes:node_drain": Row(post=OPERATORS),
    "nodes:node_release": Row(post=OPERATORS),
    "nodes:node_remove": Row(post=OPERATORS),
    "nodes:node_token_list": Row(get=OPERATORS, post=OPERATORS),
    "nodes:node_token_revoke": Row(post=OPERATORS, objects={"token_id": "node_token"}),
    "nodes:alert_list": Row(get=SIGNED_IN),
    "nodes:alert_rule_set": Row(post=OPERATORS, objects={"kind": "heat"}),
    "nodes:alert_channel_create": Row(post=OPERATORS),
    "nodes:alert_channel_switch": Row(post=OPERATORS, objects=OF_CHANNEL),
    "nodes:alert_channel_test": Row(post=OPERATORS, objects=OF_CHANNEL),
    "nodes:alert_channel_delete": Row(post=OPERATORS, objects=OF_CHANNEL),
    "nodes:image_list": Row(get=OPERATORS),
    "nodes:image_add": Row(post=OPERATORS),
    "nodes:image_switch": Row(post=OPERATORS),
    "nodes:image_retry": Row(post=OPERATORS),
    "nodes:image_remove": Row(post=OPERATORS),
    "nodes:workload_log": Row(get=VIEWERS),
    "nodes:workload_log_download": Row(get=VIEWERS),
    "api-node-list": api(get=SIGNED_IN),
    "api-node-detail": api("node", get=SIGNED_IN, patch=OPERATORS, delete=OPERATORS),
    "api-node-samples": api("node", get=SIGNED_IN),
    "api-node-drain": api("node", post=OPERATORS),
    "api-node-release": api("node", post=OPERATORS),
    "api-node-token-list": api(get=OPERATORS_403, post=OPERATORS_403),
    "api-node-token-detail": api("node_token", get=OPERATORS_403, delete=OPERATORS_403),
    "api-alert-list": api(get=SIGNED_IN),
    "api-alert-detail": api("alert", get=SIGNED_IN),
    "api-alert-rule-list": api(get=SIGNED_IN),
    "api-alert-rule-detail": Row(
        get=over_api(SIGNED_IN), patch=over_api(OPERATORS), objects={"kind": "heat"}
    ),
    "api-alert-channel-list": api(get=OPERATORS_403, post=OPERATORS_403),
    "api-alert-channel-detail": api(
        "alert_channel", get=OPERATORS_403, patch=OPERATORS_403, delete=OPERATORS_403
    ),
    "api-alert-channel-test": api("alert_channel", post=OPERATORS_403),
    "api-alert-channel-deliveries": api("alert_channel", get=OPERATORS_403),
    "api-image-list": api(get=OPERATORS_403, post=OPERATORS_403),
    "api-image-detail": api(
        "image",
        get=OPERATORS_403,
        patch=OPERATORS_403,
        delete=OPERATORS_403,
        data={"is_enabled": False},
    ),
    "api-image-retry": api("image", post=OPERATORS_403),
    "api-workload-list": api(get=SIGNED_IN),
    "api-workload-detail": api("workload", get=VIEWERS),
    "api-workload-stop": api("workload", post=RESEARCHERS),
    "api-workload-stop (service)": api("service", post=DEVELOPERS),
    "api-workload-priority": api("workload", data={"priority": 40}, post=RESEARCHERS),
    "api-workload-log": api("workload", get=VIEWERS),
}
ROWS = {
    **DATASETS, **PUBLIC_DATASETS, **SHARED_DATASETS, **REGISTRY, **JOBS, **INFERENCE,
    **GATEWAY, **NODES, **AGENTS
}  # fmt: skip
