"""WordNet: its file, the ids of things and the steps between nouns; BREEDS' superclasses, ImageNet-A and the scores on them."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from one_line import refused
from PIL import Image

from humalign.data import readers, registry, wordnet
from humalign.errors import HumalignError
from humalign.evaluation import few_shot
from humalign.evaluation.scores import resamples

# A cat and a dog are carnivores; a dog is a domestic animal too; nothing joins a stone to them but the entity.
EDGES = "entity animal\nentity stone\nanimal carnivore\nanimal domestic\ncarnivore cat\ncarnivore dog\ndomestic dog\ndomestic hen\n"
HEADER = "Word\tWordnet ID\tuniqueID\n"


@pytest.fixture
def hierarchy(tmp_path):
    (tmp_path / "edges.txt").write_text(EDGES)
    return wordnet.hypernyms(tmp_path / "edges.txt")


def test_a_noun_has_all_its_hypernyms_and_a_root_none(hierarchy):
    assert hierarchy["dog"] == ("carnivore", "domestic") and hierarchy["entity"] == ()


def test_steps_lead_up_to_a_common_hypernym_and_down_again(hierarchy):
    nouns = ["dog", "cat", "hen", "stone", "animal", "unicorn", "dog"]
    found = wordnet.path_lengths(nouns, hierarchy)
    wanted = {("dog", "cat"): 2, ("dog", "hen"): 2, ("cat", "hen"): 4, ("dog", "stone"): 4, ("dog", "animal"): 2, ("animal", "stone"): 2}
    for (i, a), (j, b) in itertools.combinations(enumerate(nouns), 2):
        steps = 0 if a == b else np.inf if "unicorn" in (a, b) else wanted.get((a, b), wanted.get((b, a)))
        if steps is not None:
            assert found[i, j] == found[j, i] == steps, (a, b)
    assert np.isinf(found[5, 5]) and found[0, 0] == 0


def test_two_things_below_one_are_not_joined_by_what_is_below_both(tmp_path):
    (tmp_path / "edges.txt").write_text("entity a\nentity b\na both\nb both\n")
    steps = wordnet.path_lengths(["a", "b"], wordnet.hypernyms(tmp_path / "edges.txt"))
    assert steps[0, 1] == 2, "over the entity, not over what both are above"


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\n", "line 1: 1 columns instead of 2"), ("a b\nb c d\n", "line 2: 3 columns"), ("a b\nb b\n", "line 2: b stands right above"),
     ("<html>", "web page"), ("", "empty")],
)
def test_a_faulty_hierarchy_is_named(tmp_path, text, said):
    (tmp_path / "edges.txt").write_text(text)
    refused(said, wordnet.hypernyms, tmp_path / "edges.txt")


@pytest.mark.parametrize(
    ("rows", "said"),
    [("cat\tn02121620\tcat\n", "does not list dog, one of 1 ids of unique_id.txt that it lacks"),
     ("cat\tn02121620\tcat\ndog\t\tdog\ncat\t\tcat\n", "line 4: 'cat' again, as in line 2"),
     ("cat\tcat.n.01\tcat\ndog\t\tdog\n", "line 2: 'cat.n.01' where a WordNet id of a noun, or nothing should stand")],
)
def test_faulty_ids_are_named(tmp_path, rows, said):
    (tmp_path / "names.tsv").write_text(HEADER + rows)
    refused(said, wordnet.things_ids, tmp_path / "names.tsv", ["cat", "dog"])


def test_an_object_without_a_noun_has_an_empty_id(tmp_path):
    (tmp_path / "names.tsv").write_text(HEADER + "cat\tn02121620\tcat\nboomerang\t\tboomerang\n")
    assert wordnet.things_ids(tmp_path / "names.tsv", ["cat", "boomerang"]) == ("n02121620", "")


def test_ids_are_matched_by_name_whatever_the_order_and_the_spelling_of_the_column(tmp_path):
    rows = "dog\tn02084071\tdog\nhen\t\then\ncat\tn02121620\tcat\n"
    for header in (HEADER, HEADER.replace("Wordnet", "WordNet")):
        (tmp_path / "names.tsv").write_text(header + rows)
        assert wordnet.things_ids(tmp_path / "names.tsv", ["cat", "dog"]) == ("n02121620", "n02084071")
    (tmp_path / "names.tsv").write_text(HEADER.replace("Wordnet ID", "synset") + rows)
    refused("0 columns 'Wordnet ID'", wordnet.things_ids, tmp_path / "names.tsv", ["cat", "dog"])


@pytest.mark.skipif(not os.environ.get("HUMALIGN_DATA"), reason="no human data")
def test_both_public_tables_give_the_same_ids_but_one():
    things = Path(os.environ["HUMALIGN_DATA"]) / "things"
    names = readers.object_ids(things / "unique_id.txt")
    one, other = (wordnet.things_ids(things / file, names) for file in ("items1854names.tsv", "things_concepts.tsv"))
    differing = [(name, a, b) for name, a, b in zip(names, one, other, strict=True) if a != b]
    assert differing == [("tweezers", "", "n03941684")]


@pytest.mark.skipif(not os.environ.get("HUMALIGN_DATA"), reason="no human data")
def test_things_objects_have_their_known_steps():
    names = readers.object_ids(registry.locate("things-ids"))
    ids = wordnet.things_ids(registry.locate("things-names"), names)
    steps = wordnet.path_lengths(ids, wordnet.hypernyms(registry.locate("wordnet-nouns")))
    at = {name: place for place, name in enumerate(names)}
    # WordNet 3.0: dog, canine, carnivore, feline, cat.
    assert steps[at["dog"], at["cat"]] == 4
    assert np.isfinite(np.diag(steps)).sum() == 1791


# ---- BREEDS' superclasses ------------------------------------------------------------------------------------


def wnid(number):
    return f"n{number:08d}"


ROOT, LIVING = wordnet.ROOT, wordnet.LIVING


@pytest.fixture
def breeds(tmp_path):
    """A chain down to depth 4, two superclasses at depth 5 with five and four classes, and one with three."""
    edges = [(ROOT, LIVING), (LIVING, "a"), ("a", "b"), ("b", "c")]
    leaves = iter(range(1, 100))
    for name, n in (("s1", 5), ("s2", 4), ("s3", 3)):
        edges.append(("c", name))
        edges += [(name, wnid(next(leaves))) for _ in range(n)]
    edges.append(("s1", "unused"))
    classes = [wnid(i) for i in range(1, 13)]
    (tmp_path / "class_hierarchy.txt").write_text("".join(f"{a} {b}\n" for a, b in edges))
    (tmp_path / "node_names.txt").write_text("s1\tfirst, one\ns2\tsecond\n")
    (tmp_path / "dataset_class_info.json").write_text(json.dumps([[i, name, "x"] for i, name in enumerate(classes)]))
    return tmp_path


def test_superclasses_have_so_many_classes_divided_in_two(breeds):
    found = wordnet.breeds(breeds, "living-17")
    assert found.names == ("first, one", "second")
    for group, (low, high) in zip(zip(found.source, found.target, strict=True), ((1, 5), (6, 9)), strict=True):
        assert [len(half) for half in group] == [2, 2] and len(set(group[0] + group[1])) == 4
        assert all(low <= int(one[1:]) <= high for half in group for one in half)
    table = found.of([found.target[1][0], found.source[0][1], "n99999999"])
    assert table.to_dict("list") == {"superclass": ["second", "first, one", ""], "domain": ["target", "source", ""]}
    assert wordnet.breeds(breeds, "living-17") == found != wordnet.breeds(breeds, "living-17", seed=3)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("class_hierarchy.txt", lambda text: text + f"s1 {ROOT}\n", "lies below itself"),
        ("class_hierarchy.txt", lambda text: text.replace("c s", "x s"), "no node of the task living-17"),
        ("class_hierarchy.txt", lambda text: f"{ROOT} {wnid(1)}\n", "no node of the task living-17: is this the modified hierarchy"),
        ("class_hierarchy.txt", lambda text: text + "lonely\n", "line 21: 1 columns instead of 2"),
        ("dataset_class_info.json", lambda text: text[:30], "cut short, damaged or of another layout"),
        ("dataset_class_info.json", lambda text: text.replace("[1,", "[7,"), "class 7 with id .* where class 1 should stand"),
        ("dataset_class_info.json", lambda text: text.replace("n00000003", "cat"), "class 2 with id 'cat'"),
        ("node_names.txt", lambda text: "s1 first\n", "1 columns instead of 2"),
    ],
)
def test_a_damaged_hierarchy_is_one_line(breeds, file, change, said):
    path = breeds / file
    path.write_text(change(path.read_text()))
    line = refused(said, wordnet.breeds, breeds, "living-17")
    assert str(path) in line


def test_an_unknown_task_names_the_nearest(breeds):
    refused("unknown task 'living17': did you mean 'living-17'", wordnet.breeds, breeds, "living17")


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the hierarchy is not on this machine")
@pytest.mark.parametrize(
    ("task", "superclasses", "classes"), [("living-17", 17, 4), ("nonliving-26", 26, 4), ("entity-13", 13, 20), ("entity-30", 30, 8)]
)
def test_the_real_tasks_have_the_published_superclasses(task, superclasses, classes):
    folder = registry.locate("breeds-hierarchy")
    found = wordnet.breeds(folder, task)
    assert len(found.names) == len(set(found.names)) == superclasses
    every = [one for groups in (found.source, found.target) for group in groups for one in group]
    assert len(every) == len(set(every)) == superclasses * classes
    assert set(every) <= set(wordnet.imagenet_classes(folder / "dataset_class_info.json"))
    assert all(len(group) == classes // 2 for groups in (found.source, found.target) for group in groups)


# ---- ImageNet-A, cue conflict ----------------------------------------------------------------------------------------

CLASSES = tuple(wnid(i) for i in range(1000))


def pictures(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name)


def test_imagenet_a_is_read_with_its_own_classes(tmp_path):
    held = range(3, 1000, 5)
    pictures(tmp_path, [f"{wnid(i)}/{j}.jpg" for i in held for j in range(1 + (i == 3))])
    (tmp_path / "README.txt").write_text("not a class")
    images, labels, allowed = wordnet.imagenet_a(tmp_path, CLASSES)
    assert len(images) == 201 and allowed.tolist() == list(held) and labels[:3].tolist() == [3, 3, 8]


@pytest.mark.parametrize(
    ("names", "said"),
    [(["n00000003/0.jpg", "n00000008/0.jpg"], "2 classes instead of 200"), (["cat/0.jpg"], "'cat' is no class of ImageNet")],
)
def test_another_folder_than_imagenet_a_is_one_line(tmp_path, names, said):
    pictures(tmp_path, names)
    refused(said, wordnet.imagenet_a, tmp_path, CLASSES)


# ---- other classes of a superclass -----------------------------------------------------------------------------------

def test_superclasses_are_taught_on_some_classes_and_tested_on_others():
    rng = np.random.default_rng(0)
    superclass = np.repeat(["p", "q", "r"], 40)
    source = np.tile(np.arange(40) < 20, 3)
    centre = rng.standard_normal((3, 8))[np.repeat(np.arange(3), 40)] * 2
    features = centre + 2 * rng.standard_normal((6, 8))[np.repeat(np.arange(6), 20)] + rng.standard_normal((120, 8))
    weights = resamples(120, 20, seed=0)
    support = few_shot.supports(superclass, 5, 4, rng, among=source)
    found = few_shot.to_other_classes(features, superclass, source, support, weights)
    hits = few_shot.correct(few_shot.teach(features, superclass, support), features, superclass)
    assert found["target"].value == pytest.approx(hits[:, ~source].mean()) and found["target"].n == 60
    assert found["drop"].value == pytest.approx(found["source"].value - found["target"].value) and found["drop"].value > 0
    with pytest.raises(HumalignError, match="a picture of the target classes is taught"):
        few_shot.to_other_classes(features, superclass, source, few_shot.supports(superclass, 5, 4, rng), weights)
    with pytest.raises(HumalignError, match="has no picture to test"):
        few_shot.to_other_classes(features, superclass, np.ones(120, dtype=bool), support, weights)
