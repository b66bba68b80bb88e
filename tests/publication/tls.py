"""TLS before a PostgreSQL whose binaries know none: what libpq asks and checks is real."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# What a client sends before anything else if it wants TLS: its length, and a number for it.
ASKS_FOR_TLS = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and what it signed for ``localhost``."""

    certificate: Path
    chain: Path


def make_authority(
    folder: Path,
    name: str,
    host: str = "localhost",
    hours: float = 1.0,
    authority_hours: float = 1.0,
) -> Authority:
    """A new authority and a server's key and certificate for ``host``, in one file.

    hours, authority_hours: from now until the server's certificate and the authority's end.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(
        name, name, root_key, root_key, x509.BasicConstraints(True, None), authority_hours
    )
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    with suppress(ValueError):
        names = [x509.IPAddress(ipaddress.ip_address(host))]
    leaf = _certificate(host, name, key, root_key, x509.SubjectAlternativeName(names), hours)
    made = Authority(folder / f"{name}.crt", folder / f"{name}.pem")
    made.certificate.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.chain.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    return made


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    hours: float,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signing, hashes.SHA256())
    )


@contextmanager
def door(server: Path, authority: Authority | None) -> Iterator[tuple[int, list[bytes]]]:
    """A port before the server's socket: with TLS, or refusing it; and what came in plain text.

    Args:
        server: the server's Unix socket.
        authority: whose certificate is shown; None refuses TLS, as a server without it does.
    """
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        done = threading.Event()
        arguments = (listening, server, authority, heard, done)
        thread = threading.Thread(target=_listen, args=arguments)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            done.set()
            thread.join()


def _listen(
    listening: socket.socket,
    server: Path,
    authority: Authority | None,
    heard: list[bytes],
    done: threading.Event,
) -> None:
    while not done.is_set():
        with suppress(TimeoutError):
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, server, authority, heard)).start()


def _serve(
    client: socket.socket, server: Path, authority: Authority | None, heard: list[bytes]
) -> None:
    with client, socket.socket(socket.AF_UNIX) as behind, suppress(OSError):
        client.settimeout(20)
        asked = client.recv(8)
        heard.append(asked)
        if authority is None and asked == ASKS_FOR_TLS:
            client.sendall(b"N")
            heard.append(client.recv(64))
            return
        if authority is None:
            return
        client.sendall(b"S")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.chain)
        with context.wrap_socket(client, server_side=True) as inner:
            behind.connect(str(server))
            behind.settimeout(20)
            back = threading.Thread(target=_pass_on, args=(behind, inner))
            back.start()
            _pass_on(inner, behind)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
