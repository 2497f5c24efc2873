# SPDX-License-Identifier: BSD-2-Clause
"""Files that noah sends itself: types, index, conditions, ranges, coded siblings, methods, who is asked for what is missing."""
import contextlib
import email.parser
import email.utils
import gzip
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from files_site import SETTLED, FilesSite, replace
from site_of_apps import App, Site
from support.noah import free_port, wait_for

LARGE = random.Random(3).randbytes(900_001)
SMALL = b"body { color: red }\n"
INDEX = b"<!DOCTYPE html><title>here</title>\n"
DATE = "Sun, 09 Sep 2001 01:46:40 GMT"  # SETTLED
TAG = '"de0b6b3a7640000-%x"'


@pytest.fixture(name="site", scope="module")
def site_of_files(tmp_path_factory):
    with FilesSite(tmp_path_factory.mktemp("files"), site="    compress: none") as site:
        site.put("small.css", SMALL)
        site.put("large.bin.zip", LARGE)
        site.put("empty.txt", b"")
        site.put("index.html", INDEX)
        site.put("docs/index.html", b"docs")
        site.put("bare/page.html", b"page")
        site.put("name with space & ümlaut.txt", b"named")
        site.put("percent%41.txt", b"percent")
        yield site


# ---- what is sent ----------------------------------------------------------------------------------------------------------

def test_a_file(site):
    for _ in range(3):  # from the disk, then from memory
        answer = site.ask("/small.css")
        assert (answer.status, answer.body) == (200, SMALL)
        assert answer.fields["content-type"] == "text/css; charset=utf-8"
        assert answer.fields["last-modified"] == DATE
        assert answer.fields["etag"] == TAG % len(SMALL)
        assert answer.fields["accept-ranges"] == "bytes"
        assert "via" not in answer.fields and "vary" not in answer.fields
    site.wait_for_log(r'"GET /small.css HTTP/1.1" 200 .*end=file')


@pytest.mark.parametrize("target,content,media", [
    ("/large.bin.zip", LARGE, "application/zip"), ("/empty.txt", b"", "text/plain; charset=utf-8"),
    ("/", INDEX, "text/html; charset=utf-8"), ("/docs/", b"docs", "text/html; charset=utf-8"),
    ("/name%20with%20space%20&%20%C3%BCmlaut.txt", b"named", "text/plain; charset=utf-8"),
    ("/percent%2541.txt", b"percent", "text/plain; charset=utf-8"), ("/small.css?v=1", SMALL, "text/css; charset=utf-8"),
    ("//docs//index.html", b"docs", "text/html; charset=utf-8"), ("http://example.com/small.css", SMALL, "text/css; charset=utf-8")])
def test_names(site, target, content, media):
    for method in ("GET", "HEAD"):
        answer = site.ask(target, method)
        assert (answer.status, answer.fields["content-type"], answer.fields["content-length"]) == (200, media, str(len(content)))
        assert answer.body == (content if method == "GET" else b"")


def test_a_directory_without_its_slash(site):
    for target, location in (("/docs", "/docs/"), ("/docs?a=b", "/docs/?a=b"), ("//docs", "/docs/"), ("/bare", "/bare/")):
        answer = site.ask(target)
        assert (answer.status, answer.fields["location"]) == (301, location)


def test_no_listing(site):
    assert site.ask("/bare/").status == 404
    assert site.ask("/nothing/").status == 404
    assert site.ask("/nothing.css").status == 404
    site.wait_for_log(r'"GET /nothing.css HTTP/1.1" 404 .*end=not-found')


def test_methods(site):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"):
        answer = site.ask("/small.css", method, content_length=0)
        assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD"), method


def test_requests_on_one_connection(site):
    request = "GET /{} HTTP/1.1\r\nHost: example.com\r\n{}\r\n"
    names = [("small.css", SMALL), ("large.bin.zip", LARGE), ("empty.txt", b""), ("small.css", SMALL)] * 5
    text = "".join(request.format(name, "Connection: close\r\n" if number + 1 == len(names) else "")
                   for number, (name, _) in enumerate(names))
    got = site.raw(text.encode())
    for _, content in names:
        head, _, got = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert got[:len(content)] == content
        got = got[len(content):]
    assert got == b""


def test_http_1_0(site):
    got = site.raw(b"GET /large.bin.zip HTTP/1.0\r\nHost: example.com\r\n\r\n")
    assert got.partition(b"\r\n\r\n")[2] == LARGE


# ---- conditions (RFC 9110 13) ------------------------------------------------------------------------------------------------

SMALL_TAG = TAG % len(SMALL)


@pytest.mark.parametrize("status,fields", [
    (304, {"if_none_match": SMALL_TAG}), (304, {"if_none_match": "W/" + SMALL_TAG}), (304, {"if_none_match": "*"}),
    (304, {"if_none_match": f'"a", {SMALL_TAG}'}), (200, {"if_none_match": '"a"'}), (200, {"if_none_match": SMALL_TAG.strip('"')}),
    (304, {"if_modified_since": DATE}), (304, {"if_modified_since": "Sun Sep  9 01:46:40 2001"}),
    (304, {"if_modified_since": "Sunday, 09-Sep-01 01:46:40 GMT"}), (304, {"if_modified_since": "Sat, 21 Nov 2026 00:00:00 GMT"}),
    (200, {"if_modified_since": "Sun, 09 Sep 2001 01:46:39 GMT"}), (200, {"if_modified_since": "yesterday"}),
    (200, {"if_none_match": '"a"', "if_modified_since": DATE}),
    (200, {"if_match": SMALL_TAG}), (200, {"if_match": "*"}), (412, {"if_match": '"a"'}), (412, {"if_match": "W/" + SMALL_TAG}),
    (200, {"if_unmodified_since": DATE}), (412, {"if_unmodified_since": "Sun, 09 Sep 2001 01:46:39 GMT"}),
    (200, {"if_match": SMALL_TAG, "if_unmodified_since": "Sun, 09 Sep 2001 01:46:39 GMT"}),
    (412, {"if_match": '"a"', "if_none_match": SMALL_TAG}), (304, {"if_match": SMALL_TAG, "if_none_match": SMALL_TAG}),
    (304, {"if_none_match": SMALL_TAG, "range": "bytes=0-1"})])
def test_conditions(site, status, fields):
    for method in ("GET", "HEAD"):
        answer = site.ask("/small.css", method, **fields)
        assert answer.status == status
        assert answer.body == (SMALL if status == 200 and method == "GET" else b"")
        assert answer.fields["etag"].removeprefix("W/") == SMALL_TAG  # who has a compressed copy finds its tag again
        assert status != 304 or "content-length" not in answer.fields


def test_clones_say_the_same(site, tmp_path):
    """A copy with its time has the same tag, another time another one."""
    with FilesSite(tmp_path) as other:
        other.put("small.css", SMALL)
        assert other.ask("/small.css").fields["etag"] == site.ask("/small.css").fields["etag"]
        os.utime(other.path("small.css"), (SETTLED, SETTLED + 1))
        assert other.ask("/small.css").fields["etag"] != site.ask("/small.css").fields["etag"]


def test_a_file_from_the_future(tmp_path):
    with FilesSite(tmp_path) as site:
        os.utime(site.put("a.css", SMALL), (4000000000, 4000000000))
        answer = site.ask("/a.css")
        assert email.utils.parsedate_to_datetime(answer.fields["last-modified"]) <= email.utils.parsedate_to_datetime(answer.fields["date"])


# ---- ranges (RFC 9110 14) -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name,content", [("small.css", SMALL), ("large.bin.zip", LARGE)])
def test_one_range(site, name, content):
    size = len(content)
    for asked, first, last in (("0-0", 0, 0), ("5-9", 5, 9), ("3-", 3, size - 1), ("-4", size - 4, size - 1),
                               (f"0-{size * 9}", 0, size - 1), (f"{size - 1}-", size - 1, size - 1)):
        answer = site.ask(f"/{name}", range=f"bytes={asked}")
        assert (answer.status, answer.body) == (206, content[first:last + 1])
        assert answer.fields["content-range"] == f"bytes {first}-{last}/{size}"
        head = site.ask(f"/{name}", "HEAD", range=f"bytes={asked}")
        assert (head.status, head.fields["content-length"]) == (200, str(size))  # ranges are for GET
    for asked in (f"{size}-", "-0", f"{size * 3}-{size * 4}"):
        answer = site.ask(f"/{name}", range=f"bytes={asked}")
        assert (answer.status, answer.fields["content-range"], answer.body) == (416, f"bytes */{size}", b"")
    for asked in ("bytes=9-5", "bytes=a-b", "lines=0-4", "bytes=0-4,2-6", "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 17)),
                  "bytes=0-,0-,0-"):
        answer = site.ask(f"/{name}", range=asked)
        assert (answer.status, answer.body) == (200, content), asked


def test_two_range_fields_are_none(site):
    got = site.raw(b"GET /small.css HTTP/1.1\r\nHost: example.com\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("name,content", [("small.css", SMALL), ("large.bin.zip", LARGE)])
def test_several_ranges(site, name, content):
    size = len(content)
    answer = site.ask(f"/{name}", range=f"bytes=0-3, {size - 5}-, 6-6, 8-{size // 2}")
    assert answer.status == 206 and answer.whole and "content-range" not in answer.fields
    message = email.parser.BytesParser().parsebytes(b"Content-Type: " + answer.fields["content-type"].encode() + b"\r\n\r\n" + answer.body)
    assert message.is_multipart()
    parts = [(part["Content-Range"], part.get_payload(decode=True)) for part in message.get_payload()]
    wanted = [(0, 3), (size - 5, size - 1), (6, 6), (8, size // 2)]
    assert [place for place, _ in parts] == [f"bytes {first}-{last}/{size}" for first, last in wanted]
    boundary = re.search(r"boundary=(\w+)", answer.fields["content-type"])[1].encode()
    pieces = answer.body.split(b"--" + boundary)
    for piece, (first, last) in zip(pieces[1:], wanted):
        assert piece.partition(b"\r\n\r\n")[2][:-2] == content[first:last + 1]
    assert pieces[-1] == b"--\r\n"


@pytest.mark.parametrize("status,condition", [(206, SMALL_TAG), (206, DATE), (200, "W/" + SMALL_TAG), (200, '"a"'),
                                              (200, "Sun, 09 Sep 2001 01:46:39 GMT"), (200, "Mon, 10 Sep 2001 01:46:40 GMT")])
def test_if_range(site, status, condition):
    answer = site.ask("/small.css", range="bytes=1-3", if_range=condition)
    assert (answer.status, answer.body) == (status, SMALL[1:4] if status == 206 else SMALL)


def test_a_range_of_what_was_just_written_needs_a_tag(tmp_path):
    """Within its second a file can change without another date (RFC 9110 8.8.2.2)."""
    with FilesSite(tmp_path) as site:
        site.put("a.zip", b"0123456789", settled=False)
        whole = site.ask("/a.zip")
        answer = site.ask("/a.zip", range="bytes=1-3", if_range=whole.fields["last-modified"])
        assert answer.status == 200 or answer.fields["date"] > whole.fields["last-modified"]
        assert site.ask("/a.zip", range="bytes=1-3", if_range=whole.fields["etag"]).status == 206


# ---- coded siblings --------------------------------------------------------------------------------------------------------------

def test_coded_siblings(tmp_path):
    with FilesSite(tmp_path, site="    compress: none") as site:
        site.put("a.css", SMALL)
        for ending in ("br", "zst", "gz"):
            site.put(f"a.css.{ending}", f"coded as {ending}")
        site.put("b.css", SMALL)
        site.put("b.css.gz", gzip.compress(SMALL))
        site.put("c.png", b"picture")
        site.put("c.png.gz", b"never")
        for accept, coding, ending in (("gzip", "gzip", "gz"), ("br, gzip", "br", "br"), ("gzip, br, zstd", "zstd", "zst"),
                                       ("zstd;q=0.1, gzip", "gzip", "gz"), ("br;q=0, gzip;q=0.5", "gzip", "gz")):
            answer = site.ask("/a.css", accept_encoding=accept)
            assert (answer.status, answer.fields["content-encoding"], answer.body) == (200, coding, f"coded as {ending}".encode())
            assert answer.fields["vary"] == "Accept-Encoding"
            assert answer.fields["content-type"] == "text/css; charset=utf-8"
            assert answer.fields["etag"].endswith(f'-{coding}"')
            unchanged = site.ask("/a.css", accept_encoding=accept, if_none_match=answer.fields["etag"])
            assert (unchanged.status, unchanged.fields["vary"]) == (304, "Accept-Encoding")
            part = site.ask("/a.css", accept_encoding=accept, range="bytes=2-4")
            assert (part.status, part.fields["content-encoding"], part.body) == (206, coding, b"ded")
        for accept in ("identity", "", "deflate"):
            answer = site.ask("/a.css", accept_encoding=accept)
            assert (answer.body, answer.fields["vary"]) == (SMALL, "Accept-Encoding") and "content-encoding" not in answer.fields
        assert gzip.decompress(site.ask("/b.css", accept_encoding="gzip").body) == SMALL
        assert site.ask("/b.css", accept_encoding="br").body == SMALL
        assert site.ask("/c.png", accept_encoding="gzip").body == b"picture"
        # Older than the file: of another version of it.
        os.utime(site.path("b.css"), (SETTLED + 60, SETTLED + 60))
        wait_for(lambda: site.ask("/b.css", accept_encoding="gzip").body == SMALL, 5, "the old sibling to count no more")
        # One that comes later is found.
        site.put("d.css", SMALL)
        assert site.ask("/d.css", accept_encoding="gzip").body == SMALL
        site.put("d.css.gz", b"late")
        wait_for(lambda: site.ask("/d.css", accept_encoding="gzip").body == b"late", 5, "the new sibling")


def test_compressed_on_the_way(tmp_path):
    """What has no coded sibling goes through the compressor, once it is large enough."""
    text = b"The same line again and again.\n" * 3000
    with FilesSite(tmp_path) as site:
        site.put("long.txt", text)
        site.put("short.txt", text[:200])
        answer = site.ask("/long.txt", accept_encoding="gzip")
        assert answer.fields["content-encoding"] == "gzip" and gzip.decompress(answer.body) == text
        assert len(answer.body) < len(text) / 10
        assert answer.fields["etag"].startswith('W/"') and answer.fields["vary"] == "Accept-Encoding"
        assert "accept-ranges" not in answer.fields and "content-length" not in answer.fields
        assert site.ask("/long.txt", accept_encoding="gzip", if_none_match=answer.fields["etag"]).status == 304
        head = site.ask("/long.txt", "HEAD", accept_encoding="gzip")
        assert (head.fields["content-encoding"], head.fields["etag"]) == ("gzip", answer.fields["etag"])
        plain = site.ask("/long.txt")
        assert (plain.body, plain.fields["vary"]) == (text, "Accept-Encoding") and "content-encoding" not in plain.fields
        part = site.ask("/long.txt", accept_encoding="gzip", range="bytes=4-7")
        assert (part.status, part.body, part.fields["vary"]) == (206, text[4:8], "Accept-Encoding") and "content-encoding" not in part.fields
        assert site.ask("/long.txt", range="bytes=4-7,9-9").fields["vary"] == "Accept-Encoding"
        assert site.ask("/long.txt", if_none_match="*").fields["vary"] == "Accept-Encoding"
        assert "vary" not in site.ask("/short.txt", range="bytes=4-7").fields
        assert site.ask("/short.txt", accept_encoding="gzip").body == text[:200]


# ---- what is served -----------------------------------------------------------------------------------------------------------------

def test_types(tmp_path):
    with FilesSite(tmp_path, static=", match: [txt, special]") as site:
        for name in ("a.txt", "B.TXT", "c.special", "d.css", "e", "f.php", "g.unknown"):
            site.put(name, name)
        assert site.ask("/a.txt").status == site.ask("/B.TXT").status == 200
        assert site.ask("/c.special").fields["content-type"] == "application/octet-stream"
        for name in ("d.css", "e", "f.php", "g.unknown"):
            assert site.ask(f"/{name}").status == 404, name
    with FilesSite(tmp_path / "any") as site:
        for name in ("a.txt", "d.css", "e", "f.php", "f.PHP", "g.unknown", "h.php.jpg", "i.sql", "j.env", "k.bak", "l.inc", "m.yml", "n.php~",
                     "o.sql.gz", "p.SQL.ZIP", "q.php.bz2", "r.tar.gz", "s.css.gz", "t.gz", ".sql.gz"):
            site.put(name, name)
        for name in ("a.txt", "d.css", "h.php.jpg", "r.tar.gz", "s.css.gz", "t.gz"):
            assert site.ask(f"/{name}").status == 200, name
        for name in ("e", "f.php", "f.PHP", "g.unknown", "i.sql", "j.env", "k.bak", "l.inc", "m.yml", "n.php~",
                     "o.sql.gz", "p.SQL.ZIP", "q.php.bz2", ".sql.gz"):
            assert site.ask(f"/{name}").status == 404, name
    with FilesSite(tmp_path / "packed", static=", match: [gz]") as site:
        site.put("o.sql.gz", "named")
        assert site.ask("/o.sql.gz").body == b"named"


def test_index_files(tmp_path):
    with FilesSite(tmp_path, static=", index: [start.htm, index.html]") as site:
        site.put("a/start.htm", "start")
        site.put("a/index.html", "index")
        site.put("b/index.html", "index")
        assert site.ask("/a/").body == b"start"
        assert site.ask("/b/").body == b"index"


def test_expiry(tmp_path):
    with FilesSite(tmp_path, site="    expires: 30d") as site:
        site.put("a.css", SMALL)
        answer = site.ask("/a.css")
        assert answer.fields["cache-control"] == "max-age=2592000"
        assert site.ask("/a.css", if_none_match=answer.fields["etag"]).fields["cache-control"] == "max-age=2592000"
        assert site.ask("/b.css").fields["cache-control"] == "no-store"


def test_json_log(tmp_path):
    with FilesSite(tmp_path, log_format="json") as site:
        site.put("a.css", SMALL)
        site.ask("/a.css")
        site.wait_for_log(r'"end":"file"')
        with open(site.log_file, encoding="utf-8") as file:
            line = json.loads(file.readline())
        assert (line["status"], line["end"]) == (200, "file")


# ---- HTTP/2 and TLS -------------------------------------------------------------------------------------------------------------------

def curl(*arguments):
    result = subprocess.run(["curl", "-s", "-k", *arguments], stdout=subprocess.PIPE, check=False, timeout=60)
    assert result.returncode == 0, result
    return result.stdout


def test_http_2_and_tls(tmp_path):
    with FilesSite(tmp_path, start=False) as site:
        site.put("small.css", SMALL)
        site.put("large.zip", LARGE)
        secure = free_port(site.address)
        site.site = "    certificate: self-signed\n    https: { redirect: false }"
        text = site.text().replace(f'"{site.address}:{site.port}"]', f'"{site.address}:{site.port}", "https:{site.address}:{secure}"]')
        site.noah.write(text)
        site.noah.start()
        places = {f"https://example.com:{secure}": ["--resolve", f"example.com:{secure}:{site.address}"],
                  f"http://example.com:{site.port}": ["--resolve", f"example.com:{site.port}:{site.address}"]}
        for place, arguments in places.items():
            for version in (["--http1.1"], ["--http2" if place.startswith("https") else "--http2-prior-knowledge"]):
                for name, content in (("small.css", SMALL), ("large.zip", LARGE)):
                    assert curl(*arguments, *version, f"{place}/{name}") == content, (place, version, name)
                    assert curl(*arguments, *version, "-r", "3-9", f"{place}/{name}") == content[3:10]
                    head = curl(*arguments, *version, "-I", f"{place}/{name}").decode().lower()
                    assert f"content-length: {len(content)}" in head and "200" in head.split("\n", maxsplit=1)[0]
                parts = curl(*arguments, *version, "-r", "0-1,500000-700000", f"{place}/large.zip")
                assert LARGE[500000:700001] in parts
                unchanged = curl(*arguments, *version, "-i", "-H", f'If-None-Match: {TAG % len(SMALL)}', f"{place}/small.css").decode()
                assert "304" in unchanged.split("\n", maxsplit=1)[0]
                if "prior" not in version[0]:  # there curl 7.88 asks only once on a connection
                    assert curl(*arguments, *version, "-Z", f"{place}/small.css?[1-40]") == SMALL * 40


# ---- what is not here ------------------------------------------------------------------------------------------------------------------

def test_apps_answer_what_is_no_file(tmp_path):
    with Site(tmp_path, apps=("web1",), start=False) as site:
        place = FilesSite(tmp_path / "unused", start=False)
        try:
            site.options = f"    static: {{ root: {place.root} }}\n"
            place.put("a.css", SMALL)
            place.put("docs/page.html", "page")
            site.noah.write(site.text())
            site.noah.start()
            assert site.get("/a.css")[1] == SMALL
            for path in ("/", "/b.css", "/index.php", "/docs/", "/.git/config", "/some/page"):
                assert site.get(path)[:2] == (200, b"web1"), path
            with contextlib.closing(site.connect()) as visitor:
                visitor.request("POST", "/a.css", body=b"x", headers={"Host": "example.com"})
                answer = visitor.getresponse()
                assert answer.status == 200 and answer.read().startswith(b"1 ")  # how many bytes it got
        finally:
            shutil.rmtree(place.place)


class Clones:
    """Two servers with a noah and files each, where one asks the other for what it has not."""

    def __init__(self, directory, app=None):
        self.one = FilesSite(directory / "one", start=False)
        self.two = FilesSite(directory / "two", start=False)
        servers = f"  two: {{ address: {self.two.address} }}\n"
        if app is not None:
            servers += f"  app: {{ address: {app.address} }}\n"
        self.one.servers = servers
        self.two.servers = f"  one: {{ address: {self.one.address} }}\n"
        check = "    check: { tcp: true, every: 500ms, timeout: 500ms, rise: 1, fall: 2 }"
        both = f"front:{self.one.port}, two:{self.two.port}" + (f", app:{app.port}" if app is not None else "")
        self.one.static = f", try: [{both}]"
        self.two.static = f", try: [one:{self.one.port}, front:{self.two.port}]"
        self.one.site = self.two.site = check

    def __enter__(self):
        for site in (self.one, self.two):
            site.noah.write(site.text())
            site.noah.start(wait=False)
        for site in (self.one, self.two):
            site.noah.wait_ready()
            wait_for(lambda site=site: self.up(site), 20, "all to be up")
        return self

    @staticmethod
    def up(site):
        health = [target["health"] for target in site.noah.status()["targets"]]
        return len(health) >= 2 and all(word == "up" for word in health)

    def __exit__(self, *why):
        self.one.__exit__(*why)
        self.two.__exit__(*why)


def test_a_clone_is_asked(tmp_path):
    with Clones(tmp_path) as clones:
        clones.one.put("here.jpg", b"here")
        clones.two.put("there.jpg", b"there")
        assert clones.one.ask("/here.jpg").body == b"here"
        answer = clones.one.ask("/there.jpg")
        assert (answer.status, answer.body, answer.fields["via"]) == (200, b"there", "1.1 noah")
        assert clones.two.ask("/here.jpg").body == b"here"
        # Nobody has it: one question to the other, none to itself, and no circle.
        assert clones.one.ask("/nowhere.jpg").status == 404
        clones.one.wait_for_log(r'"GET /nowhere.jpg HTTP/1.1" 404 .*end=not-found')
        clones.two.wait_for_log(r'"GET /nowhere.jpg HTTP/1.1" 404')
        with open(clones.two.log_file, encoding="utf-8") as file:
            assert len(re.findall("/nowhere.jpg", file.read())) == 1
        with open(clones.one.log_file, encoding="utf-8") as file:
            assert len(re.findall("/nowhere.jpg", file.read())) == 1
        # What says itself that it was tried is not tried again.
        assert clones.one.ask("/there.jpg", noah_try=1).status == 404
        # The file has arrived: it is sent from here.
        clones.one.put("there.jpg", b"arrived")
        wait_for(lambda: clones.one.ask("/there.jpg").body == b"arrived", 5, "the file that has arrived")
        # Ranges and conditions go with the question.
        clones.two.put("large.jpg", LARGE)
        assert clones.one.ask("/large.jpg", range="bytes=5-9").body == LARGE[5:10]
        assert clones.one.ask("/large.jpg").body == LARGE
        # What can be no file is not asked for.
        assert clones.one.ask("/page").status == 404
        with open(clones.two.log_file, encoding="utf-8") as file:
            assert "GET /page " not in file.read()


def test_one_after_another_until_one_has_it(tmp_path):
    """The last of the group is an app that has everything; the clone before it says 404."""
    tmp_path.mkdir(exist_ok=True)
    app = App(str(tmp_path), "app")
    try:
        with Clones(tmp_path, app) as clones:
            for _ in range(10):
                answer = clones.one.ask("/picture.jpg")
                assert (answer.status, answer.body) == (200, b"app")
    finally:
        app.kill()


def test_a_missing_file_moves_no_visitor(tmp_path):
    """Who has the file says nothing about where its visitor belongs (`sticky`), and his cookie nothing about who has the file."""
    app = App(str(tmp_path), "app")
    try:
        clones = Clones(tmp_path, app)
        clones.one.site += f"\n    sticky: place\n    apps: [two:{clones.two.port}, app:{app.port}]"
        with clones:
            for cookie in ("", "place=0", "other=1"):
                answer = clones.one.ask("/picture.jpg", cookie=cookie)
                assert (answer.status, answer.body) == (200, b"app") and "set-cookie" not in answer.fields
    finally:
        app.kill()


def test_replaced_by_rename(tmp_path):
    with FilesSite(tmp_path) as site:
        for size in (10, 100_000):
            path = site.put(f"{size}.zip", b"a" * size)
            assert site.ask(f"/{size}.zip").body == b"a" * size
            replace(path, b"b" * size)
            wait_for(lambda size=size: site.ask(f"/{size}.zip").body == b"b" * size, 5, "the new file")
            # In place: at once, whole or not at all.
            with open(path, "r+b") as file:
                file.write(b"c" * size)
            os.utime(path, (SETTLED + 7, SETTLED + 7))
            assert site.ask(f"/{size}.zip").body == b"c" * size
            os.unlink(path)
            wait_for(lambda size=size: site.ask(f"/{size}.zip").status == 404, 5, "it to be gone")
