"""Pushes and pulls while the network, a mirror or the registry itself does wrong: they end right, or with an error."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from tests.registry import faults
from tests.registry.faults import Answer, Chance, Endless, Exchange, Fault, Listed, Proxy, Schedule, answering, proxy
from tests.registry.servers import PASSWORD, PROGRAM, USER, Registry, Tls, registry

import wherry
from wherry.errors import NetworkError, StoreError, WherryError
from wherry.events import Event, Progress
from wherry.fetch import HashMismatch, Stopped, attempts
from wherry.fetch.client import open_client
from wherry.image import Descriptor, Digest, Image, ImageConfig, Index, Layer, Platform, digest_of
from wherry.image.mediatype import OCI_LAYER_GZIP
from wherry.registry import client as client_module
from wherry.registry.client import Client
from wherry.registry.credentials import Keychain
from wherry.registry.download import download
from wherry.registry.errors import Denied, Refused
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.repository import Repository
from wherry.registry.upload import upload
from wherry.store import Store
from wherry.store.names import name_of

pytestmark = [
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
    pytest.mark.timeout(60),
]

SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
SIZES = (300_000, 120_000, 700)


# -- registries, machines, images --------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A registry, and how one has to speak to it."""

    name: str
    registry: Registry
    tls: Tls | None = None
    login: bool = False


@pytest.fixture(scope="session")
def quick() -> Iterator[Path]:
    """A folder in memory, where there is room: some hundred images would else wait for a disk most of the time."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    with tempfile.TemporaryDirectory(prefix="wherry-faults-", dir=memory if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def kinds(tls: Tls, quick: Path) -> Iterator[tuple[Kind, ...]]:
    """One registry of each kind."""
    folder = quick / "kinds"
    with ExitStack() as stack:
        plain = stack.enter_context(registry(folder / "open"))
        password = stack.enter_context(registry(folder / "password", password=True))
        tokens = stack.enter_context(registry(folder / "tokens", tokens=True))
        encrypted = stack.enter_context(registry(folder / "tls", tls=tls))
        yield (
            Kind("open", plain),
            Kind("password", password, login=True),
            Kind("tokens", tokens, login=True),
            Kind("tls", encrypted, tls),
        )


@dataclass
class Machine:
    """Somebody's home, with logins, and their store. ``said`` is all that they were told."""

    home: Path
    store: Store
    environment: pytest.MonkeyPatch
    said: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def push(self, name: str, to: str, kind: Kind) -> WherryError | None:
        """Push; gives the error that it ended with."""
        return self.do(kind, to, lambda: wherry.push(name, [to], store=self.store, listener=self.listen))

    def pull(self, name: str, kind: Kind) -> WherryError | None:
        """Pull; gives the error that it ended with."""
        return self.do(kind, name, lambda: wherry.pull(name, store=self.store, listener=self.listen))

    def names(self) -> dict[str, str]:
        """What the names in the store mean."""
        return {name: one.digest for one in self.store.images() if (name := name_of(one))}

    def do(self, kind: Kind, name: str, work: Callable[[], object]) -> WherryError | None:
        """Do ``work`` with what ``name`` means at a registry; gives the error that it ended with."""
        self._know(name.partition("/")[0], kind)
        self.events.clear()
        try:
            work()
        except WherryError as error:
            self.said.append(f"{error} {error!r} {error.__cause__!r} {error.__context__!r}")
            return error
        finally:
            self.said += map(repr, self.events)
        shown = {event.id: event for event in self.events if isinstance(event, Progress)}
        for progress in shown.values():
            assert progress.done == (progress.total or progress.done)
        return None

    def listen(self, event: Event) -> None:
        """Keep what was told."""
        self.events.append(event)

    def _know(self, host: str, kind: Kind) -> None:
        """Have a login for ``host``, if ``kind`` needs it."""
        for name, folder in (("HOME", ""), ("XDG_CONFIG_HOME", ".config"), ("DOCKER_CONFIG", ".docker")):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
            self.environment.setenv(name, str(self.home / folder))
        if kind.login:
            logins = {"auths": {host: {"auth": SECRETS[1]}}}
            (self.home / ".docker" / "config.json").write_text(json.dumps(logins))


@pytest.fixture
def machines(quick: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Machine, Machine]]:
    """Two machines that have nothing in common."""
    with (
        tempfile.TemporaryDirectory(dir=quick) as one,
        tempfile.TemporaryDirectory(dir=quick) as other,
        Store(Path(one) / "store") as first,
        Store(Path(other) / "store") as second,
    ):
        yield Machine(Path(one), first, monkeypatch), Machine(Path(other), second, monkeypatch)


@pytest.fixture
def here(machines: tuple[Machine, Machine]) -> Machine:
    """The machine that has an image."""
    return machines[0]


@pytest.fixture
def there(machines: tuple[Machine, Machine]) -> Machine:
    """The machine that wants it."""
    return machines[1]


def image(store: Store, name: str, sizes: Sequence[int] = SIZES, seed: int = 0, *, index: bool = False) -> str:
    """An image of random layers in the store, for this machine or, as an index, for others too; gives its digest."""
    source = random.Random(f"{name} {seed}")

    def one(platform: Platform, sizes: Sequence[int]) -> Image:
        layers = []
        for size in sizes:
            data = source.randbytes(size)
            layers.append(Layer(Descriptor(OCI_LAYER_GZIP, store.blobs.add(data), size), digest_of(data)))
        made = Image.of(ImageConfig(platform), tuple(layers), {"of": f"{name} {seed}"})
        store.add_image(made)
        return made

    ours = one(Platform.native(), sizes)
    made = Index((one(Platform("linux", "s390x"), [1000]), ours)) if index else ours
    store.tag((name,), store.add_image(made))
    return made.digest


# -- what must be so ---------------------------------------------------------------------------------


def meaning(server: Registry, repository: str, tag: str) -> str | None:
    """The digest of what a tag means in the registry's own files; None if there is no such tag.

    All of it is there, and each blob is what its name says.
    """
    root = server.folder / "data/docker/registry/v2"
    link = root / "repositories" / repository / "_manifests/tags" / tag / "current/link"
    if not link.is_file():
        return None

    def content(digest: str) -> bytes:
        hexadecimal = digest.removeprefix("sha256:")
        data = (root / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data").read_bytes()
        assert sha256(data).hexdigest() == hexadecimal
        return data

    def whole(digest: str) -> None:
        value = json.loads(content(digest))
        assert (root / "repositories" / repository / "_manifests/revisions/sha256" / digest[7:] / "link").is_file()
        for member in value.get("manifests", ()):
            whole(member["digest"])
        for part in (*value.get("layers", ()), *filter(None, [value.get("config")])):
            assert len(content(part["digest"])) == part["size"]
            assert (root / "repositories" / repository / "_layers/sha256" / part["digest"][7:] / "link").is_file()

    digest = link.read_text()
    whole(digest)
    return digest


def expect_good_blobs(store: Store) -> None:
    """Each blob in the store is what its name says."""
    for path in store.path.glob("blobs/sha256/*"):
        assert sha256(path.read_bytes()).hexdigest() == path.name


def expect_same_image(here: Machine, name: str, there: Machine, other: str) -> None:
    """An image of one machine is another's, byte for byte; of an index, that for this kind of machine."""
    wanted, found = (wherry.find(name, here.store), wherry.find(other, there.store))
    if isinstance(wanted, Index):
        wanted = next(one for one in wanted.images if one.config.platform == Platform.native())
    assert isinstance(found, Image)
    assert (found.manifest_bytes, found.config_bytes) == (wanted.manifest_bytes, wanted.config_bytes)
    for layer in found.layers:
        digest = layer.descriptor.digest
        assert there.store.blobs.read(digest) == here.store.blobs.read(digest)
    expect_good_blobs(there.store)


def expect_no_secrets(*machines: Machine) -> None:
    """Nobody was told a password."""
    for text in (text for machine in machines for text in machine.said):
        assert not any(secret in text for secret in SECRETS)


@dataclass
class Patience:
    """How many seconds a client waits for a server that says nothing: much, unless a fault is about that."""

    seconds: float = 10.0

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Have it as it is without faults within the block."""
        seconds, self.seconds = self.seconds, Patience.seconds
        try:
            yield
        finally:
            self.seconds = seconds


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch, tls: Tls) -> Patience:
    """No long waits between attempts; and time-outs for the test to choose."""
    made = Patience()
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))  # the system's are many, and read for each client

    def impatient(connections: int, **more: object) -> httpx.Client:
        client = open_client(connections, **more)  # type: ignore[arg-type]
        client.timeout = httpx.Timeout(made.seconds, pool=None)
        return client

    monkeypatch.setattr(attempts, "_FIRST_DELAY", 0.002)
    monkeypatch.setattr(client_module, "open_client", impatient)
    return made


# -- one fault, once ---------------------------------------------------------------------------------


@dataclass
class Scene:
    """An image here, ``app:1``, and a way to a registry for it."""

    kind: Kind
    here: Machine
    there: Machine
    repository: str
    digest: str
    patience: Patience

    @property
    def server(self) -> Registry:
        return self.kind.registry

    def given(self, name: str) -> None:
        """See to it that the registry has an image."""
        with self.patience.restored():
            assert self.here.push(name, f"{self.server.host}/{self.repository}:1", self.kind) is None

    def pushed(self, schedule: Schedule) -> tuple[WherryError | None, Proxy]:
        """Push through a proxy; all that must be so in any case is."""
        before = meaning(self.server, self.repository, "1")
        with proxy(self.server, schedule, tls=self.kind.tls) as way:
            error = self.here.push("app:1", f"{way.host}/{self.repository}:1", self.kind)
        expect_no_secrets(self.here)
        assert way.elsewhere.secrets == []
        now = meaning(self.server, self.repository, "1")
        assert now in ({self.digest} if error is None else {before, self.digest})
        return error, way

    def pulled(self, schedule: Schedule) -> tuple[WherryError | None, Proxy]:
        """Pull through a proxy what has been pushed somehow; all that must be so in any case is."""
        if meaning(self.server, self.repository, "1") != self.digest:
            self.given("app:1")
        with proxy(self.server, schedule, tls=self.kind.tls) as way:
            name = f"{way.host}/{self.repository}:1"
            error = self.there.pull(name, self.kind)
        expect_no_secrets(self.there)
        assert way.elsewhere.secrets == []
        if error is None:
            expect_same_image(self.here, "app:1", self.there, name)
        else:
            assert self.there.names() == {}
            expect_good_blobs(self.there.store)
        return error, way


@pytest.fixture
def scene(
    kinds: tuple[Kind, ...], here: Machine, there: Machine, patience: Patience, request: pytest.FixtureRequest
) -> Scene:
    """A scene at an open registry, or at the kind that the test names by a parameter."""
    name = getattr(request, "param", "open")
    kind = next(one for one in kinds if one.name == name)
    repository = f"faults/{sha256(request.node.name.encode()).hexdigest()[:12]}"
    digest = image(here.store, "app:1", seed=random.getrandbits(64))
    return Scene(kind, here, there, repository, digest, patience)


EVERYWHERE = pytest.mark.parametrize("scene", ["open", "password", "tokens", "tls"], indirect=True)
WITH_TOKENS = pytest.mark.parametrize("scene", ["tokens"], indirect=True)


@EVERYWHERE
def test_without_faults_all_goes_well(scene: Scene) -> None:
    assert scene.pushed(faults.Nothing())[0] is None
    assert scene.pulled(faults.Nothing())[0] is None


PASSING = (
    answering(429, Retry_After="0"),
    answering(500),
    answering(503),
    faults.reset_before_the_answer,
    faults.reset_instead_of_the_answer,
)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
@pytest.mark.parametrize("kind", ["HEAD blob", "POST session", "PATCH upload", "PUT upload", "PUT manifest"])
def test_a_push_goes_on_after_a_request_that_failed(scene: Scene, fault: Fault, kind: str) -> None:
    error, way = scene.pushed(Listed(fault.at(kind)))
    assert error is None
    assert way.struck == [fault.name]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
@pytest.mark.parametrize("kind", ["GET manifest", "GET blob"])
def test_a_pull_goes_on_after_a_request_that_failed(scene: Scene, fault: Fault, kind: str) -> None:
    error, way = scene.pulled(Listed(fault.at(kind)))
    assert error is None
    assert way.struck == [fault.name]


@WITH_TOKENS
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_a_token_is_asked_for_again(scene: Scene, fault: Fault) -> None:
    error, way = scene.pushed(Listed(fault.at("GET token")))
    assert error is None
    assert way.struck == [fault.name]


@WITH_TOKENS
def test_a_token_server_that_talks_nonsense_is_an_error(scene: Scene) -> None:
    error, _ = scene.pushed(Endless(faults.something_else.at("GET token")))
    assert isinstance(error, NetworkError)
    assert "token" in error.message


@WITH_TOKENS
def test_a_token_that_lasts_for_ever_is_a_token(scene: Scene) -> None:
    def strike(exchange: Exchange) -> None:
        answer = exchange.forward()
        value = {**json.loads(answer.body), "expires_in": 10**400}
        exchange.reply(replace(answer, body=json.dumps(value).encode()))

    assert scene.pushed(Endless(Fault("for ever", strike, frozenset({"GET token"}))))[0] is None


@pytest.mark.parametrize("realm", ["http://[nowhere/token", "http://nowhere:port/token", "nowhere", "http:///token"])
def test_a_token_server_that_cannot_be_is_none(scene: Scene, realm: str) -> None:
    error, _ = scene.pushed(Endless(answering(401, WWW_Authenticate=f'Bearer realm="{realm}"')))
    assert isinstance(error, Denied)


def test_a_server_that_is_busy_is_left_alone_as_long_as_it_says(scene: Scene) -> None:
    start = time.monotonic()
    assert scene.pushed(Listed(answering(429, Retry_After="1").at("POST session")))[0] is None
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("when", ["²", "9" * 5000, "Mon, 99 Foo 1 -0000", "Mon, 01 Jan 0001 00:00:00 -0000", "-1"])
def test_a_server_that_is_busy_may_say_nonsense(scene: Scene, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_LONGEST_DELAY", 0.01)
    assert scene.pushed(Listed(answering(429, Retry_After=when).at("POST session")))[0] is None


@pytest.mark.parametrize("fault", [answering(503), faults.reset_before_the_answer], ids=lambda fault: fault.name)
def test_what_never_works_is_an_error_that_says_so(scene: Scene, fault: Fault) -> None:
    for error, _ in (scene.pushed(Endless(fault)), scene.pulled(Endless(fault))):
        assert isinstance(error, NetworkError)
        assert "5 attempts" in error.message


def test_what_has_gone_up_in_part_is_whole_in_the_end(scene: Scene) -> None:
    fault = faults.reset_on_the_way_up.at("PATCH upload")
    assert scene.pushed(Listed(fault, fault, fault))[0] is None


def test_a_manifest_that_has_gone_up_in_part_is_sent_again(scene: Scene) -> None:
    assert scene.pushed(Listed(faults.reset_on_the_way_up.at("PUT manifest")))[0] is None


@pytest.mark.parametrize("fault", [faults.reset_on_the_way_down, faults.truncated], ids=lambda fault: fault.name)
def test_what_has_come_down_in_part_is_whole_in_the_end(scene: Scene, fault: Fault) -> None:
    error, way = scene.pulled(Listed(fault.at("GET manifest"), *[fault.at("GET blob")] * 4))
    assert error is None
    assert len(way.struck) == 5


@pytest.mark.parametrize("fault", [faults.flipped, faults.something_else, faults.too_long], ids=lambda one: one.name)
def test_a_manifest_that_is_not_the_one_is_fetched_again(scene: Scene, fault: Fault) -> None:
    assert scene.pulled(Listed(fault.at("GET manifest")))[0] is None


@pytest.mark.parametrize("fault", [faults.flipped, faults.something_else, faults.too_long], ids=lambda one: one.name)
def test_a_blob_that_is_not_the_one_has_no_name(scene: Scene, fault: Fault) -> None:
    error, _ = scene.pulled(Endless(fault.at("GET blob")))
    assert isinstance(error, HashMismatch)
    assert "is not the file that was asked for" in error.message


def test_a_blob_that_is_too_short_is_asked_for_its_rest(scene: Scene) -> None:
    assert scene.pulled(Listed(faults.too_short.at("GET manifest"), faults.too_short.at("GET blob")))[0] is None


def test_a_blob_whose_rest_is_refused_is_fetched_whole(scene: Scene) -> None:
    error, way = scene.pulled(Listed(faults.truncated.at("GET blob"), faults.rest_refused))
    assert error is None
    assert way.struck == ["truncated", "rest refused"]


def test_a_blob_that_is_smaller_than_a_manifest_says_is_an_error(scene: Scene) -> None:
    scene.given("app:1")
    digest, size = _largest(scene.here.store)
    with Client(Hosts(), Keychain()) as client, pytest.raises(NetworkError, match="has 300000 bytes where 300001 were"):
        there = Repository(client, Endpoint(scene.server.host, scene.repository))
        download([there], Descriptor(OCI_LAYER_GZIP, digest, size + 1), scene.there.store, lambda size: None)
    expect_good_blobs(scene.there.store)


def test_a_blob_whose_pieces_do_not_fit_is_fetched_whole(scene: Scene) -> None:
    """Half of something else has come before the connection broke."""

    def strike(exchange: Exchange) -> None:
        size = len(exchange.forward().body)
        exchange.reply(Answer(200, (), bytes(size)), most=size // 2)
        exchange.end()

    assert scene.pulled(Listed(Fault("half of nothing", strike, frozenset({"GET blob"}))))[0] is None


def test_a_blob_that_arrives_changed_is_sent_again(scene: Scene) -> None:
    error, way = scene.pushed(Listed(faults.flipped_on_the_way_up, faults.flipped_on_the_way_up))
    assert error is None
    assert len(way.struck) == 2


def test_a_manifest_that_arrives_changed_is_sent_again(scene: Scene) -> None:
    def strike(exchange: Exchange) -> None:
        exchange.reply(exchange.forward(exchange.sent.replace(b"of", b"OF", 1)))

    assert scene.pushed(Listed(Fault("changed", strike, frozenset({"PUT manifest"}))))[0] is None


def test_a_manifest_under_another_digest_than_its_own_is_refused(scene: Scene) -> None:
    error, _ = scene.pulled(Endless(faults.another_digest_in_the_header.at("GET manifest")))
    assert isinstance(error, NetworkError)
    assert f"what came is not sha256:{'ab' * 32}" in error.message


def test_what_the_registry_has_kept_is_what_was_sent(scene: Scene) -> None:
    for kind in ("PUT upload", "PUT manifest"):
        error, _ = scene.pushed(Endless(faults.another_digest_in_the_header.at(kind)))
        assert isinstance(error, NetworkError)
        assert f"has kept sha256:{'ab' * 32}" in error.message


# -- stalls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["HEAD blob", "POST session", "PATCH upload", "PUT upload", "PUT manifest"])
def test_a_push_goes_on_after_a_server_has_stalled(scene: Scene, patience: Patience, kind: str) -> None:
    patience.seconds = 0.5
    assert scene.pushed(Listed(faults.stall_before_the_answer.at(kind)))[0] is None


def test_a_push_goes_on_after_a_server_has_stopped_reading(scene: Scene, patience: Patience) -> None:
    patience.seconds = 0.5
    assert scene.pushed(Listed(faults.stall_on_the_way_up))[0] is None


def test_a_pull_goes_on_after_a_server_has_stalled(scene: Scene, patience: Patience) -> None:
    patience.seconds = 0.5
    before, within = faults.stall_before_the_answer, faults.stall_on_the_way_down
    error, way = scene.pulled(Listed(*(one.at(kind) for one in (before, within) for kind in faults.GET_BODY[:2])))
    assert error is None
    assert len(way.struck) == 4


def test_a_server_that_always_stalls_is_an_error(scene: Scene, patience: Patience) -> None:
    patience.seconds = 0.1
    for error, _ in (
        scene.pushed(Endless(faults.stall_before_the_answer.at("HEAD blob"))),
        scene.pulled(Endless(faults.stall_before_the_answer.at("GET blob"))),
    ):
        assert isinstance(error, NetworkError)
        assert "timed out" in error.message


# -- redirects ---------------------------------------------------------------------------------------


@EVERYWHERE
def test_blobs_may_be_elsewhere_where_nobody_learns_who_we_are(scene: Scene) -> None:
    error, way = scene.pulled(Endless(faults.redirected))
    assert error is None
    assert way.elsewhere.served == len(SIZES) + 1


def test_a_redirect_in_a_circle_is_an_error(scene: Scene) -> None:
    error, _ = scene.pulled(Endless(faults.redirected_in_a_circle))
    assert isinstance(error, NetworkError)
    assert "redirects" in error.message


@pytest.mark.parametrize("scene", ["password", "tokens"], indirect=True)
def test_a_server_that_we_are_redirected_to_gets_no_login_by_asking(scene: Scene) -> None:
    error, way = scene.pulled(Endless(faults.redirected_to_somebody_who_asks))
    assert isinstance(error, Refused)
    assert not isinstance(error, Denied)
    assert "unauthorized (HTTP 401 at 127.0.0.1)" in error.message
    assert way.elsewhere.secrets == []


@pytest.mark.parametrize("kind", sorted(faults.write_redirected.kinds))
def test_a_write_that_is_redirected_is_no_success(scene: Scene, kind: str) -> None:
    error, _ = scene.pushed(Endless(faults.write_redirected.at(kind)))
    assert isinstance(error, Refused)
    assert "HTTP 302" in error.message


# -- upload sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PATCH upload", "PUT upload"])
def test_a_session_that_is_lost_is_begun_anew(scene: Scene, kind: str) -> None:
    fault = faults.session_lost.at(kind)
    error, way = scene.pushed(Listed(fault, fault))
    assert error is None
    assert len(way.struck) == 2


def test_sessions_that_are_always_lost_are_an_error(scene: Scene) -> None:
    error, _ = scene.pushed(Endless(faults.session_lost))
    assert isinstance(error, NetworkError)
    assert "blob upload unknown to registry" in error.message


@pytest.mark.parametrize("lie", [faults.more_than_has_arrived, faults.less_than_has_arrived], ids=lambda one: one.name)
def test_a_registry_that_is_wrong_about_what_has_arrived_gets_all_of_it_again(scene: Scene, lie: Fault) -> None:
    broken = faults.reset_on_the_way_up.at("PATCH upload")
    assert scene.pushed(Listed(broken, lie.at("GET upload")))[0] is None


@pytest.mark.parametrize("kind", sorted(faults.nowhere_to_go_on.kinds))
def test_an_upload_that_goes_on_nowhere_is_an_error(scene: Scene, kind: str) -> None:
    broken = faults.reset_on_the_way_up.at("PATCH upload")
    error, _ = scene.pushed(Listed(*[broken] * (kind == "GET upload"), *[faults.nowhere_to_go_on.at(kind)] * 9))
    assert isinstance(error, NetworkError)
    assert "http://[nowhere/" in error.message


# -- with and without TLS ----------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["tls"], indirect=True)
@pytest.mark.parametrize("fault", [answering(503).at("HEAD blob"), faults.reset_at_once], ids=lambda one: one.name)
def test_a_registry_with_tls_that_fails_at_first_is_not_asked_without(scene: Scene, fault: Fault) -> None:
    error, way = scene.pushed(Listed(*[fault] * 4))
    assert error is None
    assert way.struck == [fault.name] * 4


def test_an_image_that_is_there_is_one_request(scene: Scene) -> None:
    scene.pulled(faults.Nothing())
    with proxy(scene.server) as way:
        assert scene.there.pull(f"{way.host}/{scene.repository}:1", scene.kind) is None
        first = [one.kind for one in way.seen]
        assert first == ["GET manifest"]
        assert scene.there.pull(f"{way.host}/{scene.repository}:1", scene.kind) is None
        assert len(way.seen) == 2


# -- anything, at any time ---------------------------------------------------------------------------

STALLS = (faults.stall_before_the_answer, faults.stall_on_the_way_up, faults.stall_on_the_way_down)
EVERYTHING = (
    *PASSING,
    *STALLS,
    answering(429, Retry_After="1"),
    faults.reset_at_once,
    faults.reset_on_the_way_up,
    faults.reset_on_the_way_down,
    faults.truncated,
    faults.flipped,
    faults.flipped_on_the_way_up,
    faults.something_else,
    faults.another_digest_in_the_header,
    faults.too_short,
    faults.too_long,
    faults.rest_refused,
    faults.redirected,
    faults.redirected_in_a_circle,
    faults.redirected_to_somebody_who_asks,
    faults.write_redirected,
    faults.session_lost,
    faults.more_than_has_arrived,
    faults.less_than_has_arrived,
    faults.nowhere_to_go_on,
)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_no_name_means_half_an_image(
    seed: int,
    kinds: tuple[Kind, ...],
    here: Machine,
    there: Machine,
    patience: Patience,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(attempts, "_LONGEST_DELAY", 0.02)
    patience.seconds = 0.2

    def schedule() -> Schedule:
        most = draw.choice((3, 10, None))
        probability = draw.choice((0.1, 0.2, 0.4, 0.8))
        rare = {fault.name: draw.randrange(2) for fault in STALLS}  # they take their time
        return Chance(draw.getrandbits(32), EVERYTHING, most=most, probability=probability, rare=rare)

    sizes = [int(10 ** draw.uniform(5, 6)) for _ in range(draw.choice((2, 2, 3)))]
    digest = image(here.store, "app:1", sizes, seed, index=draw.random() < 0.3)
    scene = Scene(kinds[seed % len(kinds)], here, there, f"seeds/{seed}", digest, patience)
    if draw.random() < 0.25:
        image(here.store, "older:1", [1000], seed)
        scene.given("older:1")
    scene.pushed(schedule())
    scene.pulled(schedule())


@dataclass(frozen=True)
class Buildable:
    """A Dockerfile over a base that a registry has; ``digest`` is what it comes to where nothing goes wrong."""

    context: Path
    digest: str

    def build(self, machine: Machine, kind: Kind, host: str, repository: str) -> WherryError | None:
        """Build with and for a shared cache, and push; the base, the cache and the image are all at ``host``."""
        request = wherry.DockerfileRequest(build_args=(("BASE", f"{host}/bases/{kind.name}:1"),))
        name, cache = f"{host}/{repository}:1", f"{host}/{repository}:cache"

        def work() -> None:
            made = wherry.build(
                self.context,
                request,
                names=[name],
                cache_from=[cache],
                cache_to=[f"type=registry,ref={cache}"],
                store=machine.store,
                listener=machine.listen,
            )
            assert made.image.digest == self.digest
            wherry.push(name, store=machine.store, listener=machine.listen)

        return machine.do(kind, name, work)


@pytest.fixture(scope="session")
def buildable(quick: Path, kinds: tuple[Kind, ...]) -> Buildable:
    """The same for all kinds of registries, each of which has the base."""
    folder = quick / "buildable"
    source = random.Random("base")
    with pytest.MonkeyPatch.context() as patch, Store(folder / "store") as store:
        patch.setenv("SOURCE_DATE_EPOCH", "1000")
        machine = Machine(folder, store, patch)
        for name, text in (
            ("base", "FROM scratch\nCOPY large small /\nENV A=b\n"),
            (
                "context",
                "ARG BASE\nFROM $BASE AS base\nFROM base\nCOPY own /\nCOPY --from=base /small /copy\nCMD own\n",
            ),
        ):
            (folder / name).mkdir(parents=True)
            (folder / name / "Dockerfile").write_text(text)
        (folder / "base" / "large").write_bytes(source.randbytes(400_000))
        (folder / "base" / "small").write_bytes(source.randbytes(100_000))
        (folder / "context" / "own").write_bytes(source.randbytes(50_000))
        wherry.build(folder / "base", names=["base:1"], store=store)
        arguments = (("BASE", "base:1"),)
        expected = wherry.build(folder / "context", wherry.DockerfileRequest(build_args=arguments), store=store)
        patch.setenv("SSL_CERT_FILE", str(kinds[3].tls.authority if kinds[3].tls else ""))
        for kind in kinds:
            assert machine.push("base:1", f"{kind.registry.host}/bases/{kind.name}:1", kind) is None
    return Buildable(folder / "context", expected.image.digest)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_a_build_is_right_or_an_error(
    seed: int,
    kinds: tuple[Kind, ...],
    here: Machine,
    there: Machine,
    buildable: Buildable,
    patience: Patience,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two new machines, one after the other, so that the second may find the results of the first."""
    draw = random.Random(f"build {seed}")
    monkeypatch.setattr(attempts, "_LONGEST_DELAY", 0.05)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000")
    patience.seconds = 0.3
    kind, repository = kinds[seed % len(kinds)], f"builds/{seed}"
    for machine in (here, there):
        most, probability = draw.choice((2, 5, None)), draw.choice((0.05, 0.1, 0.2, 0.4))
        schedule = Chance(draw.getrandbits(32), EVERYTHING, most=most, probability=probability, rare={})
        with proxy(kind.registry, schedule, tls=kind.tls) as way:
            error = buildable.build(machine, kind, way.host, repository)
            assert way.elsewhere.secrets == []
        expect_no_secrets(machine)
        expect_good_blobs(machine.store)
        assert set(machine.names().values()) <= {buildable.digest}
        assert meaning(kind.registry, repository, "1") in (
            {buildable.digest} if error is None else {None, buildable.digest}
        )
        meaning(kind.registry, repository, "cache")  # is whole, if it is there


# -- giving up ---------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(Hosts(), Keychain()) as made:
        yield made


def test_the_first_failure_gives_up_what_was_begun_before(client: Client) -> None:
    def work(number: int) -> None:
        if number == 3:
            raise NetworkError("the third")
        assert client.stop.wait(30)
        raise Stopped

    with pytest.raises(NetworkError, match="the third"):
        client.at_once(work, [1, 2, 3])


def test_what_was_given_up_says_why(client: Client) -> None:
    """One of the parts has parts of its own, and ends only after the others have been stopped for it."""
    stopped = threading.Event()

    def part(number: int) -> None:
        if number == 1:
            raise NetworkError("a part of a part")
        assert stopped.wait(30)

    def work(number: int) -> None:
        if number == 1:
            client.at_once(part, [1, 2])
        assert client.stop.wait(30)
        stopped.set()
        raise Stopped

    with pytest.raises(NetworkError, match="a part of a part"):
        client.at_once(work, [1, 2])


def test_an_upload_is_given_up_in_its_middle(scene: Scene) -> None:
    digest, size = _largest(scene.here.store)
    path = scene.here.store.blobs.path(digest)
    told: list[int] = []
    with Client(Hosts(), Keychain()) as client:

        def advance(count: int) -> None:
            told.append(count)
            client.stop.set()

        there = Repository(client, Endpoint(scene.server.host, scene.repository), write=True)
        with pytest.raises(Stopped):
            upload(there, Descriptor(OCI_LAYER_GZIP, digest, size), path, advance)
    assert 0 < sum(told) < size


def test_who_closes_a_client_stops_what_others_do_with_it(scene: Scene, patience: Patience) -> None:
    scene.given("app:1")
    patience.seconds = 0.5
    digest, size = _largest(scene.here.store)
    ended: list[BaseException] = []
    stall = faults.stall_on_the_way_down.at("GET blob")
    with proxy(scene.server, Endless(stall)) as way:
        client = Client(Hosts(), Keychain())
        there = Repository(client, Endpoint(way.host, scene.repository))
        begun = threading.Event()

        def work() -> None:
            try:
                download([there], Descriptor(OCI_LAYER_GZIP, digest, size), scene.there.store, lambda size: begun.set())
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(30)
        client.__exit__()
        thread.join()
    assert [type(error) for error in ended] == [Stopped]
    expect_good_blobs(scene.there.store)


# -- the store ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 299_999])
def test_a_blob_that_is_damaged_here_is_no_fault_of_the_network(scene: Scene, size: int) -> None:
    path = scene.here.store.blobs.path(_largest(scene.here.store)[0])
    os.truncate(path, size)
    error, _ = scene.pushed(faults.Nothing())
    assert isinstance(error, StoreError)
    assert f"it has {size} bytes, not 300000" in error.message


# -- mirrors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [faults.flipped, faults.truncated, faults.too_long, answering(503)], ids=lambda one: one.name
)
def test_progress_counts_what_is_of_use_where_a_mirror_fails(scene: Scene, fault: Fault) -> None:
    assert scene.pushed(faults.Nothing())[0] is None
    layer = Descriptor(OCI_LAYER_GZIP, *_largest(scene.here.store))
    told: list[int] = []
    with (
        proxy(scene.server, Endless(fault.at("GET blob"))) as mirror,
        Client(Hosts(), Keychain()) as client,
    ):
        places = [Repository(client, Endpoint(host, scene.repository)) for host in (mirror.host, scene.server.host)]
        assert download(places, layer, scene.there.store, told.append)
    assert sum(told) == layer.size
    assert scene.there.store.blobs.read(layer.digest) == scene.here.store.blobs.read(layer.digest)


def test_a_mirror_that_is_not_there_is_not_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.pushed(faults.Nothing())[0] is None
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 1000)
    layer = Descriptor(OCI_LAYER_GZIP, *_largest(scene.here.store))
    with Client(Hosts(), Keychain()) as client:
        away = Repository(client, Endpoint("127.0.0.1:9", scene.repository, mirror=True))
        itself = Repository(client, Endpoint(scene.server.host, scene.repository))
        assert download([away, itself], layer, scene.there.store, lambda size: None)
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9"):
            away.has(layer.digest)


def _largest(store: Store) -> tuple[Digest, int]:
    path = max(store.path.glob("blobs/sha256/*"), key=lambda path: path.stat().st_size)
    return Digest(f"sha256:{path.name}"), path.stat().st_size
