"""Where scores come from: what a run writes, what a page says of it, and what can be wrong with it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from humalign import chain, profiles
from humalign.chain import origins, pipeline
from humalign.chain.pipeline import Step
from humalign.data import registry
from humalign.data.registry import Source
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.show import chapters, tables

ROOT = Path(__file__).parents[2]
ROWS = {("m", "base"): [scores.Score("odd-one-out", "x", "accuracy", 0.5, 0.4, 0.6, 10, "simulated")]}
GPUS = origins.Machine("Some Processor", 8, 64, ("A", "B", "A"))


def write_scores(run, provenance):
    scores.write(scores.table(ROWS, "demo", 0), run.folder, provenance.attrs())


def write_first(run, provenance):
    run.folder.mkdir(parents=True, exist_ok=True)
    run.path("first").write_text("1")


CHAIN = {
    "first": Step((), (), lambda profile: ["first"], write_first, sources=lambda profile: ["emoji-names"]),
    "scores": Step(("first",), (), lambda profile: ["scores.csv", "scores.nc"], write_scores),
}


@pytest.fixture
def run(tmp_path):
    """A finished run of two small stages."""
    found = pipeline.Run(profiles.load("demo"), tmp_path / "build")
    pipeline.execute(CHAIN, "scores", found, lambda line: None)
    return found


@pytest.fixture
def table(run):
    return run.path("scores.csv")


def rewritten(table, **fields):
    """Change fields of the provenance beside a table."""
    path = table.with_name(origins.FILE)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


# ---- what a run writes -----------------------------------------------------------------------------------------------

def test_a_run_keeps_day_machine_code_and_files_beside_its_scores_and_none_of_it_in_them(run, table):
    origin = origins.read(table)
    assert origin.machine == origins.Machine.here() and origin.machine.cores >= 1 and origin.machine.memory >= 1
    assert list(origin.stages) == ["first", "scores"] and origin.date == origin.stages["scores"]["date"]
    names = registry.source("emoji-names")
    (used,) = origin.sources
    assert (used["what"], used["licence"], used["home"], used["sha256"]) == (names.what, names.licence, names.home, names.sha256)
    assert used["size"] == registry.locate("emoji-names").stat().st_size
    assert origin.date not in table.read_text() and set(json.loads(run.path(origins.FILE).read_text())["versions"]) >= {"torch", "numpy"}


def test_wall_times_and_days_are_no_part_of_a_key(run):
    stamp = run.path("stamps/first.json")
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"seconds": 99.0, "date": "2001-02-03"}))
    said = []
    pipeline.execute(CHAIN, "scores", run, said.append)
    assert all("reused" in line for line in said)
    told = origins.read(run.path("scores.csv")).stages["first"]
    assert (told["seconds"], told["date"]) == (99.0, "2001-02-03"), "the file follows the stamps"


def test_a_folder_has_the_digest_of_the_list_of_its_files(monkeypatch, tmp_path):
    below = {"b/2.txt": "two", "a.txt": "one"}
    for name, text in below.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    for left in (".DS_Store", "b/Thumbs.db", "__MACOSX/._a.txt", ".ipynb_checkpoints/a.txt", "@eaDir/a.txt", "b/~$2.txt"):
        (tmp_path / "folder" / left).parent.mkdir(exist_ok=True)
        (tmp_path / "folder" / left).write_text("left by a system")
    entry = Source("made", "a folder", "https://example.org", "CC0", "the test", "folder")
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    monkeypatch.setitem(registry.everything(), "made", entry)
    (found,) = origins.stamped(["made"], 0.0)["sources"]
    listed = "".join(f"{hashlib.sha256(below[name].encode()).hexdigest()}  {name}\n" for name in sorted(below))
    assert (found["size"], found["sha256"]) == (6, hashlib.sha256(listed.encode()).hexdigest())


def test_a_machine_in_words():
    assert str(GPUS) == "Some Processor, 8 cores, 64 GB of memory, 2 x A and B"
    assert str(dataclasses.replace(GPUS, cores=1, gpus=())) == "Some Processor, 1 core, 64 GB of memory, no GPU"


# ---- what a page says ------------------------------------------------------------------------------------------------

def record(run, tmp_path, *names):
    """Copy files of a run to where the repository keeps them."""
    folder = tmp_path / "recorded" / "demo"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(run.path(name).read_bytes())
    return folder / "scores.csv"


def test_fresh_and_recorded_runs_are_told_apart(run, table, tmp_path):
    rewritten(table, date="2001-02-03", machine=dataclasses.asdict(GPUS), commit="abc+")
    wanted = "run: 2001-02-03, Some Processor, 8 cores, 64 GB of memory, 2 x A and B, commit abc, with changes that were not committed"
    assert origins.said(table) == f"a fresh {wanted}"
    assert origins.said(record(run, tmp_path, "scores.csv", origins.FILE)) == f"a recorded {wanted}"


def test_absence_is_said_and_nothing_invented(run, table, tmp_path):
    bare = record(run, tmp_path, "scores.csv")
    assert origins.said(bare) == "a recorded run, of which no provenance was kept (day, machine and commit are not known)"
    for shown in (tables.steps(bare), tables.files(bare)):
        assert "no provenance was kept" in repr(shown) and "<table>" not in shown._repr_html_()


def test_tables_of_stages_and_files(run, table):
    rewritten(table, stages={"first": {"date": "2001-02-03", "seconds": 1234.5, "machine": dataclasses.asdict(GPUS), "commit": "abc"}})
    assert tables.steps(table).frame.to_numpy().tolist() == [["first", "2001-02-03", "1,234 s", str(GPUS), "abc"]]
    (row,) = tables.files(table).frame.to_dict("records")
    names = registry.source("emoji-names")
    assert (row["what"].split("\n")[0], row["sha256"]) == (names.what, names.sha256)
    assert row["licence"].startswith(f"{names.licence}\n[") and f"({names.home})" in row["licence"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"scores": "0"}', '{"machine": 1}', "\udcff"])
@pytest.mark.parametrize(("kept", "mend"), [("build", "delete it and run `make reproduce PROFILE=demo`"),
                                            ("recorded", "restore both files, or run `make record PROFILE=demo`")])
def test_damaged_provenance_is_one_line_with_its_mend(run, table, tmp_path, text, kept, mend):
    damaged = table if kept == "build" else record(run, tmp_path, "scores.csv", origins.FILE)
    damaged.with_name(origins.FILE).write_text(text, errors="surrogateescape")
    with pytest.raises(HumalignError, match=rf"provenance\.json is damaged \(.*\): {mend}") as caught:
        origins.said(damaged)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fields", [{"machine": {"processor": "x"}}, {"stages": []}, {"sources": [1]}, {"stages": {"first": {}}}])
def test_provenance_with_fields_of_another_kind_is_damaged(table, fields):
    rewritten(table, **fields)
    with pytest.raises(HumalignError, match="is damaged"):
        origins.read(table)


def test_damaged_provenance_of_a_run_is_mended_by_its_next_run(run, table):
    run.path(origins.FILE).write_text("{")
    pipeline.execute(CHAIN, "scores", run, lambda line: None)
    assert list(origins.read(table).stages) == ["first", "scores"]


def test_provenance_of_another_table_is_refused(table):
    table.write_text(table.read_text().replace("0.5", "0.6"))
    with pytest.raises(HumalignError, match=r"provenance\.json is of another scores\.csv than the one beside it: delete it and run"):
        origins.said(table)


# ---- two tables, one fresh and one recorded --------------------------------------------------------------------------

@pytest.mark.parametrize(("profile", "fresh"), [("demo", 0), ("things", 1)])
@pytest.mark.parametrize("scored", [True, False])
def test_the_chapters_show_the_open_run_where_it_has_scores_of_that_evidence_and_else_a_recorded_one(
    tmp_path, monkeypatch, profile, fresh, scored
):
    run = chain.open(profile, tmp_path)
    run.table.parent.mkdir()
    run.table.write_bytes(origins.recorded(profile).read_bytes())
    monkeypatch.setattr(type(run), "scored", lambda self: scored)
    shown = chapters.tables(run)
    kept = [ROOT / "book" / "recorded" / name / "scores.csv" for name in ("demo", "things")]
    kept[fresh] = run.table if scored else kept[fresh]
    assert [each.path for each in shown] == kept and [each.settings.name for each in shown] == ["demo", "things"]
    assert shown[fresh].said.startswith("a fresh run" if scored else "a recorded run")
    assert "book/recorded/*/scores.csv" in chapters.NOTEBOOKS.files, "a new recorded table makes the chapters again"


@pytest.mark.parametrize("profile", ["demo", "things"])
def test_a_recorded_table_that_is_missing_is_one_line_before_a_chapter_runs(monkeypatch, tmp_path, profile):
    monkeypatch.setattr(origins, "RECORDED", tmp_path / "recorded")
    run = pipeline.Run(profiles.load(profile), tmp_path)
    monkeypatch.setattr(origins, "RECORDED", tmp_path / "recorded")
    for step in (lambda: chapters.execute_notebooks(run, pipeline.Provenance(profile, 0, "key")), lambda: chapters.render(run)):
        with pytest.raises(HumalignError, match=r"no recorded scores at .*: restore the file, or .*`make record PROFILE=") as caught:
            step()
        assert "\n" not in str(caught.value)
    assert not run.folder.exists()


@pytest.mark.parametrize("profile", ["demo", "things"])
def test_what_the_repository_keeps_fits_together(profile):
    table = origins.recorded(profile)
    assert set(scores.read(table)["profile"]) == {profile}
    assert origins.said(table).startswith("a recorded run")
