"""WordNet: its file, the ids of things, and the steps between nouns, by hand and on the real hierarchy."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from one_line import refused

from humalign.data import readers, registry, wordnet

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
