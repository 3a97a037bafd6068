"""Removing trees: closed ones, deep ones, and those of which something must stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wherry.store.files import remove_tree


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "tree")
    assert (tmp_path / "outside" / "file").exists()


def test_a_tree_may_be_deeper_than_a_path_can_say(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    script = "import os\nfor _ in range(2500):\n    os.mkdir('d')\n    os.chdir('d')"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "tree", check=True)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_its_owner_may_remove_what_is_closed_and_all_but_what_is_not_theirs(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("closed", "strangers"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").touch()
        (tree / name / "other").touch()
    for path in (tree, tree / "closed", tree / "closed" / "file"):
        os.chown(path, 12345, 12345)
    (tree / "closed").chmod(0)
    tmp_path.chmod(0o755)
    (tree / "link").symlink_to("strangers")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(tmp_path)
            os.setresgid(12345, 12345, 12345)
            os.setresuid(12345, 12345, 12345)
            remove_tree(Path("tree"))
        except PermissionError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*")) == [
        "strangers",
        "strangers/file",
        "strangers/other",
    ]
