"""Make every input of the paper's chain in small, in the official layouts: ``python tests/rehearsal_inputs.py FOLDER``.

Pictures are drawn from known places in a made-up space, and the answers about them come from simulated observers of that space, so
that there is something to be found. Nothing of it is of people. The environment to run with is ``environment(FOLDER)``.
"""

import hashlib
import io
import itertools
import json
import pickle
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import timm
import torch
from made_matlab import write_hdf5
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from scipy.spatial.distance import squareform
from scipy.special import softmax

DIM = 6
OBJECTS, CLASSES, OF_CLASS, OF_VALIDATION, PEOPLE = 36, 200, 3, 2, 8
LIVING, NONLIVING, ENTITY = "n00004258", "n00021939", "n00001740"
# A tree in which each of BREEDS' four tasks has superclasses: how many branches a node has, level by level below the root.
BRANCHES = (2, 2, 2, 2, 2)
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
# One of the categories is not there: most of them their authors give on request only.
PETERSON = ("animals", "automobiles", "fruits", "furniture", "vegetables")


def environment(folder):
    """Return the variables that let a run find these inputs and no others."""
    places = {"HUMALIGN_DATA": "data", "HUMALIGN_IMAGENET": "imagenet", "HUMALIGN_WEIGHTS": "weights"}
    return {name: str(Path(folder).resolve() / place) for name, place in places.items()}


def main(folder):
    """Make all inputs below a folder; inputs that this very file made there are left as they are."""
    folder, mark = Path(folder), hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    made = folder / "made"
    if made.is_file():
        if made.read_text() == mark:
            return
        shutil.rmtree(folder)
    rng = np.random.default_rng(0)
    every = ((things, "data/things"), (imagenet, ""), (similarity, "data"), (labelled, "data"), (weights, "weights"))
    for make, place in (*every, (coco, "data/hf/detection-datasets/coco/data")):
        (folder / place).mkdir(parents=True, exist_ok=True)
        make(folder / place, rng)
    made.write_text(mark)


# ---- pictures and observers ------------------------------------------------------------------------------------------


def picture(place, rng, size=(48, 40)):
    """Draw a picture of a place: three numbers make the ground, three the thing on it."""
    width, height = size
    place = 1 / (1 + np.exp(-(place + 0.15 * rng.standard_normal(DIM))))
    rows, columns = np.mgrid[0:height, 0:width]
    ground = place[:3] * (0.6 + 0.4 * np.sin(columns / width * 12 * place[3])[..., None])
    thing = ((rows - height / 2) ** 2 + (columns - width * place[4]) ** 2 < (4 + 14 * place[5]) ** 2)[..., None]
    noise = 0.05 * rng.standard_normal((height, width, 3))
    return Image.fromarray((255 * np.clip(np.where(thing, place[[5, 3, 4]], ground) + noise, 0, 1)).astype(np.uint8))


def encoded(image, kind="JPEG"):
    """Return the bytes of a picture's file."""
    file = io.BytesIO()
    image.save(file, kind, quality=90)
    return file.getvalue()


def pairs(places, triplets):
    """Return how alike the observers find the pairs (ij, ik, jk)."""
    near = -((places[:, None] - places[None]) ** 2).sum(-1)
    return np.stack([near[triplets[:, a], triplets[:, b]] for a, b in ((0, 1), (0, 2), (1, 2))], axis=1)


def answers(places, triplets, rng):
    """Return the pair that a simulated observer keeps of each triplet."""
    return np.array([rng.choice(3, p=shares) for shares in softmax(pairs(places, triplets), axis=1)])


def some_triplets(n, things, rng):
    """Draw triplets of three different things."""
    return np.stack([rng.permutation(things)[:3] for _ in range(n)])


def judged(places, people, rng):
    """Return one matrix of dissimilarities a person."""
    apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    noise = 0.3 * rng.standard_normal((people, *apart.shape))
    found = np.maximum(apart + (noise + noise.swapaxes(1, 2)) / 2, 0)
    found[:, np.arange(len(places)), np.arange(len(places))] = 0
    return found


# ---- THINGS ----------------------------------------------------------------------------------------------------------


def things(folder, rng):
    """Make answers about objects and their photographs."""
    group = np.arange(OBJECTS) % 6
    places = 1.5 * rng.standard_normal((6, DIM))[group] + 0.7 * rng.standard_normal((OBJECTS, DIM))
    # The last three are in another order among file names, in which the public file of repeated triplets refers to the objects.
    names = [*(f"thing{number:02}" for number in range(OBJECTS - 3)), "thing99", "thing99_c", "thing99-a_b"]
    (folder / "unique_id.txt").write_text("\n".join(names) + "\n")
    nouns = [f"n3{number:07}" for number in range(OBJECTS - 1)]
    rows = [f"{name}\t{noun}" for name, noun in zip(names, [*nouns, ""], strict=True)]
    (folder / "items1854names.tsv").write_text("\n".join(["uniqueID\tWordnet ID", *reversed(rows)]) + "\n")
    # Groups in pairs, of which two stand below one more noun: from four to fourteen steps between two objects.
    above = {f"n4{pair:07}": "n40000009" if pair < 2 else ENTITY for pair in range(3)} | {"n40000009": ENTITY}
    above |= {f"n5{number:07}": f"n4{number // 2:07}" for number in range(6)}
    wordnet(folder.parent, [(above_it, noun) for noun, above_it in above.items()], [
        (f"n5{of:07}", noun) for of, noun in zip(group, nouns, strict=False)
    ])
    asked(folder, places, names, rng)
    header, cells = "\t".join(f"group{g}" for g in range(6)), np.eye(6, dtype=int)[group]
    (folder / "category27_manual.tsv").write_text("\n".join([header, *("\t".join(map(str, row)) for row in cells)]) + "\n")
    savemat(folder / "RDM48_triplet.mat", {"RDM48_triplet": judged(places[:18], 1, rng)[0]})
    savemat(folder / "words48.mat", {"words48": np.array([name.replace("_", " ") for name in names[:18]], dtype=object)[:, None]})
    # Of every fifth object, the photograph that was judged is withheld.
    for number, (name, place) in enumerate(zip(names, places, strict=True)):
        below = folder / "object_images" / name
        below.mkdir(parents=True, exist_ok=True)
        for end in ("02s", "03n") if number % 5 == 4 else ("01b", "02s"):
            (below / f"{name}_{end}.jpg").write_bytes(encoded(picture(place, rng)))
    free, other = folder / "object_images_CC0", np.random.default_rng(3)
    free.mkdir(exist_ok=True)
    for name, place in zip(names, places, strict=True):
        (free / f"{name}.jpg").write_bytes(encoded(picture(place, other)))


def asked(folder, places, names, rng):
    """Make the answers: to validate with as text, repeated ones in a file of their own, and all in the table, by which is trained."""
    triplets = some_triplets(1500, OBJECTS, rng)
    order = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[answers(places, triplets, rng)]
    np.savetxt(folder / "validationset.txt", np.take_along_axis(triplets, order, axis=1), "%d")
    # The table of all answers holds those to the repeated triplets, and those to validate with, too.
    repeated = np.repeat(some_triplets(80, OBJECTS, rng), PEOPLE, axis=0)
    every = np.concatenate([repeated, triplets, some_triplets(12000, OBJECTS, rng)])
    choices, people = 3 - answers(places, every, rng), np.arange(len(every)) % PEOPLE
    part = np.where(np.arange(len(every)) < len(repeated), 1, np.where(np.arange(len(every)) % 50 == 49, 2, 0))
    header = "image1\timage2\timage3\tchoice\tRT\tnoise_ceiling\tsubject_id\tdataset"
    rows = np.column_stack([every + 1, choices, np.full(len(every), 1500), part, people, np.ones_like(people)])
    table = folder / "triplets_large_final_correctednc_correctedorder.csv"
    np.savetxt(table, rows, "%d", "\t", header=header, comments="")
    files = sorted(f"{name}.jpg" for name in names)
    row = np.array([files.index(f"{name}.jpg") for name in names])
    (folder.parent / "vice").mkdir(exist_ok=True)
    rows = np.column_stack([row[repeated] + 1, choices[: len(repeated)], people[: len(repeated)]])
    np.savetxt(folder.parent / "vice" / "test_triplets.csv", rows, "%d", "\t")


def wordnet(folder, *edges):
    """Add to the list of nouns, each below its hypernym; between every two that are given stands one more."""
    (folder / "breeds" / "wordnet").mkdir(parents=True, exist_ok=True)
    with (folder / "breeds" / "wordnet" / "class_hierarchy.txt").open("a") as file:
        for above, noun in itertools.chain(*edges):
            file.write(f"{above} {noun}x\n{noun}x {noun}\n")


# ---- ImageNet, its hierarchy, ImageNet-A, Levels ----------------------------------------------------------------------


def imagenet(folder, rng):
    """Make ImageNet as released: a tar file of tar files to train on, a flat one to validate on; and what stands on its classes."""
    wnids = [f"n1{number:07}" for number in range(CLASSES)]
    ancestors, places = hierarchy(folder / "data" / "breeds" / "modified", wnids, rng)
    (folder / "imagenet").mkdir(exist_ok=True)
    with tarfile.open(folder / "imagenet" / "ILSVRC2012_img_train.tar", "w") as outer:
        for wnid in wnids:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for number in range(OF_CLASS):
                    added(archive, f"{wnid}_{number}.JPEG", encoded(picture(places[wnid], rng)))
            added(outer, f"{wnid}.tar", inner.getvalue())
    validation = []
    for number, wnid in enumerate(wnids):
        validation += [(wnid, encoded(picture(places[wnid], rng))) for _ in range(OF_VALIDATION)]
        below = folder / "data" / "imagenet-a" / wnid
        below.mkdir(parents=True, exist_ok=True)
        (below / f"0.{2 * number:06}_x.jpg").write_bytes(encoded(picture(places[wnid], rng)))
    validation_as_released(folder / "imagenet", wnids, validation)
    levels(folder / "data" / "levels", wnids, ancestors, places, rng)


def validation_as_released(folder, wnids, pictures):
    """Write (class, content) as the flat tar file, and the devkit that tells the classes, neither of which is in their order."""
    rng = np.random.default_rng(1)
    numbers = dict(zip(wnids, (rng.permutation(len(wnids)) + 1).tolist(), strict=True))
    pictures = [pictures[place] for place in rng.permutation(len(pictures))]
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for number, (_, content) in enumerate(pictures, 1):
            added(archive, f"ILSVRC2012_val_{number:08}.JPEG", content)
    fields = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    synsets = [(number, wnid, "class", 0) for wnid, number in numbers.items()] + [(len(wnids) + 1, ENTITY, "entity", len(wnids))]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(synsets, dtype=[(field, "O") for field in fields])[:, None]})
    truth = "".join(f"{numbers[wnid]}\n" for wnid, _ in pictures).encode()
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        for name, content in (("meta.mat", meta.getvalue()), ("ILSVRC2012_validation_ground_truth.txt", truth)):
            added(archive, f"ILSVRC2012_devkit_t12/data/{name}", content)


def added(archive, name, content):
    """Add a file to a tar file."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def hierarchy(folder, wnids, rng):
    """Write BREEDS' files, and return the path of each class in the tree and its place."""
    folder.mkdir(parents=True, exist_ok=True)
    edges, names, paths, spot = [], [(ENTITY, "entity")], {}, {(): np.zeros(DIM)}
    codes = {(): ENTITY, (0,): LIVING, (1,): NONLIVING}
    for depth in range(len(BRANCHES)):
        for path in itertools.product(*(range(n) for n in BRANCHES[: depth + 1])):
            code = codes.setdefault(path, "n2" + "".join(map(str, path)).ljust(7, "9"))
            edges.append((codes[path[:-1]], code))
            names.append((code, "node " + "-".join(map(str, path))))
            spot[path] = spot[path[:-1]] + rng.standard_normal(DIM)
    leaves = list(itertools.product(*(range(n) for n in BRANCHES)))
    for number, wnid in enumerate(wnids):
        paths[wnid] = leaves[number % len(leaves)]
        edges.append((codes[paths[wnid]], wnid))
        names.append((wnid, f"class {number}"))
    (folder / "class_hierarchy.txt").write_text("".join(f"{parent} {child}\n" for parent, child in edges))
    wordnet(folder.parent.parent, edges)
    (folder / "node_names.txt").write_text("".join(f"{code}\t{name}\n" for code, name in names))
    (folder / "dataset_class_info.json").write_text(json.dumps([[n, wnid, f"class {n}"] for n, wnid in enumerate(wnids)]))
    return paths, {wnid: spot[path] + 0.5 * rng.standard_normal(DIM) for wnid, path in paths.items()}


def levels(folder, wnids, ancestors, places, rng):
    """Make the answers of Levels: every observer sees triplets of three, two and one class."""
    folder.mkdir(exist_ok=True)
    trials = {}
    asked = [(kind, rng.choice(wnids, 3, replace=False)) for kind in ("between_class", "class_border", "within_class") for _ in range(30)]
    for person in range(PEOPLE):
        trials[f"participant_{person}"] = []
        for number, (kind, classes) in enumerate(asked):
            of = {"between_class": classes, "class_border": classes[[0, 0, 1]], "within_class": classes[[0, 0, 0]]}[kind]
            images = [f"{wnid}_{each}.JPEG" for each, wnid in enumerate(of)]
            spots = np.stack([places[wnid] for wnid in of]) + 0.3 * rng.standard_normal((3, DIM))
            # As unsure as people are: where all give one answer, no entropy varies.
            shares = softmax(pairs(spots, np.array([[0, 1, 2]]))[0] / 4)
            seconds = min(2 + 2 * float(-(shares * np.log(shares)).sum()) + rng.gamma(2), 15)
            trials[f"participant_{person}"].append({
                **{f"image{each + 1}Path": image for each, image in enumerate(images)},
                "selected_image": images[2 - rng.choice(3, p=shares)], "rt": 1000 * seconds,
                "triplet_type": kind, "exp_trial_type": "training_trial" if number % 30 == 0 else "exp_trial",
            })
    (folder / "pruned_dataset.pkl").write_bytes(pickle.dumps(trials))


# ---- similarity judgments ---------------------------------------------------------------------------------------------


def similarity(folder, rng):
    """Make the sets of judged photographs: 92 in a file of pixels, six categories of ratings, and two sets of arrangements."""
    old = folder / "kriegeskorte92"
    old.mkdir(exist_ok=True)
    places = rng.standard_normal((10, DIM))
    people = [(matrix, f"person {number}") for number, matrix in enumerate(judged(places, PEOPLE, rng))]
    savemat(old / "92_behavRDMs.mat", {"rdms_behav_92": np.array(people, dtype=[("RDM", "O"), ("name", "O")])})
    stimuli = np.array([(np.array(picture(place, rng, (175, 175))), "thing") for place in places], [("image", "O"), ("category", "O")])
    about = {"categoryVectors": np.tile(np.eye(2, dtype=np.uint8), (5, 1)), "categoryLabels": np.array(["one", "other"], dtype=object)}
    savemat(old / "Kriegeskorte_Neuron2008_supplementalData.mat", {"stimuli_92objs": stimuli} | about)
    for category in PETERSON:
        places = shown(folder / "peterson" / category / "images", rng)
        rated(folder / "peterson", category, np.clip(10 - 2 * judged(places, 1, rng)[0], 0, 10))
    places = shown(folder / "king" / "images", rng)
    (folder / "king" / "sim_judgements").mkdir()
    savemat(folder / "king" / "sim_judgements" / "judgments_general.mat", {"judgments": judged(places, PEOPLE, rng)})
    behaviour = {}
    for name in ("set1", "set2"):
        places = shown(folder / "cichy" / "images" / name, rng)
        apart = judged(places, PEOPLE, rng)
        behaviour[name] = {"pairwisedistances": np.stack([squareform(one, checks=False) for one in apart])}
    lines = ["label,alphorder", *(f"thing,{number}" for number in range(1, len(places) + 1))]
    (folder / "cichy" / "images" / "stimulus_category_labels.txt").write_text("\n".join(lines) + "\n")
    (folder / "cichy" / "sim_judgements").mkdir()
    savemat(folder / "cichy" / "sim_judgements" / "BEHAVIOR.mat", {"BEHAVIOR": behaviour})


def rated(folder, category, ratings):
    """Save ratings in one of the layouts in which they come: animals as their repository gives them, fruits as a pickle of pairs."""
    images = folder / category / "images"
    if category == "animals":
        with zipfile.ZipFile(folder / "animals.zip", "w") as archive:
            for path in images.iterdir():
                archive.write(path, f"animals/{path.name}")
        shutil.rmtree(images.parent)
        savemat(folder / "turkResults_CogSci2016.mat", {"simMatrix": ratings, "simAll": ratings[None], "simSquare": ratings**2})
    elif category == "fruits":
        (images.parent / "sim_judgements").mkdir()
        pairs = {f"{i + 1:04}.jpg,{j + 1:04}.jpg": [float(ratings[i, j])] for i, j in itertools.combinations(range(len(ratings)), 2)}
        (images.parent / "sim_judgements" / "fruits_mturkRESULTS_all.pickle").write_bytes(pickle.dumps(pairs))
    elif category == "furniture":
        (images.parent / "sim_judgments").mkdir()
        write_hdf5(images.parent / "sim_judgments" / "simMatrix_mturkfurniture.mat", {"simMatrix_mturkfurniture": ratings})
    else:
        (images.parent / "sim_judgments").mkdir()
        savemat(images.parent / "sim_judgments" / f"turkResults_{category}_sim.mat", {"simMatrix": ratings})


def shown(folder, rng, count=8):
    """Draw numbered photographs into a folder, and return their places."""
    folder.mkdir(parents=True, exist_ok=True)
    places = rng.standard_normal((count, DIM))
    for number, place in enumerate(places, 1):
        (folder / f"{number:04}.jpg").write_bytes(encoded(picture(place, rng)))
    return places


# ---- photographs without labels ---------------------------------------------------------------------------------------


def coco(folder, rng, count=300):
    """Make COCO as the hub holds it: Parquet files whose rows are a picture, its number and size, and boxes."""
    import datasets

    places = 1.5 * rng.standard_normal((count, DIM))
    pictures = [{"bytes": encoded(picture(place, rng)), "path": None} for place in places]
    rows = {"image_id": list(range(count)), "image": pictures, "width": [48] * count, "height": [40] * count}
    rows["objects"] = [{"bbox_id": [0], "category": [1], "bbox": [[0.0, 0.0, 9.0, 9.0]]}] * count
    box = datasets.Sequence(datasets.Value("float64"), length=4)
    kinds = {"bbox_id": datasets.Value("int64"), "category": datasets.ClassLabel(names=["a", "b"]), "bbox": box}
    numbers = dict.fromkeys(("image_id", "width", "height"), datasets.Value("int64"))
    features = datasets.Features({**numbers, "image": datasets.Image(), "objects": datasets.Sequence(kinds)})
    for split, rows_of in (("train", range(count)), ("val", range(9))):
        part = datasets.Dataset.from_dict({name: rows[name] for name in features}, features).select(rows_of)
        part.to_parquet(folder / f"{split}-00000-of-00001.parquet")


# ---- labelled photographs, weights -------------------------------------------------------------------------------------


def labelled(folder, rng):
    """Make test pictures of CIFAR-10, named by their place in its order, with the labels that observers give them; and textures."""
    (folder / "cifar10").mkdir(exist_ok=True)
    (folder / "cifar10h").mkdir(exist_ok=True)
    each, places = 8, 1.5 * rng.standard_normal((len(CIFAR10), DIM))
    shown = rng.permutation(10_000)[: each * len(CIFAR10)].reshape(-1, each)
    apart = 9 * rng.random((10_000, len(CIFAR10)))  # squared distances of the pictures that are not here
    with zipfile.ZipFile(folder / "cifar10" / "test.zip", "w") as archive:
        for name, place, numbers in zip(CIFAR10, places, shown, strict=True):
            apart[numbers] = ((places - place) ** 2).sum(1)
            for number in numbers:
                archive.writestr(f"{name}/{number:05}.jpg", encoded(picture(place, rng, (32, 32))))
    noise = 0.1 * rng.standard_normal(apart.shape)  # little, so that most pictures are called by their class
    np.save(folder / "cifar10h" / "cifar10h-probs.npy", softmax(noise - apart / 4, axis=1))
    for number, place in enumerate(1.5 * rng.standard_normal((4, DIM))):
        inside = folder / "torchvision" / "dtd" / "dtd" / "images" / f"texture{number}"
        inside.mkdir(parents=True, exist_ok=True)
        for each_one in range(8):
            (inside / f"texture{number}_{each_one:04}.jpg").write_bytes(encoded(picture(place, rng)))


def weights(folder, rng):
    """Save tiny models with random weights as timm and OpenCLIP save theirs."""
    import open_clip

    torch.manual_seed(0)
    for name in ("test_vit", "test_vit3"):
        save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
    config = {"embed_dim": 48, "vision_cfg": vision, "text_cfg": text}
    seen = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    (folder / "tiny-clip").mkdir(exist_ok=True)
    (folder / "tiny-clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": seen}))
    state = open_clip.CLIP(**config).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "tiny-clip" / "open_clip_model.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
