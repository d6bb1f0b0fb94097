"""A session at a controller's OPC UA server, secured as the settings say, or one sentence that says why there is none.

A password goes over an encrypted connection, or encrypted for a certificate that is trusted, or where the settings ask
for it by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from asyncua.client.client import Client
from asyncua.crypto import security_policies
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua import (
    ActivateSessionResult,
    EndpointDescription,
    MessageSecurityMode,
    UserTokenPolicy,
    UserTokenType,
)
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from onlygood.errors import OutputError
from onlygood.station.outputs.opcua_identity import Identity
from onlygood.station.outputs.opcua_trust import Trust, is_valid_now, sent_certificate, times
from onlygood.station.station_settings import OpcUaOutput

_POLICY_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
# What a server says that finds the certificate out of its time, or a request from another time.
_TIMES = ("BadCertificateTimeInvalid", "BadCertificateIssuerTimeInvalid", "BadInvalidTimestamp")
_ENCRYPTING = [
    security_policies.SecurityPolicyBasic256Sha256.URI,
    security_policies.SecurityPolicyAes128Sha256RsaOaep.URI,
    security_policies.SecurityPolicyAes256Sha256RsaPss.URI,
]
_MODES = {
    "None": MessageSecurityMode.None_,
    "Sign": MessageSecurityMode.Sign,
    "SignAndEncrypt": MessageSecurityMode.SignAndEncrypt,
}


async def connected(settings: OpcUaOutput, trust: Trust, own: Callable[[], Identity], shown: str) -> Client:
    """A client with a session.

    Args:
        settings: where the controller is, and how the connection is secured.
        trust: says which controllers are trusted.
        own: the station's certificate, asked for where the connection is secured.
        shown: what messages call the controller.

    Raises:
        OutputError: the controller is not there or refuses, or is not trusted.
        WriteError: the certificate of the station, or the one that was refused, cannot be written.
    """
    known = own() if settings.security_policy != "None" else None
    client = _Client(settings, trust, shown)
    try:
        if known is not None:
            await client.secure(known)
        await connect(client, settings.timeout_s)
    except (UaError, InvalidSignature) as error:
        raise await _refusal(error, client, known) from error
    except TimeoutError as error:
        raise OutputError(
            f"{shown} did not answer within {settings.timeout_s:g} s: check the network and the url"
        ) from error
    except OSError as error:
        if known is not None and client.is_reached:
            raise OutputError(
                f"{shown} did not let the connection be secured ({reason_of(error)}): let it trust the certificate of "
                f"this station, {known.path}, if it does not"
            ) from error
        raise OutputError(f"{shown} was not reached ({error}): check the network and the url") from error
    return client


async def connect(client: Client, timeout_s: float) -> None:
    """Connect, and leave no socket open where it fails."""
    try:
        await asyncio.wait_for(client.connect(), timeout_s)
    except BaseException:
        # The library leaves the socket open when it is cancelled, and each try would hold one more.
        client.disconnect_socket()
        raise


async def disconnected(client: Client, timeout_s: float) -> None:
    """Disconnect; no error where the other side does not answer."""
    try:
        await asyncio.wait_for(client.disconnect(), timeout_s)
    except (UaError, OSError, TimeoutError):
        client.disconnect_socket()


def reason_of(error: BaseException) -> str:
    """What an error says, in brackets of a sentence."""
    if isinstance(error, UaStatusCodeError):
        return type(error).__name__
    return str(error) or type(error).__name__


class _Client(Client):
    """The library's client, which sends no password before it is said to be safe.

    Attributes:
        is_reached: whether the controller has answered.
    """

    def __init__(self, settings: OpcUaOutput, trust: Trust, shown: str) -> None:
        super().__init__(settings.url, timeout=settings.timeout_s)
        self.settings, self.trust, self.shown = settings, trust, shown
        self.is_reached = False
        self.name = self.description = "onlygood station"
        self.product_uri = "https://pypi.org/project/onlygood"
        self.application_uri = "urn:onlygood:station"  # another one where a certificate says it
        if settings.username:
            self.set_user(settings.username)
            self.set_password(settings.password.get_secret_value())

    async def secure(self, own: Identity) -> None:
        """Have the next connection secured, with a controller that is trusted.

        Raises:
            OutputError: it is not, or has no such security policy.
        """
        policy, mode = self.settings.security_policy, self.settings.security_mode
        offered = await self.offered()
        self.is_reached = True
        policy_class = getattr(security_policies, f"SecurityPolicy{policy}")
        wanted = (policy_class.URI, _MODES[mode])
        found = next((each for each in offered if (_uri(each), each.SecurityMode) == wanted), None)
        if found is None:
            raise OutputError(
                f"{self.shown} offers no {policy} with {mode}, but {_listed(offered)}: choose one of these, or let the "
                f"controller offer it"
            )
        certificate = self.checked(found.ServerCertificate)
        self.application_uri = own.uri
        await self.set_security(
            policy_class,
            CertProperties(own.certificate_der, "der"),
            CertProperties(own.private_key_der, "der"),
            server_certificate=CertProperties(certificate.public_bytes(Encoding.DER), "der"),
            mode=_MODES[mode],
        )

    async def open_secure_channel(self, renew: bool = False) -> None:
        """Begin to encrypt and sign.

        Raises:
            ConnectionError: a fault in place of the answer, as some servers send it, which the library cannot read.
        """
        try:
            await super().open_secure_channel(renew)
        except (AssertionError, AttributeError) as error:
            raise ConnectionError("it answered with a fault") from error

    async def offered(self) -> Sequence[EndpointDescription]:
        """How the controller can be connected to."""
        try:
            return await asyncio.wait_for(self.connect_and_get_server_endpoints(), self.settings.timeout_s)
        finally:
            self.disconnect_socket()

    def checked(self, content: bytes | None) -> x509.Certificate:
        """The controller's certificate, which is trusted.

        Raises:
            OutputError: it is not, or there is none, or its time is over.
        """
        certificate = sent_certificate(content)
        if certificate is None:
            raise OutputError(f"{self.shown} has no certificate that can be read: give it one")
        if not is_valid_now(certificate):
            raise OutputError(
                f"{self.shown} has a certificate that is valid {times(certificate)}, and the clock of this computer "
                f"says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: set it right, or give the controller a new certificate"
            )
        refusal = self.trust.refusal(certificate, whose="the controller")
        if refusal is not None:
            raise OutputError(f"{self.shown} {refusal}")
        return certificate

    async def activate_session(
        self,
        username: str | None = None,
        password: str | None = None,
        certificate: x509.Certificate | None = None,
    ) -> ActivateSessionResult:
        """Log in, where the password is safe."""
        if username and password and not self.settings.sends_plain_password:
            self._keep_secret()
        return await super().activate_session(username, password, certificate)

    def server_policy(self, token_type: UserTokenType) -> UserTokenPolicy:
        """Of those that the controller offers one that encrypts well, if there is one: the library takes the first."""
        self._policy_ids = sorted(
            self._policy_ids, key=lambda each: (each.SecurityPolicyUri or self.security_policy.URI) not in _ENCRYPTING
        )
        return super().server_policy(token_type)

    def _keep_secret(self) -> None:
        """Refuse to send the password where others could read it.

        Raises:
            OutputError: they could.
        """
        if self.security_policy.Mode == MessageSecurityMode.SignAndEncrypt:
            return
        if self.server_policy(UserTokenType.UserName).SecurityPolicyUri == SecurityPolicyNone.URI:
            raise OutputError(
                f"{self.shown} asks for the password without encryption, and does not get it: set a security_policy "
                f"with SignAndEncrypt, or sends_plain_password where nobody else is in the network"
            )
        # Encrypted for whoever has this certificate.
        self.checked(self.security_policy.peer_certificate)


async def _refusal(error: Exception, client: _Client, own: Identity | None) -> OutputError:
    """The sentence for what a controller answered to a connection."""
    name, shown = reason_of(error), client.shown
    if own is not None and name in _TIMES:
        return OutputError(
            f"{shown} says that the certificate of this station, {own.path}, is not valid at this time ({name}), and "
            f"it is {times(own.certificate)}: compare the clock of the controller with that of this computer"
        )
    if own is not None and (name == "BadSecurityChecksFailed" or name.startswith("BadCertificate")):
        return OutputError(
            f"{shown} refuses the certificate of this station ({name}): let the controller trust {own.path}"
        )
    if own is None and (name.startswith("BadSecurity") or not isinstance(error, UaStatusCodeError)):
        try:
            offered = await _Client(client.settings, client.trust, shown).offered()
        except (UaError, OSError, TimeoutError):
            offered = ()
        if offered and SecurityPolicyNone.URI not in map(_uri, offered):
            return OutputError(
                f"{shown} offers no connection without security, but {_listed(offered)}: set security_policy and "
                f"security_mode to one of these"
            )
    return OutputError(f"{shown} refuses the connection ({name}): check url, username and password")


def _uri(endpoint: EndpointDescription) -> str:
    return str(endpoint.SecurityPolicyUri)


def _listed(offered: Sequence[EndpointDescription]) -> str:
    """Such as `None and Basic256Sha256 with Sign`."""
    names: dict[str, None] = {}
    for each in offered:
        policy = _uri(each).removeprefix(_POLICY_URI).replace("_", "")  # as the settings have them
        mode = MessageSecurityMode(each.SecurityMode).name.rstrip("_")
        names[policy if policy == "None" else f"{policy} with {mode}"] = None
    *others, last = names or {"nothing": None}
    return f"{', '.join(others)} and {last}" if others else last
