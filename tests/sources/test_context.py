"""The build context: what is walked, and what its digest depends on."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError, WherryError
from wherry.sources import context
from wherry.sources.context import ContextFile, Memory, digest, hash_missing, seen_as, walk
from wherry.sources.ignore import Patterns
from wherry.sources.tree import ContextTree


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
        else:
            target.write_text(f"content of {path}")
    return root


def names(files: tuple[ContextFile, ...]) -> list[str]:
    return [file.entry.path for file in files]


def regular(root: Path) -> list[ContextFile]:
    return [file for file in walk(root) if file.kind == "file"]


def hashed(files: Sequence[ContextFile]) -> list[str]:
    hashes = [""] * len(files)
    hash_missing(files, hashes)
    return hashes


# -- walking --------------------------------------------------------------------------------------


def test_a_walk_gives_everything_sorted_by_path(tmp_path: Path) -> None:
    tree(tmp_path, "b/c.py", "a.py", "b.py", "b/a/", "b-c")
    assert names(walk(tmp_path)) == ["a.py", "b", "b-c", "b.py", "b/a", "b/c.py"]


def test_patterns_leave_files_and_whole_directories_out(tmp_path: Path) -> None:
    tree(tmp_path, "main.py", "x.pyc", "node_modules/a/b.js", "pkg/y.pyc", "pkg/z.py")
    patterns = Patterns(["node_modules", "**/*.pyc"])
    assert names(walk(tmp_path, patterns)) == ["main.py", "pkg", "pkg/z.py"]


def test_a_directory_returns_for_a_file_that_was_taken_back_in(tmp_path: Path) -> None:
    tree(tmp_path, "docs/README.md", "docs/guide.md", "docs/deep/x.md", "empty/in/")
    assert names(walk(tmp_path, Patterns(["*", "!docs/README.md"]))) == ["docs", "docs/README.md"]


def test_a_whitelist_keeps_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    tree(tmp_path, "src/pkg/a.py", "src/pkg/__pycache__/a.pyc", "other.txt")
    patterns = Patterns(["**", "!src/**", "**/__pycache__"])
    assert names(walk(tmp_path, patterns)) == ["src", "src/pkg", "src/pkg/a.py"]


def test_links_stay_links_even_broken_ones_and_those_that_lead_out(tmp_path: Path) -> None:
    tree(tmp_path / "project", "real/file")
    (tmp_path / "project/to-dir").symlink_to("./real")
    (tmp_path / "project/broken").symlink_to("nowhere")
    (tmp_path / "project/out").symlink_to("../..")
    links = {file.entry.path: file.entry for file in walk(tmp_path / "project") if file.entry.kind == "symlink"}
    assert {path: entry.link for path, entry in links.items()} == {
        "broken": "nowhere",
        "out": "../..",
        "to-dir": "./real",
    }
    assert {entry.mode for entry in links.values()} == {0o777}


def test_hard_links_are_plain_files(tmp_path: Path) -> None:
    tree(tmp_path, "one")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert [file.entry.kind for file in walk(tmp_path)] == ["file", "file"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file kinds")
def test_sockets_and_pipes_are_no_part_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "file")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path may have 100 characters
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    assert names(walk(tmp_path)) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file kinds")
def test_for_a_dockerfile_pipes_are_pipes_and_sockets_are_empty_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe", 0o640)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        files = walk(tmp_path, normalise=False)
        assert [(file.row[0], file.kind) for file in files] == [("pipe", "fifo"), ("socket", "file")]
        assert (files[1].entry.size, b"".join(files[1].read())) == (0, b"")
        assert files[1].hash() == hashlib.sha256(b"").hexdigest()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices and capabilities")
def test_for_a_dockerfile_devices_and_capabilities_are_kept(tmp_path: Path) -> None:
    tree(tmp_path, "tool", "data")
    (tmp_path / "tool").chmod(0o4755)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(tmp_path / "tool", "security.capability", capability)
    try:
        os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    except OSError:
        pytest.skip("this root may not make devices")
    data, null, tool = (file.entry for file in walk(tmp_path, normalise=False))
    assert (null.kind, null.major, null.minor) == ("char", 1, 3)
    assert (tool.mode, dict(tool.xattrs), dict(data.xattrs)) == (0o4755, {"security.capability": capability}, {})


def test_the_names_of_one_file_have_one_stamp(tmp_path: Path) -> None:
    tree(tmp_path, "one", "other")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    one, other, two = walk(tmp_path)
    assert one.stamp == two.stamp != other.stamp
    assert [file.linked for file in (one, other, two)] == [True, False, True]


def test_a_directory_that_is_left_out_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "a/b", "node_modules/x/y", "docs/x/y", "docs/keep/z")
    opened: list[str] = []
    real = context._listed

    def listed(root: str, prefix: str) -> AbstractContextManager[list[os.DirEntry[str]]]:
        opened.append(prefix)
        return real(root, prefix)

    monkeypatch.setattr(context, "_listed", listed)
    walk(tmp_path, Patterns(["node_modules", "docs", "!docs/keep"]))
    assert sorted(opened) == ["", "a/", "docs/", "docs/keep/"]


def test_a_link_in_the_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, "outside/secret", "project/dir/file")
    with pytest.raises(WherryError, match="cannot read dir"), context._listed(str(tmp_path / "project"), "dir/"):
        (tmp_path / "project/dir").rename(tmp_path / "gone")
        (tmp_path / "project/dir").symlink_to("../outside")
        with context._listed(str(tmp_path / "project"), "dir/"):
            pass


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_hashes_are_those_of_the_contents_with_threads_and_without(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("context")
    for number, data in enumerate(contents):
        (root / str(number)).write_bytes(data)
    expected = [hashlib.sha256(data).hexdigest() for data in contents]
    files = walk(root)
    assert hashed(files) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "_SMALL", 100)
        patch.setattr(context, "_THREADS_FROM", 1)
        assert hashed(files) == expected


def test_modes_and_times_are_the_same_whoever_checked_the_project_out(tmp_path: Path) -> None:
    tree(tmp_path, "dir/script", "dir/data")
    (tmp_path / "dir/script").chmod(0o700)
    (tmp_path / "dir/data").chmod(0o600)
    (tmp_path / "dir").chmod(0o775)
    entries = {file.entry.path: file.entry for file in walk(tmp_path, epoch=42)}
    assert {path: entry.mode for path, entry in entries.items()} == {
        "dir": 0o755,
        "dir/data": 0o644,
        "dir/script": 0o755,
    }
    assert {(entry.mtime, entry.uid, entry.gid) for entry in entries.values()} == {(42, 0, 0)}


def test_modes_and_times_can_be_kept(tmp_path: Path) -> None:
    tree(tmp_path, "file")
    (tmp_path / "file").chmod(0o640)
    os.utime(tmp_path / "file", (1000, 1000))
    (file,) = walk(tmp_path, normalise=False)
    assert (file.entry.mode, file.entry.mtime) == (0o640, 1000)


def test_names_that_are_not_text_are_kept(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe\nname"
    try:
        Path(os.fsdecode(path)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (file,) = walk(tmp_path)
    assert os.fsencode(file.entry.path) == b"\xff\xfe\nname"
    assert digest([file])


def test_a_context_that_does_not_exist_or_is_a_file_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "file")
    with pytest.raises(UsageError, match="is not a directory"):
        walk(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        walk(tmp_path / "missing")


_AS_NOBODY = """
import os, sys
from pathlib import Path
from wherry.errors import WherryError
from wherry.sources.context import digest, walk
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    digest(walk(Path(sys.argv[1])))
except WherryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_cannot_be_read_is_named(kind: str) -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own is closed to other users
        root = tree(Path(directory), "secret/data" if kind == "directory" else "secret")
        root.chmod(0o755)
        (root / "secret").chmod(0)
        command = [sys.executable, "-c", _AS_NOBODY, directory]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        (root / "secret").chmod(0o755)
    assert "cannot read secret" in found.stdout, found.stderr
    assert ".dockerignore" in found.stdout


# -- the digest -----------------------------------------------------------------------------------


def test_a_copy_of_a_project_has_the_same_digest(tmp_path: Path) -> None:
    tree(tmp_path / "one", "a.py", "b/c.py")
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    os.utime(tmp_path / "two/a.py", (0, 0))
    assert digest(walk(tmp_path / "one")) == digest(walk(tmp_path / "two"))


@pytest.mark.parametrize("change", ["content", "name", "mode", "new file", "new directory", "link"])
def test_every_change_that_shows_in_the_image_changes_the_digest(tmp_path: Path, change: str) -> None:
    tree(tmp_path, "a.py", "b/c.py")
    (tmp_path / "link").symlink_to("a.py")
    before = digest(walk(tmp_path))
    if change == "content":
        (tmp_path / "a.py").write_text("Content of a.py")
    elif change == "name":
        (tmp_path / "a.py").rename(tmp_path / "A.py")
    elif change == "mode":
        (tmp_path / "a.py").chmod(0o755)
    elif change == "new file":
        (tmp_path / "new").touch()
    elif change == "new directory":
        (tmp_path / "new").mkdir()
    else:
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to("b")
    assert digest(walk(tmp_path)) != before


def test_a_file_that_was_replaced_meanwhile_counts_as_changed(tmp_path: Path) -> None:
    tree(tmp_path, "file")
    (file,) = walk(tmp_path)
    assert not file.changed()
    (tmp_path / "file").write_text("other")
    assert file.changed()
    (tmp_path / "file").unlink()
    assert file.changed()


@given(st.binary(max_size=4000), st.binary(max_size=4000))
def test_the_digest_tells_contents_apart(tmp_path_factory: pytest.TempPathFactory, one: bytes, other: bytes) -> None:
    root = tmp_path_factory.mktemp("context")
    (root / "file").write_bytes(one)
    first = digest(walk(root))
    (root / "file").write_bytes(other)
    assert (digest(walk(root)) == first) is (one == other)


# -- the memory -----------------------------------------------------------------------------------


@pytest.fixture
def old_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two files that are remembered, as if they were large and not just written."""
    monkeypatch.setattr(context, "_WORTH_FILES", 1)
    monkeypatch.setattr(context, "_RACY", -60_000_000_000)
    return tree(tmp_path / "project", "a", "b/c")


def memory(root: Path) -> Memory:
    scratch = root.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return Memory(root.parent / "store", root, scratch)


def test_a_remembered_file_is_not_read_again(old_tree: Path) -> None:
    before = digest(walk(old_tree), memory(old_tree))
    files = tuple(
        ContextFile(file.entry, "/nonexistent", file.stamp) if file.entry.kind == "file" else file
        for file in walk(old_tree)
    )
    assert digest(files, memory(old_tree)) == before
    with pytest.raises(WherryError, match="cannot read a"):
        digest(files)


def test_memory_and_no_memory_give_the_same_digest(old_tree: Path) -> None:
    digest(walk(old_tree), memory(old_tree))
    (old_tree / "a").write_text("CONTENT of a")
    assert digest(walk(old_tree), memory(old_tree)) == digest(walk(old_tree))


def test_a_change_that_keeps_size_and_time_is_seen(old_tree: Path) -> None:
    before = digest(walk(old_tree), memory(old_tree))
    status = (old_tree / "a").stat()
    (old_tree / "a").write_text("Content of a")
    os.utime(old_tree / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest(walk(old_tree), memory(old_tree)) != before


def test_a_file_changed_just_now_is_not_remembered(old_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_RACY", 2_000_000_000)
    os.utime(old_tree / "a", ns=(time.time_ns(), time.time_ns()))
    digest(walk(old_tree), memory(old_tree))
    assert memory(old_tree).recall(regular(old_tree)) == ["", ""]


def test_a_damaged_memory_is_an_empty_one(old_tree: Path) -> None:
    before = digest(walk(old_tree), memory(old_tree))
    (path,) = (old_tree.parent / "store/contexts").iterdir()
    for damage in (b"", b"\xff\0garbage\0", path.read_bytes()[:30]):
        path.write_bytes(damage)
        assert digest(walk(old_tree), memory(old_tree)) == before


def test_a_small_project_leaves_no_memory_behind(tmp_path: Path) -> None:
    root = tree(tmp_path / "project", "main.py")
    digest(walk(root), memory(root))
    assert not (tmp_path / "store").exists()


def test_what_is_unchanged_is_recalled_and_the_rest_is_not(old_tree: Path) -> None:
    tree(old_tree, "b/d", "e")
    files = regular(old_tree)
    hashes = hashed(files)
    memory(old_tree).keep(files, hashes)
    assert memory(old_tree).recall(files) == hashes
    (old_tree / "b/d").write_text("changed")
    (old_tree / "a").unlink()
    tree(old_tree, "new")
    assert memory(old_tree).recall(regular(old_tree)) == [hashes[1], "", hashes[3], ""]


def test_a_tree_knows_what_was_remembered_and_hashes_the_rest(old_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.sources.tree._FEW", 0)
    (old_tree / "same").hardlink_to(old_tree / "a")

    def known() -> dict[str, str]:
        made = ContextTree(walk(old_tree, normalise=False), memory(old_tree))
        files = [(node.content, path) for path, node in made.tree.walk() if node.content.kind == "file"]
        made.know(files)
        return {path: content.hash for content, path in files}

    first = known()
    assert first == {path: hashlib.sha256((old_tree / path).read_bytes()).hexdigest() for path in ("a", "b/c", "same")}
    monkeypatch.setattr(ContextFile, "hash", lambda file: "f" * 64)
    assert known() == first
    (old_tree / "b/c").write_text("changed")
    assert known() == first | {"b/c": "f" * 64}


def test_a_part_of_a_context_adds_to_what_is_remembered_of_the_rest(old_tree: Path) -> None:
    one, other = regular(old_tree)
    memory(old_tree).keep([one], hashed([one]))
    memory(old_tree).keep([other], hashed([other]))
    assert memory(old_tree).recall([one, other]) == hashed([one, other])
    memory(old_tree).keep([other], hashed([other]), whole=True)
    assert memory(old_tree).recall([one, other]) == ["", *hashed([other])]


# -- as they are seen -------------------------------------------------------------------------------


def seen(root: Path) -> str:
    return seen_as(root, walk(root, normalise=False))


def test_files_that_nothing_was_done_to_are_seen_as_the_same(old_tree: Path) -> None:
    (old_tree / "link").symlink_to("a")
    before = seen(old_tree)
    assert before
    os.utime(old_tree, ns=(1, 1))
    os.utime(old_tree / "b", ns=(1, 1))
    os.utime(old_tree / "link", ns=(1, 1), follow_symlinks=False)
    assert seen(old_tree) == before


@pytest.mark.parametrize(
    "act",
    [
        "(root / 'a').chmod(0o600)",
        "(root / 'a').rename(root / 'z')",
        "(root / 'a').unlink()",
        "(root / 'b').chmod(0o700)",
        "(root / 'new').mkdir()",
        "(root / 'link').unlink(); (root / 'link').symlink_to('b')",
        "os.link(root / 'a', root / 'c')",
        "(root / 'a').write_text('Content of a'); os.utime(root / 'a', ns=(1, 1))",
    ],
)
def test_files_that_something_was_done_to_are_seen_as_others(old_tree: Path, act: str) -> None:
    (old_tree / "link").symlink_to("a")
    os.utime(old_tree / "a", ns=(1, 1))
    before = seen(old_tree)
    exec(act, {"root": old_tree, "os": os})
    assert seen(old_tree) not in {"", before}


def test_the_same_names_elsewhere_are_seen_as_others(old_tree: Path, tmp_path: Path) -> None:
    before = seen(old_tree)
    old_tree.rename(tmp_path / "moved")
    assert seen(tmp_path / "moved") not in {"", before}


def test_files_of_which_one_changed_just_now_are_not_told_by_what_is_seen(
    old_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "_RACY", 60_000_000_000)
    os.utime(old_tree / "a", ns=(1, 1))
    assert seen(old_tree) == ""


def test_a_few_files_are_not_told_by_what_is_seen(old_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "_WORTH_FILES", 100)
    assert seen(old_tree) == ""
