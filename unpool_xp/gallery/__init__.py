"""Photographs pooled and unpooled by every method, scored and drawn.

Imports the public operations and `backends`, nothing of `bench`.
"""

from unpool_xp.gallery import scores
from unpool_xp.gallery.scores import make_gallery

__all__ = ["make_gallery", "scores"]
