"""Hostile image files are decoded as Pillow decodes them, or refused in words."""

import itertools

import pytest
from hostile.images import cases, damaged_photos, outcome


def outcomes(files, step):
    return [outcome(case) for case in itertools.islice(files, None, None, step)]


def test_a_sample_of_hostile_images_is_decoded_or_refused():
    results = outcomes(cases(), 9)
    assert len(results) > 200
    assert set(results) == {'decoded', 'refused'}


def test_a_sample_of_photos_with_damage_inside_is_refused_as_libjpeg_does():
    assert outcomes(damaged_photos(), 11).count('refused') > 40


@pytest.mark.slow
def test_all_hostile_images_are_decoded_or_refused():
    assert len(outcomes(cases(), 1)) > 1500


@pytest.mark.slow
def test_all_photos_with_damage_inside_are_refused_as_libjpeg_does():
    results = outcomes(damaged_photos(), 1)
    assert len(results) == 480
    assert results.count('refused') > 450
