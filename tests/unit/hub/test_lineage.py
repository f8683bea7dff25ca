"""Sequences of one history are never taken for those of another: cursors and streams over a cut and a replaced hub."""

import asyncio
import itertools
import shutil
import time
from pathlib import Path

import pytest

from tapehub import ConfigError, DataHub, HubNotRunning, Lapped, Tick
from tapehub.hub.astream import AsyncStream
from tapehub.hub.stream import Stream
from tests.models.damage import delete, lose_lines
from tests.models.market import drained, tick

SMALL = {"create": True, "segment_lines": 1 << 10}


def open_small(place: Path) -> DataHub:
    hub = DataHub.open(place, **SMALL)  # type: ignore[arg-type]
    hub.set_clock("event")
    return hub


def committed_beyond_the_cut(place: Path) -> tuple[int, int]:
    """Commit at the head, then lose the last 40 ticks. Returns the committed position and where the log is cut."""
    with open_small(place) as hub, hub.stream(name="archive", durable=True) as stream:
        for n in range(50):
            hub.update_tick(tick(n))
        assert len(drained(stream)) == 50
        stream.commit()
        position = stream.position
    lose_lines(place, position - 40, position)
    return position, position - 40


def moved(stream: Stream) -> tuple[list[int], int]:
    """Read all there is: the sequences of the ticks, and what was lost before them."""
    got, lost = [], 0
    while True:
        batch = stream.poll(1000)
        got += batch["seq"].tolist()
        lost += batch.lost
        if not len(batch) and not batch.lost:
            assert stream.lost == lost
            return got, lost


def test_durable_cursor_beyond_a_cut_goes_on_at_the_cut_and_says_so(hub_dir: Path) -> None:
    position, cut = committed_beyond_the_cut(hub_dir)
    with DataHub.open(hub_dir) as hub:
        assert hub.epoch == 2
        seqs = [hub.update_tick(tick(100 + n)) for n in range(60)]
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == (seqs, position - cut)
            stream.commit()
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == ([], 0)


def test_durable_cursor_beyond_a_cut_raises_where_loss_is_to_be_raised(hub_dir: Path) -> None:
    position, cut = committed_beyond_the_cut(hub_dir)
    with (
        DataHub.open(hub_dir) as hub,
        hub.stream(name="archive", durable=True, on_lap="raise") as stream,
    ):
        seq = hub.update_tick(tick(100))
        with pytest.raises(Lapped, match="epoch 2 in place of 1") as caught:
            stream.poll()
        assert (caught.value.lost, caught.value.oldest) == (position - cut, cut)
        assert stream.poll()["seq"].tolist() == [seq]


def test_durable_cursor_before_a_cut_goes_on_where_it_committed(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub, hub.stream(name="archive", durable=True) as stream:
        seqs = [hub.update_tick(tick(n)) for n in range(50)]
        assert len(stream.poll(5)) == 5
        stream.commit()
    lose_lines(hub_dir, seqs[20], seqs[-1] + 1)
    with DataHub.open(hub_dir) as hub:
        assert hub.epoch == 2
        new = hub.update_tick(tick(100))
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == ([*seqs[5:20], new], 0)


def test_durable_cursor_of_another_hub_goes_on_at_the_oldest(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub, hub.stream(name="archive", durable=True) as stream:
        for n in range(50):
            hub.update_tick(tick(n))
        drained(stream)
        stream.commit()
    kept = (hub_dir / "cursors" / "archive").read_text()
    shutil.rmtree(hub_dir)
    with open_small(hub_dir) as hub:
        seqs = [hub.update_tick(tick(n)) for n in range(80)]
        (hub_dir / "cursors").mkdir()
        (hub_dir / "cursors" / "archive").write_text(kept)
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == (seqs, 0)


def test_cursor_of_an_older_version_is_a_position_alone(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub:
        seqs = [hub.update_tick(tick(n)) for n in range(10)]
        (hub_dir / "cursors").mkdir()
        (hub_dir / "cursors" / "archive").write_text(f"{seqs[4]}\n")
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == (seqs[4:], 0)
            stream.commit()
            told = (hub_dir / "cursors" / "archive").read_text()
            assert told == f"{stream.position} {hub.epoch} {hub.hub_id}\n"


def test_cursor_of_an_older_version_behind_the_newest_cut_goes_on_there(hub_dir: Path) -> None:
    position, cut = committed_beyond_the_cut(hub_dir)
    (hub_dir / "cursors" / "archive").write_text(f"{position}\n")
    with DataHub.open(hub_dir) as hub:
        assert hub.epoch == 2, "a cursor tells how far some reader was"
        seqs = [hub.update_tick(tick(100 + n)) for n in range(60)]
        with hub.stream(name="archive", durable=True) as stream:
            assert moved(stream) == (seqs, position - cut)


def test_garbled_cursor_is_named(hub: DataHub) -> None:
    (hub.path / "cursors").mkdir()
    (hub.path / "cursors" / "archive").write_text("a b")
    with pytest.raises(ConfigError, match='expected "position epoch hub_id"'):
        hub.stream(name="archive", durable=True)


# ---------------------------------------------------------------- a hub replaced under an open stream


def replace(place: Path, ticks: int) -> tuple[DataHub, list[int]]:
    place.rename(place.with_name("before"))
    new = open_small(place)
    return new, [new.update_tick(tick(n)) for n in range(ticks)]


def noticed(hub: DataHub, new: DataHub) -> None:
    for _ in range(500):
        if hub.hub_id == new.hub_id:
            return
        time.sleep(0.01)
    raise AssertionError("the hub that was replaced was not noticed")


@pytest.mark.parametrize("iterating", [False, True])
def test_stream_of_a_replaced_hub_delivers_all_of_the_new_one(hub_dir: Path, iterating: bool) -> None:
    with open_small(hub_dir) as hub, hub.stream(start="oldest") as stream:
        for n in range(103):
            hub.update_tick(tick(n))
        if iterating:
            assert len(list(itertools.islice(stream, 100))) == 100
        else:
            assert len(stream.poll(100)) == 100
        new, seqs = replace(hub_dir, 150)
        with new:
            noticed(hub, new)
            if iterating:
                assert [one.seq for one in itertools.islice(stream, 150)] == seqs
                assert stream.lost == 3
            else:
                assert moved(stream) == (seqs, 3), "three of the old hub's were not read"


def test_stream_of_a_replaced_hub_raises_where_loss_is_to_be_raised(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub, hub.stream(start="oldest", on_lap="raise") as stream:
        for n in range(10):
            hub.update_tick(tick(n))
        assert len(stream.poll(100)) == 10
        new, seqs = replace(hub_dir, 5)
        with new:
            noticed(hub, new)
            with pytest.raises(Lapped, match=f"hub {new.hub_id[:8]} lies at"):
                stream.poll()
            assert stream.poll()["seq"].tolist() == seqs


async def following(stream: AsyncStream) -> Tick:
    while True:
        try:
            return await anext(stream)
        except HubNotRunning:  # between the old hub and the new one
            await asyncio.sleep(0.01)


def test_async_stream_hears_of_a_replaced_hub(hub_dir: Path) -> None:
    async def follow(hub: DataHub) -> None:
        async with hub.astream(start="oldest") as stream:
            for _ in range(40):
                await anext(stream)
            waiting = asyncio.create_task(following(stream))
            await asyncio.sleep(0.1)
            new, seqs = replace(hub_dir, 5)
            with new:
                assert (await asyncio.wait_for(waiting, 10)).seq == seqs[0]

    with open_small(hub_dir) as hub:
        for n in range(40):
            hub.update_tick(tick(n))
        asyncio.run(follow(hub))


def test_stream_of_a_hub_that_was_only_rebuilt_misses_and_repeats_nothing(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub, hub.stream(start="oldest") as stream:
        seqs = [hub.update_tick(tick(n)) for n in range(30)]
        assert stream.poll(10)["seq"].tolist() == seqs[:10]
        shutil.rmtree(str(hub._hub_state()["memory_dir"]))
        for _ in range(500):
            if hub._incarnation > 1:
                break
            hub.head  # noqa: B018  (looks whether the hub is still the one it was)
            time.sleep(0.01)
        seqs.append(hub.update_tick(tick(31)))
        assert moved(stream) == (seqs[10:], 0)


def test_what_is_kept_of_a_hub_stays_with_it_when_another_takes_its_place(hub_dir: Path) -> None:
    before, after = hub_dir.with_name("before"), hub_dir.with_name("after")
    with open_small(after) as new, new.stream(name="archive", durable=True, start="oldest") as owner:
        owner.commit()
    kept = (after / "cursors" / "archive").read_text()
    with open_small(hub_dir) as old, old.stream(name="archive", durable=True, start="oldest") as stream:
        old.update_tick(tick(0))
        stream.poll()
        position = stream.position
        hub_dir.rename(before)
        after.rename(hub_dir)
        note = old.note("x" * 5_000)
        where = before if old._incarnation == 1 else hub_dir  # it looks round once a second
        stream.commit()
        assert (hub_dir / "cursors" / "archive").read_text() == kept
        assert where == hub_dir or not (hub_dir / "blobs").exists()
        assert (before / "cursors" / "archive").read_text().split()[0] == str(position)
        with DataHub.open(where) as again, again.stream(kinds="note", start=note) as notes:
            assert [len(one.payload) for one in notes.poll().records] == [5_000]
        with DataHub.open(hub_dir) as new:
            noticed(old, new)
            stream.commit()  # it has not read since: what it read is of the hub that was
            assert (hub_dir / "cursors" / "archive").read_text() == kept
            assert stream.poll().lost == (where == before), "the note"
            stream.commit()
            assert (hub_dir / "cursors" / "archive").read_text().split()[2] == new.hub_id


def test_a_note_in_a_hub_that_was_deleted_and_made_again_goes_there_with_its_blob(hub_dir: Path) -> None:
    with open_small(hub_dir) as old, old.stream(name="archive", durable=True) as stream:
        delete(hub_dir)
        stream.commit()  # nothing to keep
        with open_small(hub_dir) as new, new.stream(kinds="note", start="oldest") as notes:
            old.note("x" * 5_000, "EUR_USD")
            (record,) = notes.poll().records
            assert (record.symbol, len(record.payload)) == ("EUR_USD", 5_000)
        delete(hub_dir)
        with pytest.raises(HubNotRunning, match="was deleted"):
            old.note("x" * 5_000)


def test_stream_that_two_hubs_have_passed_by_counts_what_was_unread_of_both(hub_dir: Path) -> None:
    with open_small(hub_dir) as hub, hub.stream(start="oldest") as stream:
        for n in range(100):
            hub.update_tick(tick(n))
        assert len(stream.poll(10)) == 10
        unread = -int(hub._records_before(stream.position))
        for count in (30, 20):
            unread += int(hub._hub_state()["records"])
            delete(hub_dir)
            new = open_small(hub_dir)
            for n in range(count):
                new.update_tick(tick(n))
            noticed(hub, new)
            new.close()
        assert len(moved(stream)[0]) == 20
        assert stream.lost == unread > 90 + 30
