"""Content codings (RFC 9110 section 8.4.1): some servers compress though nobody asked them to."""

from __future__ import annotations

import gzip
import io
import zlib

_RAW = -zlib.MAX_WBITS  # deflate without zlib's header and checksum, as some servers write it


class Undecodable(ValueError):
    """A body is in no coding that is known, or not in the one that was named; says which."""


def decoded(body: bytes, codings: str, *, limit: int) -> bytes:
    """
    Return a body without its content coding: gzip, or deflate of either kind.

    Args:
        body: As it came.
        codings: The ``Content-Encoding`` header; empty if there was none.
        limit: What is longer is cut off one byte behind it, in bytes; no more is unpacked.

    Raises:
        Undecodable: It can't be decoded, or not to its end.
    """
    named = [name for each in codings.lower().split(",") if (name := each.strip()) != "identity"]
    if not any(named):
        return body
    try:
        if named in (["gzip"], ["x-gzip"]):
            # Several members, their checksums and an end that is missing: gzip sees to it.
            return gzip.GzipFile(fileobj=io.BytesIO(body)).read(limit + 1)
        if named == ["deflate"]:
            return _inflated(body, limit)
    except (OSError, EOFError, zlib.error):
        raise Undecodable(f"answered no {named[0]}, though it said so") from None
    # Not shown as it stands: the header may say anything.
    raise Undecodable("answered in a content coding that is not known, or in several")


def _inflated(body: bytes, limit: int) -> bytes:
    try:
        inflate = zlib.decompressobj()
        plain = inflate.decompress(body, limit + 1)
    except zlib.error:
        inflate = zlib.decompressobj(_RAW)
        plain = inflate.decompress(body, limit + 1)
    if len(plain) <= limit and not inflate.eof:
        raise EOFError
    return plain
