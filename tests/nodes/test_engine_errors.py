"""A Docker Engine that answers with errors: nothing is concluded from them, and the agent lives."""

import uuid

import pytest

from common.phrases import load
from nodes import services
from nodes.agent import Agent
from nodes.fetching import Fetcher
from nodes.models import Image, Node, Workload
from nodes.runners import Place, Unreachable
from nodes.runners.images import Found
from nodes.services import follow
from tests.nodes.conftest import followed, until
from tests.nodes.simulated_engine import BUSY, IMAGE

pytestmark = pytest.mark.django_db(transaction=True)
State = Workload.State
ALWAYS = [500] * 10_000


@pytest.fixture
def agent(simulated, settings, home) -> Agent:
    """Of a node whose Engine is the simulated one, with an image on the list."""
    settings.NODE_RUNNER = "docker"
    simulated.held.append(IMAGE)
    image = services.image_build_begin("lab/small:1")
    services.image_ready(image.pk, Found(id=IMAGE, digest="", size=1, engine="small"))
    made = Agent(f"docker-{uuid.uuid4().hex[:8]}")
    made.register()
    return made


def claimed(submit) -> Workload:
    workload = services.workload_claim(submit({}).pk, 0)
    assert workload is not None
    workload.directory.mkdir()
    return workload


def test_an_orphan_that_cannot_be_removed_leaves_the_others_their_way(agent, simulated, caplog):
    stays, goes = sorted((uuid.uuid4(), uuid.uuid4()), key=lambda one: hash((one, 1)))
    names = [simulated.add(agent.driver.installation, one, 1, "exited") for one in (stays, goes)]
    simulated.errors = {f"DELETE {names[0]}": ALWAYS}
    for _round in range(3):
        agent.remove_orphans({(pk, epoch) for pk, epoch, _pid in agent.driver.owned()})
    assert list(simulated.containers) == names[:1]
    assert f"orphan {stays} stays" in caplog.text
    assert BUSY in caplog.text


def test_a_list_that_fails_is_trouble_and_no_end(agent, simulated, submit) -> None:
    workload = claimed(submit)
    simulated.errors = dict.fromkeys(("GET json", "GET info", "GET images"), ALWAYS)
    agent.follow()
    agent.beat()
    assert BUSY in load(Node.objects.get(pk=agent.node_id).facts["trouble"])
    with pytest.raises(Unreachable, match="busy"):
        agent.driver.poll(follow.place_of(workload))
    simulated.errors = {}
    agent.driver.poll(follow.place_of(workload))  # asked again at once: it had answered
    workload.refresh_from_db()
    assert workload.state == State.STARTING


def test_one_that_is_gone_is_lost_though_its_container_stays(agent, simulated, submit) -> None:
    workload = claimed(submit)
    workload.facts_path("process").write_text("{}")
    name = simulated.add(agent.driver.installation, workload.pk, 1, "exited", code=255)
    simulated.errors = {f"DELETE {name}": ALWAYS}
    assert followed(agent, workload).outcome == "lost"


def test_an_error_over_its_image_does_not_end_a_workload(agent, simulated, submit) -> None:
    workload = claimed(submit)
    simulated.errors = {"GET images": [200, 500]}  # found, and then not
    assert not follow.workload_launch(workload)
    assert simulated.errors == {"GET images": []}
    workload.refresh_from_db()
    assert workload.state == State.STARTING


def test_an_image_for_which_there_is_no_room_sends_its_workload_back(
    agent, simulated, submit
) -> None:
    simulated.held.clear()
    Image.objects.update(digest=f"lab/small@sha256:{2:064x}")
    workload = submit({})
    assert workload.state == State.PLACED
    simulated.unpulled = ["write /var/lib/docker/tmp/x: no space left on device"]
    fetcher, node = Fetcher(), Node.objects.get(pk=agent.node_id)

    def left_its_place() -> bool:
        fetcher.step(node)
        workload.refresh_from_db()
        return workload.state != State.PLACED

    until(left_its_place)
    assert (workload.state, workload.end_facts) == (State.WAITING, {"returns": 1})
    node.refresh_from_db()
    assert "no space left" in load(node.facts["trouble"])
    assert simulated.unpulled == []


def test_a_stop_is_sent_until_it_reaches_a_running_container(agent, simulated, tmp_path) -> None:
    place = Place(uuid.uuid4(), 1, tmp_path / "workload")
    agent.driver.stop(place, force=False)  # nothing is there yet, not even its directory
    place.directory.mkdir()
    name = simulated.add(agent.driver.installation, place.workload, 1, "created")
    agent.driver.stop(place, force=False)
    simulated.containers[name]["State"]["Status"] = "running"
    simulated.errors = {"POST kill": [409, 500]}
    agent.driver.stop(place, force=False)  # it did not run when the signal came
    with pytest.raises(Unreachable):
        agent.driver.stop(place, force=False)
    assert simulated.signals == []
    for _again in range(2):
        agent.driver.stop(place, force=False)
    assert simulated.signals == ["SIGTERM"]
