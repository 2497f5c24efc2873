# SPDX-License-Identifier: BSD-2-Clause
"""Which site and which route a request takes: names, paths, file types, redirects, static pages, limits of a route."""
import contextlib
import random
import re
import urllib.parse

import h2_frames
import pytest

from site_of_apps import App, Site
from support.noah import wait_for


# On a busy machine a check may be late; which route a request takes has nothing to do with it.
PATIENT_CHECK = "{ get: /check, every: 1s, timeout: 1s, rise: 1, fall: 20 }"


class Routed(Site):
    """A site with an app `api` and an app `files` beside its own, as its routes name them."""

    def __init__(self, directory, routes, options="", more="", **rest):
        self.others = []
        for name in ("api", "files"):
            self.others.append(App(str(directory), name))
        api, files = self.others
        servers = "".join(f"  {app.name}: {{ address: {app.address} }}\n" for app in self.others)
        lines = "".join(f"      - {line}\n" for line in routes)
        lines = lines.replace("API", f"api:{api.port}").replace("FILES", f"files:{files.port}")
        self.servers = servers
        rest.setdefault("check", PATIENT_CHECK)
        super().__init__(directory, apps=("web1",), options=f"    routes:\n{lines}{options}", more=more, **rest)

    def text(self):
        return super().text().replace("\nsites:\n", "\n" + self.servers + "sites:\n", 1)

    def __exit__(self, kind, *ignored):
        try:
            super().__exit__(kind, *ignored)
        finally:
            for app in self.others:
                app.kill()

    def ask(self, request_target, host="example.com", method="GET", fields="", body=b""):
        """The status, fields (in lower case) and body of the answer to a request with exactly this target."""
        with contextlib.closing(self.socket()) as visitor:
            lines = f"{method} {request_target} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n"
            visitor.sendall(lines.encode("latin-1") + body)
            answer = b""
            while piece := visitor.recv(65536):
                answer += piece
        head, _, content = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) if not line.startswith("Location") else ("location", line[10:])
                      for line in lines[1:])
        return int(lines[0].split()[1]), fields, content

    def name(self, request_target, **rest):
        status, _, content = self.ask(request_target, **rest)
        return content.decode() if status == 200 else status


@pytest.fixture(scope="module", name="routed")
def _routed(tmp_path_factory):
    routes = ["{ path: /api, apps: [API] }", "{ path: /files/, types: [gz, JPG], apps: [FILES] }",
              "{ path: /caf%c3%a9/, apps: [FILES] }", "{ types: [png], apps: [FILES] }", "{ path: /small/, body: 10 }",
              "{ path: /old/, redirect: /new/ }", "{ path: /away/, redirect: 'https://example.org/there/', status: 302 }",
              "{ path: /fixed, redirect: 'https://example.org/one?a=b', status: 307 }", "{ path: /root/, redirect: /, status: 308 }"]
    with Routed(tmp_path_factory.mktemp("routed"), routes) as site:
        yield site


def test_prefixes_and_types(routed):
    for target, name in (("/", "web1"), ("/api", "api"), ("/api/", "api"), ("/api/x?y", "api"), ("/apix", "web1"), ("/API/", "web1"),
                         ("/files/a.tar.gz", "files"), ("/files/a.jpg", "files"), ("/files/a.JpG?x=.html", "files"),
                         ("/files/a.gzip", "web1"), ("/files/gz", "web1"), ("/files/jpg", "web1"), ("/files/a.jpg/b", "web1"), ("/a.jpg", "web1"),
                         ("/a.png", "files"), ("/api/a.png", "api"), ("/x?a.png", "web1"), ("/.png", "files"),
                         ("http://example.com/api/x", "api"), ("http://example.com", "web1"), ("http://example.com?/api/", "web1")):
        assert routed.name(target) == name, target


def test_one_spelling_for_matching(routed):
    for target, name in (("/%61pi/", "api"), ("/a%70i", "api"), ("/caf%C3%A9/x", "files"), ("/caf%c3%a9/x", "files"), ("//api/x", "api"),
                         ("/api//x", "api"), ("/a%2Epng", "files"), ("/a%2epn%67", "files"), ("/%20/x", "web1"), ("/.../x", "web1"),
                         ("/..x/", "web1"), ("/.well-known/x", "web1"), ("/a;b", "web1"), ("/x/..a/..", 400)):
        assert routed.name(target) == name, target


READ_IN_DIFFERENT_WAYS = (
    "/x%2fapi/", "/x%2Fapi", "/api%2f", "/%00", "/a%00b", "/x%5capi", "/x\\api", "/%", "/%zz", "/%2", "/x/../api/", "/./api/",
    "/x/%2e%2e/api/", "/x/.%2E/api/", "/x/%2e./api", "/..", "/x/.", "/x/..;/api/", "/x/%2e%2e;a=b/", "//..//api")


def test_what_servers_read_in_different_ways_is_refused(routed):
    for target in READ_IN_DIFFERENT_WAYS:
        assert routed.name(target) == 400, target
        assert routed.name("http://example.com" + target) == 400, target
    routed.wait_for_log('"GET /x/../api/ HTTP/1.1" 400 .*cause="the path has a .*this site has routes"')


def test_what_servers_read_in_different_ways_is_refused_over_http_2(routed):
    with h2_frames.Visitor(routed.address, routed.port) as visitor:
        for target in READ_IN_DIFFERENT_WAYS:
            answer = visitor.answer(visitor.request(path=target, authority="example.com"))
            assert answer[0] == 400 or ("\\" in target and answer == ("reset", h2_frames.PROTOCOL_ERROR)), (target, answer)
        for target, name in (("/api/x", b"api"), ("/%61pi/", b"api"), ("//api/x", b"api"), ("/a.png", b"files"), ("/apix", b"web1")):
            assert visitor.answer(visitor.request(path=target, authority="example.com")) == (200, name), target


def test_forwarded_as_it_came(routed):
    """app.py answers by its own reading of the path: it gets what the visitor sent."""
    assert routed.ask("/api/../big?3")[0] == 400
    assert routed.name("/slow?0") == "web1"
    assert routed.name("/%73low?x") == "web1"  # were it decoded on the way, this would be /slow without a number


def test_limits_of_a_route(routed):
    def post(target, size):
        return routed.ask(target, method="POST", fields=f"Content-Length: {size}\r\n", body=b"x" * size)[0]
    assert post("/small/x", 10) == 200
    assert post("/small/x", 11) == 413
    assert post("/other", 11) == 200
    assert post("/sm%61ll/x", 11) == 413
    assert post("//small/x", 11) == 413
    chunked = routed.ask("/small/x", method="POST", fields="Transfer-Encoding: chunked\r\n", body=b"b\r\n12345678901\r\n0\r\n\r\n")
    assert chunked[0] == 413


def test_limits_of_a_route_over_http_2(routed):
    """By what the length says, and counted when there is none."""
    with h2_frames.Visitor(routed.address, routed.port) as visitor:
        for more, body, status in (([], b"x" * 11, 413), ([("content-length", "11")], None, 413), ([], b"x" * 10, 200)):
            stream = visitor.request(method="POST", path="/small/x", authority="example.com", more=more, body=body, end=status == 200)
            assert visitor.answer(stream)[0] == status


def test_redirects_of_routes(routed):
    for target, status, location in (("/old/", 301, "/new/"), ("/old/a/b?c=d", 301, "/new/a/b?c=d"), ("/old/a%20b", 301, "/new/a%20b"),
                                     ("/away/x", 302, "https://example.org/there/x"), ("/away/?q", 302, "https://example.org/there/?q"),
                                     ("/fixed", 307, "https://example.org/one?a=b"), ("/fixed/x?y=z", 307, "https://example.org/one?a=b&y=z"),
                                     ("/root/", 308, "/"), ("/root/x", 308, "/x"), ("//old/x", 301, "/new/x"), ("/o%6Cd/x", 301, "/new/x"),
                                     # Never another site's address, nor a field of somebody's choice.
                                     ("/root//evil.example/", 308, "/evil.example/"), ("/root///evil.example", 308, "/evil.example"),
                                     ("/root/%2fevil.example", 400, None), ("/root/\\evil.example", 400, None),
                                     ("/old/%0d%0aX:y", 301, "/new/%0D%0AX:y")):
        got = routed.ask(target)
        assert (got[0], got[1].get("location")) == (status, location), target
    assert routed.ask("/old", method="GET")[0] == 200  # "/old/" is not "/old"
    status, fields, content = routed.ask("/old/x", method="HEAD")
    assert (status, fields["location"], content) == (301, "/new/x", b"")
    routed.wait_for_log('"GET /away/x HTTP/1.1" 302 .* server=- .*end=redirected')


def test_a_redirect_keeps_the_connection(routed):
    with contextlib.closing(routed.connect()) as visitor:
        for _ in range(3):
            visitor.request("POST", "/old/x", body=b"hello")
            answer = visitor.getresponse()
            assert (answer.status, answer.headers["Location"]) == (301, "/new/x")
            answer.read()
            visitor.request("GET", "/")
            assert visitor.getresponse().read() == b"web1"


def test_a_path_is_nobodys_business_without_routes(tmp_path):
    with Site(tmp_path, apps=("web1",), check=PATIENT_CHECK) as site:
        for target in ("/x%2fy", "/a/../b", "/%00", "/%"):
            with contextlib.closing(site.connect()) as visitor:
                visitor.putrequest("GET", target)
                visitor.endheaders()
                assert visitor.getresponse().status == 200


def named_sites(site):
    """More sites at the same listener, each with its own page, so that the answer tells which one it was."""
    names = {"wild": ["'*.example.com'"], "deep": ["'*.b.example.com'"], "exact": ["a.b.example.com"], "rest": ["'*'"]}
    text = ""
    for name, more in names.items():
        page = f"{site.directory}/{name}.html"
        with open(page, "w", encoding="utf-8") as file:
            file.write(name)
        text += f"""  {name}.test:
    on: [front]
    names: [{', '.join(more)}]
    listen: ["{site.address}:{site.port}"]
    page: {page}
"""
    return text


def test_names(tmp_path):
    with Site(tmp_path, apps=("web1",), check=PATIENT_CHECK, start=False) as site:
        site.more = named_sites(site)
        site.noah.write(site.text())
        site.noah.start()
        for host, name in (("example.com", b"web1"), ("EXAMPLE.com.", b"web1"), ("x.example.com", b"wild"), ("x.y.example.com", b"wild"),
                           ("X.Example.Com:99", b"wild"), ("b.example.com", b"wild"), ("x.b.example.com", b"deep"),
                           ("x.y.b.example.com", b"deep"), ("a.b.example.com", b"exact"), ("c.a.b.example.com", b"deep"),
                           ("wild.test", b"wild"), ("notexample.com", b"rest"), ("com", b"rest"), ("[::1]", b"rest"),
                           ("10.0.0.1", b"rest"), (".".join("a" * 100), b"rest"), (".".join("a" * 100) + ".example.com", b"wild")):
            assert site.get(host=host)[1] == name, host
        # Without the site for all other names: nobody's.
        site.more = site.more.replace("    names: ['*']\n", "")
        site.noah.reload(site.text())
        assert site.get(host="notexample.com")[0] == 421
        assert site.get(host="x.example.com")[1] == b"wild"


def test_a_static_page(tmp_path):
    with Site(tmp_path, apps=("web1",), check=PATIENT_CHECK, start=False) as site:
        site.more = named_sites(site)
        site.noah.write(site.text())
        site.noah.start()
        with contextlib.closing(site.connect()) as visitor:
            visitor.request("GET", "/whatever?x", headers={"Host": "elsewhere.test"})
            answer = visitor.getresponse()
            assert (answer.status, answer.read()) == (200, b"rest")
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and "ETag" not in answer.headers
            visitor.request("HEAD", "/", headers={"Host": "elsewhere.test"})
            answer = visitor.getresponse()
            assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "4", b"")
            for method in ("POST", "OPTIONS", "DELETE"):
                visitor.request(method, "/", body=b"x", headers={"Host": "elsewhere.test"})
                answer = visitor.getresponse()
                answer.read()
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        site.wait_for_log('"GET /whatever\\?x HTTP/1.1" 200 4 .*site=rest.test .*end=page')
        # Read anew at a reload.
        with open(f"{tmp_path}/rest.html", "w", encoding="utf-8") as file:
            file.write("another one")
        site.noah.reload()
        wait_for(lambda: site.get(host="elsewhere.test")[1] == b"another one", 10, "the new page")


def test_routes_change_with_a_reload(tmp_path):
    with Routed(tmp_path, ["{ path: /api/, apps: [API] }"]) as site:
        assert site.name("/api/") == "api"
        site.options = site.options.replace("/api/", "/moved/")
        site.noah.reload(site.text())
        wait_for(lambda: site.name("/moved/") == "api", 10, "the new route")
        assert site.name("/api/") == "web1"


def test_a_canonical_name(tmp_path):
    options = "    names: [www.example.com, also.example.com, '*.example.com']\n    canonical: www.example.com\n"
    with Routed(tmp_path, ["{ path: /old/, redirect: /new/, status: 302 }", "{ path: /away/, redirect: 'https://example.org/' }"],
                options=options) as site:
        at = f":{site.port}"
        for host, target, status, location in (
                ("www.example.com", "/x", 200, None), ("WWW.example.com" + at, "/x", 200, None),
                ("example.com", "/x?y=z", 301, "http://www.example.com/x?y=z"),
                ("also.example.com" + at, "/%41?", 301, f"http://www.example.com{at}/%41?"),
                ("x.example.com", "/", 200, None),  # by a wildcard: may be a name of its own
                ("example.com", "//evil.example/", 301, "http://www.example.com//evil.example/"),
                ("example.com", "/old/x", 302, "http://www.example.com/new/x"),  # one hop
                ("example.com", "/away/x", 301, "https://example.org/x"),
                ("example.com", "/.well-known/acme-challenge/token", 200, None)):
            got = site.ask(target, host=host)
            assert (got[0], got[1].get("location")) == (status, location), (host, target)
        assert site.ask("/x", host="example.com", method="POST", fields="Content-Length: 0\r\n")[0] == 308
        with contextlib.closing(site.socket()) as visitor:
            visitor.sendall(b"GET /x HTTP/1.0\r\n\r\n")
            assert visitor.recv(9999).startswith(b"HTTP/1.1 200")  # names no host, so it has no other name


# ---- against another reading of the same rules

PIECES = ("/", "/", "/", "api", "a", "%61", "pi", "%70i", ".", "..", "%2e", "%2E", ";", ";x", "%2f", "%5C", "\\", "%", "%0", "%00", "files",
          "f%69les", ".png", ".JPG", "%20", "x", "%c3%a9", "%3b", "caf", "small", "old")


def expected_name(path):
    """Which app answers, or 400: by the rules of docs/http.md, on the routes of `routed` that have apps."""
    if "\\" in path or re.search("%(?![0-9A-Fa-f]{2})", path) or re.search("%(00|2f|5c)", path, re.I):
        return 400
    for segment in path.split("/")[1:]:
        if re.sub("%2e", ".", segment.split(";")[0], flags=re.I) in (".", ".."):
            return 400
    plain = urllib.parse.unquote(path, "latin-1")
    last = plain.rsplit("/", 1)[1].lower()
    for spelling in (plain, re.sub("/+", "/", plain)):
        if spelling == "/api" or spelling.startswith("/api/"):
            return "api"
    for spelling in (plain, re.sub("/+", "/", plain)):
        if spelling.startswith("/files/") and last.endswith((".gz", ".jpg")):
            return "files"
    for spelling in (plain, re.sub("/+", "/", plain)):
        if spelling.startswith("/caf\xc3\xa9/"):
            return "files"
    return "files" if last.endswith(".png") else None


def test_any_path_takes_the_route_that_the_rules_say(routed):
    dice = random.Random(4711)
    seen = set()
    for _ in range(600):
        path = "/" + "".join(dice.choice(PIECES) for _ in range(dice.randint(1, 6)))
        expected, got = expected_name(path), routed.name(path)
        seen.add(expected)
        if expected is None:
            assert got in ("web1", 301, 302, 307, 308), path
        else:
            assert got == expected, path
    assert seen == {400, "api", "files", None}
