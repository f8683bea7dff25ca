"""A BaseManager endpoint: programs written for `multiprocessing.managers` use the hub as they are.

Read `session` for the protocol, `reader` for why nothing a client sends is ever executed.
"""

from tapehub.gateway.manager.endpoint import ManagerEndpoint
from tapehub.gateway.manager.settings import Limits, ManagerSettings

__all__ = ["Limits", "ManagerEndpoint", "ManagerSettings"]
