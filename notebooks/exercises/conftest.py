"""Stubs are meant to fail, and solutions are run inside their sources: neither is collected as a test."""

collect_ignore_glob = ["release/*", "solutions/*"]
