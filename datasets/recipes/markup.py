"""Text without HTML, in time linear to its length. Marks that are no HTML stay."""

import html
import re

# Only elements of HTML: `<think>`, `<tool_call>`, `List<String>` and `a < b` are no markup.
_ELEMENTS = frozenset(
    re.findall(
        r"\w+",
        """
    a abbr address article aside audio b base bdi bdo blockquote body br button canvas caption
    center cite code col colgroup dd del details dfn dialog div dl dt em embed fieldset
    figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i
    iframe img input ins kbd label legend li link main map mark menu meta meter nav noscript
    object ol optgroup option output p param picture pre progress q rp rt ruby s samp script
    section select small source span strike strong style sub summary sup svg table tbody td
    template textarea tfoot th thead time title tr track tt u ul var video wbr
        """,
    )
)
_LINES = frozenset(
    re.findall(
        r"\w+",
        """
    address article aside blockquote br dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header
    hr li main nav ol p pre section table tr ul
        """,
    )
)
_HIDDEN = {
    name: re.compile(f"</{name}[\\s/>]", re.IGNORECASE)
    for name in ("script", "style", "template", "noscript")
}
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)(?=[\s/>])")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_FENCE = "```"


def markup_strip(text: str) -> str:
    """The text without tags, comments, scripts and styles, entities read; fenced code stays."""
    pieces = text.split(_FENCE)
    pieces[::2] = [_strip(piece) for piece in pieces[::2]]
    return _FENCE.join(pieces)


def _strip(text: str) -> str:
    if "<" in text:
        text = "".join(_outside(text))
    return _ENTITY.sub(lambda found: html.unescape(found.group()), text) if "&" in text else text


def _outside(text: str) -> list[str]:
    """What stands outside of tags. An end that was once looked for in vain is not looked for again,
    so that time stays linear.
    """
    kept: list[str] = []
    missing: set[str] = set()
    here = 0
    while (start := text.find("<", here)) >= 0:
        kept.append(text[here:start])
        here = start + 1
        if text.startswith("<!--", start):
            end = -1 if "-->" in missing else text.find("-->", start + 4)
            here = end + 3 if end >= 0 else start + 4
            if end < 0:
                missing.add("-->")
                kept.append("<!--")
            continue
        name = _NAME.match(text, start + 1)
        if name is None or name.group(1).lower() not in _ELEMENTS:
            kept.append("<")
            continue
        end = text.find(">", name.end())
        if end < 0:
            here = start
            break
        element = name.group(1).lower()
        here = end + 1
        if element in _HIDDEN and text[start + 1] != "/":
            here = _closing(text, element, here, missing)
        elif element in _LINES and not "".join(kept[-2:]).endswith("\n"):
            kept.append("\n")
    kept.append(text[here:])
    return kept


def _closing(text: str, element: str, start: int, missing: set[str]) -> int:
    """Where the element's end tag begins; `start` when it has none."""
    if element in missing:
        return start
    found = _HIDDEN[element].search(text, start)
    if found is None:
        missing.add(element)
        return start
    return found.start()
