"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`.

Needs no network: nothing is fetched while building or while reading.
"""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import unpool_xp

project = "unpool_xp"
author = "The unpool_xp maintainers"
project_copyright = author
version = release = unpool_xp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "myst_parser",  # the changelog
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "generated_tables",
    "gallery",
]
exclude_patterns = ["_build", "examples/*.py"]
templates_path = ["_templates"]
nitpicky = True  # a link that leads nowhere is a warning, and a warning fails the build
pygments_style = "friendly"

# NumPy ends some messages with a space, which no editor keeps.
doctest_default_flags = doctest.NORMALIZE_WHITESPACE

autodoc_typehints = "none"  # the docstrings say it in words
autosummary_generate = True
numpydoc_show_class_members = False  # the templates say which

# The others measure, or change their process: what they print is recorded.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": r"/(one_decoder_torch_jax|segmentation_numpy)\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,  # pages that load scripts from a network
}

html_theme = "pydata_sphinx_theme"
html_title = "unpool_xp"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"**": ["pages.html"]}
html_context = {"default_mode": "auto"}  # light or dark, as the system is
html_theme_options = {
    "logo": {"text": "unpool_xp"},
    "navbar_center": [],  # the sidebar has the pages
    "navbar_align": "left",
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"index": [], "**": ["page-toc"]},
}
