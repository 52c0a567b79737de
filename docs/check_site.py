"""Check the built site: python docs/check_site.py build/site [--screenshots DIR] [--chromium PATH]

Links and anchors lead somewhere, no page loads anything from elsewhere, and all of them hold up in
a browser: no errors in the console, no equation that MathJax refuses, no page wider than a phone,
and a search finds what there is. Without playwright and Chromium the browser is left out, which is
said; --browser makes that an error.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import re
import shutil
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

PHONE, DESKTOP = (390, 844), (1280, 900)
SHOWN = {
    "front": "index.html",
    "start": "start.html",
    "gallery": "auto_gallery/index.html",
    "api": "reference/api.html",
    "api-page": "reference/api/dsmfast.train.html",
    "commands": "reference/command-line.html",
    "equations": "explanation/row-space.html",
    "tables": "benchmarks/anomalies.html",
}
SEARCHES = {
    "parzen_score": "reference/api/dsmfast.parzen_score.html",
    "p-value": "how-to/anomalies.html",
    "anomaly": "how-to/anomalies.html",
    "AUC": "benchmarks/anomalies.html",
    "normaliser": "how-to/likelihoods.html",
    "log likelihood": "auto_gallery/choosing_sigma.html",
    "missing values": "how-to/missing-values.html",
    "sigma": "reference/api/dsmfast.select_sigma.html",
    "checkpoint": "reference/troubleshooting.html",
    "Ctrl-C": "reference/faults.html",
    "parquet": "how-to/tables.html",
    "GPU": "index.html",
    "license": "reference/support.html",
}
# Text at the right of a page's column, of which a phone may show no more than the beginning.
OUTSIDE = """() => {
  const article = document.querySelector("article.bd-article");
  if (!article) return [];
  const inner = article.getBoundingClientRect().left + article.clientWidth;
  const edge = inner - parseFloat(getComputedStyle(article).paddingRight) + 1;
  const scrolls = (e) => e !== article
    && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  return [...article.querySelectorAll("*:not(.headerlink)")]
    .filter((e) => e.getBoundingClientRect().width && e.getBoundingClientRect().right > edge)
    .filter((e) => !scrolls(e.parentElement))
    .map((e) => `${e.tagName.toLowerCase()} ${e.textContent.trim().slice(0, 40)}`);
}"""
# What a browser fetches by itself; other links are followed by people.
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}
LINKS_TO_NOTHING = {"canonical", "author", "copyright", "index", "next", "prev", "search"}


class Page(HTMLParser):
    """The links, the targets and the fetched addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.targets: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, links to and fetches."""
        values = {name: value or "" for name, value in attrs}
        self.targets |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        for name, value in values.items():
            if (tag, name) in FETCHED and values.get("rel") not in LINKS_TO_NOTHING:
                self.fetched.append(value)


def pages_of(site: Path) -> list[Path]:
    """Return the pages, without the templates among the theme's files."""
    return [
        path
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.relative_to(site).parts
    ]


def broken_links(site: Path, pages: dict[Path, Page]) -> list[str]:
    """Return links between pages that lead nowhere."""
    found = []
    for path, page in pages.items():
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not (file.is_relative_to(site) and file.is_file()):
                found.append(f"{path.relative_to(site)}: {link}: no such file")
            elif file in pages and unquote(parts.fragment) not in pages[file].targets:
                found.append(f"{path.relative_to(site)}: {link}: no such place on the page")
    return found


def remote_addresses(site: Path, pages: dict[Path, Page]) -> list[str]:
    """Return what pages and their styles would fetch from elsewhere."""
    found = [
        f"{path.relative_to(site)}: {address}"
        for path, page in pages.items()
        for address in page.fetched
        if urlsplit(address).netloc
    ]
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8", errors="replace")
        for address in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text):
            found.append(f"{path.relative_to(site)}: {address}")
    return found


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Browser:
    """The site in Chromium, with all that goes wrong noted."""

    def __init__(self, chromium: object, root: str, site: Path, folder: Path | None) -> None:
        self.chromium, self.root, self.site, self.folder = chromium, root, site, folder
        self.wrong: list[str] = []

    def page(self, size: tuple[int, int], scheme: str):
        """Return a new tab of this width, light or dark."""
        width, height = size
        context = self.chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and self.note(page, f"console: {m.text}"))
        page.on("pageerror", lambda error: self.note(page, f"error: {error}"))
        page.on("response", lambda r: r.status < 400 or self.note(page, f"{r.status}: {r.url}"))
        page.on("requestfailed", lambda r: self.failed(page, r))
        page.on("request", lambda r: self.is_local(r.url) or self.note(page, f"remote: {r.url}"))
        return page

    def is_local(self, url: str) -> bool:
        """Whether an address is of the site."""
        return url.startswith((self.root, "data:", "blob:", "about:"))

    def failed(self, page, request) -> None:
        """Note a request that failed, unless the next page was opened before it came."""
        if request.failure != "net::ERR_ABORTED":
            self.note(page, f"failed: {request.url}")

    def note(self, page, text: str) -> None:
        """Note what is wrong with a page."""
        self.wrong.append(f"{page.url.removeprefix(self.root)}: {text}")

    def look(self, page, name: str) -> None:
        """Open a page, and look at its width and its equations."""
        page.goto(f"{self.root}/{name}", wait_until="load")
        if page.locator(".math").count():
            page.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
            page.evaluate("() => MathJax.startup.promise")
            if not page.locator("mjx-container").count():
                self.note(page, "equations are not set")
            if page.locator("mjx-merror").count():
                self.note(page, f"equation: {page.locator('mjx-merror').first.inner_text()}")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            self.note(page, f"is {wide} pixels wider than the screen")
        for text in page.evaluate(OUTSIDE)[-1:]:  # the innermost
            self.note(page, f"reaches beyond its column: {text}")

    def every_page(self) -> int:
        """Look at all pages at the width of a phone; return how many."""
        names = [path.relative_to(self.site).as_posix() for path in pages_of(self.site)]
        page = self.page(PHONE, "light")
        for name in names:
            self.look(page, name)
        return len(names)

    def searches(self) -> None:
        """Search for what there is, and for what there is not."""
        page = self.page(DESKTOP, "light")
        for words, wanted in SEARCHES.items():
            page.goto(f"{self.root}/search.html?q={quote(words)}")
            page.wait_for_selector("#search-results ul.search li a", timeout=20_000)
            page.wait_for_function("document.querySelector('#search-results .search-summary')")
            page.wait_for_timeout(500)
            links = page.eval_on_selector_all(
                "#search-results ul.search li a", "links => links.map(link => link.href)"
            )
            if not any(wanted in link for link in links):
                self.note(page, f"search for {words}: {len(links)} results without {wanted}")
            if self.folder and words == "parzen_score":
                page.screenshot(path=self.folder / "search.png")
        page.goto(f"{self.root}/search.html?q=zyzzyva")
        page.wait_for_timeout(2000)
        if page.locator("#search-results ul.search li a").count():
            self.note(page, "search for what is nowhere: results")

    def screenshots(self) -> None:
        """Draw some pages, on a phone and a desktop, light and dark."""
        for size, device in ((PHONE, "phone"), (DESKTOP, "desktop")):
            for scheme in ("light", "dark"):
                page = self.page(size, scheme)
                for label, name in SHOWN.items():
                    if (self.site / name).exists():
                        self.look(page, name)
                        mode = page.evaluate("document.documentElement.dataset.theme")
                        if mode != scheme:
                            self.note(page, f"expected the {scheme} theme, got {mode}")
                        page.screenshot(path=self.folder / f"{label}-{device}-{scheme}.png")


def in_browser(site: Path, chromium: str, folder: Path | None) -> list[str]:
    """Return what goes wrong in a browser."""
    from playwright.sync_api import sync_playwright

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_address[1]}"
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        browser = Browser(chrome, root, site, folder)
        count = browser.every_page()
        browser.searches()
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            browser.screenshots()
        chrome.close()
    server.shutdown()
    print(f"{count} pages in Chromium, {len(SEARCHES)} searches: {len(browser.wrong)} faults")
    return browser.wrong


def main() -> int:
    """Check a site; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("site", type=Path, help="folder that sphinx wrote")
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="folder to draw pages into")
    parser.add_argument("--chromium", help="the browser (default: the one on the path)")
    parser.add_argument("--browser", action="store_true", help="fail where there is no browser")
    args = parser.parse_args()
    site = args.site.resolve()
    files = pages_of(site)
    if not files:
        parser.error(f"{args.site}: no pages")
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in files}
    links = sum(len(page.links) for page in pages.values())
    wrong = broken_links(site, pages) + remote_addresses(site, pages)
    print(f"{len(pages)} pages, {links} links: {len(wrong)} faults")
    chromium = args.chromium or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        import playwright  # noqa: F401
    except ImportError:
        chromium = None
    if chromium:
        wrong += in_browser(site, chromium, args.screenshots)
    elif args.browser:
        wrong.append("no browser: install playwright and Chromium")
    else:
        print("not looked at in a browser: needs playwright and Chromium")
    print(*wrong[:100], sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
