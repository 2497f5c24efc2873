# SPDX-License-Identifier: BSD-2-Clause
"""Paths that want out of the root, or to what is not meant to be seen. Each is tried over the wire; whatever the status is, nothing
that lies outside is ever sent."""
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from files_site import FilesSite
from h2_frames import Visitor
from support.noah import wait_for

SECRET = b"SECRET-OF-THE-MACHINE"


@pytest.fixture(name="site", scope="module")
def site_with_secrets(tmp_path_factory):
    with FilesSite(tmp_path_factory.mktemp("paths")) as site:
        with open(os.path.join(site.place, "secret.txt"), "wb") as file:
            file.write(SECRET)
        os.chmod(os.path.join(site.place, "secret.txt"), 0o644)
        os.mkdir(os.path.join(site.place, "root-beside"))
        with open(os.path.join(site.place, "root-beside", "secret.txt"), "wb") as file:
            file.write(SECRET)
        os.chmod(os.path.join(site.place, "root-beside", "secret.txt"), 0o644)
        site.put("page.html", b"page")
        site.put("deep/er/page.html", b"deep")
        yield site


def assert_harmless(site, target, statuses=(400, 404)):
    got = site.raw(b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
    assert SECRET not in got and b"root:" not in got, target
    assert int(got.split()[1]) in statuses, (target, got[:100])


UP = [b"..", b"%2e%2e", b"%2E.", b".%2e", b"..%00", b"%252e%252e", b"..;", b"..;x=y", b"...", b"%c0%ae%c0%ae", b"%e0%80%ae%e0%80%ae",
      b"%f0%80%80%ae%f0%80%80%ae", b"\xc0\xae\xc0\xae", b"%uff0e%uff0e", b"%u002e%u002e", b"..%20", b"..%09", b"%2e%2e%0a", b"..\\",
      b"%ff%fe.%2e"]
SLASHES = [b"/", b"//", b"/./", b"%2f", b"%2F", b"%5c", b"\\", b"%252f", b"%c0%af", b"%e0%80%af", b"%c1%9c", b"\xc0\xaf", b"%u2215", b"/%00/",
           b"%2f%2e/"]


@pytest.mark.parametrize("up", UP)
def test_up_and_out(site, up):
    for slash in SLASHES:
        for start in (b"/", b"/deep/", b"/deep/er/", b"//", b"/page.html/", b"/deep%2f"):
            for depth in (1, 3, 9):
                climb = (up + slash) * depth
                for name in (b"secret.txt", b"root-beside/secret.txt"):
                    assert_harmless(site, start + climb + name)
        assert_harmless(site, b"/" + (up + slash) * 12 + b"etc/passwd")


@pytest.mark.parametrize("target", [
    b"/etc/passwd", b"//etc/passwd", b"///etc/passwd", b"/%2fetc%2fpasswd", b"/%2f/etc/passwd", b"/./etc/passwd", b"http://example.com/../secret.txt",
    b"http://example.com//etc/passwd", b"/secret.txt", b"/page.html%00", b"/page.html%00.css", b"/%00page.html", b"/page.html%0a", b"/page%09.html",
    b"/page.html%7f", b"/root-beside/secret.txt", b"/proc/self/environ", b"/file:///etc/passwd", b"/deep/er/page.html/../../../secret.txt",
    b"/page.html/", b"/page.html/.", b"/page.html/page.html", b"/deep\\er\\page.html", b"/deep%5cer%5cpage.html", b"/deep%2fer%2fpage.html",
    b"/page.html;x", b"/page.html.", b"/page.html%20", b"/PAGE.HTML", b"/page.html~", b"/page.html::$DATA", b"/con.html", b"/%2e/page.html",
    b"/*", b"/page.*", b"/page.htm?", b"/deep/", b"/~root/secret.txt", b"/" + b"a/" * 3000 + b"b.html", b"/" + b"a" * 300 + b".html",
    b"/" + b"%61" * 2000 + b".html"])
def test_odd_names(site, target):
    assert_harmless(site, target, (400, 404, 414, 431))


def test_over_http_2(site):
    """The path is read by the same reader; nothing of HTTP/2 goes around it."""
    targets = [start + (up + slash) * 3 + b"secret.txt" for up in UP for slash in SLASHES for start in (b"/", b"/deep/er/")]
    targets += [b"/page.html%00", b"//etc/passwd", b"/..", b"/deep/../../secret.txt", b"/proc/self/environ"]
    for at in range(0, len(targets), 50):  # noah's patience with requests that are no HTTP has an end for each connection
        with Visitor(site.address, site.port) as visitor:
            for target in targets[at:at + 50]:
                status, body = visitor.answer(visitor.request(path=target, authority="example.com"))
                assert status in (400, 404, "reset") and (status == "reset" or SECRET not in body and b"root:" not in body), (target, status)
            assert visitor.answer(visitor.request(path="/page.html", authority="example.com")) == (200, b"page")


def test_what_is_harmless_still_works(site):
    """One spelling of a name is as good as the other, where all agree on what it means."""
    for target in ("/page.html", "//page.html", "/p%61ge.html", "/page%2ehtml", "/deep//er///page.html"):
        assert site.ask(target).status == 200, target


# ---- names with a dot, and the one that is meant to be found -------------------------------------------------------------------------

def test_dot_files(site):
    for name in (".git/config.txt", ".env", ".htaccess", ".htpasswd", ".hidden.html", "deep/.svn/entries.txt", "deep/.hidden.css", ".well-known/.x.txt",
                 "deep/.well-known/a.txt", ".well-known.html", ".ssh/id.txt", ".DS_Store"):
        site.put(name, SECRET)
    for name in (".git/config.txt", ".git/", ".git", ".env", ".htaccess", ".htpasswd", ".hidden.html", "%2egit/config.txt", "deep/.svn/entries.txt",
                 "deep/%2Esvn/entries.txt", "deep/.hidden.css", ".well-known/.x.txt", "deep/.well-known/a.txt", ".well-known.html", ".ssh/id.txt",
                 ".DS_Store", "/.git/config.txt", "deep//.svn/entries.txt"):
        assert_harmless(site, b"/" + name.encode())
    site.put(".well-known/acme-challenge/token_of-it", b"key authorization")
    site.put(".well-known/security.txt", b"Contact: mailto:a@example.com")
    assert site.ask("/.well-known/acme-challenge/token_of-it").body == b"key authorization"
    assert site.ask("/.well-known/security.txt").status == 200


# ---- links ---------------------------------------------------------------------------------------------------------------------------------

def test_links(site):
    outside = os.path.join(site.place, "secret.txt")
    links = {"absolute.txt": outside, "relative.txt": "../secret.txt", "deep/up.txt": "../../secret.txt", "parent": "..", "slash": "/",
             "self.txt": "self.txt", "proc.txt": "/proc/self/environ", "cwd": "/proc/self/cwd", "chain.txt": "chain2.txt", "chain2.txt": "relative.txt",
             "beside": "../root-beside", "back.txt": "../root/page.html", "root-again": site.root}
    for name, target in links.items():
        os.symlink(target, site.path(name))
    for name in ("absolute.txt", "relative.txt", "deep/up.txt", "parent/secret.txt", "slash/etc/passwd", "self.txt", "proc.txt", "cwd/secret.txt",
                 "chain.txt", "beside/secret.txt", "parent/", "slash/", "beside/", "parent", "slash", "cwd", "beside", "back.txt", "root-again/page.html"):
        assert_harmless(site, b"/" + name.encode(), (404,))
    # Those that stay inside, all the way, are followed.
    os.symlink("deep/er", site.path("inside"))
    os.symlink("../page.html", site.path("deep/link.html"))
    assert site.ask("/inside/page.html").body == b"deep"
    assert site.ask("/deep/link.html").body == b"page"


def test_links_to_what_is_not_sent_itself(site):
    """A harmless name does not make a picture of a program's source, nor of what is hidden."""
    for name in ("config.php", "notes.sql", ".secret.txt", ".store/a.txt", "programs/a.py"):
        site.put(name, SECRET)
    links = {"picture.jpg": "config.php", "far.jpg": "picture.jpg", "deep/notes.txt": "../notes.sql", "seen.txt": ".secret.txt", "stored.txt": ".store/a.txt",
             "store": ".store", "programs/a.html": "a.py", "plain.css.gz": "config.php", "linked-programs": "programs"}
    site.put("plain.css", b"plain")
    for name, target in links.items():
        os.symlink(target, site.path(name))
    for name in ("picture.jpg", "far.jpg", "deep/notes.txt", "seen.txt", "stored.txt", "store/a.txt", "programs/a.html", "linked-programs/a.html"):
        for _ in range(2):
            assert_harmless(site, b"/" + name.encode(), (404,))
    assert site.ask("/plain.css", accept_encoding="gzip").body == b"plain"
    # A name that meant something harmless a moment ago.
    site.put("changing.txt", b"harmless")
    assert site.ask("/changing.txt").body == b"harmless"
    os.rename(site.path("changing.txt"), site.path("changing.php"))
    os.symlink("changing.php", site.path("changing.txt"))
    wait_for(lambda: site.ask("/changing.txt").status == 404, 5, "the link to count")
    # Names without an ending, and of types that are only not known, may be linked to: the administrator has said what they are.
    site.put("releases/4711", b"release")
    os.symlink("releases/4711", site.path("latest.txt"))
    assert site.ask("/latest.txt").body == b"release"


def test_a_race_between_looking_and_opening(site):
    """A directory on the way is one inside and a link to one outside in turn, as fast as it goes; and so are some files. Each name is
    asked for once, so that it has to be looked up each time."""
    names, outside = 3000, os.path.join(site.place, "root-beside")
    site.put("race/a/0.txt", b"inside")
    for number in range(names):
        with open(site.path(f"race/a/{number}.txt"), "wb") as inside, open(os.path.join(outside, f"{number}.txt"), "wb") as secret:
            inside.write(b"inside")
            secret.write(SECRET)
    stop, turns = threading.Event(), [0]

    def swap():
        way, files = site.path("race/way"), [site.path(f"race/swapped{number}.txt") for number in range(50)]
        while not stop.is_set():
            for target in ("a", "../../root-beside"):
                os.symlink(target, way + ".new")
                os.rename(way + ".new", way)
            file, new = files[turns[0] % len(files)], site.path("race/new")
            for target in ("a/0.txt", "../../secret.txt"):
                os.symlink(target, new)
                os.rename(new, file)
            turns[0] += 1

    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    statuses = []
    try:
        wait_for(lambda: turns[0] > 50, 20, "everything to be there")
        for number in range(names):
            answers = [site.ask(f"/race/way/{number}.txt"), site.ask(f"/race/swapped{number % 50}.txt")]
            assert all(SECRET not in answer.body for answer in answers)
            statuses.append(answers[0].status)
    finally:
        stop.set()
        thread.join()
    assert turns[0] > 100 and set(statuses) == {200, 404}  # it was really both in turn


def test_a_link_that_goes_up_while_files_are_renamed(site):
    """Beneath a root the kernel follows ".." in a link only if nothing was renamed meanwhile, anywhere on the machine. Such a file is there all
    the same."""
    site.put("up/er/page.html", b"up")
    directories = [site.path("renamed"), site.path("renamed.too")]
    os.mkdir(directories[0])
    rename = "import os, sys\nwhile True:\n    os.rename(*sys.argv[1:3])\n    os.rename(*sys.argv[2:0:-1])"
    with subprocess.Popen([sys.executable, "-c", rename, *directories]) as renaming:
        try:
            for number in range(300):
                os.link(site.path("up/er/page.html"), site.path(f"up/er/{number}.html"))
                os.symlink("../er/" * 40 + f"{number}.html", site.path(f"up/er/link{number}.html"))
                assert site.ask(f"/up/er/link{number}.html").body == b"up"
            assert renaming.poll() is None
        finally:
            renaming.kill()


# ---- what is no file -------------------------------------------------------------------------------------------------------------------------

def test_devices_pipes_and_sockets(site):
    os.mkfifo(site.path("pipe.txt"))
    os.chmod(site.path("pipe.txt"), 0o666)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(site.path("socket.txt"))
        listener.listen()
        os.chmod(site.path("socket.txt"), 0o777)
        for name in ("pipe.txt", "socket.txt"):
            assert_harmless(site, b"/" + name.encode(), (404,))
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    if os.geteuid() == 0:
        for name, major, minor in (("zero.txt", 1, 5), ("null.txt", 1, 3), ("tty.txt", 5, 0)):
            try:
                os.mknod(site.path(name), stat.S_IFCHR | 0o666, os.makedev(major, minor))
            except PermissionError:
                pytest.skip("devices cannot be made here")
            assert_harmless(site, b"/" + name.encode(), (404,))
    assert site.ask("/page.html").status == 200


def test_what_may_not_be_read(site):
    if os.geteuid() != 0:
        pytest.skip("as root only: then noah runs as another user")
    os.chmod(site.put("private.txt", SECRET), 0o600)
    assert_harmless(site, b"/private.txt", (404,))
    site.put("locked/a.txt", SECRET)
    os.chmod(site.path("locked"), 0o700)
    assert_harmless(site, b"/locked/a.txt", (404,))
    os.chmod(site.path("locked"), 0o755)
    wait_for(lambda: site.ask("/locked/a.txt").status == 200, 5, "the file that may be read now")


def test_the_root_itself(tmp_path):
    """Not there yet, then there, then another one (a deploy that lets a link point elsewhere), then gone."""
    with FilesSite(tmp_path, start=False) as site:
        first, second = os.path.join(site.place, "first"), os.path.join(site.place, "second")
        os.rmdir(site.root)
        site.noah.start()
        assert site.ask("/page.html").status == 404
        for place in (first, second):
            os.mkdir(place)
            with open(os.path.join(place, "page.html"), "w", encoding="ascii") as file:
                file.write(os.path.basename(place))
        os.symlink("first", site.root)
        wait_for(lambda: site.ask("/page.html").body == b"first", 5, "the root that is there now")
        os.symlink("second", site.root + ".new")
        os.rename(site.root + ".new", site.root)
        began = time.monotonic()
        wait_for(lambda: site.ask("/page.html").body == b"second", 5, "the new root")
        assert time.monotonic() - began < 5
        os.unlink(site.root)
        wait_for(lambda: site.ask("/page.html").status == 404, 5, "the root to be gone")


def test_a_redirect_leads_nowhere_else(site):
    """"//evil.example" must not become the address of another host."""
    os.makedirs(site.path("evil.example/a"), exist_ok=True)
    for target in ("//evil.example", "///evil.example", "//evil.example/a", "/evil.example"):
        answer = site.ask(target)
        assert answer.status == 301 and answer.fields["location"].startswith("/evil.example"), answer.fields
    for target in (b"/\\evil.example", b"/%5cevil.example", b"/%2f/evil.example", b"/evil.example%0d%0aSet-Cookie:%20a=b"):
        got = site.raw(b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        assert got.split()[1] in (b"400", b"404") and b"\r\nSet-Cookie" not in got
