"""News of workloads, sent after the commit in the process that saw it.

Receivers must be quick: they may change a row of their own or enqueue a task, never wait.
"""

from django.dispatch import Signal

# workload_id: UUID, old: str, new: str, sent for every change of state.
workload_changed = Signal()

# workload_id: UUID, sent when the workload's metric file has grown, at most four times a second.
workload_progressed = Signal()

# workload_ids: list[UUID]; receivers answer dict[UUID, str], the addresses of the pages of what
# those were submitted for, as far as they know them. Who sees a workload sees its page.
workloads_linked = Signal()

# workload_ids: list[UUID]; receivers answer dict[UUID, datetime], when those of which they know the
# progress will have ended.
workloads_foreseen = Signal()

# node_id: UUID, sent by a node's agent about once a second, in its process on that node, for the
# regular work of other apps that has to be done on the node itself.
agent_tick = Signal()

# workload_id: UUID, sent on the control plane when a node that does not share its directory has
# brought files of the workload: a checkpoint, or all of the output.
workload_staged = Signal()
