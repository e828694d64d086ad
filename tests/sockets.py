"""Sockets as the tests open them."""

from channels.testing import WebsocketCommunicator

PATIENCE = 60.0  # seconds; the original waits for one, which a busy machine needs now and then


class Socket(WebsocketCommunicator):
    """Waits for what has to come; how long that takes says nothing."""

    async def receive_output(self, timeout: float = PATIENCE) -> dict:
        """The next message, whatever time the original's own methods would give it."""
        return await super().receive_output(max(timeout, PATIENCE))

    async def wait(self, timeout: float = PATIENCE) -> None:
        """Until the application has ended."""
        await super().wait(max(timeout, PATIENCE))
