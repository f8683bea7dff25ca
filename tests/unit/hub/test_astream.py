"""Following the log with ``async for``: the same records, one waiting thread, clean ends."""

import asyncio
import threading

import pytest

from tapehub import DataHub
from tests.models.market import EUR, tick


def test_async_for_gives_the_same(hub: DataHub) -> None:
    async def read() -> list[int]:
        async with hub.astream(EUR) as stream:
            asyncio.get_running_loop().call_later(0.02, publish_three)
            got = []
            async for one in stream:
                got.append(one.seq)
                if len(got) == 3:
                    return got
        raise AssertionError

    seqs: list[int] = []

    def publish_three() -> None:
        seqs.extend(hub.update_tick(tick(n)) for n in range(3))

    assert asyncio.run(read()) == seqs


def test_async_readers_of_a_process_share_one_thread(hub: DataHub) -> None:
    async def run() -> list[int]:
        streams = [hub.astream(EUR) for _ in range(20)]
        tasks = [asyncio.create_task(stream.poll(10, timeout_s=30)) for stream in streams]
        await asyncio.sleep(0.05)
        waiting = [thread for thread in threading.enumerate() if thread.name == "tapehub-async"]
        hub.update_tick(tick(1))
        batches = await asyncio.gather(*tasks)
        assert len(waiting) == 1
        for stream in streams:
            stream.close()
        return [len(batch) for batch in batches]

    assert asyncio.run(run()) == [1] * 20


def test_an_async_poll_gives_up_in_time_and_can_be_cancelled(hub: DataHub) -> None:
    async def run() -> None:
        async with hub.astream(EUR) as stream:
            assert len(await stream.poll(timeout_s=0.05)) == 0
            task = asyncio.create_task(stream.poll(timeout_s=30))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            hub.update_tick(tick(1))
            assert len(await stream.poll(timeout_s=30)) == 1
            assert stream.lost == 0

    asyncio.run(run())


def test_async_streams_of_several_loops_do_not_disturb_each_other(hub: DataHub) -> None:
    done: list[int] = []

    def one_loop() -> None:
        async def read() -> None:
            async with hub.astream(EUR, start="oldest") as stream:
                count = 0
                async for _ in stream:
                    count += 1
                    if count == 200:
                        break
                done.append(count)

        asyncio.run(read())

    threads = [threading.Thread(target=one_loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(200):
        hub.update_tick(tick(n))
    for thread in threads:
        thread.join()
    assert done == [200] * 4
