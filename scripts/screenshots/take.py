"""Make the pictures of README.md and docs/operating.md again: `make screenshots`. Needs Debian's chromium."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from scripts.screenshots import stage
from scripts.screenshots.png import smaller
from scripts.screenshots.stock import PASSWORD

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images"
WIDE, TALL = 1280, 1000
PHONE = {"width": 390, "height": 844}
#: Bytes of a picture; more is a mistake.
MOST = 150_000
MESSAGES = "/admin/mailrelay/message/"


class Camera:
    """Somebody who is signed in, and who takes pictures of what they see."""

    def __init__(self, browser: Browser, url: str, *, dark: bool = False, phone: bool = False) -> None:
        size = PHONE if phone else {"width": WIDE, "height": TALL}
        self.page: Page = browser.new_page(
            base_url=url,
            viewport=size,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            device_scale_factor=2 if phone else 1,
        )
        self.page.set_default_timeout(60_000)
        self.page.goto("/admin/login/")
        self.page.get_by_label("Username").fill("ada")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def take(self, name: str, *, until: Locator | None = None) -> None:
        """Write a picture of the page from its top to the end of `until`, or as the screen shows it."""
        height = float(self.page.viewport_size["height"])
        if until is not None:
            box = until.bounding_box()
            height = box["y"] + box["height"] + 24
        clip = {"x": 0, "y": 0, "width": self.page.viewport_size["width"], "height": height}
        data = smaller(self.page.screenshot(clip=clip, full_page=True, caret="hide"))
        if len(data) > MOST:
            sys.exit(f"{name}.png has {len(data)} bytes, and should have {MOST} at most")
        (PICTURES / f"{name}.png").write_bytes(data)
        print(f"docs/images/{name}.png: {len(data)} bytes")

    def open_message(self, subject: str) -> None:
        self.page.goto(MESSAGES)
        self.page.get_by_role("link", name=subject).first.click()
        self.page.get_by_role("heading", name="Timeline").wait_for()

    def open_sender(self, name: str) -> None:
        self.page.goto("/admin/")
        self.page.locator(".health").get_by_role("link", name=name, exact=True).click()
        self.page.get_by_role("heading", name="Test mail").wait_for()


def overview(camera: Camera, name: str) -> None:
    camera.page.goto("/admin/")
    camera.take(name, until=camera.page.locator("#machinery").locator(".."))


def message(camera: Camera) -> None:
    camera.open_message("Scan of the lease")
    camera.take("message", until=camera.page.locator(".timeline").locator(".."))


def messages(camera: Camera) -> None:
    camera.page.goto(MESSAGES)
    camera.take("messages", until=camera.page.locator("#changelist-form"))


def rotation(camera: Camera) -> None:
    page = camera.page
    page.goto("/admin/mailrelay/appregistration/")
    page.get_by_role("link", name="Billing").click()
    page.get_by_role("link", name="Replace the secret or certificate").click()
    page.get_by_label("New client secret").fill(stage.NEW_SECRET)
    page.get_by_label("The secret ends on").fill("2028-11-01")
    page.get_by_role("button", name="Try it").click()
    page.get_by_role("button", name="Store it and switch").wait_for()
    camera.take("rotation", until=page.locator(".confirm"))


def secret_wrong(camera: Camera) -> None:
    camera.open_message("Invoice 2026-1107")
    camera.take("secret-wrong", until=camera.page.locator(".headline"))


def permissions(camera: Camera) -> None:
    camera.open_sender("Human resources")
    camera.page.get_by_role("button", name="Ask Microsoft").click()
    camera.page.get_by_text("Fix it").wait_for()
    camera.page.evaluate("scrollTo(0, 0)")
    camera.take("permissions", until=camera.page.locator(".at-work"))


def unlicensed(camera: Camera) -> None:
    camera.open_message("Your seat at the open day")
    camera.take("unlicensed", until=camera.page.locator(".headline"))


def refusals(camera: Camera) -> None:
    camera.page.goto("/admin/mailrelay/refusal/")
    while camera.page.locator("#result_list tbody tr").count() < len(stage.REFUSED):
        camera.page.reload()  # they are written down some seconds later, off the way of mail
    camera.take("refusals", until=camera.page.locator("#changelist"))


def take_all(browser: Browser, url: str) -> None:
    camera = Camera(browser, url)
    overview(camera, "overview")
    for picture in (messages, message, rotation, secret_wrong, permissions, unlicensed, refusals):
        picture(camera)
    overview(Camera(browser, url, dark=True), "overview-dark")
    phone = Camera(browser, url, phone=True)
    phone.open_message("Scan of the lease")
    phone.take("message-phone")


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not on this machine; on Debian: apt install chromium")
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-pictures-") as folder,
        stage.gateway(Path(folder)) as process,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium)
        take_all(browser, f"http://127.0.0.1:{process.http_port}")
        browser.close()


if __name__ == "__main__":
    main()
