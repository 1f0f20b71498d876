"""The price of agreement: students between base and aligned, what they reach, and which one would be chosen.

    humalign run teachers --profile things               comes first
    python benchmarks/price.py                           an hour and a half on one core; prints the table
    python benchmarks/price.py --record book/recorded    and keeps it with machine, day, commit and seeds
    python benchmarks/price.py --train                   trains and measures only

`price.yaml` beside this file holds all settings; the folder `pricing` trains and measures. Students and
measurements are kept in the folder `price` of --out, so that a stopped run goes on.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import pandas as pd
import threadpoolctl
import torch
from compare import here, keep
from pricing import scores as scoring
from pricing import students as price

from humalign.artefacts import replacing
from humalign.chain import processes
from humalign.errors import HumalignError

RECIPE = Path(__file__).with_suffix(".yaml")
THREADS = 1    # so that sums are taken in the same order everywhere


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--recipe", type=Path, default=RECIPE)
    told.add_argument("--build", type=Path, default=Path("build"), help="where the profile's run is")
    told.add_argument("--out", type=Path, default=Path("build"), help="where students and measures are kept")
    told.add_argument("--train", action="store_true", help="stop before the table is computed")
    told.add_argument("--record", type=Path, help="a folder that gets price/scores.csv and price/provenance.json")
    chosen = told.parse_args()
    try:
        study = price.Study.of(price.Recipe.read(chosen.recipe), chosen.build, chosen.out)
    except HumalignError as error:
        print(f"price: not run: {error}")  # the other benchmarks of `make bench` still run
        return
    torch.set_num_threads(THREADS)
    try:
        with processes.held(study.work.folder), threadpoolctl.threadpool_limits(THREADS):
            alone = scoring.everything(study)
            if not chosen.train:
                report(study, scoring.table(study, scoring.over_all_seeds(study, alone)), chosen.record)
    except HumalignError as error:
        sys.exit(f"price: {error}")


def report(study: price.Study, table: pd.DataFrame, folder: Path | None) -> None:
    """Print a table, and keep it with where it comes from."""
    print(table[["stage", "split", "metric", "value", "low", "high", "n"]].to_string(index=False))
    if folder:
        keep(folder / "price", "scores", table)
        with replacing(folder / "price" / "provenance.json") as part:
            part.write_text(json.dumps({"recipe": dataclasses.asdict(study.recipe)} | here(THREADS), indent=1) + "\n")


if __name__ == "__main__":
    main()
