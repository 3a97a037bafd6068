"""FROM: names, build arguments in them, platforms, scratch, named contexts."""

from __future__ import annotations

from tests.differential.case import Case

CASES = (
    Case("base-alone", "FROM wherry.test/base\n"),
    Case("full-base-alone", "FROM wherry.test/full\n"),
    Case("base-with-tag", "FROM wherry.test/base:latest\nRUN true\n"),
    Case("base-without-path", "FROM wherry.test/nopath\nRUN echo $PATH > /path\n"),
    Case("scratch-and-a-file", "FROM scratch\nCOPY a /\n", {"a": "a\n"}),
    Case("scratch-and-metadata", 'FROM scratch\nLABEL a=b\nCOPY a /\nCMD ["/a"]\n', {"a": "a\n"}),
    Case(
        "keywords-in-any-case", "from wherry.test/base As Lower\nrUn echo a > /a\nFrom lower\nCopy --from=LOWER /a /b\n"
    ),
    Case("argument-in-name", 'ARG NAME=base\nFROM wherry.test/${NAME}\nRUN echo "[$NAME]" > /name\n'),
    Case("argument-given", "ARG NAME=nonsense\nFROM wherry.test/$NAME\n", args=("NAME=full",)),
    Case("argument-with-default-word", "ARG NAME\nFROM wherry.test/${NAME:-base}\n"),
    Case(
        "argument-made-of-arguments",
        "ARG HOST=wherry.test\nARG NAME=$HOST/base\nFROM ${NAME} AS x\nARG HOST\nARG NAME\nRUN echo $HOST $NAME > /a\n",
    ),
    Case("argument-quoted", 'ARG NAME="wherry.test/base"\nFROM "$NAME"\n'),
    Case("platform-named", "FROM --platform=linux/amd64 wherry.test/base\nRUN true\n"),
    Case("platform-from-argument", "FROM --platform=$BUILDPLATFORM wherry.test/base\nRUN true\n"),
    Case(
        "platform-arguments",
        "FROM wherry.test/base\n"
        "ARG TARGETPLATFORM\nARG TARGETOS\nARG TARGETARCH\n"
        "ARG TARGETVARIANT\nARG BUILDPLATFORM\nARG BUILDOS\nARG BUILDARCH\n"
        "ARG TARGETSTAGE\n"
        'RUN echo "$TARGETPLATFORM|$TARGETOS|$TARGETARCH|$TARGETVARIANT|$BUILDPLATFORM|$BUILDOS"'
        " > /a\nRUN echo $BUILDARCH $TARGETSTAGE > /b\n",
    ),
    Case(
        "target-stage-by-name",
        "FROM wherry.test/base AS one\nARG TARGETSTAGE\nRUN echo $TARGETSTAGE > /a\nFROM one AS two\n",
        target="one",
    ),
    Case("platform-arguments-not-declared", 'FROM wherry.test/base\nRUN echo "[$TARGETARCH]" > /a\n'),
    Case(
        "platform-arguments-before-from",
        'ARG ARCH=$TARGETARCH\nFROM wherry.test/base\nARG ARCH\nRUN echo "[$ARCH]" > /a\n',
    ),
    Case(
        "named-context-for-an-image",
        "FROM somewhere/else:1\nRUN echo a > /a\n",
        contexts={"somewhere/else:1": "docker-image://wherry.test/base"},
    ),
    Case(
        "named-context-for-a-stage",
        "FROM wherry.test/nonsense AS tools\nFROM wherry.test/base\nCOPY --from=tools /t /t\n",
        contexts={"tools": {"t": "t\n"}},
    ),
    Case(
        "named-context-folder-as-base",
        "FROM files\nLABEL a=b\nCOPY x /y\n",
        {"x": "x\n"},
        contexts={"files": {"etc/a": "a\n"}},
    ),
    Case("comment-and-empty-lines-first", "\n\n# a comment\n\nFROM wherry.test/base\n\n# another\n  # and another\n"),
)
