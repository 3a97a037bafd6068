"""A stage's instructions, expanded one after the other, to steps of a Plan."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from wherry.frontends.dockerfile import history, ports, signals
from wherry.frontends.dockerfile import instruction as i
from wherry.frontends.dockerfile.budget import Budget
from wherry.frontends.dockerfile.errors import DockerfileError, Span, excerpt
from wherry.frontends.dockerfile.expansion import ExpansionError, Lexer
from wherry.frontends.dockerfile.gotext import SPACE, quote
from wherry.frontends.dockerfile.mounts import Surroundings, mounts
from wherry.frontends.dockerfile.source import heredoc
from wherry.frontends.dockerfile.variables import EPOCH, NOT_VARIABLES
from wherry.giturl import parse_git
from wherry.image.config import RuntimeConfig
from wherry.plan import (
    Configure,
    Copy,
    CopySource,
    Git,
    Inline,
    Instruction,
    Origin,
    Remote,
    Run,
    RunNetwork,
    Step,
    Workdir,
)

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")

_VARIABLE_COST = 256
_LONGEST_TITLE = 1000
_SYMBOLIC_CLAUSE = r"[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"


@dataclass(frozen=True, slots=True)
class Surrounding:
    """What all stages share.

    ``origin`` gives the stage, context or image of a name, and of no name the main context.
    """

    lexer: Lexer
    given: Mapping[str, str]
    before_stages: Mapping[str, str]
    proxies: tuple[tuple[str, str], ...]
    network: RunNetwork
    epoch: int | None
    origin: Callable[[str], Origin]
    copy_origin: Callable[[i.Copy], Origin]


def instruction_at(span: Span, text: str, created_by: str = "") -> Instruction:
    """What a step remembers of the instruction at ``span``."""
    return Instruction(text, created_by, span.place, excerpt(span))


@dataclass(slots=True)
class State:
    """A stage between two instructions, as far as instructions read it.

    ``variables`` are those of ENV and ARG as they are expanded, ``env`` those of the config; ``args`` the names of the
    ARGs and the values that they had (None: none). ``cmd`` is what this stage's own CMD has set.
    """

    variables: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str | None] = field(default_factory=dict)
    workdir: str = "/"
    shell: tuple[str, ...] = ()
    cmd: tuple[str, ...] | None = None
    onbuild: bool = False

    @classmethod
    def of(cls, config: RuntimeConfig) -> State:
        """The state in which a base image begins a stage."""
        env = config.environment()
        shell = config.other.get("Shell")
        words = tuple(str(word) for word in shell) if isinstance(shell, list) else ()
        workdir = _joined("/", config.working_dir) if config.working_dir else "/"
        return cls(dict(env), env, workdir=workdir, shell=words, onbuild=bool(config.other.get("OnBuild")))

    def inherited(self, budget: Budget) -> State:
        """The state in which a stage begins that starts from this one: arguments and all, but ENV wins again.

        Raises :class:`ValueError` if the budget does not allow it.
        """
        budget.spend(_VARIABLE_COST * (len(self.variables) + len(self.env) + len(self.args)))
        variables = {**self.variables, **self.env}
        return replace(self, variables=variables, env=dict(self.env), args=dict(self.args), cmd=None)


class Steps:
    """Turns the instructions of one stage into steps; ``state`` is what they have come to."""

    def __init__(self, state: State, around: Surrounding) -> None:
        self.state = state
        self.around = around

    def begin(self, start: i.From) -> Iterator[Step]:
        """What BuildKit does before the first instruction: PATH is set if the base has none, its triggers are done."""
        path = () if "PATH" in self.state.env else (("PATH", DEFAULT_PATH),)
        if path:
            self.state.env |= path
            self.state.variables |= path
        if path or self.state.onbuild:
            instruction = instruction_at(start.span, _title(start.text))
            yield Configure(env=path, onbuild_done=self.state.onbuild, instruction=instruction)
        self.state.onbuild = False

    def trigger(self, statement: i.Statement) -> Step:
        """The step of an instruction that the base brings along. Raises :class:`DockerfileError`."""
        return self.step(statement, "ONBUILD ")

    def step(self, statement: i.Statement, prefix: str = "") -> Step:
        """The step of one instruction; ``prefix`` is shown before its words. Raises :class:`DockerfileError`."""
        budget = self.around.lexer.budget
        try:
            step, created_by = self._step(statement)
            title = prefix + self._shown(statement)
            budget.spend(len(created_by))
        except DockerfileError:
            raise
        except ValueError as error:  # of expansion, ports, signals and git, whose texts are meant to be shown
            raise statement.span.error(str(error)) from None
        return replace(step, instruction=instruction_at(statement.span, title, created_by))

    def _step(self, statement: i.Statement) -> tuple[Configure | Copy | Run | Workdir, str]:  # noqa: PLR0912
        match statement:
            case i.Arg():
                return self._arg(statement)
            case i.Env():
                return self._env(statement)
            case i.Label():
                pairs = self._pairs(statement.pairs)
                return Configure(labels=pairs), history.label(pairs)
            case i.Run():
                return self._run(statement)
            case i.Copy() | i.Add():
                return self._files(statement)
            case i.Workdir():
                path = _joined(self.state.workdir, self._word(statement.path))
                self.state.workdir = path
                return Workdir(path), history.workdir(path)
            case i.User():
                user = self._word(statement.user)
                return Configure(user=user), history.user(user)
            case i.Cmd():
                words = self._command(statement)
                self.state.cmd = words
                return Configure(cmd=words, args_escaped=True), history.cmd(words)
            case i.Entrypoint():
                words = self._command(statement)
                return Configure(entrypoint=words, cmd=self.state.cmd or ()), history.entrypoint(words)
            case i.Expose():
                return self._expose(statement)
            case i.Volume():
                paths = tuple(self._word(path) for path in statement.paths)
                if not all(paths):
                    raise statement.span.error("VOLUME specified can not be an empty string")
                return Configure(volumes=paths), history.volume(paths)
            case i.Health():
                return Configure(healthcheck=statement.healthcheck), history.healthcheck(statement.healthcheck)
            case i.Shell():
                self.state.shell = statement.words
                return Configure(shell=statement.words), history.shell(statement.words)
            case i.StopSignal():
                signal = self._word(statement.signal)
                signals.check(signal)
                return Configure(stop_signal=signal), history.stop_signal(signal)
            case i.Onbuild():
                self.state.onbuild = True
                return Configure(onbuild=(statement.trigger,)), ""
            case i.Maintainer():
                return Configure(author=statement.author), history.maintainer(statement.author)

    def _word(self, text: str) -> str:
        return self.around.lexer.word(text, self.state.variables)

    def _pairs(self, pairs: i.Pairs) -> i.Pairs:
        return tuple((self._word(name), self._word(value)) for name, value in pairs)

    def _shown(self, statement: i.Statement) -> str:
        """The instruction as progress shows it, variables expanded where that can be done."""
        text = statement.text[: 4 * _LONGEST_TITLE]
        lexer, variables = self.around.lexer, self.state.variables
        if isinstance(statement, i.Run):
            lexer = replace(lexer, raw_quotes=True, skip_unset=True)
            if (
                statement.shell
                and len(statement.heredocs) == 1
                and heredoc(statement.words[0] if statement.words else "")
            ):
                lines = statement.heredocs[0].content.strip(SPACE).split("\n")
                text += f" ({lines[0].rstrip()}{'...' if len(lines) > 1 else ''})"
        if isinstance(statement, i.Run | i.Copy | i.Add | i.Workdir):
            with suppress(ExpansionError):  # then it is shown as written
                text = lexer.word(text, variables)
        return _title(text)

    def _arg(self, statement: i.Arg) -> tuple[Configure, str]:
        said: list[tuple[str, str | None]] = []
        for name, default in statement.args:
            if name in self.around.given:
                value: str | None = self.around.given[name]
            elif default is not None:
                value = self._word(default)
            else:
                value = self.around.before_stages.get(name)
            if value is not None and name not in NOT_VARIABLES:
                self.state.variables[name] = value
            self.state.args[name] = value
            said.append((name, value))
        return Configure(), history.arg(said)

    def _env(self, statement: i.Env) -> tuple[Configure, str]:
        pairs = self._pairs(statement.pairs)
        self.state.variables |= pairs
        self.state.env |= pairs
        return Configure(env=pairs), history.env(pairs)

    def _expose(self, statement: i.Expose) -> tuple[Configure, str]:
        words = [word for text in statement.ports for word in self.around.lexer.words(text, self.state.variables)]
        found: list[str] = []
        for word in words:
            found += ports.parse(word)
        return Configure(ports=tuple(dict.fromkeys(found))), history.expose(found)

    def _with_shell(self, text: str) -> tuple[str, ...]:
        return (*(self.state.shell or DEFAULT_SHELL), text)

    def _command(self, statement: i.Command) -> tuple[str, ...]:
        return self._with_shell(" ".join(statement.words)) if statement.shell else statement.words

    def _run(self, statement: i.Run) -> tuple[Run, str]:
        argv, files = self._argv(statement)
        variables, env = self.state.variables, self.state.env
        args = {name: variables.get(name, value or "") for name, value in self.state.args.items()}
        visible = {name: args[name] for name in args if name in variables and env.get(name) != args[name]}
        if self.around.epoch is not None and EPOCH not in variables:
            visible[EPOCH] = str(self.around.epoch)
        step = Run(
            argv,
            tuple(visible.items()),
            mounts(
                statement.mounts,
                Surroundings(statement.span, self._word, self.around.origin, self.state.workdir),
            ),
            statement.network or self.around.network,
            statement.security,
            files,
            self.around.proxies,
        )
        created_by = history.run(argv, args)
        self.around.lexer.budget.spend(sum(map(len, argv)))
        return step, created_by

    def _argv(self, statement: i.Run) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """What RUN executes, and the files that it needs for that: a here-document is a script or the shell's text."""
        if not statement.heredocs:
            return self._command(statement), ()
        text, first = " ".join(statement.words), statement.heredocs[0]
        if heredoc(text) is None:  # part of a command, or several: the shell's affair
            documents = "".join(f"\n{one.content}{one.name}" for one in statement.heredocs)
            return self._with_shell(text + documents), ()
        content = first.chomped
        if not content.startswith("#!"):
            return self._with_shell(content), ()
        path = posixpath.join("/dev/pipes", first.name.lstrip("/"))
        return self._with_shell(path), ((path, content),)

    def _files(self, statement: i.Copy | i.Add) -> tuple[Copy, str]:
        adds = isinstance(statement, i.Add)
        owner, mode = self._word(statement.owner), self._word(statement.mode)
        _check_mode(mode)
        sources = tuple(self._word(source) for source in statement.sources)
        destination = self._word(statement.destination)
        checksum = self._word(statement.checksum) if isinstance(statement, i.Add) else ""
        if checksum and len(sources) != 1:
            raise statement.span.error("checksum can't be specified for multiple sources")
        plain = Lexer(plain_quotes=True, budget=self.around.lexer.budget)
        heredocs = tuple(
            Inline(one.name, plain.word(one.chomped, self.state.variables) if one.expand else one.chomped)
            for one in statement.heredocs
        )
        found = [self._source(source, statement, checksum) for source in sources]
        local = any(isinstance(source, str) for source in found)
        unpack = adds and local
        if isinstance(statement, i.Add) and statement.unpack is not None:
            unpack = statement.unpack
        parents = isinstance(statement, i.Copy) and statement.parents
        step = Copy(
            origin=self.around.copy_origin(statement) if isinstance(statement, i.Copy) else self.around.origin(""),
            sources=(*found, *heredocs),
            destination=_destination(self.state.workdir, destination),
            owner=owner,
            mode=mode,
            link=statement.link,
            parents=parents,
            exclude=statement.exclude,
            unpack=unpack,
        )
        created_by = history.files(
            "ADD" if adds else "COPY",
            sources,
            [one.name for one in heredocs],
            destination,
            owner=owner,
            mode=mode,
            parents=parents,
        )
        return step, created_by

    def _source(self, text: str, statement: i.Copy | i.Add, checksum: str) -> CopySource:
        repository = parse_git(text)
        remote = repository is None and text.startswith(("http://", "https://"))
        if isinstance(statement, i.Copy):
            if repository is not None or remote:
                what = "URL" if remote else "git ref"
                raise statement.span.error(f"source can't be a {what} for COPY", "Use ADD.")
            return text
        if repository is not None:
            return _repository(repository, checksum, statement)
        if remote:
            if checksum and not re.fullmatch(_DIGEST, checksum):
                raise statement.span.error(f"invalid checksum digest format: {quote(checksum[:200])}")
            return Remote(text, checksum)
        if checksum:
            raise statement.span.error("checksum requires HTTP(S) or Git sources")
        return text


def _repository(found: Git, checksum: str, statement: i.Add) -> Git:
    if checksum and found.checksum and checksum != found.checksum:
        raise statement.span.error(f"checksum mismatch {quote(checksum)} != {quote(found.checksum)}")
    keep = found.keep_git if statement.keep_git is None else statement.keep_git or found.keep_git
    return replace(found, checksum=checksum or found.checksum, keep_git=keep)


def _check_mode(mode: str) -> None:
    if not mode:
        return
    if mode[0].isdigit():
        if not re.fullmatch(r"0*[0-7]{1,4}", mode):
            raise ValueError(
                f"invalid chmod parameter: '{mode[:100]}'. it should be octal string and between 0 and 07777"
            )
    elif not all(re.fullmatch(_SYMBOLIC_CLAUSE, clause) for clause in mode.split(",")):
        raise ValueError(f"invalid chmod parameter: '{mode[:100]}'. it should be octal, or symbolic such as u+x,go=r")


def _joined(directory: str, path: str) -> str:
    """WORKDIR's ``path`` below ``directory``: an absolute one as it stands, as BuildKit leaves it."""
    if path.startswith("/"):
        return path
    return "/" + posixpath.normpath(posixpath.join("/", directory, path)).lstrip("/")


def _destination(workdir: str, path: str) -> str:
    """COPY's destination: absolute. A slash at its end stays, and ``/.`` is one."""
    directory = path in {"", "."} or path.endswith(("/", "/."))
    joined = _joined(workdir, path or ".")
    if joined.endswith("/."):
        joined = joined[:-1]
    return joined if not directory or joined.endswith("/") else joined + "/"


def _title(text: str) -> str:
    """An instruction's words in one line, its name in capitals."""
    parts: Sequence[str] = re.split(f"[{SPACE}]+", text.strip(SPACE), maxsplit=1)
    words = " ".join((parts[0].upper(), *parts[1:])).replace("\n", "\\n").replace("\r", "\\r")
    return words if len(words) <= _LONGEST_TITLE else words[:_LONGEST_TITLE] + "…"
