"""What the packages' maintainer scripts would have left behind, and containers need, written down instead of run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from wherry.debian.content import placed
from wherry.debian.tree import Node, Tree, Unpacked, content
from wherry.layers.entry import Entry, parents

BUNDLE = "etc/ssl/certs/ca-certificates.crt"
NONROOT = 65532

_PASSWD = f"""\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/sbin/nologin
"""
_GROUP = f"""\
root:x:0:
tty:x:5:
staff:x:50:
nogroup:x:65534:
nonroot:x:{NONROOT}:
"""
_NSSWITCH = """\
passwd:         files
group:          files
shadow:         files
gshadow:        files

hosts:          files dns
networks:       files

protocols:      files
services:       files
ethers:         files
rpc:            files
"""
_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
"""
_DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "opt": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "run/lock": 0o1777,
    "srv": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr/local/bin": 0o755,
    "usr/local/lib": 0o755,
    "usr/local/sbin": 0o755,
    "usr/local/share": 0o755,
    "var/tmp": 0o1777,
}
_MERGED = ("bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin")


def furnish(tree: Tree, python: str) -> None:
    """Complete the root filesystem in ``tree``, whose Python is ``python`` (such as ``3.13``)."""
    for path, mode in _DIRECTORIES.items():
        tree.put(_directory(path, mode))
    tree.put(_directory("home/nonroot", 0o700, NONROOT))
    _furnish_merged_usr(tree)
    for path, text in {
        "etc/passwd": _PASSWD,
        "etc/group": _GROUP,
        "etc/nsswitch.conf": _NSSWITCH,
        "etc/hosts": _HOSTS,
    }.items():
        tree.put(_file(path, text.encode()))
    for path, target in {
        "var/run": "/run",
        "var/lock": "/run/lock",
        "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
        "etc/os-release": "../usr/lib/os-release",
        "usr/bin/python3": f"python{python}",
        "usr/bin/python": "python3",
    }.items():
        tree.put(_symlink(path, target))
    tree.put(_file("etc/timezone", b"Etc/UTC\n"))
    _furnish_certificates(tree)


def _furnish_merged_usr(tree: Tree) -> None:
    """/bin, /lib, /sbin and so on are links into /usr."""
    tree.put_new(_directory("usr/bin"))
    tree.put_new(_directory("usr/sbin"))
    below = {path.split("/")[1] for path in tree.nodes if path.startswith("usr/") and path.count("/") > 1}
    for name in _MERGED:
        tree.nodes.pop(name, None)
        if name in below | {"bin", "sbin"}:
            tree.put(_symlink(name, f"usr/{name}"))


def _furnish_certificates(tree: Tree) -> None:
    """All certificates in one file, and OpenSSL's default file and folder as links to it (update-ca-certificates)."""
    folder = "usr/share/ca-certificates/"
    paths = sorted(path for path in tree.nodes if path.startswith(folder) and path.endswith(".crt"))
    bundle = b"".join(content(tree.nodes[path]).rstrip() + b"\n" for path in paths)
    if not bundle:
        return
    names = "".join(f"{path.removeprefix(folder)}\n" for path in paths)
    tree.put(_file(BUNDLE, bundle))
    tree.put(_file("etc/ca-certificates.conf", names.encode()))
    tree.put(_symlink("usr/lib/ssl/certs", "/etc/ssl/certs"))
    tree.put(_symlink("usr/lib/ssl/cert.pem", f"/{BUNDLE}"))


def register(tree: Tree, unpacked: Iterable[Unpacked]) -> None:
    """Record each package where scanners of images without dpkg look: /var/lib/dpkg/status.d."""
    for one in unpacked:
        name = one.package.name
        text = one.control.text.rstrip("\n") + "\n"
        tree.put(_file(f"var/lib/dpkg/status.d/{name}", text.encode()))
        mine = {path for path, node in tree.nodes.items() if node.owner == name}
        lines = [line for line in one.control.others.get("md5sums", "").splitlines() if _sum_path(line) in mine]
        if lines:
            tree.put(_file(f"var/lib/dpkg/status.d/{name}.md5sums", "".join(f"{line}\n" for line in lines).encode()))


def link_alternatives(tree: Tree, unpacked: Iterable[Unpacked]) -> None:
    """The links that update-alternatives would make: of several for one name, that of the highest priority."""
    best: dict[str, tuple[int, str, str]] = {}
    for one in sorted(unpacked, key=lambda one: one.package.name):
        for name, target, priority in _alternatives(one.control.others.get("postinst", "")):
            if name not in best or priority > best[name][0]:
                best[name] = priority, target, one.package.name
    for name, (_, target, _) in best.items():
        above = [tree.nodes[parent] for parent in parents(name) if parent in tree.nodes]
        if target in tree.nodes and all(node.entry.kind == "dir" for node in above):
            tree.put_new(_symlink(name, f"/{target}"))


def _alternatives(script: str) -> Iterator[tuple[str, str, int]]:
    """Link, target and priority of each ``update-alternatives --install`` in ``script`` that names them outright."""
    for line in re.sub(r"\\\n", " ", script).splitlines():
        _, found, rest = line.partition("update-alternatives")
        if not found or "--install" not in rest:
            continue
        try:
            words = shlex.split(rest, comments=True)
        except ValueError:
            continue
        words = words[words.index("--install") + 1 :] if "--install" in words else []
        if len(words) < 4 or not words[3].isdigit():
            continue
        priority = int(words[3])
        pairs = [(words[0], words[2])]
        slaves = [number for number, word in enumerate(words) if word == "--slave" and number + 3 < len(words)]
        pairs += [(words[number + 1], words[number + 3]) for number in slaves]
        for link, target in pairs:
            if all(path.startswith("/") and "$" not in path and ".." not in path for path in (link, target)):
                yield placed(link[1:]), placed(target[1:]), priority


def _sum_path(line: str) -> str:
    return placed(line.partition("  ")[2].strip())


def _file(path: str, data: bytes, mode: int = 0o644) -> Node:
    return Node(Entry(path, "file", mode, size=len(data)), data)


def _directory(path: str, mode: int = 0o755, owner: int = 0) -> Node:
    return Node(Entry(path, "dir", mode, uid=owner, gid=owner))


def _symlink(path: str, target: str) -> Node:
    return Node(Entry(path, "symlink", 0o777, link=target))
