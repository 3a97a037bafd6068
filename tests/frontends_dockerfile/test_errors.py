"""What is wrong with a Dockerfile is said once, with its place, the lines around it and the nearest known name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wherry.errors import WherryError
from wherry.frontends.dockerfile import DockerfileError, DockerfileOptions

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("FORM x", "unknown instruction: FORM", "Did you mean 'FROM'?"),
        ("COPY --form=x a b", "unknown flag: --form", "Did you mean '--from'?"),
        ("ENV --x a=b", "unknown flag: --x", "It takes no flags."),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe", None),
        ("COPY --link= a b", "missing a value on flag: --link", None),
        ("COPY --from a b", "missing a value on flag: --from", None),
        ("COPY --from=a --from=b a b", "duplicate flag specified: --from", None),
        ("COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be", None),
        ("ADD", "ADD requires at least two arguments", None),
        ("COPY a <<E\nE", "COPY cannot accept a heredoc as a destination", None),
        ("COPY <<E a", "unterminated heredoc", None),
        ("ENV", "ENV requires at least one argument", None),
        ("ENV a", "ENV must have two arguments", None),
        ("ENV a=b c", 'Syntax error - can\'t find = in "c"', None),
        ("ENV =b", "ENV names can not be blank", None),
        ("LABEL a", "LABEL must have two arguments", None),
        ("ARG", "ARG requires at least one argument", None),
        ("ARG =b", "ARG names can not be blank", None),
        ("WORKDIR", "WORKDIR requires exactly one argument", None),
        ("USER", "USER requires exactly one argument", None),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", None),
        ("STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE", None),
        ("MAINTAINER", "MAINTAINER requires exactly one argument", None),
        ("EXPOSE", "EXPOSE requires at least one argument", None),
        ("EXPOSE 80/foo", "invalid proto: foo", None),
        ("VOLUME", "VOLUME requires at least one argument", None),
        ('VOLUME [""]', "VOLUME specified can not be an empty string", None),
        ("VOLUME $none", "VOLUME specified can not be an empty string", None),
        ("SHELL bash", "SHELL requires the arguments to be in JSON form", None),
        ("SHELL []", "SHELL requires at least one argument", None),
        ("RUN []", "RUN requires at least one argument", None),
        ("RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only", None),
        ("RUN --network=x a", 'invalid network mode "x"', None),
        ("RUN --security=x a", 'security "x" is not valid', None),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", None),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", None),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", None),
        ("HEALTHCHECK FOO x", 'Unknown type "FOO" in HEALTHCHECK (try CMD)', None),
        ("HEALTHCHECK --interval=x CMD a", 'time: invalid duration "x"', None),
        ("HEALTHCHECK --interval=1ns CMD a", 'Interval "interval" cannot be less than 1ms', None),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)", None),
        ("ONBUILD", "ONBUILD requires at least one argument", None),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger", None),
        ("ONBUILD MAINTAINER a", "MAINTAINER isn't allowed as an ONBUILD trigger", None),
        ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", None),
        ("ONBUILD ENV a", "ENV must have two arguments", None),
        ("ENV a=${b", "failed to process \"${b\": syntax error: missing '}'", None),
        ("ENV a='b", "unexpected end of statement while looking for matching single-quote", None),
        ("WORKDIR ${X:?tell me}", "X: tell me", None),
        ("COPY --chmod=888 a b", "invalid chmod parameter: '888'", None),
        ("COPY --chmod=u~x a b", "invalid chmod parameter: 'u~x'", None),
        ("COPY https://x/y /", "source can't be a URL for COPY", "Use ADD."),
        ("COPY https://x/y.git /", "source can't be a git ref for COPY", "Use ADD."),
        ("ADD --checksum=x https://x/y /", 'invalid checksum digest format: "x"', None),
        ("ADD --checksum=x a /", "checksum requires HTTP(S) or Git sources", None),
        ("ADD --checksum=x a b /", "checksum can't be specified for multiple sources", None),
        ("ADD https://x/y.git?foo=1 /", 'unexpected query "foo"', None),
        ("COPY --from=$X a b", "variable expansion is not supported for --from", None),
        ("COPY --from=7 a b", "invalid stage index 7", None),
        ("COPY --from=0 a b", "circular dependency detected on stage: stage-0", None),
        ("RUN x\nFROM", "FROM requires either one or three arguments", None),
        ("RUN x\nFROM a b", "FROM requires either one or three arguments", None),
        ("RUN x\nFROM a AS 1b", 'invalid name for build stage: "1b"', None),
        ("RUN x\nFROM $none", "base name ($none) should not be blank", "declare them with ARG"),
        ("RUN x\nFROM --platform=$X a", "empty platform value from expression $X", None),
        ("RUN x\nFROM --platform=nope a", "failed to parse platform nope", None),
        ("RUN x\nFROM --platfrom=x a", "unknown flag: --platfrom", "Did you mean '--platform'?"),
    ],
)
def test_an_error_says_what_and_where(planned: Planner, text: str, message: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(f"FROM a\n{text}")
    assert message in caught.value.message
    assert caught.value.place
    assert caught.value.place.line in {2, 3}
    assert f">>> {text.splitlines()[caught.value.place.line - 2]}" in caught.value.excerpt
    if hint:
        assert hint in (caught.value.advice or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN x\nFROM a", "no build stage in current context"),
        ("ARG a", "dockerfile contains no stages to build"),
        ("ARG a=${b?}\nFROM x", 'failed to process "${b?}": b: is not allowed to be unset'),
        ("FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nCOPY --from=x a b", "circular dependency detected on stage: x"),
        (
            "FROM a AS x\nCOPY --from=y a b\nFROM b AS y\nFROM x",
            'cannot copy from stage "y", it needs to be defined before current stage "x"',
        ),
        (
            "FROM a AS x\nRUN --mount=from=y,target=/m b\nFROM b AS y\nFROM x",
            'cannot mount from stage "y", it needs to be defined before current stage "x"',
        ),
    ],
)
def test_stages_that_do_not_fit_together_are_an_error(planned: Planner, text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(text)
    assert caught.value.message == message


def test_an_unknown_target_names_the_nearest(planned: Planner) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned("FROM a AS build\nFROM b", DockerfileOptions("Dockerfile", target="biuld"))
    assert caught.value.message == 'target stage "biuld" could not be found'
    assert caught.value.hint == "Did you mean 'build'?"
    assert str(caught.value.place) == "Dockerfile"


def test_an_epoch_must_be_a_number(planned: Planner) -> None:
    with pytest.raises(WherryError, match="invalid SOURCE_DATE_EPOCH: yesterday"):
        planned("FROM a", args={"SOURCE_DATE_EPOCH": "yesterday"})


def test_the_lines_around_an_error_are_shown(planned: Planner) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned("FROM a\n# one\nENV x=y\nRNU \t\x1b[31m\n# two\nRUN z\n# three\n")
    assert str(caught.value) == (
        "Dockerfile:4: unknown instruction: RNU\n"
        "--------------------\n"
        "   2 |     # one\n"
        "   3 |     ENV x=y\n"
        "   4 | >>> RNU     \ufffd[31m\n"
        "   5 |     # two\n"
        "   6 |     RUN z\n"
        "--------------------\n"
        "Did you mean 'RUN'?"
    )


def test_an_instruction_of_several_lines_is_marked_as_a_whole_and_cut_if_long(planned: Planner) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned("FROM a\nENV a=b \\\n  c\nRUN z")
    assert caught.value.excerpt.splitlines()[1:-1] == [
        "   1 |     FROM a",
        "   2 | >>> ENV a=b \\",
        "   3 | >>>   c",
        "   4 |     RUN z",
    ]
    with pytest.raises(DockerfileError) as caught:
        planned("FROM a\nENV a=b \\\n" + "  c=d \\\n" * 1000 + "e")
    assert len(caught.value.excerpt.splitlines()) < 25


def test_a_dockerfile_that_doubles_its_variables_is_refused(planned: Planner) -> None:
    text = "FROM a\nENV a0=0123456789\n" + "".join(f"ENV a{n + 1}=$a{n}$a{n}\n" for n in range(60))
    with pytest.raises(DockerfileError, match="expand to too much text"):
        planned(text)
