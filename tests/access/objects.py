"""One thing of each kind, all of the project `team`, for the addresses that name one."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Role
from datasets import services as datasets
from datasets.models import Import
from inference.models import Conversation, Deployment, Replica
from jobs.models import Attempt, Job
from nodes.models import Alert, Image, Node, NodeToken, Workload
from nodes.services import channel_create, rules_seed
from registry.models import Evaluation, Model, ModelVersion
from registry.services import evaluation_create, version_publish

ROWS = "\n".join(json.dumps({"instruction": f"{n}?", "output": str(n)}) for n in range(3))
ANSWER = {"index": 0, "prompt": "0?", "messages": [], "reference": "0", "prediction": "0"}


def of_accounts(people: SimpleNamespace) -> dict[str, object]:
    """People's own things."""
    key, _secret = accounts.api_key_create(people.owner, name="script")
    invitation, _code = accounts.invitation_create(created_by=people.operator, role=Role.VIEWER)
    return {"team": people.team, "user": people.member, "key": key, "invitation": invitation}


def of_datasets(people: SimpleNamespace) -> dict[str, object]:
    """One of each: datasets (private, public, shared), a recipe, its run, a provider and so on."""
    found: dict[str, object] = {}
    for word, public in (("dataset", False), ("public_dataset", True)):
        dataset = datasets.dataset_create(
            project=people.team,
            created_by=people.operator,
            name=word,
            upload=SimpleUploadedFile("rows.jsonl", ROWS.encode()),
            is_public=public,
        )
        found[word] = dataset
        found[word.replace("dataset", "version")] = dataset.versions.get()
    shared = datasets.dataset_create(
        project=people.team,
        created_by=people.operator,
        name="shared",
        upload=SimpleUploadedFile("rows.jsonl", ROWS.encode()),
    )
    share = datasets.share_create(shared.pk, by=people.owner, user="stranger")
    found |= {"shared_dataset": shared, "shared_version": shared.versions.get(), "share": share}
    recipe = datasets.recipe_create(
        project=people.team, created_by=people.owner, name="team", steps=[{"kind": "clean"}]
    )
    run = datasets.run_create(recipe.pk, by=people.owner, version_id=found["version"].pk)
    upload = datasets.upload_create(
        project=people.team, created_by=people.owner, filename="big.jsonl", size=1000
    )
    provider = datasets.provider_create(
        project=people.team,
        created_by=people.operator,
        name="team",
        base_url="http://127.0.0.1:9/v1",  # nobody answers there
        models=["small"],
        allows_private=True,
    )
    imported = Import.objects.create(
        project=people.team,
        created_by=people.owner,
        kind=Import.Kind.HUGGINGFACE,
        reference={"repository": "lab/rows", "revision": ""},
        state=Import.State.FAILED,  # one that is under way would keep its project
    )
    decision = datasets.row_decide(found["version"].pk, 0, by=people.owner, edition=0, rating=3)
    review = datasets.review_create(found["version"].pk, by=people.owner, name="look")
    other = found["version"]
    other = datasets.version_remap(
        other.pk, by=people.owner, wish=datasets.Wish(other.shape, other.columns)
    )
    comparison = datasets.comparison_create(found["version"].pk, other.pk, by=people.owner)
    return found | {
        "comparison": comparison,
        "import": imported,
        "other_version": other,
        "provider": provider,
        "recipe": recipe,
        "recipe_run": run,
        "review": review,
        "revision": decision.revision,
        "upload": upload,
    }


def of_registry(people: SimpleNamespace, home: Path, version: object) -> dict[str, object]:
    """A base model that operators have not enabled, a model of the team, and its scores."""
    weights = home / "models" / "team"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    answers = home / "output" / "answers.jsonl"
    answers.write_text(json.dumps({**ANSWER, "loss": 0.5, "tokens": 1, "finish": "stop"}) + "\n")
    hidden = Model.objects.create(name="hidden", is_enabled=False)
    ModelVersion.objects.create(model=hidden, kind="base", source="hub", hf_id="a/b")
    tuned = version_publish(
        project=people.team,
        model_name="team",
        kind=ModelVersion.Kind.FULL,
        source=ModelVersion.Source.JOB,
        template="default",
        base=None,
        path=weights,
    )
    evaluation = evaluation_create(
        project=people.team,
        created_by=people.owner,
        version=tuned,
        baseline=None,
        dataset_version_id=version.pk,
        dataset_label="dataset v1",
        settings={},
        predictions_path=answers,
    )
    return {
        "hidden_base": hidden,
        "model": tuned.model,
        "model_version": tuned,
        "evaluation": Evaluation.objects.get(pk=evaluation.pk),
    }


def _workload(
    people: SimpleNamespace, node: Node, name: str, *, is_service: bool = False
) -> Workload:
    workload = Workload.objects.create(
        project=people.team,
        created_by=people.owner,
        name=name,
        engine="llamafactory",
        verb="serve" if is_service else "train",
        is_service=is_service,
        node=node,
        state=Workload.State.ENDED,
        outcome=Workload.Outcome.OK,
        epoch=1,
        started_at=timezone.now(),
        ended_at=timezone.now(),
    )
    workload.directory.mkdir(parents=True)
    (workload.directory / "config.yaml").write_text("stage: sft\n")
    workload.log_path.write_text("first line\n")
    return workload


def of_work(people: SimpleNamespace, things: dict[str, object]) -> dict[str, object]:
    """A node, a finished training, a stopped deployment and a conversation of the owner."""
    node = Node.objects.create(name="here", heartbeat_at=timezone.now())
    workload = _workload(people, node, "job")
    job = Job.objects.create(
        project=people.team,
        created_by=people.owner,
        name="job",
        kind=Job.Kind.TRAIN,
        stage="sft",
        method="full",
        model_version=things["model_version"],
        state=Job.State.SUCCEEDED,
        config="stage: sft\n",
    )
    job.datasets.create(dataset_version=things["version"])
    Attempt.objects.create(job=job, number=1, workload=workload)
    deployment = Deployment.objects.create(
        project=people.team,
        created_by=people.owner,
        name="team",
        version=things["model_version"],
        state=Deployment.State.STOPPED,
    )
    service = _workload(people, node, "serve", is_service=True)
    Replica.objects.create(deployment=deployment, workload=service)
    conversation = Conversation.objects.create(
        project=people.team, created_by=people.owner, deployment=deployment, title="first"
    )
    return {
        "node": node,
        "image": Image.objects.create(
            reference="lab/engine:1", engine="small", image_id="sha256:1", state="ready"
        ),
        "workload": workload,
        "service": service,
        "job": job,
        "deployment": deployment,
        "conversation": conversation,
    }


def of_nodes(people: SimpleNamespace, node: Node) -> dict[str, object]:
    """What operators keep about nodes, and an alert, which everybody sees."""
    token = NodeToken.objects.create(
        prefix="0123456789", expires_at=timezone.now() + timedelta(hours=1)
    )
    alert = Alert.objects.create(
        node=node, kind="silence", state="open", value=90, threshold=60, since=timezone.now()
    )
    channel, _none = channel_create(kind="email", target="ops@example.org", by=people.operator)
    rules_seed()
    return {"node_token": token, "alert": alert, "alert_channel": channel}


def everything(people: SimpleNamespace, home: Path) -> dict[str, object]:
    """The things by the words that the table uses."""
    things = {**of_accounts(people), **of_datasets(people)}
    things |= of_registry(people, home, things["version"])
    things |= of_work(people, things)
    return things | of_nodes(people, things["node"])
