"""Wheels into layers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.events import Progress, Reporter
from wherry.fetch import Download
from wherry.image import Layer
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.reader import entries
from wherry.store import Store
from wherry.target import Interpreter
from wherry.wheels.bytecode import Compiler, host_launch
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.install import WheelToInstall, cached, pack, pack_key

MakeWheel = Callable[..., WheelToInstall]

VERSION = ".".join(map(str, sys.version_info[:3]))
TAG = sys.implementation.cache_tag
ENVIRONMENT = Environment(Interpreter(VERSION, "/usr/bin/python3"))
SITE = ENVIRONMENT.site_packages
GZIP = Compression()


def compiler() -> Compiler:
    return Compiler(host_launch(sys.executable), VERSION, 2)


def idle(_: Sequence[str]) -> subprocess.Popen[bytes]:
    raise AssertionError("nothing should be compiled")


def packed(store: Store, *wheels: WheelToInstall, compiler: Compiler | None = None) -> Layer:
    return pack(wheels, ENVIRONMENT, store=store, compression=GZIP, epoch=315532800, compiler=compiler)


def content(store: Store, layer: Layer) -> dict[str, tuple[Entry, bytes]]:
    path = store.blobs.path(layer.descriptor.digest)
    return {entry.path: (entry, stream.read() if stream else b"") for entry, stream in entries(path)}


def test_a_layer_holds_the_files_and_all_folders_above_them(make_wheel: MakeWheel, store: Store) -> None:
    found = content(store, packed(store, make_wheel({"demo/__init__.py": "x = 1\n"})))
    folders = [path for path, (entry, _) in found.items() if entry.kind == "dir"]
    assert folders[:4] == ["opt", "opt/venv", "opt/venv/lib", SITE.rpartition("/")[0]]
    assert found[f"{SITE}/demo/__init__.py"][1] == b"x = 1\n"


def test_attributes_are_the_same_everywhere(make_wheel: MakeWheel, store: Store) -> None:
    modes = {"demo/tool": 0o100777, "demo/data": 0o100600}
    found = content(store, packed(store, make_wheel({"demo/tool": "", "demo/data": ""}, modes=modes)))
    assert list(found) == sorted(found)
    assert {(entry.uid, entry.gid, entry.mtime) for entry, _ in found.values()} == {(0, 0, 315532800)}
    assert found[f"{SITE}/demo/tool"][0].mode == 0o755
    assert found[f"{SITE}/demo/data"][0].mode == 0o644
    assert {entry.mode for entry, _ in found.values() if entry.kind == "dir"} == {0o755}


def test_the_same_wheel_gives_the_same_layer(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel({f"demo/m{number}.py": f"x = {number}\n" * 999 for number in range(40)})
    layers = []
    for number in range(2):
        with Store(tmp_path / f"store-{number}") as store, compiler() as making:
            layers.append(packed(store, wheel, compiler=making))
    assert layers[0] == layers[1]


def test_the_order_of_wheels_does_not_matter(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheels = [make_wheel({f"{name}.py": "x = 1\n" * 999}, name=name) for name in ("one", "two", "three")]
    layers = []
    for number, order in enumerate((wheels, wheels[::-1])):
        with Store(tmp_path / f"store-{number}") as store, compiler() as making:
            layers.append(packed(store, *order, compiler=making))
    assert layers[0] == layers[1]


def test_a_wheels_bytecode_does_not_depend_on_its_company(make_wheel: MakeWheel, tmp_path: Path) -> None:
    one, two = (make_wheel({f"{name}.py": "x = 'text'\n" * 99}, name=name) for name in ("one", "two"))
    path = f"{SITE}/__pycache__/two.{TAG}.pyc"
    found = []
    for number, wheels in enumerate(([two], [one, two])):
        with Store(tmp_path / f"store-{number}") as store, compiler() as making:
            found.append(content(store, packed(store, *wheels, compiler=making))[path])
    assert found[0] == found[1]


def test_bytecode_is_packed_and_recorded(make_wheel: MakeWheel, store: Store) -> None:
    with compiler() as making:
        found = content(store, packed(store, make_wheel({"demo/a.py": "", "demo/bad.py": "def"}), compiler=making))
    assert f"{SITE}/demo/__pycache__/a.{TAG}.pyc" in found
    assert f"{SITE}/demo/__pycache__/bad.{TAG}.pyc" not in found
    record = found[f"{SITE}/demo-1.0.dist-info/RECORD"][1].decode()
    assert f"demo/__pycache__/a.{TAG}.pyc,,\n" in record
    assert f"bad.{TAG}" not in record


def test_without_a_compiler_there_is_no_bytecode(make_wheel: MakeWheel, store: Store) -> None:
    assert not [path for path in content(store, packed(store, make_wheel({"a.py": ""}))) if path.endswith(".pyc")]


def test_packing_anew_with_others_compiles_nothing_again(make_wheel: MakeWheel, store: Store) -> None:
    one, two = (make_wheel({f"{name}.py": "x = 1\n"}, name=name) for name in ("one", "two"))
    with compiler() as making:
        packed(store, one, compiler=making)
        packed(store, two, compiler=making)
    both = packed(store, one, two, compiler=Compiler(idle, VERSION))
    assert f"{SITE}/__pycache__/one.{TAG}.pyc" in content(store, both)


def test_a_packed_layer_is_found_by_its_key(make_wheel: MakeWheel, store: Store) -> None:
    wheel = make_wheel({"demo.py": ""})
    key = pack_key([wheel.distribution], ENVIRONMENT, compression=GZIP, epoch=315532800)
    assert cached(key, store) is None
    layer = packed(store, wheel)
    assert cached(key, store) == layer
    wheel.path.unlink()
    assert packed(store, wheel) == layer


def test_a_layer_whose_blob_is_gone_is_packed_again(make_wheel: MakeWheel, store: Store) -> None:
    wheel = make_wheel({"demo.py": ""})
    layer = packed(store, wheel)
    store.blobs.path(layer.descriptor.digest).unlink()
    assert packed(store, wheel) == layer
    assert store.blobs.has(layer.descriptor.digest)


def test_the_key_tells_apart_what_gives_other_layers() -> None:
    one = _distribution("one")
    other = Environment(Interpreter(VERSION, "/usr/bin/python3"), "/srv/venv")
    minor = Environment(Interpreter("3.99.0", "/usr/bin/python3"))
    keys = {
        pack_key([one], ENVIRONMENT, compression=GZIP, epoch=0),
        pack_key([one], ENVIRONMENT, compression=GZIP, epoch=1),
        pack_key([one], ENVIRONMENT, compression=Compression("zstd", 3), epoch=0),
        pack_key([one], other, compression=GZIP, epoch=0),
        pack_key([one], minor, compression=GZIP, epoch=0),
        pack_key([one], ENVIRONMENT, compression=GZIP, epoch=0, compiler=Compiler(idle, VERSION)),
        pack_key([one], ENVIRONMENT, compression=GZIP, epoch=0, compiler=Compiler(idle, "3.99.0")),
        pack_key([one, _distribution("two")], ENVIRONMENT, compression=GZIP, epoch=0),
        pack_key([replace(one, direct_url="{}")], ENVIRONMENT, compression=GZIP, epoch=0),
    }
    assert len(keys) == 9
    assert pack_key([one], ENVIRONMENT, compression=GZIP, epoch=0) in keys


def _distribution(name: str) -> Distribution:
    return Distribution(name, "1.0", Download(f"file:///{name}", {"sha256": name.encode().hex().ljust(64, "0")}))


def test_wheels_of_one_layer_may_share_a_file(make_wheel: MakeWheel, store: Store) -> None:
    wheels = [make_wheel({"space/__init__.py": "", f"space/{name}.py": ""}, name=name) for name in ("one", "two")]
    with compiler() as making:
        found = content(store, packed(store, *wheels, compiler=making))
    assert found[f"{SITE}/space/__init__.py"][1] == b""
    assert f"{SITE}/space/two.py" in found


def test_wheels_of_one_layer_that_overwrite_each_other_are_refused(make_wheel: MakeWheel, store: Store) -> None:
    wheels = [make_wheel({"common.py": name}, name=name) for name in ("one", "two")]
    with pytest.raises(WherryError, match="one and two both install"):
        packed(store, *wheels)


def test_nothing_of_a_bad_wheel_is_kept(make_wheel: MakeWheel, store: Store) -> None:
    row = "z.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,1"
    wheel = make_wheel({"a.bin": os.urandom(1 << 21), "z.py": "x"}, record={"z.py": row})
    with pytest.raises(WherryError, match="RECORD"):
        packed(store, wheel)
    assert not [path for path in (store.path / "blobs").rglob("*") if path.is_file()]
    assert not list(store.scratch().iterdir())
    assert store.cache.needed() == set()


def test_two_builds_at_once_pack_once(make_wheel: MakeWheel, store: Store, tmp_path: Path) -> None:
    wheel = make_wheel({"demo.bin": os.urandom(1 << 20)})
    with Store(tmp_path / "store") as other, ThreadPoolExecutor(4) as pool:
        layers = list(pool.map(lambda one: packed(one, wheel), [store, other, store, other]))
    assert len(set(map(repr, layers))) == 1


def test_progress_counts_bytes(make_wheel: MakeWheel, store: Store) -> None:
    seen: list[Progress] = []
    reporter = Reporter(lambda event: seen.append(event) if isinstance(event, Progress) else None)
    with reporter.step("pack") as task:
        pack([make_wheel({"demo.bin": bytes(1000)})], ENVIRONMENT, store=store, compression=GZIP, epoch=0, task=task)
        assert task.total is not None
        assert task.done == task.total > 1000
    assert seen
