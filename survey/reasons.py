"""Why something failed, in a few words, out of what `wherry` said."""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_WHEEL, FAILS = "no wheel", "fails"

_ERROR = re.compile(r"^wherry: error: (.*)", re.M | re.S)
_STEP = re.compile(r"^#(\d+) build (\S+) (\S+)$", re.M)
_LACKING = re.compile(r"^  (\S+) (\S+): (?:wheels exist for|no wheel|it has)", re.M)
_UNBUILT = re.compile(r"no wheel can be built from (\S+) ([^\s:]+)")
_LIBRARY = re.compile(r"Error loading shared library (\S+):|(\S+): cannot open shared object file")
_FOREIGN = re.compile(r"(\S+) (\S+)(?: \(required by [^)]*\))? has no wheel for .* has to be compiled")


@dataclass(frozen=True)
class Reason:
    """What kind of failure it is, which distributions (with versions) it is about, and what was said in one line."""

    kind: str
    about: tuple[str, ...]
    text: str


def built(name: str, output: str) -> bool:
    """Whether a build that said ``output`` made the wheel of ``name`` itself."""
    return any(found == name for _, found, _ in _STEP.findall(output))


def of_build(output: str) -> Reason:
    """Why a build ended with ``output`` on standard error."""
    match = _ERROR.search(output)
    error = match[1].strip() if match else output.strip()
    line = next(iter(error.splitlines()), "")
    if "takes a build-base" in line:
        # The error does not name it; the last step that began does.
        found = _STEP.findall(output)
        return Reason(
            NO_WHEEL, tuple(f"{name} {version}" for _, name, version in found[-1:]), "only a source distribution"
        )
    if foreign := _FOREIGN.search(line):
        return Reason(NO_WHEEL, (f"{foreign[1]} {foreign[2]}",), "only a source distribution")
    if re.search(r"requirements? ha(s|ve) no wheel", line):
        about = tuple(f"{name} {version}" for name, version in _LACKING.findall(error))
        return Reason(NO_WHEEL, about, "neither a wheel that fits nor a source distribution")
    if of := _UNBUILT.match(line):
        line = next((text for text in error.splitlines() if re.search(r"\berror:", text)), line)
        line = re.sub(r".*\berror:\s*", "it does not compile: ", line)
        return Reason(FAILS, (f"{of[1]} {of[2]}",), line[:300])
    return Reason(FAILS, (), line[:300])


def of_run(output: str) -> Reason:
    """Why an image's program ended with ``output`` on standard error: the last line of a traceback.

    If that tells of a program which it started, the first line, which is the program's own.
    """
    lines = [line for line in output.splitlines() if line and not line.startswith(" ")]
    said = lines[0 if "CalledProcessError" in lines[-1] else -1] if lines else "nothing was said"
    if library := _LIBRARY.search(said):
        return Reason(FAILS, (), f"it needs {library[1] or library[2]}, which the image does not have")
    return Reason(FAILS, (), said[:300])
