# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 frames by hand (RFC 9113, RFC 7541): a visitor who may send whatever he likes. Heads are sent as plain literals without
compression; of answers only the status is read."""
import contextlib
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 7, 8, 9, 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

_STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
_DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7",
           "011110": "8", "011111": "9"}  # RFC 7541, appendix B


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack("!I", length if length is not None else len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def integer(value, prefix_bits, first=0):
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytes([first | most]), value - most
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def text(value):
    value = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(value), 7) + value


def block(fields):
    """A header block of literals that no table keeps."""
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


def request_fields(path="/", method="GET", authority="hostile.example", scheme="http", more=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def status_of(payload):
    """The first field of an answer's head, which is :status."""
    at = 0
    while payload[at] & 0xe0 == 0x20:  # the size of the table
        at += 1 if payload[at] & 0x1f < 31 else 2
    if payload[at] & 0x80:
        return _STATIC_STATUS[payload[at] & 0x7f]
    size, huffman = payload[at + 1] & 0x7f, payload[at + 1] & 0x80
    value = payload[at + 2:at + 2 + size]
    if not huffman:
        return int(value)
    bits, digits = "".join(f"{byte:08b}" for byte in value), ""
    while len(digits) < 3:
        code = next(code for code in _DIGITS if bits.startswith(code))
        digits, bits = digits + _DIGITS[code], bits[len(code):]
    return int(digits)


class Visitor:
    """One connection. settings: what it says about itself; no table for noah's answers, so that each status stands for itself."""

    def __init__(self, address, port, settings=(), timeout=10):
        self.socket = socket.create_connection((address, port), timeout)
        self.received = b""
        self.next_stream = 1
        pairs = [(HEADER_TABLE_SIZE, 0), *settings]
        self.send(PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", *pair) for pair in pairs)))

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_all_that_goes(self, data):
        """For floods: noah may close meanwhile."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def request(self, fields=None, body=None, end=True, **named):
        """Sends a head, and DATA when there is a body; returns the stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        fields = fields if fields is not None else request_fields(**named)
        flags = END_HEADERS | (END_STREAM if body is None and end else 0)
        data = b"" if body is None else frame(DATA, END_STREAM if end else 0, stream, body)
        self.send(frame(HEADERS, flags, stream, block(fields)) + data)
        return stream

    def _have(self, count):
        while len(self.received) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.received += piece

    def frame(self):
        """The next one: kind, flags, stream, payload. EOFError when noah has closed. After a timeout it can be asked for again."""
        self._have(9)
        size = int.from_bytes(self.received[:3], "big")
        kind, flags, stream = struct.unpack("!BBI", self.received[3:9])
        self._have(9 + size)
        payload, self.received = self.received[9:9 + size], self.received[9 + size:]
        return kind, flags, stream, payload

    def frames(self):
        """All until the end of the connection."""
        got = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                got.append(self.frame())
        return got

    def wait_for(self, kind, stream=None):
        while True:
            got = self.frame()
            if got[0] == kind and stream in (None, got[2]):
                return got

    def answer(self, stream):
        """Status and body of a stream, or ("reset", code); 1xx are passed over."""
        status, body = None, b""
        while True:
            kind, flags, of, payload = self.frame()
            if kind == GOAWAY and payload[4:8] != b"\0\0\0\0":
                return "goaway", struct.unpack("!I", payload[4:8])[0]
            if of != stream:
                continue
            if kind == RST_STREAM:
                return "reset", struct.unpack("!I", payload)[0]
            if kind == HEADERS and (status is None or status < 200):
                status = status_of(payload)
            if kind == DATA:
                body += payload
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return status, body

    def goaway(self):
        """The error code of the last GOAWAY before noah closes."""
        codes = [struct.unpack("!I", payload[4:8])[0] for kind, _, _, payload in self.frames() if kind == GOAWAY]
        assert codes, "closed without GOAWAY"
        return codes[-1]
