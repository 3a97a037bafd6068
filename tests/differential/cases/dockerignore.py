""".dockerignore: what of the context a build sees."""

from __future__ import annotations

from tests.differential.case import Case, Symlink, Tree

_TREE: Tree = {
    "a": "a\n",
    "b.txt": "b\n",
    "c.md": "c\n",
    "README.md": "r\n",
    ".hidden": "h\n",
    "d/a": "a\n",
    "d/b.txt": "b\n",
    "d/e/b.txt": "b\n",
    "d/e/f/g.md": "g\n",
    "node_modules/x/y": "y\n",
    "sub/node_modules/z": "z\n",
    "l": Symlink("b.txt"),
}
_ALL = "FROM wherry.test/base\nCOPY . /x/\n"


def case(name: str, ignore: str | bytes, text: str = _ALL, more: Tree | None = None) -> Case:
    """A build that copies the context, but for what ``ignore`` says."""
    return Case(name, text, {**_TREE, ".dockerignore": ignore, **(more or {})})


CASES = (
    case("names", "a\nd/e\n"),
    case("stars", "*.md\nd/*/b.txt\n?\n"),
    case("double-star", "**/*.txt\n**/node_modules\n"),
    case("double-star-in-the-middle", "d/**/g.md\nd/**/b.txt\n"),
    case("all-but", "*\n!b.txt\n!d/e\n"),
    case("negation-below-an-excluded-directory", "d\n!d/e/b.txt\n"),
    case("order-counts", "*.md\n!README.md\nREADME*\n!c.md\n"),
    case("comments-and-spaces", "# a\n  b.txt  \n\n\t\n!# x\n  # not a comment?\n"),
    case("slashes", "/a\nd/\n./b.txt\n"),
    case("dots", "d/../c.md\n..\n.\n"),
    case("crlf", "a\r\n*.md\r\n"),
    case("byte-order-mark", b"\xef\xbb\xbfa\nb.txt\n"),
    case("classes-and-escapes", "[ab]*\n\\#x\n", more={"#x": "x\n"}),
    case("the-dockerfile-and-itself", "Dockerfile\n.dockerignore\n"),
    case("everything", "*\n", "FROM wherry.test/base\nCOPY . /x/\nRUN ls -A /x > /l\n"),
    case("links", "b.txt\n"),
    case("negation-with-double-star", "**\n!**/*.txt\n"),
    case("mounts-see-it-too", "d\n", "FROM wherry.test/base\nRUN --mount=target=/m ls -A /m > /l\n"),
    case("case-counts", "readme.md\nA\n"),
    case(
        "no-effect-on-stages",
        "etc\nhostname\n",
        "FROM wherry.test/base AS s\nFROM scratch\nCOPY --from=s /etc/hostname /\n",
    ),
    Case(
        "excluded-file-is-not-there",
        "FROM wherry.test/base\nCOPY a /\n",
        {"a": "a\n", ".dockerignore": "a\n"},
        refused=True,
    ),
    Case("excluded-glob", "FROM wherry.test/base\nCOPY *.txt /x/\n", {**_TREE, ".dockerignore": "b.txt\n"}),
    Case("of-the-dockerfile", _ALL, {**_TREE, ".dockerignore": "a\n", "Dockerfile.dockerignore": "b.txt\n"}),
    Case(
        "of-a-dockerfile-elsewhere",
        _ALL,
        {**_TREE, ".dockerignore": "a\n", "build/My.dockerignore": "b.txt\nbuild\n"},
        file="build/My",
    ),
    Case(
        "named-context-has-its-own",
        "FROM wherry.test/base\nCOPY --from=more . /x/\n",
        {".dockerignore": "y\n"},
        contexts={"more": {"x": "x\n", "y": "y\n", ".dockerignore": "x\n"}},
    ),
    Case(
        "add-of-an-excluded-directory-entry", "FROM wherry.test/base\nCOPY d /x/\n", {**_TREE, ".dockerignore": "d/e\n"}
    ),
)
