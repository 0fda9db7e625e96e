"""A TLS server and client in one process."""
import hashlib, os, socket, ssl, threading
cert = os.environ["CERT"]
server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); server.load_cert_chain(cert)
client = ssl.create_default_context(cafile=cert)
data = bytes(range(256)) * 8192
def serve(listener):
    for _ in range(3):
        with server.wrap_socket(listener.accept()[0], server_side=True) as s:
            digest, left = hashlib.sha256(), len(data)
            while left:
                chunk = s.recv(65536); digest.update(chunk); left -= len(chunk)
            s.sendall(digest.hexdigest().encode())
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    client.minimum_version = client.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        t = threading.Thread(target=serve, args=(listener,)); t.start()
        for _ in range(3):
            with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as s:
                s.sendall(data); print(s.version(), s.recv(64).decode())
        t.join()
print(ssl.RAND_status(), len(ssl.RAND_bytes(32)), hashlib.sha3_256(data).hexdigest(), hashlib.scrypt(b"p", salt=b"s", n=1024, r=8, p=1).hex()[:32])
