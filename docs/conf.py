"""The documentation site: `sphinx-build -W --keep-going -b html docs docs/_build`."""

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from seke import __version__  # noqa: E402

# Pages and examples of the gallery run one after another, also where a machine has many cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Kernels of pages look for the repository's examples here.
os.environ["SEKE_REPOSITORY"] = str(HERE.parent)
# Jupyter's paths move in a release to come; it says so once for each kernel.
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
warnings.filterwarnings("ignore", category=DeprecationWarning, module="jupyter_.*|nbclient|traitlets|zmq")

project = "seke"
copyright = "the seke authors, Apache-2.0"  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "generated_pages",
    "built_site",
]
exclude_patterns = ["_build", "_ext", "gallery_src", "gallery/*.ipynb", "jupyter_execute"]
nitpicky = True
# Types stand as they are written in the source: those of other packages, and our own short names, are no
# links.
nitpick_ignore_regex = [(r"py:(class|data|obj)", ".*"), (r"py:exc", r"\w+")]
autodoc_member_order = "alphabetical"
autodoc_preserve_defaults = True
default_role = "code"
html_math_renderer = "mathml"

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# The default of these two loads scripts from elsewhere.
nb_ipywidgets_js = {}
nb_execution_show_tb = True

html_theme = "furo"
html_title = f"seke {version}"
html_static_path = ["_static"]
html_css_files = ["seke.css"]
html_copy_source = False
html_theme_options = {"source_edit_link": None, "source_view_link": None}

sphinx_gallery_conf = {
    "examples_dirs": "gallery_src",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "image_scrapers": ("gallery_figures.figures",),
    "capture_repr": ("_repr_html_",),
    "show_signature": False,
    "remove_config_comments": True,
}
