"""Stores that see tokens and own everything: the six methods, written by hand."""
