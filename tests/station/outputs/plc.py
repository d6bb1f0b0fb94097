"""A controller's OPC UA server, which a test stops, starts again, secures and makes refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import PermissiveUserManager
from opcua_certificates import Made
from waiting_records import DEADLINE_S, START

from broker import free_port
from onlygood.station.outputs.loop_thread import LoopThread

# A controller with the types that controllers have: a LREAL is rare, a 64-bit integer as well.
PLC_TYPES = {
    "Heartbeat": ua.VariantType.UInt16,
    "InspectionId": ua.VariantType.Int32,
    "IsAnomalous": ua.VariantType.Boolean,
    "Score": ua.VariantType.Float,
    "PValue": ua.VariantType.Double,
    "Model": ua.VariantType.String,
    "At": ua.VariantType.DateTime,
    "AgeMs": ua.VariantType.UInt32,
}
_EMPTY = {ua.VariantType.Boolean: False, ua.VariantType.String: "", ua.VariantType.DateTime: START}
PASSWORD = "correct horse"
# How a server asks for a password: in the clear, and encrypted.
PLAIN, ENCRYPTED = (
    ua.UserTokenPolicy(
        PolicyId=policy,
        TokenType=ua.UserTokenType.UserName,
        SecurityPolicyUri=f"http://opcfoundation.org/UA/SecurityPolicy#{policy}",
    )
    for policy in ("None", "Basic256Sha256")
)


class OneUser:
    """Lets in whoever knows the password, and nobody else."""

    def get_user(self, _server: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        return User(role=UserRole.User) if (username, password) == ("station", PASSWORD) else None


class Plc:
    """A controller's OPC UA server; its variables keep their values while it is stopped.

    Under Line1 is all that PLC_TYPES says; under Wrong, Score has a wrong type; under Locked, Model cannot be written.

    Attributes:
        writes: each request to write, with values by names.
        channels: the security policy and mode of each connection that wrote, without repetitions.
    """

    def __init__(
        self,
        policies: Sequence[ua.SecurityPolicyType] = (ua.SecurityPolicyType.NoSecurity,),
        made: Made | None = None,
    ) -> None:
        self.port = free_port()
        self.writes: list[dict[str, Any]] = []
        self.channels: dict[tuple[str, str], None] = {}
        self._policies, self._made_of = list(policies), made
        self._loop = LoopThread("controller")

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def make(self) -> Plc:
        self._loop.run(self._make(), DEADLINE_S)
        return self

    def stop(self) -> None:
        """Listen no more, and end all connections."""
        self._loop.run(self._server.bserver.stop(), DEADLINE_S)

    def start(self) -> None:
        self._loop.run(self._server.bserver.start(), DEADLINE_S)

    def close(self) -> None:
        self._loop.run(self._server.stop(), DEADLINE_S)
        self._loop.close()

    def values(self) -> dict[str, Any]:
        return self._loop.run(self._values(), DEADLINE_S)

    def written_ids(self) -> list[int]:
        return [each["InspectionId"].Value.Value for each in self.writes if "InspectionId" in each]

    def forget(self) -> None:
        """Begin as if nothing had been written."""
        self.writes.clear()
        self.channels.clear()

    @contextmanager
    def letting_in(self, users: Any) -> Iterator[None]:
        """Ask for a user."""
        self._server.iserver.set_user_manager(users)
        try:
            yield
        finally:
            self._server.iserver.set_user_manager(PermissiveUserManager())

    @contextmanager
    def validating(self, validator: Any) -> Iterator[None]:
        """Look at the certificates of clients."""
        self._server.iserver.certificate_validator = validator
        try:
            yield
        finally:
            self._server.iserver.certificate_validator = None

    @contextmanager
    def offering(self, *modes: ua.MessageSecurityMode, **changes: Any) -> Iterator[None]:
        """Offer nothing but what has one of these modes, with other values."""
        iserver = self._server.iserver
        before = iserver.endpoints
        iserver.endpoints = [replace(each, **changes) for each in before if each.SecurityMode in modes]
        try:
            yield
        finally:
            iserver.endpoints = before

    async def _make(self) -> None:
        self._server = server = Server()
        server.disable_clock()  # which takes a second to stop
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy(self._policies)
        if self._made_of is not None:
            await server.load_certificate(self._made_of.path)
            await server.load_private_key(self._made_of.key_path)
        await server.register_namespace("urn:controller")
        for line, changed in (("Locked", {}), ("Wrong", {"Score": ua.VariantType.Int16}), ("Line1", {})):
            self._nodes = {}
            for name, kind in (PLC_TYPES | changed).items():
                node = await server.nodes.objects.add_variable(
                    ua.NodeId(f"{line}.{name}", 2), ua.QualifiedName(name, 2), _EMPTY.get(kind, 0), varianttype=kind
                )
                if (line, name) != ("Locked", "Model"):
                    await node.set_writable()
                self._nodes[name] = node
        await server.start()
        write = server.iserver.attribute_service.write

        async def kept(params: Any, *rest: Any, **named: Any) -> Any:
            self.writes.append({str(each.NodeId.Identifier).split(".")[-1]: each.Value for each in params.NodesToWrite})
            for each in server.bserver.clients:
                policy = each.processor._connection.security_policy
                self.channels[policy.URI.rpartition("#")[2], policy.Mode.name] = None
            return await write(params, *rest, **named)

        server.iserver.attribute_service.write = kept

    async def _values(self) -> dict[str, Any]:
        return {name: await node.read_value() for name, node in self._nodes.items()}
