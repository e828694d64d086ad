"""Short steps that the control plane's queue runs."""

from accounts import services


def projects_sweep() -> int:
    """Goes on with the removal of deleted projects."""
    return services.projects_sweep()
