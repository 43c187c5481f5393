"""What a worker reads from its environment, and what it refuses, naming the variable."""

from pathlib import Path

import pytest

from gateway.telemetry.environment import SettingsError, load
from workers.prompt import Budget
from workers.settings import WorkerSettings


def settings(**environ: str) -> WorkerSettings:
    return load(WorkerSettings, environ)


def test_nothing_has_to_be_set() -> None:
    known = settings()

    assert known.gemini_model_type == "gemini-2.5-flash"
    assert known.models == ("gemini-2.5-flash",)
    assert known.offline


def test_a_key_by_either_name_ends_the_offline_time_and_the_first_name_wins() -> None:
    assert settings(GOOGLE_API_KEY="one").api_key == "one"
    assert settings(GEMINI_API_KEY="two").api_key == "two"
    assert settings(GOOGLE_API_KEY="one", GEMINI_API_KEY="two").api_key == "one"
    assert not settings(GEMINI_API_KEY="two").offline
    assert settings(GOOGLE_API_KEY="  ").offline


def test_secrets_are_in_no_representation() -> None:
    known = settings(GOOGLE_API_KEY="my-key", GEMINI_API_KEY="my-key", REDIS_URL="redis://:my-password@host")

    assert "my-" not in repr(known)
    assert "my-" not in str(known)


def test_fallback_models_are_a_list_and_each_model_is_asked_once() -> None:
    known = settings(GEMINI_MODEL_TYPE="a", GEMINI_FALLBACK_MODELS=" b, a,,models/c ")

    assert known.models == ("a", "b", "models/c")
    assert known.retry_policy.models == known.models


def test_budget_and_policy_come_from_their_variables() -> None:
    known = settings(
        HISTORY_TURNS="1",
        HISTORY_TOKENS="2",
        HISTORY_IMAGE_TURNS="3",
        HISTORY_IMAGE_BYTES="9",
        RETRY_LIMIT="4",
        RETRY_TOTAL_SECONDS="5.5",
    )

    assert known.budget == Budget(turns=1, tokens=2, image_turns=3, image_bytes=9)
    assert (known.retry_policy.tries, known.retry_policy.seconds, known.retry_policy.attempts) == (4, 5.5, 3)


def test_what_gemini_is_told_is_nothing_unless_set() -> None:
    known = settings(GEMINI_TEMPERATURE="0", GEMINI_THINKING_BUDGET="-1")

    assert (known.gemini_temperature, known.gemini_thinking_budget) == (0.0, -1)
    assert (known.gemini_top_p, known.gemini_top_k, known.gemini_max_output_tokens) == (None, None, None)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GOOGLE_API_KEY", "two words"),
        ("GEMINI_API_KEY", "schlüssel"),
        ("GEMINI_MODEL_TYPE", "../secrets"),
        ("GEMINI_MODEL_TYPE", "gemini?key=x"),
        ("GEMINI_FALLBACK_MODELS", "a,b c"),
        ("GEMINI_TEMPERATURE", "hot"),
        ("GEMINI_TEMPERATURE", "2.1"),
        ("GEMINI_TOP_P", "-0.1"),
        ("GEMINI_TOP_K", "0"),
        ("GEMINI_MAX_OUTPUT_TOKENS", "1.5"),
        ("GEMINI_THINKING_BUDGET", "-2"),
        ("GOOGLE_GEMINI_BASE_URL", "localhost:8080"),
        ("GOOGLE_GEMINI_BASE_URL", "ftp://host"),
        ("GOOGLE_GEMINI_BASE_URL", "https://host:port"),
        ("GOOGLE_GEMINI_BASE_URL", "https://host?key=1"),
        ("GEMINI_FIRST_CHUNK_TIMEOUT", "0"),
        ("GEMINI_CHUNK_TIMEOUT", "inf"),
        ("RETRY_TOTAL_SECONDS", "nan"),
        ("WORKER_CONCURRENCY", "many"),
        ("HISTORY_TURNS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_line_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(**{variable: value})

    assert str(raised.value).startswith(f"{variable}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_a_bad_key_is_not_quoted(variable: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(**{variable: "my secret"})

    assert "my secret" not in str(raised.value)


@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_a_key_may_be_in_a_file_and_shows_nowhere(tmp_path: Path, variable: str) -> None:
    place = tmp_path / "key"
    place.write_text("AIza-from-a-file\n")
    settings = load(WorkerSettings, {f"{variable}_FILE": str(place)})
    assert settings.api_key == "AIza-from-a-file"
    assert "AIza" not in f"{settings!r}{settings}"
