"""Tells whether two Pythons read and write the same mail: a digest for each batch of samples.

python -m scripts.differential >FILE, and with another Python: python -m scripts.differential --against FILE
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.differential.answers import answers, digest, shown
from scripts.differential.inputs import sample

SEED = 2026
COUNT = 20_000
BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT, help="how many samples")
    parser.add_argument("--against", type=Path, help="a file of digests that must be the same")
    parser.add_argument("--batch", type=int, help="print the digest of each sample in this batch")
    parser.add_argument("--sample", type=int, help="print this sample and all answers")
    options = parser.parse_args()
    if options.sample is not None:
        print("\n".join(all_of(options.sample, options.seed)))
    elif options.batch is not None:
        print("\n".join(f"{number} {digest(made).hex()}" for number, made in batch(options.batch, options)))
    elif options.against:
        compare(options.against.read_text(encoding="ascii").split(), list(batches(options)))
    else:
        for line in batches(options):
            print(line, flush=True)


def batch(number: int, options: argparse.Namespace) -> Iterator[tuple[int, object]]:
    first = number * BATCH
    for at in range(first, min(first + BATCH, options.count)):
        yield at, sample(at, options.seed)


def batches(options: argparse.Namespace) -> Iterator[str]:
    for number in range(-(-options.count // BATCH)):
        made = hashlib.sha256()
        for _, one in batch(number, options):
            made.update(digest(one))
        yield made.hexdigest()


def all_of(number: int, seed: int) -> Iterator[str]:
    one = sample(number, seed)
    yield f"sample: {shown(one)}"
    for name, answer in answers(one):
        yield f"{name}: {answer}"


def compare(theirs: list[str], ours: list[str]) -> None:
    """End with a sentence, and with 1 where the digests differ."""
    version = sys.version.split()[0]
    different = [number for number, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]]
    if len(theirs) == len(ours) and not different:
        print(f"Python {version} gives the same {len(ours)} digests.")
        return
    sys.exit(
        f"Python {version} gives other digests: {len(theirs)} and {len(ours)}, batches {different[:10]}. "
        "With both Pythons, --batch NUMBER tells the samples and --sample NUMBER the answers."
    )


main()
