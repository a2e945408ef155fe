"""Makes Sphinx's table of contents from the lists of links in index.md.

So the page has no directives, and reads the same on a source-hosting site. Programs outside of
docs/ become downloads.
"""

import re
from pathlib import Path

import reference

SECTION = re.compile(r"^## +(.+)$", re.MULTILINE)
LINK = re.compile(r"^[-*] +\[[^]]*\]\(([\w/-]+)\.md\)", re.MULTILINE)


def toctrees(text):
    """A hidden toctree for each section of `text`, of the pages that its list items begin with."""
    pieces = SECTION.split(text)
    found = []
    for caption, body in zip(pieces[1::2], pieces[2::2]):
        pages = LINK.findall(body)
        if pages:
            head = ["```{toctree}", ":hidden:", f":caption: {caption}", ""]
            found.append("\n".join([*head, *pages, "```", ""]))
    return found


def within(text, page, docs):
    """Links to folders and pages outside of docs/, which are not in the book, as plain text."""

    def plain(match):
        target = (page.parent / match[2]).resolve()
        outside = docs not in target.parents and (target.is_dir() or target.suffix == ".md")
        return match[1] if outside else match[0]

    return re.sub(r"\[([^]]+)\]\((\.\./[^)#]*)\)", plain, text)


def read(app, name, source):
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        source[0] = within(source[0], page, Path(app.srcdir))
    if name == "index":
        source[0] += "\n" + "\n".join(toctrees(source[0]))
    elif name == "notes/README":
        names = sorted(p.stem for p in page.parent.glob("*.md") if p != page)
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```", ""])
    elif name == "reference":
        names = [f"reference/{name}" for name in reference.PAGES]
        source[0] += "\n".join(["", "```{toctree}", ":titlesonly:", "", *names, "```", ""])


def setup(app):
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
