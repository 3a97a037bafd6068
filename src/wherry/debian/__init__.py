"""Root filesystems from Debian's binary packages: archive index (signature checked), package set, layer.

Nothing is run and nothing needs root: packages are read as the archives that they are. Each module is a step
of the way: mirror, release, index, resolve, deb, content, rootfs, ldcache, layer; :mod:`~wherry.debian.base` goes it.
"""

FORMAT = 3
"""Counts up when the same packages give another layer: older results are then not used any more."""
