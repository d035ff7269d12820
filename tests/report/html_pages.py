"""Reading a page as a browser does, for tests of what stands on it."""

from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "link", "line", "circle", "path", "polyline", "polygon"}


class Page(HTMLParser):
    """The elements of a page as (tag, attributes, text within), and a check that each is closed."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.open = [], []
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        element = [tag, dict(attrs), ""]
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag, **wanted):
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [
            (attributes, text)
            for name, attributes, text in self.elements
            if name == tag
            and all(value in (attributes.get(key) or "").split() for key, value in wanted.items())
        ]

    def rows(self):
        cells, rows = [], []
        for tag, attributes, text in self.elements:
            if tag == "tr":
                cells = []
                rows.append((attributes, cells))
            elif tag in ("td", "th"):
                cells.append((attributes, text))
        return rows
