"""An authority whose certificates are good for a day, for tests of TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY = dt.timedelta(days=1)


class Authority:
    """
    Makes certificates and their keys, as files in a folder.

    Attributes:
        pem: The file that clients trust.
    """

    def __init__(self, folder, name="ca"):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"the authority {name} of a test")
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        is_one = x509.BasicConstraints(ca=True, path_length=None)
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(self._signed(self._name, self._key, is_one, usage))

    def issue(self, name, *hosts):
        """Return the files of a new certificate, for these hosts and addresses, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.SubjectAlternativeName([_host(host) for host in hosts])] if hosts else []
        certificate_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate_file.write_bytes(self._signed(_name(name), key, *names))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key_file.write_bytes(private)
        return certificate_file, key_file

    def _signed(self, subject, key, *more):
        now = dt.datetime.now(dt.UTC)
        serial, public = x509.random_serial_number(), key.public_key()
        builder = x509.CertificateBuilder(
            self._name, subject, public, serial, now - DAY, now + DAY
        )
        mine = x509.SubjectKeyIdentifier.from_public_key(public)
        issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for each in (mine, issuers, *more):
            critical = isinstance(each, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(each, critical=critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _host(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
