"""TLS of a node's listeners and of its client, from PEM files that its settings name.

What `ssl.create_default_context` thinks modern, and never below TLS 1.2.
"""

import logging
import ssl
import stat
from pathlib import Path

from pydantic import BaseModel, Field

from node.errors import SettingsError

logger = logging.getLogger("node.tls")


class ListenerTls(BaseModel):
    """A listener's certificate; in clear where none is set."""

    certificate: Path | None = Field(
        default=None, description="PEM chain, the listener's own first; unset serves in clear"
    )
    key: Path | None = Field(default=None, description="its private key, PEM without a password")
    client_ca: Path | None = Field(
        default=None, description="PEM; clients must then show a certificate of these authorities"
    )

    @property
    def scheme(self) -> str:
        """What URLs of the listener begin with."""
        return "http" if self.certificate is None else "https"


class ClientTls(BaseModel):
    """Whom a client believes, and what it shows of itself."""

    ca_file: Path | None = Field(
        default=None, description="PEM; these authorities are believed instead of the system's"
    )
    certificate: Path | None = Field(
        default=None, description="PEM chain for listeners that ask for one"
    )
    key: Path | None = Field(default=None, description="its private key, PEM without a password")


class ServerTls:
    """A listener's context, whose certificate can be renewed while it listens."""

    def __init__(self, settings: ListenerTls, name: str) -> None:
        self._settings = settings
        self._name = name
        self.context = self._current = self._build()
        self.context.sni_callback = self._choose

    def renew(self) -> None:
        """Read certificate and key again, for connections from now on; raises SettingsError."""
        self._current = self._build()

    def try_renew(self) -> None:
        """Renew; files that do not work change nothing and are logged."""
        try:
            self.renew()
        except SettingsError as error:
            logger.error("the old certificate stays", extra={"why": str(error)})  # noqa: TRY400
        else:
            logger.info("the certificate was read again")

    def _build(self) -> ssl.SSLContext:
        context = _harden(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        _load_identity(context, self._settings.certificate, self._settings.key, self._name)
        if self._settings.client_ca is not None:
            _load_authorities(context, self._settings.client_ca, f"{self._name}.client_ca")
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current


def load_server_tls(settings: ListenerTls, name: str) -> ServerTls | None:
    """The TLS of a listener, None where it serves in clear; raises SettingsError.

    `name` is the settings' own, for errors.
    """
    if settings.certificate is None and settings.key is None and settings.client_ca is None:
        return None
    return ServerTls(settings, name)


def load_client_tls(settings: ClientTls, name: str) -> ssl.SSLContext:
    """A client's context: chains and host names are checked; raises SettingsError."""
    if settings.ca_file is None:
        context = _harden(ssl.create_default_context())
    else:
        context = _harden(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        _load_authorities(context, settings.ca_file, f"{name}.ca_file")
    if settings.certificate is not None or settings.key is not None:
        _load_identity(context, settings.certificate, settings.key, name)
    return context


def _harden(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_authorities(context: ssl.SSLContext, path: Path, name: str) -> None:
    _require_readable(path, name)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise SettingsError(f"{name}: {path} holds no PEM certificate") from error


def _load_identity(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, name: str
) -> None:
    if certificate is None or key is None:
        raise SettingsError(f"{name}: set both {name}.certificate and {name}.key, or neither")
    _require_readable(certificate, f"{name}.certificate")
    _require_readable(key, f"{name}.key")
    if key.stat().st_mode & stat.S_IRWXO:
        raise SettingsError(f"{name}.key: {key} is open to everybody: chmod 600 it")
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(
                f"{name}.key: {key} is not the key of the first certificate in {certificate}"
            ) from error
        raise SettingsError(
            f"{name}: {certificate} and {key} are not a PEM chain and a PEM key without a password"
        ) from error


def _refuse_password() -> str:
    """No password, so that OpenSSL fails instead of asking at the terminal."""
    return ""


def _require_readable(path: Path, name: str) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise SettingsError(f"{name}: {path} cannot be read: {error.strerror}") from error
