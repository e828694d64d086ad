"""Everything that changes nodes and workloads."""

from nodes.services.alerts import alerts_forget, alerts_measure, alerts_silence
from nodes.services.builds import image_build_held, images_cut_off
from nodes.services.channels import (
    channel_create,
    channel_delete,
    channel_switch,
    channel_test,
    deliveries_sweep,
    delivery_send,
)
from nodes.services.choices import (
    ImageRefused,
    image_is_here,
    image_named,
    image_of,
    images_by_default,
    images_here,
    images_offer,
    images_on_nodes,
)
from nodes.services.engines import EngineMissing, engine_command, engines_installed
from nodes.services.follow import (
    workload_claim,
    workload_end,
    workload_ended,
    workload_exited,
    workload_lost,
    workload_overrun,
    workload_reclaim,
    workload_start,
    workload_started,
)
from nodes.services.forecast import starts_foreseen, starts_told
from nodes.services.hardware import errors_forget, failure_note, faults_note, node_release
from nodes.services.images import (
    image_add,
    image_build_begin,
    image_claim,
    image_failed,
    image_give_back,
    image_progress,
    image_ready,
    image_remove,
    image_retry,
    image_switch,
    image_tool_run,
    images_give_back,
    images_publish,
)
from nodes.services.keys import installation_id, serve_key
from nodes.services.machines import (
    NodeRemoved,
    node_beat,
    node_leads,
    node_register,
    nodes_sweep,
)
from nodes.services.moves import ForeignWorkload
from nodes.services.planning import schedule
from nodes.services.queue import (
    queue_places,
    queue_position,
    workload_priority_set,
    workload_stop,
    workload_submit,
    workloads_fetched_for,
)
from nodes.services.reach import Route, route_to
from nodes.services.reasons import reason_text
from nodes.services.removal import project_empty, workload_files_remove
from nodes.services.restored import restored
from nodes.services.rules import rule_set, rules, rules_seed
from nodes.services.samples import sample_record, samples_forget, samples_roll
from nodes.services.sharing import files_are_here, node_of_key
from nodes.services.silence import Witness, witness_of_control
from nodes.services.tokens import (
    node_hello,
    node_join,
    node_token_create,
    node_token_revoke,
)
from nodes.services.upkeep import node_cordon, node_drain, node_note, node_remove

__all__ = [
    "EngineMissing",
    "ForeignWorkload",
    "ImageRefused",
    "NodeRemoved",
    "Route",
    "Witness",
    "alerts_forget",
    "alerts_measure",
    "alerts_silence",
    "channel_create",
    "channel_delete",
    "channel_switch",
    "channel_test",
    "deliveries_sweep",
    "delivery_send",
    "engine_command",
    "engines_installed",
    "errors_forget",
    "failure_note",
    "faults_note",
    "files_are_here",
    "image_add",
    "image_build_begin",
    "image_build_held",
    "image_claim",
    "image_failed",
    "image_give_back",
    "image_is_here",
    "image_named",
    "image_of",
    "image_progress",
    "image_ready",
    "image_remove",
    "image_retry",
    "image_switch",
    "image_tool_run",
    "images_by_default",
    "images_cut_off",
    "images_give_back",
    "images_here",
    "images_offer",
    "images_on_nodes",
    "images_publish",
    "installation_id",
    "node_beat",
    "node_cordon",
    "node_drain",
    "node_hello",
    "node_join",
    "node_leads",
    "node_note",
    "node_of_key",
    "node_register",
    "node_release",
    "node_remove",
    "node_token_create",
    "node_token_revoke",
    "nodes_sweep",
    "project_empty",
    "queue_places",
    "queue_position",
    "reason_text",
    "restored",
    "route_to",
    "rule_set",
    "rules",
    "rules_seed",
    "sample_record",
    "samples_forget",
    "samples_roll",
    "schedule",
    "serve_key",
    "starts_foreseen",
    "starts_told",
    "witness_of_control",
    "workload_claim",
    "workload_end",
    "workload_ended",
    "workload_exited",
    "workload_files_remove",
    "workload_lost",
    "workload_overrun",
    "workload_priority_set",
    "workload_reclaim",
    "workload_start",
    "workload_started",
    "workload_stop",
    "workload_submit",
    "workloads_fetched_for",
]
