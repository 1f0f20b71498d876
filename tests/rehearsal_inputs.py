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
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from scipy.spatial.distance import squareform
from scipy.special import softmax

DIM = 6
OBJECTS, CLASSES, OF_CLASS, PEOPLE = 36, 200, 3, 8
LIVING, NONLIVING, ENTITY = "n00004258", "n00021939", "n00001740"
# A tree in which each of BREEDS' four tasks has superclasses: how many branches a node has, level by level below the root.
BRANCHES = (2, 2, 2, 2, 2)
PETERSON = ("animals", "automobiles", "fruits", "furniture", "various", "vegetables")


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
    for make, place in ((things, "data/things"), (imagenet, ""), (similarity, "data"), (labelled, "data"), (weights, "weights")):
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
    names = [f"thing{number:02}" for number in range(OBJECTS)]
    (folder / "unique_id.txt").write_text("\n".join(names) + "\n")
    nouns = [f"n3{number:07}" for number in range(OBJECTS - 1)]
    rows = [f"{name}\t{noun}" for name, noun in zip(names, [*nouns, ""], strict=True)]
    (folder / "item_names.tsv").write_text("\n".join(["uniqueID\tWordnet ID", *rows]) + "\n")
    # Groups in pairs, of which two stand below one more noun: from four to fourteen steps between two objects.
    above = {f"n4{pair:07}": "n40000009" if pair < 2 else ENTITY for pair in range(3)} | {"n40000009": ENTITY}
    above |= {f"n5{number:07}": f"n4{number // 2:07}" for number in range(6)}
    wordnet(folder.parent, [(above_it, noun) for noun, above_it in above.items()], [
        (f"n5{of:07}", noun) for of, noun in zip(group, nouns, strict=False)
    ])
    triplets = some_triplets(1500, OBJECTS, rng)
    order = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[answers(places, triplets, rng)]
    np.savetxt(folder / "validationset.txt", np.take_along_axis(triplets, order, axis=1), "%d")
    # The table of all answers holds those to the repeated triplets, of which the other file has a part, too.
    repeated = np.repeat(some_triplets(80, OBJECTS, rng), PEOPLE, axis=0)
    every = np.concatenate([repeated, triplets, some_triplets(12000, OBJECTS, rng)])
    choices = 3 - answers(places, every, rng)
    header = "image1\timage2\timage3\tchoice\tsubject_id"
    rows = np.column_stack([every + 1, choices, np.arange(len(every)) % PEOPLE])
    files = {"noise_ceiling_triplets.tsv": rows[: len(repeated)], "triplets_large_final_correctednc_correctedorder.csv": rows}
    for file, some in files.items():
        np.savetxt(folder / file, some, "%d", "\t", header=header, comments="")
    header, cells = "\t".join(f"group{g}" for g in range(6)), np.eye(6, dtype=int)[group]
    (folder / "category_mat_manual.tsv").write_text("\n".join([header, *("\t".join(map(str, row)) for row in cells)]) + "\n")
    savemat(folder / "RDM48_triplet.mat", {"RDM48_triplet": judged(places[:18], 1, rng)[0]})
    np.save(folder / "triplet48_index.npy", np.arange(18))
    (folder / "reference").mkdir(exist_ok=True)
    for name, place in zip(names, places, strict=True):
        (folder / "reference" / f"{name}.jpg").write_bytes(encoded(picture(place, rng)))


def wordnet(folder, *edges):
    """Add to the list of nouns, each below its hypernym; between every two that are given stands one more."""
    (folder / "breeds" / "wordnet").mkdir(parents=True, exist_ok=True)
    with (folder / "breeds" / "wordnet" / "class_hierarchy.txt").open("a") as file:
        for above, noun in itertools.chain(*edges):
            file.write(f"{above} {noun}x\n{noun}x {noun}\n")


# ---- ImageNet, its hierarchy, ImageNet-A, Levels ----------------------------------------------------------------------


def imagenet(folder, rng):
    """Make ImageNet as released: a tar file of tar files to train on, class folders to validate on; and what stands on its classes."""
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
    for number, wnid in enumerate(wnids):
        for set_name, file, count in (("imagenet/val", "ILSVRC2012_val_{:08}.JPEG", 2), ("data/imagenet-a", "0.{:06}_x.jpg", 1)):
            below = folder / set_name / wnid
            below.mkdir(parents=True, exist_ok=True)
            for each in range(count):
                (below / file.format(2 * number + each)).write_bytes(encoded(picture(places[wnid], rng)))
    levels(folder / "data" / "levels", wnids, ancestors, places, rng)


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
    asked = [(kind, rng.choice(wnids, 3, replace=False)) for kind in ("between_class", "class_boundary", "within_class") for _ in range(30)]
    for person in range(PEOPLE):
        trials[f"participant_{person}"] = []
        for number, (kind, classes) in enumerate(asked):
            of = {"between_class": classes, "class_boundary": classes[[0, 0, 1]], "within_class": classes[[0, 0, 0]]}[kind]
            images = [f"{wnid}_{each}.JPEG" for each, wnid in enumerate(of)]
            spots = np.stack([places[wnid] for wnid in of]) + 0.3 * rng.standard_normal((3, DIM))
            shares = softmax(pairs(spots, np.array([[0, 1, 2]]))[0])
            trials[f"participant_{person}"].append({
                **{f"image{each + 1}Path": image for each, image in enumerate(images)},
                "selected_image": images[2 - rng.choice(3, p=shares)], "rt": 2 + 2 * float(-(shares * np.log(shares)).sum()) + rng.gamma(2),
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
        (folder / "peterson" / category / "sim_judgements").mkdir()
        ratings = np.clip(10 - 2 * judged(places, 1, rng)[0], 0, 10)
        savemat(folder / "peterson" / category / "sim_judgements" / f"turkResults_{category}_sim.mat", {"simMatrix": ratings})
    places = shown(folder / "king" / "images", rng)
    (folder / "king" / "sim_judgements").mkdir()
    savemat(folder / "king" / "sim_judgements" / "judgments_general.mat", {"judgments": judged(places, PEOPLE, rng)})
    behaviour = {}
    for name in ("set1", "set2"):
        places = shown(folder / "cichy" / "images" / name, rng)
        apart = judged(places, PEOPLE, rng)
        behaviour[name] = {"pairwisedistances": np.stack([squareform(one, checks=False) for one in apart])}
    lines = ["label,number", *(f"thing,{number}" for number in range(1, len(places) + 1))]
    (folder / "cichy" / "images" / "stimulus_category_labels.txt").write_text("\n".join(lines) + "\n")
    (folder / "cichy" / "sim_judgements").mkdir()
    savemat(folder / "cichy" / "sim_judgements" / "BEHAVIOR.mat", {"BEHAVIOR": behaviour})


def shown(folder, rng, count=8):
    """Draw numbered photographs into a folder, and return their places."""
    folder.mkdir(parents=True, exist_ok=True)
    places = rng.standard_normal((count, DIM))
    for number, place in enumerate(places, 1):
        (folder / f"{number:04}.jpg").write_bytes(encoded(picture(place, rng)))
    return places


# ---- labelled photographs, weights -------------------------------------------------------------------------------------


def labelled(folder, rng):
    """Make CIFAR-10's test pictures with the labels that observers give them, and textures."""
    for place in ("cifar10", "dtd"):
        (folder / place).mkdir(exist_ok=True)
    classes, each = [f"class{number}" for number in range(10)], 8
    places = 1.5 * rng.standard_normal((10, DIM))
    with zipfile.ZipFile(folder / "cifar10" / "test_jpeg.zip", "w") as archive:
        for name, place in zip(classes, places, strict=True):
            for number in range(each):
                archive.writestr(f"test/{name}/{number:04}.jpg", encoded(picture(place, rng, (32, 32))))
    listed = [(name, number) for number in range(each) for name in classes]
    lines = ["test_index,class,index_in_class", *(f"{row},{name},{number}" for row, (name, number) in enumerate(listed))]
    (folder / "cifar10" / "cifar10_test_index.csv").write_text("\n".join(lines) + "\n")
    near = -((places[:, None] - places[None]) ** 2).sum(-1)[[classes.index(name) for name, _ in listed]]
    np.save(folder / "cifar10" / "cifar10h-probs.npy", softmax(near / 4 + 0.3 * rng.standard_normal(near.shape), axis=1))
    with zipfile.ZipFile(folder / "dtd" / "images.zip", "w") as archive:
        for number, place in enumerate(1.5 * rng.standard_normal((4, DIM))):
            for each_one in range(8):
                archive.writestr(f"images/texture{number}/texture{number}_{each_one:04}.jpg", encoded(picture(place, rng)))


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
