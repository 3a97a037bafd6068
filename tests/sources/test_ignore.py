"""Patterns of .dockerignore: Go's filepath.Match, ``**``, negation, and what a directory takes along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.sources.ignore import Patterns, clean, escape, glob, parse

# -- reading the file -----------------------------------------------------------------------------


def test_comments_and_blank_lines_are_no_patterns() -> None:
    assert parse("# a comment\n\n  \nkeep\n") == ("keep",)


def test_only_a_line_that_begins_with_a_hash_is_a_comment() -> None:
    assert parse(" # not a comment\na # b\n") == ("# not a comment", "a # b")


def test_blanks_slashes_and_dots_around_a_pattern_are_dropped() -> None:
    assert parse("  /a/b/  \n./c\nd/../e\n! /f/ \n") == ("a/b", "c", "e", "!f")


def test_a_comment_may_follow_a_byte_order_mark_but_no_other_line_has_one() -> None:
    assert parse("\ufeff# a comment\n\ufeff# b\n") == ("\ufeff# b",)


def test_a_hash_behind_an_exclamation_mark_is_a_name() -> None:
    assert parse("!#a\n\\#b\n") == ("!#a", "\\#b")


def test_blanks_of_all_kinds_around_a_pattern_are_dropped_and_those_in_it_stay() -> None:
    assert parse("\t a b\t\u00a0\n!\t c d \n") == ("a b", "!c d")


def test_the_last_line_needs_no_end() -> None:
    assert parse("a\nb") == ("a", "b")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert parse("\ufeffa\r\n!b\r\n") == ("a", "!b")


def test_a_lone_exclamation_mark_is_an_error_with_its_line() -> None:
    with pytest.raises(UsageError) as caught:
        parse("a\n!\n")
    assert str(caught.value.place) == ".dockerignore:2"


@pytest.mark.parametrize(
    "pattern", ["[", "[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]", "[^", "[^bc", "a[", "[]", "a\\"]
)
def test_a_malformed_pattern_is_an_error_with_its_line(pattern: str) -> None:
    with pytest.raises(UsageError, match="malformed pattern") as caught:
        parse(f"first\n{pattern}\n")
    assert str(caught.value.place) == ".dockerignore:2"


def test_cleaning_twice_changes_nothing_more() -> None:
    for pattern in ("/a/", "!!b", "./c/../d", "**/", "!", "", "/"):
        assert clean(clean(pattern)) == clean(pattern)


# -- one pattern ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[^b-d]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("a?b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[x\\-]", "-", True),
        ("[\\-x]", "a", False),
        ("[*]", "*", True),
        ("[!a]", "!", True),
        ("[z-a]", "m", False),
        ("[^z-a]", "m", True),
        (".*", ".foo", True),
        (".*", "foo", False),
        ("abc.def", "abcZdef", False),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", True),
    ],
)
def test_globs_are_those_of_go(pattern: str, path: str, expected: bool) -> None:
    assert bool(glob(pattern).fullmatch(path)) is expected
    if "/" not in path:
        assert Patterns([pattern]).matches(path) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("abc/**", "abc", False),
        ("**/dir", "dir", True),
        ("**/dir", "dir/file", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir3/file", True),
        ("**file", "dir/dir/file", True),
        ("**file", "dir/myfile", True),
        ("**/file", "dir/myfile", False),
        ("**/file*txt", "dir/dir/file.txt", True),
        ("**/**/*.txt", "file.txt", True),
        ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("**/foo/bar", "dir/dir2/foo/bar", True),
        ("**/.foo", "bar.foo", False),
        ("a**", "abc/def", True),
        ("***", "a/b", True),
        ("docs", "docs/a/b", True),
        ("doc", "docs", False),
        ("docs/", "docs", True),
        ("*/temp*", "somedir/temporary.txt", True),
        ("*/*/temp*", "somedir/subdir/temporary.txt", True),
        ("*/temp*", "temporary.txt", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        (".", "a", False),
        ("/", "a", False),
        ("..", "a", False),
    ],
)
def test_patterns_match_as_in_docker(pattern: str, path: str, expected: bool) -> None:
    assert Patterns([pattern]).matches(path) is expected


def test_an_escaped_path_matches_itself_only() -> None:
    for path in ("a*b", "[x]", "what?", "back\\slash"):
        assert Patterns([escape(path)]).matches(path)
    assert not Patterns([escape("a*b")]).matches("axb")


# -- several patterns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["*.md", "!README.md"], "README.md", False),
        (["*.md", "!README.md"], "other.md", True),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["*.md", "README-secret.md", "!README*.md"], "README-secret.md", False),
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md"], "docs/other.md", True),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", "!dist/*.whl"], "dist/a+b.whl", False),
        (["*", "!src"], "src/deep/er/file", False),
        (["!!odd", "x"], "!odd", False),
        (["\\!odd"], "!odd", True),
    ],
)
def test_the_last_pattern_that_says_something_wins(patterns: list[str], path: str, expected: bool) -> None:
    assert Patterns(patterns).matches(path) is expected


def test_a_negation_that_was_idle_for_a_directory_says_nothing_of_its_files() -> None:
    # BuildKit asks about a directory once: "!a" had nothing to take back in there.
    assert Patterns(["a/x", "!a"]).matches("a/x")


def test_a_left_out_directory_is_entered_only_if_a_negation_reaches_into_it() -> None:
    patterns = Patterns(["node_modules", "docs", "!docs/*.md", "!a/b/c", "!x/[y]/z"])
    assert patterns.may_return("docs")
    assert not patterns.may_return("docs/deep")
    assert not patterns.may_return("node_modules")
    assert patterns.may_return("a")
    assert patterns.may_return("a/b")
    assert not patterns.may_return("a/b/c")
    assert patterns.may_return("x/anything")
    assert Patterns(["**", "!**/keep"]).may_return("any/where")


# -- against simple reference implementations -------------------------------------------------------


class Malformed(Exception):
    """Go's ErrBadPattern."""


def go_match(pattern: str, name: str) -> bool:
    """filepath.Match by its documented grammar, by backtracking; raises Malformed as Go does."""
    if not pattern:
        return not name
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        ends = [count for count in range(len(name) + 1) if "/" not in name[:count]]
        found = [go_match(rest, name[count:]) for count in ends]  # all of them: each finds bad syntax
        return any(found)
    if head == "?":
        matched = go_match(rest, name[1:])
        return matched and bool(name) and name[0] != "/"
    if head == "[":
        inside, rest = go_class(rest, name[:1])
        matched = go_match(rest, name[1:])
        return matched and inside
    if head == "\\":
        if not rest:
            raise Malformed
        head, rest = rest[0], rest[1:]
    matched = go_match(rest, name[1:])
    return matched and name[:1] == head


def go_class(text: str, char: str) -> tuple[bool, str]:
    negated = text.startswith("^")
    text = text[1:] if negated else text
    inside, count = False, 0
    while not (count and text.startswith("]")):
        low, text = go_member(text)
        high = low
        if text.startswith("-"):
            high, text = go_member(text[1:])
        inside = inside or (bool(char) and low <= char <= high)
        count += 1
    return bool(char) and inside != negated, text[1:]


def go_member(text: str) -> tuple[str, str]:
    if not text or text[0] in "-]":
        raise Malformed
    if text[0] == "\\":
        text = text[1:]
    if len(text) < 2:
        raise Malformed
    return text[0], text[1:]


globs = st.text(alphabet="ab/.*?[]^-\\!", max_size=9).filter(lambda text: "**" not in text)
paths = st.lists(st.text(alphabet="ab.-]^*!", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


@given(globs, paths)
def test_a_glob_without_double_stars_means_what_filepath_match_says(pattern: str, path: str) -> None:
    try:
        expected = go_match(pattern, path)
    except Malformed:
        with pytest.raises(UsageError):
            glob(pattern)
        return
    assert bool(glob(pattern).fullmatch(path)) is expected


pattern_lists = st.lists(
    st.tuples(
        st.booleans(), st.lists(st.sampled_from(["a", "b", "*", "**", "?", "a*", "[ab]"]), min_size=1, max_size=3)
    ),
    max_size=5,
).map(lambda items: ["!" * negated + "/".join(parts) for negated, parts in items])
small_paths = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4)


def docker_leaves_out(patterns: list[str], parts: list[str]) -> bool:
    """The rule of MatchesUsingParentResults, pattern by pattern, from the top directory down."""
    above = [False] * len(patterns)
    matched = False
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        here = []
        matched = False
        for pattern, inherited in zip(patterns, above, strict=True):
            negated = pattern.startswith("!")
            hit = inherited
            if not hit and negated == matched:
                hit = bool(glob(clean(pattern.removeprefix("!"))).fullmatch(path))
            here.append(hit)
            if hit:
                matched = not negated
        above = here
    return matched


@given(pattern_lists, small_paths)
def test_runs_of_patterns_decide_as_single_patterns_do(patterns: list[str], parts: list[str]) -> None:
    assert Patterns(patterns).matches("/".join(parts)) is docker_leaves_out(patterns, parts)


@given(pattern_lists, small_paths)
def test_nothing_below_a_directory_that_is_not_entered_would_come_back(patterns: list[str], parts: list[str]) -> None:
    compiled = Patterns(patterns)
    for count in range(1, len(parts)):
        directory = "/".join(parts[:count])
        if compiled.matches(directory) and not compiled.may_return(directory):
            assert compiled.matches("/".join(parts))
            break
