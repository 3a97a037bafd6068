"""Any bytes are a Plan or an error of ours, in bounded time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.frontends.dockerfile import DockerfileOptions
from wherry.image.platform import Platform

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner

REAL = """# syntax=docker/dockerfile:1
# escape=\\
ARG PYTHON=3.13
FROM --platform=$BUILDPLATFORM python:${PYTHON}-slim AS build
ARG TARGETARCH
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 \\
    # a comment
    PATH="/opt/venv/bin:$PATH"
RUN --mount=type=cache,target=/root/.cache,sharing=locked --mount=type=secret,id=token,env=TOKEN \\
    python -m venv /opt/venv && pip install -r requirements.txt
RUN <<-EOF
	set -e
	echo "${TARGETARCH}"
	EOF
COPY --chown=1000:1000 --chmod=u=rwX,go=rX <<'one' <<two /etc/conf.d/
$a
one
${PYTHON:-none} ${X#*a} ${Y//b/c}
two
ADD --checksum=sha256:aaaa https://example.com/x.tar.gz /x/
ADD https://github.com/a/b.git#v1:sub /b
ONBUILD COPY . /app

FROM build AS test
RUN ["pytest", "-q"]

FROM python:3.13-alpine
LABEL org.opencontainers.image.title="a b" other='c d'
COPY --from=build --exclude=*.pyc /opt/venv /opt/venv
COPY ["a b", "/c/"]
EXPOSE 8000-8005/tcp 53/udp
VOLUME ["/data"]
HEALTHCHECK --interval=30s --retries=3 CMD curl -f http://localhost/ || exit 1
STOPSIGNAL SIGINT
SHELL ["/bin/ash", "-c"]
USER app:app
ENTRYPOINT ["python", "-m", "app"]
CMD ["--help"]
"""
INSTRUCTIONS = "FROM RUN COPY ADD ENV ARG LABEL EXPOSE USER WORKDIR ONBUILD HEALTHCHECK SHELL CMD VOLUME STOPSIGNAL"
PIECES = 'AS scratch a b --from=0 --mount=type= --chmod= << <<E E ${ ["a"]'
WORDS = [*INSTRUCTIONS.split(), *PIECES.split(), *"\\#\n\t\"'$}:-+?%/*[],={}\r\0é\ufeff"]
OPTIONS = DockerfileOptions("Dockerfile", (("A", "$B"),), platform=Platform("linux", "amd64"), contexts=("b",), epoch=1)
SETTINGS = settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attempt(planned: Planner, text: str | bytes) -> None:
    try:
        planned(text, OPTIONS)
    except WherryError as error:
        assert str(error)


@SETTINGS
@given(st.binary(max_size=200))
def test_bytes(planned: Planner, text: bytes) -> None:
    attempt(planned, b"FROM a\n" + text)
    attempt(planned, text)


@SETTINGS
@given(st.lists(st.sampled_from([*WORDS, " ", "\n"]), max_size=60))
def test_words(planned: Planner, words: list[str]) -> None:
    attempt(planned, "FROM a\n" + "".join(words))


@SETTINGS
@given(st.data())
def test_a_real_file_with_pieces_of_itself_in_the_wrong_places(planned: Planner, data: st.DataObject) -> None:
    text = REAL
    for _ in range(data.draw(st.integers(1, 4))):
        start, end, to = (data.draw(st.integers(0, len(text))) for _ in range(3))
        start, end = sorted((start, end))
        piece = data.draw(st.one_of(st.just(text[start : start + 40]), st.sampled_from(WORDS)))
        cut = data.draw(st.booleans())
        text = (text[:start] + text[start + 5 :] if cut else text)[:to] + piece + text[to:]
    attempt(planned, text)


def test_the_real_file_is_one(planned: Planner) -> None:
    with pytest.raises(WherryError, match="invalid checksum digest format"):
        planned(REAL, OPTIONS)
    assert len(planned(REAL.replace("aaaa", "a" * 64), OPTIONS).stages) == 3


LONG = 200_000


@pytest.mark.parametrize(
    "text",
    [
        "RUN " + "a" * LONG,
        "RUN " + "a \\\n" * (LONG // 4),
        "ENV a=" + "a" * LONG,
        "ENV a=" + "'" * LONG,
        "ENV " + "a=b " * (LONG // 4),
        "ENV a=" + "${" * (LONG // 2),
        "ENV a=" + "$a" * (LONG // 2),
        "RUN " + "<<E " * (LONG // 40),
        "RUN <<E\n" + "a\n" * (LONG // 2) + "E",
        "RUN " + "--mount=" * (LONG // 8),
        "RUN --mount=" + "a," * (LONG // 2) + " x",
        "RUN " + "[" * LONG,
        "COPY " + "a " * (LONG // 2) + "b",
        "HEALTHCHECK --interval=" + "1" * LONG + " CMD a",
        "ONBUILD " * (LONG // 8),
        "EXPOSE " + "1-65535 " * 20,
        " " * LONG + "x",
        "\\\n" * (LONG // 2),
        "# x\n" * (LONG // 4),
        "\n" * LONG,
        "# escape=" + " " * LONG + "x",
        "ADD https://" + "a" * LONG + " /",
        "COPY --chmod=" + "u+x," * (LONG // 4) + " a b",
        "".join(f"FROM a AS a{n}\n" for n in range(LONG // 100)),
        "ENV a=b\n" * (LONG // 100),
        "ARG " + " ".join(f"a{n}=b" for n in range(1000)) + "\n" + "RUN x\n" * 300,
    ],
    ids=range(26),
)
def test_long_files_take_no_longer_than_they_are_long(planned: Planner, text: str) -> None:
    start = time.monotonic()
    attempt(planned, "FROM a\n" + text)
    assert time.monotonic() - start < 10
