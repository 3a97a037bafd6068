"""Try the most downloaded distributions with extension modules, and write docs/survey.md of what came out."""

from __future__ import annotations

import argparse
from pathlib import Path

from survey.distributions import Distribution, distributions
from survey.document import document
from survey.results import Outcome, Results, today
from survey.targets import TARGETS, Target
from survey.trial import Trials

ROOT = Path(__file__).parent.parent
FOLDER = Path("/tmp/survey")
MUSL = ROOT.parent / "shared" / "bases" / "musl-python-3.13.tar.zst"
_STORE = 10 << 30  # bytes, at which it is pruned


def main() -> None:
    """Run what was not run yet, or what was chosen."""
    parser = argparse.ArgumentParser(prog="python -m survey", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="try this distribution, again if it was")
    parser.add_argument("--target", action="append", choices=[one.name for one in TARGETS], help="for this target")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME=WHY", help="do not try this one: say why")
    parser.add_argument("--again", action="store_true", help="try again what did not work")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"store, logs and results (default: {FOLDER})")
    parser.add_argument("--musl", type=Path, default=MUSL, help="archive of a root filesystem with musl and Python")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "survey.md", help="the document")
    arguments = parser.parse_args()
    trials = Trials(arguments.folder)
    results = Results(arguments.folder / "results.json")
    everything = distributions()
    chosen = [one for one in everything if not arguments.only or one.name in arguments.only]
    skipped = dict(text.split("=", 1) for text in arguments.skip)
    targets = [one for one in TARGETS if not arguments.target or one.name in arguments.target]
    if any(target.name == "musl-amd64" for target in targets):
        trials.prepare(arguments.musl)
    for target in targets:
        for distribution in chosen:
            if target.source and distribution.sdist is None:
                continue
            known = results.get(distribution.name, target.name)
            if known and not arguments.only and not (arguments.again and known.status in {"fails", "not tried"}):
                continue
            twin = results.get(distribution.name, TARGETS[0].name)
            outcome = _tried(trials, distribution, target, twin, skipped.get(distribution.name, ""))
            results.put(distribution.name, target.name, outcome)
            print(f"{target.name:<12} {distribution.name:<28} {_told(outcome)}", flush=True)
            trials.prune(_STORE)
    arguments.out.write_text(document(everything, results), encoding="utf-8")


def _tried(trials: Trials, distribution: Distribution, target: Target, twin: Outcome | None, why_not: str) -> Outcome:
    if why_not:
        return Outcome("not tried", reason=why_not, date=today())
    return trials.attempt(distribution, target, twin)


def _told(outcome: Outcome) -> str:
    about = ", ".join(outcome.about)
    remarks = "; ".join(outcome.remarks[:3])
    return (
        f"{outcome.status:<9} {outcome.version:<12} {outcome.seconds:6.1f} s {outcome.size / 1e6:7.1f} MB "
        f"{outcome.loaded}/{outcome.extensions} {outcome.reason} {about} {remarks}"
    ).rstrip()


if __name__ == "__main__":
    main()
