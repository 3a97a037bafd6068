"""Ways into real registries: through proxies, with certificates, with tokens; and whom logins never reach."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.registry.proxies import Front, Proxy, front, proxy
from tests.registry.servers import PASSWORD, PROGRAM, USER, Registry, Tls, certificates, registry

import wherry
from wherry.errors import NetworkError, UsageError
from wherry.events import Event, Note, Progress
from wherry.fetch import attempts
from wherry.image import Descriptor, Image, ImageConfig, Platform
from wherry.image.mediatype import OCI_LAYER_GZIP
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.writer import LayerWriter
from wherry.registry import certificates as folders
from wherry.registry import registriesconf, tokens
from wherry.registry.client import Client
from wherry.registry.credentials import Keychain, Login, store_login
from wherry.registry.errors import Denied
from wherry.registry.helper import HelperFailed
from wherry.registry.hosts import Endpoint, Hosts
from wherry.registry.repository import Repository
from wherry.registry.upload import upload
from wherry.store import Store

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed")

NAME = "image:1"
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxies, certificates or registries of this machine, and no long waits between attempts."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {*BUNDLES, "REQUEST_METHOD"}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(folders, "MACHINE", (tmp_path / "etc" / "containers", tmp_path / "etc" / "docker"))
    monkeypatch.setattr(registriesconf, "MACHINE", ())
    monkeypatch.setattr(attempts, "_FIRST_DELAY", 0.001)


@pytest.fixture
def image(store: Store) -> Image:
    """A small image in the store, under NAME."""
    with LayerWriter(store.blobs, Compression()) as writer:
        data = os.urandom(1000)
        writer.add(Entry("file", "file", size=len(data)), data)
        layer = writer.finish()
    made = Image.of(ImageConfig(Platform.native(), diff_ids=(layer.diff_id,)), (layer,), {})
    store.tag((NAME,), store.add_image(made))
    return made


def push(store: Store, *destinations: str) -> list[Event]:
    """What is told while the image goes to ``destinations``."""
    events: list[Event] = []
    wherry.push(NAME, destinations, store=store, listener=events.append)
    return events


def pull(folder: Path, name: str, *, insecure: tuple[str, ...] = ()) -> list[Event]:
    """What is told while ``name`` comes into a store that was empty."""
    events: list[Event] = []
    with Store(folder / "pulled") as store:
        wherry.pull(name, store=store, insecure=insecure, listener=events.append)
    return events


def configure(folder: Path, text: str) -> Path:
    """Write Wherry's own file; gives its folder."""
    file = folder / "config" / "wherry" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file.parent


# -- proxies -----------------------------------------------------------------------------------------


@pytest.fixture
def between() -> Iterator[Proxy]:
    with proxy() as running:
        yield running


@pytest.fixture
def named(open_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> str:
    """The open registry by a name that the machine's own resolver knows, too."""
    resolve = socket.getaddrinfo

    def known(host: str | bytes | None, *rest: object, **more: object) -> object:
        return resolve("127.0.0.1" if host in {"registry.test", b"registry.test"} else host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    return f"registry.test:{open_registry.host.rpartition(':')[2]}"


@pytest.fixture
def secured(tmp_path: Path, tls: Tls) -> Iterator[Registry]:
    """A registry that speaks https, and whose authority is known."""
    with registry(tmp_path / "registry", tls=tls) as server:
        port = server.host.rpartition(":")[2]
        configure(tmp_path, f'[registry."registry.test:{port}"]\nca = "{tls.authority}"\n')
        yield server


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_is_asked_for_by_http_goes_through_the_proxy_as_it_is(
    variable: str,
    image: Image,
    store: Store,
    named: str,
    between: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(variable, f"http://{between.host}")
    wherry.push(NAME, [f"{named}/proxied"], insecure=[named], store=store)
    pull(tmp_path, f"{named}/proxied", insecure=(named,))
    assert {host for _, host, _ in between.seen} == {named}
    assert {"GET", "HEAD", "POST", "PATCH", "PUT"} <= {method for method, _, _ in between.seen}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_what_is_asked_for_by_https_goes_through_a_tunnel(
    variable: str,
    image: Image,
    store: Store,
    secured: Registry,
    between: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    host = secured.host.replace("127.0.0.1", "registry.test")
    monkeypatch.setenv(variable, between.host)  # http:// goes without saying
    push(store, f"{host}/tunnelled")
    pull(tmp_path, f"{host}/tunnelled")
    assert {(method, at) for method, at, _ in between.seen} == {("CONNECT", host)}
    assert secured.tags("tunnelled") == {"latest"}


def test_a_proxy_may_be_spoken_to_by_https(
    image: Image, store: Store, secured: Registry, monkeypatch: pytest.MonkeyPatch, tls: Tls
) -> None:
    host = secured.host.replace("127.0.0.1", "registry.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    with proxy(tls) as between:
        between.login = "me:secret"
        monkeypatch.setenv("HTTPS_PROXY", f"https://me:secret@{between.host}")
        push(store, f"{host}/tunnelled")
    assert {(method, at) for method, at, _ in between.seen} == {("CONNECT", host)}


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("value", ["registry.test", "other.test, .test", "*", "10.0.0.0/8,::1,registry.test:{port}"])
def test_what_no_proxy_names_is_asked_directly(
    variable: str,
    value: str,
    image: Image,
    store: Store,
    named: str,
    between: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{between.host}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{between.host}")
    monkeypatch.setenv(variable, value.format(port=named.rpartition(":")[2]))
    wherry.push(NAME, [f"{named}/direct"], insecure=[named], store=store)
    assert between.seen == []


def test_this_machine_itself_is_asked_directly(
    image: Image, store: Store, open_registry: Registry, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://{between.host}")
    push(store, f"{open_registry.host}/own")
    push(store, f"{open_registry.host.replace('127.0.0.1', 'localhost')}/own")
    assert between.seen == []


def test_the_login_in_a_proxys_url_is_for_the_proxy(
    image: Image, store: Store, named: str, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    between.login = "me@work:p@ss/word"
    monkeypatch.setenv("HTTP_PROXY", f"http://me%40work:p%40ss%2Fword@{between.host}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://me%40work:p%40ss%2Fword@{between.host}")
    wherry.push(NAME, [f"{named}/guarded"], insecure=[named], store=store)
    assert {"CONNECT", "PATCH", "PUT"} <= {method for method, _, _ in between.seen}
    assert {login for _, _, login in between.seen} == {between.login}


@pytest.mark.parametrize("insecure", [True, False])
@pytest.mark.parametrize(("login", "words"), [("", "wants a login"), ("me:HU%40SH@", "does not accept the login")])
def test_a_proxy_that_does_not_know_us_is_named_and_no_password_shown(
    insecure: bool, login: str, words: str, named: str, between: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    between.login = "me:right"
    monkeypatch.setenv("ALL_PROXY", f"http://{login}{between.host}")
    with pytest.raises(NetworkError, match=f"the proxy http://{between.host} {words}") as refused:
        pull(tmp_path, f"{named}/guarded", insecure=(named,) if insecure else ())
    assert refused.value.hint
    assert "ALL_PROXY" in refused.value.hint
    assert not any(secret in str(refused.value) for secret in ("HU%40SH", "HU@SH"))
    assert len(between.seen) == 1  # another attempt would not do better


def test_a_proxy_that_is_not_there_is_named_and_its_password_not_shown(
    image: Image, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:HUSH@{host}")
        with pytest.raises(NetworkError, match=f"through the proxy http://{host}: ") as failed:
            push(store, "registry.test/image")
    assert "HUSH" not in str(failed.value)


@pytest.mark.parametrize(
    "value", ["http://me:HU#SH@127.0.0.1:1", "http://me:HU/SH@proxy:1", "nonsense://me:HUSH@proxy"]
)
def test_a_proxy_that_makes_no_sense_is_an_error_that_does_not_repeat_it(
    value: str, image: Image, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UsageError, match="the proxy in HTTPS_PROXY cannot be used") as failed:
        push(store, "registry.test/image")
    for secret in ("HU", "SH"):
        assert secret not in str(failed.value)


# -- authorities -------------------------------------------------------------------------------------


def test_an_authority_that_nobody_knows_is_an_error_that_says_how_to_name_it(
    image: Image, store: Store, tmp_path: Path, tls: Tls
) -> None:
    with registry(tmp_path / "registry", tls=tls) as server:
        with pytest.raises(NetworkError, match=f"{server.host}: the server's certificate is not trusted") as refused:
            push(store, f"{server.host}/a")
        assert "unable to get local issuer certificate" in refused.value.message
        assert refused.value.hint
        assert f'[registry."{server.host}"] ca = "FILE"' in refused.value.hint


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_systems_authorities_may_be_elsewhere(
    variable: str, image: Image, store: Store, tmp_path: Path, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(hashed(tmp_path / "authorities", tls) if "DIR" in variable else tls.authority))
    with registry(tmp_path / "registry", tls=tls) as server:
        push(store, f"{server.host}/a")
        assert server.tags("a") == {"latest"}


def hashed(folder: Path, tls: Tls) -> Path:
    """A folder of authorities as OpenSSL has them."""
    folder.mkdir()
    words = ["openssl", "x509", "-in", str(tls.authority), "-noout", "-hash"]
    name = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    (folder / f"{name}.0").write_bytes(tls.authority.read_bytes())
    return folder


def test_an_authority_for_one_registry_is_none_for_another(
    image: Image, store: Store, tmp_path: Path, tls: Tls
) -> None:
    with registry(tmp_path / "one", tls=tls) as one, registry(tmp_path / "other", tls=tls) as other:
        configure(tmp_path, f'[registry."{one.host}"]\nca = "{tls.authority}"\n')
        push(store, f"{one.host}/a")
        with pytest.raises(NetworkError, match="not trusted"):
            push(store, f"{other.host}/a")


def test_a_registrys_own_certificate_may_be_named_in_the_place_of_its_authority(
    image: Image, store: Store, tmp_path: Path, tls: Tls
) -> None:
    with registry(tmp_path / "registry", tls=tls) as server:
        configure(tmp_path, f'[registry."{server.host}"]\nca = "{tls.certificate}"\n')
        push(store, f"{server.host}/a")


def test_by_our_own_settings_a_registry_may_do_without_an_authority(
    image: Image, store: Store, tmp_path: Path, tls: Tls
) -> None:
    with registry(tmp_path / "registry", tls=tls) as server:
        configure(tmp_path, f'[registry."{server.host}"]\ninsecure = true\n')
        push(store, f"{server.host}/a")
        pull(tmp_path, f"{server.host}/a")


# -- certificates of ours ----------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path, tls: Tls) -> Iterator[Registry]:
    """A registry that lets in those alone who have a certificate of its authority."""
    with registry(tmp_path / "registry", tls=tls, clients=True) as server:
        yield server


def test_a_certificate_of_ours_opens_a_registry(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    files = f'ca = "{tls.authority}"\ncert = "{tls.client}"\nkey = "{tls.client_key}"'
    configure(tmp_path, f'[registry."{guarded.host}"]\n{files}\n')
    push(store, f"{guarded.host}/a")
    pull(tmp_path, f"{guarded.host}/a")


def test_a_certificate_and_its_key_may_be_in_one_file(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    folder = configure(tmp_path, f'[registry."{guarded.host}"]\nca = "{tls.authority}"\ncert = "me.pem"\n')
    (folder / "me.pem").write_text(tls.client.read_text() + tls.client_key.read_text())
    push(store, f"{guarded.host}/a")


@pytest.mark.parametrize("place", ["config/containers/certs.d", "etc/containers", "etc/docker"])
def test_a_certificate_in_certs_d_opens_a_registry(
    place: str, image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    folder = tmp_path / place / guarded.host
    folder.mkdir(parents=True)
    for name, file in (("any.crt", tls.authority), ("me.cert", tls.client), ("me.key", tls.client_key)):
        (folder / name).write_bytes(file.read_bytes())
    push(store, f"{guarded.host}/a")
    pull(tmp_path, f"{guarded.host}/a")


def test_a_key_that_is_anothers_is_an_error_that_names_the_files(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    configure(tmp_path, f'[registry."{guarded.host}"]\ncert = "{tls.client}"\nkey = "{tls.key}"\n')
    with pytest.raises(UsageError, match="certificates that cannot be used") as failed:
        push(store, f"{guarded.host}/a")
    assert str(tls.client) in failed.value.message


def test_without_a_certificate_of_ours_the_error_says_that_one_is_wanted(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    configure(tmp_path, f'[registry."{guarded.host}"]\nca = "{tls.authority}"\n')
    with pytest.raises(NetworkError, match="lets in only who has a certificate that it knows") as refused:
        push(store, f"{guarded.host}/a")
    assert refused.value.hint
    assert f'[registry."{guarded.host}"] cert = "FILE", key = "FILE"' in refused.value.hint


def test_a_certificate_of_ours_that_nobody_there_knows_is_an_error_that_says_so(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    other = certificates(tmp_path / "other")
    files = f'ca = "{tls.authority}"\ncert = "{other.client}"\nkey = "{other.client_key}"'
    configure(tmp_path, f'[registry."{guarded.host}"]\n{files}\n')
    with pytest.raises(NetworkError, match="lets in only who has a certificate that it knows"):
        push(store, f"{guarded.host}/a")


def test_a_key_that_is_encrypted_is_an_error_and_no_question(
    image: Image, store: Store, guarded: Registry, tmp_path: Path, tls: Tls
) -> None:
    key = tmp_path / "encrypted.key"
    words = ["openssl", "pkey", "-in", str(tls.client_key), "-aes128", "-passout", "pass:HUSH", "-out", str(key)]
    subprocess.run(words, capture_output=True, check=True)
    configure(tmp_path, f'[registry."{guarded.host}"]\ncert = "{tls.client}"\nkey = "{key}"\n')
    with pytest.raises(UsageError, match="the key is encrypted"):
        push(store, f"{guarded.host}/a")


# -- tokens ------------------------------------------------------------------------------------------


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Registry]:
    """A registry with a token server, at which we have logged in."""
    with registry(tmp_path / "registry", tokens=True) as server:
        store_login(server.host, Login(USER, PASSWORD))
        yield server


def asked(server: Registry) -> list[tuple[str, ...]]:
    """The scopes of all tokens that we have asked for."""
    assert server.tokens
    assert {user for user, _ in server.tokens.asked} <= {USER}
    return [scopes for _, scopes in server.tokens.asked]


def test_a_pull_asks_for_no_more_than_to_pull(image: Image, store: Store, closed: Registry, tmp_path: Path) -> None:
    push(store, f"{closed.host}/a")
    before = len(asked(closed))
    pull(tmp_path, f"{closed.host}/a")
    assert set(asked(closed)[before:]) == {("repository:a:pull",)}


def test_a_push_asks_for_each_repository_by_itself(image: Image, store: Store, closed: Registry) -> None:
    push(store, f"{closed.host}/a:1", f"{closed.host}/a:2", f"{closed.host}/team/b")
    for scopes in asked(closed):
        wanted, *others = scopes
        assert wanted in {"repository:a:pull,push", "repository:team/b:pull,push"}
        assert all(scope == "repository:a:pull" for scope in others)
    assert len(asked(closed)) == len(set(asked(closed)))  # none twice


def test_a_login_is_tried_with_a_token_that_allows_nothing(tmp_path: Path) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        wherry.login(server.host, USER, PASSWORD)
        assert asked(server) == [()]
        assert Keychain().find(server.host) == Login(USER, PASSWORD)
        with pytest.raises(NetworkError, match="does not accept the login"):
            wherry.login(server.host, USER, "HUSH")
        assert Keychain().find(server.host) == Login(USER, PASSWORD)


def test_a_refresh_token_in_dockers_file_is_exchanged(
    image: Image, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(tmp_path / "registry", tokens=True) as server:
        entry = {"auth": base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode(), "identitytoken": PASSWORD}
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {server.host: entry}}))
        push(store, f"{server.host}/a")
        assert set(asked(server)) == {("repository:a:pull,push",)}
        assert server.tags("a") == {"latest"}


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_a_token_whose_time_is_over_is_renewed_before_it_is_refused(
    store: Store, closed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(tokens, "time", clock)
    blobs = [Descriptor(OCI_LAYER_GZIP, store.blobs.add(os.urandom(100)), 100) for _ in range(3)]
    with Client(Hosts(), Keychain()) as client, front(closed) as seen:
        store_login(seen.host, Login(USER, PASSWORD))
        there = Repository(client, Endpoint(seen.host, "a"), write=True)
        for blob, later in zip(blobs, (100, 250, 100), strict=True):
            upload(there, blob, store.blobs.path(blob.digest), lambda size: None)
            clock.now += later  # the first token is good for 300 seconds
        assert len(asked(closed)) == 2
        assert len({said for _, _, said in seen.seen if said}) == 2


def test_a_token_that_is_refused_before_its_time_is_renewed_once(image: Image, store: Store, closed: Registry) -> None:
    assert closed.tokens
    closed.tokens.stale = 1
    push(store, f"{closed.host}/a")
    assert len(asked(closed)) == 2
    assert closed.tags("a") == {"latest"}


@pytest.mark.parametrize(
    "request_",
    ["HEAD /blobs/", "POST /blobs/uploads/", "PATCH /blobs/uploads/", "PUT /blobs/uploads/", "PUT /manifests/"],
)
def test_a_token_that_ends_in_the_middle_of_a_push_is_renewed(
    request_: str, image: Image, store: Store, closed: Registry
) -> None:
    with front(closed) as before:
        store_login(before.host, Login(USER, PASSWORD))
        before.refused = [request_]
        events = push(store, f"{before.host}/a")
    assert before.refused == []
    assert len(asked(closed)) == 2  # one more, for all that had the old one
    assert closed.tags("a") == {"latest"}
    assert max(event.done for event in events if isinstance(event, Progress)) == sent(image)


def sent(image: Image) -> int:
    """The bytes of all blobs of an image."""
    return len(image.config_bytes) + sum(layer.descriptor.size for layer in image.layers)


@pytest.mark.parametrize("request_", ["GET /manifests/", "GET /blobs/"])
def test_a_token_that_ends_in_the_middle_of_a_pull_is_renewed(
    request_: str, image: Image, store: Store, closed: Registry, tmp_path: Path
) -> None:
    push(store, f"{closed.host}/a")
    with front(closed) as before:
        store_login(before.host, Login(USER, PASSWORD))
        before.refused = [request_]
        pull(tmp_path, f"{before.host}/a")
    assert before.refused == []
    assert asked(closed)[1:] == [("repository:a:pull",)] * 2


def test_a_registry_that_takes_no_token_is_given_up_soon(image: Image, store: Store, closed: Registry) -> None:
    assert closed.tokens
    closed.tokens.stale = 1000
    with Client(Hosts(), Keychain()) as client, pytest.raises(Denied):
        Repository(client, Endpoint(closed.host, "a")).manifest("latest")
    assert len(asked(closed)) == 2


# -- helpers that are not there ----------------------------------------------------------------------


def lose_helper(folder: Path) -> None:
    """Let Docker's file name a helper that is not installed."""
    (folder / "docker").mkdir(exist_ok=True)
    (folder / "docker" / "config.json").write_text('{"credsStore": "nowhere"}')


def test_what_all_may_read_needs_no_helper(image: Image, store: Store, closed: Registry, tmp_path: Path) -> None:
    push(store, f"{closed.host}/public")
    lose_helper(tmp_path)
    pull(tmp_path, f"{closed.host}/public")
    assert closed.tokens
    assert closed.tokens.asked[-1] == ("nobody", ("repository:public:pull",))


def test_a_helper_that_is_not_there_is_noted(image: Image, store: Store, closed: Registry, tmp_path: Path) -> None:
    push(store, f"{closed.host}/public")
    lose_helper(tmp_path)
    events = pull(tmp_path, f"{closed.host}/public")
    (note,) = [event.message for event in events if isinstance(event, Note)]
    assert note.startswith("the credential helper docker-credential-nowhere is not installed; going on without")


def test_whoever_is_refused_is_told_of_a_helper_that_is_not_there(
    image: Image, store: Store, closed: Registry, locked: Registry, tmp_path: Path
) -> None:
    lose_helper(tmp_path)
    for host in (closed.host, locked.host):
        with pytest.raises(Denied) as refused:
            push(store, f"{host}/a")
        assert refused.value.hint
        assert f"`wherry login {host}`" in refused.value.hint
        assert "docker-credential-nowhere is not installed" in refused.value.hint


def test_whoever_gets_no_token_is_told_of_a_helper_that_is_not_there(
    image: Image, store: Store, closed: Registry, tmp_path: Path
) -> None:
    assert closed.tokens
    closed.tokens.strict = True
    lose_helper(tmp_path)
    with pytest.raises(NetworkError, match="gives no token without a login") as refused:
        push(store, f"{closed.host}/a")
    assert refused.value.hint
    assert "docker-credential-nowhere is not installed" in refused.value.hint


def test_a_login_is_not_kept_by_a_helper_that_is_not_there(closed: Registry, tmp_path: Path) -> None:
    lose_helper(tmp_path)
    with pytest.raises(HelperFailed, match="docker-credential-nowhere is not installed"):
        wherry.login(closed.host, USER, PASSWORD)


def test_a_login_that_another_goes_before_is_said_to_be_without_effect(
    closed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"auth": base64.b64encode(b"somebody:else").decode()}
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {closed.host: entry}}))
    kept = wherry.login(closed.host, USER, PASSWORD)
    assert kept.endswith(f", but DOCKER_AUTH_CONFIG has another for {closed.host}, which goes first")


# -- whom logins never reach -------------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Registry]:
    """A registry that wants a password."""
    with registry(tmp_path / "locked", password=True) as server:
        yield server


def test_whoever_a_blob_is_fetched_from_learns_no_login(
    image: Image, store: Store, locked: Registry, tmp_path: Path
) -> None:
    with front(locked) as before, front(locked) as storage:
        storage.login = f"{USER}:{PASSWORD}"
        before.blobs = storage.host
        store_login(before.host, Login(USER, PASSWORD))
        push(store, f"{before.host}/a")
        pull(tmp_path, f"{before.host}/a")
        check(before, storage, "GET")


def test_whoever_a_blob_is_sent_to_learns_no_login(image: Image, store: Store, locked: Registry) -> None:
    with front(locked) as before, front(locked) as storage:
        storage.login = f"{USER}:{PASSWORD}"
        before.uploads = storage.host
        store_login(before.host, Login(USER, PASSWORD))
        push(store, f"{before.host}/a")
        check(before, storage, "PATCH", "PUT")


def check(before: Front, storage: Front, *methods: str) -> None:
    """The registry has learned who we are, and the other server, which was asked by ``methods``, has not."""
    assert f"Basic {ENCODED}" in {said for _, _, said in before.seen}
    assert {method for method, _, _ in storage.seen} == {*methods}
    assert {said for _, _, said in storage.seen} == {""}


def test_no_event_holds_a_login_or_a_token(image: Image, store: Store, closed: Registry, tmp_path: Path) -> None:
    events = push(store, f"{closed.host}/a")
    events += pull(tmp_path, f"{closed.host}/a")
    assert any(isinstance(event, Progress) for event in events)
    assert closed.tokens
    for secret in (PASSWORD, ENCODED, *closed.tokens.given):
        assert secret not in repr(events)
