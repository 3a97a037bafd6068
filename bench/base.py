"""Base images for Docker, and by archive for both: Debian trixie's own packages, since no registry is asked here."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

from bench.engine import Engine
from bench.measure import run

_PACKAGES = {
    "bench-compile": "python3,python3-venv,python3-pip,ca-certificates",
    "bench-runtime": "python3,ca-certificates",
}
NAMES = tuple(_PACKAGES)
_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def prepare(engine: Engine, folder: Path) -> None:
    """Give ``engine`` the two bases; their archives are kept in ``folder``."""
    for name, packages in _PACKAGES.items():
        archive = folder / f"{name}.tar"
        if not archive.exists():
            print(f"making {name} of {packages}", flush=True)
            partial = archive.with_suffix(".partial.tar")
            words = ["mmdebstrap", "--variant=apt", f"--include={packages}", "trixie", str(partial), _mirror()]
            run([*engine.sudo, *words])
            partial.rename(archive)
        changes = ["--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        engine("import", *changes, archive, f"{name}-plain")
        _configure(engine, name, folder)


def save(engine: Engine, name: str, path: Path) -> None:
    """Write the image called ``name`` into an archive, which this user may read."""
    engine("save", "-o", path, name)
    if engine.sudo:
        run([*engine.sudo, "chown", str(os.geteuid()), str(path)])


def _configure(engine: Engine, name: str, folder: Path) -> None:
    """Let the image reach the package index as this machine does: its certificates and pip's environment."""
    context = folder / "context"
    context.mkdir(exist_ok=True)
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    (context / "bundle.crt").write_bytes(Path(bundle or "/etc/ssl/certs/ca-certificates.crt").read_bytes())
    place = "/usr/local/share/bench.crt"
    lines = [f"FROM {name}-plain", f"COPY bundle.crt {place}", f"ENV PIP_CERT={place} SSL_CERT_FILE={place}"]
    lines += [f"ENV {setting}={os.environ[setting]}" for setting in _SETTINGS if os.environ.get(setting)]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    engine("build", "-q", "-t", name, context)


def _mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    if not found:
        raise SystemExit("apt knows no Debian archive: run apt-get update")
    return found[0]
