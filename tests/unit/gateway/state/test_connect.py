import pytest

from gateway.state.connect import ConnectError, check_url, connect, place


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "redis://:secret@127.0.0.1:6380/2",
        "redis://user:p%40ss@redis.example:6379",
        "redis://[::1]:6379",
        "rediss://redis.example",
        "rediss://redis.example?ssl_cert_reqs=none",
        "redis://localhost?health_check_interval=5",
        "unix:///run/valkey/valkey.sock",
        "unix:///run/some%20where/valkey.sock?db=2",
        "unix://user:p%40ss@/run/valkey.sock",
        f"unix:///{'r' * 102}",
    ],
)
async def test_what_can_be_used_is_accepted_and_no_connection_opened(url: str) -> None:
    check_url(url)
    redis = connect(url)
    await redis.aclose()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must begin with redis://"),
        ("localhost:6379", "must begin with redis://"),
        ("http://localhost", "must begin with redis://"),
        ("memory://", "must begin with redis://"),
        ("redis+sentinel://h1,h2/master", "Sentinel is not supported yet"),
        ("redis+cluster://h1,h2", "Cluster is not supported yet"),
        ("redis+sentinel://h1:26379,h2:26379/master", "Sentinel is not supported yet"),
        ("redis://", "must name a host"),
        ("redis:///0", "must name a host"),
        ("redis://:6379", "must name a host"),
        ("redis://localhost:port", "must name a host"),
        ("redis://localhost:0", "must name a host"),
        ("redis://localhost:65536", "must name a host"),
        ("redis://[::1", "must name a host"),
        ("redis://localhost?socket_timeout=soon", "socket_timeout"),
        ("redis://localhost?sockettimeout=1", "sockettimeout"),
        ("redis://localhost?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://localhost?ssl_cert_reqs=perhaps", "ssl_cert_reqs"),
        ("redis://localhost?health_check_interval=soon", "health_check_interval"),
        ("redis://localhost?decode_responses=true", "decode_responses"),
        ("redis://localhost/queue", "database"),
        ("unix://", "must name a socket"),
        ("unix:///", "must name a socket"),
        ("unix:///run/valkey/", "must name a socket"),
        ("unix:run/valkey.sock", "must name a socket"),
        ("unix:///run/%00/valkey.sock", "must name a socket"),
        ("unix://run/valkey.sock", "must name a socket"),
        (f"unix:///{'r' * 103}", "at most 103 bytes"),
        ("unix:///run/valkey.sock?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(url: str, complaint: str) -> None:
    with pytest.raises(ConnectError, match=complaint) as error:
        connect(url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@localhost",
        "redis+cluster://user:secret@h1,h2",
        "redis://user:secret@localhost:port",
        "redis://user:secret@[::1",
        "redis://user:secret@localhost?socket_timeout=soon",
        "redis://user:secret@localhost?what=secret",
        "unix://user:secret@run/valkey.sock",
    ],
)
def test_a_refusal_does_not_tell_the_password(url: str) -> None:
    with pytest.raises(ConnectError) as error:
        connect(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://10.0.0.1", "10.0.0.1:6379"),
        ("rediss://user:hidden@cache.test:7000/2?ssl_cert_reqs=none", "cache.test:7000"),
        ("unix://user:hidden@/run/some%20where/valkey.sock?db=2", "/run/some where/valkey.sock"),
    ],
)
def test_a_place_is_named_without_its_password(url: str, named: str) -> None:
    assert place(url) == named
