"""Training, export and evaluation on a tiny generated data set, and resuming after a kill."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("nncf", reason="needs the extra `train`")

from safetensors.torch import load_file, save_file  # noqa: E402  after the skip

from mmsent.engine.base import ScoringRequest  # noqa: E402  after the skip
from mmsent.engine.openvino import OpenVinoEngine  # noqa: E402  after the skip
from mmsent.errors import InputError  # noqa: E402  after the skip
from mmsent.model.checkpoint import load_checkpoint  # noqa: E402  after the skip
from mmsent.model.fusion import FusionConfig, FusionModel, PictureEncoder  # noqa: E402  after the skip
from mmsent.model.inputs import TextTokenizer  # noqa: E402  after the skip
from mmsent.training.card import picture_start, training_records  # noqa: E402  after the skip
from mmsent.training.data import (  # noqa: E402  after the skip
    IGNORED,
    head_labels,
    length_buckets,
    read_irony,
    read_jsonl,
    read_posts,
    read_texts,
)
from mmsent.training.evaluate import evaluate, predict  # noqa: E402  after the skip
from mmsent.training.export import (  # noqa: E402  after the skip
    OUT_OF_FOLD_FILE,
    export,
    export_parts,
    parity,
    write_config,
)
from mmsent.training.figures import opinions_of  # noqa: E402  after the skip
from mmsent.training.fitted import fit_all  # noqa: E402  after the skip
from mmsent.training.kept_back import kept_back_texts  # noqa: E402  after the skip
from mmsent.training.metrics import accuracy, log_loss  # noqa: E402  after the skip
from mmsent.training.out_of_fold import OutOfFoldLogits, load_out_of_fold  # noqa: E402  after the skip
from mmsent.training.recipe import FusionRecipe, Recipe, TextRecipe, load_recipe  # noqa: E402  after the skip
from mmsent.training.report import as_json_text, body  # noqa: E402  after the skip
from mmsent.training.run import Run  # noqa: E402  after the skip
from mmsent.training.summary import percent, summary  # noqa: E402  after the skip
from mmsent.training.text_stage import token_tensors  # noqa: E402  after the skip
from mmsent.training.train import check, load_trained, train  # noqa: E402  after the skip

TINY = FusionConfig.preset("tiny")
RECIPE = Recipe(model={"preset": "tiny"}, drawings=8, text=TextRecipe(batch_size=8), fusion=FusionRecipe())
WORDS = {"positive": "lovely great happy", "neutral": "meeting at noon", "negative": "awful sad broken"}
COLOURS = {"positive": (250, 220, 40), "neutral": (128, 128, 128), "negative": (40, 10, 10)}
SPLITS = {"train": 24, "dev": 9, "conflict": 6}


@pytest.fixture(scope="module", autouse=True)
def short_runs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmsent.training.calibration.SIMULATIONS", 200)
        patch.setattr("mmsent.training.conflict_figures.REPETITIONS", 2)
        patch.setattr("mmsent.training.sample_judge.SEEDS", (0,))
        patch.setattr("mmsent.training.sample_judge.POSTS_PER_SEED", 40)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both data sets in small: colour and words give the label away."""
    folder = tmp_path_factory.mktemp("data")
    write_texts(folder / "semeval2017-task4a")
    write_irony(folder / "tweeteval-irony")
    write_posts(folder / "mvsa-single")
    return folder


def write_texts(folder: Path) -> None:
    folder.mkdir()
    for split, count in (("train", 30), ("dev", 9)):
        rows = [{"text": f"{WORDS[name]} {n}", "label": name} for n in range(count // 3) for name in WORDS]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def write_irony(folder: Path) -> None:
    folder.mkdir()
    rows = [
        {"text": f"how {word} {n}", "label": ("irony", "not_irony")[n % 2]} for n in range(6) for word in "ab"
    ]
    for split in ("train", "dev"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def write_posts(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for split, count in SPLITS.items():
        for number in range(count):
            name = [*WORDS][number % 3]
            felt = {"positive": "negative", "negative": "positive"}.get(name, name)
            image_label = felt if split == "conflict" else name
            path = f"images/{split}-{number}.png"
            Image.new("RGB", (90, 60 + len(rows)), COLOURS[image_label]).save(folder / path)
            rows.append(
                {
                    "id": f"{split}-{number}",
                    "split": split,
                    "text": f"{WORDS[name]} {split} {number}",
                    "image": path,
                }
                | {"label": None if split == "conflict" else name}
                | {"text_label": name, "image_label": image_label}
            )
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    weights = output / "resnet.safetensors"
    torch.manual_seed(0)
    save_file(PictureEncoder(TINY.image_encoder).state_dict(), weights)
    for stage in ("text", "fusion", "folds"):
        train(stage, Run(RECIPE, RECIPE.config(), data, output, weights))
    return output


@pytest.fixture(scope="module")
def out_of_fold(data: Path) -> OutOfFoldLogits:
    """Logits of every post by no model: its label's is the greatest, mostly."""
    posts = [*read_posts(data, "train"), *read_posts(data, "conflict")]
    labels = head_labels(posts)
    generator, wrong = np.random.default_rng(0), np.arange(len(posts)) % 5 == 0
    return OutOfFoldLogits(
        post_id=np.array([post.post_id for post in posts]),
        split=np.array([post.split for post in posts]),
        fold=np.arange(len(posts)) % 2,
        logits={
            head: (np.eye(3)[(rows + wrong) % 3] + generator.normal(0, 0.3, (len(posts), 3))).astype(
                np.float32
            )
            for head, rows in labels.items()
        },
        labels=labels,
    )


@pytest.fixture(scope="module")
def float_parts(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    export_parts(load_trained(trained), folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(
    trained: Path,
    data: Path,
    out_of_fold: OutOfFoldLogits,
    float_parts: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    def copy_parts(_model: FusionModel, folder: Path) -> None:
        shutil.copytree(float_parts, folder, dirs_exist_ok=True)

    run, folder = (tmp_path_factory.mktemp("exported") / name for name in ("run", "small"))
    shutil.copytree(trained, run)
    out_of_fold.save(run / OUT_OF_FOLD_FILE)
    (tried := run / "tried.md").write_text("# What was tried\n\nLess.\n")
    with pytest.MonkeyPatch.context() as patch:  # writing the parts is slow: once is enough
        patch.setattr("mmsent.training.export.export_parts", copy_parts)
        export(run, data, folder, name="small", version=2, appendix=tried)
    return folder


def test_training_leaves_a_record(trained: Path) -> None:
    record = json.loads((trained / "training.json").read_text())
    assert [row["epoch"] for row in record["fusion"]] == [0, 1]
    assert {"fused_accuracy", "conflict_auroc"} <= record["fusion"][0].keys()


def test_every_stage_leaves_its_curves(trained: Path) -> None:
    for stage, folder in (("text", trained / "text-1"), ("fusion", trained), ("fusion", trained / "fold-0")):
        epochs = json.loads((folder / f"{stage}.curves.json").read_text())["epochs"]
        assert [row["epoch"] for row in epochs] == [*range(len(epochs))]
        with Image.open(folder / f"{stage}.curves.png") as picture:
            assert picture.width > 500


def test_whoever_may_read_the_records_may_read_the_weights(trained: Path) -> None:
    names = ("text.safetensors", "text.json", "model.safetensors", "training.json")
    assert len({(trained / name).stat().st_mode for name in names}) == 1


def test_the_text_encoder_is_the_mean_of_its_runs(trained: Path) -> None:
    runs = [
        torch.load(trained / f"text-{number}" / "text.state.pt", weights_only=True)["best_weights"]
        for number in (0, 1)
    ]
    name = "text_head.weight"
    first, second = (run[f"model.{name}"] for run in runs)
    assert not torch.equal(first, second)
    torch.testing.assert_close(load_file(trained / "text.safetensors")[name], (first + second) / 2)
    record = json.loads((trained / "text.json").read_text())
    assert len(record["runs"]) == 2
    assert "irony_f1" in record["mean"]


def test_what_is_out_of_fold_was_not_learned_from(trained: Path, data: Path) -> None:
    found = load_out_of_fold(trained / "out_of_fold.npz")
    assert sorted(found.post_id) == sorted(
        post.post_id for split in ("train", "conflict") for post in read_posts(data, split)
    )
    assert len(np.unique(found.fold)) > 1
    whole = load_trained(trained)
    row = int(np.flatnonzero(found.split == "train")[0])
    post = next(post for post in read_posts(data, "train") if post.post_id == found.post_id[row])
    words = whole.words(*token_tensors(TextTokenizer(trained / "tokenizer.json", 32).encode([post.text])))
    with torch.inference_mode():
        learned = whole.text_head(words.mean(dim=1)).numpy()[0]
    assert not np.allclose(learned, found.logits["text"][row], atol=1e-6)


def test_folds_that_are_run_again_say_the_same(trained: Path, data: Path) -> None:
    """Finished folds are restored and judged as they were, not with dropout on."""
    before = load_out_of_fold(trained / "out_of_fold.npz")
    train("folds", Run(RECIPE, RECIPE.config(), data, trained, trained / "resnet.safetensors"))
    after = load_out_of_fold(trained / "out_of_fold.npz")
    for head, logits in before.logits.items():
        assert np.array_equal(after.logits[head], logits)


def test_folds_of_the_text_alone_read_no_picture(trained: Path, data: Path, tmp_path: Path) -> None:
    for name in ("text.safetensors", "resnet.safetensors"):
        shutil.copy(trained / name, tmp_path)
    recipe = RECIPE.model_copy(update={"fusion": FusionRecipe(pictures=False)})
    run = Run(recipe, recipe.config(), data, tmp_path, tmp_path / "resnet.safetensors")
    for stage in ("fusion", "folds"):
        train(stage, run)
    before = load_out_of_fold(tmp_path / OUT_OF_FOLD_FILE)
    for path in (tmp_path / "features").glob("*.npy"):
        np.save(path, np.load(path)[::-1])
    train("folds", replace(run, resume=False))
    after = load_out_of_fold(tmp_path / OUT_OF_FOLD_FILE)
    assert np.array_equal(after.logits["fused"], before.logits["fused"])
    assert not np.array_equal(after.logits["image"], before.logits["image"])


def test_a_stage_does_not_go_on_from_other_weights(trained: Path, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_file(PictureEncoder(TINY.image_encoder).state_dict(), other)
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    run = Run(RECIPE, RECIPE.config(), data, folder, other)
    with pytest.raises(InputError, match="another recipe, seed, text stage, picture encoder or data"):
        train("folds", run)
    with pytest.raises(InputError, match="starting weights"):
        train("fusion", run)
    assert not (folder / "out_of_fold.npz").exists()  # of a model that is being replaced
    train("fusion", replace(run, resume=False))
    assert len(list((folder / "features").glob("dev-0-*.npy"))) == 2


def test_folds_stand_for_the_model_of_the_fusion_stage_alone(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    """Another text stage, or a label put right: folds would calibrate another model."""
    folder, corrected = tmp_path / "run", tmp_path / "data"
    shutil.copytree(trained, folder)
    shutil.copytree(data, corrected)
    rows = post_rows(corrected)
    rows[0] |= {"label": "negative"}
    write_rows(corrected, rows)
    run = Run(RECIPE, RECIPE.config(), corrected, folder, folder / "resnet.safetensors")
    with pytest.raises(InputError, match="run it again"):
        train("folds", run)
    with pytest.raises(InputError, match="or data"):
        train("fusion", run)
    text = load_file(folder / "text.safetensors")
    save_file({name: tensor + 1 for name, tensor in text.items()}, folder / "text.safetensors")
    with pytest.raises(InputError, match="run it again"):
        train("folds", replace(run, data=data))


def post_rows(data: Path) -> list[dict[str, Any]]:
    return read_jsonl(data / "mvsa-single" / "posts.jsonl")


def write_rows(data: Path, rows: list[dict[str, Any]]) -> None:
    (data / "mvsa-single" / "posts.jsonl").write_text("\n".join(map(json.dumps, rows)))


def without_label(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"image_label": None}


def under_one_name(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"id": "same"}


def with_one_text(row: dict[str, Any]) -> dict[str, Any]:
    return row | ({"text": "all the same"} if row["split"] == "conflict" else {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_label, "no post of split 'train' has a image_label"),
        (under_one_name, "the id 'same' 39 times"),
        (with_one_text, "two posts of each kind"),
    ],
)
def test_posts_that_end_a_training_late_are_named_at_once(
    data: Path, trained: Path, tmp_path: Path, change: Any, message: str
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    write_rows(copy, [change(row) for row in post_rows(copy)])
    run = Run(RECIPE, RECIPE.config(), copy, tmp_path, trained / "resnet.safetensors")
    with pytest.raises(InputError, match=message):
        check(["text", "fusion", "folds"], run)


def test_texts_without_a_label_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "semeval2017-task4a"
    folder.mkdir()
    lines = [json.dumps({"text": f"text {n}", "label": [None, "neutral"][n % 2]}) for n in range(4)]
    (folder / "dev.jsonl").write_text("\n".join(lines))
    assert [text.text for text in read_texts(tmp_path, "dev")] == ["text 1", "text 3"]
    (folder / "dev.jsonl").write_text(lines[0])
    with pytest.raises(InputError, match=r"no text in .* has a label"):
        read_texts(tmp_path, "dev")


def test_a_recipe_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('seed = 3\n[model]\npreset = "tiny"\nwidth = 32\n[fusion]\nmodulation = 0.1\n')
    recipe = load_recipe(path, epochs=7, drawings=0)
    assert (recipe.seed, recipe.drawings, recipe.config().width) == (3, 0, 32)
    assert (recipe.text.epochs, recipe.fusion.epochs, recipe.fusion.modulation) == (7, 7, 0.1)
    for content, message in (
        ("[fusion]\nepoch = 3", "fusion.epoch"),
        ("[fusion", "TOML"),
        ("[text]\nepochs = 0", "text.epochs"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            load_recipe(path)
    for model, message in (
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"widht": 32}, "no 'widht'"),
        ({"preset": "tiny", "image_encoder": "resnet34"}, "name a text_encoder"),
        ({"preset": "tiny", "width": 33}, "width 33.*change these settings"),
    ):
        with pytest.raises(InputError, match=message):
            Recipe(model=model).config()
    path.write_text("text = 3")
    with pytest.raises(InputError, match="text: "):
        load_recipe(path, epochs=1)


def test_a_finished_run_is_not_run_again(trained: Path, data: Path) -> None:
    before = torch.load(trained / "text-0" / "text.state.pt", weights_only=True)["random"]
    train("text", Run(RECIPE, RECIPE.config(), data, trained))
    assert torch.equal(torch.load(trained / "text-0" / "text.state.pt", weights_only=True)["random"], before)


def test_weights_that_are_not_there_are_missed_at_once(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.safetensors"):
        check(["text", "fusion"], Run(RECIPE, RECIPE.config(), data, tmp_path, tmp_path / "none.safetensors"))


def test_an_own_picture_encoder_without_its_record_is_missed_at_once(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained / "resnet.safetensors", tmp_path / "image.safetensors")
    with pytest.raises(InputError, match=r"picture\.json.*--stage picture"):
        check(["fusion"], Run(RECIPE, RECIPE.config(), data, tmp_path))


def test_a_picture_encoder_of_another_run_brings_its_record(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    other, output, told = tmp_path / "other", tmp_path / "own", {"start": "pretraining", "sources": ["a"]}
    other.mkdir()
    output.mkdir()
    shutil.copy(trained / "resnet.safetensors", other / "image.safetensors")
    (other / "picture.json").write_text(json.dumps(told))
    shutil.copy(trained / "text.safetensors", output)
    train("fusion", Run(RECIPE, RECIPE.config(), data, output, other / "image.safetensors"))
    assert json.loads((output / "training.json").read_text())["picture_record"] == told


def test_fusion_without_text_stage_says_so(data: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="text stage first"):
        train("fusion", Run(RECIPE, RECIPE.config(), data, tmp_path, trained / "resnet.safetensors"))


@pytest.fixture(scope="module")
def figures(checkpoint: Path, data: Path) -> dict[str, Any]:
    return evaluate(checkpoint, data)


def test_export_is_a_checkpoint(checkpoint: Path, data: Path, figures: dict[str, Any]) -> None:
    loaded = load_checkpoint(checkpoint)
    assert loaded.model_id == "small@2"
    assert {path.name for path in checkpoint.iterdir()} == {
        *("config.json", "metrics.json", "README.md", "tokenizer.json", "tokenizer_config.json"),
        *("text.onnx", "image.onnx", "fusion.onnx", "model.safetensors"),
        *("confusion.png", "reliability.png", "strata.png", "conflict.png"),
    }
    assert figures["posts"] == SPLITS["dev"]
    fused = figures["heads"]["fused"]["own"]["accuracy"]
    assert fused["low"] <= fused["value"] <= fused["high"]
    assert percent(fused) in summary(figures)
    card = (checkpoint / "README.md").read_text()
    assert percent(fused) in card
    for told in (
        "sentiment model, `small@2`",
        "resnet10 over 64 px",
        "4 picture regions",
        "1 layers of 16",
        "random weights",
        "beside irony",
        "resnet10 of the file `resnet.safetensors`",
        "\n\n## What was tried\n\nLess.\n\n## Limits\n",
    ):
        assert told in card
    assert figures["semeval"]["posts"] == 9
    kept_back = len(kept_back_texts(data))
    assert kept_back > 0
    assert f"{kept_back} tweets of SemEval's `train` that no stage learned from: there the text head" in card
    assert f"{30 - kept_back} tweets of [SemEval-2017 Task 4A]" in card
    assert figures["without_repeats"]["posts"] == SPLITS["dev"]
    sample = figures["sample"]
    assert sample["posts"] > 30
    assert 0 < sample["opposite"] < sample["posts"] / 2
    assert f"picture accuracy {sample['image_accuracy']:.3f}" in summary(figures)


def test_export_fits_what_makes_probabilities(checkpoint: Path, out_of_fold: OutOfFoldLogits) -> None:
    config, fitted = load_checkpoint(checkpoint).config, fit_all(out_of_fold)
    assert config.format_version == 2
    assert config.temperatures == fitted.temperatures
    assert config.conflict_calibration == fitted.conflict
    assert config.conflict_threshold == fitted.threshold
    card = (checkpoint / "README.md").read_text()
    assert f"logit P = {fitted.conflict.slope:.4f} · logit(score)" in card
    assert f"text {fitted.temperatures.text:.3f}, picture" in card


def test_the_cards_figures_are_those_of_evaluate(checkpoint: Path, figures: dict[str, Any]) -> None:
    told = json.loads((checkpoint / "metrics.json").read_text())
    measured = json.loads(as_json_text(figures))
    assert {name: told[name] for name in measured} == measured
    assert body(measured, level=3) in (checkpoint / "README.md").read_text()
    shown = re.findall(r"\]\(([a-z]+\.png)\)", (checkpoint / "README.md").read_text())
    assert sum((checkpoint / name).stat().st_size for name in shown) < 1e6
    assert len(shown) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (OUT_OF_FOLD_FILE, "no out-of-fold logits.*mmsent train"),
        ("text.json", r"text\.json.*train again"),
        ("training.json", r"training\.json.*train again"),
    ],
)
def test_what_an_export_lacks_is_named_before_anything_is_written(
    trained: Path, data: Path, tmp_path: Path, name: str, message: str
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(trained, bare, ignore=shutil.ignore_patterns(name))
    with pytest.raises(InputError, match=message):
        export(bare, data, tmp_path / "new")
    assert not list(tmp_path.glob("new*"))


def test_folds_of_other_posts_are_refused(trained: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    rows = post_rows(data)
    rows[0] |= {"id": "renamed"}
    write_rows(tmp_path / "data", rows)
    with pytest.raises(InputError, match="which is not in the data"):
        export(trained, tmp_path / "data", tmp_path / "new")
    assert not list(tmp_path.glob("new*"))


def test_a_record_of_an_older_training_is_refused(trained: Path, tmp_path: Path) -> None:
    for name in ("text.json", "training.json"):
        shutil.copy(trained / name, tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    del record["picture_record"]
    (tmp_path / "training.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"nothing of picture_record.*train again"):
        training_records(tmp_path)


def test_an_appendix_that_is_not_there_is_missed_at_once(trained: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.md.*a file of Markdown"):
        export(trained, data, tmp_path / "new", appendix=tmp_path / "none.md")
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize(
    ("start", "record", "told"),
    [
        ("IMAGENET1K_V1", {}, "resnet18 with torchvision's IMAGENET1K_V1 (ImageNet; research use)"),
        ("mine.safetensors", {}, "resnet18 of the file `mine.safetensors`"),
        (
            "image.safetensors",
            {"start": "pretraining"},
            "resnet18 pre-trained on Tiny ImageNet (research use)",
        ),
        (
            "image.safetensors",
            {"start": "a.safetensors", "teacher": "efficientnet-lite2", "sources": ["`cats`", "`dogs`"]},
            "resnet18 of the file `a.safetensors`, distilled from efficientnet-lite2 (Apache-2.0) over "
            "photos without sentiment labels: `cats`, `dogs`",
        ),
    ],
)
def test_the_card_tells_where_the_picture_encoder_comes_from(
    start: str, record: dict[str, Any], told: str
) -> None:
    assert picture_start(FusionConfig.preset(), start, record) == told


def test_no_part_names_a_place_of_this_machine(checkpoint: Path, trained: Path) -> None:
    root = str(Path(__file__).parent.parent).encode()
    for path in checkpoint.iterdir():
        content = path.read_bytes()
        assert root not in content
        assert str(trained).encode() not in content
        assert b"site-packages" not in content


def test_float_parts_agree_with_torch(float_parts: Path, trained: Path, data: Path, tmp_path: Path) -> None:
    model, folder = load_trained(trained), tmp_path / "float"
    shutil.copytree(float_parts, folder)
    shutil.copy(trained / "tokenizer.json", folder)
    write_config(model, folder, "float", 1, conflict_threshold=0.5)
    with OpenVinoEngine(load_checkpoint(folder), threads=1) as engine:
        figures = parity(model, engine, read_posts(data, "dev"))
    assert {head: row["equal_labels"] for head, row in figures.items()} == {
        "text": 1.0,
        "image": 1.0,
        "fused": 1.0,
    }
    assert max(row["greatest_difference"] for row in figures.values()) < 1e-3
    assert [row["accuracy_change"]["value"] for row in figures.values()] == [0, 0, 0]


def test_what_int8_costs_is_told_from_torch(checkpoint: Path, data: Path) -> None:
    """The parts are right of every text; torch, by one label for all, of the texts that have it."""
    posts, model = read_posts(data, "dev"), FusionModel.from_pretrained(checkpoint)
    with OpenVinoEngine(load_checkpoint(checkpoint), threads=1) as engine:
        labels = opinions_of(predict(engine, posts), "text").argmax(axis=1)
        posts = [replace(post, text_label=label) for post, label in zip(posts, labels.tolist(), strict=True)]
        rarest = int(np.bincount(labels, minlength=3).argmin())
        with torch.no_grad():
            model.text_head.weight.zero_()
            model.text_head.bias.copy_(9.0 * torch.eye(3)[rarest])
        found = parity(model, engine, posts)["text"]
    assert found["equal_labels"] == (labels == rarest).mean() < 0.5
    assert found["accuracy_change"]["value"] == pytest.approx(1 - (labels == rarest).mean())
    assert found["posts"] == len(posts)


def test_int8_parts_are_small(checkpoint: Path, float_parts: Path) -> None:
    for part in ("text.onnx", "image.onnx"):
        assert (checkpoint / part).stat().st_size < 0.45 * (float_parts / part).stat().st_size


def test_opinions_of_the_parts_stand_alone(checkpoint: Path) -> None:
    """Through the exported parts too, a text's opinion is the same with no, any or another picture."""
    with OpenVinoEngine(load_checkpoint(checkpoint), threads=1) as engine:
        generator = np.random.default_rng(0)
        one, other = generator.integers(0, 256, (2, engine.image_size, engine.image_size, 3), dtype=np.uint8)
        alone, with_one, with_other, picture_only, other_text = engine.score(
            [
                ScoringRequest("a sad day", None),
                ScoringRequest("a sad day", one),
                ScoringRequest("a sad day", other),
                ScoringRequest(None, one),
                ScoringRequest("such a lovely and long morning", one),
            ]
        )
    assert alone.text == with_one.text == with_other.text
    assert with_one.image == picture_only.image == other_text.image
    assert with_one.fused != with_other.fused
    assert with_one.image != with_other.image


def test_export_keeps_what_is_no_checkpoint(trained: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no checkpoint"):
        export(trained, data, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_export_keeps_a_training_run(trained: Path, data: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        export(trained, data, trained)
    assert (trained / "text.safetensors").exists()


def test_labels_are_read(data: Path) -> None:
    assert [text.label for text in read_texts(data, "train")[:3]] == [0, 1, 2]
    post = read_posts(data, "conflict")[0]
    assert (post.label, post.text_label, post.image_label) == (IGNORED, 0, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", ":2 is not JSON"), ("[]", ":2 is not a JSON object"), ("\xff", ":2 is not JSON")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text('{"id": "1"}\n' + line)
    with pytest.raises(InputError, match=message):
        read_jsonl(path)


def test_missing_data_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder that holds the data sets"):
        read_texts(tmp_path, "train")


def test_an_unknown_irony_is_refused(tmp_path: Path) -> None:
    assert read_irony(tmp_path, "train") == []
    (tmp_path / "tweeteval-irony").mkdir()
    (tmp_path / "tweeteval-irony" / "train.jsonl").write_text('{"text": "x", "label": "ironic"}')
    with pytest.raises(InputError, match="'ironic' in 'label'"):
        read_irony(tmp_path, "train")


def test_damaged_pictures_are_named_before_the_text_stage(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    (copy / "mvsa-single" / "images" / "train-0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"train-0\.png"):
        check(["text", "fusion"], Run(RECIPE, RECIPE.config(), copy, tmp_path))


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "semeval2017-task4a").mkdir()
    (tmp_path / "semeval2017-task4a" / "dev.jsonl").write_text('{"id": "7", "text": "x", "label": "happy"}')
    with pytest.raises(InputError, match="'happy' in 'label'"):
        read_texts(tmp_path, "dev")


def test_batches_hold_everything_once_and_like_lengths_together() -> None:
    lengths = [length % 40 for length in range(1_000)]
    batches = length_buckets(lengths, 10, seed=3)
    assert sorted(index for batch in batches for index in batch) == list(range(1_000))
    assert batches == length_buckets(lengths, 10, seed=3)
    assert batches != length_buckets(lengths, 10, seed=4)
    padding = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches) / sum(lengths)
    assert padding < 1.1


def test_figures_leave_out_rows_without_label() -> None:
    labels = np.array([0, 2, IGNORED])
    opinions = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    assert accuracy(labels, opinions) == 0.5
    assert log_loss(labels, opinions) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)
