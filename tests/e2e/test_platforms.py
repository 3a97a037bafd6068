"""Images for processors other than this machine's: really built, and checked by their files' ELF headers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Descriptor, Digest, Image, ImageConfig, Index, Layer, Platform, RuntimeConfig
from wherry.image.mediatype import OCI_LAYER_ZSTD
from wherry.layers import reader
from wherry.layers.merge import merged
from wherry.sandbox.binfmt import handlers
from wherry.sandbox.trial import HEAD, Kind, own_kind, runs, smallest
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MACHINES = {62: "linux/amd64", 183: "linux/arm64"}
"""ELF's e_machine: EM_X86_64 and EM_AARCH64."""
FILES = {
    "requirements.txt": "markupsafe==3.0.3\n",
    "main.py": "import markupsafe._speedups\nprint(markupsafe.escape('<&>'))\n",
}

BOTH = "linux/amd64,linux/arm64"
NATIVE = Platform.native()
FOREIGN = Platform("linux", "amd64" if NATIVE.architecture == "arm64" else "arm64")
KIND, PROCESSOR = (Kind(183, 64, "<"), "aarch64") if FOREIGN.architecture == "arm64" else (Kind(62, 64, "<"), "x86_64")


def machines(rootfs: Path) -> set[str]:
    """The platforms of all ELF files in a tar file."""
    found = set()
    with tarfile.open(rootfs) as archive:
        for info in archive:
            reader = archive.extractfile(info) if info.isreg() else None
            head = reader.read(20) if reader else b""
            if head.startswith(b"\x7fELF"):
                found.add(MACHINES.get(int.from_bytes(head[18:20], "little"), info.name))
    return found


def test_an_image_for_arm64_holds_programs_for_arm64_alone(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path
) -> None:
    root = project(FILES)
    rootfs = tmp_path / "rootfs.tar"
    warm.build(root, "-t", "arm", "--platform", "linux/arm64", "-o", f"type=tar,dest={rootfs}")
    assert machines(rootfs) == {"linux/arm64"}
    with tarfile.open(rootfs) as archive:
        names = archive.getnames()
    assert any("_speedups.cpython-313-aarch64-linux-gnu.so" in name for name in names)
    assert any(name.endswith("markupsafe/__pycache__/__init__.cpython-313.pyc") for name in names)


def test_two_platforms_are_one_index_and_the_native_one_runs(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path
) -> None:
    root = project(FILES)
    archive = tmp_path / "app.tar"
    warm.build(root, "-t", "two", "--platform", "linux/amd64,linux/arm64", "-o", f"type=oci,dest={archive}")
    with tarfile.open(archive) as opened:
        index = json.load(opened.extractfile("index.json") or pytest.fail("no index.json"))
        digest = index["manifests"][0]["digest"].partition(":")[2]
        inner = json.load(opened.extractfile(f"blobs/sha256/{digest}") or pytest.fail("no index"))
    platforms = {f"{one['platform']['os']}/{one['platform']['architecture']}" for one in inner["manifests"]}
    assert platforms == {"linux/amd64", "linux/arm64"}
    assert warm.ok("run", "two").stdout == "&lt;&amp;&gt;\n"


def test_on_a_musl_base_compiled_requirements_are_musl_wheels_and_import(
    warm: Wherry, project: Callable[..., Path], tmp_path: Path, musl_base: Path
) -> None:
    base = tmp_path / "base"
    with Store(base) as layout:
        layer = layer_of(musl_base, layout)
        runtime = RuntimeConfig(env=("PATH=/usr/local/bin:/usr/bin:/bin",))
        image = Image.of(ImageConfig(Platform("linux", "amd64"), runtime), (layer,), {})
        layout.tag(("latest",), layout.add_image(image))
    root = project({"requirements.txt": "numpy==2.5.5\n", "main.py": "import numpy\nprint(numpy.arange(4).sum())\n"})
    rootfs = tmp_path / "rootfs.tar"
    warm.build(root, "-t", "musl", "--base", f"oci:{base}", "-o", f"type=tar,dest={rootfs}")
    with tarfile.open(rootfs) as archive:
        extensions = [name for name in archive.getnames() if "site-packages/numpy" in name and name.endswith(".so")]
    assert extensions
    assert all("-musl" in name for name in extensions if ".cpython-" in name)
    assert warm.ok("run", "musl").stdout == "6\n"


def layer_of(archive: Path, layout: Store) -> Layer:
    """A root filesystem in a compressed tar file as a layer of ``layout``."""
    with layout.blobs.writer() as blob:
        blob.write(archive.read_bytes())
        digest, size = blob.commit()
    content = hashlib.sha256()
    with reader.decompressed(archive) as stream:
        while piece := stream.read(1 << 20):
            content.update(piece)
    return Layer(Descriptor(OCI_LAYER_ZSTD, digest, size), Digest("sha256:" + content.hexdigest()))


# -- Dockerfiles ---------------------------------------------------------------------------------------


def images(wherry: Wherry, name: str) -> dict[str, tuple[Image, dict[str, bytes]]]:
    """The images of an index by their platforms, each with its regular files."""
    with Store(wherry.store) as store:
        index = store.load(find_descriptor(store, name))
        assert isinstance(index, Index)
        found = {}
        for image in index.images:
            layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
            files = {entry.path: data.read() for entry, data in merged(layers) if data is not None}
            found[str(image.config.platform)] = (image, files)
        return found


@pytest.fixture
def base(warm: Wherry, project: Callable[..., Path], tmp_path: Path) -> str:
    """A base of two platforms, as a named context."""
    text = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /base\nENV BASE=$TARGETARCH\nLABEL base=$TARGETARCH\n"
    folder = project({"Dockerfile": text, "amd64": "of amd64\n", "arm64": "of arm64\n"}, "base")
    warm.build(folder, "--platform", BOTH, "-o", f"type=oci,dest={tmp_path}/base.tar")
    return f"base=oci-archive:{tmp_path}/base.tar"


def test_a_dockerfile_for_two_platforms_is_one_index(
    warm: Wherry, project: Callable[..., Path], base: str, tmp_path: Path
) -> None:
    folder = project(
        {
            "Dockerfile": """
FROM base AS files
ARG TARGETPLATFORM
ADD data.tar /unpacked/
COPY <<EOF /for
$TARGETPLATFORM
EOF
FROM base
ARG TARGETARCH
WORKDIR /app
ENV APP=$TARGETARCH
COPY main.py .
COPY --from=files /unpacked /base /for from/
CMD ["main"]
""",
            "main.py": "print()\n",
        }
    )
    with tarfile.open(folder / "data.tar", "w") as archive:
        archive.add(folder / "main.py", "member")
    warm.build(folder, "-t", "both", "--platform", BOTH, "--build-context", base)
    found = images(warm, "both")
    assert list(found) == BOTH.split(",")
    for name in ("amd64", "arm64"):
        image, files = found[f"linux/{name}"]
        own = f"of {name}\n".encode()
        assert files == {
            "base": own,
            "app/main.py": b"print()\n",
            "app/from/base": own,
            "app/from/for": f"linux/{name}\n".encode(),
            "app/from/member": b"print()\n",
        }
        runtime = image.config.runtime
        assert runtime.env[-2:] == (f"BASE={name}", f"APP={name}")
        assert (runtime.cmd, runtime.labels, runtime.working_dir) == (("main",), {"base": name}, "/app")


def test_an_image_that_is_copied_from_is_that_of_the_same_platform(
    warm: Wherry, project: Callable[..., Path], base: str
) -> None:
    folder = project({"Dockerfile": "FROM scratch\nCOPY --from=base /base /from\n"})
    warm.build(folder, "-t", "from", "--platform", BOTH, "--build-context", base)
    found = {name: files["from"] for name, (_, files) in images(warm, "from").items()}
    assert found == {"linux/amd64": b"of amd64\n", "linux/arm64": b"of arm64\n"}


def test_a_native_stage_builds_for_a_foreign_one(warm: Wherry, project: Callable[..., Path], tmp_path: Path) -> None:
    text = """
FROM --platform=$BUILDPLATFORM debian://trixie?shell=1 AS build
ARG TARGETARCH
RUN uname -m > /made && echo $TARGETARCH >> /made
FROM debian://trixie
COPY --from=build /made /made
"""
    folder = project({"Dockerfile": text})
    warm.build(folder, "-t", "cross", "--platform", BOTH)
    made = {name: files["made"].decode().split() for name, (_, files) in images(warm, "cross").items()}
    native = os.uname().machine
    assert made == {"linux/amd64": [native, "amd64"], "linux/arm64": [native, "arm64"]}
    rootfs = tmp_path / "rootfs.tar"
    warm.build(folder, "--platform", str(FOREIGN), "-o", f"type=tar,dest={rootfs}")
    assert machines(rootfs) == {str(FOREIGN)}


# -- RUN for a foreign platform ------------------------------------------------------------------------
# With handlers in a binfmt_misc that only the processes of one test have: this machine's own stays as it is.

_NAMESPACE = """
import os, sys
from wherry.sandbox import child
rule, *words = sys.argv[1:]
uid, gid, inside = os.getuid(), os.getgid(), f"/proc/{os.getpid()}"
ids = 1 if uid else min(child.mapped_ids(), 65536)
entered, telling = os.pipe()
mapper = os.fork()
if not mapper:  # who is outside of a namespace may map more than one ID
    os.close(telling)
    os.read(entered, 1)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} {ids}"), ("gid_map", f"0 {gid} {ids}")):
        if uid or name != "setgroups":
            with open(f"{inside}/{name}", "w") as file:
                file.write(text)
    os._exit(0)
libc = child.Libc()
libc.call("unshare", child.NEWUSER | child.NEWNS)
os.close(telling)
assert os.waitpid(mapper, 0)[1] == 0, "the namespace's IDs cannot be mapped"
libc.mount("binfmt_misc", "/proc/sys/fs/binfmt_misc", "binfmt_misc")
if rule:
    with open("/proc/sys/fs/binfmt_misc/register", "wb", buffering=0) as file:
        file.write(rule.encode())
os.execvp(words[0], words)
"""


def rule(emulator: str, flags: str) -> str:
    """What registers ``emulator`` for programs of the foreign platform."""
    magic = "".join(f"\\x{byte:02x}" for byte in program(KIND)[:HEAD])
    mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    return f":wherry-test:M::{magic}:{mask}:{emulator}:{flags}"


def program(kind: Kind) -> bytes:
    return smallest(kind) or pytest.fail("there is no such program")


def within(wherry: Wherry, rule: str) -> Wherry:
    """The command where the kernel has the handler ``rule`` (empty: none) and no other."""
    prefix = (sys.executable, "-c", _NAMESPACE, rule)
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"there can be no binfmt_misc of our own (Linux 6.7): {done.stderr.splitlines()[-1]}")
    return replace(wherry, prefix=prefix)


@pytest.fixture
def emulator() -> str:
    """The path of an emulator of the foreign platform."""
    found = shutil.which(f"qemu-{PROCESSOR}-static")
    return found or pytest.skip(f"no qemu-{PROCESSOR}-static here")


@pytest.fixture
def emulated(warm: Wherry, emulator: str) -> Wherry:
    """The command where the kernel itself holds an emulator of the foreign platform."""
    return within(warm, rule(emulator, "F"))


@pytest.fixture
def alone(warm: Wherry) -> Wherry:
    """The command where no emulator is registered."""
    if not handlers() and not runs(KIND):
        return warm
    return within(warm, "")


@pytest.fixture
def smallest_stage(project: Callable[..., Path]) -> Path:
    """A context with one program for the foreign platform and one for this machine, and a Dockerfile that runs one."""
    folder = project({"Dockerfile": 'FROM scratch\nCOPY * /\nRUN ["/foreign"]\n'})
    for name, kind in (("foreign", KIND), ("native", own_kind())):
        (folder / name).write_bytes(program(kind) if kind else b"")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("isolation", ["oci", "chroot"])
def test_a_run_is_emulated(emulated: Wherry, project: Callable[..., Path], isolation: str) -> None:
    text = f"""
FROM debian://trixie?shell=1
RUN uname -m > /made # {isolation}
RUN python3 -c 'import platform; print(platform.machine())' | tee -a /made
"""
    folder = project({"Dockerfile": text})
    emulated.build(folder, "-t", "emulated", "--platform", BOTH, "--isolation", isolation)
    made = {name: files["made"].decode().split() for name, (_, files) in images(emulated, "emulated").items()}
    assert made == {"linux/amd64": ["x86_64"] * 2, "linux/arm64": ["aarch64"] * 2}


@pytest.mark.parametrize("isolation", ["oci", "chroot"])
def test_without_an_emulator_a_run_is_refused_at_its_place(alone: Wherry, smallest_stage: Path, isolation: str) -> None:
    result = alone("build", "--platform", str(FOREIGN), "--isolation", isolation, "--no-cache", smallest_stage)
    assert result.returncode == 1
    message = f"this machine ({NATIVE}) cannot run the programs of a stage for {FOREIGN}: it has no emulator"
    assert f"Dockerfile:3: {message}" in result.stderr
    assert '>>> RUN ["/foreign"]' in result.stderr
    assert "qemu-user-static" in result.stderr


def test_a_run_that_is_cached_needs_no_emulator(
    emulated: Wherry, warm: Wherry, smallest_stage: Path, emulator: str
) -> None:
    words = ("--platform", str(FOREIGN), smallest_stage)
    emulated.ok("build", *words)
    alone = within(warm, "")
    assert "CACHED" in alone.ok("build", "--progress", "plain", *words).stderr
    assert "it has no emulator" in alone("build", "--no-cache", *words).stderr


def test_an_emulator_that_the_kernel_does_not_hold_must_be_in_the_stage(
    warm: Wherry, smallest_stage: Path, emulator: str
) -> None:
    there = within(warm, rule(emulator, ""))
    refused = there("build", "--platform", str(FOREIGN), "--no-cache", smallest_stage)
    assert f"Dockerfile:3: this machine ({NATIVE}) cannot run" in refused.stderr
    assert f"the emulator of wherry-test, {emulator}, would have to be in the stage" in refused.stderr
    shutil.copy2(emulator, smallest_stage / "qemu")
    text = f'FROM scratch\nCOPY --link qemu {emulator}\nCOPY foreign /\nRUN ["/foreign"]\n'
    (smallest_stage / "Dockerfile").write_text(text)
    there.ok("build", "--platform", str(FOREIGN), "--no-cache", smallest_stage)


def test_a_program_of_this_machine_runs_in_a_foreign_stage(alone: Wherry, smallest_stage: Path) -> None:
    (smallest_stage / "Dockerfile").write_text('FROM scratch\nCOPY native /\nRUN ["/native"]\n')
    alone.ok("build", "--platform", str(FOREIGN), "--no-cache", smallest_stage)


@pytest.mark.parametrize("isolation", ["oci", "chroot"])
def test_what_the_processor_runs_beside_its_own_needs_no_emulator(
    alone: Wherry, smallest_stage: Path, isolation: str
) -> None:
    kind, other = {"amd64": (Kind(3, 32, "<"), "386"), "arm64": (Kind(40, 32, "<"), "arm")}[NATIVE.architecture]
    if not runs(kind):
        pytest.skip(f"this machine does not run {other}")
    (smallest_stage / "foreign").write_bytes(program(kind))
    alone.ok("build", "--platform", other, "--isolation", isolation, "--no-cache", smallest_stage)
