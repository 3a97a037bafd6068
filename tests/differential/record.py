"""Record what Docker makes of the cases.

``python -m tests.differential.record`` builds every case with this machine's engine and writes what came of it;
``--root DIR`` takes the engine of another root filesystem, ``--compare`` only notes whether the engine gives the
same as recorded and shows what it gives otherwise. Words choose cases by a part of their names. Needs to be root.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.differential import bases, recording
from tests.differential.building import EngineEnded, build_with_docker, build_with_wherry
from tests.differential.case import Case
from tests.differential.cases import all_cases
from tests.differential.differences import deliberate
from tests.differential.engines import Engine, docker_engine
from tests.differential.recording import Outcome, Recording
from tests.differential.server import serving


def main() -> int:
    """Record, or compare; gives the number of cases that are not as they should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential.record", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="the root filesystem that the engine is in")
    parser.add_argument("--compare", action="store_true", help="change only the list of engines that agree")
    parser.add_argument("names", nargs="*", help="parts of names")
    parser.add_argument("--own", action="store_true", help="record what wherry makes of the deliberate differences")
    given = parser.parse_args()
    if given.own:
        return _record_own()
    chosen = [
        (module, case)
        for module, case in all_cases()
        if not case.by_hand and any(part in f"{module}/{case.name}" for part in given.names or [""])
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the engine is stopped
    wrong, left = 0, list(chosen)
    while left:
        wrong += _some(left, given.root.absolute(), compare=given.compare)
    if not given.names and not given.compare:
        _remove_strays()
    print(f"{len(chosen)} cases, {wrong} to look at")
    return min(wrong, 1)


def _some(left: list[tuple[str, Case]], root: Path, *, compare: bool) -> int:
    """Build cases off ``left`` until none is left or the engine has ended; gives how many are to be looked at."""
    wrong = 0
    with docker_engine(root) as engine, tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        engine.load_bases()
        version = engine.version()
        while left:
            module, case = left.pop(0)
            try:
                told = _one(module, case, engine, version, server, compare=compare)
            except EngineEnded:
                print(f"{module}/{case.name}: Docker Engine {version} has ended")
                return wrong + 1
            wrong += bool(told)
            if told:
                print(f"{module}/{case.name}", *(f"    {line}" for line in told), sep="\n", flush=True)
    return wrong


def _record_own() -> int:
    """Write down what wherry makes of the cases in which it differs on purpose."""
    from tests.conftest import Wherry

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bases.stock(folder / "store")
        with serving(folder / "server") as server:
            for module, case in all_cases():
                if not deliberate(f"{module}/{case.name}"):
                    continue
                found, _ = build_with_wherry(case, Wherry(folder / "store"), folder / f"{module}-{case.name}", server)
                recording.write(Recording(found, "wherry"), recording.own_path_of(module, case))
                print(f"{module}/{case.name}")
    return 0


def _one(module: str, case: Case, engine: Engine, version: str, server: str, *, compare: bool) -> list[str]:
    path = recording.path_of(module, case)
    folder = Path(tempfile.mkdtemp(dir=engine.folder))
    try:
        found = build_with_docker(case, engine, folder, server)
    finally:
        shutil.rmtree(folder)
    if compare:
        return _note(path, version, found)
    told = [f"Docker says: {found.refused}"] if bool(found.refused) != case.refused else []
    told += [f"not in Docker's message: {word} ({found.refused})" for word in case.words if word not in found.refused]
    known = recording.read(path) if path.exists() else None
    same_in = known.same_in if known and known.outcome == found else ()
    recording.write(Recording(found, version, tuple(other for other in same_in if other != version)), path)
    return told


def _note(path: Path, version: str, found: Outcome) -> list[str]:
    known = recording.read(path)
    told = recording.differences(known.outcome, found)
    others = {*known.same_in} - {version}
    same_in = others if told or version == known.engine else {*others, version}
    recording.write(replace(known, same_in=tuple(sorted(same_in))), path)
    return told


def _remove_strays() -> None:
    wanted = {recording.path_of(module, case) for module, case in all_cases()}
    for path in recording.EXPECTED.glob("*/*.json"):
        if path not in wanted:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
