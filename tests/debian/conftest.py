"""A small Debian archive of our own: real signatures, real indexes, real packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from pysequoia import Cert, SignatureMode, Tsk, sign

from wherry.debian.base import Workshop
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.layers.compression import Compression
from wherry.store import Store

Files = Mapping[str, bytes | str | None]
"""Path to content; a str is a symbolic link's target, or (with ``=`` before it) a hard link's; None a directory."""


def tar(files: Files, modes: Mapping[str, int]) -> bytes:
    """A tar archive as dpkg-deb writes it: ``./`` before each path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(f"./{path}")
            info.mode = modes.get(path, 0o755 if content is None else 0o644)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type = tarfile.LNKTYPE if content.startswith("=") else tarfile.SYMTYPE
                info.linkname = f"./{content[1:]}" if content.startswith("=") else content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def ar(members: Mapping[str, bytes]) -> bytes:
    """An ar archive."""
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data)
        parts.append(b"\n" * (len(data) % 2))
    return b"".join(parts)


def make_deb(control: str, files: Files, modes: Mapping[str, int], others: Mapping[str, bytes]) -> bytes:
    """A .deb file."""
    about = tar({"control": control.encode(), **others}, {})
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.gz": gzip.compress(about, mtime=0),
            "data.tar.xz": lzma.compress(tar(files, modes)),
        }
    )


@pytest.fixture
def library() -> Callable[..., bytes]:
    """Makes a shared library of 64 bits: headers that tell its name (if any) and machine, and no code."""

    def make(soname: str = "", machine: int = 62, kind: int = 3) -> bytes:
        strings = b"\0" + soname.encode() + b"\0"
        moved = 0x1000  # from the file to memory
        dynamic_at = 64 + 2 * 56
        tags = [(14, 1)] if soname else []
        dynamic = b"".join(struct.pack("<2Q", *tag) for tag in (*tags, (5, moved + dynamic_at + 48), (0, 0)))
        dynamic = dynamic.ljust(48, b"\0")
        size = dynamic_at + len(dynamic) + len(strings)
        head = b"\x7fELF\2\1\1".ljust(16, b"\0")
        head += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 4, 0, moved, moved, size, size, 4096)
        segment = struct.pack("<IIQQQQQQ", 2, 4, dynamic_at, moved + dynamic_at, 0, len(dynamic), len(dynamic), 8)
        return head + load + segment + dynamic + strings

    return make


@dataclass
class FakeArchive:
    """An archive at ``root``: add packages, then publish a suite."""

    root: Path
    key: Tsk = field(default_factory=lambda: Tsk.generate("Test Archive <archive@example.org>"))
    stanzas: dict[str, str] = field(default_factory=dict)

    @property
    def certificate(self) -> Cert:
        """The public part of the key."""
        return self.key.extract_certificate()

    @property
    def url(self) -> str:
        """Its URL."""
        return self.root.as_uri()

    def add(
        self,
        name: str,
        version: str = "1.0-1",
        files: Files | None = None,
        *,
        modes: Mapping[str, int] | None = None,
        others: Mapping[str, bytes] | None = None,
        **fields: str,
    ) -> None:
        """Add a package; ``fields`` are control fields with ``_`` for ``-``."""
        lines = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "Nobody <n@example.org>"}
        lines |= {field.replace("_", "-"): value for field, value in fields.items()}
        control = "".join(f"{field}: {value}\n" for field, value in lines.items()) + "Description: a package\n"
        held = {f"usr/share/doc/{name}/copyright": b"Free.\n"} if files is None else files
        data = make_deb(control, held, modes or {}, others or {})
        path = f"pool/{name}_{version.replace(':', '%3a')}_amd64.deb"
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.stanzas[f"{name} {version}"] = (
            f"{control}Filename: {path}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )

    def publish(
        self,
        suite: str = "trixie",
        *,
        date: datetime | None = None,
        valid_until: datetime | None = None,
        codename: str = "",
        name: str = "stable",
        version: str = "13.0",
    ) -> None:
        """Write and sign the suite's indexes."""
        folder = self.root / "dists" / suite
        index = gzip.compress("\n".join(self.stanzas.values()).encode(), mtime=0)
        digest = hashlib.sha256(index).hexdigest()
        path = folder / "main/binary-amd64/by-hash/SHA256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(index)
        date = date or datetime.now(UTC)
        fields = {
            "Origin": "Debian",
            "Label": "Debian",
            "Suite": name,
            "Version": version,
            "Codename": codename or suite,
            "Date": format_datetime(date, usegmt=True),
            "Acquire-By-Hash": "yes",
            "Architectures": "all amd64",
            "Components": "main",
        }
        if valid_until:
            fields["Valid-Until"] = format_datetime(valid_until, usegmt=True)
        text = "".join(f"{field}: {value}\n" for field, value in fields.items())
        text += f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages.gz\n"
        signed = sign(self.key.signer(), text.encode(), mode=SignatureMode.CLEAR)
        (folder / "InRelease").write_bytes(signed)


@pytest.fixture
def archive(tmp_path: Path) -> FakeArchive:
    """An empty archive."""
    return FakeArchive(tmp_path / "mirror")


@pytest.fixture
def small(archive: FakeArchive) -> FakeArchive:
    """An archive with just enough for a base."""
    library = "usr/lib/x86_64-linux-gnu"
    archive.add("libc6", "2.41-12", {"lib/x86_64-linux-gnu/libc.so.6": b"libc", "lib64/ld-linux.so.2": "/lib/x"})
    archive.add("libc-bin", "2.41-12", {"usr/lib/locale/C.utf8/LC_CTYPE": b"x", "usr/bin/ldd": b"#!"}, Depends="libc6")
    archive.add(
        "libstdc++6", "14", {f"{library}/libstdc++.so.6": "libstdc++.so.6.0", f"{library}/libstdc++.so.6.0": b"c"}
    )
    archive.add("zlib1g", "1:1.3", {f"{library}/libz.so.1": b"z"}, Depends="libc6 (>= 2.14)")
    archive.add("netbase", "6.5", {"etc/services": b"https 443/tcp\n"})
    archive.add("tzdata", "2026a", {"usr/share/zoneinfo/Etc/UTC": b"TZif"}, Depends="debconf (>= 0.5) | debconf-2.0")
    certificate = "usr/share/ca-certificates/mozilla"
    archive.add(
        "ca-certificates",
        "2025",
        {f"{certificate}/B.crt": b"-B-\n", f"{certificate}/A.crt": b"-A-\n"},
        Depends="openssl, debconf",
    )
    archive.add(
        "base-files",
        "13.8",
        {
            "tmp": None,
            "var/run": None,
            "etc/os-release": "../usr/lib/os-release",
            "usr/lib/os-release": b"ID=debian\nVERSION_CODENAME=trixie\n",
        },
        modes={"tmp": 0o1777},
        Pre_Depends="awk",
    )
    for minor, full in (("3.13", "3.13.5-2+deb13u1"), ("3.14", "3.14.0~rc2-1")):
        library = f"usr/lib/python{minor}"
        archive.add(
            f"python{minor}-minimal",
            full,
            {f"usr/bin/python{minor}": b"\x7fELF"},
            modes={f"usr/bin/python{minor}": 0o755},
            Depends=f"libpython{minor}-stdlib (= {full}), libc6",
        )
        archive.add(
            f"libpython{minor}-stdlib",
            full,
            {
                f"{library}/os.py": b"import sys\n",
                f"{library}/test/x.py": b"",
                f"{library}/json/__init__.py": b"pass\n",
            },
        )
    archive.add("python3", "3.13.5-1", {}, Depends="python3.13 (>= 3.13.5-1~)")
    archive.publish()
    return archive


@pytest.fixture
def task() -> Task:
    """Work that nobody watches."""
    return Task(Reporter(), 0)


@pytest.fixture
def workshop(store: Store, archive: FakeArchive, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Tools for building from the archive, whose key is trusted."""
    trust(monkeypatch, archive)
    return Workshop(store, Fetcher(store.files), archive.url, compression=Compression("uncompressed", 0))


def trust(monkeypatch: pytest.MonkeyPatch, archive: FakeArchive) -> None:
    """Let the archive's key be Debian's."""
    monkeypatch.setattr("wherry.debian.archive.archive_keys", lambda: [archive.certificate])
