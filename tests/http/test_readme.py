# SPDX-License-Identifier: BSD-2-Clause
"""README.md names tests: all of them exist, and no class of attack is without one."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def rows():
    """(class, cells) of all its tables."""
    for line in read("README.md").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] != "class" and not set(cells[0]) <= set("-"):
            yield cells[0], cells[1:]


def exists(name):
    if name.endswith(".vtc"):
        return os.path.exists(os.path.join(HERE, name))
    file, _, test = name.partition("::")
    function, _, case = test.partition("[")
    source = read(file)
    return re.search(rf"^def {function}\(", source, re.M) is not None and (not case or f'\n    "{case[:-1]}": ' in source)


def test_every_test_that_is_named_exists():
    found = 0
    for what, cells in rows():
        assert len(cells) == 2, what
        names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
        assert names, f"{what}: no test"
        for name in names:
            assert exists(name), f"{what}: there is no {name}"
        found += len(names)
    assert found > 100
