"""Mounts that a forked child has for itself; for root on Linux."""

from __future__ import annotations

import ctypes
import os

_NEW_NAMESPACE = 0x20000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18


def can_mount():
    """Tell whether this process may mount what others don't see; looked at in a child."""
    if os.geteuid() != 0:
        return False
    child = os.fork()
    if not child:
        try:
            mount_read_only("/proc")
        finally:
            os._exit(0 if os.statvfs("/proc").f_flag & os.ST_RDONLY else 1)
    return os.waitpid(child, 0)[1] == 0


def mount_read_only(*places):
    """Let these folders and files be on mounts that can't be written, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = [(libc.unshare, _NEW_NAMESPACE), _mount(libc, None, "/", _RECURSIVE | _PRIVATE)]
    for place in places:
        steps += [
            _mount(libc, place, place, _BIND),
            _mount(libc, None, place, _BIND | _REMOUNT | _READ_ONLY),
        ]
    for call, *args in steps:
        if call(*args):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount_tiny(place, size):
    """Let a folder be an empty disk of so many bytes, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = ctypes.c_char_p(f"size={size}".encode())
    for call, *args in [
        (libc.unshare, _NEW_NAMESPACE),
        _mount(libc, None, "/", _RECURSIVE | _PRIVATE),
        (libc.mount, b"none", os.fsencode(place), b"tmpfs", ctypes.c_ulong(0), options),
    ]:
        if call(*args):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _mount(libc, source, target, flags):
    given = (each and os.fsencode(each) for each in (source, target))
    return libc.mount, *given, None, ctypes.c_ulong(flags), None
