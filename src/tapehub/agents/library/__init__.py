"""Agents that come with tapehub: a team of four. One file each; its name is the agent's name on the command line.

::

    momentum ────┐ opinions                signal             order
    order_flow ──┴──────────► validator ──────────► trader ──────────► gate, risk manager, paper broker

Each runs in a process of its own and says what it thinks into the log; the trader alone orders. See
docs/howto/run-the-team.md.
"""

__all__: list[str] = []
