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
    return yaml.load(text, Loader)  # noqa: S506 (a SafeLoader)


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
    "sites": {"NAME": {"apps": ["web1:8080", "web2:8080"], "check": {"get": "/x"}, "timeouts": {}}},
    "databases": {"NAME": {"servers": ["db1", "db2"], "account": {"user": "u", "password_file": "/p"}, "check": {}, "timeouts": {}}},
    "log": {},
}


def put(path, value):
    """BASE with the value at the path of a row."""
    whole = copy.deepcopy(BASE)
    for database in whole["databases"].values():
        database["listen"] = 3307
    if path.startswith("sites.NAME.apps[]."):
        word = path.rsplit(".", 1)[1]
        whole["sites"]["NAME"]["apps"] = [{"server": "web1:8080", word: value}]
        return whole
    if path.startswith("servers."):
        whole["servers"]["other"] = {"address": "192.0.2.99", path.rsplit(".", 1)[1]: value}
        if path.endswith("address"):
            del whole["servers"]["web1"]
            whole["sites"]["NAME"]["apps"] = ["web2:8080"]
        return whole
    at = whole
    *way, last = path.split(".")
    for word in way:
        at = at[word]
    at[last] = value
    if path.endswith("check.tcp"):
        del at["get"]
    if path == "servers":
        return {"cluster": "c", "servers": value, "sites": {"a": {"apps": "web1:8080"}}}
    return whole


def prune(value):
    """Without the maps that stayed empty."""
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
    ("sites.NAME.listen", 0), ("sites.NAME.listen", "https"), ("sites.NAME.check.status", "2xx"), ("sites.NAME.check.md5", "12"),
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


def test_the_examples_in_the_manual_are_good(schema, check):
    with open(os.path.join(ROOT, "docs/cluster-file.md"), encoding="utf-8") as stream:
        examples = re.findall(r"^```yaml\n(cluster:.*?)^```", stream.read(), re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        assert check(example)["good"], check(example)["messages"]
        schema.validate(read(example))
