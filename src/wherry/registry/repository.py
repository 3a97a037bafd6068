"""One repository of a registry: manifests, blobs, tags and referrers (OCI distribution-spec 1.1, Docker's schema 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from wherry.errors import WherryError
from wherry.fetch.attempts import Again, attempts
from wherry.fetch.transfer import whole
from wherry.image import Descriptor, Digest, digest_of, parse_digest
from wherry.image.json import as_list, as_object, as_str, as_strings, load_object
from wherry.image.mediatype import INDEXES, MANIFESTS
from wherry.registry.client import Body, Client, joined
from wherry.registry.errors import Absent, Refused, reading
from wherry.registry.hosts import Endpoint

if TYPE_CHECKING:
    import httpx

Answer = TypeVar("Answer")

_LARGEST_MANIFEST = 4 << 20  # bytes; the specification has registries take as much
_ACCEPT = ", ".join(sorted(MANIFESTS | INDEXES))
_MOST_PAGES = 1000
_DIGEST = "Docker-Content-Digest"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index as a registry has it."""

    media_type: str
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor."""
        return Descriptor(self.media_type, digest_of(self.data), len(self.data))


class Repository:
    """The repository at ``endpoint``; ``write`` asks for the right to change it.

    All methods try again what may pass, and raise :class:`~wherry.registry.errors.Refused` for what the registry does
    not do, :class:`~wherry.errors.NetworkError` for what it does not do right.
    """

    def __init__(self, client: Client, endpoint: Endpoint, *, write: bool = False) -> None:
        self.client = client
        self.endpoint = endpoint
        self._scope = f"repository:{endpoint.path}:{'pull,push' if write else 'pull'}"

    @property
    def name(self) -> str:
        """Registry and path, for people."""
        return f"{self.endpoint.registry}/{self.endpoint.path}"

    # -- manifests -------------------------------------------------------------------------------

    def manifest(self, reference: str) -> Manifest:
        """The manifest or index of a tag or digest. Raises :class:`Absent` if there is none."""

        def read(response: httpx.Response) -> Manifest:
            data = whole(response, _LARGEST_MANIFEST, what)
            announced = response.headers.get(_DIGEST, "")
            expected = reference if ":" in reference else announced
            if expected.startswith("sha256:") and digest_of(data) != expected:
                raise Again(f"what came is not {expected}")
            return Manifest(_media_type(data, response, what), data)

        what = self._named(reference)
        return self._ask("GET", f"manifests/{reference}", what, read, headers={"Accept": _ACCEPT})

    def find(self, reference: str) -> Digest | None:
        """The digest of a tag, or None if there is no such tag; nothing else is read."""

        def read(response: httpx.Response) -> Digest:
            return parse_digest(response.headers.get(_DIGEST, ""))

        try:
            return self._ask(
                "HEAD", f"manifests/{reference}", self._named(reference), read, headers={"Accept": _ACCEPT}
            )
        except Absent:
            return None

    def put_manifest(self, reference: str, manifest: Manifest) -> bool:
        """Keep ``manifest`` under a tag or its digest; what it names must be there.

        Whether the registry lists it with what its ``subject`` is referred to by (else the client has to).
        """

        def read(response: httpx.Response) -> bool:
            said = response.headers.get(_DIGEST, "")
            if said.startswith("sha256:") and said != manifest.descriptor.digest:
                raise Again(f"the registry has kept {said} for {manifest.descriptor.digest}")
            return "OCI-Subject" in response.headers

        headers = {"Content-Type": manifest.media_type}
        return self._ask(
            "PUT", f"manifests/{reference}", self._named(reference), read, headers=headers, body=manifest.data
        )

    # -- blobs -----------------------------------------------------------------------------------

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        try:
            return self._ask("HEAD", f"blobs/{digest}", f"{self.name}@{digest}", lambda response: True)
        except Absent:
            return False

    def open(self, digest: Digest, headers: Mapping[str, str]) -> AbstractContextManager[httpx.Response]:
        """One attempt to read the blob, for a :class:`~wherry.fetch.transfer.Transfer`."""
        return self.send("GET", f"blobs/{digest}", headers=headers)

    def send(
        self,
        method: str,
        place: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
        scopes: tuple[str, ...] = (),
    ) -> AbstractContextManager[httpx.Response]:
        """One attempt of a request to ``place`` in the repository, or to a URL that the registry has given."""
        if not place.startswith(("/", "http://", "https://")):
            place = f"/v2/{self.endpoint.path}/{place}"
        return self.client.send(self.endpoint, method, place, (self._scope, *scopes), headers=headers, body=body)

    # -- lists -----------------------------------------------------------------------------------

    def tags(self) -> tuple[str, ...]:
        """All tags, as the registry orders them."""
        found: list[str] = []
        for data in self._pages("tags/list", f"the tags of {self.name}"):
            with reading():
                found += as_strings(load_object(data, "the list of tags").get("tags"), "tags")
        return tuple(dict.fromkeys(found))

    def referrers(self, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What says that it is about the manifest ``digest``, of one type or of any.

        Where the registry has no list of it, there may be an index under the fallback tag ("Referrers Tag Schema").
        """
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        try:
            pages = list(self._pages(f"referrers/{digest}{query}", f"the referrers of {digest}"))
        except Refused as error:
            if error.status not in {400, 404, 405, 406, 501}:
                raise
            try:
                pages = [self.manifest(fallback_tag(digest)).data]
            except Absent:
                return ()
        with reading():
            found = [descriptor for data in pages for descriptor in _listed(data, artifact_type)]
        return tuple({one.digest: one for one in found}.values())

    def _pages(self, place: str, what: str) -> Iterator[bytes]:
        """The pages of a list."""
        seen: set[str] = set()
        while place and place not in seen and len(seen) < _MOST_PAGES:
            seen.add(place)

            def read(response: httpx.Response) -> tuple[bytes, str]:
                link = response.links.get("next", {}).get("url", "")
                return whole(response, _LARGEST_MANIFEST, what), joined(str(response.url), link) if link else ""

            page, place = self._ask("GET", place, what, read)
            yield page

    # -- requests --------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        place: str,
        what: str,
        read: Callable[[httpx.Response], Answer],
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> Answer:
        for attempt in attempts(what, self.client.stop):
            with attempt, self.send(method, place, headers=headers, body=body) as response, reading():
                return read(response)
        raise AssertionError

    def _named(self, reference: str) -> str:
        return f"{self.name}{'@' if ':' in reference else ':'}{reference}"


def fallback_tag(digest: Digest) -> str:
    """The tag that lists what is about ``digest`` where a registry cannot ("Referrers Tag Schema")."""
    return digest.replace(":", "-", 1)


def _listed(data: bytes, artifact_type: str) -> Iterator[Descriptor]:
    for item in as_list(load_object(data, "the list of referrers").get("manifests"), "referrers"):
        value = as_object(item, "a referrer")
        if not artifact_type or as_str(value.get("artifactType"), "artifactType") == artifact_type:
            yield Descriptor.from_json(value)


def _media_type(data: bytes, response: httpx.Response, what: str) -> str:
    """What kind of manifest it is: as it says itself, or else its server. Raises :class:`WherryError` for others."""
    value = load_object(data, what)
    said = response.headers.get("Content-Type", "").partition(";")[0].strip()
    media_type = as_str(value.get("mediaType"), f"{what}: mediaType") or said
    if media_type not in MANIFESTS | INDEXES:
        raise WherryError(
            f"{what} is no image that is understood: {media_type[:100] or 'of an unknown type'}",
            hint="Manifests are those of OCI and of Docker's schema 2; Docker's schema 1 is out of use since 2017."
            if "v1" in media_type
            else None,
        )
    return media_type
