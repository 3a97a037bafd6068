"""The ports of EXPOSE: ``80``, ``80/udp``, ``8000-8010``, also with a host's part, which is checked and dropped."""

from __future__ import annotations

from wherry.frontends.dockerfile.gotext import parse_unsigned


def parse(text: str) -> list[str]:
    """The ports that ``text`` means, as ``80/tcp``. Raises :class:`ValueError` if it makes no sense."""
    *host, container = text.split(":")
    address = ":".join(host[:-1])
    host_port = host[-1] if host else ""
    port, _, protocol = container.partition("/")
    protocol = (protocol or "tcp" if port else "").lower()
    if protocol not in {"tcp", "udp", "sctp"}:
        raise ValueError(f"invalid proto: {protocol}")
    if address:
        _check_address(address)
    start, end = _range(port, "containerPort")
    if host_port:
        host_start, host_end = _range(host_port, "hostPort")
        if end - start not in {host_end - host_start, 0}:
            raise ValueError(f"invalid ranges specified for container and host Ports: {port} and {host_port}")
    return [f"{number}/{protocol}" for number in range(start, end + 1)]


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        start = parse_unsigned(first, 10, 16)
        end = parse_unsigned(last, 10, 16) if dash else start
    except ValueError:
        raise ValueError(f"invalid {what}: {text}") from None
    if end < start:
        raise ValueError(f"invalid {what}: {text}")
    return start, end


def _check_address(text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None
