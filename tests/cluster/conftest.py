# SPDX-License-Identifier: BSD-2-Clause
"""What the cluster tests share. They need root, for the lab makes namespaces; without it they fail and say so."""
import os
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TESTS)
sys.path.insert(0, os.path.dirname(TESTS))


def pytest_runtest_setup(item):
    if os.geteuid() != 0:
        pytest.fail(f"{item.name}: the lab makes network namespaces: please run as root", pytrace=False)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    """Lets fixtures see how the test itself ended (node.rep_call)."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"rep_{report.when}", report)
