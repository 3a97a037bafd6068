"""The text of a Dockerfile: directives, continuation lines, comments, here-documents."""

from __future__ import annotations

import pytest

from wherry.errors import WherryError
from wherry.frontends.dockerfile.source import Check, heredoc, read


def lines(text: str | bytes) -> list[str]:
    return [line.text for line in read(text.encode() if isinstance(text, str) else text, "Dockerfile").lines]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\n\n\nRUN b", ["FROM a", "RUN b"]),
        ("  FROM a\n\tRUN b", ["FROM a", "RUN b"]),
        ("RUN a \\\n  b", ["RUN a   b"]),
        ("RUN a \\ \t\n b", ["RUN a  b"]),
        ("RUN a \\\n# comment\n   # another\n b", ["RUN a  b"]),
        ("RUN a \\\n\n\n b", ["RUN a  b"]),
        ("RUN a \\\\\nRUN b", ["RUN a \\\\", "RUN b"]),
        ("RUN a \\", ["RUN a "]),
        ("RUN a # b", ["RUN a # b"]),
        ("# comment\nRUN a", ["RUN a"]),
        ("\\\nRUN a", ["RUN a"]),
        ("RUN a \\\n\\\n b", ["RUN a  b"]),
        ("FROM a\r\nRUN b \\\r\n c\r\n", ["FROM a", "RUN b  c"]),
        (b"\xef\xbb\xbfFROM a", ["FROM a"]),
        ("# escape=`\nRUN a `\n b\\\nRUN c", ["RUN a  b\\", "RUN c"]),
        ("# ESCAPE = `\nRUN a `\n b", ["RUN a  b"]),
        ("# not a directive\n# escape=`\nRUN a \\\n b", ["RUN a  b"]),
        ("\n# escape=`\nRUN a \\\n b", ["RUN a  b"]),
        ("RUN a\n# escape=`\nRUN b \\\n c", ["RUN a", "RUN b  c"]),
        ("# syntax=docker/dockerfile:1\n# escape=`\nRUN a `\n b", ["RUN a  b"]),
        ("# unknown=x\n# escape=`\nRUN a \\\n b", ["RUN a  b"]),
    ],
)
def test_lines_are_joined_as_buildkit_joins_them(text: str | bytes, expected: list[str]) -> None:
    assert lines(text) == expected


def test_an_instruction_knows_its_lines_and_its_column() -> None:
    first, second = read(b"# c\nFROM a\n  RUN b \\\n\n c <<E\nx\nE\n", "D").lines
    assert (first.span.start, first.span.end, first.span.column) == (2, 2, 1)
    assert (second.span.start, second.span.end, second.span.column) == (3, 7, 3)
    assert first.comments == ("c",)
    assert str(second.span.place) == "D:3"


@pytest.mark.parametrize(
    ("line", "document", "name", "expand", "content"),
    [
        ("RUN <<EMPTY", "EMPTY", "EMPTY", True, ""),
        ("RUN 3<<EMPTY2", "EMPTY2", "EMPTY2", True, ""),
        ("RUN <<INDENT", "\tfoo\n\tbar\nINDENT", "INDENT", True, "\tfoo\n\tbar\n"),
        ("RUN <<-UNINDENT", "\tbaz\n\tquux\n\tUNINDENT", "UNINDENT", True, "baz\nquux\n"),
        ("RUN <<-'NOEXPAND'", "\tdon't expand $NAME\nNOEXPAND", "NOEXPAND", False, "don't expand $NAME\n"),
        ('RUN <<"E"', "x\nE", "E", False, "x\n"),
        ("RUN <<COMMENT", "# internal\necho # trailing\nCOMMENT", "COMMENT", True, "# internal\necho # trailing\n"),
        ("RUN --mount=type=cache,target=/foo <<M", "a\nM", "M", True, "a\n"),
        ("COPY <<a.txt /x", "1\r\na.txt\r", "a.txt", True, "1\r\n"),
        ("ADD <<E /x", " E\nE", "E", True, " E\n"),
        ("ONBUILD COPY <<E /x", "1\nE", "E", True, "1\n"),
        ("run <<E", "RUN x\\\nE", "E", True, "RUN x\\\n"),
    ],
)
def test_a_here_document_is_all_up_to_its_name(line: str, document: str, name: str, expand: bool, content: str) -> None:
    first, second = read(f"{line}\n{document}\nRUN after".encode(), "Dockerfile").lines
    (found,) = first.heredocs
    assert (found.name, found.expand, found.chomped) == (name, expand, content)
    assert second.text == "RUN after"


def test_several_here_documents_follow_each_other() -> None:
    (line,) = read(b"COPY <<X <<Y /dest\nY\nX\nX\nY\n", "Dockerfile").lines
    assert [(one.name, one.content) for one in line.heredocs] == [("X", "Y\n"), ("Y", "X\n")]


@pytest.mark.parametrize(
    "line", ['RUN "<<E"', "RUN '<<E'", 'RUN ["<<E"]', "USER <<E", "RUN <<<E", "RUN a<<E", "CMD <<E", "RUN a\\<<E"]
)
def test_not_every_pair_of_arrows_begins_a_here_document(line: str) -> None:
    assert [found.heredocs for found in read(f"{line}\n".encode(), "Dockerfile").lines] == [()]


@pytest.mark.parametrize("word", ["<<'EOF", '<<"EOF', "<<EOF'", '<<EOF"'])
def test_a_here_documents_quotes_must_match(word: str) -> None:
    with pytest.raises(ValueError, match="unexpected end of statement"):
        heredoc(word)


@pytest.mark.parametrize("word", ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<A B"])
def test_other_words_are_no_here_documents(word: str) -> None:
    assert heredoc(word) is None


def test_directives_are_noted() -> None:
    source = read(b"# syntax = docker/dockerfile:1 \n# check=skip=A, B;error=true\nFROM a", "Dockerfile")
    assert (source.syntax, source.check) == ("docker/dockerfile:1", Check(("A", "B"), (), True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the Dockerfile cannot be empty"),
        (b"\n# only a comment\n", "file with no instructions"),
        (b"# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\"),
        (b"# escape=`\n# escape=`\nFROM a", "only one escape parser directive can be used"),
        (b"# check=foo=1\nFROM a", 'invalid check option "foo=1"'),
        (b"# check=error=maybe\nFROM a", 'failed to parse check option "error=maybe"'),
        (b"FROM a\nRUN <<E\nx\n", "unterminated heredoc"),
        (b"FROM a\nRUN \x00", "the instruction contains a NUL character"),
        (b"FROM a\nRUN \xff", "the instruction is not valid UTF-8"),
    ],
)
def test_text_that_cannot_be_read_is_an_error(text: bytes, message: str) -> None:
    with pytest.raises(WherryError) as caught:
        read(text, "Dockerfile")
    assert caught.value.message == message


def test_a_comment_may_hold_any_bytes() -> None:
    assert lines(b"# \xff\xfe\x00\nFROM a") == ["FROM a"]
