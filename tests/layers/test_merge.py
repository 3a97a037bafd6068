"""Layers as one root filesystem: the same as unpacking them one over the other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.errors import WherryError
from wherry.layers import tar
from wherry.layers.entry import Entry
from wherry.layers.merge import merged
from wherry.layers.unpack import unpack

# Few names, so that layers meet.
_name = st.sampled_from(["a", "b", "c", "link"])
_path = st.lists(_name, min_size=1, max_size=3).map("/".join)
_marker = st.one_of(_name.map(".wh.".__add__), st.just(".wh..wh..opq"))
_whiteout = st.tuples(st.lists(_name, max_size=2), _marker).map(lambda pair: "/".join([*pair[0], pair[1]]))
_entry = st.one_of(
    st.builds(Entry, _path, st.just("file"), st.just(0o644), st.just(1), mtime=st.integers(0, 9)),
    st.builds(Entry, _path, st.just("file"), st.just(0o644), st.just(1), mtime=st.integers(0, 9)),
    st.builds(Entry, _path, st.just("dir"), st.sampled_from([0o755, 0o711]), mtime=st.integers(0, 9)),
    st.builds(Entry, _path, st.just("symlink"), st.just(0o777), link=st.sampled_from(["a", "/b", "../c", "../../a/b"])),
    st.builds(Entry, _path, st.just("hardlink"), link=_path),
    st.builds(Entry, _whiteout, st.just("file")),
)
_layers = st.lists(st.lists(_entry, max_size=6), min_size=1, max_size=3)


def _write(layers: Sequence[Sequence[Entry]], folder: Path) -> list[Path]:
    paths = []
    for number, layer in enumerate(layers):
        path = folder / f"layer{number}.tar"
        pieces = [
            tar.header(entry) + (str(place % 10).encode() + tar.padding(1) if entry.size else b"")
            for place, entry in enumerate(layer)
        ]
        path.write_bytes(b"".join(pieces) + tar.END)
        paths.append(path)
    return paths


def _tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything that counts about the files below ``root``; hard links by the first of their names."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        status = path.lstat()
        same = first.setdefault(status.st_ino, name)
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        time = None if path.is_dir() and not path.is_symlink() else int(status.st_mtime)
        found[name] = (status.st_mode, content, same, time)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_layers)
def test_the_merged_archive_unpacks_to_what_the_layers_unpack_to(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Entry]]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    paths = _write(layers, folder)
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    try:
        unpack(paths, folder / "one", owners=False)
    except WherryError:
        with pytest.raises(WherryError):
            list(merged(paths))
        return
    archive = folder / "merged.tar"
    with archive.open("wb") as file:
        for entry, data in merged(paths):
            content = data.read() if data else b""
            file.write(tar.header(entry) + content + tar.padding(len(content)))
        file.write(tar.END)
    subprocess.run(["tar", "-xpf", archive, "-C", folder / "two"], check=True, capture_output=True)
    assert _tree(folder / "two") == _tree(folder / "one")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_layers)
def test_directories_come_first_and_links_after_what_they_name(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Entry]]
) -> None:
    paths = _write(layers, tmp_path_factory.mktemp("merge"))
    seen: dict[str, str] = {}
    with suppress(WherryError):
        for entry, _ in merged(paths):
            assert entry.path not in seen
            parent = entry.path.rpartition("/")[0]
            assert not parent or seen[parent] == "dir"
            assert entry.kind != "dir" or set(seen.values()) <= {"dir"}
            assert entry.kind != "hardlink" or entry.link in seen
            seen[entry.path] = entry.kind
