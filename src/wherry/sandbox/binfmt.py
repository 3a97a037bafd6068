"""What the kernel has been told to start with an interpreter: the handlers of binfmt_misc, emulators among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BINFMT = Path("/proc/sys/fs/binfmt_misc")
"""Where the handlers can be read. A container does not see them here, although they work in it."""


@dataclass(frozen=True, slots=True)
class Handler:
    """An interpreter for files that have ``magic`` at ``offset``, as far as ``mask`` has bits.

    With the flag F the kernel has opened the interpreter when it was registered; without, it is looked for in the root
    directory of whoever runs the file.
    """

    name: str
    enabled: bool
    interpreter: str
    flags: str
    offset: int
    magic: bytes
    mask: bytes

    @classmethod
    def parse(cls, name: str, text: str) -> Handler | None:
        """Read an entry of binfmt_misc; None for one that goes by a file's name, or that makes no sense."""
        state, *lines = text.split("\n")
        fields: dict[str, str] = {}
        for line in lines:
            key, _, value = line.partition(" ")
            fields[key.rstrip(":")] = value
        try:
            magic = bytes.fromhex(fields["magic"])
            mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
            offset = int(fields.get("offset", "0"))
            interpreter = fields["interpreter"]
        except (KeyError, ValueError):
            return None
        if not magic or len(mask) != len(magic):
            return None
        return cls(name, state == "enabled", interpreter, fields.get("flags", ""), offset, magic, mask)

    @property
    def is_everywhere(self) -> bool:
        """Whether the interpreter need not be in the root directory."""
        return "F" in self.flags

    def takes(self, head: bytes) -> bool:
        """Whether files that begin with ``head`` are its own."""
        part = head[self.offset : self.offset + len(self.magic)].ljust(len(self.magic), b"\0")
        return all(not (one ^ wanted) & mask for one, wanted, mask in zip(part, self.magic, self.mask, strict=True))


def handlers(folder: Path = BINFMT) -> list[Handler]:
    """The handlers that can be seen in ``folder``, in the kernel's order: the newest first. None if all are off."""
    try:
        if (folder / "status").read_text().strip() != "enabled":
            return []
        names = [path for path in folder.iterdir() if path.name not in {"status", "register"}]
    except OSError:
        return []
    found = []
    for path in names:
        try:
            found.append(Handler.parse(path.name, path.read_text()))
        except (OSError, UnicodeDecodeError):
            continue  # somebody has just removed it, or is no honest binfmt_misc
    return [one for one in found if one is not None]
