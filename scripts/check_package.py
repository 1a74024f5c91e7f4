"""Builds the sdist and the wheel, checks what is in them, and runs the wheel in an empty environment; `make package`.

Usage: python scripts/check_package.py [--borrow] [--out dist]

The wheel is built from the checkout and from the sdist, and both must be the same. It is installed outside the checkout
with its requirements, at the versions of requirements.lock. With --borrow, or where pip cannot get them, it is
installed alone, and the environment borrows the packages of the Python that runs this script.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "src/nextframe/"
TOP = {  # what an sdist may have beside the package, docs/*.md and notebooks
    *("pyproject.toml", "PKG-INFO", ".gitignore", "README.md", "LICENSE"),
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md"),
}
INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}  # of a wheel, in its .dist-info
MIB = 2**20
LARGEST = 24 * MIB  # of a wheel or an sdist: the weights inside the package are most of it
OURS = ("PYTHON", "NEXTFRAME_", "VIRTUAL_ENV")  # variables that would let the checkout, or its settings, in
FRAMES = 3  # to predict
CLIP = """
from PIL import Image, ImageDraw
frames = [Image.new("L", (48, 40)) for _ in range(6)]
for number, frame in enumerate(frames):
    ImageDraw.Draw(frame).rectangle((4 + 5 * number, 12, 12 + 5 * number, 26), fill=255)
frames[0].save("clip.gif", save_all=True, append_images=frames[1:], duration=80)
"""
COUNT = "from PIL import Image; print(Image.open('next.gif').n_frames)"
WHERE = "import nextframe; print(nextframe.__file__)"


class StepError(Exception):
    """A step did not succeed; the text says which and how."""


def say(text: str) -> None:
    """Write a line now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def outside() -> dict[str, str]:
    """Return the variables of this process without those that lead to the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Return what a command prints, run in `folder` without the checkout on its path; StepError if it fails."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=folder, env=outside(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


# --- what is built


def built(source: Path, kind: str, folder: Path) -> Path:
    """Return the "wheel" or "sdist" of the project in `source`, written to `folder` over an older one."""
    pattern = {"wheel": "*.whl", "sdist": "*.tar.gz"}[kind]
    for old in folder.glob(pattern):
        old.unlink()
    run([sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", folder], source)
    (path,) = folder.glob(pattern)
    return path


def unpacked(sdist: Path, folder: Path) -> Path:
    """Return the one folder that an sdist has."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def names_of_sdist(sdist: Path) -> list[str]:
    """Return the files of an sdist, without its folder's name."""
    with tarfile.open(sdist) as archive:
        return [member.name.partition("/")[2] for member in archive if member.isfile()]


def files_of_wheel(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel with their contents."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked() -> set[str]:
    """Return the files of the package that git tracks."""
    return set(run(["git", "ls-files", PACKAGE], ROOT).splitlines())


# --- what is wrong with it


def faults_of_sdist(names: Iterable[str], package: set[str]) -> list[str]:
    """Return a line for each file that is missing in an sdist or should not be there; `package` is what git tracks."""
    names = set(names)
    pages = {name for name in names if name.startswith("docs/") and name.endswith((".md", ".ipynb"))}
    faults = [f"the sdist has no {name}" for name in sorted((package | TOP) - names)]
    return faults + [f"the sdist has {name}" for name in sorted(names - package - TOP - pages)]


def faults_of_wheel(names: Iterable[str], package: set[str]) -> list[str]:
    """Return a line for each file that is missing in a wheel or should not be there; `package` is what git tracks."""
    wanted = {name.removeprefix("src/") for name in package} | INFO
    found = {name.partition("/")[2] if ".dist-info/" in name else name for name in names}
    return [f"the wheel has no {name}" for name in sorted(wanted - found)] + [
        f"the wheel has {name}" for name in sorted(found - wanted)
    ]


def faults_of_weights(package: set[str]) -> list[str]:
    """Return a line for each model that ships without its weights."""
    configs = [name for name in package if "/shipped/" in name and name.endswith("/config.json")]
    wanted = [name.replace("config.json", "model.safetensors") for name in configs]
    return [f"{name} is missing" for name in wanted if name not in package] or ([] if wanted else ["no model ships"])


def differences(first: dict[str, bytes], second: dict[str, bytes]) -> list[str]:
    """Return a line for each file in which the wheel of the checkout and that of the sdist differ."""
    return [f"{name} is not the same in both wheels" for name in sorted(first.keys() | second.keys())
            if first.get(name) != second.get(name)]  # fmt: skip


def too_large(*paths: Path) -> list[str]:
    """Return a line for each file over the limit."""
    return [
        f"{path.name} has {path.stat().st_size / MIB:.1f} MiB, over the limit of {LARGEST / MIB:.0f}"
        for path in paths
        if path.stat().st_size > LARGEST
    ]


# --- whether it runs


def program(environment: Path, name: str) -> Path:
    """Return a program of an environment."""
    return environment / "Scripts" / f"{name}.exe" if os.name == "nt" else environment / "bin" / name


def installed(wheel: Path, environment: Path, borrow: bool) -> str:
    """Install a wheel into a new environment; return how its requirements came there."""
    run([sys.executable, "-m", "venv", environment], environment.parent)
    pip = [program(environment, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not borrow:
        try:
            run([*pip, "--constraint", ROOT / "requirements.lock", f"{wheel}[web]"], environment.parent)
            return "its requirements came through pip, at the versions of requirements.lock"
        except StepError as failure:
            say(f"pip could not install it with its requirements:\n{failure}")
    run([*pip, "--no-deps", "--no-index", wheel], environment.parent)
    lend(environment)
    return f"its requirements are borrowed from {sysconfig.get_path('purelib')}"


def lend(environment: Path) -> None:
    """Let an environment import the packages beside this script's Python, after its own."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = run([program(environment, "python"), "-c", ask], environment.parent)
    Path(place, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


PATIENCE = 120  # seconds for the app to show its page
TITLE = '"title":"nextframe"'  # in what the page is built from
TRAINED = ("--data", "moving-digits", "--context", "3", "--horizon", "1", "--steps", "2")


def tried(environment: Path, folder: Path) -> None:
    """Predict the end of a clip that is made here, and train two steps; StepError if that is not what came."""
    python, nextframe = program(environment, "python"), program(environment, "nextframe")
    where = run([python, "-c", WHERE], folder)
    if environment.resolve() not in Path(where).resolve().parents:
        raise StepError(f"nextframe was imported from {where}, not from the environment")
    run([python, "-c", CLIP], folder)
    run([nextframe, "predict", "clip.gif", "-n", str(FRAMES), "-o", "next.gif"], folder)
    found = run([python, "-c", COUNT], folder)
    if found != str(FRAMES):
        raise StepError(f"next.gif has {found} frames, not {FRAMES}")
    run([nextframe, "train", "compact", *TRAINED, "-o", "run"], folder)
    run([nextframe, "evaluate", "run", "--clips", "4"], folder)


def opened(environment: Path, folder: Path) -> None:
    """Start the app and get its page; StepError if it ends, or there is none within `PATIENCE` seconds."""
    log = folder / "app.log"
    command = [program(environment, "nextframe"), "app", "--no-browser", "--port", "0"]
    with log.open("w") as out:
        app = subprocess.Popen(command, cwd=folder, env=outside(), stdout=out, stderr=out)
    until = time.monotonic() + PATIENCE
    try:
        while TITLE not in page_of(log):
            if app.poll() is not None or time.monotonic() > until:
                raise StepError(f"nextframe app shows no page:\n{log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.2)
    finally:
        app.terminate()
        app.wait(PATIENCE)


def page_of(log: Path) -> str:
    """Return the page at the address that the app has written; "" while there is none."""
    found = re.search(r"http://[\d.]+:\d+", log.read_text(encoding="utf-8"))
    try:
        with urlopen(found[0] if found else "", timeout=10) as page:
            return str(page.read(), "utf-8")
    except (OSError, ValueError):  # the app names the address a moment before it answers
        return ""


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


# --- all of it


def checked_files(out: Path, scratch: Path) -> tuple[Path, list[str]]:
    """Build sdist and wheel in `out`; return the wheel and what is wrong with both."""
    out.mkdir(parents=True, exist_ok=True)
    sdist, wheel = built(ROOT, "sdist", out), built(ROOT, "wheel", out)
    again = built(unpacked(sdist, scratch / "source"), "wheel", scratch / "again")
    package, files = tracked(), files_of_wheel(wheel)
    for path in (sdist, wheel):
        say(f"{path.name}: {path.stat().st_size / MIB:.1f} MiB")
    return wheel, [
        *faults_of_sdist(names_of_sdist(sdist), package),
        *faults_of_wheel(files, package),
        *faults_of_weights(package),
        *differences(files, files_of_wheel(again)),
        *too_large(sdist, wheel),
    ]


def checked_run(wheel: Path, scratch: Path, borrow: bool) -> None:
    """Install the wheel into an empty environment and run it there; say how long both took, and the size."""
    environment, folder = scratch / "environment", scratch / "elsewhere"
    folder.mkdir()
    started = time.monotonic()
    how = installed(wheel, environment, borrow)
    ready = time.monotonic()
    tried(environment, folder)
    done = time.monotonic()
    opened(environment, folder)
    shown = time.monotonic()
    say(f"installed in {ready - started:.0f} s into {size(environment) / MIB:.0f} MiB: {how}")
    say(f"nextframe predict, train and evaluate: in {done - ready:.0f} s, each with the start of Python")
    say(f"nextframe app: its page after {shown - done:.0f} s")


def main() -> int:
    """Check all; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--borrow", action="store_true", help="install the wheel alone, and borrow its requirements")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where sdist and wheel go (default: dist)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nextframe-package-") as scratch:
        try:
            wheel, faults = checked_files(asked.out.resolve(), Path(scratch))
            checked_run(wheel, Path(scratch), asked.borrow)
        except StepError as failure:
            faults = [str(failure)]
    say("\n".join(faults) if faults else "package: fine")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
