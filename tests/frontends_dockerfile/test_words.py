"""Words, flags and pairs of an instruction's line, and texts as Go writes them."""

from __future__ import annotations

import pytest

from wherry.frontends.dockerfile import history, ports, signals, words
from wherry.frontends.dockerfile.gotext import duration, parse_duration, parse_size, quote
from wherry.plan import Healthcheck


@pytest.mark.parametrize(
    ("line", "flags", "rest"),
    [
        ("RUN a --b", (), "a --b"),
        ("COPY --from=x a b", ("--from=x",), "a b"),
        ("COPY  --link  --chown=a:b\ta b ", ("--link", "--chown=a:b"), "a b"),
        ('RUN --mount=type=bind,source="a b" x', ("--mount=type=bind,source=a b",), "x"),
        ("RUN --a='b c' x", ("--a=b c",), "x"),
        (r"RUN --a=b\ c x", ("--a=b c",), "x"),
        ("RUN -- --x y", (), "--x y"),
        ("RUN - x", (), "- x"),
        ("RUN --a", ("--a",), ""),
        ("RUN", (), ""),
    ],
)
def test_flags_stand_before_everything_else(line: str, flags: tuple[str, ...], rest: str) -> None:
    found = words.split(line)
    assert (found.flags, found.rest) == (flags, rest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", (("a", "b"),)),
        ("a b c", (("a", "b c"),)),
        ("a   b", (("a", "b"),)),
        ("a b=c", (("a", "b=c"),)),
        ("a=b", (("a", "b"),)),
        ("a=b c=d", (("a", "b"), ("c", "d"))),
        ("a=", (("a", ""),)),
        ("a=\"b c\" d='e f'", (("a", '"b c"'), ("d", "'e f'"))),
        (r"a=b\ c", (("a", r"b\ c"),)),
        ("a=b=c", (("a", "b=c"),)),
        ('"a b"=c', (('"a b"', "c"),)),
        ("", ()),
    ],
)
def test_pairs_are_read_in_both_forms(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert words.pairs(text, "ENV", "\\") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("a", "ENV must have two arguments"), ("a=b c", """Syntax error - can't find = in "c"."""), ("a=b 'c'", "find =")],
)
def test_pairs_without_a_value_are_an_error(text: str, message: str) -> None:
    with pytest.raises(words.WordsError, match=message):
        words.pairs(text, "ENV", "\\")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ("a", "b")),
        (' [ "a" ] ', ("a",)),
        ("[]", ()),
        ('["\\u00e9\\n"]', ("é\n",)),
        ('["\\ud800"]', ("\ufffd",)),
        ("['a']", None),
        ('["a",]', None),
        ('["a"] b', None),
        ('"a"', None),
        ("a", None),
        ("[NaN]", None),
        ("[" * 100_000, None),
        ('{"a": 1}', None),
    ],
)
def test_what_is_no_json_array_is_in_the_shell_form(text: str, expected: tuple[str, ...] | None) -> None:
    assert words.json_array(text) == expected


@pytest.mark.parametrize("text", ["[1]", '["a", null]', "[[]]", "[true]", "[" + "9" * 10_000 + "]"])
def test_an_array_of_other_things_is_an_error(text: str) -> None:
    with pytest.raises(words.WordsError, match="arrays must be comprised of strings only"):
        words.json_array(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", '"a"'), ('a"b\\', '"a\\"b\\\\"'), ("\n\t\x01\x7f", '"\\n\\t\\x01\\x7f"'), ("é\u200b😀", '"é\\u200b😀"')],
)
def test_quotes_are_go_s(text: str, expected: str) -> None:
    assert quote(text) == expected


@pytest.mark.parametrize(
    ("text", "nanoseconds", "shown"),
    [
        ("0", 0, "0s"),
        ("30s", 30 * 10**9, "30s"),
        ("5m", 300 * 10**9, "5m0s"),
        ("1h30m", 5400 * 10**9, "1h30m0s"),
        ("1.5s", 1_500_000_000, "1.5s"),
        ("250ms", 250_000_000, "250ms"),
        ("1ns", 1, "1ns"),
        (".5m", 30 * 10**9, "30s"),
    ],
)
def test_durations_are_go_s(text: str, nanoseconds: int, shown: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert duration(nanoseconds) == shown


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1s ", "1 s", "1" * 99_999, "9" * 19 + "h", "."])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_sizes_have_units_of_1024() -> None:
    assert [parse_size(text) for text in ("512", "64m", "1.5KiB", "1 GB")] == [512, 64 << 20, 1536, 1 << 30]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", ["80/tcp"]),
        ("80/udp", ["80/udp"]),
        ("80/UDP", ["80/udp"]),
        ("80-82/sctp", ["80/sctp", "81/sctp", "82/sctp"]),
        ("8080:80", ["80/tcp"]),
        ("127.0.0.1:8080:80", ["80/tcp"]),
        ("[::1]:8080:80", ["80/tcp"]),
        ("8000-8001:80", ["80/tcp"]),
    ],
)
def test_ports_are_one_or_a_range(text: str, expected: list[str]) -> None:
    assert ports.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "invalid containerPort: x"),
        ("80/foo", "invalid proto: foo"),
        ("", "invalid proto: "),
        ("70000", "invalid containerPort: 70000"),
        ("82-80", "invalid containerPort: 82-80"),
        ("1-2:80-82", "invalid ranges specified for container and host Ports: 80-82 and 1-2"),
        ("nowhere:1:2", "invalid IP address: nowhere"),
        ("x:80", "invalid hostPort: x"),
    ],
)
def test_other_ports_are_an_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        ports.parse(text)


def test_signals_have_names_and_numbers() -> None:
    for good in ("SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX-14"):
        signals.check(good)
    for bad in ("", "SIGNOPE", "0", "RTMIN+16", "TERM "):
        with pytest.raises(ValueError, match="invalid signal"):
            signals.check(bad)


def test_a_healthchecks_history_is_go_s_print_of_the_structure() -> None:
    check = Healthcheck(("CMD-SHELL", "curl -f x"), interval=30 * 10**9, timeout=3 * 10**9, retries=3)
    assert history.healthcheck(check) == 'HEALTHCHECK &{["CMD-SHELL" "curl -f x"] "30s" "3s" "0s" "0s" \'\\x03\'}'
