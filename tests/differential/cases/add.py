"""ADD: archives, URLs, git repositories, and where it is as COPY."""

from __future__ import annotations

import gzip

from tests.differential.case import Archive, Case, Device, Dir, Fifo, File, Hardlink, Symlink, Tree

_MEMBERS: Tree = {
    "top": Dir(0o750, 3, 4),
    "top/file": File("file\n", 0o640, 1000, 50),
    "top/run": File("#!/bin/sh\n", 0o4755),
    "top/link": Symlink("file", 1000, 50),
    "top/hard": Hardlink("top/file"),
    "dangling": Symlink("/nowhere"),
}
# A version 2 capability: cap_net_raw, permitted and effective.
_CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
_SPECIAL: Tree = {
    "cap": File("cap\n", 0o755, xattrs={"security.capability": _CAPABILITY}),
    "attr": File("attr\n", xattrs={"user.note": b"hello"}),
    "fifo": Fifo(0o620),
    "null": Device(1, 3, 0o666),
}


def case(name: str, text: str, tree: Tree, base: str = "wherry.test/base", **more: bool) -> Case:
    """A stage of a few instructions."""
    return Case(name, f"FROM {base}\n{text}", tree, refused=more.get("refused", False))


def url(name: str, text: str, *words: str, **more: tuple[str, ...]) -> Case:
    """A stage that fetches something."""
    return Case(
        name, f"FROM wherry.test/base\n{text}", refused=bool(words), words=words, unlisted=more.get("unlisted", ())
    )


_REPO = "http://@SERVER@/repo.git"

CASES = (
    case("file", "ADD a /x\nADD a /y/\nADD --chown=app --chmod=600 a /z\n", {"a": "a\n"}),
    case("directory", "ADD d /x\nADD d a /y/\n", {"d/e/f": "f\n", "a": "a\n"}),
    case("tar", "ADD t.tar /x\n", {"t.tar": Archive(_MEMBERS)}),
    case("tar-with-trailing-slash", "ADD t.tar /x/\n", {"t.tar": Archive(_MEMBERS)}),
    case("tar-gzip", "ADD t.tgz /x\n", {"t.tgz": Archive(_MEMBERS, "gz")}),
    case("tar-bzip2", "ADD t.tar.bz2 /x\n", {"t.tar.bz2": Archive(_MEMBERS, "bz2")}),
    case("tar-xz", "ADD t.tar.xz /x\n", {"t.tar.xz": Archive(_MEMBERS, "xz")}),
    case("tar-zstd", "ADD t.tar.zst /x\n", {"t.tar.zst": Archive(_MEMBERS, "zst")}),
    case("tar-of-any-name", "ADD archive.txt /x\n", {"archive.txt": Archive(_MEMBERS, "gz")}),
    case(
        "not-a-tar-of-that-name", "ADD t.tar /x\nADD t.tar.gz /y/\n", {"t.tar": "not a tar\n", "t.tar.gz": "nor this\n"}
    ),
    case("gzip-of-no-tar", "ADD file.gz /x/\n", {"file.gz": File(gzip.compress(b"text\n" * 9, mtime=0))}),
    case("empty-tar", "ADD t.tar /x/\n", {"t.tar": Archive({})}),
    case("copy-does-not-unpack", "COPY t.tar /x/\n", {"t.tar": Archive({"a": "a\n"})}),
    case("tar-in-a-directory-stays", "ADD d /x\n", {"d/t.tar": Archive({"a": "a\n"})}),
    case(
        "tar-by-glob",
        "ADD *.tar /x/\n",
        {"1.tar": Archive({"a": "a\n"}), "2.tar": Archive({"b": "b\n"}), "n.tar": "no\n"},
    ),
    case(
        "several-tars-and-a-file",
        "ADD 1.tar f 2.tar /x/\n",
        {"1.tar": Archive({"a": "1\n"}), "2.tar": Archive({"a": "2\n"}), "f": "f\n"},
    ),
    case("tar-special-members", "ADD t.tar /x/\n", {"t.tar": Archive(_SPECIAL)}),
    case(
        "tar-special-members-copied-on",
        "ADD t.tar /x/\nFROM scratch\nCOPY --from=0 /x /y\n",
        {"t.tar": Archive(_SPECIAL)},
    ),
    case(
        "capability-through-run",
        "ADD t.tar /x/\nRUN chmod 700 /x/cap\nRUN mv /x/cap /cap\n",
        {"t.tar": Archive(_SPECIAL)},
    ),
    case("tar-odd-names", "ADD t.tar /x/\n", {"t.tar": Archive({"./a": "a\n", "/abs": "abs\n", "./d/./e": "e\n"})}),
    case("tar-non-utf8-name", "ADD t.tar /x/\n", {"t.tar": Archive({"caf\udce9": "latin-1\n"})}),
    case(
        "tar-long-names",
        "ADD t.tar /x/\n",
        {"t.tar": Archive({f"{'d' * 150}/{'e' * 150}": "long\n", "l": Symlink("t" * 200)})},
    ),
    case(
        "tar-over-files",
        "ADD t.tar /\n",
        {"t.tar": Archive({"etc/hostname": File("new\n", 0o600, 5, 6), "opt/first": "new\n"})},
    ),
    case(
        "tar-over-directories",
        "ADD t.tar /\n",
        {"t.tar": Archive({"srv": Dir(0o711, 5, 6), "tmp": Dir(0o755), "srv/x": "x\n"})},
    ),
    case("tar-file-over-a-directory", "RUN mkdir /e\nADD t.tar /\n", {"t.tar": Archive({"e": "e\n"})}),
    case("tar-file-over-a-full-directory", "ADD t.tar /\n", {"t.tar": Archive({"srv": "srv\n"})}),
    case(
        "tar-directory-over-a-file",
        "ADD t.tar /\n",
        {"t.tar": Archive({"etc/hostname": Dir(), "etc/hostname/x": "x\n"})},
    ),
    case("tar-file-over-a-link", "ADD t.tar /srv\n", {"t.tar": Archive({"link": "file\n", "to-file": "file\n"})}),
    case(
        "tar-directory-over-a-link", "ADD t.tar /\n", {"t.tar": Archive({"srv/link": Dir(0o700), "srv/link/x": "x\n"})}
    ),
    case(
        "tar-through-a-link",
        "ADD t.tar /\n",
        {"t.tar": Archive({"srv/link/x": "x\n", "srv/absolute/y": "y\n", "lib64/z": "z\n"})},
    ),
    case("tar-to-a-link", "ADD t.tar /srv/link\nADD t.tar /srv/absolute/\n", {"t.tar": Archive({"x": "x\n"})}),
    case("tar-to-a-dangling-link", "ADD t.tar /srv/dangling\n", {"t.tar": Archive({"x": "x\n"})}),
    case(
        "tar-with-own-link-followed",
        "ADD t.tar /x\n",
        {"t.tar": Archive({"l": Symlink("d"), "d": Dir(), "l/f": "f\n"})},
    ),
    case("tar-missing-parents", "ADD t.tar /p/q/\n", {"t.tar": Archive({"a/b/c": File("c\n", uid=9, gid=9)})}),
    case("tar-same-name-twice", "ADD t.tar /x/\n", {"t.tar": Archive({"a": "1\n", "./a": "2\n"})}),
    case("tar-leading-out", "ADD t.tar /x/\n", {"t.tar": Archive({"../../out": "out\n"})}, refused=True),
    case(
        "tar-link-leading-out",
        "ADD t.tar /x/\n",
        {"t.tar": Archive({"l": Symlink("../../.."), "l/out": "out\n"})},
        refused=True,
    ),
    case("tar-whiteout-names", "ADD t.tar /\n", {"t.tar": Archive({"etc/.wh.hostname": ""})}),
    case("tar-chown", "ADD --chown=app:staff t.tar /x/\n", {"t.tar": Archive(_MEMBERS)}),
    case("tar-chmod", "ADD --chmod=700 t.tar /x/\n", {"t.tar": Archive(_MEMBERS)}),
    case("tar-unpack-false", "ADD --unpack=false t.tar /x/\n", {"t.tar": Archive({"a": "a\n"}, "gz")}),
    case("tar-unpack-true", "ADD --unpack=true t.tar /x/\n", {"t.tar": Archive({"a": "a\n"}, "gz")}),
    case("tar-unpack-of-a-plain-file", "ADD --unpack f /x/\n", {"f": "f\n"}),
    case("tar-link-flag", "ADD --link t.tar /srv/link/\n", {"t.tar": Archive(_MEMBERS)}),
    case("tar-in-scratch", "ADD t.tar /\n", {"t.tar": Archive(_MEMBERS)}, "scratch"),
    case("tar-named-with-link", "ADD l /x\n", {"t.tar": Archive({"a": "a\n"}), "l": Symlink("t.tar")}),
    url("url-to-a-name", "ADD http://@SERVER@/plain.txt /x\n"),
    url("url-into-a-directory", "ADD http://@SERVER@/folder/named.bin /x/\nADD http://@SERVER@/plain.txt /opt/\n"),
    url("url-with-query", "ADD http://@SERVER@/query?a=b /x/\n"),
    url("url-chown-chmod", "ADD --chown=app:staff --chmod=755 http://@SERVER@/plain.txt /x\n"),
    url("url-archive-stays", "ADD http://@SERVER@/tool.tar.gz /x/\n"),
    url("url-archive-unpack", "ADD --unpack=true http://@SERVER@/tool.tar.gz /x/\n"),
    url(
        "url-checksum",
        "ADD --checksum=sha256:f7c20f1345e5a0562377d19bfd558c98adf9530b2cbfaa99f94080c459e1a05c "
        "http://@SERVER@/plain.txt /x\n",
    ),
    url("url-and-file", "ADD http://@SERVER@/plain.txt http://@SERVER@/folder/named.bin /x/\n"),
    url("url-expands", "ARG NAME=plain\nADD http://@SERVER@/${NAME}.txt /x\n"),
    url("git", f"ADD {_REPO} /x\n"),
    url("git-tag", f"ADD {_REPO}#v1 /x/\n"),
    url("git-branch-and-subdirectory", f"ADD {_REPO}#main:sub /x\n"),
    url("git-chown", f"ADD --chown=app:staff {_REPO}#v1 /x\n"),
    url("git-keep-dir", f"ADD --keep-git-dir=true {_REPO}#v1 /x\n", unlisted=("/x/.git",)),
    url("git-unknown-ref", f"ADD {_REPO}#nonsense /x\n", "nonsense"),
)
