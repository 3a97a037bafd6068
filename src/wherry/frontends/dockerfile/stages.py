"""The stages of a Dockerfile: their names, what each starts from, and which of them the target needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wherry.errors import UsageError, did_you_mean
from wherry.frontends.dockerfile import instruction as i
from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.expansion import ExpansionError, Lexer
from wherry.frontends.dockerfile.gotext import quote
from wherry.frontends.dockerfile.mounts import source_name
from wherry.frontends.dockerfile.parser import parse
from wherry.frontends.dockerfile.source import Source
from wherry.image.platform import Platform


@dataclass(slots=True)
class Draft:
    """A stage before it is planned.

    ``name`` is unique: the one given by FROM, or its number. ``base`` is the earlier stage that it starts from, else
    ``image`` says what it does. ``needs`` are the stages that its instructions take files from.
    """

    number: int
    start: i.From
    statements: list[i.Statement] = field(default_factory=list)
    name: str = ""
    base: int | None = None
    image: str = ""
    platform: Platform | None = None
    needs: dict[int, i.Statement] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Its name in errors, as BuildKit has it."""
        return self.start.name or f"stage-{self.number}"


def split(source: Source) -> tuple[list[i.Arg], list[Draft]]:
    """The ARGs before the first stage, and the stages. Raises DockerfileError, also if there is no stage."""
    before: list[i.Arg] = []
    drafts: list[Draft] = []
    for line in source.lines:
        statement = parse(line, source.escape)
        if isinstance(statement, i.From):
            drafts.append(Draft(len(drafts), statement))
        elif drafts:
            drafts[-1].statements.append(statement)
        elif isinstance(statement, i.Arg):
            before.append(statement)
        else:
            raise line.span.error("no build stage in current context", "Only ARG may stand before the first FROM.")
    if not drafts:
        raise source.span.error("dockerfile contains no stages to build", "A stage begins with FROM.")
    return before, drafts


@dataclass(frozen=True, slots=True)
class Stages:
    """All stages, each knowing what it starts from; ``names`` are as instructions may use them."""

    drafts: Sequence[Draft]
    names: Mapping[str, int]

    def named(self, name: str) -> int | None:
        """The number of the stage called ``name``. The last of that name counts."""
        return self.names.get(name.lower())

    def target(self, name: str, source: Source) -> Draft:
        """The stage to build. Raises :class:`DockerfileError` if there is none of that name."""
        if not name:
            return self.drafts[-1]
        number = self.named(name)
        if number is None:
            advice = (
                did_you_mean(name[:100], list(self.names)[-50:])
                if self.names
                else "No stage has a name: write FROM … AS name."
            )
            raise source.span.error(f"target stage {quote(name)} could not be found", advice)
        return self.drafts[number]

    def reachable(self, target: Draft) -> set[int]:
        """The numbers of the stages that ``target`` needs, its own among them."""
        found: set[int] = set()
        left = [target.number]
        while left:
            number = left.pop()
            if number not in found:
                found.add(number)
                draft = self.drafts[number]
                left += [*draft.needs, *([] if draft.base is None else [draft.base])]
        return found

    def needed_by(self, statement: i.Statement) -> list[int]:
        """The stages that an instruction takes files from."""
        if isinstance(statement, i.Copy) and statement.origin:
            number = self.copied(statement)
            return [] if number is None else [number]
        if isinstance(statement, i.Run):
            names = (source_name(text, statement.span) for text in statement.mounts)
            return [number for name in names if name and (number := self.named(name)) is not None]
        return []

    def copied(self, copy: i.Copy) -> int | None:
        """The stage of ``--from``: by name, or by number. None: it names none, and so an image or a context."""
        try:
            expanded = Lexer().word(copy.origin, {})
        except ExpansionError as error:
            raise copy.span.error(str(error)) from None
        if expanded != copy.origin:
            raise copy.span.error(
                "variable expansion is not supported for --from, "
                "define a new stage with FROM using ARG from global scope as a workaround"
            )
        number = _number(copy.origin)
        if number is None:
            return self.named(copy.origin)
        if not 0 <= number < len(self.drafts):
            raise copy.span.error(f"invalid stage index {number}", f"The stages are 0 to {len(self.drafts) - 1}.")
        return number


def connect(drafts: Sequence[Draft], variables: Mapping[str, str], lexer: Lexer) -> Stages:
    """Name the stages and find what each starts from and needs.

    Raises :class:`DockerfileError` for what FROM cannot mean, and for stages that need each other.
    """
    names: dict[str, int] = {}
    for draft in drafts:
        start = draft.start
        draft.image = _expanded(start.base, variables, lexer, start.span)
        if not draft.image:
            raise start.span.error(f"base name ({start.base}) should not be blank", _unset(start.base))
        if start.platform:
            draft.platform = _platform(start, variables, lexer)
        draft.base = names.get(draft.image)
        if start.name:
            names[start.name] = draft.number
    for draft in drafts:  # of several stages with the same name, the last one keeps it
        name = draft.start.name
        draft.name = name if name and names[name] == draft.number else str(draft.number)
    stages = Stages(drafts, names)
    for draft in drafts:
        add_needs(draft, draft.statements, stages)
    _check_cycles(drafts)
    return stages


def add_needs(draft: Draft, statements: Iterable[i.Statement], stages: Stages) -> None:
    """Note what ``statements`` of ``draft`` take files from."""
    for statement in statements:
        for number in stages.needed_by(statement):
            draft.needs.setdefault(number, statement)


def _check_cycles(drafts: Sequence[Draft]) -> None:
    done: set[int] = set()
    for first in drafts:
        path: dict[int, None] = {}
        stack = [(first.number, iter(first.needs.items()))] if first.number not in done else []
        path.update({number: None for number, _ in stack})
        while stack:
            number, needs = stack[-1]
            following = next(needs, None)
            if following is None:
                done.add(number)
                path.pop(number)
                stack.pop()
                continue
            needed, statement = following
            if needed in path:
                raise statement.span.error(f"circular dependency detected on stage: {drafts[needed].shown}")
            if needed not in done:
                path[needed] = None
                stack.append((needed, iter(drafts[needed].needs.items())))


def _platform(start: i.From, variables: Mapping[str, str], lexer: Lexer) -> Platform:
    text = _expanded(start.platform, variables, lexer, start.span)
    if not text:
        message = f"empty platform value from expression {start.platform}"
        raise start.span.error(message, _unset(start.platform))
    try:
        return Platform.parse(text)
    except UsageError as error:
        raise start.span.error(f"failed to parse platform {start.platform}: {error.message}", error.hint) from None


def _expanded(text: str, variables: Mapping[str, str], lexer: Lexer, span: Span) -> str:
    try:
        return lexer.word(text, variables)
    except ExpansionError as error:
        raise span.error(str(error)) from None


def _unset(text: str) -> str | None:
    if "$" not in text:
        return None
    return "Its variables are empty: declare them with ARG before the first FROM, or give them with --build-arg."


def _number(text: str) -> int | None:
    if text.removeprefix("-").removeprefix("+").isascii() and text.lstrip("+-").isdecimal() and len(text) < 10:
        try:
            return int(text)
        except ValueError:
            return None
    return None
