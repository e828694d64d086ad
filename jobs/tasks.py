"""Short steps for the control worker."""

import uuid

from jobs import services


def job_finish(job_id: str) -> None:
    """Registers what a job made."""
    services.job_finish(uuid.UUID(job_id))


def workload_follow(workload_id: str) -> None:
    """Follows a workload whose end was noticed where its files are not."""
    services.workload_follow(uuid.UUID(workload_id))


def jobs_sweep() -> int:
    """Finds what a lost message left lying."""
    return services.jobs_sweep()
