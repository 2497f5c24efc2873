# SPDX-License-Identifier: BSD-2-Clause
"""Error pages: in which form, whose, with which fields, and the reference that the access log shows too."""
import contextlib
import html.parser
import json
import os
import random
import re
import subprocess

import pytest

from site_of_apps import Site
from support.mariadb import wait_for

REFERENCE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}")
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@pytest.fixture(name="down", scope="module")
def make_down(tmp_path_factory):
    """A site whose only server is down: 503."""
    with Site(tmp_path_factory.mktemp("down"), apps=("web1",)) as site:
        site.apps[0].kill()
        site.noah.wait_for_health(str(site.apps[0].port), "down")
        yield site


def ask(site, method="GET", path="/", host="example.com", **headers):
    with contextlib.closing(site.connect()) as connection:
        connection.request(method, path, headers={"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}})
        answer = connection.getresponse()
        return answer, answer.read()


class Checker(html.parser.HTMLParser):
    """Every element is closed in its turn, and nothing is loaded from anywhere."""

    EMPTY = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe", "object", "form")
        assert not {name for name, _ in attrs} & {"src", "href", "style", "onload"}
        self.seen.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_for_people(down):
    answer, page = ask(down)
    text = page.decode()
    assert answer.status == 503 and answer.headers["Content-Type"] == HTML and answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["Retry-After"]) >= 1
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == [] and text.startswith("<!DOCTYPE html>")
    tags = [tag for tag, _ in checker.seen]
    assert tags.count("h1") == 1 and ("html", {"lang": "en"}) in checker.seen
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in checker.seen
    style = text[text.index("<style>"):text.index("</style>")]
    assert "prefers-color-scheme:dark" in style and style.count("{") == style.count("}")
    assert "url(" not in style and "@import" not in style and "http:" not in text and "https:" not in text
    assert len(page) < 3000 and "web1" not in text and "noah" not in text


@pytest.mark.parametrize("accept,content_type", [
    (None, HTML),
    ("*/*", HTML),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),  # browsers
    ("image/avif,image/webp,*/*;q=0.8", HTML),
    ("application/json", "application/json"),
    ("application/json, text/plain, */*", "application/json"),  # axios
    ("Application/JSON ; charset=utf-8", "application/json"),
    ("application/*", "application/json"),
    ("application/problem+json, application/json;q=0.9", "application/problem+json"),
    ("text/plain", TEXT),
    ("text/plain, text/html;q=0.5", TEXT),
    ("text/*", HTML),
    ("application/json;q=0.1, */*", HTML),
    ("application/json;q=0, text/plain;q=0.001", TEXT),
    ("text/html;q=0, */*;q=0.5", "application/json"),
    ("text/*;q=0, */*", "application/json"),
    ("application/json;q=0.5, text/plain;q=0.75", TEXT),
    ("text/plain;q=oops", TEXT),
    (",, ;, q=1", HTML),
    ("", HTML),
])
def test_the_form_that_is_preferred(down, accept, content_type):
    answer, page = ask(down, **({} if accept is None else {"Accept": accept}))
    assert (answer.status, answer.headers["Content-Type"]) == (503, content_type)
    assert REFERENCE.search(page.decode())


def test_any_accept(down):
    """Whatever stands in Accept: an answer in one of the forms."""
    pieces = ["text/html", "text/plain", "application/json", "text/*", "*/*", ";", "q", "=", ",", "0", ".", "1", "0.5", " ", "\t", "999999999999", "-1", "\"", "é"]
    chance = random.Random(4)
    with contextlib.closing(down.connect()) as connection:
        for _ in range(400):
            accept = "".join(chance.choice(pieces) for _ in range(chance.randrange(40)))
            connection.request("GET", "/", headers={"Host": "example.com", "Accept": accept.encode("latin-1")})
            answer = connection.getresponse()
            page = answer.read()
            assert answer.status == 503 and answer.headers["Content-Type"] in (HTML, TEXT, "application/json") and REFERENCE.search(page.decode()), accept


def test_for_programs(down):
    _, page = ask(down, Accept="application/json")
    value = json.loads(page)
    assert set(value) == {"status", "title", "detail", "reference"}
    assert value["status"] == 503 and value["title"] == "Service Unavailable" and "none of its servers" in value["detail"]
    assert REFERENCE.fullmatch(value["reference"])
    _, page = ask(down, Accept="text/plain")
    lines = page.decode().splitlines()
    assert lines[0] == "503 This site cannot answer right now" and lines[2].startswith("Reference: ") and len(lines) == 3


def test_the_reference_is_in_the_log(down):
    references = [REFERENCE.search(ask(down, path=f"/quoted-{number}")[1].decode()).group() for number in range(20)]
    assert len(set(references)) == 20
    wait_for(lambda: "/quoted-19" in down.log(), 10, "the access log")
    for number, reference in enumerate(references):
        assert re.search(rf'"GET /quoted-{number} HTTP/1.1" 503 .* ref={reference} end=no-server', down.log())


def test_head_is_like_get(down):
    answer, nothing = ask(down, "HEAD")
    _, page = ask(down)
    assert nothing == b"" and answer.status == 503 and answer.headers["Content-Length"] == str(len(page))
    assert "Retry-After" in answer.headers


def test_requests_that_are_not_valid_get_one_too(down):
    with contextlib.closing(down.socket()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: application/json\r\nBad Name: x\r\n\r\n")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and b"text/html" in answer
    reference = REFERENCE.search(answer.decode()).group()
    down.wait_for_log(rf"ref={reference} end=bad-request")


def curl_http2(site, path="/", *more):
    result = subprocess.run(["curl", "-sS", "-i", "--http2-prior-knowledge", "-H", "Host: example.com", *more, f"http://{site.address}:{site.port}{path}"],
                            stdout=subprocess.PIPE, check=True, timeout=30)
    head, _, body = result.stdout.decode().partition("\r\n\r\n")
    return head.lower(), body


def test_over_http2(down):
    head, body = curl_http2(down)
    assert head.startswith("http/2 503") and "retry-after: " in head and REFERENCE.search(body)
    head, body = curl_http2(down, "/", "-H", "Accept: application/json")
    assert json.loads(body)["status"] == 503 and "content-type: application/json" in head
    down.wait_for_log(rf'"GET / HTTP/2.0" 503 .* ref={json.loads(body)["reference"]} end=no-server')


def test_answers_of_apps_have_no_reference(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        assert site.get()[0] == 200
        site.wait_for_log(r" ref=- end=ok")


# ---- a site's own


def own_pages(directory, **pages):
    for name, text in pages.items():
        with open(os.path.join(directory, name.replace("_", ".")), "w", encoding="utf-8") as file:
            file.write(text)


OWN = "<!DOCTYPE html><title>Sorry</title><p>Ours is the fault. {{reference}} and again {{reference}}, {{other}}.\n"


def test_a_sites_own_pages(tmp_path):
    own_pages(tmp_path, sorry_html=OWN, soon_txt="Back at noon.\n")
    options = f"    errors: {{ 50x: {tmp_path}/sorry.html, maintenance: {tmp_path}/soon.txt }}"
    with Site(tmp_path, apps=("web1",), options=options) as site:
        site.apps[0].kill()
        site.noah.wait_for_health(str(site.apps[0].port), "down")
        answer, page = ask(site)
        assert answer.status == 503 and answer.headers["Content-Type"] == HTML and "Retry-After" in answer.headers
        first, second = REFERENCE.findall(page.decode())
        assert first == second and page.decode() == OWN.replace("{{reference}}", first)
        site.wait_for_log(rf"ref={first} end=no-server")
        head, nothing = ask(site, "HEAD")
        assert nothing == b"" and head.headers["Content-Length"] == str(len(page))
        head, body = curl_http2(site)
        assert head.startswith("http/2 503") and "Ours is the fault" in body
        # Who prefers another form does not get HTML.
        assert json.loads(ask(site, Accept="application/json")[1])["status"] == 503
        assert site.noah.command("maintenance", "on", "example.com").returncode == 0
        answer, page = ask(site)
        assert (answer.status, answer.headers["Content-Type"], page) == (503, TEXT, b"Back at noon.\n")
        assert ask(site, Accept="text/plain")[1] == b"Back at noon.\n"
        assert "worked on" in json.loads(ask(site, Accept="application/json")[1])["detail"]
        assert "its own page" in site.noah.command("maintenance").stdout
        # A reload brings a new version, and one that is not there changes nothing.
        own_pages(tmp_path, soon_txt="Back at one.\n")
        site.noah.reload()
        assert ask(site)[1] == b"Back at one.\n"
        os.remove(tmp_path / "soon.txt")
        assert "soon.txt" in site.noah.reload(expect=1)
        assert ask(site)[1] == b"Back at one.\n"


def test_an_own_page_in_json_and_one_that_is_large(tmp_path):
    own_pages(tmp_path, sorry_json='{"sorry":"{{reference}}"}', large_html="{{reference}}" + "x" * 65000)
    options = f"    errors: {{ 50x: {tmp_path}/sorry.json, maintenance: {tmp_path}/large.html }}"
    with Site(tmp_path, apps=("web1",), options=options) as site:
        site.apps[0].kill()
        site.noah.wait_for_health(str(site.apps[0].port), "down")
        for accept in (None, "application/json", "application/problem+json"):
            answer, page = ask(site, **({"Accept": accept} if accept else {}))
            assert answer.headers["Content-Type"] == "application/json" and REFERENCE.fullmatch(json.loads(page)["sorry"])
        assert site.noah.command("maintenance", "on", "example.com").returncode == 0
        with contextlib.closing(site.connect()) as connection:  # two on one connection
            for _ in range(2):
                connection.request("GET", "/", headers={"Host": "example.com"})
                page = connection.getresponse().read()
                assert len(page) == 65009 and REFERENCE.match(page.decode())


def test_apps_own_errors_are_passed_on(tmp_path):
    own_pages(tmp_path, sorry_html=OWN)
    with Site(tmp_path, apps=("web1",), options=f"    errors: {{ 50x: {tmp_path}/sorry.html }}") as site:
        for status in (404, 500, 503):
            answer, page = ask(site, path=f"/status?{status}")
            assert answer.status == status and page == b"web1"


def test_which_page_is_for_what(tmp_path):
    """403 and 404 of noah's own; each has its own page, and what has none is noah's."""
    os.mkdir(tmp_path / "root")
    own_pages(tmp_path, refused_html="Refused. {{reference}}", missing_html="Missing. {{reference}}")
    options = f"""    static: {{ root: {tmp_path}/root, try: none }}
    errors: {{ 403: {tmp_path}/refused.html, 404: {tmp_path}/missing.html }}
    routes:
      - {{ path: /closed, deny: [0.0.0.0/0] }}
"""
    with Site(tmp_path, apps=("web1",), options=options) as site:
        for path, status, words in (("/closed", 403, "Refused. "), ("/nothing.html", 404, "Missing. ")):
            answer, page = ask(site, path=path)
            assert answer.status == status and page.decode().startswith(words), (path, answer.status, page)
            reference = REFERENCE.search(page.decode()).group()
            site.wait_for_log(rf'"GET {path} HTTP/1.1" {status} .* ref={reference} ')
            value = json.loads(ask(site, path=path, Accept="application/json")[1])
            assert value["status"] == status and value["detail"]


def test_too_many_requests(tmp_path):
    own_pages(tmp_path, slow_html="Slower, please. {{reference}}")
    options = f"    errors: {{ 429: {tmp_path}/slow.html }}\n    requests: 3/1m"
    with Site(tmp_path, apps=("web1",), options=options) as site:
        answers = [ask(site) for _ in range(4)]
        assert [answer.status for answer, _ in answers[:3]] == [200] * 3
        answer, page = answers[3]
        assert answer.status == 429 and page.startswith(b"Slower, please. ") and 1 <= int(answer.headers["Retry-After"]) <= 60
        assert len(answer.headers.get_all("Retry-After")) == 1
