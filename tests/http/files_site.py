# SPDX-License-Identifier: BSD-2-Clause
"""A site of files for tests: a directory of its own that the unprivileged processes may read, one noah before it, and visitors who
say exactly what they are told to."""
import contextlib
import os
import re
import shutil
import socket
import tempfile

from support.noah import Noah, free_port, local_address, wait_for

SETTLED = 1000000000  # a time at which a file may have been written so that what is read of it may be kept


class Answer:
    def __init__(self, raw, head_only=False):
        head, separator, rest = raw.partition(b"\r\n\r\n")
        assert separator, raw[:200]
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.pairs = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines[1:])]
        self.fields = dict(self.pairs)
        self.rest, self.body = b"", rest
        if self.fields.get("transfer-encoding") == "chunked" and not head_only:
            self.body = unchunk(rest)
        elif not head_only and "content-length" in self.fields:
            size = int(self.fields["content-length"])
            self.body, self.rest = rest[:size], rest[size:]
            self.whole = len(self.body) == size


def unchunk(rest):
    body = b""
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line, 16)
        if size == 0:
            return body
        body, rest = body + rest[:size], rest[size + 2:]


class FilesSite:
    """`static` is what stands in `static: {...}` behind the root; `site` more lines of the site, `more` of the file."""

    def __init__(self, directory, static="", site="", more="", servers="", start=True, threads=1, root=None, log_format="combined"):
        self.place = tempfile.mkdtemp(prefix="noah-www-")
        os.chmod(self.place, 0o755)
        self.root = root or os.path.join(self.place, "root")
        os.makedirs(self.root, exist_ok=True)
        self.address = local_address()
        self.port = free_port(self.address)
        self.log_file = os.path.join(str(directory), "access.log")
        self.static, self.site, self.more, self.servers, self.log_format = static, site, more, servers, log_format
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)], start=start)

    def text(self):
        return f"""
cluster: example.com
servers:
  front: {{ address: {self.address} }}
{self.servers}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}"]
    static: {{ root: {self.root}{self.static} }}
{self.site}
{self.more}
log: {{ access: {self.log_file}, format: {self.log_format} }}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        try:
            self.noah.__exit__(kind, *ignored)
        finally:
            shutil.rmtree(self.place, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, content, settled=True):
        """Writes a file below the root; `settled`: with a time long ago."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, 0o644)
        if settled:
            os.utime(path, (SETTLED, SETTLED))
        return path

    def socket(self, timeout=30):
        return socket.create_connection((self.address, self.port), timeout)

    def raw(self, request, timeout=30):
        """All bytes that come as an answer."""
        with contextlib.closing(self.socket(timeout)) as visitor:
            visitor.sendall(request)
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := visitor.recv(65536):
                    got += piece
            return got

    def ask(self, target, method="GET", host="example.com", timeout=30, **fields):
        """Keyword arguments are fields: if_none_match="…"."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        request = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        return Answer(self.raw(request.encode("latin-1"), timeout), head_only=method == "HEAD")

    def wait_for_log(self, pattern, seconds=5):
        def found():
            with open(self.log_file, encoding="utf-8") as file:
                return re.search(pattern, file.read())
        wait_for(found, seconds, f"{pattern} in the access log")


def replace(path, content):
    """By rename, as careful programs write."""
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)
