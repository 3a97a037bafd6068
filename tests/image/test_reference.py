"""References as Docker writes them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.image import Digest, Reference
from wherry.image.reference import nearest_name

DIGEST = Digest("sha256:" + "ab" * 32)

_component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
_path = st.lists(_component, min_size=1, max_size=4).map("/".join)
_host = st.sampled_from(
    ["docker.io", "index.docker.io", "example.com", "localhost", "localhost:5000", "[::1]:80", "Upper"]
)
_tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


def _is_reference(text: str) -> bool:
    with suppress(UsageError):
        return bool(Reference.parse(text))
    return False


@st.composite
def _any_texts(draw: st.DrawFn) -> str:
    text = draw(_path)
    if draw(st.booleans()):
        text = f"{draw(_host)}/{text}"
    if draw(st.booleans()):
        text += f":{draw(_tag)}"
    if draw(st.booleans()):
        text += f"@{DIGEST}"
    return text


# A path may begin like a host, and then be none.
_texts = _any_texts().filter(_is_reference)


@given(_texts)
def test_the_full_form_means_the_same(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference


@given(_texts)
def test_the_short_form_means_the_same(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(reference.familiar) == reference


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.13", "docker.io/library/python:3.13", "python:3.13"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
        ("index.docker.io/library/python", "docker.io/library/python:latest", "python:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("example.com/a/b/c:1.2", "example.com/a/b/c:1.2", "example.com/a/b/c:1.2"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
        (f"python:3@{DIGEST}", f"docker.io/library/python:3@{DIGEST}", f"python:3@{DIGEST}"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ],
)
def test_forms(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar == familiar


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":latest",
        "Python",
        "a/",
        "/a",
        "a//b",
        "a:",
        "a:-b",
        "a:" + "x" * 129,
        "a@sha256:short",
        "a@",
        "a b",
        "a..b",
        "a" * 256,
        "https://example.com/a",
        "exa mple.com/a",
        "-example.com/a",
    ],
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("pythn", "python:latest"),
        ("python:3.14-slm", "python:3.14-slim"),
        ("docker.io/library/pythom", "python:latest"),
        ("a", None),
        ("fast", None),
        ("NOT A NAME", None),
    ],
)
def test_the_nearest_name_is_not_one_that_only_shares_a_tag(name: str, near: str | None) -> None:
    assert nearest_name(name, ["python:latest", "python:3.14-slim", "plat:latest", "trixie:latest"]) == near
