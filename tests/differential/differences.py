"""Where wherry and Docker differ on purpose, and why.

``python -m tests.differential.differences`` writes ``docs/dockerfile-differences.md`` from this table. What wherry does
in these cases is recorded too, beside what Docker does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "dockerfile-differences.md"

_HEAD = """# Where wherry differs from docker build

Several hundred small Dockerfiles are built with both, and what comes out is compared: the config, the history, and
every path of the root filesystem with its type, mode, owner, content, link target, hard links and extended attributes
([the cases](../tests/differential/cases)). What Docker makes of them is recorded, with the newest engine that Debian
has. All are equal but for these, which are different on purpose.
"""


@dataclass(frozen=True)
class Difference:
    """One difference: what it is, why, and the cases (``module/name``) that show it."""

    what: str
    why: str
    cases: tuple[str, ...]


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        what="A file whose name begins with .wh. cannot be added or copied",
        why="In a layer such a name says that something is removed. Docker writes it all the same, and the image then "
        "lacks files that the build had; wherry refuses.",
        cases=("add/tar-whiteout-names",),
    ),
    Difference(
        what="Extended attributes of users stay",
        why="Docker shows attributes like `user.note` to the build and leaves them out of the layers; only file "
        "capabilities survive. An image that lacks what its build saw is a surprise: what an archive or a stage holds, "
        "or a RUN sets, is in wherry's layers. From the build context capabilities alone are taken, by both.",
        cases=("add/tar-special-members", "add/tar-special-members-copied-on", "add/capability-through-run"),
    ),
    Difference(
        what="A base whose layers have no history has a line for each of them, before those of the instructions",
        why="Such is a folder given as `--build-context`. Docker adds the missing lines at the end, where they stand "
        "for other layers than those that have none.",
        cases=("from/named-context-folder-as-base",),
    ),
)


def deliberate(case: str) -> Difference | None:
    """The difference that ``case`` shows, if any."""
    return next((one for one in DIFFERENCES if case in one.cases), None)


def document() -> str:
    """The text of ``docs/dockerfile-differences.md``."""
    parts = [_HEAD]
    for one in DIFFERENCES:
        shown = ", ".join(f"`{case}`" for case in one.cases)
        parts.append(f"## {one.what}\n\n{one.why}\n\nCases: {shown}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(document())
