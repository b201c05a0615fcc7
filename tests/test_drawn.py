"""Drawn posts: the same ones again, of every mood, labelled by the rules of the data set."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")

from mmsent.errors import InputError
from mmsent.model.inputs import LABELS
from mmsent.training.data import IGNORED
from mmsent.training.drawn import drawn_posts

POSITIVE, NEUTRAL, NEGATIVE = range(3)


def test_fewer_are_the_first_of_more(tmp_path: Path) -> None:
    few = drawn_posts(tmp_path, count=4, seed=3)
    pictures = [post.image.read_bytes() for post in few]
    assert drawn_posts(tmp_path, count=8, seed=3)[:4] == few
    again = drawn_posts(tmp_path / "again", count=4, seed=3)
    assert [post.image.read_bytes() for post in again] == pictures
    assert drawn_posts(tmp_path, count=4, seed=4) != few


def test_opposite_posts_have_no_label_of_their_own(tmp_path: Path) -> None:
    posts = drawn_posts(tmp_path, count=60)
    assert {post.text_label for post in posts} == {post.image_label for post in posts} == set(range(3))
    for post in posts:
        felt = {post.text_label, post.image_label}
        expected = IGNORED if felt == {POSITIVE, NEGATIVE} else next(iter(felt - {NEUTRAL}), NEUTRAL)
        assert post.label == expected
    opposite = sum(post.label == IGNORED for post in posts)
    assert LABELS[NEUTRAL] == "neutral"
    assert 0 < opposite < len(posts) / 3


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="give another folder"):
        drawn_posts(tmp_path / "taken", count=1)
