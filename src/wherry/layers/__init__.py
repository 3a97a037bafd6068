"""Tar layers: entries, a deterministic writer, compression on all cores, reading, unpacking.

A layer is written straight as a stream; nothing here needs root or touches a root filesystem but
:mod:`wherry.layers.unpack`.
"""
