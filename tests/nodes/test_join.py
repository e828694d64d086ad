"""How machines become nodes: over real HTTP, with the real commands."""

import json
import os
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.models import Event
from common.errors import Conflict, DomainError
from common.sealing import Unsealable, seal_with, unseal_with
from common.version import VERSION
from nodes import services
from nodes.envfile import env_read, env_write
from nodes.management.permission import ask, refused_by_rule
from nodes.models import Node, NodeToken
from nodes.services.keys import KEY_PREFIX, secret_hash
from nodes.services.machines import Identity
from nodes.services.tokens import token_parts
from tests.nodes.conftest import ROOT, until
from tests.nodes.parts import register, runs, submit

pytestmark = pytest.mark.django_db(transaction=True)
grown = pytest.mark.skipif(connection.vendor == "sqlite", reason="nodes need PostgreSQL")
embedded = pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite only")
JOIN = "/api/v1/agent/join/"


@pytest.fixture(autouse=True)
def unthrottled() -> None:
    cache.clear()


@pytest.fixture
def token(people) -> str:
    return services.node_token_create(by=people.operator, note="rack 3")[1]


def said(token: str, **changes) -> dict[str, str]:
    public, key = token_parts(token)
    message = {
        "name": "gpu-07",
        "version": VERSION,
        "clock": time.time(),
        "machine": "m",
        "runner": "docker",
        **changes,
    }
    return {"token": public, "sealed": seal_with(key, json.dumps(message))}


def everything() -> list[object]:
    return [list(table.objects.values()) for table in (Node, NodeToken, Event)]


def refused(client, code: str, message: dict[str, str], status: int = 409) -> str:
    cache.clear()  # attempts are counted
    before = everything()
    answer = client.post(JOIN, message, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert everything() == before
    return answer.json()["detail"]


@embedded
def test_a_database_in_a_file_takes_no_nodes(people, client) -> None:
    with pytest.raises(DomainError, match="TRAINER_DATABASE_URL") as caught:
        services.node_token_create(by=people.operator)
    assert caught.value.code == "embedded"
    assert not NodeToken.objects.exists()


@grown
def test_a_machine_comes_in(token, client, settings) -> None:
    answer = client.post(JOIN, said(token), content_type="application/json")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    for secret in (settings.SECRET_KEY, settings.DATABASE_URL, "nk_"):
        assert secret not in answer.content.decode()
    welcome = json.loads(unseal_with(token_parts(token)[1], answer.json()["sealed"]))
    given = welcome["settings"]
    assert given["TRAINER_DATABASE_URL"] == settings.DATABASE_URL
    assert given["TRAINER_SECRET_KEY"] == settings.SECRET_KEY
    assert given["TRAINER_NODE"] == welcome["name"] == "gpu-07"
    node = Node.objects.get()
    assert (node.runner, node.state, node.address) == ("docker", "lost", "127.0.0.1")
    assert given["TRAINER_NODE_KEY"] not in str(Node.objects.values())
    assert services.node_of_key(given["TRAINER_NODE_KEY"]) == node
    assert NodeToken.objects.get().node == node
    # Its agent starts with that key and with no other.
    for key in ("", "nk_wrong"):
        with pytest.raises(DomainError) as caught:
            register("gpu-07", identity=Identity(key=key))
        assert caught.value.code == "wrong_key"
    register("gpu-07", runner="docker", identity=Identity(key=given["TRAINER_NODE_KEY"]))
    assert Node.objects.get().state == "ready"


@grown
def test_what_a_token_does_not_open(token, people, client, monkeypatch) -> None:
    public, key = token_parts(token)
    stranger = {"token": "0123456789", "sealed": seal_with(key, "{}")}
    refused(client, "token_unknown", stranger, 422)
    guessed = {"token": public, "sealed": seal_with(b"x" * 32, json.dumps({}))}
    refused(client, "token_unknown", guessed, 422)
    refused(client, "token_unknown", {"token": public, "sealed": "no"}, 422)
    for hours in (-1, 1):
        text = refused(client, "clock_wrong", said(token, clock=time.time() + 3600 * hours), 422)
        assert "60" in text
    text = refused(client, "version_unfit", said(token, version="0.0.9"))
    assert VERSION in text
    assert "0.0.9" in text
    for name in ("", "a b", "../x", "x" * 41, "-x"):
        refused(client, "name_bad", said(token, name=name), 422)
    refused(client, "nonsense", said(token, name=7), 422)
    refused(client, "nonsense", said(token, clock=float("nan")), 422)
    refused(client, "refused", said(token, runner="magic"), 422)
    NodeToken.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    refused(client, "token_expired", said(token))
    NodeToken.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert client.post(JOIN, said(token), content_type="application/json").status_code == 201
    text = refused(client, "token_used", said(token, name="gpu-08"))
    assert "gpu-07" in text


@grown
def test_names_that_are_taken(people, client) -> None:
    node = register("gpu-07")
    workload = runs(submit(people.team))
    make = lambda: services.node_token_create(by=people.operator)[1]  # noqa: E731
    refused(client, "name_taken", said(make()))
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=2))
    refused(client, "name_taken", said(make()))  # silent, but it holds something
    services.workload_lost(workload.pk, workload.epoch, reason="")
    assert client.post(JOIN, said(make()), content_type="application/json").status_code == 201
    assert Node.objects.get().pk == node.pk
    # A removed one does not come back with its old key, but by a new token.
    services.node_remove(node.pk, by=people.operator)
    with pytest.raises(DomainError) as caught:
        register("gpu-07")
    assert caught.value.code == "wrong_key"
    assert client.post(JOIN, said(make()), content_type="application/json").status_code == 201
    assert Node.objects.get().state == "lost"  # until its agent reports


@grown
def test_a_database_that_others_cannot_reach(token, client, settings) -> None:
    settings.NODE_DATABASE_HOST = "127.0.0.1"
    before = everything()
    answer = client.post(
        JOIN, said(token), content_type="application/json", REMOTE_ADDR="192.0.2.7"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "database_local")
    assert "TRAINER_NODE_DATABASE_URL" in answer.json()["detail"]
    assert everything() == before


@grown
def test_attempts_are_counted(token, client) -> None:
    message = {"token": "0123456789", "sealed": "x"}
    answers = [
        client.post(JOIN, message, content_type="application/json").status_code
        for _try in range(12)
    ]
    assert answers[:10] == [422] * 10
    assert answers[10:] == [429] * 2
    assert client.post(JOIN, said(token), content_type="application/json").status_code == 429


@grown
def test_a_node_says_hello(token, client, people) -> None:
    answer = client.post(JOIN, said(token), content_type="application/json")
    welcome = json.loads(unseal_with(token_parts(token)[1], answer.json()["sealed"]))
    key = welcome["settings"]["TRAINER_NODE_KEY"]

    def hello(bearer: str, **changes):
        message = {"version": VERSION, "clock": time.time(), **changes}
        return client.post(
            "/api/v1/agent/hello/",
            message,
            content_type="application/json",
            headers={"authorization": f"Bearer {bearer}"},
        )

    before = everything()
    assert hello(key).json() == {"name": "gpu-07", "state": "lost", "version": VERSION}
    assert hello("nk_wrong").status_code == 401
    assert hello("").status_code == 401
    assert hello(key, version="9.0").json()["code"] == "version_unfit"
    assert hello(key, clock=time.time() - 3600).json()["code"] == "clock_wrong"
    assert hello(key, clock="nonsense").status_code == 400
    # The key opens nothing that is for people.
    for url in ("/api/v1/nodes/", "/api/v1/jobs/", "/api/v1/me/"):
        assert client.get(url, headers={"authorization": f"Bearer {key}"}).status_code == 401
    assert everything() == before
    services.node_remove(Node.objects.get().pk, by=people.operator)
    assert hello(key).status_code == 401


def manage(*arguments: str, home: Path, **env: str) -> subprocess.CompletedProcess:
    values = {name: value for name, value in os.environ.items() if not name.startswith("TRAINER_")}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**values, "TRAINER_HOME": str(home), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("command", ["node_agent", "node_worker"])
def test_what_does_not_fit_starts_nothing(
    command, live_server, tmp_path, monkeypatch, settings
) -> None:
    """The units of systemd start these two by themselves, and again after what may pass."""
    register("by-hand")
    Node.objects.filter(pk=register("gpu-07").pk).update(key_hash=secret_hash(f"{KEY_PREFIX}mine"))
    before = everything()

    def start(key: str, status: int, name: str = "gpu-07", **env: str) -> str:
        env |= {"TRAINER_NODE_KEY": key, "TRAINER_CONTROL_URL": live_server.url}
        database = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}"
        if connection.vendor == "postgresql":
            env["TRAINER_DATABASE_URL"] = database.format(**connection.settings_dict)
        else:
            env["TRAINER_DATABASE_URL"] = f"sqlite:///{connection.settings_dict['NAME']}"
        done = manage(command, home=tmp_path, TRAINER_NODE=name, **env)
        assert done.returncode == status, done.stderr
        return done.stderr

    assert "key of a node" in start(f"{KEY_PREFIX}another", 78)
    for module in ("common.version", "nodes.services.tokens"):
        monkeypatch.setattr(f"{module}.VERSION", "0.0.9")
    unfit = f"has version {VERSION} of the platform, the control plane has 0.0.9"
    assert unfit in start(f"{KEY_PREFIX}mine", 75)
    assert unfit in start("", 75, "by-hand", TRAINER_SECRET_KEY=settings.SECRET_KEY)
    assert everything() == before


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (Conflict("Its name.", code="name_taken"), 75),
        (DomainError("Its key.", code="wrong_key"), 78),
        (services.NodeRemoved("Removed."), 78),
    ],
)
def test_whether_a_refusal_may_pass(refused, status) -> None:
    assert refused_by_rule(refused).returncode == status


def test_a_control_plane_that_is_away_keeps_no_node_from_starting() -> None:
    assert ask("http://127.0.0.1:9", "nk_any") is None


@grown
def test_the_command(token, live_server, tmp_path, settings) -> None:
    arguments = ("node_join", "--url", live_server.url, "--name", "gpu-07")
    wrong = manage(*arguments, home=tmp_path, TRAINER_NODE_TOKEN=token[:-2])
    assert wrong.returncode == 1
    assert "not known here" in wrong.stderr
    assert not list(tmp_path.glob("*.env"))
    done = manage(*arguments, home=tmp_path, TRAINER_NODE_TOKEN=token)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("node-*.env")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = env_read(path)
    assert values["TRAINER_DATABASE_URL"] == settings.DATABASE_URL
    assert values["TRAINER_CONTROL_URL"] == live_server.url
    assert values["TRAINER_RUNNER"] == "process"
    for secret in (values["TRAINER_NODE_KEY"], settings.SECRET_KEY, settings.DATABASE_URL):
        assert secret not in done.stdout + done.stderr
    again = manage(*arguments, home=tmp_path, TRAINER_NODE_TOKEN=token)
    assert again.returncode == 1
    assert "has joined" in again.stderr
    once = manage(*arguments, "--once", home=tmp_path, TRAINER_NODE_TOKEN="")
    assert (once.returncode, once.stdout) == (0, "")
    used = manage(*arguments, "--again", home=tmp_path, TRAINER_NODE_TOKEN=token)
    assert "used already, by gpu-07" in used.stderr
    assert env_read(path) == values
    nowhere = manage(
        "node_join", "--url", "http://127.0.0.1:9", "--again", home=tmp_path,
        TRAINER_NODE_TOKEN=token,
    )  # fmt: skip
    assert "does not answer" in nowhere.stderr


@grown
def test_the_node_runs(token, live_server, tmp_path, people, engine) -> None:
    """Joined by the command, worker and agent run and report, and end when the node is removed."""
    manage(
        "node_join", "--url", live_server.url, "--name", "gpu-07", home=tmp_path,
        TRAINER_NODE_TOKEN=token,
    )  # fmt: skip
    (path,) = tmp_path.glob("node-*.env")
    values = env_read(path)
    database = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(
        **connection.settings_dict
    )
    env_write(path, {**values, "TRAINER_DATABASE_URL": database})
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAINER_")}
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "node_run"],
            env={**env, "TRAINER_HOME": str(tmp_path)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        node = Node.objects.get()
        until(lambda: Node.objects.filter(state="ready").exists())
        node.refresh_from_db()
        assert node.cpu_count == len(os.sched_getaffinity(0))
        assert node.facts["version"] == VERSION
        assert abs(node.clock_skew_seconds) < 5
        services.node_remove(node.pk, by=people.operator)
        assert process.wait(180) == 78
        assert "removed gpu-07" in (tmp_path / "log").read_text()
    finally:
        process.kill()
    refused = manage("node_run", home=tmp_path)
    assert refused.returncode == 78
    assert "key of a node" in refused.stderr


def test_sealing() -> None:
    key = b"k" * 32
    sealed = seal_with(key, "secret")
    assert "secret" not in sealed
    assert unseal_with(key, sealed) == "secret"
    for other_key, text in ((b"x" * 32, sealed), (key, sealed[:-4] + "AAAA"), (key, "")):
        with pytest.raises(Unsealable):
            unseal_with(other_key, text)


def test_the_file_of_settings(tmp_path) -> None:
    path = tmp_path / "node.env"
    values = {"A": "plain", "B": 'a "b" $c `d` \\e #f =g \'', "C": ""}
    env_write(path, values)
    assert env_read(path) == values
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name, value in (("A", "one\ntwo"), ("A B", "x")):
        with pytest.raises(ValueError, match=name):
            env_write(path, {name: value})
    assert env_read(path) == values
    path.write_text("A=unquoted\n")
    with pytest.raises(ValueError, match="line 1"):
        env_read(path)
