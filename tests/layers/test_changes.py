"""What a command changed in a root filesystem."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.layers.changes import Change, differences, seen, upper
from wherry.layers.entry import Entry
from wherry.layers.records import row_of

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts and trusted attributes")


def found(changes: list[Change]) -> dict[str, str]:
    return {change.entry.path: change.entry.kind for change in changes}


def changed(folder: Path, act: str) -> list[Change]:
    """What a few lines of Python, run with ``root`` as a folder, change in it."""
    before = seen(os.fspath(folder))
    exec(act, {"root": folder, "os": os})
    return list(differences(os.fspath(folder), before))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path in ("etc/hosts", "usr/bin/tool", "usr/lib/a", "usr/lib/b"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
        os.utime(root / path, (1, 1))
    (root / "bin").symlink_to("usr/bin")
    return root


def test_nothing_done_is_no_change(tree: Path) -> None:
    assert changed(tree, "") == []


def test_a_new_file_comes_with_the_directories_above_it(tree: Path) -> None:
    changes = changed(tree, "(root / 'usr/lib/new').write_text('text')")
    assert found(changes) == {"usr": "dir", "usr/lib": "dir", "usr/lib/new": "file"}
    assert b"".join(changes[-1].read()) == b"text"


def test_a_file_written_over_with_the_same_size_and_time_is_changed(tree: Path) -> None:
    act = "path = root / 'etc/hosts'; path.write_text('ETC/HOSTS'); os.utime(path, (1, 1))"
    assert "etc/hosts" in found(changed(tree, act))


def test_a_removed_file_is_a_whiteout(tree: Path) -> None:
    assert found(changed(tree, "(root / 'etc/hosts').unlink()")) == {"etc": "dir", "etc/.wh.hosts": "file"}


def test_a_removed_directory_is_one_whiteout(tree: Path) -> None:
    changes = changed(tree, "import shutil; shutil.rmtree(root / 'usr/lib')")
    assert found(changes) == {"usr": "dir", "usr/.wh.lib": "file"}


def test_a_removed_name_of_the_root_is_a_whiteout(tree: Path) -> None:
    assert found(changed(tree, "(root / 'bin').unlink()")) == {".wh.bin": "file"}


def test_a_directory_in_place_of_a_file_hides_it(tree: Path) -> None:
    changes = changed(tree, "(root / 'etc/hosts').unlink(); (root / 'etc/hosts').mkdir()")
    assert found(changes) == {"etc": "dir", "etc/hosts": "dir"}


def test_another_mode_is_a_change(tree: Path) -> None:
    changes = changed(tree, "(root / 'etc/hosts').chmod(0o600)")
    assert [change.entry.mode for change in changes if change.entry.path == "etc/hosts"] == [0o600]


def test_names_of_one_file_are_hard_links(tree: Path) -> None:
    changes = changed(tree, "os.link(root / 'usr/lib/a', root / 'usr/lib/z')")
    links = {change.entry.path: change.entry.link for change in changes if change.entry.kind == "hardlink"}
    assert links == {"usr/lib/z": "usr/lib/a"}
    assert "usr/lib/a" in found(changes)


def test_links_are_kept_and_not_followed(tree: Path) -> None:
    changes = changed(tree, "os.symlink('/etc/passwd', root / 'etc/link')")
    assert [change.entry.link for change in changes if change.entry.kind == "symlink"] == ["/etc/passwd"]


def test_parents_come_before_what_is_in_them(tree: Path) -> None:
    paths = [change.entry.path for change in changed(tree, "(root / 'etc-x').mkdir(); (root / 'etc/y').write_text('')")]
    assert paths == ["etc", "etc/y", "etc-x"]


def test_a_file_that_became_a_link_is_not_read(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = tree / "etc" / "hosts"
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(WherryError, match="etc/hosts"):
        list(Change(row_of(Entry("etc/hosts", "file", size=6)), os.fspath(path)).read())


@pytest.mark.parametrize("size", [6, 1 << 20])
def test_all_that_a_file_holds_is_read(tree: Path, size: int) -> None:
    (tree / "large").write_bytes(b"x" * (1 << 20))
    change = Change(row_of(Entry("large", "file", size=size)), os.fspath(tree / "large"))
    assert sum(map(len, change.read())) == min(size + 1, 1 << 20)  # one more than expected tells that it has grown


def test_a_file_that_was_moved_away_and_back_where_something_else_was_shown_is_no_change(tree: Path) -> None:
    before = seen(os.fspath(tree))
    for path in ("etc/hosts", "usr/lib/a"):
        status = (tree / path).parent.stat()
        (tree / path).rename(tree / "aside")
        (tree / path).write_text("lent")
        (tree / path).unlink()
        (tree / "aside").rename(tree / path)
        os.utime((tree / path).parent, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert found(list(differences(os.fspath(tree), before, {"etc/hosts"}))) == {
        "usr": "dir",
        "usr/lib": "dir",
        "usr/lib/a": "file",
    }


def test_a_file_that_was_written_to_is_a_change_although_something_else_was_shown_there(tree: Path) -> None:
    before = seen(os.fspath(tree))
    (tree / "etc/hosts").write_text("written")
    assert "etc/hosts" in found(list(differences(os.fspath(tree), before, {"etc/hosts"})))


def test_names_that_are_not_utf_8_are_kept(tree: Path) -> None:
    with (tree / os.fsdecode(b"etc/caf\xe9")).open("w"):
        pass
    paths = [change.entry.path for change in upper(os.fspath(tree))]
    assert os.fsdecode(b"etc/caf\xe9") in paths


def test_sockets_are_passed_over(tree: Path) -> None:
    os.mknod(tree / "etc" / "socket", stat.S_IFSOCK | 0o600)
    assert "etc/socket" not in found(list(upper(os.fspath(tree))))


@root_only
def test_an_upper_directorys_device_0_0_is_a_whiteout(tree: Path) -> None:
    os.mknod(tree / "etc" / "gone", stat.S_IFCHR | 0o600, 0)
    names = found(list(upper(os.fspath(tree))))
    assert "etc/.wh.gone" in names
    assert "etc/gone" not in names


@root_only
def test_an_opaque_upper_directory_hides_what_is_below(tree: Path) -> None:
    os.setxattr(tree / "usr", "trusted.overlay.opaque", b"y")
    changes = list(upper(os.fspath(tree)))
    paths = [change.entry.path for change in changes]
    assert paths.index("usr/.wh..wh..opq") == paths.index("usr") + 1
    assert not any(change.entry.xattrs for change in changes)


@root_only
def test_file_capabilities_are_kept(tree: Path) -> None:
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(tree / "usr" / "bin" / "tool", "security.capability", value)
    tools = [change.entry.xattrs for change in upper(os.fspath(tree)) if change.entry.path == "usr/bin/tool"]
    assert tools == [{"security.capability": value}]
