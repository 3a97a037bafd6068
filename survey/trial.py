"""One distribution for one target: built, read, run, and removed again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from survey import reasons
from survey.command import Done, Wherry
from survey.distributions import Distribution
from survey.images import Contents, contents
from survey.linking import FOREIGN, extensions, wrong
from survey.project import write_project
from survey.results import Outcome, Status, today
from survey.targets import MUSL_BASE, Target

_BUILD, _RUN = 2400, 180  # seconds
_UNPACKED = 4  # times as large as the layers
_STATUS: dict[str, Status] = {reasons.NO_WHEEL: "no wheel", reasons.FAILS: "fails"}


class Trials:
    """Where it happens: a folder with a store, the projects, and what was said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store = folder / "store"
        self.wherry = Wherry(self.store)
        self._made = 0
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def prepare(self, musl: Path) -> None:
        """Make the musl base of a root filesystem's archive, once."""
        context = self._folder / "musl-base"
        context.mkdir(exist_ok=True)
        archive = context / musl.name
        archive.write_bytes(musl.read_bytes())
        text = f"FROM scratch\nADD {musl.name} /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n"
        (context / "Dockerfile").write_text(text)
        self.wherry.ok("build", "--quiet", "-t", MUSL_BASE, context)

    def attempt(self, distribution: Distribution, target: Target, twin: Outcome | None = None) -> Outcome:
        """Build a project that requires ``distribution`` for ``target``, and find out whether its image works.

        ``twin`` is what came out where the image was run: what was lacking there and not missed is not needed.
        """
        folder = self._folder / "projects" / f"{distribution.name}-{target.name}"
        metadata = folder.with_suffix(".json")
        write_project(folder, distribution, source=target.source)
        name = f"survey-{distribution.name}"
        words = ["--tag", name, "--no-bytecode", "--compression-level", "1", "--progress", "plain", *target.options]
        done = self.wherry("build", *words, "--metadata-file", metadata, folder, limit=_BUILD)
        log = self._folder / "logs" / f"{distribution.name}-{target.name}.txt"
        log.write_text(done.output + done.errors)
        if done.code != 0:
            return replace(_failed(reasons.of_build(done.errors)), seconds=round(done.seconds, 1))
        try:
            digest = json.loads(metadata.read_text())["containerimage.digest"]
            outcome = _read(contents(self.store, digest), distribution, target, twin)
            built = target.source or reasons.built(distribution.name, done.errors)
            outcome = replace(outcome, built=built, seconds=round(done.seconds, 1))
            self._made += outcome.size
            if target.runs:
                ran = self.wherry("run", "--network", "none", name, limit=_RUN)
                with log.open("a") as file:
                    file.write(f"\nrun: {ran.code}\n{ran.output}{ran.errors}")
                outcome = _with_run(outcome, ran)
            return outcome
        finally:
            self.wherry("rm", name)

    def prune(self, most: int) -> None:
        """Make room if the images made since the last time, packed and unpacked, may take more than ``most`` bytes."""
        if self._made * _UNPACKED > most:
            self.wherry.ok("prune", "--older-than", "0h")
            self._made = 0


def _failed(reason: reasons.Reason) -> Outcome:
    return Outcome(_STATUS[reason.kind], reason=reason.text, about=reason.about, date=today())


def _read(found: Contents, distribution: Distribution, target: Target, twin: Outcome | None) -> Outcome:
    """What the image's files tell."""
    architecture = "arm64" if "linux/arm64" in target.options else "amd64"
    libc = "musl" if MUSL_BASE in target.options else "glibc"
    installed = found.distributions.get(distribution.name)
    remarks = tuple(wrong(found, architecture, libc))
    outcome = Outcome("works", remarks=remarks, extensions=extensions(found), size=found.size, date=today())
    if installed is None:
        return replace(outcome, status="fails", reason="it is not in the image")
    outcome = replace(outcome, version=installed.version, tags=installed.tags)
    unneeded = set(map(_first, twin.remarks)) if twin and twin.status == "works" else set()
    if outcome.pure:  # what such a wheel has for one machine cannot matter to others
        unneeded |= {_first(remark) for remark in remarks if FOREIGN in remark}
    serious = [remark for remark in remarks if _first(remark) not in unneeded]
    if serious and not target.runs:
        return replace(outcome, status="fails", reason=serious[0])
    return outcome


def _first(remark: str) -> str:
    """The file that a remark is about."""
    return remark.partition(" ")[0]


def _with_run(outcome: Outcome, ran: Done) -> Outcome:
    """``outcome`` with what the image's program said."""
    if ran.code != 0:
        reason = reasons.of_run(ran.errors)
        return replace(outcome, status="fails", reason=reason.text)
    said = json.loads(ran.output.strip().splitlines()[-1])
    return replace(outcome, loaded=said["loaded"])
