"""The log: what is written once stays, in order, linked, and published as it is stored."""

from dataclasses import replace

from gateway.state import keys
from gateway.state.ids import START, Position, TurnRef, new_turn_id
from gateway.state.records import Claim, Entry, Kind, State
from gateway.state.turnlog import Verdict, Write, WriteReply
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import Scene, end_write, text_write

OK, DUP, ENDED = WriteReply(Verdict.OK), WriteReply(Verdict.DUP), WriteReply(Verdict.ENDED)


async def test_entries_are_read_as_they_were_written(scene: Scene) -> None:
    claim = await scene.claimed()
    texts = ["Hel", "lo\n\nthere\r\n", "", " text\n", "\N{SNOWMAN}\0"]
    writes = [text_write(claim, seq, text) for seq, text in enumerate(texts, 1)]
    assert await scene.log.write(writes) == [OK] * len(texts)
    assert (await scene.entries(claim.ref))[1:] == [write.entry for write in writes]


async def test_a_page_holds_what_follows_the_position(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.log.write([text_write(claim, seq, str(seq)) for seq in range(1, 6)])
    page = await scene.log.read(claim.ref, Position(1, 2), count=2)
    assert [entry.data for entry in page.entries] == [b"3", b"4"]
    assert page.status is not None
    assert page.status.last == Position(1, 5)
    assert (await scene.log.read(claim.ref, Position(1, 5))).entries == []


async def test_a_position_of_an_earlier_attempt_goes_on_with_what_came_after_it(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.log.write([text_write(claim, seq, str(seq)) for seq in (1, 2)])
    again = await scene.reattempted(claim)
    await scene.say(again, 1, "anew")
    page = await scene.log.read(claim.ref, Position(1, 1))
    assert [entry.id for entry in page.entries] == [Position(1, 2), Position(2, 0), Position(2, 1)]


async def test_reading_a_turn_that_waits_finds_a_record_and_no_entries(scene: Scene) -> None:
    page = await scene.log.read(await scene.begun(), START)
    assert page.entries == []
    assert page.status is not None
    assert page.status.state is State.QUEUED


async def test_reading_a_turn_that_is_gone_finds_nothing(scene: Scene) -> None:
    session = await scene.session()
    page = await scene.log.read(TurnRef(session.id, new_turn_id()), START)
    assert (page.entries, page.status) == ([], None)


async def test_what_is_published_is_what_is_stored(scene: Scene, opened: Opened) -> None:
    ref = await scene.begun()
    async with opened().pubsub() as reader:
        await reader.ssubscribe(keys.log(*ref))
        await reader.get_message(timeout=1)
        claim = await scene.claim(ref)
        await scene.say(claim, 1, "Hel\nlo")
        claim = await scene.reattempted(claim)
        await scene.say(claim, 1, "Hello")
        await scene.say(claim, 1, "Hello")
        await scene.say(claim, 3, "gap")
        await scene.end(claim, 2)
        await scene.end(claim, 2)
        published = []
        while message := await reader.get_message(timeout=0.05):
            published.append(Entry.from_message(message["data"]))
    assert published == await scene.entries(ref)
    assert [entry.kind for entry in published] == [Kind.START, Kind.TEXT, Kind.RESET, Kind.TEXT, Kind.DONE]


async def test_every_entry_names_the_one_before_it(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    claim = await scene.reattempted(claim)
    await scene.say(claim, 1, "Hel")
    await scene.turns.put_back(claim)
    claim = await other.claim(claim.ref)
    await other.say(claim, 1, "Hello")
    await other.turns.force_stop(claim.ref)
    before = START
    for entry in await scene.entries(claim.ref):
        assert entry.prev == before < entry.id
        before = entry.id


async def test_an_append_that_is_repeated_is_known(scene: Scene) -> None:
    claim = await scene.claimed()
    writes = [text_write(claim, seq, str(seq)) for seq in (1, 2, 3)]
    await scene.log.write(writes)
    before = await scene.stored()
    assert await scene.log.write(writes) == [DUP] * 3
    assert await scene.stored() == before


async def test_an_append_that_skips_an_entry_is_a_gap_and_says_where_the_log_ends(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "1")
    before = await scene.stored()
    gap = WriteReply(Verdict.GAP, Position(1, 1))
    assert await scene.log.write([text_write(claim, 3, "3"), end_write(claim, 4)]) == [gap, gap]
    assert await scene.stored() == before
    assert await scene.log.write([text_write(claim, seq, str(seq)) for seq in (2, 3)]) == [OK, OK]


async def test_a_write_by_somebody_else_is_fenced_off(scene: Scene, other: Scene) -> None:
    claim = await scene.claimed()
    stranger = replace(claim, token=(await other.claimed()).token)
    before = await scene.stored()
    assert (await other.say(stranger, 1, "mine")).verdict is Verdict.FENCED
    assert (await other.end(stranger, 1)).verdict is Verdict.FENCED
    assert await scene.stored() == before


async def test_a_write_of_an_earlier_attempt_of_the_same_claim_is_fenced_off(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.say(claim, 1, "Hel")
    await scene.reattempted(claim)
    before = await scene.stored()
    assert (await scene.say(claim, 1, "Hel")).verdict is Verdict.FENCED
    assert (await scene.say(claim, 2, "lo")).verdict is Verdict.FENCED
    assert (await scene.end(claim, 2)).verdict is Verdict.FENCED
    assert await scene.stored() == before


async def test_a_write_to_a_turn_that_waits_is_fenced_off(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.turns.put_back(claim)
    assert (await scene.say(claim, 1, "Hel")).verdict is Verdict.FENCED
    assert (await scene.end(claim, 1)).verdict is Verdict.FENCED


async def test_a_write_to_a_turn_that_is_gone_makes_no_log(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.redis.delete(keys.turn(*claim.ref), keys.log(*claim.ref))
    before = await scene.stored()
    assert (await scene.say(claim, 1, "Hel")).verdict is Verdict.GONE
    assert (await scene.end(claim, 1)).verdict is Verdict.GONE
    assert await scene.stored() == before


async def test_each_write_of_a_pipeline_has_its_own_reply(scene: Scene) -> None:
    first, second, lost = [await scene.claimed() for _ in range(3)]
    await scene.say(second, 1, "1")
    await scene.turns.force_stop(lost.ref)
    replies = await scene.log.write(
        [text_write(first, 1, "1"), text_write(second, 1, "1"), text_write(lost, 1, "1"), text_write(first, 3, "3")]
    )
    assert [reply.verdict for reply in replies] == [Verdict.OK, Verdict.DUP, Verdict.ENDED, Verdict.GAP]


async def test_a_write_that_the_server_refuses_does_not_hide_the_others(scene: Scene) -> None:
    first, second = await scene.claimed(), await scene.claimed()
    await scene.redis.delete(keys.log(*first.ref))
    await scene.redis.set(keys.log(*first.ref), "not a stream")
    replies = await scene.log.write([text_write(first, 1, "1"), text_write(second, 1, "1")])
    assert [reply.verdict for reply in replies] == [Verdict.ERROR, Verdict.OK]


async def test_a_log_of_many_entries_is_read_page_by_page(scene: Scene) -> None:
    claim = await scene.claimed()
    await scene.log.write([_numbered(claim, seq) for seq in range(1, 1001)])
    after, pages, seen = START, 0, []
    while entries := (await scene.log.read(claim.ref, after)).entries:
        seen += entries
        after = entries[-1].id
        pages += 1
    assert [entry.id.seq for entry in seen] == list(range(1001))
    assert pages == 4


def _numbered(claim: Claim, seq: int) -> Write:
    return text_write(claim, seq, f"{seq} ")
