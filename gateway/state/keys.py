"""Every Redis key and channel of the product, and where their names are made.

``gg1`` is the major version of the layout. Text in braces is the Cluster hash tag: all keys of one session share a
slot, all keys of the queue share another, all rates a third, so every script stays inside one slot.

===========================  =======  ==========================================  ===========  ======================
key                          type     holds                                       written by   goes
===========================  =======  ==========================================  ===========  ======================
gg1:{SID}:session            hash     epoch, pending input, running turn, usage   both         SESSION_TTL, slid
gg1:{SID}:history            stream   one entry per ended chat turn               turn's end   with the session
gg1:{SID}:images             hash     image id -> mime type, newline, bytes       gateway      once unreferenced
gg1:{SID}:idempotency        list     "<key digest> <turn id>", newest first      gateway      with the session
gg1:{SID}:turns              zset     turn ids by time of begin (ms)              begin        with the session
gg1:{SID}:turn:TID           hash     the turn's record, the only truth about it  both         LOG_TTL after its end
gg1:{SID}:log:TID            stream   the turn's events, ids "<attempt>-<seq>"    both         LOG_TTL after its end
gg1:{queue}:ready            zset     hints: turns that wait for a worker         both         popped by a worker
gg1:{queue}:live             zset     index of turns whose end is not verified    begin        the turn's end
gg1:{queue}:workers          zset     worker id -> time it counts as dead (ms)    workers      swept by every beat
gg1:{queue}:about            hash     worker id -> what it says of itself (JSON)  workers      swept by every beat
gg1:{queue}:leases           hash     worker id -> counter that its beats raise   workers      its end, or a sweep
gg1:{rates}:POLICY:SUBJECT   string   when that rate is unused again (ms)         gateway      at that moment
===========================  =======  ==========================================  ===========  ======================

Channels: each append is published (sharded) on a channel named like the log key; ``gg1:control:WID`` (plain) is
one worker's own: scripts that change one of its turns from outside name the turn there, and each of its beats says
nothing there. ``listener.py`` hears itself on a channel of its own (``gg1:echo:…``). Where a script alone knows which
session, turn or owner it is about, it makes the name after these (``lib/session.lua``, ``begin.lua``, ``forget.lua``).
"""

from gateway.state.ids import SessionId, TurnId, WorkerId

PREFIX = "gg1"

READY = f"{PREFIX}:{{queue}}:ready"
LIVE = f"{PREFIX}:{{queue}}:live"
WORKERS = f"{PREFIX}:{{queue}}:workers"
ABOUT = f"{PREFIX}:{{queue}}:about"
LEASES = f"{PREFIX}:{{queue}}:leases"


def session(sid: SessionId) -> str:
    return f"{PREFIX}:{{{sid}}}:session"


def history(sid: SessionId) -> str:
    return f"{PREFIX}:{{{sid}}}:history"


def images(sid: SessionId) -> str:
    return f"{PREFIX}:{{{sid}}}:images"


def idempotency(sid: SessionId) -> str:
    return f"{PREFIX}:{{{sid}}}:idempotency"


def turns(sid: SessionId) -> str:
    return f"{PREFIX}:{{{sid}}}:turns"


def turn(sid: SessionId, tid: TurnId) -> str:
    return f"{PREFIX}:{{{sid}}}:turn:{tid}"


def log(sid: SessionId, tid: TurnId) -> str:
    return f"{PREFIX}:{{{sid}}}:log:{tid}"


def control(worker: WorkerId) -> str:
    return f"{PREFIX}:control:{worker}"


def rate(policy: str, subject: str) -> str:
    return f"{PREFIX}:{{rates}}:{policy}:{subject}"


def of_session(sid: SessionId) -> list[str]:
    """The keys that live and expire together with a session, in the order every script expects them."""
    return [session(sid), history(sid), images(sid), idempotency(sid), turns(sid)]


def of_turn(sid: SessionId, tid: TurnId) -> list[str]:
    """A session's keys, then one turn's record and log: the KEYS of every script that can end a turn."""
    return [*of_session(sid), turn(sid, tid), log(sid, tid)]
