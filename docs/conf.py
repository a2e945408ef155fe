"""How Sphinx builds this folder: `make docs`. The pages are plain Markdown without directives."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "mxtape"
author = "the authors of mxtape"
copyright = author
version = re.search(
    r'"(.+?)"', (HERE.parent / "python/mxtape/_version.py").read_text(encoding="utf-8")
)[1]

extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "reference",
    "contents",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_ext"]
default_role = "code"  # in docstrings, `x` is code
suppress_warnings = [
    "ref.python",  # a method of several classes, named without its class
]

myst_heading_anchors = 4  # the anchors of source-hosting sites

html_theme = "furo"
html_title = f"mxtape {version}"
html_static_path = ["_static"]
html_css_files = ["mxtape.css"]
html_copy_source = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
