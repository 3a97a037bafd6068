"""Writes docs/survey.md: the counts, what does not work and why, and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from survey.distributions import Distribution
from survey.results import Outcome, Results
from survey.targets import TARGETS, Target

_HEAD = """\
# Survey: the 100 most downloaded distributions with something compiled in them

Does an image with `numpy` in it start? And with the 99 others? `python -m survey` builds a project for each of them
and for each target, with `wherry build` and no settings: `requirements.txt` names the distribution without a version,
`main.py` imports it. This is what came out {when}, with the versions that were the latest then.

- **glibc** is `debian://trixie` with Python 3.13, **musl** an image with musl 1.2, Python 3.13 and nothing else: it has
  neither the `libz.so.1` nor the SQLite that Alpine's images have. Nothing was compiled for musl, which takes a
  `build-base`.
- **amd64**: the image is run (`wherry run --network none`). It must import the modules that are compiled, where the
  distribution could do without them, and run its program where it has one.
- **arm64**: no emulator, so the files' headers are read: every program and library in `/opt/venv` must be for AArch64,
  must not want another C library, and must find each library that it needs in the image, those excepted that the
  same distribution lacked on amd64 and worked without (drivers of graphics cards, other thread pools).
- **pure Python** means that the target has no compiled wheel, but one for any platform, with which it works too.
- **from source**: glibc on amd64, the same project with `no-binary = ["NAME"]` and the `build-packages` of the last
  table. Nothing is said about what the image needs: the libraries' packages are found by Wherry. The seconds are
  those of one build each, on two cores that had other work: they tell minutes from seconds, no more.
- All builds were made with `--no-bytecode --compression-level 1` and the public index alone.
"""
_LIST = """\
## The list

By rank among the 15,000 most downloaded distributions (November 2026), those of which the latest version has a wheel
for a platform rather than for any. `pywin32`, which is for Windows alone, is left out. The compiled part need not be
an extension module: `ruff` and `uv` are programs, and `watchdog`'s wheels for Linux differ only in their name. Which
distributions these are was judged by name first, and then by the wheel that was installed: one that nobody thought of
may be missing.
"""
_WORKS = "works"


def document(everything: Sequence[Distribution], results: Results) -> str:
    """The document."""
    lines = [_HEAD.format(when=_when(results)), *_summary(results), "", *_failures(everything, results), ""]
    lines += [*_table(everything, results), "", *_sources(everything, results), "", _LIST]
    return "\n".join(lines)


def _when(results: Results) -> str:
    dates = sorted({one.date for target in TARGETS for _, one in results.of(target.name)})
    return " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"


def _summary(results: Results) -> Iterator[str]:
    yield "| target | works: wheel | works: pure Python | works: built from source | no wheel | fails | not tried |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for target in TARGETS:
        found = Counter(_kind(one) for _, one in results.of(target.name))
        numbers = (found[kind] for kind in ("wheel", "any", "built", "no wheel", "fails", "not tried"))
        yield f"| {target.title} | {' | '.join(str(number) for number in numbers)} |"


def _kind(outcome: Outcome) -> str:
    if outcome.status != _WORKS:
        return outcome.status
    if outcome.built:
        return "built"
    return "any" if outcome.pure else "wheel"


def _failures(everything: Sequence[Distribution], results: Results) -> Iterator[str]:
    yield "## What does not work, and why"
    noted: set[str] = set()
    for target in TARGETS:
        groups: dict[str, list[str]] = {}
        for one in everything:
            outcome = results.get(one.name, target.name)
            if outcome is not None and outcome.status != _WORKS:
                groups.setdefault(_why(outcome), []).append(_named(one.name, outcome))
                noted.add(one.name)
        if groups:
            yield f"\n**{target.title[0].upper()}{target.title[1:]}**\n"
        for why, names in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            yield f"- {why}: {', '.join(names)}"
    yield "\n**Notes**\n"
    for one in everything:
        if one.name in noted and one.note:
            yield f"- `{one.name}`: {one.note}."


def _why(outcome: Outcome) -> str:
    if outcome.status == "no wheel":
        return f"no wheel, {outcome.reason}"
    if outcome.status == "not tried":
        return f"not tried, {outcome.reason}"
    return outcome.reason


def _named(name: str, outcome: Outcome) -> str:
    others = [about for about in outcome.about if about.partition(" ")[0] != name]
    return f"`{name}` (requires {', '.join(others)})" if others else f"`{name}`"


def _table(everything: Sequence[Distribution], results: Results) -> Iterator[str]:
    yield "## The table"
    yield ""
    yield f"| rank | distribution | version | {' | '.join(target.title for target in TARGETS)} |"
    yield "| ---: | --- | --- | --- | --- | --- | --- |"
    for one in everything:
        version = _version(one, results)
        cells = [_cell(results.get(one.name, target.name), target, version) for target in TARGETS]
        yield f"| {one.rank} | {one.name} | {version} | {' | '.join(cells)} |"


def _version(distribution: Distribution, results: Results) -> str:
    """The version that was installed where the base is the default one; else that which was looked for; or nothing."""
    some = (target for target in TARGETS if "--base" not in target.options)
    found = [one for target in some if (one := results.get(distribution.name, target.name))]
    if versions := [one.version for one in found if one.version]:
        return versions[0]
    about = [text.split(" ") for one in found for text in one.about]
    return next((version for name, version in about if name == distribution.name), "")


def _cell(outcome: Outcome | None, target: Target, version: str) -> str:
    if outcome is None:
        return ""
    text = _kind(outcome)
    if text == "built" and target.source:
        text = f"built, {outcome.seconds:.0f} s"
    if text == "any":
        text = "pure Python"
    if text in {"no wheel", "fails"}:
        text = f"**{text}**"
    return f"{text} ({outcome.version})" if outcome.version and outcome.version != version else text


def _sources(everything: Sequence[Distribution], results: Results) -> Iterator[str]:
    yield "## From source"
    yield ""
    yield "Seconds are those of the whole build on two busy cores, the toolchain and build requirements with it if no"
    yield "earlier build had made them."
    yield ""
    yield "| distribution | version | build-packages | build-env | seconds | |"
    yield "| --- | --- | --- | --- | ---: | --- |"
    for one in everything:
        outcome = results.get(one.name, "sdist")
        if outcome is None or one.sdist is None:
            continue
        packages = ", ".join(f"`{name}`" for name in one.sdist.packages)
        variables = ", ".join(f"`{name}={text}`" for name, text in one.sdist.environment.items())
        said = _kind(outcome) if outcome.status == _WORKS else f"**{outcome.status}**"
        yield f"| {one.name} | {outcome.version} | {packages} | {variables} | {outcome.seconds:.0f} | {said} |"
