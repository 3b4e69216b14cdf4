"""MetaDialog Lite: meta-learning in generative dialogue systems, small enough to read."""

__version__ = "0.1.0"
