"""Images between the store, registries, files and engines; and the logins that registries want.

A part of the public API of its own, so that who pushes does not wait for a builder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wherry.errors import UsageError
from wherry.events import Listener, Reporter
from wherry.image import Platform, Reference
from wherry.opening import using
from wherry.registry.registries import Registries
from wherry.sources.supply import Supply, supplying

if TYPE_CHECKING:
    from wherry.store import Store


@dataclass(frozen=True, slots=True)
class Transferred:
    """What went to a place or came from one: the names that mean it, its digest there, the bytes that moved."""

    names: tuple[str, ...]
    digest: str
    bytes: int


def push(
    name: str,
    destinations: Sequence[str] = (),
    *,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> Transferred:
    """Send the image that ``name`` means in the store to ``destinations`` (references), or to ``name`` itself.

    What a registry has is not sent again. ``insecure`` are registries (``host[:port]``) that may do without TLS.
    Raises :class:`~wherry.errors.WherryError`; then no tag of the repository at fault was changed.
    """
    from wherry.sinks.registry import push as send
    from wherry.sources.content import content_of, reading
    from wherry.store.listing import find_descriptor

    references = [_destination(text) for text in dict.fromkeys(destinations or (name,))]
    reporter = Reporter(listener)
    with _connected(store, insecure, reporter) as (opened, registries, supply):
        content = content_of(find_descriptor(opened, name), reading(opened.blobs))
        sent = send(content, references, registries, opened, supply, reporter)
    return Transferred(tuple(reference.familiar for reference in references), content.top.digest, sent)


def copy(
    source: str,
    destinations: Sequence[str],
    *,
    platform: Platform | None = None,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> tuple[Transferred, ...]:
    """Bring what ``source`` is to ``destinations``, byte for byte: an index with all that it lists.

    Both are addresses in skopeo's words (``docker://NAME``, ``oci:DIR:TAG``, ``oci-archive:FILE:TAG``,
    ``docker-archive:FILE:NAME``, ``docker-daemon:NAME``) or names in the store. ``platform`` takes one image out of an
    index; Docker's archives and daemons hold no more than one, for this machine if nothing else is said.

    Gives what is at each place now; names of one place are one transfer. Raises
    :class:`~wherry.errors.WherryError`; then the names at the place at fault mean what they did.
    """
    from wherry.sinks.target import parse_targets, write
    from wherry.sources.address import content_at, parse_address

    address, targets = parse_address(source), parse_targets(destinations)
    reporter = Reporter(listener)
    with _connected(store, insecure, reporter) as (opened, registries, supply):
        with reporter.step(f"find {address}") as task:
            content, taken = content_at(address, platform, registries, opened, task)
            task.detail = content.top.digest[:19]
        done = []
        for target in targets:
            written = write(content, target, registries, opened, supply, listener)
            size = written.bytes + (taken if target.transport == "store" else 0)
            done.append(Transferred(target.texts, written.digest, size))
    return tuple(done)


def pull(
    name: str,
    *,
    platform: Platform | None = None,
    insecure: Sequence[str] = (),
    store: Store | None = None,
    listener: Listener | None = None,
) -> Transferred:
    """Fetch the image that ``name`` means at its registry, for ``platform`` (this machine's), and name it in the store.

    What the store has is not fetched again. ``insecure`` is as for :func:`push`. Raises
    :class:`~wherry.errors.WherryError`; then the name means what it did.
    """
    from wherry.sources.registry import pull_image

    reporter = Reporter(listener)
    with _connected(store, insecure, reporter) as (opened, registries, supply):
        reference = registries.hosts.resolve(name)
        with reporter.step(f"pull {reference.familiar}") as task:
            found, fetched = pull_image(reference, platform or Platform.native(), registries, opened, supply, task)
            if not fetched:
                task.cached()
        named = replace(reference, digest=None).familiar if reference.tag else reference.familiar
        descriptor = opened.add_image(found.image)
        if reference.tag:
            opened.tag((named,), descriptor)
    return Transferred((named,), found.digest, fetched)


def login(registry: str, user: str, password: str, *, insecure: Sequence[str] = ()) -> str:
    """Keep a login for ``registry`` (``host[:port]``) if that accepts it; gives the file or the helper that has it now.

    Docker and Podman find it there, too. Raises :class:`~wherry.errors.WherryError` for one that is not accepted.
    """
    from wherry.registry.credentials import Login, store_login
    from wherry.registry.location import parse_host
    from wherry.registry.ping import expect_access

    host = parse_host(registry)
    given = Login(user, password)
    with Registries(insecure=insecure, given={host: given}) as registries:
        expect_access(registries.client, registries.hosts.push_endpoint(Reference(host, "any", "latest")))
    return store_login(host, given)


def logout(registry: str) -> bool:
    """Forget the login for ``registry``; gives whether there was one."""
    from wherry.registry.credentials import forget_login
    from wherry.registry.location import parse_host

    return forget_login(parse_host(registry))


@contextmanager
def _connected(
    store: Store | None, insecure: Sequence[str], reporter: Reporter
) -> Iterator[tuple[Store, Registries, Supply]]:
    """A store, the registries, and what fetches from these into that."""
    with (
        using(store) as opened,
        Registries(insecure=insecure, note=reporter.note) as registries,
        supplying(opened, registries, reporter) as supply,
    ):
        opened.scratch()  # says to other processes that the store is in use
        yield opened, registries, supply


def _destination(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest:
        raise UsageError(f"cannot push to {text!r}: it has a digest", hint="Give a name and a tag.")
    return reference
