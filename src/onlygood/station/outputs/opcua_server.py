"""Verdicts in the station's own OPC UA variables; `opcua_nodes` says which holds what.

Clients read and subscribe, `opcua_admission` says which; none can write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua.common.node import Node
from asyncua.server.server import Server
from asyncua.ua import DataValue, NodeId, QualifiedName, SecurityPolicyType, Variant

from onlygood._version import __version__
from onlygood.station.outputs.controller_writer import HEARTBEAT_S
from onlygood.station.outputs.library_logs import silence
from onlygood.station.outputs.listening import check_free, not_listening
from onlygood.station.outputs.loop_thread import LoopThread
from onlygood.station.outputs.opcua import address_of
from onlygood.station.outputs.opcua_admission import Sessions, tokens
from onlygood.station.outputs.opcua_identity import identity
from onlygood.station.outputs.opcua_nodes import HEARTBEAT, VARIABLES, Variable
from onlygood.station.outputs.opcua_trust import Trust
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import PKI_FOLDER, OpcUaOutput

NAMESPACE = "urn:onlygood:station"
OBJECT = "onlygood"
# Making the address space takes the library seconds on a small computer.
_START_S = 120.0
_END_S = 30.0
silence("asyncua")


class OpcUaVariables:
    """An OPC UA server with one object, whose variables hold the last inspection, and a heartbeat."""

    kind = "opcua"

    def __init__(self, settings: OpcUaOutput, data: Path, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        """Nothing listens before `open`.

        Args:
            settings: the address to listen at, and who is let in.
            data: the station's data folder, in which certificates are.
            heartbeat_s: between two heartbeats.

        Raises:
            SettingError: an address that cannot be used.
        """
        self.name = settings.name
        self._settings, self._address = settings, address_of(settings)
        self._pki = (data / PKI_FOLDER).absolute()
        self._heartbeat_s = heartbeat_s
        # Both on the loop's thread alone.
        self._server: Server | None = None
        self._nodes: dict[str, Node] = {}
        self._loop: LoopThread | None = None

    def open(self) -> None:
        """Listen, and begin with the heartbeat.

        Raises:
            OutputError: the port is taken, or may not be used, or the certificate cannot be used.
            WriteError: the certificate of the station cannot be written.
        """
        if self._loop is not None:
            return
        self._loop = LoopThread(f"opcua {self.name}")
        try:
            self._loop.run(self._listen(), _START_S)
        except BaseException:
            self._loop.close()
            self._loop = self._server = None
            raise
        self._loop.begin(self._beat())

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Show one after another.

        Raises:
            OutputError: see `open`.
        """
        self.open()
        assert self._loop is not None, "open listens"
        for record in records:
            self._loop.run(self._show(record), _END_S)

    def check(self) -> None:
        """Nothing to do: who listens loses nothing."""

    def close(self) -> None:
        """End all connections, and listen no more."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            try:
                loop.run(self._end(), _END_S)
            finally:
                loop.close()

    async def _listen(self) -> None:
        host, port = self._address
        settings = self._settings
        own = identity(settings, self._pki) if settings.security_policy != "None" else None
        check_free(host, port, output=self.name, setting="url")  # what follows takes more than a second
        trust = Trust(self._pki)
        if own is not None:
            trust.make_folders()
        server = Server(Sessions(settings, trust))
        await server.init()
        server.set_endpoint(settings.url)
        server.set_server_name("onlygood station")
        server.product_uri = "https://pypi.org/project/onlygood"
        policies = []
        if own is None or settings.offers_none:
            policies.append(SecurityPolicyType.NoSecurity)
        if own is not None:
            await server.load_certificate(own.certificate_der, "der")
            await server.load_private_key(own.private_key_der, format="der")
            await server.set_application_uri(own.uri)
            policies.append(SecurityPolicyType[f"{settings.security_policy}_{settings.security_mode}"])
        server.set_security_policy(policies)
        server.set_identity_tokens(tokens(settings))
        # Else who calls himself "admin" may do everything, without a password.
        server.allow_remote_admin(False)
        now = datetime.now(UTC)
        await server.set_build_info(server.product_uri, "onlygood", "onlygood station", __version__, "0", now)
        index = await server.register_namespace(NAMESPACE)
        station = await server.nodes.objects.add_object(
            NodeId.from_string(f"ns={index};s={OBJECT}"), QualifiedName(OBJECT, index)
        )
        for variable in VARIABLES:
            self._nodes[variable.name] = await station.add_variable(
                NodeId.from_string(f"ns={index};s={OBJECT}.{variable.name}"),
                QualifiedName(variable.name, index),
                variable.before,
                varianttype=variable.type,
            )
        try:
            await server.start()
        except OSError as error:
            raise not_listening(host, port, error, output=self.name, setting="url") from error
        self._server = server

    async def _end(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop()

    async def _beat(self) -> None:
        number = 0
        heartbeat = next(variable for variable in VARIABLES if variable.name == HEARTBEAT)
        while True:
            number = (number + 1) & 0xFFFFFFFF
            await self._write(heartbeat, number, datetime.now(UTC))
            await asyncio.sleep(self._heartbeat_s)

    async def _show(self, record: InspectionRecord) -> None:
        age = datetime.now(UTC) - record.at
        for variable in VARIABLES:
            if variable.value is not None:
                value = variable.value(record, age)
                await self._write(variable, min(value, 0xFFFFFFFF) if variable.name == "AgeMs" else value, record.at)

    async def _write(self, variable: Variable, value: Any, at: datetime) -> None:
        """Set a variable; the source's time of an inspection's values is that of the inspection."""
        times: dict[str, Any] = {"SourceTimestamp": at, "ServerTimestamp": datetime.now(UTC)}
        await self._nodes[variable.name].write_value(DataValue(Variant(value, variable.type), **times))
