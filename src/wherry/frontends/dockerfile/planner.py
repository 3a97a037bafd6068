"""A Dockerfile to a Plan: stages are named and connected, then those that the target needs are expanded in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from wherry.errors import UsageError, WherryError
from wherry.frontends.dockerfile import instruction as i
from wherry.frontends.dockerfile import source as text_of
from wherry.frontends.dockerfile import variables
from wherry.frontends.dockerfile.budget import Budget
from wherry.frontends.dockerfile.expansion import Lexer
from wherry.frontends.dockerfile.gotext import quote
from wherry.frontends.dockerfile.options import DockerfileOptions, Resolver
from wherry.frontends.dockerfile.parser import parse
from wherry.frontends.dockerfile.source import Source
from wherry.frontends.dockerfile.stages import Draft, Stages, add_needs, connect, split
from wherry.frontends.dockerfile.steps import State, Steps, Surrounding, instruction_at
from wherry.image.config import RuntimeConfig
from wherry.image.platform import Platform
from wherry.image.reference import Reference
from wherry.plan import (
    DEFAULT_EPOCH,
    Base,
    BuildContext,
    Configure,
    Origin,
    Plan,
    Stage,
    StageRef,
    Step,
)

_SCRATCH = "scratch"
_TRIGGER_COST = 4096  # in characters: many stages may share many triggers
_NEVER_REPLACED = frozenset({"scratch", "context"})


def plan(text: bytes, options: DockerfileOptions, resolve: Resolver) -> Plan:
    """The Plan of a Dockerfile. Bases of stages that the target needs are asked of ``resolve``, in the file's order.

    Stages that the target does not need are in the Plan without steps. Raises
    :class:`~wherry.frontends.dockerfile.errors.DockerfileError`, and what ``resolve`` raises.
    """
    source = text_of.read(text, options.file)
    declared, drafts = split(source)
    platform = options.platform or Platform.native()
    given = dict(options.build_args)
    if options.epoch is not None:
        given.setdefault(variables.EPOCH, str(options.epoch))
    lexer = Lexer(source.escape, budget=Budget())
    target_name = options.target or drafts[-1].start.name
    automatic = variables.automatic(options.build_platform or Platform.native(), platform, target_name, given)
    before = variables.before_stages(declared, automatic, given, lexer)
    epoch = _epoch(given, before, source)
    stages = connect(drafts, before, lexer)
    target = stages.target(options.target, source)
    builder = _Builder(source, stages, options, resolve, lexer.budget)
    around = Surrounding(
        lexer=lexer,
        given=given,
        before_stages=before,
        proxies=variables.proxies(given),
        network=options.network,
        epoch=epoch,
        origin=builder.origin,
        copy_origin=builder.copy_origin,
    )
    built = builder.build(target, around)
    takers = [*declared, *(one for draft in drafts for one in draft.statements), *builder.triggers()]
    return Plan(
        stages=built,
        target=target.name,
        platform=platform,
        epoch=DEFAULT_EPOCH if epoch is None else epoch,
        times="real" if epoch is None else "clamped",
        notes=tuple(variables.unused(dict(options.build_args), automatic, takers)),
    )


def _epoch(given: dict[str, str], before: dict[str, str], source: Source) -> int | None:
    value = given.get(variables.EPOCH, before.get(variables.EPOCH, ""))
    try:
        return variables.epoch(value)
    except ValueError as error:
        raise UsageError(str(error), hint="It is a whole number of seconds since 1970.") from None


@dataclass(slots=True)
class _Prepared:
    """A stage whose base is known: the state in which it begins, and the base's triggers, which come first."""

    base: Base | StageRef
    state: State | None
    triggers: list[i.Statement] = field(default_factory=list)


class _Builder:
    """Plans the stages of one Dockerfile."""

    def __init__(
        self, source: Source, stages: Stages, options: DockerfileOptions, resolve: Resolver, budget: Budget
    ) -> None:
        self.source = source
        self.stages = stages
        self.options = options
        self.resolve = resolve
        self.budget = budget
        self.contexts = {_familiar(name): name for name in options.contexts}
        self.prepared: dict[int, _Prepared] = {}

    def build(self, target: Draft, around: Surrounding) -> tuple[Stage, ...]:
        needed, lexer = self._prepare(target), around.lexer
        states: dict[int, State] = {}
        built: list[Stage] = []
        for draft in self.stages.drafts:
            if draft.number not in needed:
                purpose = f"not needed for {target.shown}"
                built.append(Stage(draft.name, self._base(draft), (), purpose))
                continue
            prepared = self.prepared[draft.number]
            if isinstance(prepared.base, StageRef) and draft.base is not None:
                try:
                    state = states[draft.base].inherited(lexer.budget)
                except ValueError as error:
                    raise draft.start.span.error(str(error)) from None
            else:
                state = prepared.state or State()
            steps = Steps(state, around)
            done: list[Step] = []
            if not self._replaced(draft):
                done += steps.begin(draft.start)
                done += [steps.trigger(statement) for statement in prepared.triggers]
                done += [steps.step(statement) for statement in draft.statements]
            if draft is target and self.options.labels:
                words = instruction_at(draft.start.span, "LABEL of the command line")
                done.append(Configure(labels=self.options.labels, instruction=words))
            states[draft.number] = steps.state
            built.append(Stage(draft.name, prepared.base, tuple(done)))
        return tuple(built)

    def triggers(self) -> list[i.Statement]:
        """The instructions that bases have brought along."""
        return [statement for prepared in self.prepared.values() for statement in prepared.triggers]

    def _prepare(self, target: Draft) -> set[int]:
        """Find the bases of all stages that are needed. Their triggers may need further stages."""
        left = sorted(self.stages.reachable(target))  # a heap: the first in the file is prepared first
        while left:
            draft = self.stages.drafts[heappop(left)]
            if draft.number in self.prepared:
                continue
            self.prepared[draft.number] = prepared = self._begin(draft)
            add_needs(draft, prepared.triggers, self.stages)
            self._check_order(draft)
            for number in (*draft.needs, *([] if draft.base is None else [draft.base])):
                if number not in self.prepared:
                    heappush(left, number)
        return set(self.prepared)

    def _check_order(self, draft: Draft) -> None:
        for number, statement in draft.needs.items():
            if number >= draft.number:
                does = "copy" if isinstance(statement, i.Copy) else "mount"
                other, current = quote(self.stages.drafts[number].shown), quote(draft.shown)
                raise statement.span.error(
                    f"cannot {does} from stage {other}, it needs to be defined before current stage {current}"
                )

    def _begin(self, draft: Draft) -> _Prepared:
        base = self._base(draft)
        if isinstance(base, StageRef):
            assert draft.base is not None
            before = self.stages.drafts[draft.base]
            triggers = [one.trigger for one in before.statements if isinstance(one, i.Onbuild)]
            if self._replaced(before):
                triggers = []
            return _Prepared(base, None, self._parsed(triggers, draft))
        runtime = RuntimeConfig()
        if base.source != _SCRATCH:
            try:
                runtime = self.resolve.config(base).runtime
            except WherryError as error:
                error.place = error.place or draft.start.span.place
                raise
        onbuild = runtime.other.get("OnBuild")
        triggers = [str(trigger) for trigger in onbuild] if isinstance(onbuild, list) else []
        if self._replaced(draft):
            triggers = []
        return _Prepared(base, State.of(runtime), self._parsed(triggers, draft))

    def _parsed(self, triggers: Sequence[str], draft: Draft) -> list[i.Statement]:
        """The instructions of a base's triggers, which stand where FROM does."""
        span = draft.start.span
        found: list[i.Statement] = []
        for trigger in triggers:
            try:
                self.budget.spend(_TRIGGER_COST + len(trigger))
            except ValueError as error:
                raise span.error(str(error)) from None
            read = text_of.read(trigger.encode("utf-8", "replace"), self.options.file)
            if len(read.lines) != 1:
                raise span.error("onbuild trigger should be a single expression")
            statement = parse(replace(read.lines[0], span=span), read.escape)
            if isinstance(statement, i.From):
                raise span.error("FROM isn't allowed as an ONBUILD trigger")
            found.append(statement)
        return found

    def _replaced(self, draft: Draft) -> bool:
        """Whether a named context takes the place of a stage, and of all its instructions."""
        return bool(draft.start.name) and self._context(draft.start.name) is not None

    def _base(self, draft: Draft) -> Base | StageRef:
        if self._replaced(draft):
            return Base(f"context:{self._context(draft.start.name)}", platform=draft.platform)
        if draft.base is not None:
            return StageRef(self.stages.drafts[draft.base].name)
        if draft.image != _SCRATCH and (context := self._context(draft.image)) is not None:
            return Base(f"context:{context}", platform=draft.platform)
        return Base(draft.image, platform=None if draft.image == _SCRATCH else draft.platform)

    def _context(self, name: str) -> str | None:
        """The named context that stands for ``name``, if there is one."""
        if not self.contexts or name.lower() in _NEVER_REPLACED:
            return None
        return self.contexts.get(_familiar(name))

    def origin(self, name: str) -> Origin:
        """What ``name`` means to COPY --from and to a mount: a stage, a context, an image; or else the main context."""
        if not name:
            return BuildContext(self.options.ignore)
        number = self.stages.named(name)
        if number is not None:
            return self._stage(number)
        context = self._context(name)
        return Base(name) if context is None else BuildContext(name=context)

    def copy_origin(self, copy: i.Copy) -> Origin:
        """Where COPY takes its files from; ``--from`` may be the number of a stage."""
        number = self.stages.copied(copy) if copy.origin else None
        return self.origin(copy.origin) if number is None else self._stage(number)

    def _stage(self, number: int) -> Origin:
        return StageRef(self.stages.drafts[number].name)


def _familiar(name: str) -> str:
    """The shortest name of an image, as named contexts are compared: without Docker Hub's host and ``:latest``."""
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except WherryError:
        return name
