"""How the site is built: ``python -m sphinx -W -b html docs build/site``.

Nothing is fetched while it is built, and the pages load nothing from elsewhere.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import dsmfast

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "dsmfast"
author = "dsmfast developers"
project_copyright = "2026, dsmfast developers"
version = release = dsmfast.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax from the package index, copied beside the pages
    "sphinx_copybutton",
    "commands",
]
exclude_patterns = ["gallery/*", "auto_gallery/*.ipynb", "figures/*.py"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "none"  # numpydoc's sections name types in words
toc_object_entries_show_parents = "hide"  # methods in the margin, without the name of their class
autosummary_generate = True
autosummary_generate_overwrite = True
# Names that differ by their first letter alone are one file where case is not told.
autosummary_filename_map = {"dsmfast.Connection": "dsmfast.Connection-class"}
numpydoc_show_class_members = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Names of our own that a role cannot find are errors; those of others are not looked up.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!dsmfast).*")]

# The inventories of others come over the network. A build without one must neither wait nor warn,
# and everybody's build should make the same pages, so links to other projects are asked for.
if os.environ.get("DSMFAST_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
    }

has_gallery = (HERE / "gallery" / "GALLERY_HEADER.rst").exists()
autosummary_context = {"has_gallery": has_gallery}
if has_gallery:
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": "gallery",
        "gallery_dirs": "auto_gallery",
        "filename_pattern": r"\.py$",  # all of them run
        "within_subsection_order": "gallery_order.Order",
        "abort_on_example_error": False,  # each failure is told, and the build fails at the end
        "doc_module": ("dsmfast",),
        "backreferences_dir": "reference/api/backreferences",
        "inspect_global_variables": True,
        "capture_repr": (),  # what is printed, and no text of the last value of a block
        "reference_url": {"dsmfast": None},
        "remove_config_comments": True,
        "download_all_examples": False,
        "show_signature": False,
        "write_computation_times": False,  # a page with scripts from elsewhere
    }
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
else:  # a checkout without examples: the link to them leads nowhere
    suppress_warnings = ["toc.not_readable", "myst.xref_missing"]

html_theme = "pydata_sphinx_theme"
html_context = {"default_mode": "auto"}
html_title = f"dsmfast {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {
        "text": "dsmfast",
        "image_light": "_static/mark.svg",
        "image_dark": "_static/mark.svg",
    },
    "navbar_align": "left",
    "navbar_end": ["version", "theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navigation_with_keys": False,
}
html_sidebars = {"index": [], "start": [], "contributing": []}


def is_others(app, what, name, obj, skip, options):
    """Leave out what an estimator has of scikit-learn: its texts are about scikit-learn's pages."""
    return True if str(getattr(obj, "__module__", "")).startswith("sklearn.") else None


def setup(app):
    """Connect what extensions have no option for."""
    app.connect("autodoc-skip-member", is_others)
