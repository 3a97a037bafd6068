"""Files from the network by URL and hash: parallel, streamed, resumed, verified, kept by hash.

Used by the rooms that know where files are (package indexes, Debian's archive); it knows none itself.
"""

from wherry.fetch.attempts import Stopped
from wherry.fetch.fetcher import Fetcher
from wherry.fetch.transfer import Download, HashMismatch, NotFound

__all__ = ["Download", "Fetcher", "HashMismatch", "NotFound", "Stopped"]
