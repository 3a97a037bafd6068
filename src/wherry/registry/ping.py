"""Whether a registry is there, and lets us in (OCI distribution-spec, "Determining Support")."""

from __future__ import annotations

from wherry.fetch.attempts import attempts
from wherry.registry.client import Client
from wherry.registry.hosts import Endpoint


def expect_access(client: Client, endpoint: Endpoint) -> None:
    """Raise :class:`~wherry.registry.errors.Denied` if the registry does not know who we say that we are.

    :class:`~wherry.errors.NetworkError` if there is no registry.
    """
    for attempt in attempts(f"https://{endpoint.host}/v2/", client.stop):
        with attempt, client.send(endpoint, "GET", "/v2/", ()):
            return
