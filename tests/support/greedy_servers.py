"""Servers on a database's port that ask for the password itself, and keep what they are told."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import contextmanager, suppress
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SALT = b"12345678" + b"abcdefghijkl"
_SSL, _PLUGIN_AUTH, _BASE = 0x800, 0x80000, 0x0200 | 0x8000 | 0x8 | 0x1
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)


class Told:
    """What a server was told, decrypted as far as it could."""

    def __init__(self):
        self.heard = b""
        self.asked = threading.Event()
        self.links = []

    def close(self):
        while self.links:
            self.links.pop().close()


@contextmanager
def listening(talk):
    """Yield the port of a server that talks so to each who comes, and what it was told."""
    told = Told()

    def serve():
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                client.settimeout(10)
                told.links = [client]
                with suppress(OSError, EOFError):
                    talk(client, told)
                told.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], told
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def mysql(plugin, *asks, greets="mysql_native_password", certificate=None):
    """
    Return how a MySQL server talks that wants a login by a plugin.

    Args:
        plugin: To which it switches.
        asks: What it says then, one after the other, each after an answer.
        greets: The plugin of its greeting.
        certificate: Files for TLS. None if it has none.
    """
    key, public = _key(), public_key()

    def talk(client, told):
        can = _BASE | _PLUGIN_AUTH | (_SSL if certificate else 0)
        greeting = b"\x0a8.0.36\0" + struct.pack("<I", 1) + SALT[:8] + b"\0"
        greeting += struct.pack("<HBHHB", can & 0xFFFF, 45, 2, can >> 16, 21) + b"\0" * 10
        _say(client, 0, greeting + SALT[8:] + b"\0" + greets.encode() + b"\0")
        number, packet = _hear(client)
        if certificate and len(packet) == 32:
            client = _with_tls(client, certificate, told)
            number, packet = _hear(client)
        told.heard += packet
        if greets != plugin:
            told.asked.set()
            _say(client, number + 1, b"\xfe" + plugin.encode() + b"\0" + SALT + b"\0")
            number, packet = _hear(client)
            told.heard += packet
        for each in (*asks, b""):
            told.asked.set()
            _say(client, number + 1, each.replace(b"KEY", public) or b"\0" * 7)
            number, packet = _hear(client)
            told.heard += packet
            with suppress(ValueError):
                told.heard += _xor(key.decrypt(packet, _OAEP))

    return talk


def postgresql(request=3, *, certificate=None):
    """
    Return how a PostgreSQL server talks that asks for the password.

    Args:
        request: The number of the message: 3 is in clear, 5 is MD5.
        certificate: Files for TLS. None if it has none.
    """

    def talk(client, told):
        packet = _started(client)
        while packet[:4] == struct.pack(">I", 80877103):  # an SSLRequest
            client.sendall(b"S" if certificate else b"N")
            if certificate:
                client = _with_tls(client, certificate, told)
            packet = _started(client)
        told.heard += packet
        told.asked.set()
        salt = b"salt" if request == 5 else b""
        client.sendall(b"R" + struct.pack(">II", 8 + len(salt), request) + salt)
        told.heard += client.recv(4096)

    return talk


def public_key():
    """Return the key by which a MySQL server lets passwords be encrypted."""
    return (
        _key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@cache
def _key():
    return rsa.generate_private_key(65537, 2048)


def _with_tls(client, certificate, told):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    told.links.append(context.wrap_socket(client, server_side=True))
    return told.links[-1]


def _say(client, number, payload):
    client.sendall(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)


def _hear(client):
    head = _exactly(client, 4)
    return head[3], _exactly(client, int.from_bytes(head[:3], "little"))


def _started(client):
    return _exactly(client, struct.unpack(">I", _exactly(client, 4))[0] - 4)


def _exactly(client, size):
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _xor(data):
    return bytes(each ^ SALT[place % len(SALT)] for place, each in enumerate(data))
