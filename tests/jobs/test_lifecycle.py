"""From submitting to what comes out, with real services around real files."""

import json

import pytest

from accounts.models import Event
from common.errors import Conflict, DomainError, QuotaExceeded
from jobs import services
from jobs.models import Attempt, Job
from jobs.services import reading
from nodes.models import Gpu, HardwareError, Workload
from nodes.services import node_drain
from nodes.services.follow import workload_return
from registry.models import ModelVersion
from tests.jobs.parts import begin, checkpoint, finish, fresh, log, newest, output, place, write
from tests.registry.parts import answers, weights


def test_a_training_ends_as_a_registered_version(people, submit, base):
    job = submit(name="helper")
    assert job.state == "queued"
    assert newest(job).workload.verb == "train"
    assert set(newest(job).workload.inputs) == {"model", "data"}
    info = json.loads((job.data_directory / "dataset_info.json").read_text())
    assert list(info) == [job.config.split("dataset: ")[1].split("\n")[0]]
    begin(job)
    assert fresh(job).state == "preparing"
    write(job, {"kind": "phase", "name": "loading"}, log(5), log(10))
    services.metrics_take_in(newest(job).pk)
    now = fresh(job)
    assert (now.state, now.step, now.total_steps) == ("running", 10, 20)
    assert now.latest["loss"] == 2.0
    weights(output(job))
    (output(job) / "training_args.bin").write_text("x")
    (output(job) / "checkpoint-20").mkdir()
    write(job, log(20, train_runtime=2.0, train_loss=1.0))
    done = finish(job, num_parameters=5_000_000)
    assert (done.state, done.step) == ("succeeded", 20)
    version = done.output_version
    assert (str(version), version.kind, version.base) == ("helper v1", "adapter", base)
    assert version.template == "qwen3_nothink"
    assert version.chain() == ("models/base", f"models/{job.pk}")
    assert sorted(path.name for path in version.directory.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert "train_runtime" not in done.latest
    services.job_finish(job.pk)
    services.workload_follow(newest(job).workload_id)
    assert ModelVersion.objects.filter(kind="adapter").count() == 1
    news = Event.objects.of(job).values_list("new", flat=True)
    assert list(news) == [
        "queued", "preparing", "running", "finalizing", "succeeded"
    ]  # fmt: skip


def test_killed_while_registering_nothing_is_lost_or_doubled(submit, monkeypatch):
    job = submit()
    begin(job)
    weights(output(job))
    real = services.finish._end
    monkeypatch.setattr(services.finish, "_end", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finish(job)
    assert fresh(job).state == "finalizing"
    monkeypatch.setattr(services.finish, "_end", real)
    Attempt.objects.update(ended_at="2020-01-01T00:00:00Z")
    assert services.jobs_sweep() == 1
    services.job_finish(job.pk)
    assert fresh(job).state == "succeeded"
    assert ModelVersion.objects.filter(kind="adapter").count() == 1


def test_a_return_to_the_queue_is_noticed_though_the_message_was_lost(submit):
    job = submit()
    workload = place(job)
    services.workload_follow(workload.pk)
    assert fresh(job).state == "preparing"
    assert workload_return(workload.pk, workload.epoch, reason="its disk is full")
    assert services.jobs_sweep() == 1
    assert fresh(job).state == "queued"
    assert services.jobs_sweep() == 0


def test_pause_and_resume_give_one_continuous_curve(people, submit):
    job = submit()
    begin(job)
    write(job, log(2), log(4), checkpoint(job, 4), log(6))
    services.metrics_take_in(newest(job).pk)
    first = newest(job)
    job = services.job_pause(job.pk, by=people.member)
    assert (job.state, first.workload_id) == ("pausing", newest(job).workload_id)
    assert Workload.objects.get(pk=first.workload_id).stop_mode == "checkpoint"
    job = finish(job, "stopped")
    assert (job.state, job.wanted) == ("paused", "")
    job = services.job_resume(job.pk, by=people.member)
    second = newest(job)
    assert (second.number, second.resumed_step, job.state) == (2, 4, "queued")
    assert second.workload.files["config.yaml"].startswith(job.config)
    assert "resume_from_checkpoint: inputs/checkpoint" in second.workload.files["config.yaml"]
    folder = f"output/{first.workload_id}/output/checkpoint-4"
    assert second.workload.inputs["checkpoint"] == folder
    assert list(job.metrics.values_list("step", flat=True)) == [2, 4, 6]
    begin(job)
    write(job, log(6, loss=0.5), log(8))
    services.metrics_take_in(second.pk)
    points = list(job.metrics.values_list("step", "attempt__number"))
    assert points == [(2, 1), (4, 1), (6, 2), (8, 2)]
    assert job.metrics.get(step=6).values == {"loss": 0.5}


def test_stop_and_keep_registers_the_last_checkpoint(people, submit):
    job = submit()
    begin(job)
    write(job, log(4), checkpoint(job, 4))
    services.metrics_take_in(newest(job).pk)
    assert services.job_stop(job.pk, by=people.member).state == "stopping"
    job = finish(job, "stopped")
    assert job.state == "stopped"
    assert job.output_version.facts["checkpoint"] == "checkpoint-4"
    assert not (job.output_version.directory / "optimizer.pt").exists()
    with pytest.raises(Conflict):
        services.job_retry(job.pk, by=people.member)


def test_stopped_before_anything_was_learnt_registers_nothing(people, submit):
    job = submit()
    begin(job)
    services.job_stop(job.pk, by=people.member)
    job = finish(job, "stopped")
    assert (job.state, job.output_version) == ("stopped", None)


def test_cancel_waiting_and_running(people, submit):
    Workload.objects.all()
    job = services.job_cancel(submit().pk, by=people.member)
    assert fresh(job).state == "cancelled"
    job = submit()
    begin(job)
    assert services.job_cancel(job.pk, by=people.member).state == "stopping"
    assert services.job_cancel(job.pk, by=people.member).state == "stopping"
    assert Workload.objects.get(pk=newest(job).workload_id).stop_mode == "kill"
    assert finish(job, "stopped").state == "cancelled"


def test_a_lost_training_goes_on_by_itself_three_times(submit):
    job = submit()
    begin(job)
    write(job, log(4), checkpoint(job, 4))
    for number in (2, 3, 4):
        job = finish(job, "lost", "the node is silent")
        assert (job.state, newest(job).number, newest(job).resumed_step) == ("queued", number, 4)
        begin(job)
    job = finish(job, "lost", "the node is silent")
    assert (job.state, job.failure, job.failure_line) == (
        "failed",
        "node_lost",
        "the node is silent",
    )


def test_a_training_on_a_node_that_is_emptied_goes_on_from_its_checkpoint(people, submit, node):
    job = submit()
    begin(job)
    write(job, log(4), checkpoint(job, 4))
    node_drain(node.pk, mode="stop", by=people.operator)
    assert newest(job).workload.stop_mode == "checkpoint"
    job = finish(job, "stopped", "here is being emptied.")
    assert (job.state, newest(job).number, newest(job).resumed_step) == ("queued", 2, 4)
    assert newest(job).workload.waits_for["code"] == "away"
    assert Event.objects.of(job).filter(verb="moved").exists()
    # Who cancels meanwhile is heard.
    begin(job)
    node_drain(node.pk, mode="stop", by=people.operator)
    services.job_cancel(job.pk, by=people.member)
    assert finish(job, "stopped").state == "cancelled"


def test_failures_of_the_hardware_are_told_to_the_node(submit, node):
    Gpu.objects.create(node=node, index=0, uuid="gpu-0", name="A100", memory_bytes=80 * 2**30)
    for text, told in (("uncorrectable ECC error encountered", 1), ("KeyError: 'x'", 1)):
        job = submit()
        workload = begin(job)
        assert workload.leases.get().gpu.uuid == "gpu-0"
        workload.log_path.write_text(f"step 1\nRuntimeError: {text}\n")
        finish(job, "error", "exit 1")
        assert HardwareError.objects.filter(kind="failure").count() == told


def test_out_of_memory_is_named_with_the_line_and_a_way_out(people, submit):
    job = submit(settings={"per_device_train_batch_size": 8})
    workload = begin(job)
    workload.log_path.write_text(
        "step 1\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 31.00 GiB\n"
    )
    job = finish(job, "error", "exit 1")
    assert (job.state, job.failure) == ("failed", "oom")
    assert "Tried to allocate 31.00 GiB" in job.failure_line
    advice = reading.advice_of(job)
    assert advice.changes == {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 8}
    job = services.job_retry(job.pk, by=people.member)
    assert (job.state, job.failure, newest(job).number) == ("queued", "", 2)


def test_an_evaluation_compares_with_the_base(people, submit, base, home):
    version = _tuned(people, base, home)
    job = submit("evaluate", model_version=version)
    assert newest(job).workload.verb == "predict"
    assert set(newest(job).workload.inputs) == {"model", "adapter", "data"}
    begin(job)
    write(
        job,
        {"kind": "phase", "name": "loading"},
        {"kind": "phase", "name": "generating", "done": 4, "total": 4},
        {"kind": "phase", "name": "loading"},
        {"kind": "phase", "name": "generating", "done": 2, "total": 4},
    )
    services.metrics_take_in(newest(job).pk)
    assert (fresh(job).step, fresh(job).total_steps) == (6, 8)
    for name, text in (("baseline", "wrong"), ("candidate", "answer")):
        rows = [
            {"reference": "answer", "prediction": text, "loss": 0.5, "tokens": 2} for _n in range(4)
        ]
        answers(output(job) / f"{name}.jsonl", rows)
    job = finish(job)
    assert job.state == "succeeded", job.failure_line
    candidate = job.evaluations.get(version=version)
    assert candidate.scores["exact_match"] > candidate.baseline.scores["exact_match"]
    assert candidate.baseline.version == base
    services.job_delete(job.pk, by=people.member)
    candidate.refresh_from_db()
    assert candidate.predictions.is_file()


def _tuned(people, base, home, kind="adapter"):
    from registry.services import version_publish

    weights(home / "models" / "tuned")
    return version_publish(
        project=people.team, model_name="tuned", kind=kind, source="job",
        template="qwen3_nothink", base=base, path="models/tuned",
    )  # fmt: skip


def test_an_export_publishes_the_merged_model_with_its_parity(people, submit, base, home):
    job = submit("export", model_version=_tuned(people, base, home))
    begin(job)
    weights(output(job))
    job = finish(job, parity={"prompts": 4, "equal": 4}, dtype="float32")
    assert (job.state, str(job.output_version)) == ("succeeded", "tuned v2")
    assert job.output_version.kind == "merged"
    assert job.output_version.facts["parity"]["equal"] == 4


def test_quantising_without_the_parts_is_refused_with_the_reason(people, submit, base, home):
    with pytest.raises(DomainError) as refused:
        submit(
            "export",
            model_version=_tuned(people, base, home),
            settings={"export_quantization_bit": 4},
        )
    assert refused.value.field == "export_quantization_bit"
    assert "gptqmodel, optimum are not installed" in refused.value.message


def test_an_evaluation_follows_by_itself(people, submit, data):
    job = submit(after_dataset_versions=[data.alpaca])
    begin(job)
    weights(output(job))
    job = finish(job)
    follower = Job.objects.get(kind="evaluate")
    assert (follower.parent, follower.model_version) == (job, job.output_version)
    assert follower.state == "queued"


def test_the_same_key_gives_the_same_job(submit):
    assert submit(idempotency_key="k") == submit(idempotency_key="k", name="other")
    assert Job.objects.count() == 1


def test_the_quota_of_the_project_holds(people, submit, home):
    people.team.max_active_jobs = 1
    people.team.save()
    submit()
    before = sorted((home / "data" / "jobs").iterdir())
    with pytest.raises(QuotaExceeded):
        submit()
    assert sorted((home / "data" / "jobs").iterdir()) == before
    assert Workload.objects.count() == 1


def test_a_reward_model_without_lora_cannot_be_paused_and_says_why(people, submit):
    job = submit(stage="rm", method="full")
    begin(job)
    with pytest.raises(Conflict, match="beginning"):
        services.job_pause(job.pk, by=people.member)


def test_delete_takes_the_files_and_leaves_the_version(
    people, submit, home, django_capture_on_commit_callbacks
):
    job = submit()
    with pytest.raises(Conflict):
        services.job_delete(job.pk, by=people.member)
    begin(job)
    weights(output(job))
    job = finish(job)
    version, workload = job.output_version, newest(job).workload
    with django_capture_on_commit_callbacks(execute=True):
        services.job_delete(job.pk, by=people.member)
    assert not workload.directory.exists()
    assert not job.data_directory.exists()
    assert version.directory.is_dir()
    assert not Job.objects.exists() and not Attempt.objects.exists()


def test_used_data_and_models_cannot_be_deleted(people, submit, data, base):
    from datasets.services import dataset_delete
    from registry.services import version_delete

    submit(name="needs both")
    with pytest.raises(Conflict, match="needs both"):
        dataset_delete(data.alpaca.dataset_id, by=people.member)
    with pytest.raises(Conflict, match="needs both"):
        version_delete(base.pk, by=people.operator)


@pytest.mark.parametrize("who", ["viewer", "developer", "stranger"])
def test_only_researchers_submit_and_change(people, submit, base, data, who):
    user = getattr(people, who)
    with pytest.raises(DomainError):
        services.job_submit(
            project=people.team, created_by=user, kind="train", name="x",
            model_version=base, dataset_versions=[data.alpaca],
        )  # fmt: skip
    job = submit()
    with pytest.raises(Job.DoesNotExist):
        services.job_cancel(job.pk, by=user)


def test_submitting_is_quick(submit, django_assert_max_num_queries):
    submit()
    with django_assert_max_num_queries(40):
        submit()
