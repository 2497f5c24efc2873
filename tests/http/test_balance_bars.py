# SPDX-License-Identifier: BSD-2-Clause
"""Samples of two promises that tests/soak keeps at full size: servers that are killed, and servers that close idle connections."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))
import idle_closers  # noqa: E402
import servers_die  # noqa: E402
from site_of_apps import SANITIZED  # noqa: E402


def test_one_of_four_servers_is_killed_again_and_again(tmp_path):
    result = servers_die.run(3 if SANITIZED else 8, tmp_path)
    assert result["GETs"] > 0 and result["POSTs answered"] > 0


def test_servers_that_close_idle_connections_at_random():
    requests = 5000 if SANITIZED else 30000
    answers, counters, _ = idle_closers.run(requests, 48)
    assert dict(answers) == {"200": requests}
    assert counters["retries"] > 0, "none was closed just when a request was sent: the test shows nothing"
