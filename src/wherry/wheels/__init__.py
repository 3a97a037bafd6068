"""Requirements to layers: resolve (uv), select by tag, fetch by hash, wheel → layer, the virtual environment itself.

A wheel becomes part of a layer as a stream, without touching a file system; every result is kept under a key
that names all it depends on.
"""
