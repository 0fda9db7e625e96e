"""A small HTTP server on asyncio; SIGTERM ends it with status 0."""
import asyncio, signal, sys
async def handle(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = b"path " + head.split()[1] + b"\n"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body); await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError): writer.close()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", int(sys.argv[1]), backlog=200); ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait(); server.close()
asyncio.run(main())
