"""The three sets of answers together, and a data folder in which one file is in another order than the others."""

import os
from pathlib import Path

import numpy as np
import pytest

from humalign.chain import judged
from humalign.chain.answers import answer_sets
from humalign.data import readers
from humalign.data.object_order import OLD, SORTED, UNIQUE, rows_in
from humalign.errors import HumalignError

NAMES = tuple(f"thing{row:02}" for row in range(12))
HEADER = "image1\timage2\timage3\tchoice\tnoise_ceiling\tsubject_id\n"


def find(folder):
    files = {"things-answers": "train", "things-validation-answers": "validation", "things-repeated-answers": "repeated"}
    return lambda source: folder / files[source]


def test_what_is_scored_is_not_trained_on_even_where_the_files_are_of_different_splits(tmp_path):
    (tmp_path / "train").write_text("0 1 2\n2 0 3\n4 5 6\n7 8 9\n")
    (tmp_path / "validation").write_text("3 2 0\n9 10 11\n6 5 4\n")
    (tmp_path / "repeated").write_text("5\t6\t7\t3\tx\n7\t6\t5\t1\ty\n")
    found = answer_sets(find(tmp_path), NAMES)
    assert found.repeated.triplets.tolist() == [[4, 5, 6]] and found.repeated.counts.tolist() == [[2, 0, 0]]
    assert found.validation.triplets.tolist() == [[3, 2, 0], [9, 10, 11]], "without the repeated one"
    assert found.training.triplets.tolist() == [[0, 1, 2], [7, 8, 9]], "without those and the repeated one"
    assert found.asked_once.triplets.tolist() == [[0, 1, 2], [7, 8, 9], [3, 2, 0], [9, 10, 11]]
    (tmp_path / "train").write_text("2 3 0\n")
    with pytest.raises(HumalignError, match="train: every triplet is among those that are scored"):
        answer_sets(find(tmp_path), NAMES)


def test_the_table_of_all_answers_serves_for_all_three(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(*(rng.permutation(12)[:3] + 1), rng.integers(1, 4), rng.choice([0, 0, 0, 1, 2]), "7") for _ in range(800)]
    (tmp_path / "all").write_text(HEADER + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    found = answer_sets(lambda source: tmp_path / "all", NAMES)
    sides = [{tuple(sorted(row)) for row in each.triplets.tolist()} for each in (found.training, found.validation, found.repeated)]
    assert all(sides) and not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


# ---- a data folder ---------------------------------------------------------------------------------------------------


def reordered(order, was):
    """Return a change of an array file that was in one order and is in another after it."""

    def change(path, names):
        rows = np.load(path)[rows_in(names, was)]
        path.unlink()
        np.save(path, rows[np.argsort(rows_in(names, order))])

    return change


def renumbered(path, names):
    """Bring the public file of repeated triplets into the order of the ids."""
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    unique = np.argsort(rows_in(names, OLD))
    path.unlink()
    path.write_text("".join("\t".join([*(str(unique[int(cell) - 1] + 1) for cell in row[:3]), *row[3:]]) + "\n" for row in cells))


def odd_first(path, names):
    rows = np.loadtxt(path, dtype=int)[:, [2, 0, 1]]
    path.unlink()
    np.savetxt(path, rows, "%d")


def fewer(path, names):
    path.unlink()
    path.write_text("\n".join(names[:-1]) + "\n")


def sorted_ids(path, names):
    path.unlink()
    path.write_text("\n".join(sorted(names)) + "\n")


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("vice/final_embedding.npy", reordered(UNIQUE, OLD), f"are in {UNIQUE.name}, not in {OLD.name}: .*humalign fetch things-vice"),
        ("vice/final_embedding.npy", reordered(SORTED, OLD), f"are in {SORTED.name}, not in {OLD.name}"),
        ("things/clip-vit-base-p32-embeddings.npy", reordered(UNIQUE, SORTED), f"are in {UNIQUE.name}, not in {SORTED.name}"),
        ("things/clip-vit-base-p32-embeddings.npy", reordered(OLD, SORTED), f"are in {OLD.name}, not in {SORTED.name}"),
        ("vice/test_triplets.csv", renumbered, f"are in {UNIQUE.name}, not in {OLD.name}"),
        ("things/trainset.txt", odd_first, "the odd one stands first, not last"),
        ("things/validationset.txt", odd_first, "the odd one stands first, not last"),
        ("things/unique_id.txt", fewer, r"holds other ids than those of THINGS: bring the public file"),
        ("things/unique_id.txt", sorted_ids, f"the ids are in {SORTED.name}"),
    ],
)
def test_one_file_in_another_order_than_the_others_is_named(file, change, said, tmp_path, monkeypatch):
    data = Path(os.environ["HUMALIGN_DATA"])
    names = readers.object_ids(data / "things/unique_id.txt")
    for path in [*data.glob("things/*.*"), *data.glob("vice/*")]:
        place = tmp_path / path.relative_to(data)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path)
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    # A file of its own in place of the link.
    place = tmp_path / file
    content = place.read_bytes()
    place.unlink()
    place.write_bytes(content)
    change(place, names)
    judged.things.cache_clear()
    with pytest.raises(HumalignError, match=said.replace("(ID.jpg)", r"\(ID\.jpg\)")) as caught:
        judged.things().check_orders()
    judged.things.cache_clear()
    assert "\n" not in str(caught.value)
