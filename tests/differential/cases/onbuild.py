"""ONBUILD: what is kept for children, and what a base has for us."""

from __future__ import annotations

from tests.differential.case import Case

_CONTEXT = {"a": "a\n", "b/c": "c\n"}

CASES = (
    Case(
        "kept",
        'FROM wherry.test/base\nONBUILD RUN echo a\nONBUILD  COPY  .   /src\nonbuild env a=b\nONBUILD CMD ["x"]\n',
    ),
    Case(
        "kept-forms",
        'FROM wherry.test/base\nONBUILD RUN ["a", "b"]\nONBUILD RUN --mount=type=tmpfs,target=/t a \\\n  b\n',
    ),
    Case("from-base", "FROM wherry.test/onbuild\nRUN echo done > /done\n", _CONTEXT),
    Case("from-base-with-argument", "FROM wherry.test/onbuild\n", _CONTEXT, args=("COLOR=blue",)),
    Case(
        "from-base-alone-in-a-stage", "FROM wherry.test/onbuild AS a\nFROM scratch\nCOPY --from=a /color /\n", _CONTEXT
    ),
    Case("copy-from-image", "FROM wherry.test/onbuild-from\n"),
    Case(
        "copy-from-stage",
        "FROM wherry.test/base AS assets\nRUN echo 1 > /asset\nFROM wherry.test/onbuild-stage\n",
    ),
    Case(
        "of-an-earlier-stage",
        "FROM wherry.test/base AS a\nONBUILD RUN echo $X > /x\nENV X=1\nONBUILD LABEL l=m\nFROM a\nRUN echo y > /y\n",
    ),
    Case("new-ones-after-inherited", "FROM wherry.test/onbuild\nONBUILD RUN again\n", _CONTEXT),
    Case("bad-one", "FROM wherry.test/onbuild-bad\n", refused=True, words=("unknown instruction: NONSENSE",)),
)
