"""Several stages: what is built, what is copied between them, what they inherit."""

from __future__ import annotations

from tests.differential.case import Case

CASES = (
    Case("copy-by-name", "FROM wherry.test/base AS one\nRUN echo 1 > /1\nFROM scratch\nCOPY --from=one /1 /one\n"),
    Case("copy-by-number", "FROM wherry.test/base\nRUN echo 1 > /1\nFROM scratch\nCOPY --from=0 /1 /\n"),
    Case("copy-from-image", "FROM scratch\nCOPY --from=wherry.test/base /etc/passwd /etc/group /etc/\n"),
    Case(
        "stage-as-base",
        "FROM wherry.test/base AS one\nENV A=1\nUSER app\n"
        "WORKDIR /w\nCMD one\nFROM one AS two\nRUN echo $A > a; pwd > b\n"
        'FROM two\nENTRYPOINT ["x"]\n',
    ),
    Case(
        "arguments-end-with-their-stage",
        'FROM wherry.test/base AS one\nARG A=1\nENV B=$A\nRUN echo $A > /1\nFROM one\nRUN echo "[$A] [$B]" > /2\n',
    ),
    Case(
        "arguments-of-parent-stage-count-in-history",
        "FROM wherry.test/base AS one\nARG A=1\nRUN true\nFROM one\nARG C=3\nRUN true\n",
    ),
    Case(
        "unused-stage-is-not-built",
        "FROM wherry.test/base AS bad\nRUN false\nFROM wherry.test/base\nRUN echo ok > /ok\n",
    ),
    Case("target", "FROM wherry.test/base AS one\nRUN echo 1 > /1\nFROM one AS two\nRUN false\n", target="one"),
    Case("target-in-other-case", "FROM wherry.test/base AS One\nRUN echo 1 > /1\nFROM one\nRUN false\n", target="ONE"),
    Case(
        "same-image-twice",
        "FROM wherry.test/base AS a\nRUN echo a > /a\nFROM wherry.test/base AS b\nRUN echo b > /b\n"
        "FROM wherry.test/base\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
    ),
    Case(
        "name-of-an-image-as-name-of-a-stage",
        "FROM wherry.test/base AS wherry.test\nRUN echo x > /x\nFROM wherry.test\nRUN echo y > /y\n",
    ),
    Case(
        "last-stage-of-a-name-counts",
        "FROM scratch AS a\nCOPY a /1\nFROM scratch AS a\nCOPY a /2\nFROM a\nCOPY --from=a / /copied/\n",
        {"a": "a\n"},
    ),
    Case(
        "directory-with-owners-and-modes",
        "FROM wherry.test/base AS a\n"
        "RUN mkdir -p /d/e && touch /d/e/f && chown 7:8 /d/e && "
        "chown 9:10 /d/e/f && chmod 4711 /d/e/f && chmod 1770 /d/e\n"
        "FROM scratch\nCOPY --from=a /d /x\nCOPY --from=a /d/e /y/\n",
    ),
    Case(
        "setuid-and-sticky",
        "FROM scratch\nCOPY --from=wherry.test/base /usr/bin /tmp /\nCOPY --from=wherry.test/base /tmp /tmp\n",
    ),
    Case(
        "directory-contents-take-owner-of-source",
        "FROM scratch\nCOPY --from=wherry.test/base /home/app /home/app\nCOPY --from=wherry.test/base /home/ /home2/\n",
    ),
    Case(
        "whole-root",
        "FROM wherry.test/base AS a\nRUN rm -r /srv && echo new > /etc/hostname\nFROM scratch\nCOPY --from=a / /\n",
    ),
    Case(
        "hard-links-between-stages",
        "FROM wherry.test/base AS a\nRUN mkdir /h && echo x > /h/a && ln /h/a /h/b && mkdir /h/c && ln /h/a /h/c/d\n"
        "FROM scratch\nCOPY --from=a /h /h\n",
    ),
    Case(
        "special-files-between-stages",
        "FROM wherry.test/base AS a\n"
        "RUN mkdir /s && mkfifo -m 640 /s/p && ln -s /nowhere /s/l\nFROM scratch\nCOPY --from=a /s /s\n",
    ),
    Case(
        "from-argument-does-not-expand-in-copy-from",
        "FROM wherry.test/base AS a\nFROM scratch\nARG WHICH=a\nCOPY --from=$WHICH /etc/hostname /\n",
        refused=True,
    ),
    Case(
        "file-through-link-in-stage",
        "FROM scratch\nCOPY --from=wherry.test/base /srv/absolute/one /1\n"
        "COPY --from=wherry.test/base /srv/link/one /2\n"
        "COPY --from=wherry.test/base /var/run /run\nCOPY --from=wherry.test/base /srv/to-file /3\n"
        "COPY --from=wherry.test/base /srv/link /4\n",
    ),
    Case(
        "glob-in-stage",
        "FROM scratch\nCOPY --from=wherry.test/base /etc/h* /srv/data/* /x/\n"
        "COPY --from=wherry.test/base /usr/*/set?id /y/\n",
    ),
    Case(
        "relative-source-in-stage",
        "FROM wherry.test/base AS a\nWORKDIR /srv\nFROM scratch\nCOPY --from=a etc/hostname ./\n",
    ),
    Case(
        "copy-from-full-image-takes-no-settings",
        "FROM wherry.test/base\nCOPY --from=wherry.test/full /etc/hostname /x\n",
    ),
)
