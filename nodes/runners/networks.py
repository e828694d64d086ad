"""The network of a node's containers that fetch from a hub. They reach hubs, and not each other.

Nor do they reach this machine and its neighbours, where the node may set firewall rules.
"""

import logging

import docker
from docker.errors import APIError
from docker.models.networks import Network

from common.phrases import gettext as _
from nodes.runners import firewall
from nodes.runners.base import CannotStart, Unreachable

logger = logging.getLogger(__name__)
LABEL = "trainer.installation"
ALONE = {"com.docker.network.bridge.enable_icc": "false"}


def own(engine: docker.DockerClient, installation: str) -> str:
    """Its id; it is made when it is missing, and closed. Raises `CannotStart` or `Unreachable`."""
    found = _found(engine, installation)
    if not found:
        _make(engine, installation)
        found = _found(engine, installation)
    if not found:
        raise Unreachable("Docker took the network away again.")
    network = str(found[0].id)
    try:
        firewall.close(network)
    except firewall.Open as error:  # the node's page tells operators
        logger.warning("containers that fetch from a hub reach this machine: %s", error)
    return network


def is_closed(engine: docker.DockerClient, installation: str) -> bool:
    """Whether its containers reach public addresses only; sets the rules again that are gone."""
    try:
        for network in _found(engine, installation):
            firewall.close(str(network.id))
    except firewall.Open:
        return False
    return firewall.may_close()


def _make(engine: docker.DockerClient, installation: str) -> None:
    try:
        engine.networks.create(
            f"trainer-{installation}",
            driver="bridge",
            options=ALONE,
            labels={LABEL: installation},
            check_duplicate=True,
        )
    except APIError as error:
        if error.status_code != 409:  # somebody else made it just now
            why = _("Docker gives it no network: %(error)s") % {"error": error.explanation}
            raise CannotStart(why) from error


def remove(engine: docker.DockerClient, installation: str) -> None:
    """Takes it away, unless a container still uses it."""
    for network in _found(engine, installation):
        try:
            network.remove()
        except APIError as error:
            logger.warning("network %s stays: %s", network.name, error)
        else:
            firewall.forget(str(network.id))


def _found(engine: docker.DockerClient, installation: str) -> list[Network]:
    """Two that were made at the same moment may have its name; all take the same one of them."""
    found = engine.networks.list(filters={"label": f"{LABEL}={installation}"})
    return sorted(found, key=lambda network: str(network.id))
