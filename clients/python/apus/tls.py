"""TLS: what a client trusts, its own certificate, and what OpenSSL's errors mean for a person."""

from __future__ import annotations

import socket
import ssl
from typing import Optional

from .errors import CertificateError, ClientCertificateError, TLSError, WrongName

PROTOCOL = "apus/1"

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
NOT_YET_VALID, EXPIRED, OTHER_NAME, OTHER_IP_ADDRESS = 9, 10, 62, 64
# Parts of the names of the alerts by which a server says what it thinks of a client's certificate.
ABOUT_CLIENT_CERTIFICATES = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


class TLS:
    """Makes a connected socket one that speaks TLS 1.2 or 1.3 with `name`, whose certificate must hold it.

    The last session is kept, so that the next handshake takes neither a signature nor certificates.
    """

    def __init__(self, name: str, ca: Optional[str], cert: Optional[str], key: Optional[str]) -> None:
        self._name, self._has_certificate = name, cert is not None
        self._session: Optional[ssl.SSLSession] = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and their names
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self._context.set_alpn_protocols([PROTOCOL])
        try:
            if ca is None:
                self._context.load_default_certs()
            else:
                self._context.load_verify_locations(ca)
        except OSError as error:
            raise CertificateError(f"cannot read certificates from {ca}: {error.strerror or error}; ca= "
                                   "takes a PEM file of the authorities that may sign the server's") from None
        try:
            if cert is not None:
                self._context.load_cert_chain(cert, key, refuse_to_ask)
        except OSError as error:
            files = cert if key is None else f"{cert} and {key}"
            raise CertificateError(f"cannot use {files}: {error.strerror or error}; cert= takes a PEM file "
                                   "of a certificate, and key= that of its private key") from None

    def wrap(self, connected: socket.socket) -> ssl.SSLSocket:
        """The socket after its handshake, which has as long as the socket's time-out says."""
        return self._context.wrap_socket(connected, server_hostname=self._name, session=self._session)

    def keep_session(self, connected: ssl.SSLSocket) -> None:
        session = connected.session
        if session is not None and session.has_ticket:
            self._session = session

    def explain(self, error: ssl.SSLError, address: str) -> TLSError:
        """The error of a handshake as one that says what to do."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._about_the_server(error, address)
        refusal = self.refusal(error)
        if refusal is not None:
            return refusal
        reason = reason_of(error)
        advice = ""
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
            reason, advice = "what answers is not TLS", "; is it a tcp:// address?"
        elif "NO_APPLICATION_PROTOCOL" in reason:
            reason, advice = f"what answers does not speak {PROTOCOL}", "; is it an Apus server?"
        elif "HANDSHAKE_FAILURE" in reason and not self._has_certificate:
            advice = "; if the server wants a client certificate, give cert= and key="
        return TLSError(f"no TLS with {address}: {reason}{advice}")

    def _about_the_server(self, error: ssl.SSLCertVerificationError, address: str) -> CertificateError:
        if error.verify_code in (OTHER_NAME, OTHER_IP_ADDRESS):
            return WrongName(f"the certificate of {address} is not for {self._name}: use the name that it is "
                             "for, as the address or as server_name=")
        what = f"the certificate of {address} is not trusted: {error.verify_message}"
        if error.verify_code in (NOT_YET_VALID, EXPIRED):
            return CertificateError(f"{what}; renew it, or set this machine's clock right")
        return CertificateError(f"{what}; ca= takes a PEM file of the authorities that may sign it")

    def refusal(self, error: ssl.SSLError) -> Optional[ClientCertificateError]:
        """The error for an alert about this client's certificate, which TLS 1.3 sends after the handshake."""
        reason = reason_of(error)
        if "_ALERT_" not in reason or not any(part in reason for part in ABOUT_CLIENT_CERTIFICATES):
            return None
        if not self._has_certificate:
            return ClientCertificateError("the server wants a client certificate: give cert= and key=")
        return ClientCertificateError(f"the server refused this client's certificate ({reason}): it must be "
                                      "valid now, and signed by an authority that the server names")


def reason_of(error: ssl.SSLError) -> str:
    """OpenSSL's name of what happened, for example TLSV1_ALERT_UNKNOWN_CA; Python knows not all of them."""
    return error.reason or str(error).upper().replace(" ", "_")


def refuse_to_ask() -> str:
    """OpenSSL would ask at the terminal, and a service would wait for ever."""
    raise OSError("the private key is encrypted, and this client takes no passphrase")
