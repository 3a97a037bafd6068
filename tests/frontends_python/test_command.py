"""Commands written as text become words, as a shell would make them, or go to a shell, or are refused."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.frontends.python.command import ports, split

ENVIRONMENT = {"PORT": "8000", "NAME": "two words"}


def words(text: str) -> tuple[str, ...]:
    return split(text, ENVIRONMENT, shell=False)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gunicorn app:app", ("gunicorn", "app:app")),
        ("  a   b\tc ", ("a", "b", "c")),
        ("a 'b c' \"d e\" f\\ g", ("a", "b c", "d e", "f g")),
        ("a''b\"c\"", ("abc",)),
        ("a '' \"\"", ("a", "", "")),
        ('a "say \\"hi\\" \\n"', ("a", 'say "hi" \\n')),
        ("run --bind 0.0.0.0:$PORT", ("run", "--bind", "0.0.0.0:8000")),
        ("run ${PORT} ${PORT:-1} ${OTHER:-1} ${OTHER-2}", ("run", "8000", "8000", "1", "2")),
        ("run \"$PORT\" '$PORT' \\$PORT", ("run", "8000", "$PORT", "$PORT")),
        ("run $NAME", ("run", "two words")),
        ("exec run", ("run",)),
        ("run 'a && b' \"c | d\" e\\;f", ("run", "a && b", "c | d", "e;f")),
        ("run a#b --x=1", ("run", "a#b", "--x=1")),
    ],
)
def test_words_are_those_of_a_shell(text: str, expected: tuple[str, ...]) -> None:
    assert words(text) == expected


def test_variables_set_before_a_command_are_set_for_the_image() -> None:
    assert split("A=1 B='x y' run $A", {}, shell=False) == (("run", "1"), {"A": "1", "B": "x y"})


@pytest.mark.parametrize(
    "text", ["a && b", "a | b", "a; b", "a > log", "a `b`", "a $(b)", 'a "$(b)"', "ls *.py", "a &"]
)
def test_what_needs_a_shell_is_refused_without_one_and_left_to_one(text: str) -> None:
    with pytest.raises(UsageError, match="needs a shell") as caught:
        split(text, {}, shell=False)
    assert "debian://trixie?shell=1" in (caught.value.hint or "")
    assert split(text, {}, shell=True)[0] == ("/bin/sh", "-c", text)


def test_an_unknown_variable_needs_a_value_or_a_shell() -> None:
    with pytest.raises(UsageError, match=r"needs a shell for \$HOST") as caught:
        split("run $HOST", {}, shell=False)
    assert "Give HOST a value in env" in (caught.value.hint or "")


def test_with_a_shell_variables_keep_their_meaning_at_run_time() -> None:
    assert split("run $PORT", ENVIRONMENT, shell=True)[0] == ("/bin/sh", "-c", "exec run $PORT")
    assert split("run '$PORT'", ENVIRONMENT, shell=True)[0] == ("run", "$PORT")


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a \\", "", "A=1", "exec"])
def test_a_command_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        split(text, {}, shell=False)


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1).filter(lambda items: items[0] != "exec"))
def test_quoted_words_come_out_as_they_went_in(items: list[str]) -> None:
    if "=" in items[0]:
        items[0] = items[0].replace("=", "")
    if not any(items):
        return
    text = shlex.join(items)
    if items[0] != "exec":
        assert words(text) == tuple(items)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uvicorn a:b --port 80", ("80/tcp",)),
        ("gunicorn -b 0.0.0.0:80 --bind=:81", ("80/tcp", "81/tcp")),
        ("gunicorn --bind [::]:80", ("80/tcp",)),
        ("gunicorn --bind unix:/run/socket", ()),
        ("server -p", ()),
        ("server --port 99999", ()),
    ],
)
def test_ports_are_read_from_a_servers_options(text: str, expected: tuple[str, ...]) -> None:
    assert ports(tuple(text.split())) == expected
