"""Deploying: rules, states that follow the workload, readiness and unloading."""

from datetime import timedelta

import pytest
import yaml
from django.utils import timezone

from accounts.models import Event
from common.errors import Conflict, DomainError, QuotaExceeded
from inference import services
from inference.models import Deployment
from nodes.models import Workload
from nodes.signals import workload_changed
from registry.models import ModelVersion
from registry.signals import version_deleting
from tests.inference.parts import (
    make_deployment,
    make_node,
    make_version,
    simulated_engine,
    workload_of,
)

pytestmark = pytest.mark.django_db
State = Deployment.State


def deploy(people, **fields) -> Deployment:
    fields = {"project": people.team, "created_by": people.developer, **fields}
    if "version" not in fields:
        fields["version"] = make_version(people.team)
    return services.deployment_create(**fields)


def set_workload(deployment: Deployment, **fields) -> Deployment:
    """The workload changes, and says so."""
    workload = workload_of(deployment)
    old = workload.state
    Workload.objects.filter(pk=workload.pk).update(**fields)
    workload_changed.send(None, workload_id=workload.pk, old=old, new=fields.get("state", old))
    deployment.refresh_from_db()
    return deployment


def test_deploying_submits_a_service_that_loads_the_version(people, settings) -> None:
    settings.DEPLOYMENT_IDLE_SECONDS = 77
    base = make_version(None, name="Qwen", number=1, kind="base", template="qwen3")
    adapter = make_version(people.team, kind="adapter", base=base, template="qwen3")
    deployment = deploy(people, version=adapter)
    assert (deployment.name, deployment.state) == ("helpdesk-v3", State.WAITING)
    assert deployment.idle_seconds == 77
    workload = workload_of(deployment)
    assert (workload.verb, workload.is_service, workload.engine) == ("serve", True, "llamafactory")
    assert workload.inputs == {"model": "models/Qwen", "adapter": "models/helpdesk"}
    config = yaml.safe_load(workload.files["config.yaml"])
    assert config == {
        "model_name": "helpdesk-v3",
        "model_name_or_path": "inputs/model",
        "adapter_name_or_path": "inputs/adapter",
        "template": "qwen3",
    }
    assert Event.objects.of(deployment).first().verb == "created"


def test_names_are_readable_and_unique_among_the_active(people) -> None:
    people.developer.max_deployments = 9
    people.developer.save()
    base = make_version(None, name="Qwen/Qwen3-4B 中文", number=1, kind="base")
    assert deploy(people, version=base).name == "qwen-qwen3-4b-中文"
    assert deploy(people, version=base).name == "qwen-qwen3-4b-中文-2"
    services.deployment_stop(Deployment.objects.last().pk, by=people.developer)


def test_the_quota_names_what_to_stop(people) -> None:
    first = deploy(people)
    with pytest.raises(QuotaExceeded) as refused:
        deploy(people, version=first.version)
    assert "helpdesk-v3" in refused.value.message
    assert refused.value.data == {"limit": 1, "active": [str(first.pk)]}
    services.deployment_stop(first.pk, by=people.developer)
    assert deploy(people, version=first.version).name == "helpdesk-v3-2"  # the other still ends
    people.member.max_deployments = 0
    people.member.save()
    with pytest.raises(QuotaExceeded):
        deploy(people, version=first.version, created_by=people.member)


@pytest.mark.parametrize("seconds", [0, 29, 10**9])
def test_the_idle_time_has_bounds(people, seconds) -> None:
    with pytest.raises(DomainError) as refused:
        deploy(people, idle_seconds=seconds)
    assert refused.value.field == "idle_seconds"


def test_versions_that_cannot_be_deployed(people, settings) -> None:
    foreign = make_version(people.stranger.personal_project)
    disabled = make_version(None, name="off", kind="base")
    disabled.model.is_enabled = False
    disabled.model.save()
    reward = make_version(people.team, name="judge", kind=ModelVersion.Kind.REWARD)
    on_hub = make_version(None, name="hub", kind="base", path="", hf_id="a/b")
    for version in (foreign, disabled, reward, on_hub):
        with pytest.raises(DomainError) as refused:
            deploy(people, version=version)
        assert refused.value.field == "version"
    settings.HUB_ONLINE = True
    deployment = deploy(people, version=on_hub)
    workload = workload_of(deployment)
    assert workload.inputs == {"model": "hub:a/b"}
    assert yaml.safe_load(workload.files["config.yaml"])["model_name_or_path"] == "a/b"


def test_viewers_do_not_deploy(people) -> None:
    with pytest.raises(DomainError) as refused:
        deploy(people, created_by=people.viewer)
    assert refused.value.code == "role"
    assert not Deployment.objects.exists()


def test_what_its_node_had_no_room_for_waits_again(people) -> None:
    deployment = deploy(people)
    assert set_workload(deployment, state="starting").state == State.LOADING
    assert set_workload(deployment, state="waiting").state == State.WAITING
    assert set_workload(deployment, state="starting").state == State.LOADING


def test_the_state_follows_the_workload(people, django_capture_on_commit_callbacks) -> None:
    deployment = deploy(people)
    assert set_workload(deployment, state="placed").state == State.WAITING
    assert set_workload(deployment, state="starting").state == State.LOADING
    assert set_workload(deployment, state="running").state == State.LOADING
    replica = deployment.replica
    services.deployment_ready(deployment.pk, replica_id=replica.pk)
    deployment.refresh_from_db()
    assert deployment.state == State.READY
    assert deployment.unloads_at > timezone.now()
    services.deployment_stop(deployment.pk, by=people.developer)
    services.deployment_stop(deployment.pk, by=people.developer)  # twice is no error
    deployment.refresh_from_db()
    assert deployment.state == State.STOPPING
    assert set_workload(deployment, state="ended", outcome="stopped").state == State.STOPPED
    moves = [(event.old, event.new) for event in Event.objects.of(deployment)]
    assert moves == [
        ("", "waiting"),
        ("waiting", "loading"),
        ("loading", "ready"),
        ("ready", "stopping"),
        ("stopping", "stopped"),
    ]


def test_a_waiting_one_is_stopped_at_once(people, django_capture_on_commit_callbacks) -> None:
    deployment = deploy(people)
    with django_capture_on_commit_callbacks(execute=True):
        services.deployment_stop(deployment.pk, by=people.owner)
    deployment.refresh_from_db()
    assert deployment.state == State.STOPPED
    assert "owner" in deployment.reason


def test_a_failed_load_shows_the_line_that_proves_it(people, home) -> None:
    deployment = set_workload(deploy(people), state="running")
    workload_of(deployment).log_path.write_text(
        'loading\ntrainer-error: {"type": "OSError", "message": "no file named config.json"}\n'
    )
    set_workload(deployment, state="ended", outcome="error")
    assert deployment.state == State.FAILED
    assert deployment.reason == "no file named config.json"
    assert not deployment.replicas.count() > 1


def test_an_unexpected_end_is_repaired_once(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    set_workload(deployment, state="ended", outcome="error", reason="exit 1")
    assert (deployment.state, deployment.restarts) == (State.WAITING, 1)
    assert deployment.replicas.count() == 2
    set_workload(deployment, state="running")
    services.deployment_ready(deployment.pk, replica_id=deployment.replica.pk)
    set_workload(deployment, state="ended", outcome="error", reason="exit 1")
    assert deployment.state == State.FAILED
    assert deployment.replicas.count() == 2


def test_a_service_that_ran_long_earns_another_restart(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    long_ago = timezone.now() - timedelta(hours=1)
    Deployment.objects.update(restarts=1, ready_at=long_ago)
    set_workload(deployment, state="ended", outcome="lost", ended_at=timezone.now())
    assert (deployment.state, deployment.restarts) == (State.WAITING, 1)


def test_a_deployment_on_a_node_that_is_emptied_is_served_elsewhere(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    moving = {"end_facts": {"goes_on": True}, "reason": "gpu-01 is being emptied."}
    for _time in range(3):  # as often as operators like
        set_workload(deployment, state="stopping", stop_mode="checkpoint", **moving)
        assert deployment.state != State.STOPPING
        set_workload(deployment, state="ended", outcome="stopped", **moving)
        assert (deployment.state, deployment.restarts) == (State.WAITING, 0)
        set_workload(deployment, state="running")
        services.deployment_ready(deployment.pk, replica_id=deployment.replica.pk)
    services.deployment_stop(deployment.pk, by=people.developer)
    set_workload(deployment, state="ended", outcome="stopped", **moving)
    assert deployment.state == State.STOPPED


def test_news_of_a_replaced_replica_change_nothing(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    old = workload_of(deployment)
    old_replica = deployment.replica.pk
    services.deployment_restart(deployment.pk, by=people.developer)
    services.workload_sync(old.pk)
    services.deployment_ready(deployment.pk, replica_id=old_replica)
    deployment.refresh_from_db()
    assert deployment.state == State.WAITING
    old.refresh_from_db()
    assert old.state == Workload.State.STOPPING


def test_deploying_again_keeps_name_and_address(people) -> None:
    stopped = make_deployment(
        people.team, people.developer, state="stopped", workload_state="ended"
    )
    services.deployment_restart(stopped.pk, by=people.developer)
    stopped.refresh_from_db()
    assert (stopped.state, stopped.name, stopped.ended_at) == (State.WAITING, "helpdesk-v3", None)
    Deployment.objects.update(state="stopping")
    with pytest.raises(Conflict):
        services.deployment_restart(stopped.pk, by=people.developer)


def test_only_ended_ones_are_deleted(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    with pytest.raises(Conflict):
        services.deployment_delete(deployment.pk, by=people.developer)
    Deployment.objects.update(state="stopped")
    services.deployment_delete(deployment.pk, by=people.developer)
    assert not Deployment.objects.exists()


def test_a_version_in_service_is_not_deleted(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    with pytest.raises(Conflict, match="helpdesk-v3"):
        version_deleting.send(None, version=deployment.version)
    Deployment.objects.update(state="failed")
    version_deleting.send(None, version=deployment.version)
    assert not Deployment.objects.exists()


def test_unloading_after_the_idle_time_and_not_before(people) -> None:
    deployment = make_deployment(people.team, people.developer)
    Deployment.objects.update(
        idle_seconds=900, last_used_at=timezone.now() - timedelta(seconds=300)
    )
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert deployment.state == State.READY
    assert services.deployment_touch(deployment.pk)  # a stream is open
    Deployment.objects.update(idle_seconds=200)
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert deployment.state == State.READY
    Deployment.objects.update(idle_seconds=60, last_used_at=timezone.now() - timedelta(seconds=61))
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert deployment.state == State.STOPPING
    assert Event.objects.of(deployment).last().verb == "unloaded"
    assert workload_of(deployment).state == Workload.State.STOPPING


def test_the_sweep_finds_what_lost_signals_left_behind(people) -> None:
    deployment = deploy(people)
    Workload.objects.update(state="running", started_at=timezone.now())
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert deployment.state == State.LOADING
    Workload.objects.update(state="ended", outcome="stopped", reason="An operator stopped it.")
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert (deployment.state, deployment.reason) == (State.STOPPED, "An operator stopped it.")


def test_ready_takes_a_real_answer_on_the_nodes_own_machine(people) -> None:
    deployment = make_deployment(people.team, people.developer, state="loading")
    services.deployments_sweep()  # nobody listens yet
    deployment.refresh_from_db()
    assert deployment.state == State.LOADING
    with simulated_engine(deployment) as engine:
        services.deployments_sweep(node_id=people.team.pk)  # another machine
        assert not engine.requests
        engine.behaviour = "fail"
        services.deployments_sweep(node_id=make_node().pk)
        deployment.refresh_from_db()
        assert deployment.state == State.LOADING
        engine.behaviour = "ok"
        services.deployments_sweep(node_id=make_node().pk)
        deployment.refresh_from_db()
        assert deployment.state == State.READY
        assert engine.requests[-1]["max_tokens"] == 1


def test_loading_does_not_last_for_ever(people) -> None:
    deployment = make_deployment(people.team, people.developer, state="loading")
    long_ago = timezone.now() - timedelta(hours=2)
    deployment.replicas.update(created_at=long_ago)
    Workload.objects.update(started_at=long_ago)
    services.deployments_sweep()
    deployment.refresh_from_db()
    assert deployment.state == State.FAILED
    assert workload_of(deployment).state == Workload.State.STOPPING
