#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes tests/unit/data/mysql_answers.h: real answers of a MariaDB server, byte for byte, under several capabilities.

    tests/unit/data/capture_mysql_answers.py /path/to/server.sock > tests/unit/data/mysql_answers.h

root needs no password there, and local_infile has to be on. The database `capture` is made anew. An answer is over
when the server has been silent for a moment; what it should hold is written here by hand, not taken from it.
"""
import socket
import struct
import sys

PROTOCOL_41, LONG_PASSWORD, SECURE, PLUGIN_AUTH = 1 << 9, 1, 1 << 15, 1 << 19
BASE = PROTOCOL_41 | SECURE | PLUGIN_AUTH | 1 << 2 | 1 << 7 | 1 << 13 | 1 << 16 | 1 << 17 | 1 << 18
TRACK, DEPRECATE_EOF = 1 << 23, 1 << 24
EXTENDED_METADATA, CACHE_METADATA, PROGRESS = 1 << 35, 1 << 36, 1 << 32

VARIANTS = {
    "old": BASE | LONG_PASSWORD,
    "tracking": BASE | LONG_PASSWORD | TRACK,
    "new": BASE | LONG_PASSWORD | TRACK | DEPRECATE_EOF,
    "mariadb": BASE | TRACK | DEPRECATE_EOF | EXTENDED_METADATA | CACHE_METADATA | PROGRESS,
    "mariadb old": BASE | CACHE_METADATA | PROGRESS,
}

QUERY, INIT_DB, FIELD_LIST, STATISTICS, PROCESS_INFO, DEBUG, PING, CHANGE_USER = 3, 2, 4, 9, 10, 13, 14, 17
PREPARE, EXECUTE, RESET, SET_OPTION, FETCH, RESET_CONNECTION = 0x16, 0x17, 0x1A, 0x1B, 0x1C, 0x1F
FIXED = b"\0" * 19


def execute(statement, flags=0, parameter=None):
    packet = struct.pack("<IBI", statement, flags, 1)
    if parameter is not None:
        packet += b"\0\1" + b"\xFD\0" + bytes([len(parameter)]) + parameter
    return packet


# name, command, argument, rows, results, error
SCRIPT = [
    ("select one", QUERY, b"SELECT 1", 1, 1, 0),
    ("no rows", QUERY, b"SELECT a, b FROM t WHERE a = 99", 0, 1, 0),
    ("five rows", QUERY, b"SELECT a, b, NULL FROM t ORDER BY a", 5, 1, 0),
    ("empty text", QUERY, b"SELECT ''", 1, 1, 0),
    ("insert", QUERY, b"INSERT INTO u (x) VALUES (7)", 0, 1, 0),
    ("set", QUERY, b"SET SESSION sql_mode = '', time_zone = '+01:00'", 0, 1, 0),
    ("use", QUERY, b"USE capture", 0, 1, 0),
    ("begin", QUERY, b"BEGIN", 0, 1, 0),
    ("commit", QUERY, b"COMMIT", 0, 1, 0),
    ("syntax error", QUERY, b"SELEKT 1", 0, 0, 1064),
    ("no table", QUERY, b"SELECT * FROM nothing", 0, 0, 1146),
    ("error among rows", QUERY, b"SELECT a, IF(a = 3, (SELECT a FROM t), 0) FROM t", 2, 0, 1242),
    ("several", QUERY, b"SELECT 1; INSERT INTO u (x) VALUES (8); SELECT a FROM t; SELECT 1 WHERE 0", 6, 4, 0),
    ("several with error", QUERY, b"SELECT 1; SELEKT", 1, 1, 1064),
    ("call", QUERY, b"CALL p(2)", 3, 3, 0),
    ("prepare nothing", PREPARE, b"INSERT INTO u (x) VALUES (1)", 0, 0, 0),
    ("prepare column", PREPARE, b"SELECT 1", 0, 0, 0),
    ("prepare both", PREPARE, b"SELECT a, b FROM t WHERE a > ?", 0, 0, 0),
    ("prepare parameter", PREPARE, b"INSERT INTO u (x) VALUES (?)", 0, 0, 0),
    ("prepare error", PREPARE, b"SELEKT", 0, 0, 1064),
    ("execute insert", EXECUTE, execute(1), 0, 1, 0),
    ("execute select", EXECUTE, execute(2), 1, 1, 0),
    ("execute select again", EXECUTE, execute(2), 1, 1, 0),
    ("execute with parameter", EXECUTE, execute(3, 0, b"2"), 3, 1, 0),
    ("execute with cursor", EXECUTE, execute(3, 1, b"1"), 0, 1, 0),
    ("fetch", FETCH, struct.pack("<II", 3, 2), 2, 1, 0),
    ("fetch the rest", FETCH, struct.pack("<II", 3, 20), 2, 1, 0),
    ("fetch without cursor", FETCH, struct.pack("<II", 3, 20), 0, 0, 1421),
    ("reset statement", RESET, struct.pack("<I", 3), 0, 1, 0),
    ("execute unknown", EXECUTE, execute(99), 0, 0, 1243),
    ("field list", FIELD_LIST, b"t\0", 0, 1, 0),
    ("field list error", FIELD_LIST, b"nothing\0", 0, 0, 1146),
    ("init db", INIT_DB, b"capture", 0, 1, 0),
    ("init db error", INIT_DB, b"nothing", 0, 0, 1049),
    ("ping", PING, b"", 0, 1, 0),
    ("statistics", STATISTICS, b"", 0, 0, 0),
    ("set option", SET_OPTION, b"\0\0", 0, 1, 0),
    ("process info", PROCESS_INFO, b"", None, 1, 0),
    ("debug", DEBUG, b"", 0, 1, 0),
    ("unknown command", 0x50, b"", 0, 0, 1047),
    ("change user", CHANGE_USER, b"root\0\0capture\0\x2d\0mysql_native_password\0", 0, 1, 0),
    ("change user refused", CHANGE_USER, b"nobody\0\0\0\x2d\0mysql_native_password\0", 0, 0, 1045),
]


class Connection:
    def __init__(self, path, capabilities):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.read()
        self.write(1, struct.pack("<IIB", capabilities & 0xFFFFFFFF, 1 << 24, 45) + FIXED +
                   struct.pack("<I", capabilities >> 32) + b"root\0\0mysql_native_password\0")
        answer = self.read()
        if answer[4] == 0xFE:  # the plugin that the account wants; the password is empty all the same
            self.write(answer[3] + 1, b"")
            answer = self.read()
        assert answer[4] == 0, answer

    def write(self, sequence, payload):
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload)

    def read(self):
        self.socket.settimeout(10)
        answer = b""
        while True:
            try:
                more = self.socket.recv(1 << 20)
            except (socket.timeout, ConnectionResetError):
                return answer
            if not more:
                return answer
            answer += more
            self.socket.settimeout(0.1)

    def command(self, command, argument):
        self.write(0, bytes([command]) + argument)
        answer = self.read()
        if command == CHANGE_USER and answer[4] == 0xFE:  # asks for the password again; what follows belongs to it
            self.write(answer[3] + 1, b"")
            answer += self.read()
        return answer


def main():
    path = sys.argv[1]
    setup = Connection(path, VARIANTS["new"])
    for statement in ("DROP DATABASE IF EXISTS capture", "CREATE DATABASE capture", "USE capture",
                      "CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(20))", "CREATE TABLE u (x INT)",
                      "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, ''), (5, 'five')",
                      "CREATE PROCEDURE p(n INT) BEGIN SELECT a FROM t LIMIT n; SELECT 1; END"):
        assert setup.command(QUERY, statement.encode())[4] == 0, statement
    print("/* Made by capture_mysql_answers.py from MariaDB 10.11: name, capabilities, command, rows (-1: any), results,\n"
          " * error, the answer in hexadecimal. */")
    for variant, capabilities in VARIANTS.items():
        connection = Connection(path, capabilities)
        connection.command(INIT_DB, b"capture")
        prepared = {}
        for name, command, argument, rows, results, error in SCRIPT:
            if command in (EXECUTE, FETCH, RESET):  # the script counts what it prepared; the server has its own numbers
                number, = struct.unpack_from("<I", argument)
                argument = prepared.get(number, b"\xEE\0\0\0") + argument[4:]
            answer = connection.command(command, argument)
            if command == PREPARE and answer[4] == 0:
                prepared[len(prepared) + 1] = answer[5:9]
            print('{ "%s, %s", 0x%x, 0x%x, %d, %d, %d,' %
                  (variant, name, capabilities, command, -1 if rows is None else rows, results, error))
            text = answer.hex()
            for at in range(0, len(text), 112):
                print('  "%s"%s' % (text[at:at + 112], " }," if at + 112 >= len(text) else ""))


main()
