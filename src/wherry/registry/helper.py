"""Credential helpers: programs that keep logins, spoken to in the protocol of docker-credential-helpers.

A secret goes through pipes alone, never into an argument or a message.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from dataclasses import dataclass

from wherry.children import tended
from wherry.errors import UsageError, WherryError
from wherry.image.json import as_str, dump, load_object

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_PATIENCE = 30.0  # seconds that a helper may take; it may have to ask its user
_NOT_FOUND = "credentials not found"
_SHOWN = 5  # lines of a helper's output that go into an error


class HelperFailed(WherryError):
    """A credential helper is not there, or does not do what it should."""


@dataclass(frozen=True, slots=True)
class Helper:
    """The program ``docker-credential-NAME``. Raises :class:`UsageError` for a name that cannot be one.

    Its methods raise :class:`HelperFailed`.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name[:80]!r} cannot be the name of a credential helper",
                hint="credsStore and credHelpers hold what follows docker-credential- in a program's name, "
                "such as 'pass' or 'osxkeychain'.",
            )

    @property
    def program(self) -> str:
        """The program's name."""
        return f"docker-credential-{self.name}"

    def get(self, server: str) -> tuple[str, str] | None:
        """(user, secret) for ``server``, or None if the helper has nothing for it."""
        done = self._run("get", server.encode())
        if done.returncode:
            if _NOT_FOUND in _text(done).lower():
                return None
            raise self._failed("get", done)
        try:
            answer = load_object(done.stdout, "its answer")
            user, secret = as_str(answer.get("Username"), "Username"), as_str(answer.get("Secret"), "Secret")
        except WherryError as error:
            raise HelperFailed(
                f"the credential helper {self.program} does not answer as it should: {error.message}", hint=self._hint
            ) from None
        return (user, secret) if user or secret else None

    def store(self, server: str, user: str, secret: str) -> None:
        """Let the helper keep a login for ``server``, in place of what it has."""
        done = self._run("store", dump({"ServerURL": server, "Username": user, "Secret": secret}))
        if done.returncode:
            raise self._failed("store", done, user, secret)

    def erase(self, server: str) -> None:
        """Let the helper forget what it has for ``server``; nothing is no error."""
        done = self._run("erase", server.encode())
        if done.returncode and _NOT_FOUND not in _text(done).lower():
            raise self._failed("erase", done)

    def _run(self, action: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
        import shutil

        path = shutil.which(self.program)
        if path is None:
            raise HelperFailed(f"the credential helper {self.program} is not installed", hint=self._hint)
        try:
            with (
                subprocess.Popen(
                    [path, action],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                ) as process,
                tended(process),
            ):
                out, err = process.communicate(given, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise HelperFailed(
                f"the credential helper {self.program} gives no answer ({action}, {_PATIENCE:.0f} seconds)",
                hint=f"It may wait for a key or a password: unlock what it keeps logins in. {self._hint}",
            ) from None
        except OSError as error:
            raise HelperFailed(f"cannot run {path}: {error.strerror or error}", hint=self._hint) from None
        return subprocess.CompletedProcess(path, process.returncode, out, err)

    def _failed(self, action: str, done: subprocess.CompletedProcess[bytes], *given: str) -> HelperFailed:
        lines = [line for line in _without(given, _text(done)).splitlines() if line.strip()][-_SHOWN:]
        message = f"the credential helper {self.program} failed ({action}, exit code {done.returncode})"
        return HelperFailed("\n".join([message, *(f"  {line[:200]}" for line in lines)]), hint=self._hint)

    @property
    def _hint(self) -> str:
        return (
            f"Is {self.program} on the PATH and set up? "
            "Else take it out of credsStore and credHelpers in the file that names it, and log in again."
        )


def _text(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a helper said to people: by the protocol on standard output, where an answer might stand as well."""
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return err if "{" in out or '"secret"' in out.lower() else f"{out}\n{err}"


def _without(secrets: tuple[str, ...], text: str) -> str:
    """``text`` without what we gave to the helper, as it is or as a helper may repeat it."""
    *_, secret = ("", *secrets)
    forms = {secret, json.dumps(secret)[1:-1], dump(secret).decode()[1:-1], _base64(secret), _base64(":".join(secrets))}
    for form in sorted(filter(None, forms), key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
