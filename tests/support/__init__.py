# SPDX-License-Identifier: BSD-2-Clause
"""What several pytest suites share: real database servers (mariadb.py), a running noah (noah.py)."""
