"""`mmsent evaluate` on made-up posts with the engine whose answers are known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("matplotlib", reason="needs the extra `train`")

from mmsent.engine.stub import StubEngine
from mmsent.errors import CheckpointError, InputError
from mmsent.model.conflict import ConflictCalibration
from mmsent.training.data import LabelledPost, read_posts, read_texts
from mmsent.training.evaluate import evaluate, judge
from mmsent.training.report import as_json_text, body, write_report
from mmsent.training.summary import percent, summary

WORDS = {"positive": "great happy", "neutral": "meeting at", "negative": "awful sad"}
GREYS = {"positive": 220, "neutral": 128, "negative": 30}
OPPOSITE = {"positive": "negative", "negative": "positive"}
NAMES = [*WORDS]
PICTURES = ("confusion.png", "reliability.png", "strata.png", "conflict.png")


@pytest.fixture(scope="module", autouse=True)
def short_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmsent.training.calibration.SIMULATIONS", 200)
        patch.setattr("mmsent.training.conflict_figures.REPETITIONS", 2)
        patch.setattr("mmsent.training.sample_judge.SEEDS", (0,))
        patch.setattr("mmsent.training.sample_judge.POSTS_PER_SEED", 40)
        yield


def post(
    folder: Path, split: str, number: int, *, text: str, image: str, label: str | None
) -> dict[str, Any]:
    """A row of posts.jsonl whose words and brightness say its labels; the picture is there."""
    path = folder / "images" / f"{split}-{number}.png"
    Image.new("L", (64 + number, 64 + len(split)), GREYS[image]).save(path)
    said = f"{WORDS[text]} {split} {number}"
    row = {"id": f"{split}-{number}", "split": split, "text": said, "image": f"images/{path.name}"}
    return row | {"label": label, "text_label": text, "image_label": image}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 posts of `dev` whose picture agrees or is neutral, 12 opposite ones, 1 learned; 9 texts."""
    folder = tmp_path / "mvsa-single"
    (folder / "images").mkdir(parents=True)
    rows = [
        post(folder, "dev", number, text=name, image="neutral" if number % 2 else name, label=name)
        for number, name in enumerate(NAMES * 10)
    ]
    rows += [
        post(folder, "conflict", number, text=name, image=OPPOSITE[name], label=None)
        for number, name in enumerate([*OPPOSITE] * 6)
    ]
    rows.append(post(folder, "train", 0, text="positive", image="positive", label="positive"))
    write(folder, rows)
    texts = tmp_path / "semeval2017-task4a"
    texts.mkdir()
    lines = [{"text": f"{WORDS[name]} {number}", "label": name} for number, name in enumerate(NAMES * 3)]
    (texts / "dev.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, rows)))


def rows_of(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data / "mvsa-single" / "posts.jsonl").read_text().splitlines()]


def judged(data: Path, engine: StubEngine | None = None, **changes: Any) -> dict[str, Any]:
    posts, opposite = read_posts(data, "dev"), read_posts(data, "conflict")
    learned = read_posts(data, "train")
    given = {"learned": learned, "texts": read_texts(data, "dev")} | changes
    return judge(engine or StubEngine(image_size=64), posts, opposite, **given)


def value(row: dict[str, Any]) -> Any:
    return pytest.approx(row["value"])


def test_right_answers_are_counted_as_such(data: Path) -> None:
    figures = judged(data)
    assert value(figures["heads"]["text"]["own"]["accuracy"]) == 1
    assert value(figures["heads"]["image"]["own"]["macro_f1"]) == 1
    assert (
        value(figures["heads"]["image"]["post"]["accuracy"]) == 2 / 3
    )  # 10 pictures are neutral where the post is not
    assert figures["heads"]["text"]["own"]["confusion"] == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    assert figures["heads"]["text"]["own"]["calibration"]["ece"] == pytest.approx(0.1)
    assert figures["semeval"]["posts"] == 9
    assert value(figures["semeval"]["macro_recall"]) == 1
    combinations = figures["combinations"]
    assert {row["posts"] for row in combinations.values()} == {30}
    assert value(combinations["text_only"]["accuracy"]) == 1
    assert combinations["picture_missing"] == combinations["text_only"]
    assert combinations["text_empty"] == combinations["picture_only"]
    assert value(combinations["picture_only"]["accuracy"]) == 2 / 3
    agreement = figures["agreement"]
    assert [agreement[name]["text"]["posts"] for name in ("same", "one_neutral", "opposite")] == [20, 10, 12]
    assert value(agreement["opposite"]["image"]["accuracy"]) == 1
    assert sum(row["posts"] for row in figures["intensity"]["text"].values()) == 30


def test_the_conflict_score_is_told_from_the_text_alone(data: Path) -> None:
    conflict = judged(data, prior=0.1)["conflict"]
    assert value(conflict["auroc"]) == 1
    assert value(conflict["average_precision"]) == 1
    assert conflict["text_negativity_auroc"]["value"] < 0.7
    gain = conflict["auroc"]["value"] - conflict["text_negativity_auroc"]["value"]
    assert value(conflict["auroc_gain"]) == gain
    assert conflict["auroc_gain"]["low"] > 0
    within = conflict["within"]["negative"]
    assert (within["others"]["posts"], within["others"]["against"], within["agreeing"]["against"]) == (
        6,
        10,
        5,
    )
    assert value(within["others"]["auroc"]) == 1
    assert value(within["others"]["text_alone_auroc"]) == 0.5
    assert conflict["at_prior"]["prevalence"] == 0.1
    assert value(conflict["out_of_fold"]["precision"]) == 1
    assert value(conflict["out_of_fold"]["recall"]) == 1
    assert value(conflict["at_prior"]["flag_rate"]) == 0.1
    assert conflict["roc"][0] == [0, 0]
    assert conflict["roc"][-1] == [1, 1]


def test_a_calibrated_conflict_is_judged_as_the_probability_that_is_shown(data: Path) -> None:
    """The stub gives opposite posts 0.8125 and most others far less: 0.1 of posts, and of those above 0.5."""
    engine = StubEngine(image_size=64)
    score = judged(data, engine, prior=0.1)["conflict"]
    engine.conflict_calibration = ConflictCalibration(slope=3.0, intercept=0.0, prior=0.1)
    figures = judged(data, engine, prior=0.1)
    conflict, calibration = figures["conflict"], figures["conflict"]["calibration"]
    assert score["calibration"]["shipped"] is None
    assert calibration["shipped"] == engine.conflict_calibration.model_dump()
    assert conflict["auroc"] == score["auroc"]
    assert [each["posts"] for each in conflict["calibration"]["shown"]["bins"]][-1] == 12
    highest = calibration["shown"]["bins"][-1]
    assert highest["probability"] == pytest.approx(1 / (1 + (0.1875 / 0.8125) ** 3))
    assert calibration["shown"]["ece"] < score["calibration"]["shown"]["ece"]
    text = body(figures | {"temperatures": {"text": 1.25, "image": 0.8, "fused": 1.0}})
    assert "by temperatures (Guo et al. 2017): text 1.250, picture 0.800, fused 1.000." in text
    assert "Conflict is a probability where 10.0% are opposite: logit P = 3.000" in text
    assert "no probability" not in text
    as_trained = body(judged(data))
    assert "no probability" in as_trained
    assert "No temperature is in the checkpoint" in as_trained
    assert "conflict 0." in summary(figures).split("ECE")[1]


def test_repeats_are_left_out_of_the_second_figures(data: Path) -> None:
    """Two copies of a wrong post in `dev`, and one post that was learned from."""
    rows = rows_of(data)
    rows += [rows[0] | {"id": f"again-{number}", "text_label": "negative"} for number in range(2)]
    rows[1] |= {"text": rows[-3]["text"]}  # what `train` says
    write(data / "mvsa-single", rows)
    figures = judged(data)
    assert figures["posts"] == 32
    assert figures["without_repeats"]["posts"] == 29
    assert figures["without_repeats"]["heads"]["text"]["own"]["posts"] == 29
    assert value(figures["without_repeats"]["heads"]["text"]["own"]["accuracy"]) == 1
    assert figures["heads"]["text"]["own"]["accuracy"]["value"] < 1


def test_nothing_is_left_without_repeats(data: Path) -> None:
    posts: list[LabelledPost] = read_posts(data, "dev")
    assert judged(data, learned=posts)["without_repeats"] is None


def test_the_report_is_for_programs_and_for_people(data: Path, tmp_path: Path) -> None:
    figures = judged(data)
    folder = tmp_path / "new" / "report"
    write_report(figures, folder)
    assert json.loads((folder / "figures.json").read_text()) == json.loads(as_json_text(figures))
    text = (folder / "report.md").read_text()
    accuracy = percent(figures["heads"]["image"]["post"]["accuracy"])
    assert accuracy in text
    assert accuracy in summary(figures)
    assert len(summary(figures).splitlines()) < 25
    for name in PICTURES:
        assert f"]({name})" in text
        with Image.open(folder / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert "nan" not in text.lower()


def test_missing_pictures_are_listed_and_counted(data: Path) -> None:
    for number in range(7):
        (data / "mvsa-single" / "images" / f"dev-{number}.png").unlink()
    with pytest.raises(InputError, match=r"7 of 30 pictures.*dev-4.png, …; .*--text-only-for-missing"):
        evaluate(None, data)
    posts = read_posts(data, "dev", text_only_for_missing=True)
    figures = judge(StubEngine(image_size=64), posts, read_posts(data, "conflict"))
    assert figures["missing_pictures"] == [f"dev-{number}.png" for number in range(7)]
    assert "7 pictures are missing; their posts were judged by their text alone: dev-0.png, " in body(figures)
    for label in ("own", "post"):  # each head by its own answers, never another's
        assert figures["heads"]["image"][label]["posts"] == 23
        assert figures["heads"]["fused"][label]["posts"] == 23
        assert figures["heads"]["text"][label]["posts"] == 30
    assert figures["combinations"]["text_only"]["posts"] == 30
    assert figures["combinations"]["both"]["posts"] == 23
    for path in (data / "mvsa-single" / "images").glob("dev-*.png"):
        path.unlink()
    posts = read_posts(data, "dev", text_only_for_missing=True)
    with pytest.raises(InputError, match="'dev' has words and a picture that is there"):
        judge(StubEngine(image_size=64), posts, read_posts(data, "conflict"))


def test_wrong_data_is_refused_before_anything_is_judged(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no post of split 'test'.* conflict, dev, train"):
        evaluate(None, data, split="test")
    with pytest.raises(InputError, match="'conflict' has a label"):
        evaluate(None, data, split="conflict")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        evaluate(tmp_path / "nowhere", data)
    rows = rows_of(data)
    write(data / "mvsa-single", [rows[0] | {"text_label": "angry"}, *rows[1:]])
    with pytest.raises(InputError, match=r"'angry' in 'text_label'.*dev-0.*positive, neutral, negative"):
        evaluate(None, data)
    del rows[2]["image_label"]
    write(data / "mvsa-single", rows)
    with pytest.raises(InputError, match=r"no 'image_label'.*dev-2"):
        evaluate(None, data)
    (data / "semeval2017-task4a" / "dev.jsonl").write_text("")
    with pytest.raises(InputError, match=r"dev.jsonl is empty"):
        read_texts(data, "dev")


def test_a_report_needs_a_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="give another folder"):
        write_report({}, tmp_path / "file")
