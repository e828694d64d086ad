"""Everything that changes a job, and what pages and API read of it."""

from jobs.services.drafts import Checked, Draft, draft_check
from jobs.services.endings import last_checkpoint, workload_follow
from jobs.services.finish import job_finish
from jobs.services.lifecycle import (
    job_cancel,
    job_delete,
    job_pause,
    job_priority_set,
    job_resume,
    job_retry,
    job_stop,
    why_not_pausable,
)
from jobs.services.progress import checkpoints_refresh, metrics_take_in
from jobs.services.removal import project_empty
from jobs.services.submit import draft_submit, job_submit
from jobs.services.sweeps import jobs_sweep

__all__ = [
    "Checked",
    "Draft",
    "checkpoints_refresh",
    "draft_check",
    "draft_submit",
    "job_cancel",
    "job_delete",
    "job_finish",
    "job_pause",
    "job_priority_set",
    "job_resume",
    "job_retry",
    "job_stop",
    "job_submit",
    "jobs_sweep",
    "last_checkpoint",
    "metrics_take_in",
    "project_empty",
    "why_not_pausable",
    "workload_follow",
]
