"""Which proxy a request goes through, by the variables that Docker and curl read. Real ones are in tests/registry."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.fetch.proxies import Proxies, Proxy, read_proxies

PROXY = Proxy("HTTP_PROXY", "http://proxy:3128")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD":
            monkeypatch.delenv(name)


def asked_directly(no_proxy: str, url: str) -> bool:
    """Whether NO_PROXY has ``url`` asked for without the proxy that there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALL_PROXY", "proxy:3128")
        patch.setenv("NO_PROXY", no_proxy)
        return read_proxies().find(url) is None


# -- which one ---------------------------------------------------------------------------------------


def test_without_variables_there_is_no_proxy() -> None:
    assert read_proxies() == Proxies()
    assert read_proxies().find("https://a.example/") is None


def test_each_scheme_has_a_proxy_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://one:1")
    monkeypatch.setenv("https_proxy", "http://two:2")
    known = read_proxies()
    assert known.find("http://a.example/") == Proxy("HTTP_PROXY", "http://one:1")
    assert known.find("https://a.example/") == Proxy("HTTPS_PROXY", "http://two:2")


def test_one_variable_may_stand_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://two:2")
    known = read_proxies()
    assert known.find("http://a.example/") == Proxy("ALL_PROXY", "http://all:1")
    assert known.find("https://a.example/") == Proxy("HTTPS_PROXY", "http://two:2")


def test_a_variable_in_lower_case_counts_before_the_same_in_upper_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://upper:1")
    monkeypatch.setenv("https_proxy", "http://lower:1")
    assert read_proxies().find("https://a.example/") == Proxy("HTTPS_PROXY", "http://lower:1")
    monkeypatch.setenv("https_proxy", "")
    assert read_proxies().find("https://a.example/") is None


def test_a_proxy_that_would_not_be_used_need_not_make_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1/")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    assert read_proxies().find("https://a.example/") == Proxy("HTTPS_PROXY", "http://proxy:1")


# -- how it is written -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address", "login"),
    [
        ("proxy:3128", "http://proxy:3128", None),
        ("http://proxy/", "http://proxy", None),
        ("https://proxy:443", "https://proxy:443", None),
        ("socks5h://[::1]:1080", "socks5h://[::1]:1080", None),
        ("me:secret@proxy:3128", "http://proxy:3128", ("me", "secret")),
        ("http://me@proxy:3128", "http://proxy:3128", ("me", "")),
        ("http://me%40work:p%40%2F%23@proxy:3128", "http://proxy:3128", ("me@work", "p@/#")),
        ("http://me:p@ss@proxy:3128", "http://proxy:3128", ("me", "p@ss")),
    ],
)
def test_a_proxy_is_a_url_with_or_without_a_login(text: str, address: str, login: tuple[str, str] | None) -> None:
    assert Proxy.parse("HTTP_PROXY", text) == Proxy("HTTP_PROXY", address, login)


@pytest.mark.parametrize(
    "text",
    ["http://", "ftp://HUSH@proxy", "http://me:HUSH@proxy:x", "http://me:HUSH@proxy:0", "http://me:1/HUSH@proxy"],
)
def test_what_is_no_proxy_is_an_error_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(UsageError, match="the proxy in HTTPS_PROXY cannot be used") as error:
        Proxy.parse("HTTPS_PROXY", text)
    assert "HUSH" not in str(error.value)


def test_a_proxy_shows_no_password() -> None:
    assert "HUSH" not in repr(Proxy.parse("HTTP_PROXY", "http://me:HUSH@proxy:3128"))


@given(st.text())
def test_whatever_a_variable_holds_it_gives_a_proxy_or_an_error(text: str) -> None:
    try:
        assert Proxy.parse("HTTP_PROXY", text).address
    except UsageError as error:
        assert error.hint


# -- what is asked directly --------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:5000", "[::1]:5000"])
def test_this_machine_itself_is_asked_directly(host: str) -> None:
    assert asked_directly("", f"http://{host}/")
    assert asked_directly("", f"https://{host}/")


@pytest.mark.parametrize("host", ["localhost.example", "127.0.0.1.example", "10.0.0.1", "[2001:db8::1]"])
def test_other_machines_are_asked_through_the_proxy(host: str) -> None:
    assert not asked_directly("", f"https://{host}/")


@pytest.mark.parametrize(
    ("entry", "hosts", "others"),
    [
        ("*", ["a.example", "10.0.0.1"], []),
        (
            "a.example",
            ["a.example", "A.example", "b.a.example", "a.example:5000", "a.example."],
            ["ba.example", "example"],
        ),
        ("A.Example", ["a.example"], []),
        (".a.example", ["b.a.example"], ["a.example", "ba.example"]),
        ("*.a.example", ["b.a.example"], ["a.example", "ba.example"]),
        ("a.example:5000", ["a.example:5000", "b.a.example:5000"], ["a.example", "a.example:5001"]),
        ("a.example:443", ["a.example"], ["a.example:5000"]),
        ("10.0.0.1", ["10.0.0.1", "10.0.0.1:5000"], ["10.0.0.10", "a.10.0.0.1.example"]),
        ("10.0.0.1:5000", ["10.0.0.1:5000"], ["10.0.0.1"]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "[2001:db8::1]", "a.example"]),
        ("2001:db8::1", ["[2001:db8::1]", "[2001:db8:0::1]:5000"], ["[2001:db8::2]"]),
        ("[2001:db8::1]", ["[2001:db8::1]"], ["[2001:db8::2]"]),
        ("[2001:db8::1]:5000", ["[2001:db8::1]:5000"], ["[2001:db8::1]"]),
        ("2001:db8::/32", ["[2001:db8::1]"], ["[2001:db9::1]", "10.0.0.1"]),
        ("b.example, a.example c.example,", ["a.example", "b.example", "c.example"], ["d.example"]),
        ("http://a.example", [], ["a.example"]),
    ],
)
def test_no_proxy_names_domains_addresses_and_networks(entry: str, hosts: list[str], others: list[str]) -> None:
    assert [host for host in [*hosts, *others] if asked_directly(entry, f"https://{host}/v2/")] == hosts


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_whatever_no_proxy_holds_it_is_no_error(value: str) -> None:
    asked_directly(value, "https://a.example/")
