"""Workloads in real containers: how they start, end and stop, and what they are kept from."""

import json
import signal
import socket

import pytest

from accounts.models import Event
from nodes import services
from nodes.agent import Agent
from nodes.models import Workload
from nodes.runners import Sight
from nodes.runners.description import name_of
from nodes.services import follow
from tests.nodes.conftest import alive, followed, start, until
from tests.nodes.contained import SMALL

pytestmark = [pytest.mark.docker, pytest.mark.django_db(transaction=True)]
State, Outcome = Workload.State, Workload.Outcome
LONG = {"steps": 3000, "seconds": 0.02}
MIB = 2**20


def in_step(workload: Workload, step: int = 1) -> None:
    """Waits until the engine in the container has done a step."""
    word = f"step {step}\n"
    until(lambda: workload.log_path.exists() and word in workload.log_path.read_text())


def steps_of(workload: Workload) -> list[int]:
    return [json.loads(line)["step"] for line in workload.metrics_path.read_text().splitlines()]


def seen_by(agent: Agent, submit, code: str, **fields) -> dict:
    """What Python code sees in a container; it fills the dictionary `seen`."""
    text = f"import json, os\nseen = {{}}\n{code}\nopen('probe.json', 'w').write(json.dumps(seen))"
    workload = followed(agent, start(submit({"code": text}, **fields)))
    assert workload.outcome == "ok", (workload.reason, workload.log_path.read_text())
    return json.loads((workload.directory / "probe.json").read_text())


def test_runs_to_its_end(contained, submit, docker_host) -> None:
    workload = followed(contained, start(submit({"steps": 3, "seconds": 0.05})))
    assert (workload.outcome, workload.exit_code, workload.reason) == ("ok", 0, "")
    assert workload.end_facts["max_rss_bytes"] > MIB
    assert workload.log_path.read_text().splitlines() == [
        "started train",
        "step 1",
        "step 2",
        "step 3",
    ]
    states = Event.objects.of(workload).filter(verb="state").values_list("new", flat=True)
    assert list(states) == ["placed", "starting", "running", "ended"]
    assert workload.image.reference == SMALL
    with pytest.raises(Exception, match="No such container"):
        docker_host.containers.get(name_of(workload.pk, workload.epoch))


@pytest.mark.parametrize(
    ("config", "outcome", "code", "reason"),
    [
        ({"fail": 3}, Outcome.ERROR, 3, "status 3"),
        ({"no_result": True}, Outcome.ERROR, 0, "without having finished"),
        ({"raise": "user_data"}, Outcome.ERROR, 1, "It went wrong."),
        ({"raise": "oom"}, Outcome.OOM, 1, "It went wrong."),
        ({"code": "os.kill(os.getpid(), 9)"}, Outcome.ERROR, -9, "signal 9"),
    ],
)
def test_ends_badly_as_a_process_does(contained, submit, config, outcome, code, reason) -> None:
    workload = followed(contained, start(submit(config)))
    assert (workload.outcome, workload.exit_code) == (outcome, code)
    assert reason in workload.reason


def test_what_a_container_may(contained, submit, home) -> None:
    """Nothing but its own directory, its log and a part of the machine."""
    (home / "models" / "tiny").mkdir()
    (home / "models" / "tiny" / "weights").write_text("w")
    seen = seen_by(
        contained,
        submit,
        """
status = dict(l.split(":\\t") for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
seen["caps"] = [status["CapEff"], status["CapBnd"], status["CapPrm"]]
seen["no_new_privileges"], seen["seccomp"] = status["NoNewPrivs"], status["Seccomp"]
seen["user"] = os.getuid()
seen["first"] = open("/proc/1/cmdline").read().split("\\0")[0]
seen["interfaces"] = sorted(os.listdir("/sys/class/net"))
seen["input"] = open("inputs/model/weights").read()
refused = []
for path in ("/x", "/etc/x", "/usr/x", "inputs/model/weights", "inputs/model/new",
             "/cache/hf_home/x", "/trainer/shim.py", "/sys/x", "/proc/sys/kernel/hostname"):
    try:
        open(path, "w")
    except OSError:
        refused.append(path)
seen["refused"] = len(refused)
open("/tmp/x", "w").write("x"); open("output/x", "w").write("x")
seen["home"] = sorted(os.listdir("/workload"))
seen["env"] = dict(os.environ)
def limit(*paths):
    for path in paths:
        if os.path.exists("/sys/fs/cgroup/" + path):
            return open("/sys/fs/cgroup/" + path).read().split()[0]
seen["memory"] = limit("memory/memory.limit_in_bytes", "memory.max")
seen["pids"] = limit("pids/pids.max", "pids.max")
seen["cpu"] = limit("cpu/cpu.shares", "cpu.weight")
seen["score"] = int(open("/proc/self/oom_score_adj").read())
stat = os.statvfs("/dev/shm"); seen["shm"] = stat.f_blocks * stat.f_frsize
import socket
try:
    socket.create_connection(("127.0.0.1", 22), 1)
except OSError as error:
    seen["connect"] = type(error).__name__
""",
        inputs={"model": "models/tiny"},
        memory_limit_bytes=256 * MIB,
        cpus=0.5,
    )
    assert seen["caps"] == ["0000000000000000"] * 3
    assert (seen["no_new_privileges"], seen["seccomp"]) == ("1", "2")
    assert seen["user"] != 0
    assert seen["first"].endswith("docker-init")
    assert seen["interfaces"] == ["lo"]
    assert seen["input"] == "w"
    assert seen["refused"] == 9
    assert (seen["memory"], seen["pids"]) == (str(256 * MIB), "4096")
    # 512 shares, or the weight that older and newer versions of runc make of them.
    assert seen["cpu"] in {"512", "20", "59"}
    assert seen["score"] >= 100
    assert seen["shm"] == 128 * MIB
    assert "secret_key" not in " ".join(seen["home"])
    assert "TRAINER_SECRET_KEY" not in seen["env"]
    assert seen["env"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert (seen["env"]["HF_HOME"], seen["env"]["CUDA_VISIBLE_DEVICES"]) == ("/cache/hf_home", "")
    assert (home / "models" / "tiny" / "weights").read_text() == "w"


def test_the_log_is_complete(contained, submit) -> None:
    workload = followed(contained, start(submit({"lines": 200_000})))
    lines = workload.log_path.read_text().splitlines()
    assert lines[2:] == [f"line {number}" for number in range(200_000)]


def test_stop_with_checkpoint(contained, submit, container_of) -> None:
    workload = start(submit(LONG))
    in_step(workload)
    for _again in range(2):
        services.workload_stop(workload.pk, mode="checkpoint", reason="enough")
    follow.workload_signal(workload.pk, workload.epoch)
    workload = followed(contained, workload)
    assert (workload.outcome, workload.exit_code, workload.reason) == ("stopped", 75, "enough")


def test_kill_ends_what_ignores_the_stop(contained, submit, monkeypatch) -> None:
    monkeypatch.setitem(__import__("nodes.following").following.GRACE_SECONDS, "kill", 0.3)
    workload = start(submit({**LONG, "ignore_stop": True}))
    in_step(workload)
    services.workload_stop(workload.pk, mode="kill", reason="now")
    workload = followed(contained, workload)
    assert (workload.outcome, workload.exit_code) == ("stopped", -signal.SIGKILL)


def test_agent_restart_adopts(contained, submit) -> None:
    workload = start(submit({"steps": 60, "waits": True}))
    in_step(workload)
    second = Agent(contained.name)
    second.register()
    second.follow()
    assert alive(second, workload)
    assert second.driver.adopt(follow.place_of(workload))
    (workload.directory / "go").touch()
    workload = followed(second, workload)
    contained.follow()  # the first one, late: changes nothing
    assert workload.outcome == "ok"
    assert Event.objects.of(workload).filter(verb="state", new="ended").count() == 1
    assert steps_of(workload) == list(range(1, 61))


def test_container_killed(contained, submit, container_of) -> None:
    workload = start(submit(LONG))
    in_step(workload)
    container_of(workload).kill()
    workload = followed(contained, workload)
    assert (workload.outcome, workload.exit_code) == (Outcome.ERROR, -9)


def test_container_taken_away(contained, submit, container_of) -> None:
    workload = start(submit(LONG))
    in_step(workload)
    container_of(workload).remove(force=True)
    assert followed(contained, workload).outcome == Outcome.LOST


def test_memory_hog_harms_itself_only(contained, submit) -> None:
    other = start(submit({"steps": 150, "seconds": 0.02}, cpus=0.1))
    hog = submit({"hold_mib": 400, **LONG}, memory_limit_bytes=96 * MIB, cpus=0.1)
    hog = followed(contained, start(hog))
    assert (hog.outcome, hog.exit_code) == (Outcome.OOM, -9)
    assert hog.reason == "It used more than its 96 MB of memory, and the system ended it."
    other = followed(contained, other)
    assert (other.outcome, steps_of(other)) == ("ok", list(range(1, 151)))


HUNGRY_CHILD = """
if os.fork() == 0:
    held = bytearray(400 * 2**20)
    for index in range(0, len(held), 4096):
        held[index] = 1
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(("more", "outcome"), [({"fail": 5}, "oom"), ({}, "ok")])
def test_a_child_that_was_killed_for_memory(contained, submit, more, outcome) -> None:
    """It is the reason of a failure, and none where the work was done all the same."""
    config = {"code": HUNGRY_CHILD, **more}
    workload = followed(contained, start(submit(config, memory_limit_bytes=96 * MIB)))
    assert workload.outcome == outcome


BOMB = """
import threading, time
def fork():
    while True:
        try:
            if os.fork() == 0:
                time.sleep(300)
        except OSError:
            print("no more", flush=True)
            time.sleep(1)
threading.Thread(target=fork, daemon=True).start()
time.sleep(300)
"""


def test_fork_bomb_harms_itself_only(contained, submit, monkeypatch, container_of) -> None:
    monkeypatch.setattr("nodes.runners.description.PROCESSES", 200)
    monkeypatch.setitem(__import__("nodes.following").following.GRACE_SECONDS, "kill", 0.3)
    bomb = start(submit({"code": BOMB}, cpus=0.1))
    until(lambda: "no more" in bomb.log_path.read_text())
    assert len(container_of(bomb).top()["Processes"]) <= 200
    other = followed(contained, start(submit({"steps": 5}, cpus=0.1)))
    assert other.outcome == "ok"
    services.workload_stop(bomb.pk, mode="kill", reason="bomb")
    assert followed(contained, bomb).outcome == Outcome.STOPPED


def test_time_limit_holds_without_agent(contained, submit) -> None:
    workload = start(submit(LONG, wall_seconds=1))
    until(workload.facts_path("exit").exists)
    workload = followed(contained, workload)
    assert workload.outcome == Outcome.TIMEOUT
    assert "time limit of 1 s is over" in workload.log_path.read_text()


def test_nothing_stays_behind(contained, submit, docker_host) -> None:
    followed(contained, start(submit({"child": True})))
    assert list(contained.driver.owned()) == []


def test_orphans_are_removed(contained, submit) -> None:
    """Running, ended or only created: what no workload accounts for goes."""
    running = start(submit(LONG, cpus=0.1))
    ended = start(submit({}, cpus=0.1))
    in_step(running)
    until(ended.facts_path("exit").exists)
    for workload in (running, ended):
        services.workload_lost(workload.pk, workload.epoch, reason="given up")
    for _round in range(3):
        contained.remove_orphans({(pk, epoch) for pk, epoch, _pid in contained.driver.owned()})
        contained.orphans = {pair: since - 20 for pair, since in contained.orphans.items()}
    until(lambda: list(contained.driver.owned()) == [])


def test_another_installations_containers_are_left_alone(contained, submit) -> None:
    start(submit(LONG))
    assert list(Agent(f"{contained.name}-2").driver.owned()) == []


SERVER = """
import socket
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(os.environ["TRAINER_SOCKET"])
    listening.listen()
    while True:
        answering, _ = listening.accept()
        answering.sendall(answering.recv(100).upper())
        answering.close()
"""


def test_a_service_is_reached_by_its_socket(contained, submit) -> None:
    """The container has no network; the socket lies in its directory, and a link leads there."""
    workload = start(submit({"code": SERVER}, is_service=True, verb="serve"))
    until(lambda: workload.socket_path.exists())

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(workload.socket_path))
            except OSError:
                return False
            client.sendall(b"hello")
            return client.recv(100) == b"HELLO"

    until(answers)
    services.workload_stop(workload.pk, mode="kill", reason="done")
    followed(contained, workload)
    assert not workload.socket_path.is_symlink()


def test_only_who_fetches_from_a_hub_gets_a_network(contained, submit, settings, container_of):
    settings.HUB_ONLINE = True
    settings.CONTAINER_NETWORK = "host"
    plain = start(submit(LONG, cpus=0.1))
    fetching = start(submit(LONG, inputs={"model": "hub:lab/tiny"}, cpus=0.1))

    def facts(workload: Workload) -> tuple[str, bool]:
        attrs = container_of(workload).attrs
        caches = [one for one in attrs["Mounts"] if one["Destination"] == "/cache/hf_home"]
        return attrs["HostConfig"]["NetworkMode"], caches[0]["RW"]

    assert (facts(plain), facts(fetching)) == (("none", False), ("host", True))


def test_a_gpu_that_docker_cannot_give(contained, submit) -> None:
    """Without NVIDIA's runtime the start is refused with the Engine's own words."""
    from nodes.models import Gpu, Node

    node = Node.objects.get(name=contained.name)
    Gpu.objects.create(node=node, index=0, uuid="GPU-1", name="X", memory_bytes=8 * 2**30)
    workload = submit({}, gpus=1)
    assert not follow.workload_start(workload.pk, 0)
    workload.refresh_from_db()
    assert (workload.state, workload.outcome) == (State.ENDED, Outcome.ERROR)
    assert "gpu" in workload.reason
    assert list(contained.driver.owned()) == []


def test_what_a_workload_leaves_leads_nobody_astray(contained, submit, home, tmp_path) -> None:
    """Links that it put into its directory are not followed by a later start, nor pipes read."""
    secret = tmp_path / "secret"
    secret.write_text("{}")
    code = f"""
import shutil
os.remove("config.yaml"); os.symlink("{secret}", "config.yaml")
shutil.rmtree("output"); os.symlink("{tmp_path}", "output")
os.mkfifo("exit-1.json")
"""
    workload = submit({"code": code})
    claimed = services.workload_claim(workload.pk, 0)
    assert follow.workload_launch(claimed)
    until(lambda: workload.directory.joinpath("exit-1.json").exists())
    again = services.workload_reclaim  # the same directory, once more
    Workload.objects.filter(pk=workload.pk).update(state=State.STARTING)
    second = again(workload.pk, 1)
    assert contained.driver.poll(follow.place_of(claimed))[0] in (Sight.ALIVE, Sight.ENDED)
    assert follow.workload_launch(second)
    assert secret.read_text() == "{}"
    assert not (workload.directory / "output").is_symlink()
    assert list(tmp_path.iterdir()) == [secret]
