"""What a person can set about a station: one file, `station.json` in its data folder, checked when it is read.

Secrets in it (signing keys of webhooks, passwords of brokers) are never shown by the HTTP interface; tokens are kept as
their SHA-256 alone.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from onlygood.station.schemas import Name, Sha256

MIB = 1 << 20
CA_FILE = "a PEM file with the certificate authorities to trust; where it is empty, those that are known publicly"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")
_MAX_TOPIC_BYTES = 1000
# What images are said to come from that a person tries a model with: dropped on the page, or the browser's camera.
FROM_PERSONS = ("page", "browser")
# What images are said to come from that no source gave.
NOT_SOURCES = ("http", *FROM_PERSONS)
# In the data folder, certificates for OPC UA: the station's own, those of others that it trusts, and those that it
# refused.
PKI_FOLDER = "pki"
PKI_OWN, PKI_TRUSTED, PKI_REJECTED = "own", "trusted", "rejected"


class _Part(BaseModel):
    """What all parts have in common: they never change, and hold what they name and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limits(_Part):
    """Bounds on requests. Each is named in the sentence of a refusal."""

    max_body_bytes: int = Field(default=64 * MIB, ge=1024, description="of one request")
    max_image_bytes: int = Field(default=32 * MIB, ge=1024, description="of one image's file")
    max_pixels: int = Field(default=50_000_000, ge=1024, description="of one image")
    max_images: int = Field(default=16, ge=1, description="in one request")
    body_timeout_s: float = Field(default=30.0, gt=0, description="for a request to arrive whole")
    queue_size: int = Field(default=64, ge=1, description="images that wait for a worker; more are refused with 503")
    queue_timeout_s: float = Field(default=30.0, gt=0, description="an image that waited for longer is refused")
    workers: int = Field(default=0, ge=0, description="images worked on at once; 0 for one a core")
    max_model_bytes: int = Field(default=512 * MIB, ge=1024, description="of an uploaded model file")


class Retention(_Part):
    """For how long what was inspected is kept. What was marked by a person goes last."""

    max_image_bytes: int = Field(default=20_000 * MIB, ge=0, description="of all images kept; the oldest go first")
    max_image_days: float = Field(default=365.0, gt=0, description="of an image; its inspection is kept without it")
    max_inspection_days: float = Field(default=3650.0, gt=0, description="of an inspection")
    min_free_bytes: int = Field(default=500 * MIB, ge=0, description="of the disk: images are let go before it is full")


class Alarm(_Part):
    """A single anomalous image is no alarm: m of the last n are."""

    m: int = Field(default=3, ge=1)
    n: int = Field(default=5, ge=1, le=1000)

    @model_validator(mode="after")
    def _can_be_raised(self) -> Self:
        if self.m > self.n:
            raise ValueError(f"m must be at most n, got {self.m} of {self.n}: no {self.n} images can raise this alarm")
        return self


class _Source(_Part):
    name: Name
    model: Name | None = Field(default=None, description="the model that inspects its images; None to show them alone")
    trigger: Literal["free", "http", "mqtt"] = Field(
        default="free", description="inspect as fast as images come, or one for each trigger"
    )
    trigger_topic: str = Field(default="", description="the MQTT topic each of whose messages is a trigger")
    max_frames_per_s: float = Field(
        default=0.0, ge=0, description="inspect at most so many; 0 for as many as there are"
    )
    record: Literal["all", "anomalous", "none"] = Field(
        default="all",
        description="which inspections are remembered, and outputs told of; images of a folder always are, and this "
        "says which of their files are kept",
    )
    alarm: Alarm = Alarm()
    watches_drift: bool | None = Field(
        default=None,
        description="whether the drift test takes its images; unless given, those of folders and of triggered cameras: "
        "a free-running camera gives many images of one part, which are no independent images of the process",
    )
    starts: bool = Field(default=True, description="whether it runs as soon as the station does")


class CameraSource(_Source):
    """A camera at this computer, by its number or its device's path."""

    kind: Literal["camera"] = "camera"
    device: int | str = Field(default=0, description="0 is the first; on Linux also a path such as /dev/v4l/by-id/...")
    width: int = Field(default=640, ge=16, le=16384)
    height: int = Field(default=480, ge=16, le=16384)
    fourcc: str = Field(
        default="",
        pattern="^([A-Z0-9]{4})?$",
        description="the coding that the camera is asked for, such as MJPG for large images at a high rate over USB 2; "
        "empty for uncompressed ones where it has them",
    )


class RtspSource(_Source):
    """A camera in the network."""

    kind: Literal["rtsp"] = "rtsp"
    url: SecretStr = Field(description="rtsp://..., with a user and password where the camera asks for them")
    transport: Literal["tcp", "udp"] = "tcp"


class VideoSource(_Source):
    """A video file, at its own speed or as fast as it can be inspected."""

    kind: Literal["video"] = "video"
    path: str
    is_realtime: bool = Field(default=False, description="at its own speed, leaving out what comes too fast")
    repeats: bool = Field(default=False, description="begin again at its end")


class GenicamSource(_Source):
    """A machine-vision camera (GigE Vision, USB3 Vision) through the GenTL producer of its maker."""

    kind: Literal["genicam"] = "genicam"
    producer: str = Field(description="path of the GenTL producer, a file that ends with .cti")
    serial: str = Field(default="", description="of the camera; the first that is found where it is empty")
    nodes: dict[str, int | float | str | bool] = Field(
        default_factory=dict, description="values of the camera's features, such as ExposureTime"
    )


class FolderSource(_Source):
    """A folder into which other programs write images; each is inspected once, also across restarts."""

    kind: Literal["folder"] = "folder"
    path: str
    settle_s: float = Field(default=0.5, ge=0, description="a file is complete when it did not change for so long")


SourceSettings = Annotated[
    CameraSource | RtspSource | VideoSource | GenicamSource | FolderSource, Field(discriminator="kind")
]


class _Output(_Part):
    name: Name
    only: Literal["all", "anomalous"] = Field(default="all", description="the inspections that it is told of")
    models: tuple[Name, ...] = Field(default=(), description="tell of these alone; of all where it is empty")


class JsonLinesOutput(_Output):
    """A file with one JSON object a line."""

    kind: Literal["jsonl"] = "jsonl"
    path: str
    max_bytes: int = Field(default=100 * MIB, ge=MIB, description="then it becomes PATH.1, and a new one is begun")
    max_files: int = Field(default=10, ge=1, le=1000, description="PATH.1, PATH.2 and so on; the oldest is deleted")


class WebhookOutput(_Output):
    """A POST with JSON to an URL, signed with HMAC-SHA256 where a key is given."""

    kind: Literal["webhook"] = "webhook"
    url: str = Field(pattern=r"^https?://")
    key: SecretStr = SecretStr("")
    timeout_s: float = Field(default=10.0, gt=0)
    ca_file: str = Field(default="", description=CA_FILE)


class MqttOutput(_Output):
    """A message to a broker for each inspection, with quality of service 1."""

    kind: Literal["mqtt"] = "mqtt"
    host: str
    port: int = Field(default=1883, ge=1, le=65535)
    topic: str = Field(default="onlygood/{model}", description="{model} and {source} stand for their names")
    username: str = ""
    password: SecretStr = SecretStr("")
    is_tls: bool = False
    ca_file: str = Field(default="", description=CA_FILE)
    availability_topic: str = Field(
        default="onlygood/status", description="holds 'online' or 'offline', retained; empty for none"
    )
    version: Literal["5", "3.1.1"] = Field(default="5", description="of the MQTT protocol")
    timeout_s: float = Field(default=10.0, gt=0)

    @field_validator("topic", "availability_topic")
    @classmethod
    def _is_topic(cls, topic: str) -> str:
        unknown = set(_PLACEHOLDER.findall(topic)) - {"{model}", "{source}"}
        if unknown:
            raise ValueError(
                f"must hold no braces but {{model}} and {{source}}, got {sorted(unknown)[0]}: leave it out"
            )
        if any(each in topic for each in "+#\0") or len(topic.encode("utf-8", "replace")) > _MAX_TOPIC_BYTES:
            raise ValueError(f"must be at most {_MAX_TOPIC_BYTES} bytes without '+', '#' and NUL, got {topic[:100]!r}")
        return topic

    @model_validator(mode="after")
    def _has_topic(self) -> Self:
        if not self.topic:
            raise ValueError("topic must not be empty: give one such as onlygood/{model}")
        if _PLACEHOLDER.search(self.availability_topic):
            raise ValueError(f"availability_topic must be one topic without braces, got {self.availability_topic!r}")
        return self


class ModbusOutput(_Output):
    """Registers of a controller: verdict, score, heartbeat and recipe number.

    As "client" the station writes into a controller's registers; as "server" controllers read the station's.
    """

    kind: Literal["modbus"] = "modbus"
    role: Literal["client", "server"] = "client"
    host: str = "127.0.0.1"
    port: int = Field(default=502, ge=1, le=65535)
    device_id: int = Field(default=1, ge=0, le=255)
    first_register: int = Field(default=0, ge=0, le=65500)
    recipes: dict[Annotated[int, Field(ge=1, le=65535)], Name] = Field(
        default_factory=dict, description="the model for each recipe number that the controller asks for"
    )
    word_order: Literal["high first", "low first"] = Field(
        default="high first", description="of the two registers of a 32-bit value"
    )
    is_acknowledged: bool = Field(
        default=False, description="wait until the controller writes an inspection's id back before the next is shown"
    )
    timeout_s: float = Field(default=5.0, gt=0)


class OpcUaOutput(_Output):
    """Variables in an OPC UA address space: as "client" a controller's, as "server" the station's own."""

    kind: Literal["opcua"] = "opcua"
    role: Literal["client", "server"] = "server"
    url: str = "opc.tcp://127.0.0.1:4840/onlygood"
    node_prefix: str = Field(
        default="ns=2;s=onlygood",
        description="of a controller's variables, as client; {name} stands for their names, which else follow a dot",
    )
    security_policy: Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = Field(
        default="None", description="with another one than None, certificates say who is who"
    )
    security_mode: Literal["Sign", "SignAndEncrypt"] = Field(
        default="SignAndEncrypt", description="of the security policy; with None it has no meaning"
    )
    certificate_file: str = Field(
        default="", description="of the station, in DER or PEM; where it is empty, one that the station makes itself"
    )
    private_key_file: str = Field(default="", description="that belongs to certificate_file, in PEM or DER")
    username: str = Field(
        default="",
        description="as client at the controller, as server asked of clients; nobody in particular where it is empty",
    )
    password: SecretStr = SecretStr("")
    sends_plain_password: bool = Field(
        default=False, description="as client also where the password is not encrypted, or with an unknown certificate"
    )
    offers_none: bool = Field(
        default=False, description="as server also connections without security, beside security_policy"
    )
    timeout_s: float = Field(default=5.0, gt=0)

    @field_validator("security_policy", mode="before")
    @classmethod
    def _without_separators(cls, policy: object) -> object:
        """Some products write Aes128_Sha256_RsaOaep, others with hyphens."""
        return re.sub("[_-]", "", policy) if isinstance(policy, str) else policy

    @model_validator(mode="after")
    def _is_secure_as_it_looks(self) -> Self:
        if bool(self.certificate_file) != bool(self.private_key_file):
            missing = "private_key_file" if self.certificate_file else "certificate_file"
            raise ValueError(f"certificate_file and private_key_file go together, got no {missing}: give both, or none")
        if self.security_policy == "None" and self.certificate_file:
            raise ValueError(
                "certificate_file has no use without a security_policy, got None: set it, such as to Basic256Sha256"
            )
        if self.role == "server" and self.username:
            if self.security_policy == "None":
                raise ValueError(
                    "a server that asks for username must have a security_policy, as the password is not encrypted "
                    "else, got None: set it, such as to Basic256Sha256"
                )
            if not self.password.get_secret_value():
                raise ValueError("a server that asks for username must have a password, got none: give one")
        return self


OutputSettings = Annotated[
    JsonLinesOutput | WebhookOutput | MqttOutput | ModbusOutput | OpcUaOutput, Field(discriminator="kind")
]

Right = Literal["inspect", "correct", "manage"]


class Token(_Part):
    """Who may do what. `manage` includes the other rights, and `correct` includes `inspect`."""

    name: Name
    sha256: Sha256 = Field(description="of the token, which is shown once, when it is made")
    right: Right


class Mqtt(_Part):
    """The broker that triggers come from."""

    host: str = ""
    port: int = Field(default=1883, ge=1, le=65535)
    username: str = ""
    password: SecretStr = SecretStr("")
    is_tls: bool = False
    ca_file: str = Field(default="", description=CA_FILE)


class StationSettings(_Part):
    """Everything that can be set about a station."""

    limits: Limits = Limits()
    retention: Retention = Retention()
    sources: tuple[SourceSettings, ...] = ()
    outputs: tuple[OutputSettings, ...] = ()
    tokens: tuple[Token, ...] = ()
    trigger_broker: Mqtt = Mqtt()
    false_drift_rate: float = Field(
        default=0.01, gt=0, lt=1, description="the largest probability of ever calling a process drift that is stable"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="names under which browsers may open the page, beside localhost and the address bound to",
    )

    @model_validator(mode="after")
    def _tells_them_apart(self) -> Self:
        for what, parts in (("source", self.sources), ("output", self.outputs), ("token", self.tokens)):
            names = [each.name for each in parts]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"each {what} must have a name of its own, got {twice!r} twice: rename one of them")
        taken = next((each.name for each in self.sources if each.name in NOT_SOURCES), None)
        if taken is not None:
            raise ValueError(
                f"a source must have another name than {', '.join(NOT_SOURCES)}, which stand for images that are "
                f"sent to the station, got {taken!r}: rename it"
            )
        return self
