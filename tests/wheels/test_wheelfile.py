"""Reading wheels, good and bad."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.wheels.install import WheelToInstall
from wherry.wheels.wheelfile import MemberStream, WheelFile

MakeWheel = Callable[..., WheelToInstall]


def read(wheel: WheelToInstall) -> dict[str, bytes]:
    """Every member with its content, checked."""
    with WheelFile.open(wheel.path, wheel.distribution) as file:
        return {path: b"".join(file.pieces(member)) for path, member in file.members.items()}


def central(path: str, offset: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """An edit that sets a field of a member's entry in the zip file's directory."""

    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        position = data.index(b"PK\1\2")
        while data[position + 46 : position + 46 + len(path)] != path.encode():
            position = data.index(b"PK\1\2", position + 4)
        struct.pack_into(form, changed, position + offset, value)
        return bytes(changed)

    return edit


def test_members_are_read_as_they_were_written(make_wheel: MakeWheel) -> None:
    content = {"demo/__init__.py": b"", "demo/a.py": b"x = 1\n", "demo/data.bin": bytes(range(256)) * 4000}
    found = read(make_wheel(content))
    assert {path: found[path] for path in content} == content


def test_stored_members_are_read_too(make_wheel: MakeWheel) -> None:
    content = bytes(range(256)) * 4000
    assert read(make_wheel({"demo.bin": content, "empty.txt": b""}, method=zipfile.ZIP_STORED))["demo.bin"] == content


def test_a_large_member_comes_in_small_pieces(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"zeros.bin": bytes(8 << 20)})
    with WheelFile.open(wheel.path, wheel.distribution) as file:
        sizes = [len(piece) for piece in file.pieces(file.members["zeros.bin"])]
    assert sum(sizes) == 8 << 20
    assert max(sizes) <= 1 << 18


def test_members_can_be_read_in_turns(make_wheel: MakeWheel) -> None:
    one, two = bytes(range(256)) * 8000, bytes(reversed(range(256))) * 8000
    wheel = make_wheel({"one.bin": one, "two.bin": two}, method=zipfile.ZIP_STORED)
    with WheelFile.open(wheel.path, wheel.distribution) as file:
        pairs = list(zip(*(file.pieces(file.members[name]) for name in ("one.bin", "two.bin")), strict=True))
    assert b"".join(pair[0] for pair in pairs) == one
    assert b"".join(pair[1] for pair in pairs) == two


def test_a_stream_reads_nothing_until_it_is_asked(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"demo.py": "x = 1\n"}, edit=lambda data: data.replace(b"PK\3\4", b"PK\0\0", 1))
    with WheelFile.open(wheel.path, wheel.distribution) as file:
        stream = MemberStream(file, file.members["demo.py"])
        with pytest.raises(WherryError, match="not where the directory says"):
            stream.read()


@pytest.mark.parametrize(
    "path", ["../evil.py", "a/../../evil.py", "/etc/passwd", "a\\b.py", "C:evil.py", "a//b.py", "./a.py", "x" * 300]
)
def test_a_wheel_that_leaves_its_prefix_is_refused(make_wheel: MakeWheel, path: str) -> None:
    with pytest.raises(WherryError, match=r"leads out of its folder|too long"):
        read(make_wheel({path: "evil"}))


def test_a_nul_in_a_name_is_refused(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"demo/evilX.py": ""}, edit=lambda data: data.replace(b"evilX", b"evil\0"))
    with pytest.raises(WherryError, match="leads out of its folder"):
        read(wheel)


@pytest.mark.parametrize("kind", [0o120777, 0o060644, 0o010644])
def test_a_member_that_is_no_plain_file_is_refused(make_wheel: MakeWheel, kind: int) -> None:
    with pytest.raises(WherryError, match="neither a file nor a directory"):
        read(make_wheel({"link": "/etc/passwd"}, modes={"link": kind}))


def test_a_member_that_is_there_twice_is_refused(make_wheel: MakeWheel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wheel = make_wheel({"demo.py": "1"}, extra=[("demo.py", b"2")])
    with pytest.raises(WherryError, match=r"holds 'demo.py' twice"):
        read(wheel)


def test_an_encrypted_member_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match="encrypted"):
        read(make_wheel({"demo.py": "x"}, edit=central("demo.py", 8, "<H", 1)))


def test_an_archive_of_several_volumes_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match="multi-volume"):
        read(make_wheel({"demo.py": "x"}, edit=central("demo.py", 34, "<H", 1)))


def test_a_compression_that_wheels_do_not_use_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match="compressed in a way"):
        read(make_wheel({"demo.py": "x"}, method=zipfile.ZIP_BZIP2))


def test_a_member_with_more_content_than_announced_is_refused(make_wheel: MakeWheel) -> None:
    row = "bomb.bin,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"
    bomb = central("bomb.bin", 24, "<I", 1000)
    with pytest.raises(WherryError, match="does not have the 1000 bytes"):
        read(make_wheel({"bomb.bin": bytes(1 << 20)}, record={"bomb.bin": row}, edit=bomb))


def test_a_size_that_record_belies_is_refused(make_wheel: MakeWheel) -> None:
    wrong = central("demo.bin", 24, "<I", 1000)
    with pytest.raises(WherryError, match="has 1000 bytes, RECORD says 3"):
        read(make_wheel({"demo.bin": b"abc"}, edit=wrong))


def test_a_member_with_less_content_than_announced_is_refused(make_wheel: MakeWheel) -> None:
    row = "demo.bin,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,"
    wheel = make_wheel({"demo.bin": b"abc"}, record={"demo.bin": row}, edit=central("demo.bin", 24, "<I", 1000))
    with pytest.raises(WherryError, match="does not have the 1000 bytes"):
        read(wheel)


def test_a_member_that_its_checksum_belies_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match="its checksum is wrong"):
        read(make_wheel({"demo.py": "x"}, edit=central("demo.py", 16, "<I", 7)))


def test_a_member_that_cannot_be_inflated_is_refused(make_wheel: MakeWheel) -> None:
    def edit(data: bytes) -> bytes:
        start = data.index(b"demo.bin") + len("demo.bin")
        return data[:start] + b"\xff" * 8 + data[start + 8 :]

    with pytest.raises(WherryError, match=r"demo.bin is (damaged|cut off)"):
        read(make_wheel({"demo.bin": bytes(range(256))}, edit=edit))


def test_members_that_share_their_data_are_refused(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"one.py": "x = 1", "two.py": "x = 1"}, edit=central("two.py", 42, "<I", 0))
    with pytest.raises(WherryError, match="overlaps"):
        read(wheel)


def test_a_member_with_two_names_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match="another name in its own header"):
        read(make_wheel({"demo.py": "x = 1"}, edit=lambda data: data.replace(b"demo.py", b"evil.py", 1)))


@pytest.mark.parametrize("cut", [0, 3, 100, -30, -5])
def test_a_wheel_that_is_cut_off_is_refused(make_wheel: MakeWheel, cut: int) -> None:
    with pytest.raises(WherryError, match="not a zip file"):
        read(make_wheel({"demo.py": "x = 1"}, edit=lambda data: data[:cut]))


def test_a_member_that_record_does_not_know_is_refused(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match=r"demo.py is not in RECORD"):
        read(make_wheel({"demo.py": "x = 1"}, record={"demo.py": None}))


def test_a_member_that_record_belies_is_refused(make_wheel: MakeWheel) -> None:
    row = "demo.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,1"
    with pytest.raises(WherryError, match=r"demo.py is not the file that RECORD describes"):
        read(make_wheel({"demo.py": "x"}, record={"demo.py": row}))


@pytest.mark.parametrize("hash_", ["", "md5=nfx4lP1slzshFc7klTmzJQ", "sha256=", "sha1=x"])
def test_a_hash_that_proves_nothing_is_refused(make_wheel: MakeWheel, hash_: str) -> None:
    with pytest.raises(WherryError, match=r"no hash of demo.py that can be trusted"):
        read(make_wheel({"demo.py": "x"}, record={"demo.py": f"demo.py,{hash_},1"}))


def test_signatures_need_no_row_in_record(make_wheel: MakeWheel) -> None:
    signature = "demo-1.0.dist-info/RECORD.jws"
    wheel = make_wheel({"demo.py": "x", signature: "{}"}, record={signature: None})
    assert "demo.py" in read(wheel)


@pytest.mark.parametrize("row", ["demo.py", "a,b,c,d", '"demo.py,x,y'])
def test_a_malformed_record_is_refused(make_wheel: MakeWheel, row: str) -> None:
    with pytest.raises(WherryError, match="RECORD"):
        read(make_wheel({"demo.py": "x"}, record={"demo.py": row}))


@pytest.mark.parametrize("wheel", ["Wheel-Version: 2.0\nRoot-Is-Purelib: true\n", "", "nonsense"])
def test_an_unknown_wheel_version_is_refused(make_wheel: MakeWheel, wheel: str) -> None:
    with pytest.raises(WherryError, match="Wheel-Version"):
        read(make_wheel({"demo.py": "x"}, wheel=wheel))


@pytest.mark.parametrize(
    ("dist_info", "metadata"),
    [
        ("other-1.0.dist-info", None),
        ("demo-2.0.dist-info", None),
        (None, "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"),
        (None, "Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n"),
    ],
)
def test_a_wheel_of_something_else_is_refused(
    make_wheel: MakeWheel, dist_info: str | None, metadata: str | None
) -> None:
    with pytest.raises(WherryError, match=r"where demo 1.0 was asked for"):
        read(make_wheel({"demo.py": "x"}, dist_info=dist_info, metadata=metadata))


def test_names_and_versions_may_be_spelled_in_other_ways(make_wheel: MakeWheel) -> None:
    metadata = "Metadata-Version: 2.1\nName: Demo.Thing\nVersion: 1.0.0+Local-1\n"
    wheel = make_wheel(
        {"demo.py": "x"}, name="demo_thing", version="1.0+local.1", dist_info="Demo_Thing-1+local_1.dist-info",
        metadata=metadata,
    )  # fmt: skip
    assert "demo.py" in read(wheel)


def test_a_description_in_an_old_encoding_is_no_obstacle(make_wheel: MakeWheel) -> None:
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nAuthor: Andr\xe9\n"
    assert read(make_wheel({"demo.py": "x"}, metadata=metadata))["demo-1.0.dist-info/METADATA"] == metadata


def test_odd_names_are_found_in_record(make_wheel: MakeWheel) -> None:
    names = {"a,b.py", "line\u2028separator.py", "new\nline.py", "ünïcode.py"}
    assert names <= set(read(make_wheel(dict.fromkeys(names, "x"))))


def test_a_wheel_that_is_gone_is_a_clear_error(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"demo.py": "x"})
    wheel.path.unlink()
    with pytest.raises(WherryError, match="cannot be read"):
        read(wheel)


def test_a_wheel_has_one_dist_info_folder(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match=r"one .dist-info folder, and has 2"):
        read(make_wheel({"demo.py": "x", "other-1.0.dist-info/METADATA": ""}))


@pytest.mark.parametrize("path", ["demo-1.0.data", "demo-1.0.data/scripts", "demo-1.0.data/other/x.py"])
def test_a_data_folder_holds_known_schemes_only(make_wheel: MakeWheel, path: str) -> None:
    with pytest.raises(WherryError, match=r"not in a folder that a wheel's .data may have"):
        read(make_wheel({path: "x"}))


def test_errors_name_the_wheel_and_say_what_to_do(make_wheel: MakeWheel) -> None:
    with pytest.raises(WherryError, match=r"^demo-1.0-py3-none-any.whl: ") as caught:
        read(make_wheel({"../x": ""}))
    assert caught.value.hint


def test_memory_does_not_grow_with_a_member(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel({"small.py": "x = 1\n"}, extra=[])
    big = tmp_path / "big.whl"
    _add_huge_member(wheel.path, big, 300)
    script = f"""
import resource, sys
from pathlib import Path
from wherry.fetch import Download
from wherry.layers.compression import Compression
from wherry.store import Store
from wherry.target import Interpreter
from wherry.wheels import destination, wheelfile
from wherry.layers import writer
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.install import WheelToInstall, pack
from zlib_ng import zlib_ng
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wheel = WheelToInstall(Distribution("demo", "1.0", Download("file:///x", {{"sha256": "0" * 64}})), Path({str(big)!r}))
with Store(Path({str(tmp_path / "store")!r})) as store:
    environment = Environment(Interpreter("3.13.1", "/usr/bin/python3.13"))
    layer = pack([wheel], environment, store=store, compression=Compression(), epoch=0)
assert layer.size > 300 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50 << 10, "kilobytes"


def _add_huge_member(source: Path, target: Path, megabytes: int) -> None:
    """Rewrite ``source`` with a member of so many megabytes, which RECORD knows."""
    import base64
    import hashlib

    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        with new.open("huge.bin", "w") as member:
            for _ in range(megabytes):
                member.write(piece)
                digest.update(piece)
        encoded = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith("RECORD"):
                data += f"huge.bin,sha256={encoded},{megabytes << 20}\n".encode()
            new.writestr(info, data)
