"""The picture head's training, on made-up features."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from torch import Tensor, nn  # noqa: E402  after the skip

from mmsent.model.fusion import FusionConfig, FusionModel  # noqa: E402  after the skip
from mmsent.training.data import IGNORED  # noqa: E402  after the skip
from mmsent.training.picture_head import PictureLesson, judge, teach  # noqa: E402  after the skip


def head() -> nn.Linear:
    return FusionModel(FusionConfig.preset("tiny")).image_head


def lesson(seed: int, *, turned: bool = False, weight: float = 1.0) -> PictureLesson:
    """Three kinds of pictures at places of their own, in features of very different sizes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, 1_200)
    width = head().in_features
    places = np.random.default_rng(0).normal(size=(3, width)) * np.geomspace(0.1, 100, width) + 7
    seen = places[labels] + generator.normal(size=(len(labels), width)) * np.geomspace(0.05, 50, width)
    told = (labels + 1) % 3 if turned else labels
    return PictureLesson(torch.from_numpy(seen).float(), told, weight)


def weights(taught: nn.Linear) -> list[Tensor]:
    return [each.clone() for each in taught.state_dict().values()]


def test_it_learns_what_it_is_told() -> None:
    taught = head()
    teach(taught, [lesson(1)])
    figures = judge(taught, lesson(2))
    assert figures["accuracy"] > 0.95
    assert figures["log_loss"] < 0.6


def test_what_was_there_before_does_not_matter() -> None:
    first, second = head(), head()
    assert not torch.equal(first.weight, second.weight)
    for each in (first, second):
        teach(each, [lesson(1)])
    assert all(torch.equal(*pair) for pair in zip(weights(first), weights(second), strict=True))


def test_pictures_without_a_label_teach_nothing() -> None:
    plain, more = head(), head()
    unlabelled = PictureLesson(lesson(5).features, np.full(1_200, IGNORED))
    teach(plain, [lesson(1)])
    teach(more, [lesson(1), unlabelled])
    assert all(torch.equal(*pair) for pair in zip(weights(plain), weights(more), strict=True))


def test_the_lesson_that_weighs_more_is_believed() -> None:
    for weight, believed in ((0.2, lesson(2)), (5.0, lesson(2, turned=True))):
        taught = head()
        teach(taught, [lesson(1), lesson(3, turned=True, weight=weight)])
        assert judge(taught, believed)["accuracy"] > 0.9
