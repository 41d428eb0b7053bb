"""A small photograph, and its gallery."""

from __future__ import annotations

import pytest

from unpool_xp import backends
from unpool_xp.gallery.photographs import Photograph, shipped_photograph
from unpool_xp.gallery.scores import Gallery, make_gallery


@pytest.fixture(scope="package")
def small() -> Photograph:
    """A colour detail of a photograph; the strides do not divide its sides."""
    pixels = shipped_photograph("chelsea").pixels[:, 60:163, 90:217]
    return Photograph("small", pixels, (50, 60))


@pytest.fixture(scope="package")
def made(small: Photograph) -> Gallery:
    return make_gallery(small, backends.load("numpy"), [2, 3, 2.5])
