"""Who may read the station's own OPC UA variables.

With a security policy: clients whose certificate is trusted, and who know user name and password where these are set.
The library looks at the certificate that a client names, which anyone can name; here it is the one that the connection
is secured with.
"""

from __future__ import annotations

import hmac
import logging
from typing import Any

from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.user_managers import UserManager
from asyncua.ua import AnonymousIdentityToken, NodeId, UserNameIdentityToken
from asyncua.ua.status_codes import StatusCodes

from onlygood.errors import WriteError
from onlygood.station.outputs.opcua_trust import Trust, is_valid_now, sent_certificate
from onlygood.station.said_lately import SaidLately
from onlygood.station.station_settings import OpcUaOutput

_log = logging.getLogger("onlygood.station")


def tokens(settings: OpcUaOutput) -> list[type]:
    """How clients say who they are."""
    return [UserNameIdentityToken if settings.username else AnonymousIdentityToken]


class Sessions(InternalServer):
    """The library's sessions, each of which stays with the connection that it was made on."""

    def __init__(self, settings: OpcUaOutput, trust: Trust) -> None:
        super().__init__(user_manager=_Admission(settings, trust))

    def lookup_external_session(self, auth_token: NodeId) -> InternalSession | None:
        """None, for every session of another connection: their names are numbers in order, which anyone can guess."""
        return None


class _Admission(UserManager):
    """Lets clients in, or not, when they have made a session."""

    def __init__(self, settings: OpcUaOutput, trust: Trust) -> None:
        self._settings, self._trust = settings, trust
        self._said = SaidLately()

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Who it is; None for a wrong user or password.

        Raises:
            ServiceError: a connection without security, or a certificate that is not trusted.
        """
        settings = self._settings
        if settings.security_policy != "None":
            if certificate:
                self._check(certificate)
            elif not settings.offers_none:
                # The library lets it be opened, as that is how clients ask what is offered.
                raise ServiceError(StatusCodes.BadSecurityModeInsufficient)
        if settings.username and not (
            _is_same(username, settings.username) & _is_same(password, settings.password.get_secret_value())
        ):
            return None
        return User(role=UserRole.User)

    def _check(self, content: bytes) -> None:
        certificate = sent_certificate(content)
        if certificate is None:
            raise ServiceError(StatusCodes.BadCertificateInvalid)
        if not is_valid_now(certificate):
            raise ServiceError(StatusCodes.BadCertificateTimeInvalid)
        try:
            refusal = self._trust.refusal(certificate, whose="the client")
        except WriteError as error:
            refusal = f"has a certificate that is not known to be trusted, as {error}"
        if refusal is None:
            return
        sentence = f"a client of output {self._settings.name!r} {refusal}"
        if self._said.is_news(sentence):
            _log.warning("%s", sentence)
        raise ServiceError(StatusCodes.BadCertificateUntrusted)


def _is_same(given: Any, expected: str) -> bool:
    """Compared in a time that tells nothing of how much is right."""
    return hmac.compare_digest(str(given or "").encode("utf-8", "replace"), expected.encode("utf-8", "replace"))
