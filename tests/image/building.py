"""Make every image that the tests start, on this machine's network: package indexes are there."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tests.image import standins
from tests.image.engine import Engine

GATEWAY = "graph-mail-gateway:test"
BY_BUILDKIT = "graph-mail-gateway:buildkit"


def main() -> None:
    folder = Path(os.environ["IMAGE_TEST_FOLDER"])
    with Engine(folder, folder.name, network=False) as engine:
        timed("the base image from Debian's packages", standins.make_base, engine)
        with ThreadPoolExecutor(2) as pool:
            others = pool.submit(timed, "the servers' images", make_servers, engine)
            timed("docker/Dockerfile by the classic builder", make_gateway, engine, GATEWAY, "0")
            others.result()
        timed("docker/Dockerfile by BuildKit", make_gateway, engine, BY_BUILDKIT, "1")


def timed(what: str, step, *arguments) -> None:
    begun = time.monotonic()
    step(*arguments)
    print(f"made {what} in {time.monotonic() - begun:.0f} s", flush=True)


def make_servers(engine: Engine) -> None:
    compose = yaml.safe_load((standins.ROOT / "docker" / "compose.yaml").read_text())
    folder = standins.HERE / "servers"
    names = standins.servers_of(compose)
    standins.build(engine, folder, folder / "Dockerfile", *names, BASE=standins.base_name())


def make_gateway(engine: Engine, name: str, buildkit: str) -> None:
    standins.build(engine, standins.ROOT, standins.DOCKERFILE, name, buildkit=buildkit)


if __name__ == "__main__":
    main()
