"""The instructions that only set what the image says of itself, and their lines in history."""

from __future__ import annotations

from tests.differential.case import Case


def case(name: str, text: str, base: str = "wherry.test/base") -> Case:
    """A stage of a few instructions."""
    return Case(name, f"FROM {base}\n{text}")


CASES = (
    case(
        "label-forms",
        'LABEL a=1 b="two words" c=\'single\' d=e\\ f\nLABEL old form of it\nLABEL "k k"=v\nLABEL a=again\n',
    ),
    case("label-several-lines", 'LABEL a="1" \\\n      b="2" \\\n      c="a \\\nlonger one"\n'),
    case("label-empty-value", 'LABEL a= b=""\n'),
    case("label-replaces-bases", "LABEL base=mine\n", "wherry.test/full"),
    case("label-unicode", 'LABEL name="Ænima ✓" html="<a & b>"\n'),
    case("maintainer", "MAINTAINER Some Body <some@body.test>\n"),
    case("cmd-json", 'CMD ["/bin/echo", "a b", "c\\"d"]\n'),
    case("cmd-shell", 'CMD echo a   "b c"  && true\n'),
    case("cmd-json-that-is-not-json", "CMD ['echo', 'a']\n"),
    case("cmd-json-with-escapes-and-unicode", 'CMD ["\\u00e9", "<&>", "tab\\t", "✓"]\n'),
    case("cmd-empty-json", "CMD []\n"),
    case("cmd-twice", 'CMD one\nCMD ["two"]\n'),
    case("cmd-with-spaces-around-json", 'CMD   [ "a" ,  "b" ]  \n'),
    case("entrypoint-json", 'ENTRYPOINT ["/bin/echo", "x"]\n'),
    case("entrypoint-shell", "ENTRYPOINT exec echo $HOME\n"),
    case("entrypoint-clears-bases-cmd", 'ENTRYPOINT ["/x"]\n', "wherry.test/full"),
    case("entrypoint-after-cmd", 'CMD ["c"]\nENTRYPOINT ["e"]\n', "wherry.test/full"),
    case("entrypoint-before-cmd", 'ENTRYPOINT ["e"]\nCMD ["c"]\n'),
    case("entrypoint-empty", "ENTRYPOINT []\n", "wherry.test/full"),
    case("cmd-alone-keeps-entrypoint", 'CMD ["other"]\n', "wherry.test/full"),
    case("expose-forms", "EXPOSE 80 443/tcp 53/udp 9000/SCTP\nEXPOSE 8000-8003\nEXPOSE 7000-7001/udp 80\n"),
    case("volume-forms", 'VOLUME /a /b/ relative\nVOLUME ["/c", "/d e"]\n'),
    case("volume-added-to-bases", "VOLUME /more\n", "wherry.test/full"),
    case("volume-then-change", "RUN mkdir /v && echo 1 > /v/a\nVOLUME /v\nRUN echo 2 > /v/b; echo 3 > /v/a\n"),
    case("stopsignal-name", "STOPSIGNAL SIGQUIT\n"),
    case("stopsignal-number", "STOPSIGNAL 9\n"),
    case("stopsignal-short-name", "STOPSIGNAL kill\n"),
    case("shell", 'SHELL ["/bin/sh", "-e", "-c"]\nRUN echo a > /a\nCMD cmd\nENTRYPOINT entry\nHEALTHCHECK CMD check\n'),
    case("shell-of-base", "RUN echo a > /home/app/a\nCMD cmd\n", "wherry.test/full"),
    case("shell-twice", 'SHELL ["/bin/sh", "-c"]\nCMD one\nSHELL ["/bin/ash", "-x", "-c"]\nENTRYPOINT two\n'),
    case("healthcheck-shell", "HEALTHCHECK CMD test -f /a || exit 1\n"),
    case("healthcheck-json", 'HEALTHCHECK CMD ["test", "-f", "/a"]\n'),
    case(
        "healthcheck-options",
        "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2s --start-interval=1.5s --retries=7 CMD true\n",
    ),
    case("healthcheck-options-zero", "HEALTHCHECK --interval=0s --retries=0 CMD true\n"),
    case("healthcheck-none", "HEALTHCHECK NONE\n", "wherry.test/full"),
    case("healthcheck-twice", "HEALTHCHECK CMD a\nHEALTHCHECK --retries=2 CMD b\n"),
    case(
        "everything",
        """ARG A=1
ENV B=2
LABEL c=3
EXPOSE 4
VOLUME /five
USER app
WORKDIR /seven
STOPSIGNAL 8
CMD ["nine"]
ENTRYPOINT ["ten"]
HEALTHCHECK CMD eleven
ONBUILD RUN twelve
SHELL ["/bin/sh", "-c"]
MAINTAINER fourteen
""",
    ),
)
