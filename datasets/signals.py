"""News of this app."""

from django.dispatch import Signal

# Sent inside the transaction, before anything is removed, with `dataset`, `versions` (a list) and
# `by` (None: the platform). Whoever still needs them raises common.errors.Conflict that names what
# uses them, as far as `by` may know it.
dataset_deleting = Signal()

# Asked with `project`; a receiver answers with ids of versions that must stay, at least of those of
# the project.
versions_needed = Signal()

# Asked about all projects; a receiver answers with pairs of a project's id and the id of a version
# that the project measures models with.
evaluation_sets = Signal()

# Asked with `user`; a receiver answers with pairs of the id and the name of each model in service
# that the user may ask.
deployments_offered = Signal()

# Asked with `user` and `only`; a receiver answers with the tokenizers (`statistics.tokenizers`) of
# each model that the user may choose, or of the model's version `only` if he may choose that.
tokenizers_offered = Signal()

# Asked with `user` and `deployment_id`; a receiver answers with the way to it, a
# `datasets.generation.doors.Door`, or None.
deployment_opening = Signal()
