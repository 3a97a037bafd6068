"""What a server asks for that answers 401."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.registry.challenge import Challenge, parse_challenges


def test_a_bearer_challenge_has_its_parameters() -> None:
    header = (
        'Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull,push"'
    )
    expected = {
        "realm": "https://auth.example.com/token",
        "service": "registry.example.com",
        "scope": "repository:a/b:pull,push",
    }
    assert parse_challenges([header]) == (Challenge("bearer", expected),)


def test_several_challenges_stand_in_one_header_or_in_several() -> None:
    basic, bearer = Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y", "error": "invalid_token"})
    assert parse_challenges(['Basic realm="x", Bearer realm="y",error=invalid_token']) == (basic, bearer)
    assert parse_challenges(['BASIC Realm="x"', 'bearer realm = "y" , error="invalid_token"']) == (basic, bearer)


def test_a_scheme_may_stand_alone() -> None:
    assert parse_challenges(["Negotiate", "Negotiate, Basic realm=x"]) == (
        Challenge("negotiate"),
        Challenge("negotiate"),
        Challenge("basic", {"realm": "x"}),
    )


def test_quoted_characters_are_what_they_are() -> None:
    assert parse_challenges([r'Basic realm="a \"b\", c\\d"']) == (Challenge("basic", {"realm": r'a "b", c\d'}),)


@given(st.text())
def test_whatever_a_server_says_is_no_error(header: str) -> None:
    for challenge in parse_challenges([header]):
        assert challenge.scheme == challenge.scheme.lower() != ""
