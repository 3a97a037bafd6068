"""The lines that an instruction leaves in an image's history, word for word as BuildKit writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.frontends.dockerfile.gotext import duration, plain, quoted
from wherry.plan import Healthcheck

_MARK = " # buildkit"


def env(pairs: Sequence[tuple[str, str]]) -> str:
    """``ENV A=b C=d``."""
    return "ENV" + _pairs(pairs)


def label(pairs: Sequence[tuple[str, str]]) -> str:
    """``LABEL a=b``."""
    return "LABEL" + _pairs(pairs)


def arg(args: Sequence[tuple[str, str | None]]) -> str:
    """``ARG A=b C``."""
    return "ARG " + " ".join(name if value is None else f"{name}={value}" for name, value in args)


def run(argv: Sequence[str], args: Mapping[str, str]) -> str:
    """``RUN |1 A=b /bin/sh -c make # buildkit``: ``args`` are the stage's build arguments."""
    before = [f"|{len(args)}", *(f"{name}={value}" for name, value in args.items())] if args else []
    return "RUN " + " ".join((*before, *argv)) + _MARK


def files(
    keyword: str,
    sources: Sequence[str],
    heredocs: Sequence[str],
    destination: str,
    *,
    owner: str = "",
    mode: str = "",
    parents: bool = False,
) -> str:
    """``COPY --chown=1 a b # buildkit``, also for ADD. Where the files are from is not said."""
    words = [keyword]
    if parents:
        words.append("--parents")
    if owner:
        words.append(f"--chown={owner}")
    if mode:
        words.append(f"--chmod={mode}")
    return " ".join((*words, *sources, *(f"<<{name}" for name in heredocs), destination)) + _MARK


def cmd(argv: Sequence[str]) -> str:
    """``CMD ["/bin/sh" "-c" "true"]``."""
    return f"CMD {quoted(argv)}"


def entrypoint(argv: Sequence[str]) -> str:
    """``ENTRYPOINT ["/app"]``."""
    return f"ENTRYPOINT {quoted(argv)}"


def workdir(path: str) -> str:
    """``WORKDIR /src``: the whole path."""
    return f"WORKDIR {path}"


def user(name: str) -> str:
    """``USER 1000``."""
    return f"USER {name}"


def expose(ports: Sequence[str]) -> str:
    """``EXPOSE [80/tcp]``. BuildKit before 0.24 wrote ``map[80/tcp:{}]``."""
    return f"EXPOSE {plain(ports)}"


def volume(paths: Sequence[str]) -> str:
    """``VOLUME [/data]``."""
    return f"VOLUME {plain(paths)}"


def shell(words: Sequence[str]) -> str:
    """``SHELL [/bin/bash -c]``."""
    return f"SHELL {plain(words)}"


def stop_signal(signal: str) -> str:
    """``STOPSIGNAL SIGINT``."""
    return f"STOPSIGNAL {signal}"


def maintainer(author: str) -> str:
    """``MAINTAINER Ada``."""
    return f"MAINTAINER {author}"


def healthcheck(check: Healthcheck) -> str:
    """``HEALTHCHECK &{["CMD" "true"] "30s" "0s" "0s" "0s" '\\x03'}``: Go's ``%q`` of the structure."""
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    fields = (quoted(check.test), *(f'"{duration(time)}"' for time in times), _character(check.retries))
    return f"HEALTHCHECK &{{{' '.join(fields)}}}"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f" {name}={value}" for name, value in pairs)


def _character(number: int) -> str:
    """A number as ``%q`` has it: the character of that number, quoted."""
    escapes = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 39: "\\'", 92: "\\\\"}
    if number in escapes:
        return f"'{escapes[number]}'"
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        return "'\ufffd'"
    char = chr(number)
    if char.isprintable():
        return f"'{char}'"
    if number < 0x80:
        return f"'\\x{number:02x}'"
    return f"'\\u{number:04x}'" if number < 0x10000 else f"'\\U{number:08x}'"
