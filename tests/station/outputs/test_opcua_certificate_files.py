"""Certificates of OPC UA in files: the own one, those of others that are trusted or not, and settings that fit them."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from opcua_certificates import elliptic_key, make, rsa_key
from pydantic import ValidationError

from onlygood.errors import OutputError, SettingError, WriteError
from onlygood.station.outputs.opcua_identity import Identity, identity
from onlygood.station.outputs.opcua_trust import MAX_REJECTED, Trust, thumbprint
from onlygood.station.settings_file import parse_settings
from onlygood.station.station_settings import OpcUaOutput


def settings(**values: Any) -> OpcUaOutput:
    return OpcUaOutput(name="plc", **{"security_policy": "Basic256Sha256"} | values)


def of_files(path: Path, key_path: Path) -> OpcUaOutput:
    return settings(certificate_file=str(path), private_key_file=str(key_path))


def refused(given: OpcUaOutput, pki: Path) -> str:
    with pytest.raises(OutputError) as error:
        identity(given, pki)
    return str(error.value)


# The certificate that the station makes


def test_the_certificate_is_that_of_an_application(tmp_path):
    made = identity(settings(), tmp_path)
    assert (tmp_path / "own" / "certificate.der").read_bytes() == made.certificate_der
    extensions = made.certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [made.uri]
    assert re.fullmatch(r"urn:[a-z0-9.-]+:onlygood:[0-9a-f]{8}", made.uri)
    assert names.get_values_for_type(x509.DNSName)
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and usage.key_encipherment and usage.data_encipherment
    assert usage.key_cert_sign, "required of one that is signed by itself"
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.SERVER_AUTH,
    }
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    lasts = made.certificate.not_valid_after_utc - made.certificate.not_valid_before_utc
    assert lasts.days > 19 * 365
    assert made.private_key.key_size == 2048
    made.certificate.verify_directly_issued_by(made.certificate)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_nobody_but_its_owner_can_read_the_key(tmp_path):
    before = os.umask(0)
    try:
        identity(settings(), tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "own" / "private_key.pem").stat().st_mode) == 0o600
    assert sorted(each.name for each in (tmp_path / "own").iterdir()) == ["certificate.der", "private_key.pem"]


def test_it_is_made_once_also_where_two_outputs_begin_at_once(tmp_path):
    found: list[Identity] = []
    threads = [Thread(target=lambda: found.append(identity(settings(), tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.certificate_der for each in found}) == 1
    assert identity(settings(), tmp_path).certificate_der == found[0].certificate_der


def test_a_kill_between_key_and_certificate(tmp_path):
    first = identity(settings(), tmp_path)
    (tmp_path / "own" / "certificate.der").unlink()
    second = identity(settings(), tmp_path)
    assert second.private_key_der == first.private_key_der
    assert second.certificate_der != first.certificate_der


def test_a_key_that_is_gone(tmp_path):
    identity(settings(), tmp_path)
    (tmp_path / "own" / "private_key.pem").unlink()
    assert refused(settings(), tmp_path) == (
        f"the private key {tmp_path / 'own' / 'private_key.pem'} of output 'plc' cannot be read (no such file or "
        f"directory): check it, or delete the folder {tmp_path / 'own'} to have a new one made"
    )


def test_a_certificate_of_the_station_that_has_expired(tmp_path):
    identity(settings(), tmp_path)
    key = load_pem_private_key((tmp_path / "own" / "private_key.pem").read_bytes(), None)
    old = make(tmp_path, "old", key=key, days=(-3, -1))
    (tmp_path / "own" / "certificate.der").write_bytes(old.der)
    sentence = refused(settings(), tmp_path)
    assert sentence.startswith(
        f"the certificate {tmp_path / 'own' / 'certificate.der'} of output 'plc' must be valid now"
    )
    assert sentence.endswith(f": delete the folder {tmp_path / 'own'} to have a new one made, or set the clock right")


# Certificates that settings name


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_certificate_in_either_coding(tmp_path, encoding):
    made = make(tmp_path, "station", uri="urn:line3:station")
    path = tmp_path / "station.crt"
    path.write_bytes(made.certificate.public_bytes(encoding))
    found = identity(of_files(path, made.key_path), tmp_path / "pki")
    assert (found.certificate, found.uri, found.path) == (made.certificate, "urn:line3:station", path)
    assert not (tmp_path / "pki").exists()


def test_files_that_are_not_there(tmp_path):
    made = make(tmp_path, "station")
    absent = tmp_path / "absent.der"
    assert refused(of_files(absent, made.key_path), tmp_path) == (
        f"the certificate {absent} of output 'plc' cannot be read (no such file or directory): mend certificate_file"
    )
    assert refused(of_files(made.path, absent), tmp_path) == (
        f"the private key {absent} of output 'plc' cannot be read (no such file or directory): mend private_key_file"
    )
    assert refused(of_files(tmp_path, made.key_path), tmp_path) == (
        f"the certificate {tmp_path} of output 'plc' cannot be read (is a directory): mend certificate_file"
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="whoever is root reads everything")
def test_files_that_cannot_be_read(tmp_path):
    made = make(tmp_path, "station")
    made.key_path.chmod(0)
    assert "cannot be read (permission denied): mend private_key_file" in refused(
        of_files(made.path, made.key_path), tmp_path
    )


def test_files_that_hold_something_else(tmp_path):
    made = make(tmp_path, "station")
    other = tmp_path / "notes.txt"
    for content in (
        b"",
        b"the certificate comes tomorrow",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ):
        other.write_bytes(content)
        assert refused(of_files(other, made.key_path), tmp_path) == (
            f"the certificate {other} of output 'plc' must be one in DER or PEM, got something else: "
            f"mend certificate_file"
        )
        assert refused(of_files(made.path, other), tmp_path) == (
            f"the private key {other} of output 'plc' must be one of RSA in PEM or DER, got something else: "
            f"mend private_key_file"
        )


def test_a_key_of_another_certificate(tmp_path):
    made, other = make(tmp_path, "station"), make(tmp_path, "other", key=rsa_key(1))
    assert refused(of_files(made.path, other.key_path), tmp_path) == (
        f"the private key {other.key_path} of output 'plc' must belong to the certificate {made.path}, got "
        f"another one: mend private_key_file"
    )


def test_a_key_with_a_password(tmp_path):
    made = make(tmp_path, "station", password=b"correct horse")
    assert refused(of_files(made.path, made.key_path), tmp_path) == (
        f"the private key {made.key_path} of output 'plc' must have no password, got one that has: write it "
        f"without one, in a file that others cannot read"
    )


def test_keys_that_no_security_policy_takes(tmp_path):
    for key, got in ((elliptic_key(), "another kind"), (rsa_key(bits=1024), "1024 bits")):
        made = make(tmp_path, "station", key=key)
        assert refused(of_files(made.path, made.key_path), tmp_path) == (
            f"the private key {made.key_path} of output 'plc' must be one of RSA with 2048 to 4096 bits, got {got}: "
            f"make another"
        )


def test_a_certificate_that_names_no_application(tmp_path):
    made = make(tmp_path, "station", uri=None)
    assert refused(of_files(made.path, made.key_path), tmp_path) == (
        f"the certificate {made.path} of output 'plc' must hold a URI in subjectAltName, as OPC UA requires, got none: "
        f"make it with one such as urn:line3:onlygood"
    )


@pytest.mark.parametrize("days", [(-3, -1), (1, 3)])
def test_a_certificate_that_is_not_valid_now(tmp_path, days):
    made = make(tmp_path, "station", days=days)
    sentence = refused(of_files(made.path, made.key_path), tmp_path)
    assert re.fullmatch(
        rf"the certificate {re.escape(str(made.path))} of output 'plc' must be valid now, got one from "
        r"\d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC at \d{4}-\d\d-\d\d \d\d:\d\d UTC by the clock of "
        r"this computer: renew it, or set the clock right",
        sentence,
    )


# Those of others


@pytest.mark.parametrize("suffix", [".der", ".cer", ".CRT", ".pem"])
@pytest.mark.parametrize("is_pem", [False, True])
def test_a_trusted_certificate_may_have_any_of_the_usual_names(tmp_path, suffix, is_pem):
    made, other = make(tmp_path, "plc"), make(tmp_path, "other")
    trust = Trust(tmp_path)
    assert trust.refusal(made.certificate, whose="the controller") is not None
    (trust.trusted / f"plc{suffix}").write_bytes(other.pem + made.pem if is_pem else made.der)
    assert trust.refusal(made.certificate, whose="the controller") is None


def test_an_authority_speaks_for_no_other(tmp_path):
    trust = Trust(tmp_path)
    authority = make(tmp_path, "authority")
    trust.make_folders()
    (trust.trusted / "authority.der").write_bytes(authority.der)
    # Signed by the same key, and named as the authority is.
    assert trust.refusal(make(tmp_path, "authority").certificate, whose="the controller") is not None


def test_what_others_call_themselves_leads_to_no_other_folder(tmp_path):
    trust = Trust(tmp_path)
    for name in ("../../../etc/passwd", "..", "a" * 64, "größe \n\x1b[31m", "CON", " "):
        made = make(tmp_path, name)
        sentence = trust.refusal(made.certificate, whose="the controller")
        assert sentence is not None and sentence.isprintable()
    names = [each.name for each in trust.rejected.iterdir()]
    assert len(names) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*-[0-9A-F]{40}\.der", name) for name in names), names


def test_what_is_not_readable_among_the_trusted_ones_is_named(tmp_path):
    trust = Trust(tmp_path)
    trust.make_folders()
    (trust.trusted / "plc.der").mkdir()
    (trust.trusted / "plc.pem").write_bytes(b"the certificate comes tomorrow")
    sentence = trust.refusal(make(tmp_path, "plc").certificate, whose="the controller")
    assert sentence is not None
    assert sentence.endswith(
        f"move it to {trust.trusted}, where plc.der cannot be read (is a directory) and plc.pem is no certificate "
        f"in DER or PEM"
    )


def test_strangers_fill_no_disk(tmp_path):
    trust = Trust(tmp_path)
    trust.make_folders()
    for number in range(MAX_REJECTED + 5):
        path = trust.rejected / f"old-{number:03}.der"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    made = make(tmp_path, "newest")
    trust.refusal(made.certificate, whose="the client")
    names = sorted(each.name for each in trust.rejected.iterdir())
    assert names == [
        f"newest-{thumbprint(made.certificate)}.der",
        *(f"old-{number:03}.der" for number in range(6, 105)),
    ]


# Settings


def test_policies_may_be_written_as_products_write_them():
    for name in ("Aes128_Sha256_RsaOaep", "Aes128-Sha256-RsaOaep", "Aes128Sha256RsaOaep"):
        assert settings(security_policy=name).security_policy == "Aes128Sha256RsaOaep"
    with pytest.raises(ValidationError):
        settings(security_policy="Basic256")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (
            '"security_policy": "Basic256Sha256", "certificate_file": "a.der"',
            "certificate_file and private_key_file go together, got no private_key_file: give both, or none",
        ),
        (
            '"security_policy": "Basic256Sha256", "private_key_file": "a.der"',
            "certificate_file and private_key_file go together, got no certificate_file: give both, or none",
        ),
        (
            '"certificate_file": "a.der", "private_key_file": "a.pem"',
            "certificate_file has no use without a security_policy, got None: set it, such as to Basic256Sha256",
        ),
        (
            '"username": "scada", "password": "correct horse"',
            "a server that asks for username must have a security_policy, as the password is not encrypted else, got "
            "None: set it, such as to Basic256Sha256",
        ),
        (
            '"username": "scada", "security_policy": "Basic256Sha256"',
            "a server that asks for username must have a password, got none: give one",
        ),
    ],
)
def test_settings_that_do_not_go_together(values, why):
    content = f'{{"outputs": [{{"kind": "opcua", "name": "ua", {values}}}]}}'
    with pytest.raises(SettingError) as error:
        parse_settings(content.encode(), "station.json")
    assert str(error.value) == f"outputs[0] in station.json cannot be used: {why}"


@pytest.mark.skipif(os.name != "posix", reason="Windows names the reason in other words")
def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "own").write_bytes(b"")
    with pytest.raises(WriteError, match="own cannot be written: file exists"):
        identity(settings(), tmp_path)


def test_a_password_is_in_no_text_of_the_settings():
    given = settings(username="scada", password="correct horse")
    assert "correct horse" not in f"{given!r} {given} {given.model_dump_json()}"
