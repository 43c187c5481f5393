"""Images: stored once per content, kept while anything names them, bounded per session."""

import pytest

from gateway.state import keys
from gateway.state.errors import ImageQuotaExceeded
from gateway.state.ids import image_id
from gateway.state.records import Kind, Session
from gateway.state.sessions import SessionLimits
from gateway.state.turns import TurnLimits
from tests.integration.gateway.state.conftest import Opened
from tests.integration.gateway.state.scene import Scene, picture

HEADER = len("image/png\n")
"""Bytes that the quota counts beside each content."""


@pytest.fixture
async def tight(opened: Opened) -> Scene:
    """Room for three images or 1,000 bytes, and two turns of history."""
    limits = SessionLimits(image_bytes=1000, image_count=3)
    tight = Scene(opened(), session_limits=limits, turn_limits=TurnLimits(history_turns=2))
    await tight.beat()
    return tight


async def test_an_image_comes_back_to_the_byte(scene: Scene) -> None:
    session = await scene.session()
    raw = bytes(range(256)) + b"\n\r\n"
    image = picture("")
    image = type(image).of(type(image.ref)(image_id(raw), "image/webp", 640, 480, len(raw)), raw)
    await scene.sessions.put_images(session, [image])
    stored = await scene.sessions.image(session.id, image.ref.id)
    assert stored is not None
    assert (stored.content, stored.ref.mime_type, stored.ref.id) == (raw, "image/webp", image.ref.id)
    assert await scene.sessions.images(session.id, [image.ref.id]) == {image.ref.id: raw}
    claim = await scene.claimed(session)
    assert claim.input.images == (image.ref,)


async def test_an_unknown_image_is_none_and_left_out(scene: Scene) -> None:
    session = await scene.session()
    known, unknown = picture("known"), picture("unknown")
    await scene.sessions.put_images(session, [known])
    assert await scene.sessions.image(session.id, unknown.ref.id) is None
    found = await scene.sessions.images(session.id, [known.ref.id, unknown.ref.id, known.ref.id])
    assert found == {known.ref.id: known.content}
    assert await scene.sessions.images(session.id, []) == {}


async def test_the_last_upload_replaces_the_one_before(scene: Scene, other: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a"), picture("b")])
    await other.sessions.put_images(session, [picture("c")])
    assert (await scene.reload(session)).pending_images == 1
    assert await scene.images_stored(session.id) == ids("c")


async def test_an_empty_upload_takes_the_pending_images_away(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.sessions.put_images(session, [])
    assert (await scene.reload(session)).pending_images == 0
    assert await scene.images_stored(session.id) == set()


async def test_images_keep_their_order(scene: Scene) -> None:
    session = await scene.session()
    images = [picture(name) for name in "cab"]
    await scene.sessions.put_images(session, images)
    claim = await scene.claimed(session)
    assert claim.input.images == tuple(image.ref for image in images)


async def test_a_turn_of_images_alone_can_begin(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session, None)
    assert claim.input.text is None
    assert claim.input.images == (picture("a").ref,)
    await scene.end(claim, 1)
    [turn] = await scene.sessions.history(session.id)
    assert turn.input == claim.input


async def test_the_same_content_is_stored_once(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a"), picture("a")])
    await answered(scene, session)
    await scene.sessions.put_images(session, [picture("a"), picture("b")])
    assert await scene.images_stored(session.id) == ids("a", "b")


async def test_an_image_that_history_needs_survives_a_new_upload(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await answered(scene, session)
    await scene.sessions.put_images(session, [picture("b")])
    await scene.sessions.put_images(session, [picture("c")])
    assert await scene.images_stored(session.id) == ids("a", "c")


async def test_an_image_that_is_being_answered_survives_a_new_upload(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    await scene.sessions.put_images(session, [picture("b")])
    assert await scene.images_stored(session.id) == ids("a", "b")
    assert await scene.sessions.images(session.id, [claim.input.images[0].id]) == {
        picture("a").ref.id: picture("a").content
    }


async def test_images_go_with_the_last_turn_that_names_them(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a"), picture("b")])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture("b")])
    await answered(tight, session)
    assert await tight.images_stored(session.id) == ids("a", "b")
    await answered(tight, session)
    assert await tight.images_stored(session.id) == ids("b")
    await answered(tight, session)
    assert await tight.images_stored(session.id) == set()


async def test_images_of_a_failed_turn_go_when_something_newer_waits(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    claim = await scene.claimed(session)
    await scene.sessions.put_images(session, [picture("b")])
    await scene.end(claim, 1, Kind.FAILED)
    assert await scene.images_stored(session.id) == ids("b")


async def test_more_than_the_count_allows_is_refused_and_changes_nothing(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a")])
    before = await tight.stored()
    with pytest.raises(ImageQuotaExceeded):
        await tight.sessions.put_images(session, [picture(name) for name in "bcde"])
    assert await tight.stored() == before


async def test_more_bytes_than_allowed_are_refused_and_change_nothing(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a")])
    before = await tight.stored()
    with pytest.raises(ImageQuotaExceeded):
        await tight.sessions.put_images(session, [picture("b", 1001 - HEADER)])
    assert await tight.stored() == before
    await tight.sessions.put_images(session, [picture("b", 1000 - HEADER)])
    assert await tight.images_stored(session.id) == {picture("b", 1000 - HEADER).ref.id}


async def test_what_is_being_answered_counts_and_does_not_age_out(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a"), picture("b")])
    await tight.claimed(session)
    with pytest.raises(ImageQuotaExceeded):
        await tight.sessions.put_images(session, [picture("c"), picture("d")])
    await tight.sessions.put_images(session, [picture("c")])
    assert await tight.images_stored(session.id) == ids("a", "b", "c")


async def test_the_upload_that_is_replaced_makes_room(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture(name) for name in "abc"])
    await tight.sessions.put_images(session, [picture(name) for name in "def"])
    assert await tight.images_stored(session.id) == ids("d", "e", "f")


async def test_the_oldest_images_of_history_age_out_by_count(tight: Scene) -> None:
    session = await tight.session()
    for name in "ab":
        await tight.sessions.put_images(session, [picture(name)])
        await answered(tight, session)
    await tight.sessions.put_images(session, [picture("c"), picture("d")])
    assert await tight.images_stored(session.id) == ids("b", "c", "d")


async def test_the_oldest_images_of_history_age_out_by_bytes(tight: Scene) -> None:
    session = await tight.session()
    for name in "ab":
        await tight.sessions.put_images(session, [picture(name, 390)])
        await answered(tight, session)
    await tight.sessions.put_images(session, [picture("c", 300)])
    assert await tight.images_stored(session.id) == {picture("b", 390).ref.id, picture("c", 300).ref.id}


async def test_no_image_outlives_a_newer_one_that_aged_out(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("old and small")])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture("newer and large", 600)])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture("new", 600)])
    assert await tight.images_stored(session.id) == {picture("new", 600).ref.id}


async def test_an_old_image_that_is_used_again_does_not_age_out(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a")])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture("b")])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture("a"), picture("c"), picture("d")])
    assert await tight.images_stored(session.id) == ids("a", "c", "d")


async def test_history_still_names_an_image_that_aged_out(tight: Scene) -> None:
    session = await tight.session()
    await tight.sessions.put_images(session, [picture("a")])
    await answered(tight, session)
    await tight.sessions.put_images(session, [picture(name) for name in "bcd"])
    [turn] = await tight.sessions.history(session.id)
    assert turn.input.images == (picture("a").ref,)
    assert await tight.sessions.image(session.id, picture("a").ref.id) is None


async def test_no_image_is_left_without_a_name(scene: Scene) -> None:
    session = await scene.session()
    await scene.sessions.put_images(session, [picture("a")])
    await scene.redis.hset(keys.images(session.id), "0" * 32, b"image/png\nstray")
    await scene.sessions.put_images(session, [picture("b")])
    assert await scene.images_stored(session.id) == ids("b")


def ids(*names: str) -> set[str]:
    return {picture(name).ref.id for name in names}


async def answered(scene: Scene, session: Session) -> None:
    await scene.end(await scene.claimed(session), 1)
