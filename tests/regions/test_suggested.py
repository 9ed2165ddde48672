"""Boxes around the strong places of a map."""

from __future__ import annotations

import numpy as np

from imgsearch_kit.regions.suggested import energy_boxes


def map_of(*spots, side=10, floor=1.0):
    """A map of ``side`` cells of ``floor`` with spots (top, left, height, width, energy), spread over two channels."""
    energy = np.full((side, side), floor)
    for top, left, height, width, value in spots:
        energy[top : top + height, left : left + width] = value
    return np.stack([energy / 4, energy * 3 / 4], axis=2).astype(np.float32)


def test_a_box_surrounds_the_strong_places_in_fractions():
    assert energy_boxes(map_of((2, 1, 3, 4, 9))) == [(0.1, 0.2, 0.5, 0.5)]


def test_the_parts_come_with_most_energy_first_and_no_more_than_three():
    two = energy_boxes(map_of((0, 0, 3, 3, 9), (6, 5, 3, 4, 9)))
    assert two == [(0.5, 0.6, 0.9, 0.9), (0.0, 0.0, 0.3, 0.3)]
    many = energy_boxes(map_of((0, 0, 3, 3, 8), (0, 5, 3, 3, 9), (5, 0, 3, 3, 8), (5, 5, 3, 3, 8)))
    assert len(many) <= 3
    assert many[0] == (0.5, 0.0, 0.8, 0.3)


def test_a_strong_core_is_a_box_of_its_own():
    found = energy_boxes(map_of((1, 1, 7, 7, 4), (2, 2, 3, 4, 6)))
    assert found == [(0.1, 0.1, 0.8, 0.8), (0.2, 0.2, 0.6, 0.5)]


def test_a_map_without_parts_gives_no_box():
    assert energy_boxes(map_of()) == []
    assert energy_boxes(np.zeros((14, 14, 8), np.float32)) == []
    assert energy_boxes(map_of((4, 4, 2, 2, 50))) == []  # so few cells are noise


def test_the_same_map_gives_the_same_boxes():
    maps = np.maximum(np.random.default_rng(2).normal(size=(14, 14, 64)), 0).astype(np.float32)
    assert energy_boxes(maps) == energy_boxes(maps.copy())
