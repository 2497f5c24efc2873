# SPDX-License-Identifier: BSD-2-Clause
"""A tiny client of the MySQL protocol over plain sockets, for what PyMySQL cannot do: prepared statements, cursors, several commands at
once, wrong packets, and pairs of statements by the hundred thousand.

    with Client(("127.0.0.1", 3306), "app", "secret", "shop") as client:
        assert client.query("SELECT 1") == [("1",)]
        statement = client.prepare("SELECT ?")
        assert client.execute(statement, [7]) == [(7,)]

Rows are tuples of text (None for NULL); of an execution, of what the column's type says, as far as it is needed here.
"""
import hashlib
import socket
import struct

CONNECT_WITH_DB = 1 << 3
PROTOCOL_41 = 1 << 9
TRANSACTIONS = 1 << 13
SECURE_CONNECTION = 1 << 15
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PS_MULTI_RESULTS = 1 << 18
PLUGIN_AUTH = 1 << 19
SESSION_TRACK = 1 << 23
DEPRECATE_EOF = 1 << 24
DEFAULT = (1 | 1 << 2 | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | MULTI_STATEMENTS | MULTI_RESULTS | PS_MULTI_RESULTS
           | PLUGIN_AUTH | DEPRECATE_EOF)

IN_TRANSACTION = 0x0001
AUTOCOMMIT = 0x0002
MORE_RESULTS = 0x0008
CURSOR_EXISTS = 0x0040
LAST_ROW_SENT = 0x0080

COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST, COM_STATISTICS, COM_PING = 1, 2, 3, 4, 9, 14
COM_CHANGE_USER, COM_BINLOG_DUMP = 17, 18
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE, COM_STMT_RESET = 22, 23, 24, 25, 26
COM_SET_OPTION, COM_STMT_FETCH, COM_RESET_CONNECTION = 27, 28, 31


class Failure(Exception):
    """An error packet."""

    def __init__(self, code, state, message):
        super().__init__(f"{code} ({state}): {message}")
        self.code, self.state, self.message = code, state, message


def _sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def native_reply(password, scramble):
    if not password:
        return b""
    once = _sha1(password.encode())
    mask = _sha1(scramble, _sha1(once))
    return bytes(a ^ b for a, b in zip(once, mask))


class Statement:
    def __init__(self, number, parameters, columns):
        self.number, self.parameters, self.columns = number, parameters, columns
        self.types_sent = None


class Client:
    def __init__(self, address, user, password="", database=None, capabilities=DEFAULT, plugin="mysql_native_password",
                 timeout=30, login=True):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sequence = 0
        self.capabilities = capabilities
        self.status = AUTOCOMMIT
        self.affected = self.insert_id = 0
        self.greeting = None
        if login:
            self._login(user, password, database, plugin)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        try:
            self.send_command(COM_QUIT)
        except OSError:
            pass
        self.socket.close()

    # ---- packets

    def send_packet(self, payload, sequence):
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + bytes([sequence & 255]) + payload)

    def send_command(self, number, argument=b""):
        payload = bytes([number]) + argument
        sequence = 0
        while len(payload) >= 0xFFFFFF:
            self.send_packet(payload[:0xFFFFFF], sequence)
            payload = payload[0xFFFFFF:]
            sequence += 1
        self.send_packet(payload, sequence)

    def _receive(self, size):
        while len(self.buffer) < size:
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError("the server closed the connection")
            self.buffer += more
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read_packet(self):
        whole = b""
        while True:
            header = self._receive(4)
            size = header[0] | header[1] << 8 | header[2] << 16
            self.sequence = header[3]
            whole += self._receive(size)
            if size < 0xFFFFFF:
                return whole

    @staticmethod
    def _number(data, at):
        first = data[at]
        if first < 0xFB:
            return first, at + 1
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
        return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size

    def _text(self, data, at):
        if data[at] == 0xFB:
            return None, at + 1
        size, at = self._number(data, at)
        return data[at:at + size], at + size

    @staticmethod
    def _raise(payload):
        code = struct.unpack_from("<H", payload, 1)[0]
        if payload[3:4] == b"#":
            raise Failure(code, payload[4:9].decode(), payload[9:].decode("utf-8", "replace"))
        raise Failure(code, "", payload[3:].decode("utf-8", "replace"))

    def _ok(self, payload):
        self.affected, at = self._number(payload, 1)
        self.insert_id, at = self._number(payload, at)
        self.status = struct.unpack_from("<H", payload, at)[0]

    def _is_end(self, payload):
        return payload[0] == 0xFE and len(payload) < (0xFFFFFF if self.capabilities & DEPRECATE_EOF else 9)

    def _end(self, payload):
        if self.capabilities & DEPRECATE_EOF:
            self._ok(payload)
        else:
            self.status = struct.unpack_from("<H", payload, 3)[0]

    # ---- login

    def _login(self, user, password, database, plugin):
        self.read_greeting()
        self.send_login(user, password, database, plugin)
        self._finish_login(password)

    def read_greeting(self):
        payload = self.read_packet()
        if payload[0] == 0xFF:
            self._raise(payload)
        end = payload.index(0, 1)
        self.version = payload[1:end].decode()
        self.connection_id = struct.unpack_from("<I", payload, end + 1)[0]
        first = payload[end + 5:end + 13]
        low, self.collation, self.status, high = struct.unpack_from("<HBHH", payload, end + 14)
        self.offered = low | high << 16
        self.scramble = first + payload[end + 32:end + 44]
        self.greeting = payload

    def send_login(self, user, password, database=None, plugin="mysql_native_password"):
        capabilities = self.capabilities | (CONNECT_WITH_DB if database is not None else 0)
        reply = native_reply(password, self.scramble) if plugin == "mysql_native_password" else b"whatever"
        payload = struct.pack("<IIB23x", capabilities & 0xFFFFFFFF, 1 << 30, 45) + user.encode() + b"\0" + bytes([len(reply)]) + reply
        if database is not None:
            payload += database.encode() + b"\0"
        if capabilities & PLUGIN_AUTH:
            payload += plugin.encode() + b"\0"
        self.send_packet(payload, 1)

    def _finish_login(self, password):
        payload = self.read_packet()
        if payload[0] == 0xFE:
            name, rest = payload[1:].split(b"\0", 1)
            assert name == b"mysql_native_password"
            self.scramble = rest[:20]
            self.send_packet(native_reply(password, self.scramble), self.sequence + 1)
            payload = self.read_packet()
        if payload[0] == 0xFF:
            self._raise(payload)
        self._ok(payload)

    def change_user(self, user, password="", database=""):
        reply = native_reply(password, self.scramble)
        self.send_command(COM_CHANGE_USER, user.encode() + b"\0" + bytes([len(reply)]) + reply + database.encode() + b"\0"
                          + struct.pack("<H", 45) + b"mysql_native_password\0")
        self._finish_login(password)

    # ---- text

    def command(self, number, argument=b""):
        """A command that OK, EOF or ERR answers."""
        self.send_command(number, argument)
        payload = self.read_packet()
        if payload[0] == 0xFF:
            self._raise(payload)
        if payload[0] == 0:
            self._ok(payload)
        return payload

    def send_query(self, text):
        self.send_command(COM_QUERY, text.encode() if isinstance(text, str) else text)

    def read_result(self):
        """Rows of one result, None for an OK."""
        payload = self.read_packet()
        if payload[0] == 0xFF:
            self._raise(payload)
        if payload[0] == 0:
            self._ok(payload)
            return None
        columns, _ = self._number(payload, 0)
        self._skip_columns(columns)
        rows = []
        while True:
            payload = self.read_packet()
            if payload[0] == 0xFF:
                self._raise(payload)
            if self._is_end(payload):
                self._end(payload)
                return rows
            row, at = [], 0
            for _ in range(columns):
                value, at = self._text(payload, at)
                row.append(None if value is None else value.decode("utf-8", "replace"))
            rows.append(tuple(row))

    def _skip_columns(self, columns):
        self.columns = []
        for _ in range(columns):
            payload = self.read_packet()
            at = 0
            for _ in range(6):
                name, at = self._text(payload, at)
            self.columns.append(payload[at + 7])
        if columns and not self.capabilities & DEPRECATE_EOF:
            self._end(self.read_packet())

    def query(self, text):
        """The rows of the first result; the others are read away."""
        return self.query_all(text)[0]

    def query_all(self, text):
        self.send_query(text)
        results = [self.read_result()]
        while self.status & MORE_RESULTS:
            results.append(self.read_result())
        return results

    def one(self, text):
        return self.query(text)[0][0]

    # ---- prepared statements

    def prepare(self, text):
        self.send_command(COM_STMT_PREPARE, text.encode())
        payload = self.read_packet()
        if payload[0] == 0xFF:
            self._raise(payload)
        number, columns, parameters = struct.unpack_from("<IHH", payload, 1)
        self._skip_columns(parameters)
        self._skip_columns(columns)
        return Statement(number, parameters, columns)

    def execute(self, statement, values=(), cursor=False, resend_types=False, number=None):
        """Integers, text and None. Types are sent the first time only (and when they change), as other clients do."""
        types, data, nulls = b"", b"", bytearray((len(values) + 7) // 8)
        for i, value in enumerate(values):
            if value is None:
                nulls[i // 8] |= 1 << i % 8
                types += b"\x06\0"
            elif isinstance(value, int):
                types += b"\x08\0"
                data += struct.pack("<q", value)
            elif value is LONG_DATA:
                types += b"\xfc\0"
            else:
                value = value.encode() if isinstance(value, str) else value
                types += b"\xfd\0"
                data += (bytes([len(value)]) if len(value) < 251 else b"\xfe" + struct.pack("<Q", len(value))) + value
        payload = struct.pack("<IBI", statement.number if number is None else number, 1 if cursor else 0, 1)
        if values:
            fresh = resend_types or types != statement.types_sent
            payload += bytes(nulls) + (b"\1" + types if fresh else b"\0") + data
            statement.types_sent = types
        self.send_command(COM_STMT_EXECUTE, payload)
        payload = self.read_packet()
        if payload[0] == 0xFF:
            statement.types_sent = None
            self._raise(payload)
        if payload[0] == 0:
            self._ok(payload)
            return None
        columns, _ = self._number(payload, 0)
        self._skip_columns(columns)
        if cursor:
            if self.capabilities & DEPRECATE_EOF:
                self._end(self.read_packet())
            return None
        return self._read_binary_rows()

    def fetch(self, statement, rows):
        self.send_command(COM_STMT_FETCH, struct.pack("<II", statement.number, rows))
        return self._read_binary_rows()

    def _read_binary_rows(self):
        rows = []
        while True:
            payload = self.read_packet()
            if payload[0] == 0xFF:
                self._raise(payload)
            if self._is_end(payload):
                self._end(payload)
                return rows
            rows.append(self._binary_row(payload))

    def _binary_row(self, payload):
        count = len(self.columns)
        nulls, at, row = payload[1:1 + (count + 9) // 8], 1 + (count + 9) // 8, []
        for i, kind in enumerate(self.columns):
            if nulls[(i + 2) // 8] >> (i + 2) % 8 & 1:
                row.append(None)
            elif kind in (1, 2, 3, 8, 9, 13):
                size = {1: 1, 2: 2, 13: 2, 3: 4, 9: 4, 8: 8}[kind]
                row.append(int.from_bytes(payload[at:at + size], "little", signed=True))
                at += size
            else:
                value, at = self._text(payload, at)
                row.append(value.decode("utf-8", "replace"))
        return tuple(row)

    def send_long_data(self, statement, parameter, data):
        self.send_command(COM_STMT_SEND_LONG_DATA, struct.pack("<IH", statement.number, parameter) + data)

    def close_statement(self, statement):
        self.send_command(COM_STMT_CLOSE, struct.pack("<I", statement.number))

    def reset_statement(self, statement):
        self.command(COM_STMT_RESET, struct.pack("<I", statement.number))


LONG_DATA = object()
