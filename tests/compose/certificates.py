"""An authority of an hour and the certificates of three servers, for one test."""

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVERS = ("postgres", "broker", "api-server")
LIFETIME = datetime.timedelta(hours=6)


def write_certificates(folder: Path, owner: int) -> None:
    """ca.crt, and NAME.crt and NAME.key of each server; the owner's alone where root writes."""
    folder.mkdir(mode=0o700)
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("authority of a test")
    root = _builder(name, name, authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    # Python's own checks ask that an authority says what its key is for.
    usage = _usage(signs=True)
    (folder / "ca.crt").write_bytes(
        _pem(root.add_extension(usage, critical=True).sign(authority, hashes.SHA256()))
    )
    for server in SERVERS:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(server), x509.DNSName("localhost")])
        identity = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        signed = (
            _builder(_name(server), name, key)
            .add_extension(names, critical=False)
            .add_extension(identity, critical=False)
            .sign(authority, hashes.SHA256())
        )
        (folder / f"{server}.crt").write_bytes(_pem(signed))
        (folder / f"{server}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    for file in folder.iterdir():
        file.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(file, owner, 0)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
