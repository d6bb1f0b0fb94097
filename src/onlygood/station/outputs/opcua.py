"""Verdicts into a controller's OPC UA variables; `opcua_nodes` says which holds what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asyncua.client.client import Client
from asyncua.common.node import Node
from asyncua.ua import DataValue, NodeId, StatusCode, Variant, VariantType
from asyncua.ua.uaerrors import BadNodeIdUnknown, UaError

from onlygood.errors import OutputError, SettingError
from onlygood.station.outputs.controller_writer import HEARTBEAT_S, ControllerWriter
from onlygood.station.outputs.library_logs import silence
from onlygood.station.outputs.opcua_client import connected, disconnected, reason_of
from onlygood.station.outputs.opcua_identity import identity
from onlygood.station.outputs.opcua_nodes import HEARTBEAT, NEEDED, VARIABLES, Variable, converted, fits, suitable
from onlygood.station.outputs.opcua_trust import Trust
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import PKI_FOLDER, OpcUaOutput

# For what needs several requests, each of which ends in its own time, after a connection that may take several.
_MARGIN_S = 30.0
_log = logging.getLogger("onlygood.station")
silence("asyncua")


class OpcUaWriter(ControllerWriter["_Connection"]):
    """Writes each inspection into a controller's variables, and a heartbeat beside them every second."""

    kind = "opcua"

    def __init__(self, settings: OpcUaOutput, data: Path, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        """Nothing is connected before `open`.

        Args:
            settings: where the controller is, and how its variables begin.
            data: the station's data folder, in which certificates are.
            heartbeat_s: between two heartbeats.

        Raises:
            SettingError: an address or a prefix that cannot be used.
        """
        super().__init__(settings.name, heartbeat_s=heartbeat_s, patience_s=3 * settings.timeout_s + _MARGIN_S)
        self._settings = settings
        self._heartbeat = 0
        self._pki = (data / PKI_FOLDER).absolute()
        self._trust = Trust(self._pki)
        host, port = address_of(settings)
        self._shown = f"the controller {host}:{port} of output {settings.name!r}"
        try:
            NodeId.from_string(node_id(settings.node_prefix, HEARTBEAT))
        except (UaError, ValueError) as error:
            raise SettingError(
                f"the node_prefix of output {self.name!r} must be like ns=2;s=onlygood, got {settings.node_prefix!r}: "
                f"give the namespace and the beginning of the variables' names"
            ) from error

    async def _connected(self) -> _Connection:
        client = await connected(self._settings, self._trust, lambda: identity(self._settings, self._pki), self._shown)
        connection = _Connection(client, [])
        try:
            connection.targets.extend(await self._found(client))
            await self._beat_once(connection)
        except BaseException:
            await disconnected(client, self._settings.timeout_s)
            raise
        return connection

    async def _found(self, client: Client) -> list[_Target]:
        """The controller's variables, with their types."""
        found, missing = [], []
        for variable in VARIABLES:
            node = client.get_node(node_id(self._settings.node_prefix, variable.name))
            try:
                kind = await node.read_data_type_as_variant_type()
            except BadNodeIdUnknown:
                missing.append(variable.name)
                continue
            except (UaError, OSError, TimeoutError) as error:
                raise self._failed("tells no type of", variable, reason_of(error), "look after it") from error
            if not fits(variable, kind):
                raise self._failed("has another type for", variable, kind.name, f"make it {suitable(variable)}")
            found.append(_Target(variable, node, kind))
        needed = [name for name in missing if name in NEEDED]
        if needed:
            raise OutputError(
                f"{self._shown} has no variable {node_id(self._settings.node_prefix, needed[0])}: "
                f"add {', '.join(needed)}, or give another node_prefix"
            )
        if missing:
            _log.info("%s has no %s, which are not written", self._shown, ", ".join(missing))
        return found

    async def _beat_once(self, connection: _Connection) -> None:
        self._heartbeat += 1
        beats = [target for target in connection.targets if target.variable.name == HEARTBEAT]
        await self._write(connection, beats, [self._heartbeat])

    async def _disconnect(self, connection: _Connection) -> None:
        connection.problem = connection.problem or f"{self._shown} was disconnected"
        await disconnected(connection.client, self._settings.timeout_s)

    async def _hand_over(self, connection: _Connection, record: InspectionRecord) -> None:
        age = datetime.now(UTC) - record.at
        targets, values = [], []
        for target in connection.targets:
            if target.variable.value is not None:
                targets.append(target)
                values.append(target.variable.value(record, age))
        try:
            await self._write(connection, targets, values)
        except OutputError as error:
            connection.problem = str(error)
            raise

    async def _write(self, connection: _Connection, targets: Sequence[_Target], values: Sequence[Any]) -> None:
        """Write values in one request.

        Raises:
            OutputError: the controller did not answer, or refuses one of them.
        """
        try:
            statuses: list[StatusCode] = await asyncio.wait_for(
                connection.client.write_values(
                    [target.node for target in targets],
                    [
                        bare(converted(target.variable, value, target.kind), target.kind)
                        for target, value in zip(targets, values, strict=True)
                    ],
                    raise_on_partial_error=False,
                ),
                self._settings.timeout_s,
            )
        except TimeoutError as error:
            raise OutputError(
                f"{self._shown} did not answer within {self._settings.timeout_s:g} s: look after it"
            ) from error
        except (UaError, OSError) as error:
            raise OutputError(f"{self._shown} closed the connection ({reason_of(error)}): look after it") from error
        for target, status in zip(targets, statuses, strict=True):
            if not status.is_good():
                raise self._failed("refuses", target.variable, status.name, "let the user write it")

    def _failed(self, what: str, variable: Variable, reason: str, remedy: str) -> OutputError:
        shown = node_id(self._settings.node_prefix, variable.name)
        return OutputError(f"{self._shown} {what} the variable {shown} ({reason}): {remedy}")


@dataclass(frozen=True)
class _Target:
    """A variable of the controller's."""

    variable: Variable
    node: Node
    kind: VariantType


@dataclass
class _Connection:
    """One connection, which is never made a second time; `problem` says why it cannot be used any more."""

    client: Client
    targets: list[_Target]
    problem: str | None = None


def node_id(prefix: str, name: str) -> str:
    """The node id of a controller's variable: {name} in the prefix stands for its name, which else follows a dot."""
    return prefix.replace("{name}", name) if "{name}" in prefix else f"{prefix}.{name}"


def address_of(settings: OpcUaOutput) -> tuple[str, int]:
    """Host and port of an address, which may be shown: without user, password and path.

    Raises:
        SettingError: it is none of OPC UA.
    """
    try:
        parts = urlsplit(settings.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme != "opc.tcp":
        raise SettingError(
            f"the url of output {settings.name!r} must be like opc.tcp://host:4840/path, got another one: mend it"
        )
    return host, port or 4840


def bare(value: Any, kind: VariantType) -> DataValue:
    """A value alone: many controllers refuse one that comes with a time or a status."""
    return DataValue(Variant(value, kind), StatusCode=None)
