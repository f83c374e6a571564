"""Crops for evaluation, against numbers worked out by hand."""

import pytest

from inception_jax.data.crops import View, views
from inception_jax.data.geometry import Box

OPTIONS = {'size': 299, 'crop_fraction': 0.875}

# A photo of 375 x 500 (height x width): the shorter side becomes 342, 384, 427 or 470,
# the other one 4/3 of it: 456, 512, 569 (of 569.3) and 627 (of 626.7).
SIDES = {342: 456, 384: 512, 427: 569, 470: 627}
# The offsets of its squares: 0, half of the rest (rounded down), and all of the rest.
SQUARES = {342: (0, 57, 114), 384: (0, 64, 128), 427: (0, 71, 142), 470: (0, 78, 157)}
# The pixels of a square beyond 299, and half of them, rounded down.
ROOM = {342: (43, 21), 384: (85, 42), 427: (128, 64), 470: (171, 85)}


def by_hand():
    """Returns (shorter, longer, top, left, side) of all 72 crops of a wide photo."""
    crops = []
    for side, longer in SIDES.items():
        room, half = ROOM[side]
        for start in SQUARES[side]:
            crops += [
                (side, longer, 0, start, 299),
                (side, longer, 0, start + room, 299),
                (side, longer, room, start, 299),
                (side, longer, room, start + room, 299),
                (side, longer, half, start + half, 299),
                (side, longer, 0, start, side),
            ]
    return crops


def flat(view):
    assert view.box.height == view.box.width
    return (view.height, view.width, view.box.top, view.box.left, view.box.height)


def test_the_144_crops_of_a_wide_photo():
    crops = views(375, 500, crops=144, **OPTIONS)
    assert [flat(view) for view in crops] == by_hand()
    assert len(crops) == 72


def test_some_of_them_in_full():
    crops = {flat(view) for view in views(375, 500, crops=144, **OPTIONS)}
    assert (342, 456, 21, 78, 299) in crops  # the centre of the middle square
    assert (342, 456, 43, 157, 299) in crops  # bottom right in the right square
    assert (470, 627, 171, 328, 299) in crops  # the last corner of all
    assert (427, 569, 0, 71, 427) in crops  # a whole middle square


def test_the_144_crops_of_an_upright_photo_are_turned():
    crops = views(500, 375, crops=144, **OPTIONS)
    turned = {(w, h, left, top, side) for h, w, top, left, side in map(flat, crops)}
    assert turned == set(by_hand())
    assert {view.width for view in crops} == set(SIDES)
    # Top left, top right, bottom left, bottom right.
    assert [view.box[:2] for view in crops[12:16]] == [
        (114, 0),
        (114, 43),
        (157, 0),
        (157, 43),
    ]


@pytest.mark.parametrize('shape', [(375, 500), (500, 375), (400, 400), (299, 2000)])
def test_12_crops_are_some_of_the_144_and_10_some_of_the_12(shape):
    ten, twelve, all_ = (set(views(*shape, crops=n, **OPTIONS)) for n in (10, 12, 144))
    assert (len(ten), len(twelve)) == (5, 6)
    assert ten < twelve < all_


def test_one_crop_is_the_centre_of_the_image_as_it_is():
    (view,) = views(375, 500, crops=1, **OPTIONS)
    assert view == View(375, 500, Box(23, 31, 329, 438))


@pytest.mark.parametrize('shape', [(1, 1), (1, 900), (31, 7), (3000, 4000)])
@pytest.mark.parametrize('size', [75, 299])
def test_crops_lie_in_the_image(shape, size):
    for view in views(*shape, size=size, crops=144, crop_fraction=0.875):
        top, left, height, width = view.box
        assert top >= 0
        assert left >= 0
        assert top + height <= view.height
        assert left + width <= view.width


def test_there_is_no_other_number_of_crops():
    with pytest.raises(ValueError, match='13 crops; expected 1, 10, 12, 144'):
        views(375, 500, crops=13, **OPTIONS)
