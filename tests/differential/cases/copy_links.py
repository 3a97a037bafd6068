"""COPY and symbolic links: in the source, as destination, in a destination's parents; --link."""

from __future__ import annotations

from tests.differential.case import Case, Symlink, Tree

_TREE: Tree = {
    "a": "a\n",
    "d/e": "e\n",
    "d/f/g": "g\n",
    "to-file": Symlink("a"),
    "to-dir": Symlink("d"),
    "to-absolute": Symlink("/a"),
    "to-dir-absolute": Symlink("/d"),
    "dangling": Symlink("nowhere"),
    "up": Symlink("../../../a"),
    "chain": Symlink("to-file"),
    "l/file": Symlink("../a"),
    "l/dir": Symlink("../d"),
    "l/dangling": Symlink("/not/there"),
    "over/link": "a directory over a link\n",
    "files/link": "a file\n",
    "files/data": "a file\n",
}


def case(name: str, text: str, tree: Tree = _TREE, base: str = "wherry.test/base") -> Case:
    """A stage of a few instructions and a context with links of all kinds."""
    return Case(name, f"FROM {base}\n{text}", tree)


CASES = (
    case("source-link-to-a-file", "COPY to-file /x\nCOPY to-file /y/\nCOPY chain /z\n"),
    case("source-link-to-a-directory", "COPY to-dir /x\nCOPY to-dir/ /y\nCOPY to-dir /z/\n"),
    case("source-link-absolute", "COPY to-absolute /x\nCOPY to-dir-absolute /y\n"),
    case("source-through-a-link", "COPY to-dir/e /x\nCOPY to-dir-absolute/f /y\nCOPY to-dir/* /z/\n"),
    case("source-link-going-up", "COPY up /x\n"),
    case("links-inside-a-directory-stay", "COPY l /x\nCOPY . /y\n"),
    case("links-by-glob", "COPY to-* /x/\nCOPY l/[df]i* /y/\n"),
    Case(
        "source-link-dangling", "FROM wherry.test/base\nCOPY dangling /x\n", _TREE, refused=True, words=("not found",)
    ),
    case(
        "destination-link-to-a-directory",
        "COPY a /srv/link/\nCOPY a /srv/link\nCOPY d /srv/link\nCOPY d /srv/absolute/new\n",
    ),
    case("destination-link-to-a-directory-absolute", "COPY a /srv/absolute/\nCOPY d /var/run\nCOPY d /lib64/\n"),
    case("destination-link-to-a-file", "COPY a /srv/to-file\n"),
    case("destination-link-dangling-file", "COPY a /srv/dangling\n"),
    case("destination-link-dangling-directory", "COPY d /srv/dangling\n"),
    case("destination-link-dangling-slash", "COPY a /srv/dangling/\n"),
    case("destination-below-a-link", "COPY a /srv/link/new/x\nCOPY a /var/run/x\nCOPY d /lib64/y/\n"),
    case("destination-below-a-dangling-link", "COPY a /srv/dangling/x/y\n"),
    case("destination-link-leading-out", "RUN ln -s ../../../etc /srv/up\nCOPY a /srv/up/\n"),
    case("contents-over-links", "COPY files /srv\n", {"files/link": "a file\n", "files/to-file": "another\n"}),
    Case(
        "directory-over-a-link-to-a-directory",
        "FROM wherry.test/base\nCOPY over /srv\n",
        {"over/link/x": "x\n"},
        refused=True,
    ),
    Case(
        "directory-over-an-absolute-link-to-a-directory",
        "FROM wherry.test/base\nCOPY over /srv\n",
        {"over/absolute/x": "x\n"},
        refused=True,
    ),
    Case(
        "directory-over-a-dangling-link",
        "FROM wherry.test/base\nCOPY over /srv\n",
        {"over/dangling/x": "x\n"},
        refused=True,
    ),
    Case(
        "directory-over-a-link-to-a-file",
        "FROM wherry.test/base\nCOPY over /srv\n",
        {"over/to-file/x": "x\n"},
        refused=True,
    ),
    Case("file-over-a-directory", "FROM wherry.test/base\nCOPY files /srv\n", _TREE, refused=True),
    case("link-over-a-file", "COPY l /x\n", {"l/hostname": Symlink("passwd")}),
    case("link-over-existing-file", "COPY l /etc\n", {"l/hostname": Symlink("passwd")}),
    case(
        "link-over-existing-link",
        "COPY l /srv\n",
        {"l/link": Symlink("elsewhere"), "l/to-file": Symlink("/etc/passwd")},
    ),
    Case(
        "link-over-a-directory", "FROM wherry.test/base\nCOPY l /srv\n", {"l/data": Symlink("elsewhere")}, refused=True
    ),
    case("chown-of-links", "COPY --chown=app:staff l /x\nCOPY --chown=app to-file /y\nCOPY --chmod=700 l /z\n"),
    case("chown-through-a-destination-link", "COPY --chown=app d /srv/link\n"),
    case(
        "from-a-stage-with-links",
        "COPY --from=wherry.test/base /srv /x\n"
        "COPY --from=wherry.test/base /lib64 /y\nCOPY --from=wherry.test/base /srv/link/ /z\n",
    ),
    case("link-flag", "COPY --link a /x/y\nCOPY --link d /x/\nCOPY --link --chown=7:8 a /x/z\n"),
    case("link-flag-over-links", "COPY --link a /srv/link/new\nCOPY --link d /lib64/d\n"),
    case("link-flag-over-existing", "COPY --link a /srv/data/one\nCOPY --link a /opt/\nCOPY --link d /srv/data\n"),
    case("link-flag-over-a-link-itself", "COPY --link a /srv/to-file\n"),
    case("link-flag-modes-of-parents", "COPY --link a /home/app/x\nCOPY --link --chmod=600 a /tmp/x\n"),
    case("link-flag-chown-by-number", "COPY --link --chown=1000:50 --chmod=640 a d/e /home/app/\n"),
    case("link-flag-with-workdir", "WORKDIR /w\nCOPY --link a .\nCOPY --link d ./d\n"),
    case("link-flag-false", "COPY --link=false a /srv/link/\n"),
    case("add-link-flag", "ADD --link a /x/y\n"),
    case("link-flag-from-stage", "COPY --link --from=wherry.test/base /srv/data /x\n"),
)
