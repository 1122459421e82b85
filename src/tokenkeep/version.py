"""The version: written down, since frozen, zipped and vendored programs can't look it up."""

__version__ = "0.1.0"
