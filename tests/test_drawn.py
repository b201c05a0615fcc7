"""Drawings for the picture head: the same ones again, of every mood, scenes kept apart."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.training.data import IGNORED
from mmsent.training.drawn import drawn_posts


def test_fewer_are_the_first_of_more(tmp_path: Path) -> None:
    few = drawn_posts(tmp_path, count=4, seed=3)
    pictures = [post.image.read_bytes() for post in few]
    assert drawn_posts(tmp_path, count=8, seed=3)[:4] == few
    again = drawn_posts(tmp_path / "again", count=4, seed=3)
    assert [post.image.read_bytes() for post in again] == pictures
    assert drawn_posts(tmp_path, count=4, seed=4) != few


def test_every_mood_is_drawn_and_other_scenes_are_kept_for_choosing(tmp_path: Path) -> None:
    posts = drawn_posts(tmp_path, count=60)
    scenes = {
        split: {str(post.image.name).split("-")[2] for post in posts if post.split == split}
        for split in ("train", "dev")
    }
    assert scenes["dev"]
    assert not scenes["train"] & scenes["dev"]
    for post in posts:
        assert LABELS[post.image_label] in post.image.name
        assert (post.text, post.label, post.text_label) == ("", IGNORED, IGNORED)
    assert {post.image_label for post in posts} == set(range(3))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="give another folder"):
        drawn_posts(tmp_path / "taken", count=1)
