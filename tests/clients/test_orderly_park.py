"""The park of the demo: its files, and what its week is made of."""

import numpy as np

from examples import park

DAY, NIGHT = slice(0, 17), slice(17, 24)


def test_sixty_users_with_loads_and_measures():
    users, _ = park.park()
    assert len(users) == 60
    assert all(user.measures for user in users)
    assert all(np.asarray(user.load_kw).shape == (168,) for user in users)
    assert {user.industry for user in users} >= {"agriculture", "offices", "retail"}


def test_working_evenings_alone_are_short():
    users, shortage = park.park()
    short = np.asarray(park.lessened(users, shortage, 1.0).shortage_kw).reshape(7, 24)
    assert (short[:5, 18:21] > 0).all()
    assert (short[:, DAY] < 0).all()
    assert (short[5:] < 0).all()


def test_a_lesser_shortage_is_a_share_of_it_and_leaves_room_as_it_is():
    users, shortage = park.park()
    whole, half = (
        np.asarray(park.lessened(users, shortage, share).shortage_kw) for share in (1.0, 0.5)
    )
    assert np.allclose(half, np.where(whole > 0, whole / 2, whole))


def test_the_measures_can_cover_the_shortage():
    users, shortage = park.park()
    short = np.asarray(park.lessened(users, shortage, 1.0).shortage_kw)
    most = sum(
        np.clip(
            np.asarray(user.load_kw) - np.asarray(user.protected_kw),
            0.0,
            max(measure.cap_kw for measure in user.measures),
        )
        for user in users
    )
    assert (most > short).all()
