# SPDX-License-Identifier: BSD-2-Clause
"""What `noah check` says about the files of certificates."""
import os
import subprocess

import pytest

from conftest import HEAD, run


CA = """\
[ca]
default_ca = here
[here]
database = FOLDER/database
serial = FOLDER/serial
new_certs_dir = FOLDER
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def make(folder, name, hosts):
    """A certificate for the hosts and its key, in NAME.pem and NAME.key."""
    names = ",".join(f"DNS:{host}" for host in hosts)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={hosts[0]}", "-days", 100,
            "-addext", f"subjectAltName={names}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    os.chmod(folder / f"{name}.key", 0o600)


def make_expired(folder, name, hosts):
    """The same, good until the year 2020 (only `openssl ca` writes such a one)."""
    make(folder, name, hosts)
    names = ",".join(f"DNS:{host}" for host in hosts)
    (folder / "ca.conf").write_text(CA.replace("FOLDER", str(folder)))
    (folder / "database").write_text("")
    (folder / "serial").write_text("01\n")
    openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}",
            "-out", folder / "request.pem")
    openssl("ca", "-batch", "-config", folder / "ca.conf", "-selfsign", "-keyfile", folder / f"{name}.key", "-in", folder / "request.pem",
            "-startdate", "20190101000000Z", "-enddate", "20200101000000Z", "-notext", "-out", folder / f"{name}.pem")


def make_below_a_weak_one(folder, name, host):
    """The same, but its issuer in the chain has an RSA key of 1024 bits."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=root", "-keyout", folder / "root.key", "-out", folder / "root.pem")
    openssl("req", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=between", "-keyout", folder / "between.key", "-out", folder / "request.pem")
    (folder / "extensions").write_text("basicConstraints=CA:TRUE\n")
    openssl("x509", "-req", "-in", folder / "request.pem", "-CA", folder / "root.pem", "-CAkey", folder / "root.key", "-set_serial", 1,
            "-days", 100, "-extfile", folder / "extensions", "-out", folder / "between.pem")
    make(folder, name, [host])
    openssl("req", "-new", "-key", folder / f"{name}.key", "-subj", f"/CN={host}", "-out", folder / "request.pem")
    (folder / "extensions").write_text(f"subjectAltName=DNS:{host}\n")
    openssl("x509", "-req", "-in", folder / "request.pem", "-CA", folder / "between.pem", "-CAkey", folder / "between.key", "-set_serial", 2,
            "-days", 100, "-extfile", folder / "extensions", "-out", folder / f"{name}.pem")
    (folder / f"{name}.pem").write_text((folder / f"{name}.pem").read_text() + (folder / "between.pem").read_text())


def text(certificate, names="[www.a.example]"):
    return HEAD + f"sites: {{ a.example: {{ names: {names}, apps: web1, certificate: {certificate} }} }}\n"


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make(folder, "good", ["a.example", "www.a.example"])
    make(folder, "other", ["a.example", "www.a.example"])
    make_expired(folder, "expired", ["a.example", "www.a.example"])
    make(folder, "narrow", ["a.example"])
    (folder / "both.pem").write_text((folder / "good.pem").read_text() + (folder / "good.key").read_text())
    os.chmod(folder / "both.pem", 0o600)
    (folder / "empty.pem").write_text("")
    make_below_a_weak_one(folder, "weak", "a.example")
    return folder


@pytest.fixture(name="whole")
def fixture_whole(check):
    return lambda certificate: check(text(certificate), "--server", "front")


def test_good_ones(whole, folder):
    for certificate in (f"{{ chain: {folder}/good.pem, key: {folder}/good.key }}", f"{folder}/both.pem", "self-signed"):
        answer = whole(certificate)
        assert answer["good"], answer
        assert answer["warnings"] == []


BAD = [
    ("{ chain: FOLDER/good.pem, key: FOLDER/other.key }", "sites.a.example.certificate: "),
    ("{ chain: FOLDER/good.pem, key: FOLDER/nowhere.key }", "FOLDER/nowhere.key"),
    ("FOLDER/nowhere.pem", "FOLDER/nowhere.pem"),
    ("FOLDER/good.pem", "key"),
    ("FOLDER/empty.pem", "FOLDER/empty.pem"),
    ("{ chain: FOLDER/weak.pem, key: FOLDER/weak.key }", "FOLDER/weak.pem: OpenSSL refuses it: ca key too small"),
]


@pytest.mark.parametrize("certificate,what", BAD, ids=[case[0] for case in BAD])
def test_bad_ones(whole, folder, certificate, what):
    answer = whole(certificate.replace("FOLDER", str(folder)))
    assert not answer["good"]
    assert len(answer["messages"]) == 1
    assert answer["messages"][0]["what"].startswith("sites.a.example.certificate: ")
    assert what.replace("FOLDER", str(folder)) in answer["messages"][0]["what"]


def test_warnings(whole, folder, tmp_path):
    answer = whole(f"{{ chain: {folder}/expired.pem, key: {folder}/expired.key }}")
    assert answer["good"]
    assert len(answer["warnings"]) == 1 and "expired" in answer["warnings"][0]
    answer = whole(f"{{ chain: {folder}/narrow.pem, key: {folder}/narrow.key }}")
    assert answer["good"]
    assert len(answer["warnings"]) == 1 and "www.a.example" in answer["warnings"][0]
    file = tmp_path / "noah.yaml"
    result = run("check", "--server", "front", file)
    assert result.returncode == 0
    assert f"{file}: warning: sites.a.example.certificate: " in result.stderr
    assert f"{file} is good" in result.stdout


def test_files_are_not_opened_when_not_wanted(check):
    assert check(text("/nowhere.pem"))["good"]
