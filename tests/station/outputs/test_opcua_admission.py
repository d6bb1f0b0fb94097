"""Who may read the station's own OPC UA variables: clients that are trusted, and others that pretend to be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.client.ua_client import UaClient
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import CertProperties
from opcua_certificates import URI, Made, make, rsa_key
from waiting_records import DEADLINE_S, record

from broker import free_port
from onlygood.errors import OutputError
from onlygood.station.outputs.opcua_server import OpcUaVariables
from onlygood.station.outputs.opcua_trust import thumbprint
from onlygood.station.station_settings import OpcUaOutput

PASSWORD = "correct horse"


class Served:
    """A station's server, and its folder of certificates."""

    def __init__(self, data: Path, **changes: Any) -> None:
        self.url = f"opc.tcp://127.0.0.1:{free_port()}/onlygood"
        self.pki = data / "pki"
        values = {"name": "ua", "url": self.url, "security_policy": "Basic256Sha256"} | changes
        self.variables = OpcUaVariables(OpcUaOutput(**values), data, heartbeat_s=0.02)
        self.variables.open()
        self.variables.deliver([record(7)])

    def close(self) -> None:
        self.variables.close()

    def trust(self, made: Made) -> None:
        (self.pki / "trusted").mkdir(parents=True, exist_ok=True)
        (self.pki / "trusted" / f"{thumbprint(made.certificate)}.der").write_bytes(made.der)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: Any) -> Iterator[Served]:
    """Nothing without security, and no password."""
    with closing(Served(tmp_path_factory.mktemp("secured"))) as served:
        yield served


@pytest.fixture(scope="module")
def open_too(tmp_path_factory: Any) -> Iterator[Served]:
    """With a password, and without security as well."""
    data = tmp_path_factory.mktemp("open")
    with closing(Served(data, offers_none=True, username="scada", password=PASSWORD)) as served:
        yield served


def client_of(url: str, **user: str) -> Client:
    client = Client(url, timeout=DEADLINE_S)
    client.application_uri = URI
    if user:
        client.set_user(user["username"])
        client.set_password(user["password"])
    return client


async def secure(client: Client, made: Made, mode: Any = ua.MessageSecurityMode.SignAndEncrypt) -> None:
    key = CertProperties(made.key_path)
    await client.set_security(SecurityPolicyBasic256Sha256, CertProperties(made.path), key, mode=mode)


def read(url: str, made: Made | None = None, **user: str) -> Any:
    """The id of the last inspection, as a client sees it that begins with nothing."""

    async def ask() -> Any:
        client = client_of(url, **user)
        if made is not None:
            await secure(client, made)
        async with client:
            with pytest.raises(ua.UaStatusCodeError):
                await client.get_node("ns=2;s=onlygood.InspectionId").write_value(1)
            return await client.get_node("ns=2;s=onlygood.InspectionId").read_value()

    return asyncio.run(ask())


def test_a_client_is_refused_until_a_person_trusts_it(secured, tmp_path, caplog):
    made = make(tmp_path, "UaExpert@desk", key=rsa_key(1))
    for _ in range(2):
        with pytest.raises(ua.uaerrors.BadCertificateUntrusted):
            read(secured.url, made)
    kept = secured.pki / "rejected" / f"UaExpert-desk-{thumbprint(made.certificate)}.der"
    assert kept.read_bytes() == made.der
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each for each in said if each.startswith("a client")] == [
        f"a client of output 'ua' has a certificate that is not trusted, which is kept as {kept}: compare its "
        f"thumbprint {thumbprint(made.certificate)} with that in the client, and move it to {secured.pki / 'trusted'}"
    ], "said once, however often it comes"
    kept.rename(secured.pki / "trusted" / kept.name)
    assert read(secured.url, made) == 7


def test_the_server_is_known_by_the_certificate_of_the_station(secured):
    async def ask() -> Any:
        return await client_of(secured.url).connect_and_get_server_endpoints()

    (endpoint,) = asyncio.run(ask())
    assert endpoint.SecurityPolicyUri.endswith("#Basic256Sha256")
    assert endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
    assert endpoint.ServerCertificate == (secured.pki / "own" / "certificate.der").read_bytes()
    assert endpoint.Server.ApplicationUri.encode() in endpoint.ServerCertificate


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
def test_a_client_whose_certificate_is_not_valid_now(secured, tmp_path, days):
    made = make(tmp_path, "old", days=days)
    secured.trust(made)
    with pytest.raises(ua.uaerrors.BadCertificateTimeInvalid):
        read(secured.url, made)


def test_what_is_switched_off_is_not_offered(secured, tmp_path):
    with pytest.raises(ua.UaError, match="No matching endpoints"):
        read(secured.url)


async def make_session(client: Client) -> UaClient:
    """A session whatever the server offers: the library's client would look, and end it."""
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    parameters = ua.CreateSessionParameters()
    parameters.ClientNonce = b"n" * 32
    parameters.EndpointUrl = client.server_url.geturl()
    parameters.RequestedSessionTimeout = 60_000
    await client.uaclient.create_session(parameters)
    return client.uaclient


def activation() -> ua.ActivateSessionParameters:
    parameters = ua.ActivateSessionParameters()
    parameters.UserIdentityToken = ua.AnonymousIdentityToken(PolicyId="anonymous")
    return parameters


def question() -> ua.ReadParameters:
    parameters = ua.ReadParameters()
    node = ua.NodeId.from_string("ns=2;s=onlygood.InspectionId")
    parameters.NodesToRead.append(ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value))
    return parameters


def test_what_is_switched_off_is_refused_to_those_who_try_all_the_same(secured):
    async def attempt() -> None:
        client = client_of(secured.url)
        try:
            session = await make_session(client)
            with pytest.raises(ua.uaerrors.BadSecurityModeInsufficient):
                await session.activate_session(activation())
            with pytest.raises(ua.UaError):
                await session.read(question())
        finally:
            client.disconnect_socket()

    asyncio.run(attempt())


def test_nobody_takes_over_the_session_of_another(secured, tmp_path):
    """The names of sessions are numbers in order: whoever tries some has that of another client."""
    made = make(tmp_path, "client")
    secured.trust(made)

    async def attempt() -> None:
        rightful = client_of(secured.url)
        await secure(rightful, made)
        async with rightful:
            thief = client_of(secured.url)
            try:
                await thief.connect_socket()
                await thief.send_hello()
                await thief.open_secure_channel()
                thief.uaclient.session.restore_authentication_token(rightful.uaclient.session.authentication_token)
                with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
                    await thief.uaclient.activate_session(activation())
                with pytest.raises(ua.UaError):
                    await thief.uaclient.read(question())
            finally:
                thief.disconnect_socket()
            assert await rightful.get_node("ns=2;s=onlygood.InspectionId").read_value() == 7

    asyncio.run(attempt())


def test_the_certificate_that_is_named_helps_nobody_who_has_another_one(secured, tmp_path):
    """Certificates are public: whoever names a trusted one has to have its key."""
    trusted, stranger = make(tmp_path, "client"), make(tmp_path, "stranger", key=rsa_key(1))
    secured.trust(trusted)

    async def attempt() -> None:
        client = client_of(secured.url)
        await secure(client, stranger)
        create = client.uaclient.create_session

        async def with_the_name_of_another(parameters: Any) -> Any:
            parameters.ClientCertificate = trusted.der
            return await create(parameters)

        client.uaclient.create_session = with_the_name_of_another  # type: ignore[method-assign]
        async with client:
            pass

    with pytest.raises(ua.uaerrors.BadCertificateUntrusted):
        asyncio.run(attempt())


def test_a_mode_that_is_not_offered(secured, tmp_path):
    async def attempt() -> None:
        await secure(client_of(secured.url), make(tmp_path, "client"), ua.MessageSecurityMode.Sign)

    with pytest.raises(ua.UaError, match="No matching endpoints"):
        asyncio.run(attempt())


def test_user_name_and_password(open_too, tmp_path):
    made = make(tmp_path, "client")
    open_too.trust(made)
    right = {"username": "scada", "password": PASSWORD}
    for certificate in (made, None):
        assert read(open_too.url, certificate, **right) == 7
        for wrong in ({"password": ""}, {"password": "another"}, {"username": "admin"}, {"username": "scada "}):
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                read(open_too.url, certificate, **right | wrong)
        with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
            read(open_too.url, certificate)


def test_a_client_that_is_not_trusted_has_no_use_of_the_password(open_too, tmp_path):
    with pytest.raises(ua.uaerrors.BadCertificateUntrusted):
        read(open_too.url, make(tmp_path, "stranger", key=rsa_key(1)), username="scada", password=PASSWORD)


def test_a_certificate_that_cannot_be_used_is_told_until_it_can(tmp_path):
    made = make(tmp_path, "station", days=(-3, -1))
    settings = OpcUaOutput(
        name="ua",
        url=f"opc.tcp://127.0.0.1:{free_port()}",
        security_policy="Basic256Sha256",
        certificate_file=str(made.path),
        private_key_file=str(made.key_path),
    )
    with closing(OpcUaVariables(settings, tmp_path)) as variables:
        with pytest.raises(OutputError, match="must be valid now"):
            variables.open()
        make(tmp_path, "station")
        variables.open()
