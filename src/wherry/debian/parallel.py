"""The same work on several things at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel(work: Callable[[_Item], _Result], items: Iterable[_Item], most: int = 8) -> list[_Result]:
    """``work`` on each of ``items``, at most ``most`` at a time; the first failure is raised.

    After a failure, or Ctrl-C, nothing more is begun and nothing is waited for.
    """
    pool = ThreadPoolExecutor(most, thread_name_prefix="debian")
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
