# SPDX-License-Identifier: BSD-2-Clause
"""TLS as a visitor sees it: which certificate, which versions, sessions that go on, certificates that change while noah runs, visitors
who do not keep to the protocol, bodies of any size, and what testssl.sh finds."""
import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from site_of_apps import Site
from support.noah import free_port, run_noah, wait_for

BODY = os.urandom(1 << 20)


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, **more).stdout


class Authority:
    """Issues certificates for tests, as PEM files in its directory."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.file = self.path("ca.pem")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path("ca.key"))
        openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", "/CN=Test Authority", "-days", "3650", "-out", self.file)

    def path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, names, kind="ec", days=90, more=""):
        """NAME.pem (with the authority's own certificate behind it) and NAME.key."""
        if kind == "ec":
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name + ".key"))
        else:
            openssl("genrsa", "-out", self.path(name + ".key"), "2048")
        openssl("req", "-new", "-key", self.path(name + ".key"), "-subj", "/CN=" + names[0].replace("*", "any"), "-out", self.path("csr"))
        with open(self.path("extensions"), "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join("DNS:" + each for each in names) + "\n" + more)
        pem = openssl("x509", "-req", "-in", self.path("csr"), "-CA", self.file, "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days",
                      str(days), "-extfile", self.path("extensions"))
        with open(self.file, "rb") as file:
            self.replace(name + ".pem", pem + file.read())
        return self.path(name + ".pem"), self.path(name + ".key")

    def replace(self, name, content):
        with open(self.path("aside"), "wb") as file:
            file.write(content)
        os.rename(self.path("aside"), self.path(name))

    def ocsp(self, name):
        """NAME.der: a good answer for NAME.pem, for a day."""
        serial = openssl("x509", "-in", self.path(name + ".pem"), "-noout", "-serial").decode().strip().partition("=")[2]
        with open(self.path("index.txt"), "w", encoding="ascii") as file:
            file.write(f"V\t400101000000Z\t\t{serial}\tunknown\t/CN=x\n")
        openssl("ocsp", "-index", self.path("index.txt"), "-CA", self.file, "-rsigner", self.file, "-rkey", self.path("ca.key"), "-issuer",
                self.file, "-cert", self.path(name + ".pem"), "-respout", self.path(name + ".der"), "-ndays", "1")
        return self.path(name + ".der")


class SecureSite(Site):
    def __init__(self, directory, authority, certificate, options="", others="", **rest):
        self.authority, self.certificate, self.others = authority, certificate, others
        self.secure_port = 0
        super().__init__(directory, apps=("web1",), start=False, **rest)
        self.secure_port = free_port(self.address)
        self.secure_options = options
        self.noah.write(self.text())
        self.noah.start()

    def text(self):
        listen = f'    listen: ["{self.address}:{self.port}"]'
        both = f'    listen: ["{self.address}:{self.port}", "https:{self.address}:{self.secure_port}"]'
        if self.secure_port == 0:
            return super().text()
        others = "".join(f"  {name}:\n    on: [front]\n{both}\n    certificate: {certificate}\n    apps: ['web1:{self.apps[0].port}']\n{more}"
                         for name, certificate, more in self.others)
        return super().text().replace(listen, f"{both}\n    certificate: {self.certificate}\n{self.secure_options}").replace(
            "\nlog:", "\n" + others + "log:")

    def context(self, **settings):
        context = ssl.create_default_context(cafile=self.authority.file)
        for key, value in settings.items():
            setattr(context, key, value)
        return context

    def visit(self, name="example.com", context=None, session=None, timeout=30):
        return (context or self.context()).wrap_socket(socket.create_connection((self.address, self.secure_port), timeout),
                                                       server_hostname=name, session=session)

    def shown(self, name="example.com", context=None):
        """The fingerprint of the certificate that is shown for this name."""
        with contextlib.closing(self.visit(name, context)) as visitor:
            return hashlib.sha256(visitor.getpeercert(True)).hexdigest()

    def ask(self, name="example.com", target="/", **rest):
        with contextlib.closing(self.visit(name, **rest)) as visitor:
            return request(visitor, name, target)


def request(visitor, host="example.com", target="/", method="GET", body=b""):
    """(status, body) of the answer; the connection is kept. The app reads the whole body before it answers."""
    fields = f"Content-Length: {len(body)}\r\n" if body else ""
    visitor.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode() + body)
    stream = visitor.makefile("rb")
    status = int(stream.readline().split()[1])
    length = 0
    while (line := stream.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, stream.read(length)


def pattern(size):
    """What the app sends as /big."""
    block = bytes(range(256)) * 256
    return (block * (size // len(block) + 1))[:size]


def fingerprint(path):
    der = ssl.PEM_cert_to_DER_cert(open(path, encoding="ascii").read().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
    return hashlib.sha256(der).hexdigest()


@pytest.fixture(scope="module", name="authority")
def _authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory, authority):
    chain, key = authority.issue("main", ["example.com", "www.example.com"])
    rsa_chain, rsa_key = authority.issue("main-rsa", ["example.com"], kind="rsa")
    wild_chain, wild_key = authority.issue("wild", ["*.wild.test"])
    new_chain, new_key = authority.issue("new", ["new.test"])
    ocsp = authority.ocsp("main")
    others = [("wild.test", f"{{ chain: {wild_chain}, key: {wild_key} }}", "    names: ['*.wild.test']\n"),
              ("new.test", f"{{ chain: {new_chain}, key: {new_key} }}", "    https: { least: 1.3 }\n")]
    with SecureSite(tmp_path_factory.mktemp("tls"), authority,
                    f"[ {{ chain: {chain}, key: {key}, ocsp: {ocsp} }}, {{ chain: {rsa_chain}, key: {rsa_key} }} ]", others=others,
                    options="    names: [www.example.com]\n", timeouts="{ connect: 1s, answer: 60s, request: 2s, idle: 60s }", threads=2) as site:
        yield site


# ---- certificates -----------------------------------------------------------------------------------------------------------

def test_each_name_gets_its_certificate(site, authority):
    assert site.shown("example.com") == fingerprint(authority.path("main.pem"))
    assert site.shown("www.example.com") == fingerprint(authority.path("main.pem"))
    assert site.shown("a.wild.test") == fingerprint(authority.path("wild.pem"))
    assert site.shown("new.test") == fingerprint(authority.path("new.pem"))
    for name in ("example.com", "a.wild.test", "new.test"):
        assert site.ask(name)[0] == 200
    unknown = site.context(check_hostname=False)
    assert site.shown("elsewhere.test", unknown) == fingerprint(authority.path("main.pem"))
    assert site.ask("elsewhere.test", context=unknown)[0] == 421


def test_rsa_for_those_who_know_no_ecdsa(site, authority):
    old = site.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    old.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert site.shown("example.com", old) == fingerprint(authority.path("main-rsa.pem"))


def test_ocsp_answer_is_stapled(site, authority):
    def answer(name):
        return subprocess.run(["openssl", "s_client", "-connect", f"{site.address}:{site.secure_port}", "-servername", name, "-status",
                               "-CAfile", authority.file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=30, check=False).stdout
    assert b"OCSP Response Status: successful" in answer("example.com")
    assert b"OCSP response: no response sent" in answer("a.wild.test")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that they are old is the point
def test_versions_and_ciphers(site):
    def version(name, **settings):
        with contextlib.closing(site.visit(name, site.context(**settings))) as visitor:
            return visitor.version(), visitor.cipher()[0]
    assert version("example.com") == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    assert version("example.com", maximum_version=ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError):
        version("new.test", maximum_version=ssl.TLSVersion.TLSv1_2)
    old = site.context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        site.shown("example.com", old)
    weak = site.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        site.shown("example.com", weak)
    mobile = site.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    mobile.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256")
    with contextlib.closing(site.visit("example.com", mobile)) as visitor:
        assert visitor.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_alpn(site):
    for offered, expected in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["x", "http/1.1", "h2"], "h2"), (None, None)):
        context = site.context()
        if offered:
            context.set_alpn_protocols(offered)
        with contextlib.closing(site.visit(context=context)) as visitor:
            assert visitor.selected_alpn_protocol() == expected
    context = site.context()
    context.set_alpn_protocols(["x"])
    with pytest.raises(ssl.SSLError, match="NO_APPLICATION_PROTOCOL|no application protocol"):
        site.visit(context=context)


# ---- sessions ---------------------------------------------------------------------------------------------------------------

def visit_again(site, context, session, name="example.com"):
    with contextlib.closing(site.visit(name, context, session)) as visitor:
        assert request(visitor, name)[0] == 200  # the ticket comes with the answer
        return visitor.session_reused, visitor.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_go_on(site, version):
    context = site.context(maximum_version=version)
    reused, session = visit_again(site, context, None)
    assert not reused
    for _ in range(6):  # on either thread
        reused, session = visit_again(site, context, session)
        assert reused
    site.noah.reload()
    reused, session = visit_again(site, context, session)
    assert reused
    upgraded = site.noah.command("upgrade")
    assert upgraded.returncode == 0, upgraded
    reused, session = visit_again(site, context, session)
    assert reused
    killed = site.noah.child("traffic")
    os.kill(killed, 9)
    wait_for(lambda: site.noah.status()["ready"] and site.noah.child("traffic") not in (None, killed), 20, "another traffic process")
    reused, _ = visit_again(site, context, session)
    assert reused
    site.noah.expect_crashes = True
    assert site.noah.counter("tls_resumed") >= 1


# ---- what changes while noah runs ---------------------------------------------------------------------------------------------

def test_changed_files_are_used_without_a_reload(authority, tmp_path):
    chain, key = authority.issue("renewed", ["example.com"])
    first = fingerprint(chain)
    with SecureSite(tmp_path, authority, f"{{ chain: {chain}, key: {key} }}") as site:
        with contextlib.closing(site.visit()) as open_before:
            assert site.shown() == first
            with open(key, "rb") as file:
                good_key = file.read()
            authority.replace("renewed.key", b"nonsense")
            site.noah.wait_for_log("the one before stays in use")
            certificates = site.noah.status()["certificates"]
            assert any("renewed.key" in warning for warning in site.noah.status()["warnings"])
            assert site.shown() == first
            # While running the old one stays; what is asked for by a reload must be good.
            assert "renewed.key" in site.noah.reload(expect=1)
            assert run_noah("check", site.noah.file).returncode == 2
            authority.replace("renewed.key", good_key)
            wait_for(lambda: not any("renewed.key" in warning for warning in site.noah.status()["warnings"]), 20, "the warning to go")
            authority.issue("renewed", ["example.com"])
            wait_for(lambda: site.shown() == fingerprint(chain) != first, 20, "the new certificate")
            assert request(open_before)[0] == 200
            site.noah.reload()
            assert site.shown() == fingerprint(chain)


def test_what_noah_made_is_kept(authority, tmp_path):
    with SecureSite(tmp_path, authority, "self-signed") as site:
        anybody = site.context(check_hostname=False, verify_mode=ssl.CERT_NONE)
        first = site.shown(context=anybody)
        certificate = site.noah.status()["certificates"][0]
        assert (certificate["names"], certificate["self_signed"]) == ("example.com", True)
        site.noah.reload()
        assert site.shown(context=anybody) == first
        assert site.noah.command("upgrade").returncode == 0
        assert site.shown(context=anybody) == first


def test_noah_check_says_what_is_wrong(authority, tmp_path):
    chain, key = authority.issue("checked", ["example.com"])
    _, other = authority.issue("other", ["example.com"])
    expired, expired_key = authority.issue("expired", ["elsewhere.test"], days=-1)
    for certificate, code, words in (
            (f"{{ chain: {chain}, key: {key} }}", 0, ""),
            (f"{{ chain: {chain}, key: {other} }}", 2, "the key does not belong to the certificate"),
            (f"{{ chain: {chain}, key: {tmp_path}/none }}", 2, "cannot be opened: No such file"),
            (chain, 2, "no private key in it"),
            (f"{{ chain: {expired}, key: {expired_key} }}", 0, "it has expired at"),
            (f"{{ chain: {expired}, key: {expired_key} }}", 0, "none is good for the site's name example.com")):
        path = tmp_path / "noah.yaml"
        path.write_text("cluster: c\nservers: { front: { address: 127.0.0.1 } }\nsites:\n  example.com:\n    listen: ['https:127.0.0.1:8443']\n"
                        f"    apps: ['front:8080']\n    certificate: {certificate}\n")
        result = run_noah("check", path)
        assert (result.returncode, words in result.stdout + result.stderr) == (code, True), (certificate, result)


# ---- visitors -----------------------------------------------------------------------------------------------------------------

def test_plain_http_on_the_tls_port(site):
    for line in (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with contextlib.closing(socket.create_connection((site.address, site.secure_port), 30)) as visitor:
            visitor.sendall(line)
            answer = b""
            while piece := visitor.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"https://" in answer


def test_garbage_is_refused(site):
    hello = bytes.fromhex("16030100") + bytes([200]) + b"\x01" + bytes(199)
    for garbage in (bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70000), hello, b"\x80\x2e\x01\x00\x02" + bytes(44), b"\x15\x03\x01\x00\x02\x02\x28"):
        with contextlib.closing(socket.create_connection((site.address, site.secure_port), 30)) as visitor:
            with contextlib.suppress(ConnectionError):
                visitor.sendall(garbage)
                while visitor.recv(65536):
                    pass
    assert site.ask()[0] == 200


def test_half_a_handshake_times_out(site):
    out = ssl.MemoryBIO()
    client = site.context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = out.read()
    open_before = site.noah.counter("connections_open")
    with contextlib.ExitStack() as stack:
        for part in (hello[:1], hello[:50], hello[:-1], hello):  # the last one never finishes
            visitor = stack.enter_context(contextlib.closing(socket.create_connection((site.address, site.secure_port), 30)))
            visitor.sendall(part)
            stack.callback(lambda visitor=visitor: [None for _ in iter(lambda: visitor.recv(65536), b"")])  # until noah closes
    wait_for(lambda: site.noah.counter("connections_open") <= open_before, 20, "the connections to be closed")


def test_noah_says_when_it_is_the_end(site):
    """A connection ends with close_notify, so that nobody can cut an answer short unseen."""
    with contextlib.closing(site.visit()) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        while visitor.recv(65536):  # a missing close_notify raises SSLEOFError
            pass
    with contextlib.closing(site.visit()) as visitor:
        visitor.sendall(b"nonsense\r\n\r\n")
        answer = b""
        while piece := visitor.recv(65536):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_visitor_who_says_goodbye_before_his_answer(site):
    with contextlib.closing(site.visit()) as visitor:
        assert request(visitor)[0] == 200
        visitor.unwrap()
    assert site.ask()[0] == 200


def test_requests_in_small_and_joined_pieces(site):
    text = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    with contextlib.closing(site.visit()) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(text)):
            visitor.sendall(text[at:at + 1])  # a record each
        stream = visitor.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 200")
        while stream.readline() != b"\r\n":
            pass
    with contextlib.closing(site.visit()) as visitor:
        visitor.sendall(text * 200 + text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b""
        while piece := visitor.recv(65536):
            answer += piece
        assert answer.count(b"HTTP/1.1 200 ") == 201


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_big_bodies_both_ways(site, version):
    with contextlib.closing(site.visit(context=site.context(maximum_version=version), timeout=60)) as visitor:
        for size in (3000000, 16384, 16385, 100):
            assert request(visitor, target=f"/big?{size}") == (200, pattern(size))
            sent = BODY[:size]
            assert request(visitor, target="/sink", method="POST", body=sent) == (200, f"{len(sent)} {hashlib.md5(sent).hexdigest()}".encode())


def test_slow_readers(site):
    """Half-sent records go on where they stopped."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(60)
    plain.connect((site.address, site.secure_port))
    with contextlib.closing(site.context().wrap_socket(plain, server_hostname="example.com")) as visitor:
        visitor.sendall(b"GET /big?1000000 HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        answer = bytearray()
        while piece := visitor.recv(1777):
            answer += piece
        assert bytes(answer).partition(b"\r\n\r\n")[2] == pattern(1000000)


def test_idle_connections_are_small(site):
    """The bar is 17 KB of noah's own memory for each (docs/performance.md); here only that nothing like a buffer is kept."""
    with contextlib.ExitStack() as stack:
        def open_some(count):
            for _ in range(count):
                visitor = stack.enter_context(contextlib.closing(site.visit()))
                assert request(visitor)[0] == 200
        if "san" in os.environ.get("NOAH", ""):
            pytest.skip("a sanitizer's own memory is many times larger")
        open_some(100)
        before = site.anonymous_bytes()
        open_some(300)
        assert (site.anonymous_bytes() - before) / 300 < 20000


# ---- an outside judge ---------------------------------------------------------------------------------------------------------

def test_testssl_finds_nothing(authority, tmp_path):
    if shutil.which("testssl") is None:
        pytest.skip("testssl is not installed (Debian: testssl.sh)")
    chain, key = authority.issue("judged", ["example.com"], more="crlDistributionPoints=URI:http://ca.example.com/crl\n"
                                 "authorityInfoAccess=OCSP;URI:http://ca.example.com/ocsp\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n")
    with SecureSite(tmp_path, authority, f"{{ chain: {chain}, key: {key} }}") as site:
        found = tmp_path / "found.json"
        subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--add-ca", authority.file,
                        "--ip", site.address, "--jsonfile", found, f"https://example.com:{site.secure_port}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=600, check=False)
        findings = json.loads(found.read_text())
        assert len(findings) > 100, findings
        # What is to be said in fields about frames and scripts is the app's, and this one says nothing.
        bad = [(each["id"], each["severity"], each["finding"]) for each in findings
               if each["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL") and each["id"] != "security_headers"]
        assert not bad
