"""Rows that several groups have: cold builds, and small changes of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.builders import QUICK, VERSIONS, Bench, Build, Project
from bench.table import Row


def cold(bench: Bench, what: str, context: Path, warm: Path | None = None) -> Iterator[Row]:
    """Both builders with empty caches; wherry's store begins as ``warm``, or empty."""
    ours, theirs, plain = bench.turns(
        lambda: bench.ours_cold(warm, context),
        lambda: bench.theirs_cold(context),
        lambda: bench.ours_cold(warm, context, "--compression", "uncompressed"),
    )
    yield Row(f"{what}, cold", ours, theirs, 1.0)
    yield Row(f"{what}, cold, uncompressed", plain, theirs)


def small_changes(
    bench: Bench, what: str, project: Project, ours: Build, theirs: Build, requirement: float
) -> Iterator[Row]:
    """Nothing changed, one source line, one requirement; ``requirement`` is the aim of the last."""
    seconds = bench.turns(ours, theirs, runs=QUICK)
    yield Row(f"{what}, nothing changed", seconds[0], seconds[1], 1.0)
    seconds = bench.turns(ours, theirs, before=project.change, runs=QUICK)
    yield Row(f"{what}, one source line changed", seconds[0], seconds[1], 1.0)
    seconds = bench.turns(ours, theirs, before=project.require, runs=min(bench.runs, len(VERSIONS)))
    yield Row(f"{what}, one requirement changed", seconds[0], seconds[1], requirement)
