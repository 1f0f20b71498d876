"""Bad settings, from a file of one's own or the command line: one line that names the setting, before anything is computed."""

import pytest
import yaml

from humalign import cli, profiles
from humalign.chain import doctor, judged, pipeline, registered, sets, steps, teach
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.profiles import consistent
from humalign.teach.objectives import OBJECTIVES
from humalign.triplets import sampling

TEACHER = {
    "judged": "emoji",
    "backbones": ["efficientnet-lite2"],
    "pulls": [0.1],
    "parts": {"folds": 3},
    "rank": 9,
    "triplets": 1000,
}
STUDENT = {"backbone": "efficientnet-lite0", "parts": ["folds"]}


def teacher(**changes):
    return {"teachers": [TEACHER | changes]}


def student(**changes):
    return {"students": [STUDENT | changes]}


# Settings on top of `demo`, and what the line says of them.
WRONG = [
    ({"seed": -1}, "seed = -1"),
    ({"seed": 1.0}, "seed = 1.0"),
    ({"seed": 2**70}, "take 4294967295 at most"),
    ({"threads": 0}, "threads = 0"),
    ({"threads": 4096}, "threads = 4096"),
    ({"name": "x"}, "unknown key 'name'"),
    ({"source": "x"}, "unknown key 'source'"),
    ({"about": None}, "about = None is no text"),
    ({"evidence": "animals"}, "evidence = 'animals': known are: human, simulated"),
    ({"trainig": {}}, "unknown key 'trainig'"),
    ({3: 4}, "unknown key '3'"),
    ({"inherits": ["demo"]}, "which is no profile"),
    ({"inherits": None}, "which is no profile"),
    ({"compute": [1]}, "compute = [1]: a section"),
    ({"distillation": None}, "distillation = None: a section"),
    ({"teachers": "x"}, "teachers = 'x': a list"),
    ({"students": {"backbone": "x"}}, "a list, in brackets"),
    ({"data": {"judged": []}}, "data.judged = []"),
    ({"data": {"judged": ["emojis"]}}, "data.judged names emojis alone"),
    ({"data": {"judged": ["emoji", "king's"]}}, "data.judged = \"king's\": did you mean 'king'?"),
    ({"data": {"judged": ["emoji", "emoji"]}}, "data.judged: emoji stands twice"),
    ({"data": {"judged": ["emoji", "own"]}}, "data.own: name the folder"),
    ({"data": {"pool": "emoji2"}}, "data.pool = 'emoji2': did you mean 'emoji'?"),
    ({"data": {"pool": "torchvision:CIFAR1"}}, "data.pool = 'torchvision:CIFAR1': unknown set 'CIFAR1'"),
    ({"data": {"pool": "hf:x"}}, "data.pool = 'hf:x': hf:x: write hf:OWNER/NAME"),
    ({"data": {"pool": "folder:/nowhere/here"}}, "data.pool = 'folder:/nowhere/here': no folder"),
    ({"data": {"labelled": ["cifar11"]}}, "data.labelled = 'cifar11': did you mean 'cifar10'?"),
    ({"data": {"labelled_images": 0}}, "data.labelled_images = 0"),
    ({"data": {"mirrored": "yes please"}}, "data.mirrored = 'yes please' is no true or false"),
    ({"data": {"things_photographs": "mine"}}, "data.things_photographs = 'mine'"),
    ({"simulated": {"group_share": 0.9}}, "add up to 1.45: make it 1"),
    ({"simulated": {"people": 0}}, "simulated.people = 0"),
    ({"simulated": {"people_per_triplet": 1000}}, "simulated.people_per_triplet = 1000"),
    ({"observer": {"dim": 0}}, "observer.dim = 0"),
    ({"observer": {"steps": float("nan")}}, "observer.steps = nan"),
    ({"observer": {"shares": [0.0]}}, "observer.shares = [0.0]"),
    ({"teachers": []}, "teachers = []: nothing would teach efficientnet-lite0"),
    (teacher(backbones=["nope"]), "teachers.backbones = 'nope': unknown backbone"),
    (teacher(backbones=[]), "teachers.backbones of emoji"),
    (teacher(backbones=["efficientnet-lite2"] * 2), "teachers.backbones: efficientnet-lite2 stands twice"),
    (teacher(further=["timm:resnet5000"]), "teachers.further = 'timm:resnet5000': cannot build"),
    (teacher(pulls=[]), "teachers.pulls of emoji"),
    (teacher(rank=0), "teachers.rank = 0"),
    (teacher(learner="affin"), "teachers.learner = 'affin': did you mean 'affine'?"),
    (teacher(judged="emojis"), "teachers.judged = 'emojis': did you mean 'emoji'?"),
    (teacher(parts={}), "teachers.parts of emoji"),
    (teacher(parts={"folds": 1}), "teachers.parts.folds = 1"),
    (teacher(parts={"folds": 100_000}), "teachers.parts.folds = '100000': there are 752 concepts"),
    (teacher(parts={"folds": 3, "whole_subgroups": 900}), "lower `whole_subgroups`"),
    (teacher(parts={"folds": 3, "held": 1.0}), "teachers.parts.held = 1.0"),
    (teacher(pull_folds=0), "teachers.pull_folds = 0"),
    (teacher(border_share=0.5), "teachers.border_clusters = 0"),
    (teacher(iterations=0), "teachers.iterations = 0"),
    (teacher(learner="answers"), "teachers.residuals of emoji"),
    ({"triplets": {"source": "offical"}}, "triplets.source = 'offical': did you mean 'official'?"),
    ({"triplets": {"sampling": "cluster"}}, "triplets.sampling = 'cluster': did you mean 'cluster-border'?"),
    ({"triplets": {"space": "techer"}}, "triplets.space = 'techer': did you mean 'teacher'?"),
    ({"triplets": {"clusters": 1}}, "triplets.clusters = 1"),
    ({"triplets": {"number": 0}}, "triplets.number = 0"),
    ({"triplets": {"number": 10}}, "triplets.number = 10"),
    ({"triplets": {"block_images": 2}}, "triplets.block_images = 2"),
    ({"students": []}, "students: name at least one backbone"),
    ({"students": [STUDENT, STUDENT]}, "students: efficientnet-lite0 stands twice"),
    (student(backbone="efficientnet-lite9"), "students.backbone = 'efficientnet-lite9': unknown backbone"),
    (student(backbone="open_clip:ViT-Z"), "students.backbone = 'open_clip:ViT-Z': cannot build"),
    (student(backbone="timm:resnet18@no.pt"), "students.backbone = 'timm:resnet18@no.pt': no weights at no.pt"),
    (student(frozen=99), "students.frozen = 99: efficientnet-lite0 has 18 blocks: take 17 at most"),
    (student(trained=99), "students.trained = 99: efficientnet-lite0 has 18 blocks: take 18 at most"),
    (student(frozen=9, trained=3), "students.frozen = 9 and students.trained = 3"),
    (student(parts=["folds", "folds"]), "students.parts: folds stands twice"),
    (student(parts=["all"]), "students.parts = ['all'] of efficientnet-lite0"),
    (student(head="center"), "students.head = 'center': did you mean 'centre'?"),
    (student(head="centre"), "students.head = 'centre' of efficientnet-lite0"),
    (student(scored="all"), "students.scored = 'all'"),
    ({"distillation": {"objective": "jds"}}, "distillation.objective = 'jds': did you mean 'jsd'?"),
    ({"distillation": {"temperature": 0}}, "distillation.temperature = 0: it must be"),
    ({"distillation": {"temperature": float("inf")}}, "distillation.temperature = inf"),
    ({"distillation": {"learning_rate": "0,001"}}, "distillation.learning_rate = '0,001'"),
    ({"distillation": {"decay_to_init": -1}}, "distillation.decay_to_init = -1"),
    ({"distillation": {"steps": -5}}, "distillation.steps = -5"),
    ({"distillation": {"steps": "1e2"}}, "distillation.steps = '1e2'"),
    ({"distillation": {"warmup": 100}}, "distillation.warmup = 100"),
    ({"distillation": {"checkpoint_every": 0}}, "distillation.checkpoint_every = 0"),
    ({"distillation": {"batch_images": 2}}, "distillation.batch_images = 2"),
    ({"curves": {"seeds": 1, "images": 2}}, "curves.images = 2"),
    ({"curves": {"seeds": 1, "every": 1000}}, "curves.every = 1000"),
    ({"curves": {"seeds": 1, "held_out": 10**7}}, "curves.held_out = 10000000: 0 pictures"),
    ({"compute": {"device": "gpu"}}, "compute.device = 'gpu': unknown device"),
    ({"compute": {"device": "cuda:9"}}, "compute.device = 'cuda:9': there is no GPU 9"),
    ({"compute": {"precision": "fp8"}}, "compute.precision = 'fp8'"),
    ({"compute": {"compile": "yes"}}, "compute.compile = 'yes': unknown `compile` backend"),
    ({"compute": {"workers": 0}}, "compute.workers = 0"),
    ({"compute": {"processes": 9999}}, "compute.processes = 9999"),
    ({"compute": {"batch_images": 0}}, "compute.batch_images = 0"),
    ({"evaluation": {"names": []}}, "evaluation.names = []"),
    ({"evaluation": {"names": ["simulatd"]}}, "evaluation.names = 'simulatd': did you mean 'simulated'?"),
    ({"evaluation": {"names": ["simulated"] * 2}}, "evaluation.names: simulated stands twice"),
    ({"evaluation": {"shots": [0, 1]}}, "evaluation.shots = 0"),
    ({"evaluation": {"shots": [1, 1]}}, "evaluation.shots: 1 stands twice"),
    ({"evaluation": {"shots": [100_000]}}, "evaluation.shots = 100000"),
    ({"evaluation": {"bootstrap_draws": 1}}, "evaluation.bootstrap_draws = 1"),
    ({"evaluation": {"image_folds": 1}}, "evaluation.image_folds = 1"),
    ({"evaluation": {"curve_shares": [0.0]}}, "evaluation.curve_shares = [0.0]"),
]
# Files as they stand.
TEXTS = [
    ("", "no settings: start it with `inherits: demo`"),
    ("- a\n", "no settings"),
    ("3\n", "no settings"),
    ("seed: 1\n", "key 'about' is missing"),
    ("seed: 1\n\tx: 2\n", "is no YAML"),
    ("inherits: demo\nseed: 1\nseed: 2\n", "line 3: the key 'seed' stands twice"),
    ("inherits: demo\n---\nseed: 1\n", "is no YAML"),
    ("inherits: *x\n", "is no YAML"),
    ("inherits: !!python/name:os.system\n", "is no YAML"),
    ("inherits: demo\n[1, 2]: 3\n", "is no YAML"),
    ("inherits: demo\n{a: b}: 3\n", "is no YAML"),
    ("inherits: demo\nseed: 2026-99-99\n", "is no YAML: month must be"),
    (f"inherits: demo\nseed: {'9' * 5000}\n", "is no YAML"),
    ("inherits: demo\nseed: yes\n", "seed = True is no whole number"),
    ("inherits: mine.yaml\n", "inherits itself by way of"),
]


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run the command on a profile of one's own, and return its one line; no step may begin."""
    monkeypatch.setattr(pipeline, "_one", lambda *_: pytest.fail("a step begins"))

    def run(text):
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        profile, build = str(tmp_path / "mine.yaml"), str(tmp_path / "build")
        assert cli.main(["run", "scores", "--profile", profile, "--build", build]) == 2
        said = capsys.readouterr().err
        assert said.startswith("humalign: ") and said.count("\n") == 1
        assert not (tmp_path / "build").exists()
        return said

    return run


@pytest.mark.parametrize(("settings", "line"), WRONG, ids=[line for _, line in WRONG])
def test_a_bad_setting_is_one_line_before_any_step(refused, settings, line):
    said = refused(yaml.safe_dump({"inherits": "demo"} | settings))
    assert said.startswith("humalign: profile mine: ") and line in said


@pytest.mark.parametrize(("text", "line"), TEXTS, ids=[repr(text[:30]) for text, _ in TEXTS])
def test_a_file_that_is_no_profile_is_one_line(refused, text, line):
    assert line in refused(text)


def test_a_file_that_is_no_text_is_one_line(refused, tmp_path, capsys):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00x")
    assert cli.main(["run", "scores", "--profile", str(tmp_path / "bytes.yaml")]) == 2
    assert "cannot read the profile" in capsys.readouterr().err


def test_names_that_a_setting_may_have_are_those_of_the_tables():
    known = {
        "evidence": scores.EVIDENCE[:2],
        "data.things_photographs": registered.THINGS_PHOTOGRAPHS,
        "teachers.judged": judged.JUDGED,
        "teachers.learner": teach.LEARNERS,
        "triplets.sampling": sampling.SAMPLINGS,
        "distillation.objective": OBJECTIVES,
    }
    for place, table in known.items():
        assert set(consistent.NAMED[place]) == set(table), place
    assert set(consistent.CHOSEN) == set(teach.LEARNERS) and set(sets.EVALUATIONS) == set(steps.EVALUATIONS)


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_of_ours_is_sound(name):
    if "local-dir" not in str(profiles.as_settings(profiles.load(name))):
        doctor.check_settings(profiles.load(name))


def test_an_input_that_is_not_here_is_known_before_the_first_step(monkeypatch, tmp_path):
    from humalign.data import registry

    def missing(name):
        raise HumalignError(f"{name} is missing: humalign fetch {name}")

    monkeypatch.setattr(registry, "locate", missing)
    with pytest.raises(HumalignError, match="is missing: humalign fetch"):
        doctor.check(profiles.load("things"), "scores")
    doctor.check(profiles.load("things"), "pixels")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "scores", "--profile", "."], "unknown profile '.'"),
        (["run", "scores", "--profile", "nowhere.yaml"], "cannot read the profile nowhere.yaml"),
        (["run", "score"], "unknown step 'score': did you mean 'scores'?"),
        (["doctor", "--profile", "thing"], "unknown profile 'thing': did you mean 'things'?"),
        (["fetch", "things-answer"], "unknown source 'things-answer': did you mean 'things-answers'?"),
        (["few-shot", "nowhere", "efficientnet-lite0"], "no labelled set 'nowhere'"),
        (["few-shot", "torchvision:Flower/test", "efficientnet-lite0"], "unknown set 'Flower' of torchvision"),
        (["few-shot", "x", "efficientnet-lite0", "--shots", "0"], "shots = 0: take 1 or more"),
        (["few-shot", "x", "efficientnet-lite0", "--draws", "-1"], "draws = -1: take 1 or more"),
        (["few-shot", "x", "efficientnet-lite0", "--images", "0"], "images = 0: take 1 or more"),
        (["few-shot", "x", "efficientnet-lite0", "--seed", "-1"], "seed = -1: take 0 or more"),
        (["few-shot", "x", "a", "a"], "the model 'a' is named twice"),
        (["score", "nowhere.npz"], "nowhere.npz"),
        (["export", "out", "--profile", "demo", "--student", "nope"], "trains no student 'nope'"),
        (["export", "out", "--profile", "demo", "--part", "fold9"], "trains no part 'fold9'"),
        (["export", "out", "--profile", "demo", "--stage", "alined"], "did you mean 'aligned'?"),
        (["convert", "nowhere.tar.gz", "out"], "nowhere.tar.gz"),
        (["audit", "nowhere.npz"], "no triplet file at nowhere.npz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_argument_is_one_line(capsys, monkeypatch, tmp_path, arguments, line):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("humalign: ") and said.err.count("\n") == 1 and line in said.err
    assert not list(tmp_path.iterdir())


def _loaded(tmp_path, text, name="mine.yaml"):
    (tmp_path / name).write_text("about: mine\ninherits: demo\n" + text)
    return profiles.load(str(tmp_path / name))


@pytest.mark.parametrize("text", ["seed: 010", "seed: 1:30", "distillation: {learning_rate: 1:30}", "distillation: {temperature: 1:30.5}"])
def test_numbers_that_yaml_counts_by_eight_or_sixty_are_refused_and_not_taken_for_others(tmp_path, text):
    with pytest.raises(HumalignError, match=r"mine.yaml, line 3: \S+ is 8 or 60 to a digit in YAML: write it without zeros"):
        _loaded(tmp_path, text + "\n")


def test_numbers_of_yaml_that_are_plain_stay(tmp_path):
    found = _loaded(tmp_path, "seed: 1_000\ndistillation: {temperature: 0.5, steps: 0x10, warmup: 0}\n")
    assert (found.seed, found.distillation.temperature, found.distillation.steps, found.distillation.warmup) == (1000, 0.5, 16, 0)


def test_keys_are_merged_as_yaml_merges_them_and_ones_own_win(tmp_path):
    students = "students:\n  - &s {backbone: efficientnet-lite0, frozen: 15, parts: [folds]}\n  - {<<: *s, backbone: efficientnet-lite1}\n"
    first, second = _loaded(tmp_path, students).students
    assert (first.backbone, second.backbone, second.frozen) == ("efficientnet-lite0", "efficientnet-lite1", 15)
    with pytest.raises(HumalignError, match="the key 'frozen' stands twice"):
        _loaded(tmp_path, students.replace("backbone: efficientnet-lite1", "frozen: 1, frozen: 2"))


@pytest.mark.parametrize("content", ["", "- a\n", "text\n"])
def test_a_file_without_settings_that_is_inherited_is_one_line(tmp_path, content):
    (tmp_path / "base.yaml").write_text(content)
    with pytest.raises(HumalignError, match=r"base\.yaml, which it inherits, holds no settings"):
        profiles.parse("mine", {"about": "x", "inherits": str(tmp_path / "base.yaml")})


def test_a_profile_may_end_in_capitals_lie_below_the_home_and_be_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _loaded(tmp_path, "seed: 5\n", "MINE.YAML") == profiles.load("~/MINE.YAML") == profiles.load(tmp_path / "MINE.YAML")
