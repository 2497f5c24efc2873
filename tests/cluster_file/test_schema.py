# SPDX-License-Identifier: BSD-2-Clause
"""The JSON Schema and the reference: made from the same table as the parser, so they must agree with it."""
import copy
import glob
import json
import os
import re

import jsonschema
import pytest
import yaml

from conftest import ROOT, run


class Loader(yaml.SafeLoader):
    """YAML 1.2 as editors read it: `on` is a word, not true, and 1:30 is not a number of minutes."""


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|)$"), ["~", "n", ""])


def read(text):
    return with_texts(yaml.load(text, Loader))  # noqa: S506 (a SafeLoader)


def with_texts(value):
    """Keys are texts, also those of `errors` that look like numbers."""
    if isinstance(value, list):
        return [with_texts(entry) for entry in value]
    return {str(key): with_texts(entry) for key, entry in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module", name="schema")
def fixture_schema():
    result = run("schema")
    assert result.returncode == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module", name="rows")
def fixture_rows():
    """[(path, example)] of the reference."""
    reference = run("schema", "--reference").stdout
    rows = re.findall(r"^\| `([^`]+)` \| .* \| `([^`]+)` \|$", reference, re.MULTILINE)
    assert len(rows) > 40
    return rows


def files(pattern):
    return sorted(glob.glob(os.path.join(ROOT, pattern)))


@pytest.mark.parametrize("file", files("examples/*.yaml") + files("tests/fuzz/corpus/cluster_file/good_*.yaml"), ids=os.path.basename)
def test_good_files(schema, file):
    result = run("check", "--file-only", file)
    assert result.returncode == 0, result.stderr
    with open(file, encoding="utf-8") as stream:
        schema.validate(read(stream.read()))


BASE = {
    "cluster": "c",
    "servers": {name: {"address": f"192.168.0.{i}"} for i, name in enumerate(["web1", "web2", "db1", "db2"], 11)},
    "sites": {"NAME": {"apps": ["web1:8080", "web2:8080"], "check": {"get": "/x"}, "timeouts": {}, "https": {}, "queue": {},
                       "static": {"root": "/srv/all"}, "buffer": {}, "errors": {}}},
    "databases": {"NAME": {"servers": ["db1", "db2"], "account": {"user": "u", "password_file": "/p"}, "check": {}, "timeouts": {}}},
    "services": {"NAME": {"listen": 2222, "servers": ["web1:22", "web2:22"], "check": {}, "timeouts": {}, "queue": {}}},
    "visitors": {},
    "front_ends": {},
    "log": {},
    "admin": {},
}
ROUTE = {"path": "/x/", "apps": ["web1:9000", "web2:9000"], "check": {"get": "/x"}, "timeouts": {}, "queue": {},
         "static": {"root": "/srv/some"}, "buffer": {}}


def place(whole, way):
    """The map at the end of the way; where a list is meant (`[]`), a new first element of it."""
    at = whole
    for word in way:
        if not word.endswith("[]"):
            at = at[word]
            continue
        name = word[:-2]
        if name == "routes":
            at[name] = [copy.deepcopy(ROUTE)]
        elif name == "certificate":
            at[name] = [{"chain": "/etc/noah/chain.pem"}]
        else:
            at[name] = [{"server": at[name][0]}, "db1:9999"]
        at = at[name][0]
    return at


def complete(whole, path, at, owner):
    """Adds to the map `at`, which has the row's key now, and to `owner`, the map around it, what the key needs beside it."""
    last = path.rsplit(".", 1)[-1]
    if "queue" in path:
        (owner if path.split(".")[-2] == "queue" else at)["connections"] = 10
    if path in ("sites.NAME.listen", "sites.NAME.https") or path.startswith("sites.NAME.https."):
        whole["sites"]["NAME"]["certificate"] = "self-signed"
    if last == "canonical":
        at["names"] = [at[last]]
    if last == "page":
        for word in [word for word in at if word != "page"]:
            del at[word]
    if path in ("sites.NAME.routes[].redirect", "sites.NAME.routes[].status"):
        for word in ("apps", "check", "timeouts", "queue", "static", "buffer"):
            del at[word]
        at.setdefault("redirect", "/else")
    if last == "tcp":
        at.pop("get", None)
    if last == "realm":
        at["users"] = "/etc/noah/users"
    if path in ("visitors.ban", "visitors.exempt"):
        at["requests"] = "100/10s"
    if path.startswith("front_ends."):
        at.setdefault("from", "web1")
    if path == "log.format":
        at["access"] = "syslog"


def put(path, value):
    """BASE with the value at the path of a row."""
    whole = copy.deepcopy(BASE)
    for database in whole["databases"].values():
        database["listen"] = 3307
    if path == "servers":
        return {"cluster": "c", "servers": value, "sites": {"a": {"apps": "web1:8080"}}}
    if path.startswith("servers."):
        whole["servers"]["web1"]["address"] = "192.0.2.98"
        whole["servers"]["other"] = {"address": "192.0.2.99", path.rsplit(".", 1)[1]: value}
        return whole
    if path in ("sites", "databases", "services"):  # alone: an example uses names and ports of its own
        for part in ("sites", "databases", "services"):
            del whole[part]
    *way, last = path.split(".")
    owner = place(whole, way[:-1])
    at = place(owner, way[-1:])
    at[last] = value
    complete(whole, path, at, owner)
    return whole


def prune(value):
    """Without the maps that stayed empty."""
    if isinstance(value, list):
        return [prune(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {key: prune(entry) for key, entry in value.items() if entry != {}}


def test_every_example_of_the_reference_is_good(schema, rows, check):
    for path, example in rows:
        word = path.rsplit(".", 1)[-1]
        whole = prune(put(path, read(example)[word]))
        answer = check(json.dumps(whole))
        assert answer["good"], (path, answer["messages"])
        schema.validate(whole)


def test_every_example_is_refused_as_something_else(schema, rows, check):
    """A list of lists is nothing that any key takes: neither by the schema nor by noah."""
    for path, _ in rows:
        whole = prune(put(path, [["x"]]))
        assert not check(json.dumps(whole))["good"], path
        assert not schema.is_valid(whole), path


WRONG = [
    ("sites.NAME.check.every", "2"), ("sites.NAME.check.every", 2), ("sites.NAME.check.rise", 0), ("sites.NAME.balance", "x"),
    ("sites.NAME.listen", 0), ("sites.NAME.listen", "https://a"), ("sites.NAME.names", ["a.*"]), ("sites.NAME.https.least", 1.1),
    ("sites.NAME.https.redirect", "on"), ("sites.NAME.certificate", "relative.pem"), ("sites.NAME.certificate", {"key": "/k"}),
    ("sites.NAME.hash", "cookie"), ("sites.NAME.hash", "visitor"), ("sites.NAME.sticky", "a b"), ("sites.NAME.queue.length", 1025),
    ("sites.NAME.routes[].types", [".jpg"]), ("sites.NAME.routes[].redirect", "example.org"), ("sites.NAME.routes[].status", 303),
    ("sites.NAME.apps[].backup", "maybe"), ("sites.NAME.page", "relative"), ("services.NAME.listen", "http"),
    ("services.NAME.hash", "path"), ("services.NAME.proxy_protocol", "v3"), ("log.access", "jornal"), ("log.format", "xml"),
    ("admin.listen", "localhost"),
    ("sites.NAME.static", "/var/www"), ("sites.NAME.static.root", "www"), ("sites.NAME.static.index", "a/b"), ("sites.NAME.static.index", ".x"),
    ("sites.NAME.static.match", [".jpg"]), ("sites.NAME.static.try", []), ("sites.NAME.static.try", {"server": "web1"}),
    ("sites.NAME.compress", "gzip"), ("sites.NAME.expires", "max"), ("sites.NAME.expires", 30), ("sites.NAME.hide_versions", "on"),
    ("sites.NAME.minimum_rate", "1k/s"), ("sites.NAME.buffer", "1m"), ("sites.NAME.requests", "10/s"), ("sites.NAME.requests", 10),
    ("sites.NAME.allow", "10.0.0.0/255.0.0.0"), ("sites.NAME.allow", []), ("sites.NAME.deny", "*"), ("sites.NAME.users", "users"),
    ("sites.NAME.realm", 'a"b'), ("sites.NAME.errors.50x", "50x.html"), ("sites.NAME.errors", {"500": "/x"}),
    ("sites.NAME.routes[].static", {"match": "jpg"}), ("sites.NAME.routes[].errors", {"404": "/x"}), ("visitors.requests", "1/1"),
    ("visitors.connections", -1), ("visitors.ban", "for ever"), ("front_ends", {"only": True}), ("front_ends.from", "[::1]"),
    ("front_ends.address", "x-real-ip"),
    ("sites.NAME.check.status", "2xx"), ("sites.NAME.check.md5", "12"),
    ("sites.NAME.check.tcp", False), ("sites.NAME.frob", 1), ("sites.NAME.apps", []), ("databases.NAME.sessions", 0),
    ("databases.NAME.account", {"user": "x"}), ("cluster", "a b"), ("sites.NAME.body", "8MB"), ("log.access", "relative"),
    ("servers.other.address", "10.0.0.1/8"), ("servers.other.address", "web"), ("sites.NAME.names", ["a:1"]),
]


@pytest.mark.parametrize("path,value", WRONG, ids=[f"{path}={value}" for path, value in WRONG])
def test_the_schema_refuses_what_noah_refuses(schema, check, path, value):
    whole = prune(put(path, value))
    assert not check(json.dumps(whole))["good"]
    assert not schema.is_valid(whole)


def test_the_reference_in_the_manual_is_up_to_date():
    with open(os.path.join(ROOT, "docs/cluster-file.md"), encoding="utf-8") as stream:
        manual = stream.read()
    part = re.search(r"<!-- reference: begin[^>]*-->\n(.*)<!-- reference: end -->", manual, re.DOTALL)
    assert part is not None
    assert part[1].strip() == run("schema", "--reference").stdout.strip(), "paste the output of `noah schema --reference`"


MANUALS = [os.path.basename(name) for name in files("docs/cluster-file.md") + files("docs/from-*.md")]


SERVERS = ["front", "web1", "web2", "web3", "web4", "files", "old", "git1", "git2", "mail1", "mail2", "db1", "db2"]


def whole_file(example):
    """A part of a file as a whole one: with the servers that the manuals speak of, and something to do."""
    parts = read(example).keys()
    if "cluster" in parts:
        return example
    servers = "".join(f"  {name}: {{ address: 192.0.2.{i}{', public: 198.51.100.1' if name == 'front' else ''} }}\n"
                      for i, name in enumerate(SERVERS, 1))
    rest = "" if {"sites", "services", "databases"} & parts else "sites: { a.example: { apps: web1:8080 } }\n"
    return f"cluster: c\nservers:\n{servers}{rest}{example}"


@pytest.mark.parametrize("manual", MANUALS)
def test_the_examples_in_the_manual_are_good(schema, check, manual):
    with open(os.path.join(ROOT, "docs", manual), encoding="utf-8") as stream:
        examples = re.findall(r"^```yaml\n(.*?)^```", stream.read(), re.DOTALL | re.MULTILINE)
    assert len(examples) >= 2
    for example in examples:
        text = whole_file(example)
        assert check(text)["good"], (check(text)["messages"], text)
        schema.validate(read(text))


SITE_WORDS = ("static", "compress", "hide_versions", "expires", "minimum_rate", "buffer", "requests", "allow", "deny", "users", "realm",
              "errors", "names", "listen", "certificate", "https", "canonical", "apps", "page", "balance", "hash", "check", "connections", "queue",
              "slow_start", "sticky", "timeouts", "body", "server_timing", "routes")


def site_of(fragment):
    """A site with the keys of the fragment, and what they need beside them."""
    site = {"apps": ["web1:8080", "web2:8080"], **fragment}
    if "canonical" in site:
        site["names"] = [site["canonical"]]
    if "page" in site:
        del site["apps"]
    if "realm" in site:
        site.setdefault("users", "/etc/noah/users")
    if "404" in site.get("errors", {}):
        site["static"] = {"root": "/srv"}
    if "queue" in site:
        site["connections"] = 10
    if "https" in site:
        site["certificate"] = "self-signed"
    return {"sites": {"a.example": site}}


@pytest.mark.parametrize("manual", [name for name in MANUALS if name.startswith("from-")])
def test_the_words_in_the_tables_are_ours(check, manual):
    """Every `key: value` that a table says is noah's is what noah takes."""
    with open(os.path.join(ROOT, "docs", manual), encoding="utf-8") as stream:
        rows = re.findall(r"^\| (?!noah).* \| (.*) \|$", stream.read(), re.MULTILINE)
    tried = 0
    for code in (code for row in rows for code in re.findall(r"`([^`]+)`", row)):
        word = code.split(":", 1)[0]
        if "\u2026" in code or not re.match(r"[a-z_]+: ", code):
            continue
        if word in SITE_WORDS:
            part = site_of(read(code))
        elif word in ("log", "admin", "services", "visitors", "front_ends"):
            part = read(code)
        else:
            continue
        whole = read(whole_file("log: { access: none }\n"))
        text = json.dumps({**whole, **part})
        assert check(text)["good"], (code, check(text)["messages"])
        tried += 1
    assert tried > 25
