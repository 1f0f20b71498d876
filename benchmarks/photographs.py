"""Align a model with people's answers about photographs by `humalign align`, as page 9 shows it: with all, and with 1,000 answers.

    python benchmarks/photographs.py [--record book/recorded] [--folder build/photographs]

The photographs are the CC0 ones of THINGS that are at hand. The answers are people's, to triplets of these that were asked once, in an
order drawn by a seed. The pool is Caltech-101. What was finished is kept; the minutes are those of the steps.
"""

import argparse
import contextlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare import keep

from humalign import cli
from humalign.artefacts import replacing
from humalign.chain import origins, registered
from humalign.chain.judged import things
from humalign.data import registry

MODELS = ("--teacher", "efficientnet-lite2", "--student", "efficientnet-lite0")
FEWER = 1000
SHOWN, ODD = ["image1", "image2", "image3"], "choice"


def answers(files: list[str], objects: np.ndarray) -> pd.DataFrame:
    """Return people's answers about photographs as `humalign align` reads them, shuffled, the pictures of each too.

    Args:
        files: of the photographs.
        objects: the THINGS object that each shows.
    """
    rng, known = np.random.default_rng(0), things().asked_once
    shown = np.isin(known.triplets, objects).all(1)
    triplets = np.searchsorted(objects, known.triplets[shown]).repeat(known.counts[shown].sum(1), axis=0)
    kept = np.concatenate([np.repeat(np.arange(3), times) for times in known.counts[shown]])
    names = np.array(files)[triplets]
    found = pd.DataFrame(rng.permuted(names, axis=1), columns=SHOWN)
    return found.assign(**{ODD: names[np.arange(len(names)), 2 - kept]}).sample(frac=1, random_state=rng)


def prepare(folder: Path) -> list[dict[str, Any]]:
    """Lay photographs, pool and files of answers out as a user has them, and say of each run how much it has."""
    paths, objects = registered.photographs()
    for name, place in (("judged", paths[0].parent), ("pool", registry.locate("caltech101") / "101_ObjectCategories")):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(place.resolve(), target_is_directory=True)
    found = answers([path.name for path in paths], objects)
    several = {"photographs": found, f"photographs-{FEWER}": found[:FEWER]}
    for name, some in several.items():
        with replacing(folder / f"{name}.csv") as part:
            some.to_csv(part, index=False)
    return [{"run": name, "pictures": len(paths), "answers": len(some)} for name, some in several.items()]


def main() -> None:
    """Align with each file of answers, and record scores, numbers of answers and minutes."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--record", type=Path, help="folder of the recorded runs")
    command.add_argument("--folder", type=Path, default=Path("build/photographs"))
    options = command.parse_args()
    record, rows = options.record and options.record.resolve(), []
    options.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(options.folder):
        for row in prepare(Path()):
            name = row["run"]
            shutil.rmtree(name, ignore_errors=True)
            given = ["--judged", "judged", "--answers", f"{name}.csv", "--pool", "pool", *MODELS]
            if status := cli.main(["align", *given, "--write-profile", f"{name}.yaml", name]):
                raise SystemExit(status)
            made = Path("build") / name
            spent = sum(step["seconds"] for step in origins.read(made / origins.TABLE).stages.values())
            rows.append(row | {"minutes": round(spent / 60, 1)})
            print(f"{name}: {row['answers']:,} answers, {spent / 60:.1f} minutes\n", flush=True)
            if record:
                (record / name).mkdir(exist_ok=True)
                for file in (origins.TABLE, origins.FILE, origins.SUMMARIES):
                    shutil.copy(made / file, record / name / file)
    if record:
        keep(record, "photographs", pd.DataFrame(rows))


if __name__ == "__main__":
    main()
