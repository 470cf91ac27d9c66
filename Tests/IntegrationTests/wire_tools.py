"""Certificates, front and upstream proxies, and raw sockets for the tests of the wire."""
import contextlib
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

from harness import Process, Serve, free_port, http, reachable, wait_until


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """A private certificate authority in a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.certificate = self.directory / "ca.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                "-keyout", self.directory / "ca.key", "-out", self.certificate, "-subj", "/CN=Tollgate test CA")

    def issue(self, file, names, address=True):
        """(certificate, key) files for DNS names, and for 127.0.0.1; issuing again replaces them."""
        base = self.directory / file
        key, request, certificate = (base.with_suffix(s) for s in (".key", ".csr", ".crt"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                "-subj", f"/CN={names[0]}")
        extensions = base.with_suffix(".ext")
        extensions.write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + (",IP:127.0.0.1" if address else ""))
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.directory / "ca.key",
                "-CAcreateserial", "-out", certificate, "-days", 30, "-extfile", extensions)
        return certificate, key

    def context(self, **options):
        return ssl.create_default_context(cafile=str(self.certificate), **options)


class TLSServe(Serve):
    """A proxy that terminates TLS."""

    def __init__(self, dev, authority, certificates, **env):
        self.authority = authority
        super().__init__(
            dev, TLS_CERT=",".join(str(c) for c, _ in certificates), TLS_KEY=",".join(str(k) for _, k in certificates),
            **env)
        self.root = self.root.replace("http://", "https://")
        self.base = self.base.replace("http://", "https://")

    def ready(self):
        if self.process.child.poll() is not None:
            raise AssertionError("tollgate serve ended:\n" + self.process.output()[-6000:])
        return reachable(self.port) and self.curl("/api/ready", "-o", "/dev/null", "-w", "%{http_code}").stdout == "200"

    def curl(self, path, *options):
        return subprocess.run(
            ["curl", "-sS", "--cacert", str(self.authority.certificate), *map(str, options),
             f"https://127.0.0.1:{self.port}{path}"], capture_output=True, text=True, timeout=60)

    def handshake(self, name, context=None):
        """(certificate in DER, TLS version, cipher) that a client of this name sees."""
        context = context or self.authority.context()
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.getpeercert(True), secure.version(), secure.cipher()[0]


class Nginx:
    """nginx in front of one port: plain, or with TLS (and HTTP/2)."""

    def __init__(self, directory, port, tls=None, http2=False):
        self.port = free_port()
        base = pathlib.Path(directory) / f"nginx-{self.port}"
        base.mkdir()
        base.chmod(0o777)
        listen = f"127.0.0.1:{self.port}" + (" ssl" if tls else "") + (" http2" if http2 else "")
        secure = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
        paths = " ".join(f"{k}_temp_path {base}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.log = base / "access.log"
        # Its workers must reach the test's directories.
        user = "user root;" if os.geteuid() == 0 else ""
        (base / "nginx.conf").write_text(f"""
{user} worker_processes 1; daemon off; pid {base}/pid; error_log {base}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log {self.log}; {paths} client_max_body_size 30m; keepalive_requests 100000;
  upstream behind {{ server 127.0.0.1:{port}; keepalive 64; }}
  server {{ listen {listen}; {secure} location / {{
    proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_buffering off; }} }} }}""")
        self.process = Process(
            ["nginx", "-c", base / "nginx.conf", "-p", base], os.environ.copy(), base / "out.log")
        wait_until(lambda: reachable(self.port), 10, "nginx")

    def protocols(self):
        return {line.split('"')[1].split()[-1] for line in self.log.read_text().splitlines()}

    def stop(self):
        return self.process.stop()


class HAProxy:
    """haproxy in front of some ports. `check`: asks /api/ready; otherwise it only notices refused connections."""

    def __init__(self, directory, ports, check):
        self.port = free_port()
        file = pathlib.Path(directory) / f"haproxy-{self.port}.cfg"
        health = "option httpchk GET /api/ready" if check else ""
        flags = "check inter 200ms fall 1 rise 1" if check else ""
        servers = "\n".join(f"  server s{port} 127.0.0.1:{port} {flags}" for port in ports)
        file.write_text(f"""
defaults
  mode http
  timeout connect 2s
  timeout check 5s
  timeout client 60s
  timeout server 60s
  retries 3
  option redispatch
frontend front
  bind 127.0.0.1:{self.port}
  default_backend back
backend back
  balance roundrobin
  {health}
{servers}
""")
        self.process = Process(["haproxy", "-f", file, "-db"], os.environ.copy(), file.with_suffix(".log"))
        wait_until(lambda: reachable(self.port), 10, "haproxy")

    def stop(self):
        self.process.child.kill()
        self.process.child.wait()


def chat(stream=False, text="hi", **more):
    return {"model": "gpt-4o-mini", "stream": stream, "messages": [{"role": "user", "content": text}], **more}


def raw_request(key, body, path="/v1/chat/completions"):
    payload = json.dumps(body).encode() if isinstance(body, dict) else body
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n").encode() + payload


def connect(port, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout)


def reset(sock):
    """Ends a connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_all(sock):
    """What comes until the end; a reset is an error."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def descriptors(process):
    """What the process has open, in words. Without its connections to the stores: the pools open them as they are
    needed, up to their sizes, and keep them."""
    proc = pathlib.Path(f"/proc/{process.child.pid}")
    settings = dict(
        entry.split("=", 1) for entry in (proc / "environ").read_text().split("\0") if "=" in entry)
    stores = {urllib.parse.urlsplit(settings[name]).port for name in ("DATABASE_URL", "REDIS_URL")}
    # Local and remote port of each inode.
    ports = {}
    for line in (proc / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports[f"socket:[{fields[9]}]"] = tuple(int(end.split(":")[1], 16) for end in fields[1:3])
    found = []
    for entry in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = os.readlink(entry)
            local, remote = ports.get(name, (0, 0))
            if remote not in stores:
                found.append(f"{local}→{remote}" if local else name)
    return found


def expect_descriptors_back(process, before):
    """Idle upstream connections go after a second, looked at every five."""
    try:
        wait_until(lambda: len(descriptors(process)) <= len(before) + 1, 20, "descriptors are back")
    except AssertionError as error:
        raise AssertionError(f"{error}: {sorted(descriptors(process))}, and before {sorted(before)}") from None


def metrics(serve):
    lines = http("GET", f"http://127.0.0.1:{serve.ops}/metrics")[2].decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] not in "#")}


def open_holds(redis, sql, user):
    ((account,),) = sql("SELECT account_id FROM account WHERE user_id = %s", user)
    return sum(field.startswith("h:") for field in redis.hkeys("a:{%d}" % account))


@contextlib.contextmanager
def load(run, workers):
    """Threads that call `run(index)` until the block ends."""
    stop = threading.Event()

    def work(index):
        while not stop.is_set():
            run(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
