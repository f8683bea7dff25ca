"""What a worker of a spawned pool runs: a function that can be imported by name."""

import tapehub
from tests.models.market import tick


def publish_one(path: str, second: float) -> str:
    """Connect, publish one tick and name the hub."""
    hub = tapehub.connect(path)
    hub.update_tick(tick(second))
    return hub.hub_id
