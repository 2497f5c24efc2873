# SPDX-License-Identifier: BSD-2-Clause
"""A site with a page and routes: what no route takes is answered with the page, all else is redirected or goes to an app."""
import contextlib

from site_of_apps import Site
from support.noah import wait_for


def test_a_page_with_routes(tmp_path):
    page = tmp_path / "moved.html"
    page.write_text("we have moved")
    with Site(tmp_path, apps=("web1",), start=False) as site:
        site.more = f"""  old.test:
    on: [front]
    listen: ["{site.address}:{site.port}"]
    page: {page}
    check: {site.check}
    routes:
      - {{ path: /shop/, redirect: https://example.org/, status: 302 }}
      - {{ path: /app, apps: [web1:{site.apps[0].port}], check: {{ host: example.com }} }}
"""
        site.noah.write(site.text())
        site.noah.start()
        assert site.get("/", host="old.test")[:2] == (200, b"we have moved")
        assert site.get("/appendix", host="old.test")[:2] == (200, b"we have moved")
        wait_for(lambda: site.get("/app", host="old.test")[:2] == (200, b"web1"), 10, "the app's answer")
        with contextlib.closing(site.connect()) as visitor:
            visitor.request("GET", "/shop/a?b", headers={"Host": "old.test"})
            answer = visitor.getresponse()
            answer.read()
            assert (answer.status, answer.headers["Location"]) == (302, "https://example.org/a?b")
