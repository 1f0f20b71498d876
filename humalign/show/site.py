"""The book's extension of Sphinx: descriptions, a preview image, links to commits, search from a disk.

`_config.yml` names it.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

DESCRIPTION = 160  # characters that search engines and messengers show
PREVIEW = "_static/preview.png"
TEXTS = "_static/texts.js"
# What is a commit: in the line of provenance below a page, and as a cell of a table.
LINES = re.compile(r'(<p class="provenance">)(.*?)(</p>)', re.DOTALL)
CELLS = re.compile(r"(<td>)(?=\d*[a-f])([0-9a-f]{7,40})(</td>)")
NAMED = re.compile(r"(\bcommit )([0-9a-f]{7,40})(\b)")


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_config_value("repository", "", "html")
    app.connect("html-page-context", _head)
    app.connect("html-page-context", _commits)
    app.connect("html-page-context", _gather)
    app.connect("build-finished", _texts)
    app.connect("autodoc-skip-member", _foreign)
    app.page_texts = {}
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def _foreign(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out of the API what a library puts into a class, such as scikit-learn's ``set_fit_request``."""
    module = getattr(member, "__module__", None) or ""
    return True if callable(member) and not module.startswith("humalign") else None


def description(doctree: Any) -> str:
    """Return the first sentences of a page, its question and its answer, as many as fit."""
    from docutils import nodes

    found = ""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            for sentence in re.split(r"(?<=[.?!])\s+", " ".join(paragraph.astext().split())):
                if found and len(found) + len(sentence) >= DESCRIPTION:
                    return found
                found = f"{found} {sentence}".strip()
                if len(found) > DESCRIPTION:
                    return found[: DESCRIPTION - 1].rsplit(" ", 1)[0] + "…"
    return found


def _head(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give a page its description and what a link to it shows elsewhere."""
    if page == "search":
        app.add_js_file("texts.js")
        app.add_js_file("search.js")
    if doctree is None:
        return
    base = (app.config.html_baseurl or "").rstrip("/")
    image = f"{base}/{PREVIEW}" if base else context["pathto"](PREVIEW, resource=True)
    title = re.sub("<[^>]+>", "", html.unescape(context.get("title", "")))
    shown = {
        "og:title": f"{title} · {app.config.project}",
        "og:description": description(doctree),
        "og:type": "website",
        "og:site_name": app.config.project,
        "og:image": image,
        "og:image:alt": f"{app.config.project}: agreement of vision models with people,"
        " before and after alignment",
    } | ({"og:url": f"{base}/{page}.html"} if base else {})
    tags = [
        f'<meta property="{name}" content="{html.escape(value)}">' for name, value in shown.items() if value
    ]
    tags.append('<meta name="twitter:card" content="summary_large_image">')
    if shown["og:description"] and 'name="description"' not in context["metatags"]:
        tags.append(f'<meta name="description" content="{html.escape(shown["og:description"])}">')
    context["metatags"] += "\n".join(tags)


def commits(body: str, repository: str) -> str:
    """Make the commits of a page links; nothing where no repository is named."""
    address = html.escape(repository.rstrip("/"))

    def link(found: re.Match[str]) -> str:
        return f'{found[1]}<a href="{address}/commit/{found[2]}">{found[2]}</a>{found[3]}'

    if not repository:
        return body
    return CELLS.sub(link, LINES.sub(lambda found: found[1] + NAMED.sub(link, found[2]) + found[3], body))


def _commits(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = commits(context["body"], app.config.repository)


def _gather(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Keep the text of a page by its sections, as the reader sees it: numbers are filled in by now."""
    if doctree is None or {"nosearch", "no-search"} & set(app.env.metadata.get(page, {})):
        return
    from docutils import nodes

    app.page_texts[page] = [
        [
            section["ids"][-1],
            " ".join(each.astext() for each in section.findall(nodes.paragraph) if _section(each) is section),
        ]
        for section in doctree.findall(nodes.section)
    ]


def _section(node: Any) -> Any:
    from docutils import nodes

    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    return node


def _texts(app: Any, error: Exception | None) -> None:
    """Write these texts for the search: a page that is opened from a disk may not fetch the others."""
    if not error and app.builder.format == "html":
        data = json.dumps(dict(sorted(app.page_texts.items())), ensure_ascii=False).replace("<", "\\u003c")
        (Path(app.outdir) / TEXTS).write_text(f"const PAGE_TEXTS = {data};\n", "utf-8")
