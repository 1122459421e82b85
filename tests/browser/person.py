"""Somebody at a browser of their own, who does what people do and notices what they would not."""

from __future__ import annotations

from urllib.parse import urlsplit

from desk_driver import Browser
from playwright.sync_api import expect


class Person:
    """
    One browser context: cookies of its own, and nothing in it from before.

    Attributes:
        page: The tab in use.
        oddities: What no page may do: dialogs, errors of scripts, words on the console, anything
            loaded from elsewhere.
    """

    def __init__(self, context, desk, user=None):
        self.context = context
        self.desk = desk
        self.user = user
        self.oddities = []
        context.on("dialog", self._dialog)
        context.on("weberror", lambda error: self._odd("script", error.error))
        context.on("console", self._console)
        context.on("request", self._request)
        self.page = context.new_page()

    # What people do

    def open(self, path="/"):
        return self.page.goto(f"{self.desk.url}{path}")

    def new_tab(self, path):
        tab = self.context.new_page()
        tab.goto(f"{self.desk.url}{path}")
        return tab

    def arrive(self, user=None):
        """Come with a login made before, which is quicker than by hand, and see the leads."""
        self.user = user or self.user
        earlier = Browser(self.desk)
        earlier.cookies = {each["name"]: each["value"] for each in self.context.cookies()}
        earlier.log_in(self.user.name)
        attributes = {"url": self.desk.url, "httpOnly": True, "sameSite": "Lax"}
        self.context.add_cookies(
            [{"name": name, "value": each, **attributes} for name, each in earlier.cookies.items()]
        )
        self.open("/leads")
        expect(self.heading("Leads")).to_be_visible()
        return self

    def log_in(self, user=None, data_center=""):
        """Log in from the start page."""
        self.user = user or self.user
        self.open()
        self.ask_zoho(data_center)
        self.accept()
        expect(self.heading("Leads")).to_be_visible()
        return self

    def ask_zoho(self, data_center=""):
        """Press the button of the login form on this page."""
        self.page.get_by_label("Where your Zoho account is").select_option(data_center)
        self.page.get_by_role("button", name="Log in with Zoho").click()
        expect(self.heading("CRM desk asks for access")).to_be_visible()

    def accept(self):
        """Say yes at Zoho."""
        self.page.get_by_label("Account").select_option(self.user.name)
        self.page.get_by_role("button", name="Accept").click()

    def fill(self, **values):
        for label, value in values.items():
            self.page.get_by_label(label.replace("_", " ")).fill(value)

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def make_happen(self, name):
        """Press one of the emulator's buttons, and wait until it says what it did."""
        self.press(name)
        expect(self.page.locator("#pressed")).to_have_text(f"{name}: done.")

    # What they see

    def heading(self, name):
        return self.page.get_by_role("heading", name=name, exact=True, level=1)

    def lead(self, name):
        return self.page.locator("td").get_by_role("link", name=name, exact=True)

    def leads(self):
        return self.page.locator("td").get_by_role("link").all_inner_texts()

    def fact(self, name):
        """Return what the panel says of something."""
        return self.page.locator("#panel dt", has_text=name).locator("+ dd")

    # What they would not notice

    def _dialog(self, dialog):
        self._odd("dialog", dialog.message)
        dialog.dismiss()

    def _console(self, message):
        url = message.location["url"]
        # Chromium notes what is answered with an error: pages that say so, and the panel beside
        # them when there is no login, no store or no server any more.
        told = url == message.page.url or urlsplit(url).path == "/panel"
        if url.endswith("/favicon.ico") and not url.startswith(self.desk.url):
            return  # Zoho's consent page has none
        if not (told and message.text.startswith("Failed to load resource:")):
            self._odd(message.type, f"{message.text} {url}")

    def _request(self, request):
        here = urlsplit(request.frame.url).netloc
        there = urlsplit(request.url)
        if not request.is_navigation_request() and there.netloc != here and there.scheme != "data":
            self._odd("loads", request.url)

    def _odd(self, kind, text):
        self.oddities.append(f"{kind}: {text}")
