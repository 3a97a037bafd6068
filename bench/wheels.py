"""Wheels of random bytes, which do not compress: as large as one likes, and nobody's index has to be asked for them."""

from __future__ import annotations

import os
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path


def write_wheel(folder: Path, name: str, megabytes: int) -> Path:
    """Version 1.0 of ``name`` with one member of so many megabytes; gives the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    piece = os.urandom(1_000_000)
    info = f"{name}-1.0.dist-info"
    small = {
        f"{info}/METADATA": metadata(name),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digest = sha256()
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{name}/data.bin", "w", force_zip64=True) as member:
            for number in range(megabytes):
                data = number.to_bytes(8, "big") + piece[8:]
                digest.update(data)
                member.write(data)
        record = _recorded(f"{name}/data.bin", digest.digest(), megabytes * 1_000_000)
        for member_name, data in small.items():
            archive.writestr(member_name, data)
            record += _recorded(member_name, sha256(data).digest(), len(data))
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def metadata(name: str) -> bytes:
    """What version 1.0 of ``name`` says of itself."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()


def _recorded(name: str, digest: bytes, size: int) -> str:
    return f"{name},sha256={urlsafe_b64encode(digest).rstrip(b'=').decode()},{size}\n"
