"""Pages and API: what they show, whom they let in, what they refuse."""

import io
import json
import shutil
import zipfile

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets.models import TokenCount
from datasets.services import tokens_count
from jobs.models import Job
from nodes.models import Workload
from nodes.runners import Exit
from nodes.services import workload_exited
from tests.datasets.test_tokens import tokenizer_dir
from tests.jobs.parts import begin, checkpoint, finish, log, newest, output, write
from tests.registry.parts import weights

__all__ = ["tokenizer_dir"]


@pytest.fixture
def web(client, people):
    """The researcher's browser, working in the team."""
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    return client


@pytest.fixture
def api(people):
    """The researcher's API client."""
    client = APIClient()
    client.force_authenticate(people.member)
    return client


def test_the_list_filters_and_says_what_to_do_first(web, people):
    empty = web.get(reverse("jobs:job_list")).content.decode()
    assert "No training yet" in empty


def test_the_list_shows_what_fits_the_filters(web, submit):
    submit(name="alpha")
    submit(name="beta", stage="dpo")
    for query, names in (
        ("q=alph", {"alpha"}), ("kind=train", {"alpha", "beta"}), ("kind=export", set()),
        ("state=active", {"alpha", "beta"}), ("state=failed", set()), ("q=preference", {"beta"}),
    ):  # fmt: skip
        text = web.get(reverse("jobs:job_list") + f"?{query}").content.decode()
        assert {name for name in ("alpha", "beta") if f"<b>{name}</b>" in text} == names, query


@pytest.mark.parametrize(
    "tab", ["progress", "config", "data", "checkpoints", "events", "files", "log"]
)
@pytest.mark.parametrize("state", ["queued", "running", "failed", "done"])
def test_every_part_of_a_job_in_every_state(web, submit, tab, state):
    job = submit(name="shown")
    if state != "queued":
        begin(job)
        write(job, log(5), checkpoint(job, 5))
        weights(output(job))
    if state == "failed":
        newest(job).workload.log_path.write_text("MemoryError: Cannot allocate memory\n")
        finish(job, "error", "exit 1")
    if state == "done":
        finish(job)
    answer = web.get(reverse("jobs:job_detail", args=[job.pk]) + f"?tab={tab}")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "shown" in text
    if state == "failed":
        assert "Try with these changes" in text and "Cannot allocate memory" in text


@pytest.mark.parametrize("kind", ["train", "evaluate", "export"])
def test_the_form_of_every_kind(web, base, data, node, kind):
    address = reverse("jobs:job_create") + f"?kind={kind}&model={base.pk}&data={data.alpaca.pk}"
    text = web.get(address).content.decode()
    assert "Before you start" in text and "The final configuration" in text


def test_the_form_follows_the_data_and_greys_what_cannot_work(web, base, data, node):
    address = reverse("jobs:job_create") + f"?model={base.pk}&data={data.kto.pk}"
    text = web.get(address).content.decode()
    assert 'value="kto" checked' in text
    assert "This data has no questions with answers." in text


def test_the_form_tells_how_many_rows_would_be_cut(web, base, data, node, tokenizer_dir):
    """By the chosen model's own tokenizer, counted beside the page."""
    shutil.copy(tokenizer_dir / "tokenizer.json", base.directory)
    address = reverse("jobs:job_create") + f"?kind=train&model={base.pk}&data={data.alpaca.pk}"
    page = web.get(address)
    assert "counting tokens, 0 %" in page.content.decode()
    assert tokens_count(TokenCount.objects.get().pk)
    assert "none would be cut" in web.get(address).content.decode()
    body = {
        "kind": "train", "model_version": base.pk, "dataset_versions": [data.alpaca.pk],
        "stage": "sft", "method": "lora", "set_cutoff_len": "32", "was_cutoff_len": "2048",
    }  # fmt: skip
    text = web.post(reverse("jobs:job_create"), body, headers={"HX-Request": "true"})
    rows = data.alpaca.rows
    assert f"{rows} rows · {rows} would be cut" in " ".join(text.content.decode().split())
    # The engine keeps a token of each packed row for itself: the longest does not fit then.
    body["set_cutoff_len"] = str(TokenCount.objects.get().lengths["max"])
    for packed, told in (("false", "none would be cut"), ("true", "rows · ")):
        body |= {"set_packing": packed, "was_packing": "false"}
        text = web.post(reverse("jobs:job_create"), body, headers={"HX-Request": "true"})
        text = " ".join(text.content.decode().split())
        assert told in text
        assert ("none would be cut" in text) is (packed == "false")
    assert TokenCount.objects.count() == 1


def test_a_form_starts_a_job_once(web, base, data, node):
    body = {
        "kind": "train", "start": "1", "name": "by form", "model_version": base.pk,
        "dataset_versions": [data.alpaca.pk], "stage": "sft", "method": "lora",
        "preset": "quick", "set_learning_rate": "3e-4", "was_learning_rate": "1e-4",
        "set_lora_rank": "16", "was_lora_rank": "16", "form_key": "a\0bc",
        "config_overrides": "neftune_noise_alpha: 5", "remark": "no\0ted", "output_name": "o\0ut",
        "gpus": "9" * 5000,
    }  # fmt: skip
    answer = web.post(reverse("jobs:job_create"), body)
    job = Job.objects.get()
    assert answer.url == reverse("jobs:job_detail", args=[job.pk])
    assert job.settings == {"learning_rate": 3e-4}
    assert (job.remark, job.output_name) == ("noted", "out")
    assert "neftune_noise_alpha: 5" in job.config
    web.post(reverse("jobs:job_create"), body)
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "Give the job a name"),
        ({"set_lora_rank": "0"}, "at least 1"),
        ({"set_cutoff_len": "long"}, "whole number"),
        ({"config_overrides": "output_dir: /etc"}, "Line 1"),
        ({"model_version": ""}, "Choose a model"),
        ({"dataset_versions": []}, "at least one dataset"),
        ({"method": "oft"}, "is not offered"),
    ],
)
def test_a_form_says_what_to_change(web, base, data, node, change, words):
    body = {
        "kind": "train", "start": "1", "name": "x", "model_version": base.pk,
        "dataset_versions": [data.alpaca.pk], "stage": "sft", "method": "lora",
    }  # fmt: skip
    answer = web.post(reverse("jobs:job_create"), body | change)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_a_clone_with_advice_is_filled_in(web, submit):
    job = submit(settings={"per_device_train_batch_size": 8})
    begin(job)
    newest(job).workload.log_path.write_text("MemoryError\n")
    finish(job, "error", "exit 1")
    address = reverse("jobs:job_create") + f"?from={job.pk}&advice=1"
    text = web.get(address).content.decode()
    assert 'name="set_per_device_train_batch_size" value="4"' in text


@pytest.mark.parametrize("is_named", [True, False])
def test_actions_from_the_page(web, submit, is_named):
    job = submit()
    begin(job)
    write(job, log(5), checkpoint(job, 5))
    web.post(reverse("jobs:job_pause", args=[job.pk]))
    assert finish(job, "stopped").state == "paused"
    saved = job.checkpoints.get()
    chosen = saved.pk if is_named else "9" * 5000
    web.post(reverse("jobs:job_resume", args=[job.pk]), {"checkpoint": chosen})
    assert newest(job).resumed_step == 5
    web.post(reverse("jobs:job_cancel", args=[job.pk]))
    assert Job.objects.get().state == "cancelled"
    web.post(reverse("jobs:job_delete", args=[job.pk]))
    assert not Job.objects.exists()


@pytest.mark.parametrize("who", ["viewer", "developer", "stranger"])
def test_who_may_look_may_not_change(client, people, submit, who):
    job = submit()
    client.force_login(getattr(people, who))
    for name in ("job_cancel", "job_stop", "job_pause", "job_resume", "job_retry", "job_delete"):
        assert client.post(reverse(f"jobs:{name}", args=[job.pk])).status_code == 404
    wanted = 404 if who == "stranger" else 200
    for name in ("job_detail", "job_metrics", "job_config"):
        answer = client.get(reverse(f"jobs:{name}", args=[job.pk]))
        assert answer.status_code == wanted, name
    if who != "stranger":
        text = client.get(reverse("jobs:job_detail", args=[job.pk])).content.decode()
        assert reverse("jobs:job_cancel", args=[job.pk]) not in text


def test_files_one_by_one_and_nothing_else(web, submit):
    job = submit()
    begin(job)
    (output(job) / "note.txt").write_text("kept")
    (output(job) / "out").symlink_to("/etc/passwd")
    answer = web.get(reverse("jobs:job_file", args=[job.pk, "output/note.txt"]))
    assert b"".join(answer.streaming_content) == b"kept"
    for bad in ("output/out", "../secret", "output/../../x", "output/nothing", "output"):
        address = reverse("jobs:job_list") + f"{job.pk}/files/{bad}"
        assert web.get(address).status_code == 404, bad


async def _read(answer) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


def test_outputs_on_their_way_are_told(web, submit):
    """Their node shares no directory, and the process has ended."""
    job = submit()
    begin(job)
    facts = {"sent": 2**20, "size": 2**22, "hindrance": ""}
    workloads = Workload.objects.filter(pk=newest(job).workload_id)
    workloads.update(waits_for={"code": "outputs", "args": facts})
    page = web.get(reverse("jobs:job_detail", args=[job.pk])).content.decode()
    assert "on its way from its node: 1 MB of 4 MB." in page


def test_the_archive_is_streamed(people, web, submit):
    from asgiref.sync import async_to_sync

    job = submit()
    begin(job)
    big = bytes(range(256)) * 8192
    (output(job) / "big.bin").write_bytes(big)
    checkpoint(job, 5)
    answer = web.get(reverse("jobs:job_archive", args=[job.pk]))
    archive = zipfile.ZipFile(io.BytesIO(async_to_sync(_read)(answer)))
    assert archive.read("output/big.bin") == big
    assert "config.yaml" in archive.namelist()
    assert not [name for name in archive.namelist() if "checkpoint-5" in name]
    answer = web.get(reverse("jobs:job_archive", args=[job.pk]) + "?checkpoints=1")
    archive = zipfile.ZipFile(io.BytesIO(async_to_sync(_read)(answer)))
    assert "output/checkpoint-5/model.safetensors" in archive.namelist()


def test_the_api_does_what_the_pages_do(api, people, base, data, node):
    body = {
        "kind": "train", "name": "by api", "model_version": str(base.pk),
        "dataset_versions": [str(data.alpaca.pk)], "project": str(people.team.pk),
    }  # fmt: skip
    preview = api.post("/api/v1/jobs/preview/", body, format="json")
    assert preview.status_code == 200 and preview.data["steps"] == 9
    assert not Job.objects.exists()
    made = api.post("/api/v1/jobs/", body, format="json", headers={"Idempotency-Key": "one"})
    again = api.post("/api/v1/jobs/", body, format="json", headers={"Idempotency-Key": " o\0ne"})
    assert (made.status_code, again.data["id"]) == (201, made.data["id"])
    assert made.data["config"] == Job.objects.get().config
    path = f"/api/v1/jobs/{made.data['id']}/"
    assert (
        api.get("/api/v1/jobs/?search=by+a&kind=train&state=queued&state=preparing").data["count"]
        == 1
    )
    assert api.get("/api/v1/jobs/?state=failed").data["count"] == 0
    job = Job.objects.get()
    begin(job)
    write(job, log(5), checkpoint(job, 5))
    newest(job).workload.log_path.write_text("line one\nline two\n")
    assert api.post(f"{path}pause/").data["state"] == "pausing"
    finish(job, "stopped")
    points = api.get(f"{path}metrics/").json()["points"]
    assert [point["step"] for point in points] == [5]
    assert api.get(f"{path}metrics/?after=5").json()["points"] == []
    assert api.get(f"{path}metrics/?after=-1").json()["points"] == points
    assert api.get(f"{path}metrics/?after=-2").status_code == 400
    assert api.get(f"{path}log/?offset=-1").status_code == 400
    saved = api.get(f"{path}checkpoints/").json()
    assert saved[0]["name"] == "checkpoint-5"
    assert api.get(f"{path}log/?offset=9").json() == {"offset": 9, "next": 18, "text": "line two\n"}
    assert {row["path"] for row in api.get(f"{path}files/").json()} >= {"config.yaml"}
    text = b"".join(api.get(f"{path}files/config.yaml/").streaming_content)
    assert b"stage: sft" in text
    resumed = api.post(f"{path}resume/", {"checkpoint": saved[0]["id"]}, format="json")
    assert resumed.data["attempts"][-1]["resumed_step"] == 5
    body = api.get(f"{path}clone/").json()
    assert body["parent"] == str(job.pk)
    assert api.post("/api/v1/jobs/", body, format="json").status_code == 201
    assert api.patch(path, {"priority": 80}, format="json").data["priority"] == 80
    assert api.post(f"{path}cancel/").status_code == 200
    assert api.get(f"{path}events/").json()[0]["verb"] == "submitted"
    assert api.delete(path).status_code in {204, 409}


def test_the_api_names_the_field(api, people, base, data, node):
    body = {
        "name": "x", "model_version": str(base.pk), "dataset_versions": [str(data.kto.pk)],
        "project": str(people.team.pk),
    }  # fmt: skip
    answer = api.post("/api/v1/jobs/", body, format="json")
    assert (answer.status_code, answer.data["field"]) == (422, "dataset_versions")
    body["dataset_versions"] = [str(data.alpaca.pk)]
    answer = api.post("/api/v1/jobs/", body | {"config_overrides": "x: &a 1"}, format="json")
    assert (answer.status_code, answer.data["field"], answer.data["line"]) == (
        422,
        "config_overrides",
        1,
    )
    answer = api.post("/api/v1/jobs/", body | {"settings": {"nope": 1}}, format="json")
    assert (answer.status_code, answer.data["field"]) == (422, "settings.nope")


def test_the_api_offers_what_the_engine_runs(api):
    options = api.get("/api/v1/jobs/options/").json()
    assert [goal["value"] for goal in options["goals"]] == ["sft", "dpo", "pt", "kto", "rm"]
    reward = next(goal for goal in options["goals"] if goal["value"] == "rm")
    assert {row["value"]: row["pausable"] for row in reward["methods"]} == {
        "lora": True, "qlora": True, "freeze": False, "full": False,
    }  # fmt: skip
    names = {row["name"] for row in options["fields"]}
    assert "learning_rate" in names and len(options["arguments"]) > 300
    assert json.dumps(options)


def test_the_api_is_closed_to_strangers(people, submit):
    job = submit()
    client = APIClient()
    assert client.get("/api/v1/jobs/").status_code == 401
    client.force_authenticate(people.stranger)
    assert client.get("/api/v1/jobs/").data["count"] == 0
    assert client.get(f"/api/v1/jobs/{job.pk}/").status_code == 404
    client.force_authenticate(people.viewer)
    assert client.get(f"/api/v1/jobs/{job.pk}/").status_code == 200
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel/").status_code == 404


@pytest.mark.parametrize(("language", "label"), [("en", "Memory limit"), ("zh-hans", "内存上限")])
def test_the_memory_limit_where_it_is_known(web, submit, language, label):
    reads, job = {"Accept-Language": language}, submit()
    workload, address = newest(job).workload, reverse("jobs:job_detail", args=[job.pk])
    interface = f"/api/v1/workloads/{workload.pk}/"
    assert label not in web.get(address, headers=reads).content.decode()
    assert web.get(interface).json()["memory_bound_bytes"] is None
    workload.memory_bound_bytes = 12 * 2**30
    workload.save()
    page = web.get(address, headers=reads).content.decode()
    assert f"<dt>{label}</dt><dd>12" in page
    assert web.get(interface).json()["memory_bound_bytes"] == 12 * 2**30


def test_a_job_whose_results_come_home_says_so(web, api, submit):
    job = submit()
    workload = begin(job)
    gone = Exit(code=0, signal=None, started_at=1.0, ended_at=2.0)
    workload_exited(workload.pk, workload.epoch, gone)
    page = web.get(reverse("jobs:job_detail", args=[job.pk])).content.decode()
    assert "The job ends when all that it wrote is here" in page
    (attempt,) = api.get(f"/api/v1/jobs/{job.pk}/").json()["attempts"]
    assert attempt["exited_at"]
