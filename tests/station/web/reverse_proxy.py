"""A small reverse proxy: what it is sent goes on to a station, with headers that say for whom."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Of a request: the lines of its head, without the first one and the empty one at the end, and where it came from.
Change = Callable[[list[bytes], str], list[bytes]]


def forwarding(scheme: str = "https", *, client: str | None = None) -> Change:
    """Adds whom it asks for to X-Forwarded-For, as nginx does with $proxy_add_x_forwarded_for, and says the scheme.

    Args:
        scheme: which it says.
        client: whose address it says; that which the connection comes from unless given.
    """

    def change(lines: list[bytes], address: str) -> list[bytes]:
        before = [line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"x-forwarded-for:")]
        kept = [line for line in lines if not line.lower().startswith((b"x-forwarded-for:", b"x-forwarded-proto:"))]
        chain = b", ".join([*before, (client or address).encode()])
        return [*kept, b"X-Forwarded-For: " + chain, b"X-Forwarded-Proto: " + scheme.encode()]

    return change


@contextmanager
def reverse_proxy(
    port: int, change: Change, *, context: ssl.SSLContext | None = None, source: str = "127.0.0.1"
) -> Iterator[int]:
    """The port of a proxy, while it lasts. It changes the first request of each connection, and closes after it.

    Args:
        port: of the station.
        change: of the head of a request.
        context: for HTTPS.
        source: the address from which it asks the station.
    """
    loop = asyncio.new_event_loop()
    under_way: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()

    async def ask(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = head[:-4].split(b"\r\n")
        if not any(line.lower().startswith(b"upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith(b"connection:")] + [b"Connection: close"]
        lines = change(lines, writer.get_extra_info("peername")[0])
        there, back = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            back.write(b"\r\n".join([first, *lines]) + b"\r\n\r\n")
            both = [asyncio.ensure_future(pass_on(*ends)) for ends in ((reader, back), (there, writer))]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        finally:
            back.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await ask(await reader.readuntil(b"\r\n\r\n"), reader, writer)
                await writer.drain()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            writer.transport.abort()
            under_way.discard(task)

    async def end(server: asyncio.Server) -> None:
        server.close()
        for task in list(under_way):
            task.cancel()
        while under_way:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # transports that were aborted close in the next turn

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(server), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
