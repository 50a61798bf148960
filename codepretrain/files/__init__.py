"""The one place that reads and writes files, on a local disk or in an object store.

storage: parse an address; read, list and remove. atomic: atomic file writes. directory:
atomic directories. journal: append-only JSON lines. lease: an exclusive hold. hashing
and sealed: contents known by hash. cache: local copies of immutable files of an object store.
"""
