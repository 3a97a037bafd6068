"""COPY of files and directories: destinations, globs, owners, modes, --exclude, --parents."""

from __future__ import annotations

from tests.differential.case import Case, Dir, File, Hardlink, Tree

TREE: Tree = {
    "a": "a\n",
    "b.txt": "b\n",
    "c.txt": File("c\n", 0o600),
    "run": File("#!/bin/sh\n", 0o755),
    "d/e": "e\n",
    "d/f.txt": "f\n",
    "d/g/h.txt": "h\n",
    "d/g/i/j.txt": "j\n",
    "d/.hidden": "hidden\n",
    "empty": Dir(0o750),
    "closed": Dir(0o700),
    "closed/x": File("x\n", 0o400),
}


def case(name: str, text: str, tree: Tree = TREE, base: str = "wherry.test/base", args: tuple[str, ...] = ()) -> Case:
    """A stage of a few instructions and a context with files of all kinds."""
    return Case(name, f"FROM {base}\n{text}", tree, args=args)


CASES = (
    case("file-to-a-name", "COPY a /x\nCOPY a /new/dir/x\n"),
    case("file-into-a-directory", "COPY a /x/\nCOPY a /opt\nCOPY a /opt/\n"),
    case("file-over-a-file", "COPY run /etc/hostname\nCOPY b.txt /usr/bin/setuid\n"),
    case("files-into-a-directory", "COPY a b.txt c.txt /x/\n"),
    case("directory-gives-its-contents", "COPY d /x\nCOPY d/ /y\nCOPY d /z/\nCOPY d/. /w/\n"),
    case("directories-and-files", "COPY d a empty /x/\n"),
    case("directory-into-an-existing-one", "COPY d /srv/data\nCOPY closed /srv/data/sub\n"),
    case("directory-keeps-modes", "COPY . /x\nCOPY empty /y\nCOPY closed /srv/data/\n"),
    case("whole-context-into-root", "COPY . .\n", {"etc/hostname": "mine\n", "tmp/x": "x\n", "home/app/y": "y\n"}),
    case("dot-slash-names", "COPY ./a ./d/../d/e /x/\nCOPY /a /y\nCOPY ../../a /z\n"),
    case("json-form", 'COPY ["a", "b.txt", "/with space/"]\n'),
    case("glob", "COPY *.txt /x/\nCOPY d/*.txt /y/\nCOPY ?  /z/\n"),
    case("glob-of-directories", "COPY d* /x/\nCOPY d/* /y/\nCOPY * /z/\n"),
    case("glob-classes", "COPY [bc].txt /x/\nCOPY [a-c] /y\nCOPY [^a].txt /z/\n"),
    case("glob-with-one-match-to-a-name", "COPY a* /x\nCOPY [a] /y\n"),
    case("glob-without-match", "COPY no*thing /x/\nCOPY a no*thing /y/\n"),
    case("glob-escaped", "COPY \\[x\\] /x\nCOPY [[]x] /y\n", {"[x]": "brackets\n", "x": "x\n"}),
    case("double-star", "COPY **/*.txt /x/\nCOPY d/**/j.txt /y/\nCOPY d/** /z/\n"),
    case("hidden-files-match-stars", "COPY d/.h* d/*e /x/\n"),
    case("file-over-an-empty-directory", "RUN mkdir /x\nCOPY a /x\n"),
    case("directory-over-a-directorys-modes", "RUN mkdir -m 711 /x\nCOPY closed /x\nCOPY empty /srv/data/sub/\n"),
    case("missing-parents-of-root", "COPY a /p/q/r/s\nCOPY d /t/u/v\n"),
    case("missing-parents-with-chown", "COPY --chown=app:staff a /p/q/r\nCOPY --chown=7:8 d /s/t/\n"),
    case("missing-parents-with-chmod", "COPY --chmod=700 a /p/q/r\nCOPY --chmod=640 d/g /s/t/\n"),
    case("existing-parents-are-left", "COPY --chown=app --chmod=600 a /opt/\nCOPY --chown=app a /srv/data/\n"),
    case("chown-name", "COPY --chown=app a /x\n"),
    case("chown-name-with-other-group", "COPY --chown=other a /x\nCOPY --chown=app:extra a /y\n"),
    case("chown-number", "COPY --chown=12 a /x\nCOPY --chown=12:34 a /y\nCOPY --chown=0:34 a /z\n"),
    case("chown-mixed", "COPY --chown=app:77 a /x\nCOPY --chown=77:staff a /y\nCOPY --chown=1000 a /z\n"),
    case("chown-group-only", "COPY --chown=:staff a /x\n"),
    case("chown-directory", "COPY --chown=app:app d /x\nCOPY --chown=5:6 d /srv/data/\n"),
    case("chown-unknown-user", "COPY --chown=nobody-here a /x\n"),
    case("chown-unknown-group", "COPY --chown=app:nothing a /x\n"),
    case(
        "chown-reads-the-image",
        "RUN echo 'new:x:70:71::/:' >> /etc/passwd; echo 'team:x:72:' >> /etc/group\n"
        "COPY --chown=new a /x\nCOPY --chown=new:team a /y\n",
    ),
    case("chown-expands", "ARG WHO=app\nCOPY --chown=${WHO}:$WHO a /x\n", args=("WHO=daemon",)),
    case(
        "chmod-octal",
        "COPY --chmod=755 a /x\nCOPY --chmod=0400 run /y\nCOPY --chmod=4751 run /z\nCOPY --chmod=1777 d /w\n",
    ),
    case("chmod-symbolic", "COPY --chmod=u=rwX,go=rX . /x\nCOPY --chmod=a+x a /y\nCOPY --chmod=go-rwx,u+s run /z\n"),
    case("chmod-with-chown", "COPY --chown=app:staff --chmod=2750 d /x/y\n"),
    case("chmod-drops-nothing-of-setuid-owner", "COPY --chown=app --from=wherry.test/base /usr/bin /x\n"),
    case(
        "setuid-in-context", "COPY s /\n", {"s/u": File("u\n", 0o4755), "s/g": File("g\n", 0o2755), "s/t": Dir(0o1777)}
    ),
    case(
        "hard-links-in-context",
        "COPY h /h\nCOPY h/a h/b /i/\n",
        {"h/a": "x\n", "h/b": Hardlink("h/a"), "h/c/d": Hardlink("h/a")},
    ),
    case("empty-file-and-directory", "COPY e /e\nCOPY f /f/\n", {"e/x": "", "f": Dir(0o711)}),
    case("big-file", "COPY big /\n", {"big": File(bytes(range(256)) * 8192)}),
    case("long-names", "COPY . /x/\n", {f"{'d' * 120}/{'e' * 120}/{'f' * 120}": "long\n"}),
    case("unicode-names", "COPY . /ü/\n", {"é/✓ ": "x\n", "a\tb": "tab\n", "new\nline": "n\n"}),
    case("trailing-slash-on-a-file-source", "COPY a/ /x\n"),
    case("same-file-twice", "COPY a a /x/\nCOPY a /x/\n"),
    case("same-names-last-wins", "COPY d/e other/e /x/\n", {"d/e": "1\n", "other/e": "2\n"}),
    case("destination-dot-in-scratch", "COPY a .\nCOPY d ./\nCOPY b.txt /sub/\n", base="scratch"),
    case("destination-with-dots", "COPY a /x/../y\nCOPY a /p/./q/../r/\n"),
    case("exclude", "COPY --exclude=*.txt . /x\nCOPY --exclude=g --exclude=.hidden d /y\n"),
    case(
        "exclude-patterns",
        "COPY --exclude=**/*.txt d /x\nCOPY --exclude=d/g/i . /y\nCOPY --exclude=* --exclude=!a . /z\n",
    ),
    case("exclude-of-a-named-file", "COPY --exclude=b.txt *.txt /x/\n"),
    Case(
        "named-context",
        "FROM wherry.test/base\nCOPY --from=extra x /x\nCOPY --from=extra . /y/\n",
        contexts={"extra": {"x": "x\n", "y/z": "z\n"}},
    ),
    case("nothing-changes", "COPY one /srv/data/one\n", {"one": "1\n"}),
)
