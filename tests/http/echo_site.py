# SPDX-License-Identifier: BSD-2-Clause
"""A site whose app answers with what came to it, and visitors from addresses of their choice (all of 127.0.0.0/8 is here)."""
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

from support.noah import Noah, free_port, local_address, wait_for


class Echo(http.server.ThreadingHTTPServer):
    """Answers every request with its method, path and fields (a list of pairs: none hides another) as JSON."""
    daemon_threads = True
    request_queue_size = 128

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):  # noqa: N802 (the library's name)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({"method": self.command, "path": self.path, "fields": self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_PUT = do_OPTIONS = do_GET

        def log_message(self, *ignored):
            pass

    def __init__(self):
        super().__init__((local_address(), 0), Echo.Handler)
        self.address, self.port = self.server_address
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body
        self.seen = json.loads(body) if body.startswith(b'{"method"') else None

    def all(self, name):
        """Every value of a field that came to the app."""
        assert self.seen is not None, f"{self.status}: {self.body[:300]}"
        return [value for key, value in self.seen["fields"] if key.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None


class EchoSite:
    """`site` are lines for the site, in which {directory} is the test's, `more` what stands beside `sites`. It listens plain and, with
    tls=True, with TLS too."""

    def __init__(self, directory, site="", more="", tls=False, threads=2):
        self.directory = str(directory)
        self.app = Echo()
        self.address = local_address()
        self.port = free_port(self.address)
        self.secure_port = free_port(self.address)
        self.site, self.more, self.tls = site, more, tls
        self.log_file = os.path.join(self.directory, "access.log")
        self.noah = Noah(self.directory, self.text(), arguments=["--threads", str(threads)])

    def text(self, site=None, more=None):
        listen = f'"{self.address}:{self.port}"'
        certificate = ""
        if self.tls:
            listen += f', "https:{self.address}:{self.secure_port}"'
            certificate = "    certificate: self-signed\n"
        lines = (self.site if site is None else site).replace("{directory}", self.directory)
        return f"""
cluster: example.com
servers:
  front: {{ address: {self.address} }}
  app: {{ address: {self.app.address} }}
sites:
  example.com:
    on: [front]
    listen: [{listen}]
    apps: [app:{self.app.port}]
    check: {{ tcp: true, every: 1s, timeout: 1s, rise: 1, fall: 20 }}
    timeouts: {{ connect: 1s, answer: 30s, request: 2s, idle: 30s }}
{certificate}{lines}
{self.more if more is None else more}
log: {{ access: {self.log_file} }}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        try:
            self.noah.__exit__(kind, *ignored)
        finally:
            self.app.shutdown()
            self.app.server_close()

    def get(self, path="/", fields=(), source="127.0.0.1", method="GET", host="example.com"):
        connection = http.client.HTTPConnection(self.address, self.port, timeout=30, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in [("Host", host), *fields]:
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def curl(self, path="/", fields=(), source="127.0.0.1", secure=False, options=(), to=None):
        """With curl, over HTTP/2 if noah speaks TLS; to noah or to another address and port. The status is 0 when there was no answer."""
        address, port = to or (self.address, self.secure_port if secure else self.port)
        url = f"{'https' if secure else 'http'}://example.com:{port}{path}"
        command = ["curl", "-sS", "-i", "--max-time", "20", "--interface", source, "--resolve", f"example.com:{port}:{address}"]
        if secure:
            command += ["--insecure", "--http2"]
        for name, value in fields:
            command += ["-H", f"{name}: {value}"]
        result = subprocess.run([*command, *options, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=40, check=False)
        if result.returncode != 0:
            return Answer(0, {}, result.stderr)
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert not secure or to or lines[0].startswith("HTTP/2"), lines[0]
        return Answer(int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body)

    def log(self):
        with open(self.log_file, encoding="utf-8") as file:
            return file.read()

    def wait_for_log(self, pattern, seconds=10):
        wait_for(lambda: re.search(pattern, self.log(), re.M), seconds, f"{pattern} in the access log")


class Haproxy:
    """Debian's HAProxy with these sections; ends with the block."""

    def __init__(self, directory, sections):
        self.file = os.path.join(str(directory), "haproxy.cfg")
        with open(self.file, "w", encoding="ascii") as file:
            file.write("global\n  nbthread 1\ndefaults\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n" + sections)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", self.file])
        return self

    def __exit__(self, *ignored):
        self.process.kill()
        self.process.wait()
