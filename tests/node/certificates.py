"""Certificates for tests: an authority, and what it signs, good and bad."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Identity:
    """A PEM chain and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """An authority with a root and an intermediate, which signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self._folder = folder
        self._root_key, root = _sign(_subject(name), _subject(name), is_authority=True)
        self._key, self._certificate = _sign(
            _subject(name + " 2"), root.subject, self._root_key, is_authority=True
        )
        self.bundle = folder / f"{name.replace(' ', '-')}.pem"
        self.bundle.write_bytes(root.public_bytes(PEM))

    def issue(
        self, *names: str, days: tuple[int, int] = (-1, 1), file: str = "", signed: bool = True
    ) -> Identity:
        """A chain for host names or addresses; `days` bound its validity; unsigned: by itself."""
        subject = _subject(names[0])
        by = (self._certificate.subject, self._key) if signed else (subject, None)
        key, leaf = _sign(subject, *by, names=names, days=days)
        identity = Identity(*(self._folder / f"{file or names[0]}.{end}" for end in ("crt", "key")))
        chain = [leaf, self._certificate] if signed else [leaf]
        identity.certificate.write_bytes(b"".join(each.public_bytes(PEM) for each in chain))
        identity.key.write_bytes(encode_key(key))
        identity.key.chmod(0o600)
        return identity


def encode_key(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """A key as PEM, encrypted where there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    *,
    names: tuple[str, ...] = (),
    days: tuple[int, int] = (-1, 1),
    is_authority: bool = False,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = issuer_key or key
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
        )
    return key, builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
