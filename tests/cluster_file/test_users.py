# SPDX-License-Identifier: BSD-2-Clause
"""Files that the cluster file names for visitors: names and passwords, pages for errors, directories; and what `noah check` warns of."""
import os
import subprocess

import pytest

from conftest import HEAD

BCRYPT = "$2y$05$" + "a" * 53
SHA256 = "$5$saltsalt$" + "b" * 43
SHA512 = "$6$rounds=10000$salt./09$" + "C" * 86
YESCRYPT = "$y$j9T$saltsaltsaltsaltsalts/$" + "d" * 43


@pytest.fixture(name="users")
def fixture_users(check, tmp_path):
    """users(content) -> what `noah check` says of a site with this file of users; None: it is good."""
    file = tmp_path / "staging.users"

    def do(content, mode=0o640):
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        os.chmod(file, mode)
        answer = check(HEAD + f"sites: {{ a: {{ apps: web1, users: {file} }} }}\n", "--server", "web1")
        if answer["good"]:
            return None
        assert len(answer["messages"]) == 1, answer
        return answer["messages"][0]["what"].replace(str(file), "FILE").removeprefix("sites.a.users: ")
    return do


@pytest.mark.parametrize("hashed", [BCRYPT, BCRYPT.replace("2y", "2b"), BCRYPT.replace("2y", "2a"), SHA256, SHA512, YESCRYPT, YESCRYPT.replace("j9T", "jCT"),
                                    YESCRYPT.replace("j9T", "j75")])
def test_hashes_that_are_known(users, hashed):
    assert users(f"anna:{hashed}\n") is None
    assert users(f"# of the office\r\n\r\nanna:{hashed}\r\nbob b.@example:{hashed}") is None


def test_a_byte_order_mark_is_no_part_of_a_name(users):
    assert users(f"\ufeffanna:{BCRYPT}\n") == "FILE: a byte order mark stands before the first name, which would not be found; save it without"


WRONG = [
    ("$apr1$salt$" + "a" * 22, "is hashed with MD5, which is too weak"),
    ("$1$salt$" + "a" * 22, "is hashed with MD5, which is too weak"),
    ("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "is hashed with SHA-1, which is too weak"),
    ("rqXexS6ZhobKA", "is not hashed, or in a way that is too weak"),
    ("secret", "is not hashed, or in a way that is too weak"),
    ("", "is missing"),
    ("$7$CU..../....salt$hash", "is hashed in a way that noah does not know"),
    ("$2x$05$" + "a" * 53, "is hashed in a way that noah does not know"),
    (BCRYPT[:-1], "is not whole"), (BCRYPT + "a", "is not whole"), (BCRYPT[:-1] + "$", "is not whole"),
    (BCRYPT.replace("$05$", "$5$"), "is not whole"), (BCRYPT[:20] + "\0" + BCRYPT[21:], "is not whole"),
    ("$2\0$05$" + "a" * 53, "is hashed in a way that noah does not know"),
    (SHA256[:-1], "is not whole"), (SHA512 + "x", "is not whole"), (SHA512.replace("./09", "\0a"), "is not whole"),
    (SHA256.replace("saltsalt", ""), "is not whole"), (SHA256.replace("saltsalt", "s" * 17), "is not whole"), (SHA512.replace("rounds=", "rounds=x"), "is not whole"),
    (YESCRYPT[:-1], "is not whole"), ("$y$j9T", "is not whole"), ("$5$" + "b" * 43, "is not whole"),
    (YESCRYPT.replace("j9T", "jDT"), "takes too much time and memory to check (cost more than 8)"),
    (YESCRYPT.replace("j9T", "j9U"), "takes too much time and memory to check (cost more than 8)"),
    (YESCRYPT.replace("j9T", "j9T0"), "is hashed in a way that noah does not know"),
    (BCRYPT.replace("$05$", "$15$"), "takes too long to check (cost more than 14)"),
    (SHA512.replace("=10000$", "=1000001$"), "takes too long to check (more than 1000000 rounds)"),
]


@pytest.mark.parametrize("hashed,what", WRONG, ids=[case[0][:30] for case in WRONG])
def test_hashes_that_are_refused(users, hashed, what):
    said = users(f"anna:{BCRYPT}\n\nbob:{hashed}\n")
    assert said == f"FILE: the password of `bob` (line 3) {what}; make it anew with `htpasswd -B FILE bob`"
    assert "secret" not in said


def test_files_of_users(users):
    assert users("\n# nobody\n") == "FILE: nobody is in it; `htpasswd -B FILE NAME` adds somebody"
    assert users("") == "FILE: nobody is in it; `htpasswd -B FILE NAME` adds somebody"
    assert users("anna\n") == "FILE: line 1 is not NAME:HASH; `htpasswd -B FILE NAME` writes it"
    assert users(f":{BCRYPT}\n") == "FILE: line 1 is not NAME:HASH; `htpasswd -B FILE NAME` writes it"
    assert users(f"{'a' * 256}:{BCRYPT}\n") == "FILE: line 1 is not NAME:HASH; `htpasswd -B FILE NAME` writes it"
    assert users(f"{'a' * 255}:{BCRYPT}\n") is None
    assert users(f"a\x01b:{BCRYPT}\n") == "FILE: a control character is in the name in line 1"
    assert users(f"anna:{BCRYPT}\nbob:{BCRYPT}\nanna:{SHA256}\n") == "FILE: `anna` stands there twice, also in line 3; keep one of them"
    assert users(f"anna:{BCRYPT}\n", 0o642) == "FILE can be written by everybody; mend it with `chmod 640 FILE`"
    assert users(b"x" * 65537) == ("FILE has 65537 bytes; a file of users has at most 64 KB, so keep those in it who still come here, "
                                   "or give each route a file of its own")


def test_what_htpasswd_and_openssl_write(users, tmp_path):
    made = [["htpasswd", "-nbB", "anna", "secret"], ["htpasswd", "-nbB", "-C", "4", "bob", "secret"]]
    lines = [subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip() for command in made]
    for method in ("-5", "-6"):
        lines.append(f"user{method}:" + subprocess.run(["openssl", "passwd", method, "secret"], capture_output=True, text=True, check=True,
                                                       timeout=60).stdout.strip())
    assert users("\n".join(lines) + "\n") is None


def test_pages_for_errors(check, complaint, tmp_path):
    page = tmp_path / "50x.html"
    text = HEAD + f"sites: {{ a: {{ apps: web1, errors: {{ 50x: {page} }} }} }}\n"
    assert complaint(text, "--server", "web1")[2] == f"sites.a.errors.50x: {page} cannot be read: No such file or directory"
    assert check(text)["good"]  # --file-only
    page.write_bytes(b"x" * 65536)
    assert check(text, "--server", "web1")["good"]
    page.write_bytes(b"x" * 65537)
    assert complaint(text, "--server", "web1")[2] == (
        f"sites.a.errors.50x: {page} has 65537 bytes; a page has at most 64 KB, so put its pictures and styles into files of their own")
    page.unlink()
    os.mkfifo(page)
    assert "is not a plain file" in complaint(text, "--server", "web1")[2]


def test_a_fault_of_a_file_is_said_once(complaint, tmp_path):
    text = HEAD + f"sites:\n" + "".join(f"  {name}: {{ apps: web1, errors: {{ 50x: {tmp_path}/x }} }}\n" for name in "abc")
    assert complaint(text, "--server", "web1")[2].startswith("sites.a.errors.50x: ")


# ---- warnings -------------------------------------------------------------------------------------------------------

@pytest.fixture(name="warnings")
def fixture_warnings(check):
    def do(sites, *arguments):
        answer = check(HEAD + sites, *(arguments or ["--server", "front"]))
        assert answer["good"], answer
        return answer["warnings"]
    return do


def test_warning_of_a_root(warnings, tmp_path):
    def of(root):
        return warnings(f"sites: {{ a: {{ static: {{ root: {root} }} }} }}\n")
    assert of(f"{tmp_path}/none") == [f"sites.a.static.root: {tmp_path}/none: No such file or directory"]
    (tmp_path / "file").write_text("x")
    assert of(f"{tmp_path}/file") == [f"sites.a.static.root: {tmp_path}/file is not a directory"]
    assert of("/usr/share") == []
    (tmp_path / "closed").mkdir(mode=0o750)
    closed = of(f"{tmp_path}/closed")
    assert len(closed) == 1 and "noah sends files as the user noah, who must be allowed to enter" in closed[0]
    # on a machine that does not send them, and without a look at the files, there is nothing to say
    sites = f"sites: {{ a: {{ static: {{ root: {tmp_path}/none }} }} }}\n"
    assert warnings(sites, "--server", "web1") == []
    assert warnings(sites, "--file-only") == []


def test_warning_of_passwords_in_the_open(warnings, tmp_path):
    file = tmp_path / "u"
    file.write_text(f"anna:{BCRYPT}\n")
    said = ["sites.a: passwords are asked for without TLS, and can be read on their way; give the site a `certificate`"]
    assert warnings(f"sites: {{ a: {{ apps: web1, users: {file} }} }}\n") == said
    assert warnings(f"sites: {{ a: {{ apps: web1, routes: [{{ path: /x, users: {file} }}] }} }}\n") == said
    assert warnings(f"sites: {{ a: {{ apps: web1, users: {file}, certificate: self-signed }} }}\n") == []
    assert warnings(f"sites: {{ a: {{ apps: web1, users: {file}, certificate: self-signed, https: {{ redirect: false }} }} }}\n") == said
    assert warnings(f"front_ends: {{ from: web2 }}\nsites: {{ a: {{ apps: web1, users: {file} }} }}\n") == []


def test_warning_of_servers_that_ban_each_other(warnings):
    def of(visitors, tried="[web1, web2]", on="[web1, web2]"):
        return warnings(f"{visitors}\nsites: {{ a: {{ on: {on}, static: {{ root: /usr/share, try: {tried} }} }} }}\n", "--server", "web1")
    said = ["sites.a.static.try: web2 asks web1 for missing files and is counted there like a visitor, and banned if it is too often; put it into "
            "`visitors.exempt`"]
    limit = "visitors: { requests: 10/1s }"
    assert of(limit) == said
    assert of("visitors: { connections: 10 }") == said
    assert of(limit.replace(" }", ", exempt: [web1] }")) == said
    assert of(limit.replace(" }", ", exempt: [web1, web2] }")) == []
    assert of(limit + "\nfront_ends: { from: [web1, web2] }") == []
    assert of(limit, tried="none") == []
    assert of(limit, on="[web1]", tried="[web2]") == []  # another program than noah answers there
    assert of("") == []


def test_warning_of_a_route_that_opens_a_closed_one(warnings):
    def of(first, second="{ path: /admin/, allow: web1 }"):
        return warnings(f"sites: {{ a: {{ apps: web1, routes: [{first}, {second}] }} }}\n")
    said = of("{ types: [jpg, png], expires: 30d }")
    assert said == ["sites.a.routes: /admin/ is not for everybody, but its files *.jpg are taken by route 1 before, which lets others in; "
                    "put this one before it"]
    assert of("{ types: [jpg], path: /admin, expires: 30d }") == said
    assert of("{ types: [jpg], path: /pictures, expires: 30d }") == []
    assert of("{ types: [jpg], expires: 30d, allow: web1 }") == []
    assert of("{ types: [jpg], redirect: /x.gif }") == []
    assert of("{ path: /admin/public/, body: 1 }") == []  # an exception that somebody has meant
    assert of("{ path: /admin/, allow: web1 }", "{ types: [jpg], expires: 30d }") == []
