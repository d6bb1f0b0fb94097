"""OPC UA with certificates, against a controller's server: who trusts whom, and who could read a password."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary
from cryptography import x509
from opcua_certificates import Made, make, rsa_key
from plc import ENCRYPTED, PASSWORD, PLAIN, OneUser, Plc
from waiting_records import DEADLINE_S, MemoryOutbox, quick_pauses, record, records, wait_until
from weak_line import WeakLine

from onlygood.errors import OutputError
from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.opcua import OpcUaWriter
from onlygood.station.outputs.opcua_trust import thumbprint
from onlygood.station.station_settings import OpcUaOutput

POLICIES = [
    ("Basic256Sha256", "Sign"),
    ("Basic256Sha256", "SignAndEncrypt"),
    ("Aes128Sha256RsaOaep", "SignAndEncrypt"),
    ("Aes256Sha256RsaPss", "SignAndEncrypt"),
]
_URIS = {
    "Basic256Sha256": "Basic256Sha256",
    "Aes128Sha256RsaOaep": "Aes128_Sha256_RsaOaep",
    "Aes256Sha256RsaPss": "Aes256_Sha256_RsaPss",
}
USER = {"username": "station", "password": PASSWORD}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: Any) -> Made:
    """The controller's certificate."""
    return make(tmp_path_factory.mktemp("controller"), "PLC 1: line/3")


@pytest.fixture(scope="module")
def made_plc(controller: Made) -> Iterator[Plc]:
    """To make one takes more than a second."""
    policies = [ua.SecurityPolicyType[f"{policy}_{mode}"] for policy, mode in POLICIES]
    with closing(Plc([ua.SecurityPolicyType.NoSecurity, *policies], controller).make()) as made:
        yield made


@pytest.fixture
def plc(made_plc: Plc) -> Plc:
    made_plc.forget()
    return made_plc


@contextmanager
def writing(url: str, data: Path, **changes: Any) -> Iterator[OpcUaWriter]:
    values = {
        "name": "plc",
        "url": url,
        "role": "client",
        "node_prefix": "ns=2;s=Line1",
        "timeout_s": DEADLINE_S,
        "security_policy": "Basic256Sha256",
    }
    with closing(OpcUaWriter(OpcUaOutput(**values | changes), data, heartbeat_s=0.02)) as writer:
        yield writer


def trust(data: Path, made: Made, name: str = "plc.der") -> None:
    folder = data / "pki" / "trusted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(made.der)


def refusal(url: str, data: Path, **changes: Any) -> str:
    """What the station says of a connection that does not come about, after who it is about."""
    with writing(url, data, **changes) as writer, pytest.raises(OutputError) as refused:
        writer.open()
    assert PASSWORD not in str(refused.value)
    port = url.rpartition(":")[2]
    return str(refused.value).removeprefix(f"the controller 127.0.0.1:{port} of output 'plc' ")


class ExactStore:
    """Trusts one certificate, as the list of trusted ones in a controller does."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self._certificate = certificate

    def is_trusted(self, certificate: x509.Certificate) -> bool:
        return certificate == self._certificate

    def is_revoked(self, certificate: x509.Certificate) -> bool:
        return False


@pytest.mark.parametrize(("policy", "mode"), POLICIES)
def test_inspections_are_delivered_over_a_secured_connection(plc, tmp_path, controller, policy, mode):
    trust(tmp_path, controller)
    with writing(plc.url, tmp_path, security_policy=policy, security_mode=mode) as writer:
        writer.deliver(records(1, 3))
    assert plc.written_ids() == [1, 2, 3]
    assert list(plc.channels) == [(_URIS[policy], mode)]


def test_the_station_makes_a_certificate_that_a_strict_server_takes(plc, tmp_path, controller, caplog):
    """The library's validator looks at times, URI, key usages and trust."""
    caplog.set_level(logging.INFO, logger="onlygood.station")
    trust(tmp_path, controller)
    with writing(plc.url, tmp_path) as writer:
        writer.open()
    own = tmp_path / "pki" / "own" / "certificate.der"
    made = x509.load_der_x509_certificate(own.read_bytes())
    assert [each.getMessage() for each in caplog.records if "made" in each.getMessage()] == [
        f"made the certificate of this station for OPC UA, {own}, with the thumbprint {thumbprint(made)}: "
        f"controllers have to trust it"
    ]
    options = CertificateValidatorOptions.TRUSTED_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
    with plc.validating(CertificateValidator(options, ExactStore(made))), writing(plc.url, tmp_path) as writer:
        writer.deliver([record(1)])
    assert plc.written_ids() == [1]


def test_a_controller_that_is_not_trusted_until_a_person_moves_its_certificate(plc, tmp_path, controller):
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 5))
    pki = tmp_path / "pki"
    kept = pki / "rejected" / f"PLC-1-line-3-{thumbprint(controller.certificate)}.der"
    with writing(plc.url, tmp_path) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: len(outbox.problems) >= 2, "two refusals")
        assert delivery.statuses()[0].problem == (
            f"the controller 127.0.0.1:{plc.port} of output 'plc' has a certificate that is not trusted, which is kept "
            f"as {kept}: compare its thumbprint {thumbprint(controller.certificate)} with that in the controller, and "
            f"move it to {pki / 'trusted'}"
        )
        assert [each.read_bytes() for each in (pki / "rejected").iterdir()] == [controller.der]
        assert plc.written_ids() == []
        kept.rename(pki / "trusted" / kept.name)
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    assert plc.written_ids() == [1, 2, 3, 4, 5]


def test_another_controller_with_the_name_of_a_trusted_one_is_not_trusted(plc, tmp_path, controller):
    trust(tmp_path, make(tmp_path, "PLC 1: line/3"))
    assert refusal(plc.url, tmp_path).startswith("has a certificate that is not trusted, which is kept as ")


def test_a_file_that_tells_nothing_among_the_trusted_ones_is_named(plc, tmp_path, controller):
    trust(tmp_path, controller, "notes.txt")
    (tmp_path / "pki" / "trusted" / "plc.crt").write_text("the certificate comes tomorrow")
    trusted = tmp_path / "pki" / "trusted"
    assert refusal(plc.url, tmp_path).endswith(
        f"and move it to {trusted}, where plc.crt is no certificate in DER or PEM"
    )


@pytest.mark.parametrize("name", ["BadCertificateUntrusted", "BadSecurityChecksFailed", "BadCertificateUriInvalid"])
def test_a_controller_that_does_not_trust_the_station(plc, tmp_path, controller, name):
    async def refuse(_certificate: Any, _description: Any) -> None:
        raise ServiceError(getattr(ua.StatusCodes, name))

    trust(tmp_path, controller)
    with plc.validating(refuse):
        sentence = refusal(plc.url, tmp_path)
    own = tmp_path / "pki" / "own" / "certificate.der"
    assert sentence == f"refuses the certificate of this station ({name}): let the controller trust {own}"


def secured_opening(data: bytes) -> bool:
    return data[:4] == b"OPNF" and b"#Basic256Sha256" in data


def test_a_controller_that_refuses_before_there_is_a_session(plc, tmp_path, controller):
    """As S7-1500 and open62541 do: an error in place of the answer to the opening of the channel."""
    code, reason = struct.pack("<I", ua.StatusCodes.BadSecurityChecksFailed), struct.pack("<i", -1)
    trust(tmp_path, controller)
    with closing(WeakLine(plc.port)) as line:
        line.refuses_when = lambda data: (
            b"ERRF" + struct.pack("<I", 16) + code + reason if secured_opening(data) else None
        )
        sentence = refusal(f"opc.tcp://127.0.0.1:{line.port}", tmp_path)
    own = tmp_path / "pki" / "own" / "certificate.der"
    assert (
        sentence == f"refuses the certificate of this station (BadSecurityChecksFailed): let the controller trust {own}"
    )


def test_a_controller_that_closes_the_connection_without_a_word(plc, tmp_path, controller):
    trust(tmp_path, controller)
    with closing(WeakLine(plc.port)) as line:
        line.refuses_when = lambda data: b"" if secured_opening(data) else None
        sentence = refusal(f"opc.tcp://127.0.0.1:{line.port}", tmp_path)
    assert sentence.startswith("did not let the connection be secured (")
    own = tmp_path / "pki" / "own" / "certificate.der"
    assert sentence.endswith(f"): let it trust the certificate of this station, {own}, if it does not")


def test_a_controller_that_answers_with_a_fault(plc, tmp_path, controller, monkeypatch):
    """As node-opcua does: a secured answer to the opening of the channel, which says that there is none."""
    answer = UaProcessor.open_secure_channel

    def refuse(self: Any, header: Any, sequence: Any, body: Any) -> None:
        if header.SecurityPolicyURI.endswith("#None"):
            answer(self, header, sequence, body)
            return
        request = struct_from_binary(ua.OpenSecureChannelRequest, body)
        fault = ua.ServiceFault()
        fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadSecurityChecksFailed)
        self.send_response(request.RequestHeader.RequestHandle, sequence, fault, ua.MessageType.SecureOpen)

    monkeypatch.setattr(UaProcessor, "open_secure_channel", refuse)
    trust(tmp_path, controller)
    own = tmp_path / "pki" / "own" / "certificate.der"
    assert refusal(plc.url, tmp_path) == (
        f"did not let the connection be secured (it answered with a fault): let it trust the certificate of this "
        f"station, {own}, if it does not"
    )


def test_a_controller_whose_clock_is_another(plc, tmp_path, controller):
    async def refuse(_certificate: Any, _description: Any) -> None:
        raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)

    trust(tmp_path, controller)
    with plc.validating(refuse):
        sentence = refusal(plc.url, tmp_path)
    own = tmp_path / "pki" / "own" / "certificate.der"
    assert sentence.startswith(
        f"says that the certificate of this station, {own}, is not valid at this time (BadCertificateTimeInvalid), "
        f"and it is from "
    )
    assert sentence.endswith(" UTC: compare the clock of the controller with that of this computer")


def test_a_policy_that_the_controller_does_not_offer(plc, tmp_path, controller):
    trust(tmp_path, controller)
    assert refusal(plc.url, tmp_path, security_policy="Aes256Sha256RsaPss", security_mode="Sign") == (
        "offers no Aes256Sha256RsaPss with Sign, but None, Basic256Sha256 with Sign, Basic256Sha256 with "
        "SignAndEncrypt, Aes128Sha256RsaOaep with SignAndEncrypt and Aes256Sha256RsaPss with SignAndEncrypt: "
        "choose one of these, or let the controller offer it"
    )


def test_a_controller_that_offers_nothing_without_security(plc, tmp_path):
    with plc.offering(ua.MessageSecurityMode.Sign):
        sentence = refusal(plc.url, tmp_path, security_policy="None")
    assert sentence == (
        "offers no connection without security, but Basic256Sha256 with Sign: set security_policy and security_mode to "
        "one of these"
    )
    assert not (tmp_path / "pki").exists(), "what is not secured needs no certificate"


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
def test_a_controller_s_certificate_that_is_not_valid_now(plc, tmp_path, days):
    made = make(tmp_path, "old", days=days)
    trust(tmp_path, made)
    with plc.offering(ua.MessageSecurityMode.SignAndEncrypt, ServerCertificate=made.der):
        sentence = refusal(plc.url, tmp_path)
    assert sentence.startswith("has a certificate that is valid from 20")
    assert sentence.endswith(" UTC: set it right, or give the controller a new certificate")


@pytest.mark.parametrize("content", [None, b"", b"0", b"\x30\x82\xff\xff", b"-----BEGIN CERTIFICATE-----"])
def test_a_controller_s_certificate_that_is_none(plc, tmp_path, content):
    with plc.offering(ua.MessageSecurityMode.SignAndEncrypt, ServerCertificate=content):
        assert refusal(plc.url, tmp_path) == "has no certificate that can be read: give it one"


def test_a_controller_that_shows_the_certificate_of_another_has_no_use_of_it(plc, tmp_path):
    """Certificates are public: whoever shows a trusted one has to have its key."""
    made = make(tmp_path, "trusted", key=rsa_key(1))
    trust(tmp_path, made)
    with plc.offering(ua.MessageSecurityMode.SignAndEncrypt, ServerCertificate=made.der):
        sentence = refusal(plc.url, tmp_path, timeout_s=0.5)
    assert "did not answer" in sentence or "did not let the connection be secured" in sentence


def test_a_certificate_of_one_s_own(plc, tmp_path, controller):
    trust(tmp_path, controller)
    own = make(tmp_path, "station", uri="urn:line3:station")
    with (
        writing(plc.url, tmp_path, certificate_file=str(own.path), private_key_file=str(own.key_path)) as writer,
        plc.validating(CertificateValidator()),
    ):
        writer.deliver([record(1)])
    assert plc.written_ids() == [1]
    assert not (tmp_path / "pki" / "own").exists()


def test_an_expired_certificate_of_one_s_own_waits_for_another(plc, tmp_path, controller):
    trust(tmp_path, controller)
    own = make(tmp_path, "station", days=(-3, -1))
    files = {"certificate_file": str(own.path), "private_key_file": str(own.key_path)}
    outbox = MemoryOutbox()
    outbox.put("plc", records(1, 2))
    with writing(plc.url, tmp_path, **files) as writer:
        delivery = Delivery(outbox, [writer], pauses=quick_pauses)
        delivery.start()
        wait_until(lambda: outbox.problems, "a refusal")
        assert outbox.problems[0].startswith(
            f"the certificate {own.path} of output 'plc' must be valid now, got one from 20"
        )
        make(tmp_path, "station")
        wait_until(lambda: outbox.count("plc") == 0, "delivery")
        assert delivery.stop()
    assert plc.written_ids() == [1, 2]


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_a_password_over_a_secured_connection(plc, tmp_path, controller, mode):
    trust(tmp_path, controller)
    with closing(WeakLine(plc.port)) as line, plc.letting_in(OneUser()):
        with writing(f"opc.tcp://127.0.0.1:{line.port}", tmp_path, security_mode=mode, **USER) as writer:
            writer.deliver([record(1)])
        assert PASSWORD.encode() not in line.sent
        assert refusal(plc.url, tmp_path, security_mode=mode, **USER | {"password": "another horse"}) == (
            "refuses the connection (BadUserAccessDenied): check url, username and password"
        )
    assert plc.written_ids() == [1]


def test_a_password_without_security_is_encrypted_for_a_controller_that_is_trusted(plc, tmp_path, controller):
    none = {"security_policy": "None"} | USER
    with closing(WeakLine(plc.port)) as line, plc.letting_in(OneUser()):
        url = f"opc.tcp://127.0.0.1:{line.port}"
        assert refusal(url, tmp_path, **none).startswith("has a certificate that is not trusted, which is kept as ")
        trust(tmp_path, controller)
        with writing(url, tmp_path, **none) as writer:
            writer.deliver([record(1)])
        assert PASSWORD.encode() not in line.sent
    assert plc.written_ids() == [1]


def test_a_password_is_sent_as_it_is_where_it_is_asked_for_by_name(plc, tmp_path):
    none = ua.MessageSecurityMode.None_
    with (
        closing(WeakLine(plc.port)) as line,
        plc.letting_in(OneUser()),
        plc.offering(none, UserIdentityTokens=[PLAIN]),
    ):
        url = f"opc.tcp://127.0.0.1:{line.port}"
        in_the_url = url.replace("//", f"//station:{PASSWORD.replace(' ', '%20')}@")
        for address, credentials in ((url, USER), (in_the_url, {})):
            assert refusal(address, tmp_path, security_policy="None", **credentials) == (
                "asks for the password without encryption, and does not get it: set a security_policy with "
                "SignAndEncrypt, or sends_plain_password where nobody else is in the network"
            )
        assert PASSWORD.encode() not in line.sent
        with writing(url, tmp_path, security_policy="None", sends_plain_password=True, **USER) as writer:
            writer.deliver([record(1)])
        assert PASSWORD.encode() in line.sent
    assert plc.written_ids() == [1]


def test_a_password_goes_by_the_way_that_encrypts_it_where_a_controller_offers_several(plc, tmp_path, controller):
    """Over a connection that is signed alone; the first way that is offered is in the clear."""
    trust(tmp_path, controller)
    sign = ua.MessageSecurityMode.Sign
    with closing(WeakLine(plc.port)) as line, plc.letting_in(OneUser()):
        url = f"opc.tcp://127.0.0.1:{line.port}"
        with (
            plc.offering(sign, UserIdentityTokens=[PLAIN, ENCRYPTED]),
            writing(url, tmp_path, security_mode="Sign", **USER) as writer,
        ):
            writer.deliver([record(1)])
        with plc.offering(sign, UserIdentityTokens=[PLAIN]):
            sentence = refusal(url, tmp_path, security_mode="Sign", **USER)
        assert sentence.startswith("asks for the password without encryption, and does not get it: ")
        assert PASSWORD.encode() not in line.sent
    assert plc.written_ids() == [1]
