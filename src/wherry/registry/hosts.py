"""Where a registry's repositories are really to be found: its mirrors, its own host, and how to trust these.

Wherry's own configuration goes before Podman's, a key at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.errors import Place, UsageError
from wherry.image.reference import Reference
from wherry.registry.certificates import Tls, find_certificates
from wherry.registry.location import HUB, Location, canonical, connected, is_loopback, parse_host
from wherry.registry.registriesconf import RegistriesConf, Rule, read_registries_conf
from wherry.registry.settings import Settings, read_settings


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A repository where it is served: ``path`` at ``host``, which is ``host[:port]``.

    If ``insecure``, certificates are not verified, and http serves where https fails.
    """

    host: str
    path: str
    insecure: bool = False
    mirror: bool = False

    @property
    def registry(self) -> str:
        """The name of the registry, for which people log in."""
        return canonical(self.host)

    @property
    def bases(self) -> tuple[str, ...]:
        """The addresses to try, in their order. To this machine itself plain http needs no permission."""
        schemes = ("https", "http") if self.insecure or is_loopback(self.host) else ("https",)
        return tuple(f"{scheme}://{self.host}" for scheme in schemes)


@dataclass(frozen=True, slots=True)
class Hosts:
    """What is known of registries. Without anything, every name means what it says."""

    settings: Mapping[str, Settings] = field(default_factory=dict)
    conf: RegistriesConf = field(default_factory=RegistriesConf)
    insecure: frozenset[str] = frozenset()

    def resolve(self, text: str) -> Reference:
        """The reference that a user's ``text`` means. Raises :class:`UsageError` if it is malformed.

        A name without a registry is an alias, else one at docker.io. Only where unqualified-search-registries leave
        docker.io out is it one at the first of them: the same name always means the same image, whoever answers.
        """
        reference = Reference.parse(text)
        if reference.host != HUB or text.startswith((f"{HUB}/", f"index.{HUB}/")):
            return reference
        name = text.partition("@")[0]
        if name.rfind(":") > name.rfind("/"):
            name = name.rpartition(":")[0]
        if alias := self.conf.aliases.get(name):
            return Reference.parse(alias + text[len(name) :])
        if self.conf.search and HUB not in self.conf.search:
            return replace(reference, host=self.conf.search[0], path=name)
        return reference

    def pull_endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to look for ``reference``: the mirrors in their order, then the registry itself.

        Raises :class:`UsageError` if it is blocked.
        """
        rule = self._permitted(reference)
        own = self.settings.get(canonical(reference.host))
        itself = Location(canonical(reference.host), reference.path)
        rest = (rule.rest(reference) if rule else None) or ""
        mirrors: list[Endpoint] = []
        if own and own.mirrors is not None:
            mirrors = [self._endpoint(each.below(reference.path), False, mirror=True) for each in own.mirrors]
        elif rule:
            mirrors = [
                self._endpoint(_below(each.location, rest, rule), each.insecure, mirror=True)
                for each in rule.mirrors
                if each.serves(reference)
            ]
        if rule and rule.location:
            itself = _below(rule.location, rest, rule)
        return (*mirrors, self._endpoint(itself, bool(rule and rule.insecure)))

    def push_endpoint(self, reference: Reference) -> Endpoint:
        """Where ``reference`` is written: at the registry that it names; mirrors and locations are for reading.

        Raises :class:`UsageError` if it is blocked.
        """
        rule = self._permitted(reference)
        itself = Location(canonical(reference.host), reference.path)
        return self._endpoint(itself, bool(rule and rule.insecure))

    def tls(self, endpoint: Endpoint) -> Tls:
        """How ``endpoint`` and we trust each other: by the files in our own settings, else by those in certs.d.

        Raises :class:`UsageError` for a file that is missing.
        """
        found = replace(find_certificates(endpoint.registry), verify=not endpoint.insecure)
        if own := self.settings.get(endpoint.registry):
            _expect_files(own)
            if own.ca:
                found = replace(found, ca=(own.ca,))
            if own.cert:
                found = replace(found, cert=own.cert, key=own.key)
        return found

    def _permitted(self, reference: Reference) -> Rule | None:
        """The rule for ``reference``, unless it or our own settings forbid it."""
        rule = self.conf.rule(reference)
        own = self.settings.get(canonical(reference.host))
        said = own if own and own.blocked is not None else rule
        if said and said.blocked:
            raise UsageError(
                f"{reference.familiar} is blocked by this file",
                place=Place(said.file),
                hint="Take the image from another registry, or remove `blocked = true` there.",
            )
        return rule

    def _endpoint(self, location: Location, insecure: bool, *, mirror: bool = False) -> Endpoint:
        said = self._said(location.host)
        return Endpoint(connected(location.host), location.path, insecure if said is None else said, mirror)

    def _said(self, host: str) -> bool | None:
        """Whether ``host`` is insecure by what the command line or our own settings say; None if they do not."""
        if host in self.insecure:
            return True
        own = self.settings.get(host)
        return own.insecure if own else None


def read_hosts(*, insecure: Iterable[str] = ()) -> Hosts:
    """What this machine's configuration says; ``insecure`` are the hosts of ``--insecure-registry``.

    Raises :class:`UsageError` for a file or a host that is not as it should be.
    """
    hosts = frozenset(parse_host(text) for text in insecure)
    return Hosts(read_settings(), read_registries_conf(), hosts)


def _below(location: Location, rest: str, rule: Rule) -> Location:
    found = location.below(rest)
    if not found.path:
        raise UsageError(
            f"the prefix {rule.prefix!r} is a repository, and its location {location.host!r} is none",
            place=Place(rule.file),
        )
    return found


def _expect_files(own: Settings) -> None:
    paths: dict[str, Path | None] = {"ca": own.ca, "cert": own.cert, "key": own.key}
    for key, path in paths.items():
        if path and not path.is_file():
            raise UsageError(f"{key} names {path}, and there is no such file", place=Place(own.file))
