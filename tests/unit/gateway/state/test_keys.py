from redis.crc import key_slot

from gateway.state import keys
from gateway.state.ids import TurnRef, new_token, new_turn_id, new_worker_id, one_off_session_id, session_id

QUEUE = [keys.READY, keys.LIVE, keys.WORKERS, keys.ABOUT, keys.LEASES]


def slots(names: list[str]) -> set[int]:
    return {key_slot(name.encode()) for name in names}


def test_all_of_a_sessions_keys_and_its_log_channels_share_a_slot() -> None:
    for sid in (session_id(new_token()), one_off_session_id()):
        names = [*keys.of_session(sid), *(name for _ in range(10) for name in keys.of_turn(sid, new_turn_id()))]
        assert len(slots(names)) == 1


def test_all_of_the_queues_keys_share_a_slot() -> None:
    assert len(slots(QUEUE)) == 1


def test_sessions_spread_over_the_slots() -> None:
    assert len(slots([keys.session(session_id(new_token())) for _ in range(100)])) > 50


def test_no_two_keys_share_a_name() -> None:
    sid, tid = session_id(new_token()), new_turn_id()
    names = [*keys.of_turn(sid, tid), *QUEUE, keys.control(new_worker_id())]
    assert len(set(names)) == len(names)


def test_every_name_carries_the_major_version_of_the_layout() -> None:
    sid, tid = session_id(new_token()), new_turn_id()
    for name in (*keys.of_turn(sid, tid), *QUEUE, keys.control(new_worker_id())):
        assert name.startswith("gg1:")


def test_a_turns_keys_begin_with_its_sessions() -> None:
    ref = TurnRef(session_id(new_token()), new_turn_id())
    assert keys.of_turn(*ref)[:5] == keys.of_session(ref.session)
    assert keys.of_turn(*ref)[5:] == [keys.turn(*ref), keys.log(*ref)]


def test_no_key_holds_a_token() -> None:
    token = new_token()
    assert not any(token in name for name in keys.of_turn(session_id(token), new_turn_id()))
