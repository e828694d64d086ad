"""News of this app, and questions that it asks the apps above."""

from django.dispatch import Signal

# Asked with `project`; a receiver answers with a dict of what the project uses, of these words:
# `active_jobs` (waiting or running), `storage_bytes`.
project_usage = Signal()
