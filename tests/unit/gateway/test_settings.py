"""The gateway's settings as the environment gives them."""

from pathlib import Path

import msgspec
import pytest

from gateway.settings import GatewaySettings
from gateway.telemetry.environment import SettingsError, load


def test_defaults_need_no_variable() -> None:
    settings = load(GatewaySettings, {})
    assert (settings.host, settings.port, settings.cors_origin) == ("127.0.0.1", 5000, "*")


def test_every_setting_has_a_line_for_the_readme() -> None:
    for field in msgspec.structs.fields(GatewaySettings):
        [meta] = field.type.__metadata__
        assert meta.description, field.name
        assert field.encode_name == field.name.upper()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("TRUSTED_PROXIES", "-1"),
        ("CORS_ORIGIN", "chat.example"),
        ("CORS_ORIGIN", "https://a.example, *"),
        ("COOKIE_NAME", "__Host-session"),
        ("COOKIE_NAME", "a b"),
        ("COOKIE_SECURE", "yes"),
        ("COOKIE_SAMESITE", "lax"),
        ("UPLOAD_MAX_BYTES", "20MB"),
        ("DRAIN_NOTICE_SECONDS", "25"),
        ("DRAIN_SECONDS", "inf"),
        ("SESSION_TTL", "0"),
        ("TEXT_MIME_TYPE", "json"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_in_one_line_that_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(GatewaySettings, {variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", [{"COOKIE_SAMESITE": "None"}, {"COOKIE_PARTITIONED": "true"}])
def test_a_cookie_that_no_browser_takes_is_not_offered(asked: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="COOKIE_SECURE"):
        load(GatewaySettings, {"COOKIE_SECURE": "never", **asked})
    load(GatewaySettings, asked)


def test_a_password_in_the_redis_url_does_not_show() -> None:
    settings = load(GatewaySettings, {"REDIS_URL": "redis://:hunter2@redis:6379/0"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_the_redis_url_may_be_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "url"
    place.write_text("redis://:hunter2@redis:6379/0\n")
    assert load(GatewaySettings, {"REDIS_URL_FILE": str(place)}).redis_url == "redis://:hunter2@redis:6379/0"
