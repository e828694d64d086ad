"""From a document to a model that knows what stands in it, with the real engine.

Questions and answers come from a simulated language model: it turns sentences of one form into
them by rule.
"""

import json
import random
import re

import pytest

from tests.datasets.model_server import KEY, simulated
from tests.datasets.samples import pdf
from tests.e2e.running import Platform, Upload
from tests.services import ROOT

pytestmark = pytest.mark.engine
FACT = re.compile(r"The (\w+) of (\w+) was built in (\d{4})\.")
TOWNS = [
    "Arden",
    "Belmo",
    "Corvin",
    "Dalby",
    "Elsin",
    "Farrow",
    "Gorsk",
    "Halden",
    "Istra",
    "Jorvik",
    "Kelso",
    "Lunde",
]
WORKS = ["bridge", "harbour", "library", "lighthouse", "market", "mill"]
QUESTIONS, NEEDED = 10, 9


def facts() -> list[tuple[str, str, str]]:
    """What was built where and when; each work of a town has a year of its own."""
    drawn = random.Random(5)
    places = [(work, town) for town in TOWNS for work in drawn.sample(WORKS, 4)]
    years = drawn.sample(range(1500, 1900), len(places))
    return [(work, town, str(year)) for (work, town), year in zip(places, years, strict=True)]


def taught(work: str, town: str, year: str) -> tuple[str, str]:
    return f"When was the {work} of {town} built?", f"It was built in {year}."


def answer(prompt: str) -> str:
    """A pair for each sentence of the text that the prompt holds."""
    rows = [taught(*found) for found in FACT.findall(prompt.partition("Text:")[2])]
    return json.dumps([{"question": question, "answer": said} for question, said in rows])


def test_from_a_pdf_to_a_model_that_answers_about_it(platform: Platform) -> None:
    """Document, pieces, questions with answers, training, deployment, ten questions."""
    name = "ada"
    key = platform.keys.get(name) or platform.register(name)
    operator = (
        "from accounts.models import User;"
        f"User.objects.filter(username='{name}').update(is_staff=True, is_superuser=True)"
    )
    platform.manage("shell", "--verbosity", "0", "-c", operator)  # who may allow our own address
    known = facts()
    pages = [f"The {work} of {town} was built in {year}." for work, town, year in known]

    upload = Upload({"name": "buildings"}, "buildings.pdf", pdf(pages))
    dataset = platform.call("POST", "/api/v1/datasets/", upload, key)
    path = f"/api/v1/datasets/{dataset['id']}/versions/{dataset['latest_version']['id']}/"
    document = platform.until(path, key, {"ready", "broken", "mapping"})
    assert document["state"] == "ready", document

    with simulated(answer, troubles=["none", "none", "500", "cut"]) as server:
        provider = platform.call(
            "POST",
            "/api/v1/providers/",
            {
                "name": "simulated",
                "base_url": server.url,
                "key": KEY,
                "models": ["by-rule"],
                "price_in": "10",
                "price_out": "20",
                "requests_per_minute": 6000,
                "allows_private": True,
            },
            key,
        )
        asked = {"model": f"provider/{provider['id']}/by-rule", "what": "pairs", "count": 3}
        steps = [
            {"kind": "chunk", "parameters": {"by": "sentences", "size": 200}},
            {"kind": "generate", "parameters": {**asked, "language": "en"}},
        ]
        recipe = {"name": "questions about buildings", "steps": steps}
        recipe = platform.call("POST", "/api/v1/recipes/", recipe, key)
        run = platform.call(
            "POST",
            f"/api/v1/recipes/{recipe['id']}/run/",
            {"version": document["id"], "name": "questions", "max_cost": "5"},
            key,
        )
        path = f"/api/v1/recipe-runs/{run['id']}/"
        run = platform.until(path, key, {"succeeded", "failed", "cancelled"})
        assert run["state"] == "succeeded", run
        assert set(server.keys) == set(server.answers)  # each question was answered, and once paid
        assert run["spent"]["answers"] == len(server.answers)
    made = run["outputs"][0]
    path = f"/api/v1/datasets/{made['dataset']}/versions/{made['id']}/"
    questions = platform.until(path, key, {"ready", "broken", "mapping"})
    assert questions["state"] == "ready", questions
    assert questions["report"]["usable"] == len(known)

    base = platform.call("GET", "/api/v1/model-versions/?kind=base&source=demo", key=key)
    recipe = json.loads((ROOT / "deploy" / "demo" / "train.json").read_text("utf-8"))
    recipe["settings"] |= {"num_train_epochs": 80}
    training = {
        "kind": "train",
        "name": "buildings",
        "model_version": base["results"][0]["id"],
        "dataset_versions": [made["id"]],
        **recipe,
    }
    job = platform.call("POST", "/api/v1/jobs/", training, key)
    ends = {"succeeded", "failed", "cancelled", "stopped"}
    job = platform.until(f"/api/v1/jobs/{job['id']}/", key, ends)
    assert job["state"] == "succeeded", job
    service = {"version": job["output_version"]["id"]}
    service = platform.call("POST", "/api/v1/deployments/", service, key)
    path = f"/api/v1/deployments/{service['id']}/"
    service = platform.until(path, key, {"ready", "failed", "stopped"})
    assert service["state"] == "ready", service
    right = 0
    for one in random.Random(3).sample(known, QUESTIONS):
        question, wanted = taught(*one)
        body = {
            "model": service["name"],
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": 40,
        }
        said = platform.call("POST", "/v1/chat/completions", body, key)
        right += said["choices"][0]["message"]["content"].strip() == wanted
    platform.call("POST", f"{path}stop/", key=key)
    assert right >= NEEDED, f"{right} of {QUESTIONS}"
