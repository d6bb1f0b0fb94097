"""The certificate of a station: what cannot be used, what is wrong with its dates, and one that is renewed."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from onlygood.errors import SettingError
from onlygood.station.web.certificate import PASSPHRASE_VARIABLE, Certificate
from tests.station.outputs.certificates import Authority

ADDRESS = "127.0.0.1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def split(path: Path) -> tuple[Path, Path]:
    """The certificate and the key of a file with both, as a file each."""
    key, marker, certificate = path.read_text().partition("-----BEGIN CERTIFICATE")
    apart = path.with_suffix(".crt"), path.with_suffix(".key")
    apart[0].write_text(marker + certificate)
    apart[1].write_text(key)
    return apart


def encrypted(path: Path, passphrase: bytes) -> Path:
    """A file with the key of another, encrypted."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    found = path.with_suffix(".encrypted")
    found.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
    )
    return found


def refused(*arguments: Path, passphrase: str = "") -> str:
    with pytest.raises(SettingError) as error:
        Certificate(*arguments, passphrase=passphrase)
    assert str(error.value).isprintable()
    return str(error.value)


# Files


def test_key_and_certificate_stand_in_one_file_or_in_two(authority: Authority) -> None:
    path = authority.certificate(ADDRESS)
    assert Certificate(path).problems() == ()
    certificate, key = split(path)
    assert Certificate(certificate, key).problems() == ()


def test_a_file_that_is_not_there_or_may_not_be_read_is_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = split(authority.certificate(ADDRESS))
    none = tmp_path / "none.pem"
    assert refused(none) == (
        f"the certificate must be a file that this user may read, got {none} (no such file or directory): check the "
        "path and whose it is"
    )
    assert refused(certificate, none).startswith(
        f"the key of the certificate must be a file that this user may read, got {none}"
    )
    assert refused(tmp_path).startswith(f"the certificate must be a file, got {tmp_path}, which is none: ")
    assert refused(tmp_path / "\x00\n").startswith("the certificate must be a file that this user may read, got ")
    if os.name == "posix" and os.geteuid():
        key.chmod(0)
        assert "(permission denied)" in refused(certificate, key)


def test_what_is_no_certificate_and_what_is_no_key_is_said(authority: Authority, tmp_path: Path) -> None:
    certificate, key = split(authority.certificate(ADDRESS))
    der = tmp_path / "certificate.der"
    der.write_bytes(b"\x30\x82\x01\x00")
    for given in ((der,), (key, certificate)):
        assert refused(*given) == (
            f"the certificate must be a PEM file with 'BEGIN CERTIFICATE' in it, got {given[0]} without: check that it "
            "is not the key, or convert it with 'openssl x509 -inform der'"
        )
    for arguments, where in (((certificate,), certificate), ((certificate, der), der)):
        assert refused(*arguments) == (
            f"the certificate {certificate} needs its private key, a PEM file with 'BEGIN PRIVATE KEY' in it, got none "
            f"in {where}: give its file with --key"
        )
    cut = tmp_path / "cut.pem"
    cut.write_text(certificate.read_text()[:200])
    assert refused(cut, key).startswith(
        f"the certificate {cut} and its key {key} must be ones that OpenSSL takes, and it does not ("
    )


def test_a_key_of_another_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    certificate, key = split(authority.certificate(ADDRESS))
    _, other = split(authority.certificate("127.0.0.2"))
    of_another_kind = tmp_path / "rsa.pem"
    of_another_kind.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for wrong in (other, of_another_kind):
        assert refused(certificate, wrong) == (
            f"the key {wrong} must belong to the certificate {certificate}, and belongs to another: give the two that "
            "were made together"
        )
    assert Certificate(certificate, key).problems() == ()


def test_an_encrypted_key_needs_its_passphrase(authority: Authority) -> None:
    certificate, key = split(authority.certificate(ADDRESS))
    secret = encrypted(key, b"correct horse")
    assert Certificate(certificate, secret, passphrase="correct horse").problems() == ()
    assert refused(certificate, secret) == (
        f"the key {secret} is encrypted and needs its passphrase, got none: write it into the environment variable "
        "ONLYGOOD_KEY_PASSPHRASE, or decrypt the key with 'openssl pkey'"
    )
    for wrong in ("wrong", "x" * 5000):
        assert refused(certificate, secret, passphrase=wrong) == (
            f"the passphrase in {PASSPHRASE_VARIABLE} must be that of the key {secret}, and is another: check it"
        )


# Dates


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (-10, -1, "has expired, and browsers and programs refuse it: renew it, which needs no restart"),
        (1, 2, "is not valid yet, and browsers and programs refuse it: see that this computer's clock is right"),
        (-100, 3, "expires on "),
        (-1, 300, ""),
        (-1, 1, ""),  # one that is renewed each day
    ],
)
def test_a_certificate_that_is_refused_now_or_soon_is_a_problem_and_no_refusal(
    authority: Authority, begins: float, ends: float, expected: str
) -> None:
    path = authority.certificate(ADDRESS, begins_in_days=begins, ends_in_days=ends)
    problems = Certificate(path).problems()
    assert [each.removeprefix(f"the certificate {path} ")[: len(expected)] for each in problems] == [expected][
        : bool(expected)
    ]


def test_what_is_wrong_with_its_dates_is_said_when_it_begins_and_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path = authority.certificate(ADDRESS, begins_in_days=-1, ends_in_days=99)
    now = [datetime.now(UTC)]
    certificate = Certificate(path, now=lambda: now[0])
    with caplog.at_level(logging.WARNING, "onlygood.station"):
        for days in (80, 91, 92, 100, 101, 102):
            now[0] = datetime.now(UTC) + timedelta(days=days)
            certificate.look()
    said = [each.getMessage().removeprefix(f"the certificate {path} ")[:11] for each in caplog.records]
    assert said == ["expires on ", "has expired"]


# Renewal


def renew(path: Path, write: Callable[[], object]) -> None:
    """Write a file so that it has changed, however coarse the clock of the file system is."""
    before = path.stat().st_mtime_ns
    write()
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_a_renewed_certificate_is_taken_up_when_both_its_files_are_there(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    certificate_path, key_path = split(authority.certificate(ADDRESS))
    certificate = Certificate(certificate_path, key_path)
    first = certificate.context
    certificate.look()
    assert certificate.context is first
    content, key = (each.read_text() for each in split(authority.certificate("127.0.0.2", ends_in_days=400)))
    with caplog.at_level(logging.INFO, "onlygood.station"):
        renew(certificate_path, lambda: certificate_path.write_text(content))
        certificate.look()
        renew(key_path, lambda: key_path.write_text(key))
        certificate.look()
        assert certificate.context is first and caplog.records == []
        certificate.look()
    assert certificate.context is not first and certificate.problems() == ()
    [line] = [each.getMessage() for each in caplog.records]
    assert line.startswith(f"the certificate {certificate_path} was renewed, and is valid until ")


def test_the_one_before_goes_on_where_the_new_one_cannot_be_used(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path = authority.certificate(ADDRESS)
    right = path.read_text()
    certificate = Certificate(path)
    first = certificate.context
    with caplog.at_level(logging.INFO, "onlygood.station"):
        renew(path, lambda: path.write_text("garbage"))
        for _ in range(5):
            certificate.look()
        assert certificate.context is first
        [problem] = certificate.problems()
        assert problem.startswith(
            "the new certificate cannot be used, and the one before goes on: the certificate must"
        )
        assert [each.getMessage() for each in caplog.records] == [problem]
        path.unlink()
        for _ in range(5):
            certificate.look()
        assert "no such file" in certificate.problems()[0] and len(caplog.records) == 2
        path.write_text(right)
        for _ in range(2):
            certificate.look()
    assert certificate.context is not first and certificate.problems() == ()
    assert "was renewed" in caplog.records[-1].getMessage()


def test_one_that_is_renewed_after_it_expired_is_no_problem_any_more(authority: Authority) -> None:
    path = authority.certificate(ADDRESS, begins_in_days=-10, ends_in_days=-1)
    certificate = Certificate(path)
    assert "has expired" in certificate.problems()[0]
    renew(path, lambda: authority.certificate(ADDRESS))
    for _ in range(2):
        certificate.look()
    assert certificate.problems() == ()
