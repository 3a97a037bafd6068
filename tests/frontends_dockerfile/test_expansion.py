"""The shell lexer: facts of BuildKit's own tables of what words come to."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.frontends.dockerfile.expansion import ExpansionError, Lexer

VARIABLES = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": "", "FOO": "xxyy", "BAR": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ("'hello", None),
        (r"he\'llo", "he'llo"),
        (r"he\\'llo", None),
        (r"abc\tdef", "abctdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r'"abc\tdef"', r"abc\tdef"),
        (r'"abc\\tdef"', r"abc\tdef"),
        (r"'hello\there'", r"hello\there"),
        (r"hello\\there", r"hello\there"),
        ('"\'hello"', "'hello"),
        ("'hel\"lo'", 'hel"lo'),
        ('"hel\\"lo"', 'hel"lo'),
        ('"hello', None),
        (r'"hello\"', None),
        (r"a\ b", "a b"),
        ("$PWD", "/home"),
        ("a$PWD.b", "a/home.b"),
        (r"\$PWD", "$PWD"),
        ("'$PWD'", "$PWD"),
        ('"$PWD"', "/home"),
        (r'"\$PWD"', "$PWD"),
        ("$", "$"),
        ("$.", "$."),
        ("$1a", "a"),
        ("$9a", "a"),
        ("$@x", "x"),
        ("he$1x", "hex"),
        ("he${1}xx", "hexx"),
        ("he$PWD", "he/home"),
        ("he$PWD$SHELL", "he/homebash"),
        ("$KOREAN", "한국어"),
        ("안녕${KOREAN}하세", "안녕한국어하세"),
        ("he${hi}", "he"),
        ("he${PWD}", "he/home"),
        ("he${PWD", None),
        ("he${", None),
        ("he${}", None),
        ("${:}", None),
        ("${{x}", None),
        ("he${PWD:-000}xx", "he/homexx"),
        ("he${hi:-bbb}xx", "hebbbxx"),
        ("he${XXX:-\\$PWD:}xx", "he$PWD:xx"),
        ("he${XXX:-${PWD}z}xx", "he/homezxx"),
        ("he${XXX:-000", None),
        ("${PWD:+x}", "x"),
        ("${XXX:+x}", ""),
        ("${NULL:-d}", "d"),
        ("${NULL-d}", ""),
        ("${NULL:+d}", ""),
        ("${NULL+d}", "d"),
        ("${XXX:-'a b'}", "a b"),
        ('${XXX:-"a}b"}', "a}b"),
        ("${XXX:?}", None),
        ("${NULL?}", ""),
        ("${NULL:?no}", None),
        ("${PWD:?no}", "/home"),
        ("${PWD=x}", None),
        ("${PWD:x}", None),
        ("${PWD,,}", None),
    ],
)
def test_words_come_to_what_buildkit_makes_of_them(text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ExpansionError, match="failed to process"):
            Lexer().word(text, VARIABLES)
    else:
        assert Lexer().word(text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (r"${V#()[]{\}^$.\*\?|\\}", r"()[]{}^$.*?|\x", "x"),
        (r"${V%%\**}", "xx**", "xx"),
        ("${V#*x*y}", "xxyy", "y"),
        ("${V#*}", "xxyy", "xxyy"),
        ("${V##*}", "xxyy", ""),
        ("${V#$BAR}", "xxyy", "xyy"),
        ("${V#}", "xxyy", "xxyy"),
        ("${V##*x}", "xxyy", "yy"),
        ("${V##}", "xxyy", "xxyy"),
        (r"${V#?\?}", "???y", "?y"),
        ("${V%x}", "xxyy", "xxyy"),
        (r"${V%%\**\*}", "a***yy*", "a"),
        ("${V%}", "xxyy", "xxyy"),
        ("${V%.*}", "a.b.c", "a.b"),
        ("${V%%.*}", "a.b.c", "a"),
        ("${V/y/}", "xxyy", "xxy"),
        ("${V//y/}", "xxyy", "xx"),
        (r"${V//\//\/}", "/tmp/foo.txt", r"\/tmp\/foo.txt"),
        ("${V//a*c/-}", "xabcabcx", "x-x"),
        ("${V//a?/-}", "aXaYb", "--b"),
        ("${V//*/R}", "a\nb", "R\nR"),
        ("${V/NONE/}", "x", "x"),
        ("${V/$EMPTY/ww}", "xxyy", "wwxxyy"),
        ("${V///}", "xxyy", "xxyy"),
        ("${V//ww}", "xxyy", None),
        ("${V//}", "xxyy", None),
        (r"${V#\x}", "x", None),
    ],
)
def test_patterns_cut_and_replace(text: str, value: str, expected: str | None) -> None:
    variables = {"V": value, "BAR": "x", "EMPTY": ""}
    if expected is None:
        with pytest.raises(ExpansionError):
            Lexer().word(text, variables)
    else:
        assert Lexer().word(text, variables) == expected


def test_a_pattern_may_come_from_a_variable() -> None:
    variables = {"F": "/foo*/*/*.txt", "N": "\\*/", "S": "/a/foo/b/c.txt", "M": "/?/"}
    assert Lexer().word("${F/$N/.} - ${F//$N/.}", variables) == "/foo.*/*.txt - /foo..*.txt"
    assert Lexer().word("${S/$M/'/'} - ${S//$M/'/'}", variables) == "/foo/b/c.txt - /foo/c.txt"


def test_a_required_variable_says_the_message_that_was_written_for_it() -> None:
    with pytest.raises(ExpansionError, match="VAR: message herex"):
        Lexer().word("${VAR:?message here$ARG}", {"ARG": "x"})
    with pytest.raises(ExpansionError, match="VAR: is not allowed to be empty"):
        Lexer().word("${VAR:?}", {"VAR": ""})
    with pytest.raises(ExpansionError, match="VAR: is not allowed to be unset"):
        Lexer().word("${VAR?}", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", ["hello"]),
        ("hello${hi}bye", ["hellobye"]),
        ("$PORTS", ["80", "81"]),
        ('"$PORTS"', ["80 81"]),
        ("x$PORTS", ["x80", "81"]),
        ("a  b", ["a", "b"]),
        ("'a  b' c", ["a  b", "c"]),
        (r"a\ b", ["a b"]),
        ("$none", []),
        ("''", []),
    ],
)
def test_words_are_split_at_white_space_that_no_quotes_hold(text: str, expected: list[str]) -> None:
    assert Lexer().words(text, {"PORTS": "80 81"}) == expected


def test_references_to_unset_variables_can_be_kept() -> None:
    keep = Lexer(skip_unset=True, raw_quotes=True)
    assert keep.word("echo \"$A\" ${B:-c} '$C' $D", {"D": "d"}) == "echo \"$A\" ${B:-c} '$C' d"


def test_another_escape_character_leaves_the_backslash_alone() -> None:
    assert Lexer("`").word(r"c:\x`$PWD", VARIABLES) == r"c:\x$PWD"


def test_nesting_too_deep_is_an_error_and_no_crash() -> None:
    with pytest.raises(ExpansionError, match="nested too deeply"):
        Lexer().word("${a:-" * 10_000, {})


@pytest.mark.parametrize(
    "text",
    ["${V#*a*a*a*a*a*a*a*a*b}", "${V%%a*a*a*a*a*a*c}", "${V//a*a*a*a*b/x}", "${V//*/}", "'" * 99_999, "$V" * 999],
)
def test_no_pattern_takes_longer_than_its_value(text: str) -> None:
    start = time.monotonic()
    with suppress(ExpansionError):
        Lexer().word(text, {"V": "a" * 20_000})
    assert time.monotonic() - start < 5


@given(st.text(alphabet="ab$\\{}:-+?#%/'\"* \n", max_size=40))
def test_any_word_is_expanded_or_refused(text: str) -> None:
    for lexer in (
        Lexer(),
        Lexer("`"),
        Lexer(raw_quotes=True, raw_escapes=True, skip_unset=True),
        Lexer(plain_quotes=True),
    ):
        try:
            lexer.words(text, {"a": "b", "b": ""})
        except ExpansionError:
            continue


@given(st.text(alphabet="ab\n*?", max_size=8), st.text(alphabet="ab\n", max_size=12))
def test_patterns_match_what_regular_expressions_match(pattern: str, value: str) -> None:
    import re

    from wherry.frontends.dockerfile.pattern import replaced, without_prefix, without_suffix

    greedy = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern)
    lazy = greedy.replace("*", "*?")
    for longest, expression in ((True, greedy), (False, lazy)):
        found = re.match(expression, value)
        assert without_prefix(value, pattern, longest=longest) == value[found.end() if found else 0 :]
        backwards = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern[::-1])
        found = re.match(backwards if longest else backwards.replace("*", "*?"), value[::-1])
        assert without_suffix(value, pattern, longest=longest)[::-1] == value[::-1][found.end() if found else 0 :]
    assert replaced(value, pattern, "-", everywhere=False) == re.sub(greedy, "-", value, count=1)
