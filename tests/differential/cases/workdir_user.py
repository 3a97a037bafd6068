"""WORKDIR and USER: what is made, whose it is, and who a RUN is."""

from __future__ import annotations

from tests.differential.case import Case

_WHO = "RUN id -u > /tmp/u; id -g > /tmp/g; id -G > /tmp/groups; echo $HOME > /tmp/home; pwd > /tmp/pwd\n"


def case(name: str, text: str, base: str = "wherry.test/base") -> Case:
    """A stage of a few instructions, a file ``a`` in the context."""
    return Case(name, f"FROM {base}\n{text}", {"a": "a\n"})


CASES = (
    case("workdir-new", "WORKDIR /a/b/c\n"),
    case("workdir-existing", "WORKDIR /srv/data/sub\nWORKDIR /home/app\n"),
    case("workdir-relative", "WORKDIR a\nWORKDIR b/../c\nWORKDIR ./d/\nRUN pwd > /pwd\n"),
    case("workdir-trailing-slash-and-double", "WORKDIR /x//y/\n"),
    case("workdir-dots", "WORKDIR /a/./b/..\nWORKDIR ..\nWORKDIR ../..\n"),
    case("workdir-quoted", 'WORKDIR "/with space"\nRUN pwd > /pwd\n'),
    case("workdir-spaces-unquoted", "WORKDIR /two words\nRUN pwd > /pwd\n"),
    case("workdir-through-links", "WORKDIR /srv/link/new\nWORKDIR /var/run/new\nRUN pwd > /pwd; touch here\n"),
    case("workdir-is-a-link", "WORKDIR /srv/absolute\nCOPY a .\nRUN touch b\n"),
    case("workdir-dangling-link", "WORKDIR /srv/dangling\nRUN touch b\n"),
    case("workdir-of-a-user", "USER app\nWORKDIR /x/y\nRUN id -u > /tmp/u\n"),
    case("workdir-of-base", "COPY a .\nCOPY a sub/\nWORKDIR below\n", "wherry.test/full"),
    case("workdir-root", "WORKDIR /\nCOPY a .\n"),
    case("copy-and-add-go-to-workdir", "WORKDIR /w\nCOPY a .\nCOPY a b\nADD a c/\nCOPY a ../d\n"),
    case("user-name", "USER app\n" + _WHO),
    case("user-number", "USER 1000\n" + _WHO),
    case("user-unknown-number", "USER 4321\n" + _WHO),
    case("user-and-group", "USER app:staff\n" + _WHO),
    case("user-and-group-numbers", "USER 1000:50\n" + _WHO),
    case("user-number-group-name", "USER 4321:extra\n" + _WHO),
    case("user-back-to-root", "USER app\nRUN touch /home/app/x\nUSER root\nRUN touch /home/app/y\n"),
    case("user-zero", "USER 0\n" + _WHO),
    case("user-other-groups", "USER other\n" + _WHO),
    case(
        "user-does-not-own-copies", "USER app\nCOPY a /home/app/\nADD a /home/app/b\nCOPY --chown=app a /home/app/c\n"
    ),
    case("user-of-base", "RUN id -u > /tmp/u\nCOPY a /home/app/\n", "wherry.test/full"),
    case("home-given-by-env", "ENV HOME=/tmp\nUSER app\nRUN echo $HOME > /tmp/h; cd; pwd > p\n"),
    case("user-cannot-write", "USER app\nRUN touch /x || touch /tmp/refused\n"),
    case("user-added-in-run", "RUN echo 'new:x:777:888::/new:/bin/sh' >> /etc/passwd\nUSER new\n" + _WHO),
    case("user-of-two-words", "USER a b\n"),
    Case("workdir-in-scratch", "FROM scratch\nWORKDIR /a/b\nCOPY x .\n", {"x": "x\n"}),
    Case("user-number-in-scratch", "FROM scratch\nUSER 5:6\nWORKDIR /a\nCOPY x .\n", {"x": "x\n"}),
)
