"""`make image-test`: build the image by an engine of its own, run tests/image before it, leave nothing.

Where that cannot be it says why and passes; with REQUIRE_SERVICES=1 it fails then.
Words are arguments of pytest. IMAGE_TEST_FOLDER names a folder for the images, where another run finds them;
IMAGE_TEST_MEMORY=192Mi replaces the limit of the manifests, to find out what a container would need.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.image import cgroup
from tests.image.engine import BRIDGE
from tests.image.namespaces import bridge, inside, places_of_the_engine, why_not

HERE = Path(__file__).parent
KEPT = "IMAGE_TEST_FOLDER"


def main(words: list[str]) -> int:
    reason = why_not()
    if reason:
        print(f"make image-test is skipped: {reason}.", file=sys.stderr)
        return 1 if os.environ.get("REQUIRE_SERVICES") == "1" else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kept = os.environ.get(KEPT)
    # Short, for the sockets in it.
    folder = Path(kept or tempfile.mkdtemp(prefix="image-test-"))
    folder.mkdir(exist_ok=True)
    try:
        with places_of_the_engine():
            return build_and_test(folder, words)
    finally:
        cgroup.remove(group_of(folder))
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def group_of(folder: Path) -> str:
    return folder.name


def build_and_test(folder: Path, words: list[str]) -> int:
    environment = os.environ | {KEPT: str(folder)}
    begun = time.monotonic()
    if not (folder / "built").exists():
        with bridge(BRIDGE):
            done = inside([sys.executable, "-m", "tests.image.building"], network=False, env=environment)
        if done.returncode:
            return done.returncode
        (folder / "built").write_text(f"{time.monotonic() - begun:.0f}")
    named = any(word.startswith("tests") for word in words)
    pytest = [sys.executable, "-m", "pytest", "-m", "image", *words, *([] if named else [str(HERE)])]
    return inside(pytest, network=True, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
