"""Wheels made for a test."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from wherry.fetch import Download
from wherry.wheels.distribution import Distribution
from wherry.wheels.install import WheelToInstall

MakeWheel = Callable[..., WheelToInstall]


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Makes a wheel of ``files`` (path to content) in which everything can be wrong that a test wants wrong.

    ``modes`` are Unix modes by path; ``record`` replaces rows of RECORD by path, None leaves one out; ``extra`` are
    members added as they are; ``edit`` changes the file's bytes at the end.
    """
    folder = tmp_path / "wheels"
    folder.mkdir()

    def make(
        files: Mapping[str, str | bytes],
        *,
        name: str = "demo",
        version: str = "1.0",
        dist_info: str | None = None,
        metadata: str | bytes | None = None,
        wheel: str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
        modes: Mapping[str, int] | None = None,
        record: Mapping[str, str | None] | None = None,
        extra: Sequence[tuple[str | zipfile.ZipInfo, bytes]] = (),
        method: int = zipfile.ZIP_DEFLATED,
        direct_url: str = "",
        edit: Callable[[bytes], bytes] = lambda data: data,
    ) -> WheelToInstall:
        dist_info = dist_info or f"{name}-{version}.dist-info"
        members = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
        members[f"{dist_info}/WHEEL"] = wheel.encode()
        metadata = metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText.\n"
        members[f"{dist_info}/METADATA"] = metadata.encode() if isinstance(metadata, str) else metadata
        rows: dict[str, str | None] = {path: _row(path, data) for path, data in members.items()}
        rows |= {f"{dist_info}/RECORD": f"{dist_info}/RECORD,,", **(record or {})}
        text = "".join(f"{row}\n" for row in rows.values() if row is not None)
        path = folder / f"{name}-{version}-{len(list(folder.iterdir()))}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", method) as archive:
            for member, data in members.items():
                info = zipfile.ZipInfo(member)
                info.external_attr = (modes or {}).get(member, 0o100644) << 16
                info.compress_type = method
                archive.writestr(info, data)
            for added, data in extra:
                archive.writestr(added, data)
            archive.writestr(f"{dist_info}/RECORD", text)
        path.write_bytes(edit(path.read_bytes()))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        download = Download(
            path.as_uri(), {"sha256": sha256}, path.stat().st_size, f"{name}-{version}-py3-none-any.whl"
        )
        normalised = name.lower().replace("_", "-").replace(".", "-")
        return WheelToInstall(Distribution(normalised, version, download, direct_url), path)

    return make


def _row(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    quoted = f'"{path}"' if "," in path or "\n" in path else path
    return f"{quoted},sha256={digest},{len(data)}"
