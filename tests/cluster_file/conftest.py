# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the cluster file share: running noah's commands on a text. The binary is $NOAH, default build/noah."""
import json
import os
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
NOAH = os.path.abspath(os.environ.get("NOAH", os.path.join(ROOT, "build", "noah")))

HEAD = """\
cluster: example.com
servers:
  front: { address: 192.0.2.10, public: 198.51.100.10 }
  web1: { address: 192.0.2.11 }
  web2: { address: 192.0.2.12 }
  db1: { address: 192.0.2.21 }
  db2: { address: 192.0.2.22 }
"""
HEAD_LINES = HEAD.count("\n")


def run(*arguments, **more):
    return subprocess.run([NOAH, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          check=False, **more)


@pytest.fixture
def check(tmp_path):
    """check(text) -> the answer of `noah check --json` as a dictionary; its exit code is compared with it."""
    def do(text, *arguments):
        file = tmp_path / "noah.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = run("check", "--json", *(arguments or ["--file-only"]), file)
        answer = json.loads(result.stdout)
        assert result.returncode == (0 if answer["good"] else 2), result
        assert result.stderr == ""
        assert answer["good"] == (answer["messages"] == [])
        for message in answer["messages"]:
            place = f"{file}:{message['line']}:{message['column']}: " if message["line"] else f"{file}: "
            assert message["text"].startswith(place)
            message["what"] = message["text"][len(place):]
        return answer
    return do


@pytest.fixture
def complaint(check):
    """complaint(text) -> (line, column, sentence) of the one thing that is wrong."""
    def do(text, *arguments):
        messages = check(text, *arguments)["messages"]
        assert len(messages) == 1, messages
        return messages[0]["line"], messages[0]["column"], messages[0]["what"]
    return do
