"""COPY --parents: newer than the engines that can be had here, so what is expected is written by hand.

The Dockerfile reference says what it does; that directories keep their modes is as BuildKit copies by pattern.
"""

from __future__ import annotations

from tests.differential.case import Case
from tests.differential.cases.copy import TREE


def case(name: str, text: str) -> Case:
    """A stage of a few instructions and a context with files of all kinds."""
    return Case(name, f"FROM wherry.test/base\n{text}", TREE, by_hand=True)


CASES = (
    case("several", "COPY --parents d/g/h.txt d/e /x/\nCOPY --parents d/g /y/\n"),
    case("pivot", "COPY --parents d/./g/h.txt /x/\nCOPY --parents ./d/g/./i/ /y/\n"),
    case("glob", "COPY --parents d/*/*.txt /x/\nCOPY --parents **/*.txt /y/\n"),
    case("modes-of-directories", "COPY --parents closed/x empty /x/\nCOPY --parents --chown=app closed/x /y/\n"),
    case(
        "absolute-and-from-image",
        "COPY --parents /d/g/h.txt /x/\nCOPY --parents --from=wherry.test/base /srv/data/./sub/two /y/\n",
    ),
    case("with-exclude", "COPY --parents --exclude=**/j.txt d /x/\n"),
)
