"""Secrets never reach a line: by key, by configured value, by shape; and any value becomes plain JSON."""

import pytest

from gateway.telemetry.redaction import MAX_TEXT, Redactor

CONFIGURED = "correct horse battery"


@pytest.mark.parametrize(
    "key",
    ["authorization", "Authorization", "Cookie", "Set-Cookie", "api_key", "X-Api-Key", "password", "access_token"],
)
def test_the_whole_value_of_a_secret_key_goes(key: str) -> None:
    assert Redactor()({key: "hunter2"}) == {key: "[redacted]"}


@pytest.mark.parametrize("key", ["key", "input_tokens", "message_id", "token_count", "route"])
def test_keys_that_only_sound_secret_stay(key: str) -> None:
    assert Redactor()({key: "team-a"}) == {key: "team-a"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("bearer abcdefgh", "bearer [redacted]"),
        ("Basic ZGVtbzpodW50ZXIyMjI=", "Basic [redacted]"),
        ("Basic authentication", "Basic authentication"),
        ("no such key sk-proj-1234567890", "no such key [redacted]"),
        ("sk_live_1234567890.", "[redacted]."),
        ("gwk_0123456789abcdef", "[redacted]"),
        ("the task-force-answered", "the task-force-answered"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[redacted]"),
        ("GET /v1/x?key=abc&page=2", "GET /v1/x?key=[redacted]&page=2"),
        ("better-auth.session_token=abc.def; Path=/", "better-auth.session_token=[redacted]; Path=/"),
        ("https://demo:hunter2@vendor.test/api", "https://[redacted]@vendor.test/api"),
        ("write to a@b.test", "write to a@b.test"),
        (f"it said {CONFIGURED}!", "it said [redacted]!"),
    ],
)
def test_a_secret_inside_a_text_goes_and_its_surroundings_stay(text: str, shown: str) -> None:
    assert Redactor([CONFIGURED])({"event": text}) == {"event": shown}


def test_secrets_are_found_at_every_depth() -> None:
    nested = {"vendor_message": [{"headers": {"Cookie": "a=b"}, "text": (f"<{CONFIGURED}>", b"Bearer abcdefgh")}]}
    assert Redactor([CONFIGURED])(nested) == {
        "vendor_message": [{"headers": {"Cookie": "[redacted]"}, "text": ["<[redacted]>", "Bearer [redacted]"]}]
    }


def test_a_longer_secret_is_not_torn_by_a_shorter_one_inside_it() -> None:
    assert Redactor(["secret-1", "secret-1-and-more"])({"event": "secret-1-and-more"}) == {"event": "[redacted]"}


def test_a_very_short_secret_does_not_eat_ordinary_words() -> None:
    assert Redactor(["demo"])({"event": "demo.toml"}) == {"event": "demo.toml"}


def test_what_is_no_json_is_shown_by_its_repr_without_the_secrets_in_it() -> None:
    error = ValueError("Bearer abcdefgh")
    assert Redactor()({"error": error, "none": None, "count": 3}) == {
        "error": "ValueError('Bearer [redacted]')",
        "none": None,
        "count": 3,
    }


def test_depth_and_length_are_bounded() -> None:
    deep: dict[str, object] = {}
    deep["self"] = deep
    shown = Redactor()({"deep": deep, "long": "a" * 2 * MAX_TEXT})
    assert shown["long"] == "a" * MAX_TEXT + "..."
    assert str(shown["deep"]).count("self") == 8


@pytest.mark.sweep
def test_hostile_texts_are_searched_in_linear_time() -> None:
    assert Redactor()({"event": "a-" * 500_000 + "="})["event"] == ("a-" * (MAX_TEXT // 2)) + "..."
