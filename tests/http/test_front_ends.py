# SPDX-License-Identifier: BSD-2-Clause
"""Proxies in front of noah: whom they are believed to speak for, with X-Forwarded-For and with the PROXY protocol, of HAProxy itself
too; and strangers, who are not believed."""
import contextlib
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from echo_site import EchoSite, Haproxy
from support.noah import free_port, wait_for

FRONT, SECOND, STRANGER = "127.7.0.1", "127.7.0.2", "127.8.0.1"
FORWARDED = "front_ends: { from: [127.7.0.0/16, '2001:db8:f::/48'] }\n"
PROXY = "front_ends: { from: [127.7.0.0/16], address: proxy-protocol }\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET /x HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"

# What only a proxy may say, and look-alikes that programs behind a gateway would read as the same.
ONLY_A_PROXYS = [
    "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-User",
    "X-Forwarded-Port", "Forwarded", "X-Url-Scheme", "X-Scheme", "Front-End-Https", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL",
    "X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-Remote-IP", "X-Remote-Addr", "True-Client-IP", "CF-Connecting-IP",
    "CF-Connecting-IPv6", "CF-Visitor", "Fastly-Client-IP", "Fastly-SSL", "X-Host", "Proxy", "X_Forwarded_For", "X_Forwarded_Proto",
    "X-Forwarded_For", "X_Real_IP", "X_Original_URL", "true_client_ip", "X.Forwarded.For", "X_Forwarded_Host", "CLIENT_IP",
    "Forwarded-Host", "Proxy-Client-IP", "WL-Proxy-Client-IP", "WL-Proxy-SSL", "X-Originating-IP", "HTTP_CLIENT_IP", "HTTP_X_FORWARDED_FOR",
    "X-ARR-SSL", "X-ARR-ClientCert", "X-HTTP-Host-Override", "Incap-Client-IP", "Fly-Client-IP", "DO-Connecting-IP",
]
KEPT = ["X-Forward", "X-Forwardedx-For", "X-Originals", "X-Requested-With", "X-Proxy", "Proxy-Kind", "X-Http-Method-Override", "X_Requested_With",
        "WL-Proxies", "HTTP-X-Forward", "Proxy-Client"]


@pytest.fixture(scope="module", name="forwarded")
def _forwarded(tmp_path_factory):
    with EchoSite(tmp_path_factory.mktemp("forwarded"), more=FORWARDED, tls=True, site="    https: { redirect: false }\n") as site:
        yield site


@pytest.fixture(scope="module", name="announced")
def _announced(tmp_path_factory):
    with EchoSite(tmp_path_factory.mktemp("announced"), more=PROXY, tls=True, site="    https: { redirect: false }\n") as site:
        yield site


# ---- X-Forwarded-For -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("said, visitor, passed_on", [
    ([], FRONT, FRONT),  # its own request
    (["192.0.2.1"], "192.0.2.1", "192.0.2.1"),
    (["192.0.2.1:4711"], "192.0.2.1", "192.0.2.1"),
    (["2001:DB8::0:1"], "2001:db8::1", "2001:db8::1"),
    (["[2001:db8::1]"], "2001:db8::1", "2001:db8::1"),
    (["[2001:db8::1]:4711"], "2001:db8::1", "2001:db8::1"),
    (["::ffff:192.0.2.1"], "192.0.2.1", "192.0.2.1"),
    (["198.51.100.9, 192.0.2.1"], "192.0.2.1", "198.51.100.9, 192.0.2.1"),
    (["anything <at> all, 192.0.2.1"], "192.0.2.1", "anything <at> all, 192.0.2.1"),
    (["198.51.100.9", "192.0.2.1"], "192.0.2.1", "198.51.100.9, 192.0.2.1"),
    (["198.51.100.9, 192.0.2.1", "127.7.0.2, 127.7.0.3"], "192.0.2.1", "198.51.100.9, 192.0.2.1"),
    (["192.0.2.1, 127.7.0.2,127.7.0.3"], "192.0.2.1", "192.0.2.1"),
    (["192.0.2.1, 2001:db8:f::1"], "192.0.2.1", "192.0.2.1"),
    (["192.0.2.1,, ,"], "192.0.2.1", "192.0.2.1"),
    (["", "192.0.2.1", ""], "192.0.2.1", "192.0.2.1"),
    (["127.7.0.9, 127.7.0.3"], "127.7.0.9", "127.7.0.9"),  # a check of one behind the other
    ([""], FRONT, FRONT),
])
def test_the_last_address_that_is_no_front_end_is_the_visitor(forwarded, said, visitor, passed_on):
    answer = forwarded.get(fields=[("X-Forwarded-For", value) for value in said], source=FRONT)
    assert answer.all("X-Real-IP") == [visitor]
    assert answer.all("X-Forwarded-For") == [passed_on]


@pytest.mark.parametrize("said", ["unknown", "192.0.2.1, unknown", "192.0.2.300", "/run/a", "[::1", "_hidden", "fe80::1%eth0", "192.0.2.1; x",
                                  "nobody, 127.7.0.2"])
def test_a_front_end_that_tells_no_address_is_refused(forwarded, said):
    answer = forwarded.get(f"/bad?{abs(hash(said))}", fields=[("X-Forwarded-For", said)], source=FRONT)
    assert answer.status == 400
    forwarded.wait_for_log(rf"bad\?{abs(hash(said))} .*end=bad-request cause=\"X-Forwarded-For of the front end {FRONT} does not end")


def test_the_log_names_the_visitor(forwarded):
    forwarded.get("/logged", fields=[("X-Forwarded-For", "192.0.2.77")], source=FRONT)
    forwarded.wait_for_log(r"^192\.0\.2\.77 - - .*/logged")


def test_over_http_2_it_is_the_same(forwarded):
    answer = forwarded.curl(fields=[("X-Forwarded-For", "198.51.100.9, 192.0.2.1"), ("X-Forwarded-Proto", "http")], source=FRONT,
                            secure=True)
    assert (answer.one("X-Real-IP"), answer.one("X-Forwarded-For")) == ("192.0.2.1", "198.51.100.9, 192.0.2.1")
    assert answer.one("X-Forwarded-Proto") == "http"
    answer = forwarded.curl(fields=[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")], source=STRANGER, secure=True)
    assert (answer.one("X-Real-IP"), answer.one("X-Forwarded-For")) == (STRANGER, f"192.0.2.1, {STRANGER}")
    assert answer.one("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("said, proto", [(["https"], "https"), (["HTTPS"], "https"), (["wss"], "https"), (["http"], "http"), (["ws"], "http"),
                                         (["https, http"], "http"), (["http", "https"], "https"), (["ftp"], "http"), ([""], "http"), ([], "http")])
def test_x_forwarded_proto_of_a_front_end_counts(forwarded, said, proto):
    answer = forwarded.get(fields=[("X-Forwarded-Proto", value) for value in said], source=FRONT)
    assert answer.all("X-Forwarded-Proto") == [proto]


# ---- strangers -------------------------------------------------------------------------------------------------------------------

def test_strangers_are_not_believed(forwarded):
    answer = forwarded.get(fields=[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https"), ("X-Real-IP", "192.0.2.1"),
                                   ("X-Forwarded-Host", "evil.example")], source=STRANGER)
    assert answer.all("X-Real-IP") == [STRANGER]
    assert answer.all("X-Forwarded-For") == [f"192.0.2.1, {STRANGER}"]
    assert answer.all("X-Forwarded-Proto") == ["http"]
    assert answer.all("X-Forwarded-Host") == ["example.com"]


@pytest.mark.parametrize("source", [STRANGER, FRONT])
@pytest.mark.parametrize("secure", [False, True])
def test_what_only_a_proxy_may_say_never_reaches_the_app(forwarded, source, secure):
    fields = [(name, "stranger") for name in ONLY_A_PROXYS + [name.upper() for name in ONLY_A_PROXYS]]
    fields += [(name, "kept") for name in KEPT]
    answer = forwarded.curl(fields=fields, source=source, secure=secure)
    assert answer.status == 200
    assert "stranger" not in answer.body.decode()
    assert [answer.one(name) for name in KEPT] == ["kept"] * len(KEPT)


def test_without_front_ends_nobody_is_believed(tmp_path):
    with EchoSite(tmp_path) as site:
        answer = site.get(fields=[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")] + [(name, "x") for name in ONLY_A_PROXYS],
                          source=FRONT)
        assert (answer.one("X-Real-IP"), answer.one("X-Forwarded-Proto")) == (FRONT, "http")
        assert not any(answer.all(name) for name in ONLY_A_PROXYS)


# ---- TLS that ends at the front end -------------------------------------------------------------------------------------------------

SECURE_SITE = "    https: { hsts: 180d }\n"


def test_a_front_end_that_ends_tls_makes_no_circle_of_redirects(tmp_path):
    with EchoSite(tmp_path, site=SECURE_SITE, more=FORWARDED, tls=True) as site:
        answer = site.get(fields=[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")], source=FRONT)
        assert answer.status == 200 and answer.one("X-Forwarded-Proto") == "https"
        assert answer.fields["Strict-Transport-Security"] == "max-age=15552000"
        plain = site.get(fields=[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")], source=FRONT)
        assert plain.status == 301 and plain.fields["Location"].startswith("https://example.com")
        lie = site.get(fields=[("X-Forwarded-Proto", "https")], source=STRANGER)
        assert lie.status == 301 and "Strict-Transport-Security" not in lie.fields


# ---- nobody else ------------------------------------------------------------------------------------------------------------------

def is_closed(visitor):
    """Without an answer."""
    try:
        return visitor.recv(100) == b""
    except ConnectionResetError:
        return True


def refuses_connection(site, port, source, hello=b""):
    with socket.create_connection((site.address, port), 20, source_address=(source, 0)) as visitor:
        with contextlib.suppress(OSError):
            visitor.sendall(hello)
        return is_closed(visitor)


def ask(visitor):
    """One more request on a connection that stays, and its whole answer."""
    visitor.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += visitor.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    size = int(re.search(rb"\r\nContent-Length: (\d+)", head, re.I).group(1))
    while len(body) < size:
        body += visitor.recv(65536)
    return head + body


def test_only_front_ends(tmp_path):
    with EchoSite(tmp_path, site="    https: { redirect: false }\n", more=FORWARDED.replace(" }", ", only: true }"), tls=True) as site:
        assert site.get(source=FRONT).status == 200
        assert site.get("/stranger", source=STRANGER).status == 403
        site.wait_for_log(rf"/stranger .*403.*end=refused-address cause=\"only front ends are answered, and {STRANGER} is none")
        assert site.curl(source=FRONT, secure=True).status == 200
        assert refuses_connection(site, site.secure_port, STRANGER)
        site.noah.wait_for_log(f"connection of {STRANGER} refused: it is not one of the front ends")
        site.noah.reload(site.text(more=""))
        assert site.get(source=STRANGER).status == 200


def test_only_front_ends_that_announce(tmp_path):
    with EchoSite(tmp_path, more=PROXY.replace(" }", ", only: true }")) as site:
        assert refuses_connection(site, site.port, STRANGER, REQUEST)
        assert b" 200 " in exchange(site, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n" + REQUEST)


def test_connections_that_stay_are_judged_by_the_file_of_now(tmp_path):
    with EchoSite(tmp_path, more=PROXY) as site, socket.create_connection((site.address, site.port), 20, (STRANGER, 0)) as visitor:
        assert b" 200 " in ask(visitor)
        site.noah.reload(site.text(more=PROXY.replace(" }", ", only: true }")))
        assert b" 403 " in ask(visitor)


# ---- the PROXY protocol ---------------------------------------------------------------------------------------------------------------

def exchange(site, *pieces, source=FRONT, port=None, pause=0.02):
    """Sends the pieces, and returns all that comes back."""
    with socket.create_connection((site.address, port or site.port), 20, source_address=(source, 0)) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                visitor.sendall(piece)
                if len(pieces) > 1:
                    time.sleep(pause)  # so that they come one by one; nothing depends on it
            while piece := visitor.recv(65536):
                answer += piece
        return answer


def binary(command, family, body):
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def tcp4(source="192.0.2.1", target="192.0.2.2", ports=(4711, 80), more=b""):
    return binary(0x21, 0x11, socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", *ports) + more)


TLS_TLV = b"\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3"
ANNOUNCEMENTS = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n", "192.0.2.1", "http"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n", "2001:db8::1", "http"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", "192.0.2.1", "https"),  # what came to 443 came with TLS
    (b"PROXY UNKNOWN\r\n", FRONT, "http"),
    (tcp4(), "192.0.2.1", "http"),
    (tcp4(more=TLS_TLV), "192.0.2.1", "https"),
    (tcp4(more=b"\x04\x0f\x00" + bytes(3840)), "192.0.2.1", "http"),
    (binary(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + bytes(4)), "2001:db8::1", "http"),
    (binary(0x20, 0, b""), FRONT, "http"),
    (binary(0x20, 0x11, bytes(12)), FRONT, "http"),
]


@pytest.mark.parametrize("header, visitor, proto", ANNOUNCEMENTS, ids=range(len(ANNOUNCEMENTS)))
def test_an_announced_visitor(announced, header, visitor, proto):
    for pieces in ([header + REQUEST], [header, REQUEST], [header[:5], header[5:] + REQUEST[:3], REQUEST[3:]]):
        answer = exchange(announced, *pieces)
        assert b" 200 " in answer.split(b"\r\n")[0]
        assert f'["X-Real-IP", "{visitor}"]'.encode() in answer and f'["X-Forwarded-Proto", "{proto}"]'.encode() in answer
        assert f'["X-Forwarded-For", "{visitor}"]'.encode() in answer


def test_a_header_may_come_byte_by_byte(announced):
    for header in (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n", tcp4()):
        answer = exchange(announced, *(bytes([byte]) for byte in header), REQUEST, pause=0.005)
        assert b'["X-Real-IP", "192.0.2.1"]' in answer


def test_x_forwarded_fields_are_then_the_visitors_own(announced):
    request = REQUEST.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: https\r\n\r\n")
    answer = exchange(announced, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n" + request)
    assert b'["X-Forwarded-For", "198.51.100.9, 192.0.2.1"]' in answer and b'["X-Forwarded-Proto", "http"]' in answer


@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\n",
                                    b"PROXY NOBODY\r\n", b"PROXY UNKNOWN" + b"x" * 100 + b"\r\n", SIGNATURE + b"\x31\x11\x00\x00",
                                    SIGNATURE + b"\x21\x11\x00\x04abcd", SIGNATURE + b"\x21\x11\xff\xff"],
                         ids=["none", "no port", "LF", "family", "long", "version", "short", "too long"])
def test_a_front_end_must_announce(announced, header):
    assert exchange(announced, header + REQUEST) == b""
    announced.noah.wait_for_log(f"connection of the front end {FRONT} refused")


def test_an_announcement_has_its_time(announced):
    begun = time.monotonic()
    with socket.create_connection((announced.address, announced.port), 20, (FRONT, 0)) as visitor:
        visitor.sendall(b"PROXY TCP4 192.")
        assert is_closed(visitor)
    assert 1.5 < time.monotonic() - begun < 15  # `request` of the timeouts is 2 s


def test_half_an_announcement_and_the_end(announced):
    with socket.create_connection((announced.address, announced.port), 20, (FRONT, 0)) as visitor:
        visitor.sendall(SIGNATURE)
        visitor.shutdown(socket.SHUT_WR)
        assert is_closed(visitor)


def test_strangers_need_not_announce(announced):
    assert announced.get(source=STRANGER).one("X-Real-IP") == STRANGER
    answer = exchange(announced, b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n" + REQUEST, source=STRANGER)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_requests_of_one_connection_share_its_announcement(announced):
    with socket.create_connection((announced.address, announced.port), 20, (FRONT, 0)) as visitor:
        visitor.sendall(tcp4())
        for _ in range(3):
            assert b'["X-Real-IP", "192.0.2.1"]' in ask(visitor)


@pytest.mark.parametrize("together", [False, True])
def test_the_header_stands_before_tls(announced, together):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((announced.address, announced.secure_port), 20, (FRONT, 0)) as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        visitor = context.wrap_bio(incoming, outgoing, server_hostname="example.com")
        with contextlib.suppress(ssl.SSLWantReadError):
            visitor.do_handshake()
        plain.sendall(tcp4() + (outgoing.read() if together else b""))
        if not together:
            time.sleep(0.05)
        while True:
            try:
                visitor.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        visitor.write(REQUEST)
        plain.sendall(outgoing.read())
        answer = b""
        while b'"fields"' not in answer or not answer.endswith(b"]]}"):
            incoming.write(plain.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                while piece := visitor.read(65536):
                    answer += piece
    assert b'["X-Real-IP", "192.0.2.1"]' in answer and b'["X-Forwarded-Proto", "https"]' in answer


# ---- what is really sent ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("secure", [False, True])
def test_curl(announced, secure):
    options = ["--haproxy-protocol"]
    answer = announced.curl(source="127.7.0.44", secure=secure, options=options)
    assert answer.one("X-Real-IP") == "127.7.0.44" and answer.one("X-Forwarded-Proto") == ("https" if secure else "http")


@pytest.mark.parametrize("words, secure", [("send-proxy", False), ("send-proxy-v2", False), ("send-proxy-v2-ssl", True),
                                           ("send-proxy-v2-ssl-cn", True), ("send-proxy-v2 proxy-v2-options crc32c,ssl,authority,unique-id", True)])
def test_haproxy_passes_connections_on(announced, tmp_path, words, secure):
    """TLS ends at HAProxy, which connects in plain and checks with LOCAL connections."""
    port, certificate = free_port("127.7.0.5"), pem(tmp_path)
    sections = (f"listen test\n  mode tcp\n  bind 127.7.0.5:{port} {f'ssl crt {certificate}' if secure else ''}\n"
                f"  server noah {announced.address}:{announced.port} {words} source 127.7.0.5 check inter 100ms\n")
    with Haproxy(tmp_path, sections):
        answer = through(announced, "127.7.0.5", port, secure)
        assert answer.one("X-Real-IP") == "127.9.0.1" and answer.one("X-Forwarded-Proto") == ("https" if secure else "http")


def test_haproxy_passes_tls_on(announced, tmp_path):
    """TLS goes through HAProxy; HTTP/2 is spoken inside."""
    port = free_port("127.7.0.5")
    sections = (f"listen test\n  mode tcp\n  bind 127.7.0.5:{port}\n"
                f"  server noah {announced.address}:{announced.secure_port} send-proxy-v2 source 127.7.0.5\n")
    with Haproxy(tmp_path, sections):
        answer = through(announced, "127.7.0.5", port, True)
        assert answer.one("X-Real-IP") == "127.9.0.1" and answer.one("X-Forwarded-Proto") == "https"


def test_haproxy_forwards_requests(tmp_path):
    """TLS and HTTP/2 end at HAProxy; the site redirects everything that is plain."""
    with EchoSite(tmp_path, site=SECURE_SITE, more="front_ends: { from: [127.7.0.5], only: true }\n", tls=True) as site:
        port, plain_port, certificate = free_port("127.7.0.5"), free_port("127.7.0.5"), pem(tmp_path)
        sections = (f"listen test\n  mode http\n  bind 127.7.0.5:{port} ssl crt {certificate} alpn h2,http/1.1\n  bind 127.7.0.5:{plain_port}\n"
                    "  option forwardfor\n  http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
                    "  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }\n"
                    f"  server noah {site.address}:{site.port} source 127.7.0.5\n")
        with Haproxy(tmp_path, sections):
            answer = through(site, "127.7.0.5", port, True)
            assert answer.one("X-Real-IP") == "127.9.0.1" and answer.one("X-Forwarded-For") == "127.9.0.1"
            assert answer.one("X-Forwarded-Proto") == "https"
            assert through(site, "127.7.0.5", plain_port, False).status == 301


def pem(directory):
    """A certificate that HAProxy shows, with its key."""
    key, chain, both = (str(directory / name) for name in ("key.pem", "chain.pem", "both.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
                    chain, "-subj", "/CN=example.com", "-days", "30"], check=True, stderr=subprocess.DEVNULL)
    with open(both, "w", encoding="ascii") as out:
        for name in (chain, key):
            with open(name, encoding="ascii") as part:
                out.write(part.read())
    return both


def through(site, address, port, secure):
    """One request to a front end, once it listens."""
    def listens():
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return True
        return False
    wait_for(listens, 20, "HAProxy to listen")
    return site.curl(source="127.9.0.1", secure=secure, to=(address, port))
