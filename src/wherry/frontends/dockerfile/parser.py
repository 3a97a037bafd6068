"""One logical line to one instruction: its words are counted, its flags read; nothing is expanded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from wherry.errors import did_you_mean
from wherry.frontends.dockerfile import flags, words
from wherry.frontends.dockerfile import instruction as i
from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.expansion import ExpansionError
from wherry.frontends.dockerfile.flags import Flags, Kind
from wherry.frontends.dockerfile.gotext import SPACE, parse_duration, quote
from wherry.frontends.dockerfile.source import Heredoc, Line, heredoc
from wherry.plan import Healthcheck, RunNetwork, Security

_FLAGS: Mapping[str, Mapping[str, Kind]] = {
    "FROM": {"platform": "text"},
    "RUN": {"mount": "texts", "network": "text", "security": "text"},
    "COPY": {
        "from": "text",
        "chown": "text",
        "chmod": "text",
        "link": "switch",
        "parents": "switch",
        "exclude": "texts",
    },
    "ADD": {
        "chown": "text",
        "chmod": "text",
        "link": "switch",
        "keep-git-dir": "switch",
        "checksum": "text",
        "unpack": "switch",
        "exclude": "texts",
    },
    "HEALTHCHECK": {
        "interval": "text",
        "timeout": "text",
        "start-period": "text",
        "start-interval": "text",
        "retries": "text",
    },
}
_STAGE_NAME = r"[a-z][a-z0-9-_.]*"
_MILLISECOND = 1_000_000
_NETWORKS: Mapping[str, RunNetwork] = {"default": "default", "none": "none", "host": "host"}
_SECURITIES: Mapping[str, Security] = {"sandbox": "sandbox", "insecure": "insecure"}


def parse(line: Line, escape: str) -> i.From | i.Statement:
    """The instruction of a line. Raises :class:`~wherry.frontends.dockerfile.errors.DockerfileError`."""
    return _Parser(line, escape).parse()


class _Parser:
    """Reads one line."""

    def __init__(self, line: Line, escape: str) -> None:
        self.line = line
        self.escape = escape
        self.span: Span = line.span
        self.text = line.text.strip(SPACE)
        self.words = words.split(line.text)
        self.rest = self.words.rest
        self.name = self.words.keyword.upper()
        self.flags = Flags()

    def parse(self) -> i.From | i.Statement:
        reader = _READERS.get(self.name)
        if reader is None:
            raise self.span.error(
                f"unknown instruction: {self.words.keyword[:100]}", did_you_mean(self.name[:100], _READERS)
            )
        try:
            return reader(self)
        except words.WordsError as error:
            raise self.span.error(str(error)) from None

    def _read_flags(self) -> None:
        self.flags = flags.parse(self.words.flags, _FLAGS.get(self.name, {}), self.span)

    def _at_least_one(self, given: tuple[object, ...]) -> None:
        if not given:
            raise self.span.error(f"{self.name} requires at least one argument")

    def _exactly_one(self) -> str:
        if not self.rest:
            raise self.span.error(f"{self.name} requires exactly one argument")
        self._read_flags()
        return self.rest

    def _pairs(self) -> i.Pairs:
        found = words.pairs(self.rest, self.name, self.escape)
        self._read_flags()
        self._at_least_one(found)
        if any(not name for name, _ in found):
            raise self.span.error(f"{self.name} names can not be blank")
        return found

    def _command(self) -> tuple[tuple[str, ...], bool]:
        """The words of the exec form, or the one text of the shell form; and whether it is that."""
        array = words.json_array(self.rest)
        self._read_flags()
        if array is not None:
            return array, False
        return ((self.rest,) if self.rest else ()), True

    def _list(self) -> tuple[str, ...]:
        """Words: a JSON array, or between blanks."""
        array = words.json_array(self.rest)
        return words.blanks(self.rest) if array is None else array

    def from_(self) -> i.From:
        given = words.blanks(self.rest)
        name = ""
        if len(given) == 3 and given[1].lower() == "as":
            name = given[2].lower()
            if not re.fullmatch(_STAGE_NAME, name):
                raise self.span.error(
                    f"invalid name for build stage: {quote(given[2][:200])}, "
                    "name can't start with a number or contain symbols"
                )
        elif len(given) != 1:
            raise self.span.error("FROM requires either one or three arguments")
        self._read_flags()
        return i.From(
            span=self.span,
            text=self.text,
            base=given[0],
            name=name,
            platform=self.flags.text("platform"),
            comments=self.line.comments,
        )

    def arg(self) -> i.Arg:
        given = words.quoted(self.rest, self.escape)
        self._at_least_one(given)
        self._read_flags()
        args: list[tuple[str, str | None]] = []
        for word in given:
            name, equals, value = word.partition("=")
            if not name:
                raise self.span.error("ARG names can not be blank")
            args.append((name, value if equals else None))
        return i.Arg(span=self.span, text=self.text, args=tuple(args))

    def env(self) -> i.Env:
        return i.Env(span=self.span, text=self.text, pairs=self._pairs())

    def label(self) -> i.Label:
        return i.Label(span=self.span, text=self.text, pairs=self._pairs())

    def run(self) -> i.Run:
        given, shell = self._command()
        if not shell and not given:
            raise self.span.error("RUN requires at least one argument")
        network, security = self.flags.text("network"), self.flags.text("security")
        if "network" in self.flags.values and network not in _NETWORKS:
            raise self.span.error(
                f"invalid network mode {quote(network)}, --network takes default, none or host",
                did_you_mean(network[:100], _NETWORKS),
            )
        if "security" in self.flags.values and security not in _SECURITIES:
            raise self.span.error(
                f"security {quote(security)} is not valid, --security takes sandbox or insecure",
                did_you_mean(security[:100], _SECURITIES),
            )
        return i.Run(
            span=self.span,
            text=self.text,
            words=given,
            shell=shell,
            mounts=self.flags.texts("mount"),
            network=_NETWORKS.get(network),
            security=_SECURITIES.get(security, "sandbox"),
            heredocs=self.line.heredocs,
        )

    def cmd(self) -> i.Cmd:
        given, shell = self._command()
        return i.Cmd(span=self.span, text=self.text, words=given, shell=shell)

    def entrypoint(self) -> i.Entrypoint:
        given, shell = self._command()
        return i.Entrypoint(span=self.span, text=self.text, words=given, shell=shell)

    def copy(self) -> i.Copy:
        sources, heredocs, destination = self._sources()
        return i.Copy(
            span=self.span,
            text=self.text,
            sources=sources,
            heredocs=heredocs,
            destination=destination,
            owner=self.flags.text("chown"),
            mode=self.flags.text("chmod"),
            link=self.flags.switch("link") or False,
            exclude=self.flags.texts("exclude"),
            origin=self.flags.text("from"),
            parents=self.flags.switch("parents") or False,
        )

    def add(self) -> i.Add:
        sources, heredocs, destination = self._sources()
        return i.Add(
            span=self.span,
            text=self.text,
            sources=sources,
            heredocs=heredocs,
            destination=destination,
            owner=self.flags.text("chown"),
            mode=self.flags.text("chmod"),
            link=self.flags.switch("link") or False,
            exclude=self.flags.texts("exclude"),
            checksum=self.flags.text("checksum"),
            keep_git=self.flags.switch("keep-git-dir"),
            unpack=self.flags.switch("unpack"),
        )

    def _sources(self) -> tuple[tuple[str, ...], tuple[Heredoc, ...], str]:
        given = self._list()
        if len(given) < 2:
            raise self.span.error(
                f"{self.name} requires at least two arguments, but only one was provided. "
                "Destination could not be determined"
                if given
                else f"{self.name} requires at least two arguments, but none was provided"
            )
        self._read_flags()
        *given_sources, destination = given
        if _heredoc(destination):
            raise self.span.error(f"{self.name} cannot accept a heredoc as a destination")
        contents = {one.name: one for one in self.line.heredocs}
        sources: list[str] = []
        heredocs: list[Heredoc] = []
        for word in given_sources:
            announced = _heredoc(word)
            if announced is None:
                sources.append(word)
            else:
                content = contents.get(announced.name, announced).content
                heredocs.append(Heredoc(announced.name, announced.expand, announced.chomp, content))
        return tuple(sources), tuple(heredocs), destination

    def workdir(self) -> i.Workdir:
        return i.Workdir(span=self.span, text=self.text, path=self._exactly_one())

    def user(self) -> i.User:
        return i.User(span=self.span, text=self.text, user=self._exactly_one())

    def stop_signal(self) -> i.StopSignal:
        return i.StopSignal(span=self.span, text=self.text, signal=self._exactly_one())

    def maintainer(self) -> i.Maintainer:
        return i.Maintainer(span=self.span, text=self.text, author=self._exactly_one())

    def expose(self) -> i.Expose:
        given = words.blanks(self.rest)
        self._at_least_one(given)
        self._read_flags()
        return i.Expose(span=self.span, text=self.text, ports=tuple(sorted(given)))

    def volume(self) -> i.Volume:
        given = self._list()
        self._at_least_one(given)
        self._read_flags()
        paths = tuple(path.strip(SPACE) for path in given)
        if not all(paths):
            raise self.span.error("VOLUME specified can not be an empty string")
        return i.Volume(span=self.span, text=self.text, paths=paths)

    def shell(self) -> i.Shell:
        given, not_json = self._command()
        self._at_least_one(given)
        if not_json:
            raise self.span.error(
                f"SHELL requires the arguments to be in JSON form, not: {quote(self.rest[:200])}",
                'Write it as SHELL ["/bin/bash", "-c"].',
            )
        return i.Shell(span=self.span, text=self.text, words=given)

    def onbuild(self) -> i.Onbuild:
        if not self.rest:
            raise self.span.error("ONBUILD requires at least one argument")
        trigger = words.split(self.rest)
        name = trigger.keyword.upper()
        if name == "ONBUILD":
            raise self.span.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        if name in {"MAINTAINER", "FROM"}:
            raise self.span.error(f"{name} isn't allowed as an ONBUILD trigger")
        self._read_flags()
        if name in {"ENV", "LABEL"}:
            words.pairs(trigger.rest, name, self.escape)
        elif name in {"RUN", "CMD", "ENTRYPOINT", "COPY", "ADD", "VOLUME", "SHELL"}:
            words.json_array(trigger.rest)
        original = re.sub(r"(?i)^\s*ONBUILD\s*", "", self.line.text)
        documents = "".join(f"\n{one.content}{one.name}" for one in self.line.heredocs)
        return i.Onbuild(span=self.span, text=self.text, trigger=original + documents)

    def healthcheck(self) -> i.Health:
        kind, _, rest = _first(self.rest)
        if not kind:
            raise self.span.error("HEALTHCHECK requires at least one argument")
        array = words.json_array(rest)
        upper = kind.upper()
        if upper == "NONE":
            self._read_flags()
            if array or (array is None and rest):
                raise self.span.error("HEALTHCHECK NONE takes no arguments")
            return i.Health(span=self.span, text=self.text, healthcheck=Healthcheck(("NONE",)))
        self._read_flags()
        if upper != "CMD":
            raise self.span.error(f"Unknown type {quote(upper[:100])} in HEALTHCHECK (try CMD)")
        command = array if array is not None else ((rest,) if rest else ())
        if not command:
            raise self.span.error("Missing command after HEALTHCHECK CMD")
        healthcheck = Healthcheck(
            ("CMD" if array is not None else "CMD-SHELL", *command),
            interval=self._interval("interval"),
            timeout=self._interval("timeout"),
            start_period=self._interval("start-period"),
            start_interval=self._interval("start-interval"),
            retries=self._retries(),
        )
        return i.Health(span=self.span, text=self.text, healthcheck=healthcheck)

    def _interval(self, name: str) -> int:
        text = self.flags.text(name)
        if not text:
            return 0
        try:
            value = parse_duration(text)
        except ValueError as error:
            raise self.span.error(str(error), "Write it as 30s, 1m30s or 500ms.") from None
        if value and value < _MILLISECOND:
            raise self.span.error(f"Interval {quote(name)} cannot be less than 1ms")
        return value

    def _retries(self) -> int:
        text = self.flags.text("retries")
        if not text:
            return 0
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not -(1 << 31) <= int(text) < 1 << 31:
            raise self.span.error(f"--retries must be a number, not {quote(text[:100])}")
        if int(text) < 0:
            raise self.span.error(f"--retries cannot be negative ({int(text)})")
        return int(text)


def _heredoc(word: str) -> Heredoc | None:
    try:
        return heredoc(word)
    except ExpansionError:
        return None


def _first(text: str) -> tuple[str, str, str]:
    found = re.search(f"[{SPACE}]+", text)
    return (text[: found.start()], found[0], text[found.end() :]) if found else (text, "", "")


_READERS: Mapping[str, Callable[[_Parser], i.From | i.Statement]] = {
    "FROM": _Parser.from_,
    "ARG": _Parser.arg,
    "ENV": _Parser.env,
    "LABEL": _Parser.label,
    "RUN": _Parser.run,
    "CMD": _Parser.cmd,
    "ENTRYPOINT": _Parser.entrypoint,
    "COPY": _Parser.copy,
    "ADD": _Parser.add,
    "WORKDIR": _Parser.workdir,
    "USER": _Parser.user,
    "EXPOSE": _Parser.expose,
    "VOLUME": _Parser.volume,
    "HEALTHCHECK": _Parser.healthcheck,
    "SHELL": _Parser.shell,
    "STOPSIGNAL": _Parser.stop_signal,
    "ONBUILD": _Parser.onbuild,
    "MAINTAINER": _Parser.maintainer,
}
