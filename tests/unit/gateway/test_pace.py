"""What one token's messages leave to everybody else."""

import asyncio
import time

from tapehub.gateway.settings import Limits
from tapehub.gateway.streaming.pace import RATES_HZ, Paces, shared_rate


def test_others_have_their_turn_between_two_messages_of_one_token() -> None:
    seen: list[str] = []

    def costly() -> None:
        time.sleep(0.01)
        seen.append("costly")

    async def others() -> None:
        while seen.count("costly") < 4:
            await asyncio.sleep(0)
            if seen and seen[-1] == "costly":
                seen.append("others")

    async def run() -> None:
        paces = Paces(Limits())
        connections = [paces.of("token") for _ in range(4)]
        await asyncio.gather(others(), *(one.work(costly) for one in connections))

    asyncio.run(run())
    assert seen[:7] == ["costly", "others"] * 3 + ["costly"]


def test_a_rate_is_shared_downwards() -> None:
    assert list(RATES_HZ) == sorted(RATES_HZ, reverse=True)
    assert [shared_rate(rate) for rate in (50, 49, 10, 9.9, 0.01)] == [50, 40, 10, 8, 0.01]
