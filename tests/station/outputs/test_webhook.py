"""Webhooks against a real server: what is sent, when it is sent again, and what is never said."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from certificates import Authority
from http_receiver import Received, Receiver, taken
from waiting_records import MemoryOutbox, quick_pauses, record, records, wait_until

from onlygood.errors import OutputError, SettingError
from onlygood.station.outputs.delivery import Delivery
from onlygood.station.outputs.webhook import Webhook, message_id, signed_headers
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import WebhookOutput


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver().start()
    yield running
    running.stop()


def webhook(url: str, **settings) -> Webhook:
    return Webhook(WebhookOutput(name="mes", url=url, **settings), now_s=lambda: 1_764_417_600.9)


def hmac_by_hand(key: bytes, message: bytes) -> bytes:
    """RFC 2104, from the hash alone."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(each ^ 0x36 for each in block) + message).digest()
    return hashlib.sha256(bytes(each ^ 0x5C for each in block) + inner).digest()


def test_each_inspection_is_a_post_of_its_json(receiver):
    given = [record(1), record(2, name="größe.png")]
    hook = webhook(receiver.url)
    hook.open()
    hook.deliver(given)
    hook.close()
    assert [InspectionRecord.model_validate_json(each.body) for each in receiver.received] == given
    assert {each.headers["content-type"] for each in receiver.received} == {"application/json"}
    assert "webhook-signature" not in receiver.received[0].headers
    assert len({each.peer for each in receiver.received}) == 1, "one connection is enough"


@pytest.mark.parametrize(
    ("key", "key_bytes"),
    [
        ("schlüssel", "schlüssel".encode()),
        ("k" * 100, b"k" * 100),
        ("whsec_" + base64.b64encode(bytes(range(24))).decode(), bytes(range(24))),
    ],
)
def test_the_signature_is_that_of_an_independent_computation(receiver, key, key_bytes):
    hook = webhook(receiver.url, key=key)
    hook.deliver([record(7)])
    hook.close()
    (received,) = receiver.received
    identifier, timestamp = received.headers["webhook-id"], received.headers["webhook-timestamp"]
    assert timestamp == "1764417600"
    signed = hmac_by_hand(key_bytes, identifier.encode() + b"." + timestamp.encode() + b"." + received.body)
    assert received.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()


def test_the_signature_of_the_specification_s_own_example():
    headers = signed_headers(
        b'{"test": 2432232314}',
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_message_id_is_that_of_the_inspection_whenever_it_is_sent(receiver):
    first = record(7)
    later = first.model_copy(update={"has_image": False, "notes": ("other",)})
    assert message_id(first) == message_id(later)
    assert re.fullmatch(r"inspection_7_[0-9a-f]{16}", message_id(first))
    hook = webhook(receiver.url)
    hook.deliver([first, later])
    hook.close()
    assert {each.headers["idempotency-key"] for each in receiver.received} == {message_id(first)}
    others = [record(8), record(7, name="other"), record(7, source="other"), record(7, at=record(8).at)]
    assert len({message_id(each) for each in (first, *others)}) == 5


@pytest.mark.parametrize("status", [500, 404, 400])
def test_another_answer_than_2xx_is_no_delivery(receiver, status):
    receiver.answer = lambda request: (status, {}) if request.id == 3 else (204, {"content-length": "0"})
    hook = webhook(receiver.url)
    with pytest.raises(OutputError) as refused:
        hook.deliver(records(1, 5))
    hook.close()
    assert str(refused.value) == (
        f"output 'mes': the server http://127.0.0.1:{receiver.port} answered {status} to inspection 3, "
        f"where 200 to 299 is needed: look into its log"
    )
    assert refused.value.taken == 2
    assert [each.id for each in receiver.received] == [1, 2, 3]


def test_redirects_are_not_followed(receiver):
    elsewhere = Receiver().start()
    receiver.answer = lambda _: (307, {"location": elsewhere.url})
    hook = webhook(receiver.url, key="secret")
    with pytest.raises(OutputError, match=r"answered 307 .*: give the address that it points to as url"):
        hook.deliver([record(1)])
    hook.close()
    elsewhere.stop()
    assert elsewhere.received == []


def test_a_slow_server_is_named_with_the_time_that_it_had(receiver):
    released = Event()
    receiver.answer = lambda request: (released.wait(60), taken(request))[1]
    hook = webhook(receiver.url, timeout_s=0.2)
    with pytest.raises(OutputError) as refused:
        hook.deliver([record(1)])
    released.set()
    hook.close()
    assert str(refused.value) == (
        f"output 'mes': the server http://127.0.0.1:{receiver.port} gave no answer to inspection 1 within 0.2 s: "
        f"raise timeout_s or look after it"
    )


@pytest.mark.parametrize("first_bytes", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: "])
def test_a_server_that_sends_a_byte_now_and_then_has_no_more_time(first_bytes):
    """Each byte comes in time, and the answer never ends."""
    ended = Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(first_bytes)
            try:
                while not ended.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=trickle, args=(listener,), daemon=True)
        server.start()
        hook = webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout_s=0.3)
        with pytest.raises(OutputError, match=r"gave no answer to inspection 1 within 0\.3 s"):
            hook.deliver([record(1)])
        hook.close()
        ended.set()
        server.join()


def test_a_server_that_hangs_up(receiver):
    receiver.answer = lambda _: None
    hook = webhook(receiver.url)
    with pytest.raises(OutputError) as refused:
        hook.deliver([record(1)])
    hook.close()
    assert re.fullmatch(
        rf"output 'mes': the server http://127.0.0.1:{receiver.port} closed the connection before an answer to "
        rf"inspection 1 \(.*disconnected.*\): look after it",
        str(refused.value),
    )


def test_no_server(receiver):
    receiver.stop()
    hook = webhook(receiver.url)
    with pytest.raises(OutputError) as refused:
        hook.deliver([record(1)])
    hook.close()
    assert re.fullmatch(
        rf"output 'mes': the server http://127.0.0.1:{receiver.port} was not reached \(.*refused.*\): "
        rf"check the network and the server",
        str(refused.value),
    )


@pytest.mark.parametrize(
    ("value", "asked_s"),
    [
        ("120", 120.0),
        ("Sat, 29 Nov 2025 12:01:00 GMT", 59.1),
        ("Fri, 28 Nov 2025 12:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(receiver, value, asked_s):
    receiver.answer = lambda _: (503, {"retry-after": value})
    hook = webhook(receiver.url)
    with pytest.raises(OutputError) as refused:
        hook.deliver([record(1)])
    hook.close()
    assert refused.value.retry_after_s == (asked_s if asked_s is None else pytest.approx(asked_s))


def test_secrets_are_in_no_message_and_no_log(receiver, caplog):
    caplog.set_level(logging.DEBUG)
    url = f"http://user:p%40ss%C3%BC@127.0.0.1:{receiver.port}/hooks/T0KEN?token=qu3ry"
    receiver.answer = lambda request: taken(request) if request.id == 1 else (500, {})
    hook = webhook(url, key="s1gning")
    with pytest.raises(OutputError) as refused:
        hook.deliver(records(1, 2))
    receiver.stop()
    with pytest.raises(OutputError) as unreached:
        hook.deliver(records(2, 2))
    hook.close()
    assert receiver.received[0].path == "/hooks/T0KEN?token=qu3ry"
    credentials = base64.b64encode("user:p@ssü".encode()).decode()
    assert receiver.received[0].headers["authorization"] == f"Basic {credentials}"
    said = f"{refused.value} {unreached.value} {hook!r}"
    for secret in ("p%40ss", "p@ss", "T0KEN", "qu3ry", "s1gning"):
        assert secret not in said
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.INFO]
    assert told == []


def test_nothing_of_the_environment_is_used(receiver, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    receiver.answer = lambda _: (200, {"set-cookie": "a=b"})
    hook = webhook(receiver.url)
    hook.deliver(records(1, 2))
    hook.close()
    assert [each.id for each in receiver.received] == [1, 2]
    assert not {"authorization", "cookie"} & set(receiver.received[1].headers)


@pytest.mark.parametrize("url", ["http://", "https:///path", "http://[::1/x", "http://u:hunter2@"])
def test_addresses_that_cannot_be_used(url):
    with pytest.raises(SettingError) as refused:
        webhook(url)
    assert str(refused.value) == "the url of output 'mes' must be like https://host/path, got another one: mend it"


@pytest.mark.parametrize("key", ["whsec_", "whsec_not base64!", "whsec_abc"])
def test_keys_that_are_no_base64_though_they_say_so(key):
    with pytest.raises(SettingError) as refused:
        webhook("http://localhost", key=key)
    assert str(refused.value) == ("the key of output 'mes' must be base64 after whsec_, got other characters: mend it")


def test_the_other_side_is_down_and_comes_back(receiver):
    """Everything arrives, in order, once."""
    receiver.stop()
    outbox = MemoryOutbox()
    outbox.put("mes", records(1, 30))
    delivery = Delivery(outbox, [webhook(receiver.url)], pauses=quick_pauses)
    delivery.start()
    wait_until(lambda: len(outbox.problems) > 2, "some attempts")
    receiver.start()
    wait_until(lambda: receiver.accepted, "the first delivery")
    outbox.put("mes", records(31, 60))
    delivery.wake()
    wait_until(lambda: outbox.count("mes") == 0, "delivery")
    assert delivery.stop()
    assert receiver.accepted == list(range(1, 61))


def test_what_is_sent_twice_is_only_what_may_not_have_been_taken(receiver):
    """The server takes an inspection and dies before it says so: this one alone comes again, with the same id."""
    lost = {3, 10, 11}

    def answer(request: Received):
        if request.id in lost:
            lost.discard(request.id)
            return None
        return taken(request)

    receiver.answer = answer
    outbox = MemoryOutbox()
    outbox.put("mes", records(1, 20))
    delivery = Delivery(outbox, [webhook(receiver.url)], pauses=quick_pauses)
    delivery.start()
    wait_until(lambda: outbox.count("mes") == 0, "delivery")
    assert delivery.stop()
    sent = [each.id for each in receiver.received]
    assert sent == [1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 11, *range(12, 21)]
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 20
    assert receiver.accepted == list(range(1, 21))


def test_an_answer_without_end_does_not_hold_the_output(receiver):
    receiver.answer = lambda _: (200, {"content-length": str(1 << 40)})
    hook = webhook(receiver.url, timeout_s=0.3)
    hook.deliver(records(1, 2))
    hook.close()
    assert receiver.accepted == [1, 2]


def test_an_own_certificate_authority(tmp_path):
    authority = Authority(tmp_path)
    server = Receiver(certificate=authority.certificate("127.0.0.1")).start()
    try:
        hook = webhook(server.url, ca_file=str(authority.path))
        hook.deliver([record(1)])
        hook.close()
        stranger = webhook(server.url)
        with pytest.raises(OutputError, match="certificate"):
            stranger.deliver([record(2)])
        stranger.close()
    finally:
        server.stop()
    assert server.accepted == [1]


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(
        OutputError, match=re.escape(f"output 'mes' needs a PEM file of certificate authorities, got {path} (")
    ):
        webhook("https://localhost", ca_file=str(path)).open()


def test_the_body_is_what_the_interface_says(receiver):
    hook = webhook(receiver.url)
    hook.deliver([record(4)])
    hook.close()
    body = json.loads(receiver.received[0].body)
    assert body["verdict"] == "anomalous"
    assert body["at"] == "2026-11-29T12:00:04Z"
    assert set(body) == set(InspectionRecord.model_fields)


def test_the_verification_of_the_guide(receiver):
    guide = Path(__file__).parents[3] / "docs" / "guides" / "outputs.md"
    (code,) = re.findall(r"<!-- verification.*?-->\n```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    hook = webhook(receiver.url, key="secret")
    hook.deliver([record(1)])
    hook.close()
    (received,) = receiver.received
    assert is_genuine(received.headers, received.body, b"secret")
    assert not is_genuine(received.headers, received.body + b" ", b"secret")
    assert not is_genuine(received.headers, received.body, b"other")
    assert not is_genuine(received.headers | {"webhook-timestamp": "1764417601"}, received.body, b"secret")
