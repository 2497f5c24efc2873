# SPDX-License-Identifier: BSD-2-Clause
"""SQL sessions over `noah upgrade`: they stay where they are, with everything that they hold."""
from conftest import WHERE
from support.mariadb import wait_for


def upgrade(site):
    result = site.noah.command("upgrade", timeout=90)
    assert result.returncode == 0, result.stderr


def test_sessions_go_on(own_site):
    site = own_site
    idle, busy, fresh = site.client(), site.client(), site.client()
    assert fresh.one(WHERE) == "replica"
    statement = idle.prepare("SELECT ? + 1")
    idle.query("SET @mine = 7")
    busy.query("BEGIN")
    busy.query("INSERT INTO shop.item (name, price) VALUES ('under way', 1)")
    traffic = site.noah.child("traffic")
    upgrade(site)
    assert [(old["pid"], old["open"]) for old in site.noah.status()["retired"]] == [(traffic, 3)]
    with site.client() as new:
        assert new.one(WHERE) == "replica"
        assert new.query("SELECT COUNT(*) FROM shop.item") == [("0",)]
    assert idle.query("SELECT @mine") == [("7",)] and idle.execute(statement, (41,))[0][0] == 42
    busy.query("COMMIT")
    assert fresh.query("SELECT COUNT(*) FROM shop.item") == [("1",)]  # read your own writes, in the former generation
    with site.client() as new:
        assert new.query("SELECT COUNT(*) FROM shop.item") == [("1",)]  # and in the new one
    # A reload reaches the former generation too: both look at the same server's new check.
    site.noah.reload(site.text(site.more).replace("every: 400ms", "every: 500ms"))
    site.noah.wait_ready()
    site.replica.kill()
    wait_for(lambda: fresh.one(WHERE) == "primary", 30, "the former generation to see that the replica is gone")
    site.replica.start()
    wait_for(lambda: fresh.one(WHERE) == "replica", 60, "and that it is back")
    for client in (idle, busy, fresh):
        client.close()
    wait_for(lambda: not site.noah.status()["retired"], 30, "the former generation to end")
    assert site.noah.counter("statements_failed") == 0
    with site.client() as new:
        assert new.one(WHERE) in ("replica", "primary")
