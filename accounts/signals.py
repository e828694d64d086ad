"""News of this app, and questions that it asks the apps above."""

import enum

from django.dispatch import Signal

# Asked with `project`; a receiver answers with a dict of what the project uses, of these words:
# `active_jobs` (waiting or running), `storage_bytes`.
project_usage = Signal()

# Asked with `project` before it is deleted; a receiver answers with a list of sentences that say
# what of it runs or waits, and what to do about it.
project_working = Signal()

# Asked with `project`; a receiver answers with a list of phrases, such as “3 datasets”.
project_contents = Signal()

# Sent with `project`, which is deleted and seen by nobody, `stage`, and `until` (of the monotonic
# clock), outside of a transaction and as often as it takes: receivers remove their rows and files
# of the project, not much longer than until then, and answer whether something is left. A stage
# begins when nothing is left of the one before.
project_emptying = Signal()


class Stage(enum.Enum):
    """What is removed first, because it holds what comes after."""

    WORK = "work"  # jobs, deployments, conversations
    THINGS = "things"  # what they used: data, models, workloads
