# SPDX-License-Identifier: BSD-2-Clause
"""A sample of what tests/soak/changes does for ten minutes: reloads and upgrades under load, with tunnels open."""
from support.changes import Place
from support.mariadb import wait_for


def test_reloads_under_load(tmp_path):
    with Place(tmp_path) as place:
        place.begin(sockets=20, clients=3)
        traffic = place.noah.child("traffic")
        for _ in range(20):
            place.reload()
            place.wait_for_work(20)
        assert place.problems() == []
        assert place.noah.child("traffic") == traffic and place.tunnels.open == 20
        assert place.noah.counter("tunnels_open") == 20


def test_upgrades_under_load(tmp_path):
    with Place(tmp_path) as place:
        place.begin(sockets=20, clients=3)
        for number in range(4):
            place.upgrade(new_sockets=5)
            place.wait_for_work(20)
            if number == 1:
                place.reload()
        assert place.problems() == []
        assert place.tunnels.open == 40 == place.noah.counter("tunnels_open")
        wait_for(place.only_tunnels_are_left, 90, "nothing but tunnels to be left in the former generations")
        assert len(place.noah.status()["retired"]) == 4
