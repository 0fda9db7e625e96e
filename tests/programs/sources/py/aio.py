"""asyncio: server and 200 clients, streams, timers, executors, signals, queues, unix sockets."""
import asyncio, hashlib, os, signal
async def handle(reader, writer):
    while line := await reader.readline():
        writer.write(hashlib.md5(line).hexdigest().encode() + b"\n"); await writer.drain()
    writer.close()
async def client(port, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    out = []
    for i in range(20):
        writer.write(f"{n}:{i}\n".encode()); await writer.drain(); out.append(await reader.readline())
    writer.close(); await writer.wait_closed()
    return hashlib.md5(b"".join(out)).hexdigest()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=512)
    port = server.sockets[0].getsockname()[1]
    answers = await asyncio.gather(*(client(port, n) for n in range(200)))
    print(len(answers), hashlib.md5("".join(answers).encode()).hexdigest())
    server.close(); await server.wait_closed()
    unix = await asyncio.start_unix_server(handle, "sock")
    r, w = await asyncio.open_unix_connection("sock"); w.write(b"x\n"); print(await r.readline()); w.close(); unix.close()
    loop = asyncio.get_running_loop(); got = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set); os.kill(os.getpid(), signal.SIGUSR1); await asyncio.wait_for(got.wait(), 5); print("signal")
    print(await asyncio.gather(*(loop.run_in_executor(None, sum, range(n * 1000)) for n in range(10))))
    try: await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError: print("timeout")
    q = asyncio.Queue(3)
    async def produce():
        for i in range(100): await q.put(i)
        await q.put(None)
    async def consume():
        s = 0
        while (i := await q.get()) is not None: s += i
        return s
    print((await asyncio.gather(produce(), consume()))[1])
    transport, proto = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)); transport.close(); print("datagram")
asyncio.run(main()); os.remove("sock")
