"""A browser, and what it must not see: this machine's Chromium or Chrome through Playwright."""
import base64
import contextlib
import http.server
import json
import pathlib
import shutil
import subprocess
import threading
import time
import urllib.parse

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from harness import http as request

# What a page reports of violations of its policy, as Chromium tells them to the page itself.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  event => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
TABS = ["credits", "usage", "ledger", "purchases", "statements", "estimate", "settings"]

# Behind "Sign in" and "Enrol" is a hash that is slow on purpose and yields to all other work.
expect.set_options(timeout=20_000)


def browser_program():
    """Debian, Ubuntu and Google name it differently."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "there is no browser (scripts/bootstrap.sh test installs Chromium)"
    return found


@contextlib.contextmanager
def chromium():
    """One browser, in which every visitor has a profile of their own."""
    with sync_playwright() as playwright:
        # As root, Chromium cannot build its own sandbox; it looks at our own pages only.
        launched = playwright.chromium.launch(executable_path=browser_program(), args=["--no-sandbox"])
        yield launched
        launched.close()


def portal_link(root, service_key, user, **body):
    """The URL of a link to a user's credits page, as an app's server gets it."""
    status, _, reply = request(
        "POST", root + "/api/billing/portal-session", body,
        {"Authorization": "Bearer " + service_key, "X-Tollgate-User": user})
    assert status == 200, reply
    return json.loads(reply)["url"]


# What the element with the focus is called, and whether one sees that it has it.
FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const own = [...element.childNodes].filter(node => !node.classList?.contains("unseen"))
    .map(node => node.textContent).join("");
  const name = element.labels?.length ? element.labels[0].textContent : own;
  return [name.trim(), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""


class Keys:
    """One who has no mouse."""

    def __init__(self, page):
        self.page = page

    def to(self, name, text=None):
        """Goes on by Tab to what is called so, whose focus must be seen, as that of all on the way; types `text` there."""
        passed = []
        while name not in passed:
            self.page.keyboard.press("Tab")
            at, is_seen = self.page.evaluate(FOCUSED)
            assert len(passed) < 60, f"no {name!r} among {passed}"
            assert is_seen or not at, f"the focus on {at!r} is not seen"
            passed.append(at)
        if text is not None:
            self.page.keyboard.type(text)


class Visitor:
    """One person at a browser of their own. Everything that the console says is kept."""

    def __init__(self, browser, elsewhere, size=DESKTOP, scheme="light", scripts=True):
        self.context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)
        self.scripts = scripts
        if scripts:
            self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.complaints = []
        # What is said of the mock's own pages is not ours.
        self.page.on("console", lambda message: self.complaints.append(message.text)
                     if message.type in ("error", "warning")
                     and not message.location["url"].startswith(elsewhere) else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.keys = Keys(self.page)

    def open(self, link):
        """Follows a link; without scripts, by its button."""
        self.page.goto(link)
        if not self.scripts:
            self.page.get_by_role("button", name="Continue").click()
        self.page.wait_for_url("**/billing?tab=credits")
        return self.page

    def tab(self, root, tab, **query):
        self.page.goto(root + "/billing?" + urllib.parse.urlencode({"tab": tab, **query}))
        self.page.wait_for_load_state("networkidle")
        return self.page

    def check(self, where):
        """Nothing in the console, nothing against the policy, nothing that keeps people out, no sideways scrolling."""
        assert not self.complaints, f"{where}: {self.complaints}"
        if not self.scripts:
            return
        assert self.page.evaluate("window.violations") == [], where
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{where} scrolls sideways by {wide} px"
        found = Axe().run(self.page).response["violations"]
        bad = [(one["id"], one["impact"], [node["html"] for node in one["nodes"]][:3])
               for one in found if one["impact"] in ("serious", "critical")]
        assert not bad, f"{where}: {bad}"

    def check_everywhere(self, where, pictures):
        """The page as it stands, on a phone and on a desktop, in light and in the dark."""
        for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            self.page.set_viewport_size(size)
            for scheme in ("light", "dark"):
                self.page.emulate_media(color_scheme=scheme)
                # Colours that are on their way from one scheme to the other are of neither.
                self.page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")
                self.picture(pictures, f"{where.replace(' ', '-')}-{name}-{scheme}")
                self.check(f"{where}, {name}, {scheme}")

    def is_refused(self, status):
        """Chromium said in its console that the page came with this status, and nothing else."""
        assert len(self.complaints) == 1 and str(status) in self.complaints.pop(), self.complaints

    def picture(self, directory, name):
        self.page.screenshot(path=pathlib.Path(directory) / f"{name}.png", full_page=True)

    def close(self):
        self.context.close()


class AppKeys:
    """An app that signs tokens with RS256 and publishes its key as a JSON Web Key Set. OpenSSL does the arithmetic."""

    def __init__(self, directory):
        self.key = pathlib.Path(directory) / "key.pem"
        self.stranger = pathlib.Path(directory) / "stranger.pem"
        for path in (self.key, self.stranger):
            subprocess.run(["openssl", "genrsa", "-out", path, "2048"], check=True, capture_output=True)
        modulus = subprocess.run(
            ["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        number = bytes.fromhex(modulus.stdout.strip().removeprefix("Modulus="))
        keys = json.dumps({"keys": [
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "app", "n": part(number), "e": "AQAB"}]}).encode()

        # Pages of the app, by their paths.
        self.pages = pages = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                page = pages.get(self.path)
                body = keys if page is None else page.encode()
                self.send_response(200)
                self.send_header("content-type", "application/json" if page is None else "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        # The same pages, on a site that is not the app's.
        self.foreign = f"http://localhost:{self.server.server_address[1]}"
        self.url = self.origin + "/keys.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, user, kid="app", exp=600, aud="tollgate"):
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": "app"}
        claims = {"iss": "app", "aud": aud, "sub": user, "iat": now, "exp": now + exp}
        text = ".".join(part(json.dumps(one).encode()) for one in (head, claims))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key if kid == "app" else self.stranger], input=text.encode(),
            check=True, capture_output=True)
        return f"{text}.{part(signed.stdout)}"

    def form(self, root, token):
        """The path of a page that posts the token. It has an icon, so that the browser asks for none."""
        path = f"/form-{len(self.pages)}"
        self.pages[path] = f"""<!doctype html><title>app</title><link rel="icon" href="data:,">
            <form method="post" action="{root}/billing/session">
            <input name="token" value="{token}"><button>Credits</button></form>"""
        return path

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def part(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
