"""Photographs pooled and unpooled by every method, scored and drawn.

May import the public operations and `unpool_xp.backends`, nothing from `unpool_xp.bench`.
"""

from unpool_xp.gallery import scores
from unpool_xp.gallery.scores import make_gallery

__all__ = ["make_gallery", "scores"]
