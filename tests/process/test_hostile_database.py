# SPDX-License-Identifier: BSD-2-Clause
"""Watch and a server that speaks the MySQL protocol, but not as a database would."""
import os
import struct

import pytest

from support.acceptor import Acceptor
from support.mariadb import free_port, wait_for
from support.noah import Noah, local_address

CAPABILITIES = 0x000FF7FE  # no CLIENT_MYSQL: a MariaDB; protocol 4.1, plugin names, no DEPRECATE_EOF


def packet(sequence, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload


def greeting(version=b"5.5.5-10.11.6-MariaDB"):
    return packet(0, b"\x0a" + version + b"\0" + struct.pack("<I", 7) + b"12345678\0" + struct.pack("<H", CAPABILITIES & 0xFFFF)
                  + b"\x2d" + struct.pack("<HH", 2, CAPABILITIES >> 16) + b"\x15" + b"\0" * 10 + b"abcdefghijkl\0"
                  + b"mysql_native_password\0")


OK = b"\0\0\0\2\0\0\0"
EOF = b"\xfe\0\0\2\0"


def text(value):
    return bytes([len(value)]) + value


def rows(columns, *lines):
    column = text(b"def") + text(b"") * 3 + text(b"x") + text(b"") + b"\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"
    packets = [bytes([columns])] + [column] * columns + [EOF, *lines, EOF]
    return b"".join(packet(number + 1, part) for number, part in enumerate(packets))


class Server:
    """Lets everybody in; the first query gets `answer`, the next ones no rows."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0
        self.acceptor = Acceptor(local_address(), self.talk)
        self.address, self.port, self.place = self.acceptor.address, self.acceptor.port, self.acceptor.place

    def talk(self, client):
        try:
            with client:
                client.settimeout(20)
                client.sendall(greeting())
                client.recv(4096)
                client.sendall(packet(2, OK))
                client.recv(4096)
                self.asked += 1
                client.sendall(self.answer)
                while client.recv(4096):
                    client.sendall(rows(1))
        except OSError:
            pass


@pytest.fixture(name="make_server")
def servers():
    made = []

    def make(answer):
        made.append(Server(answer))
        return made[-1]
    yield make
    for server in made:
        server.acceptor.close()


def cluster_file(directory, server):
    front = local_address()
    secret = os.path.join(str(directory), "password")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("secret\n")
    os.chmod(secret, 0o600)
    return f"""
cluster: test
servers:
  front: {{ address: {front} }}
  db1: {{ address: {server.address} }}
databases:
  main:
    servers: [db1:{server.port}]
    on: [front]
    listen: ["{front}:{free_port(front)}"]
    account: {{ user: noah, password_file: {secret} }}
    check: {{ every: 300ms, timeout: 300ms, rise: 1, fall: 2 }}
"""


@pytest.mark.parametrize("answer", [
    rows(1, text(b"0")),                                    # fewer columns than were asked for
    rows(3, text(b"0") + text(b"1") + text(b"")),
    rows(4),                                                # no row
    rows(200, text(b"0") * 200),
    packet(1, b"\xfc\xff\xff"),                             # 65,535 columns, and none comes
    packet(1, b"\xfb/etc/shadow"),                          # wants a file of ours
    packet(1, b""),
    b"\xff\xff\xff\x01" + b"x" * 1000,
    b"\0" * 200000,
], ids=["one column", "three columns", "no row", "200 columns", "columns that never come", "local infile", "empty", "16 MB", "zeros"])
def test_answers_that_are_none_leave_the_server_down(tmp_path, make_server, answer):
    server = make_server(answer)
    with Noah(tmp_path, cluster_file(tmp_path, server)) as noah:
        wait_for(lambda: server.asked >= 3, 20, "three questions")
        assert noah.target(server.place)["health"] == "down"
        assert noah.database("main")["primary"] is None
        assert all(process["restarts"] == 0 for process in noah.status()["processes"])


def test_what_it_says_does_not_reach_the_terminal(tmp_path, make_server):
    words = b"\x1b]0;gotcha\x07\x1b[2J" + b"caf\xe9 " + "é".encode() * 90
    server = make_server(packet(1, b"\xff\x15\x04#28000" + words))
    with Noah(tmp_path, cluster_file(tmp_path, server)) as noah:
        wait_for(lambda: "it says" in noah.target(server.place)["reason"], 20, "its words")
        reason = noah.target(server.place)["reason"]
        assert "gotcha" in reason and "ééé" in reason  # not thrown away as a whole
        assert reason.isprintable()
        shown = noah.command("status").stdout
        assert "gotcha" in shown and "\x1b" not in shown and "\x07" not in shown
