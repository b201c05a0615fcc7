"""Files of posts: what is taken, and the one line said about what is not."""

import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmsent.errors import InputError
from mmsent.posts import DeletePost, ForgetAuthor, Post
from mmsent.sources.replay import FilePost, open_posts

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FULL: dict[str, Any] = {
    "op": "upsert",
    "post_id": "at://did:plc:x/app.bsky.feed.post/3k",
    "version": 7,
    "source": "bluesky",
    "created_at": "2026-11-20T10:00:00Z",
    "text": "Lovely weather",
    "images": [{"url": "https://example.org/a.jpg", "alt": "rain"}],
}


def write(folder: Path, *lines: object, name: str = "posts.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read(path: Path, source: str | None = None) -> list[FilePost]:
    return list(open_posts(path, source, now=lambda: NOON))


def post(item: FilePost) -> Post:
    assert isinstance(item.message, Post)
    return item.message


def picture(folder: Path, name: str = "images/1.jpg") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8")
    return path


def test_short_form(tmp_path: Path) -> None:
    path = picture(tmp_path)
    item = read(write(tmp_path, {"id": "1", "text": "Sun!", "image": "images/1.jpg", "label": "positive"}))[0]
    assert post(item).post_id == "posts/1"
    assert (post(item).version, post(item).source, post(item).created_at) == (0, "posts", NOON)
    assert item.local_images == (path.resolve(),)
    published = item.with_addresses(lambda found: f"http://127.0.0.1:1/{found.stem}")
    assert isinstance(published, Post)
    assert [image.url for image in published.images] == ["http://127.0.0.1:1/1"]


def test_source_and_kinds_of_id(tmp_path: Path) -> None:
    lines = [{"id": 5}, {"id": "https://example.org/5"}, {"id": "at://x/5", "image": "https://e.org/a.jpg"}]
    items = read(write(tmp_path, *lines), "mine")
    assert [post(item).post_id for item in items] == ["mine/5", "https://example.org/5", "at://x/5"]
    assert items[2].local_images == ()
    assert items[2].with_addresses(lambda _: "never") is items[2].message


def test_each_post_has_a_moment_of_its_own(tmp_path: Path) -> None:
    times = [post(item).created_at for item in read(write(tmp_path, *({"id": i} for i in range(50))))]
    assert times == sorted(set(times))


def test_full_messages_stay_as_they_are(tmp_path: Path) -> None:
    delete = {"op": "delete", "post_id": "p", "version": 8, "source": "bluesky"}
    forget = {
        "op": "forget_author",
        "author": "h:9",
        "source": "bluesky",
        "created_at": "2026-11-20T10:00:00Z",
    }
    items = read(write(tmp_path, FULL, "", delete, forget), "other")
    assert post(items[0]) == Post.model_validate(FULL)
    assert isinstance(items[1].message, DeletePost)
    assert isinstance(items[2].message, ForgetAuthor)


def test_a_full_post_without_op_and_source_is_completed(tmp_path: Path) -> None:
    bare = {name: value for name, value in FULL.items() if name not in {"op", "source"}}
    assert post(read(write(tmp_path, bare))[0]).source == "posts"


def test_read_twice_and_counted(tmp_path: Path) -> None:
    picture(tmp_path)
    posts = open_posts(write(tmp_path, {"id": 1}, {"id": 2, "image": "images/1.jpg"}))
    assert (len(posts), posts.has_local_images) == (2, True)
    assert [post(item).post_id for item in posts] == [post(item).post_id for item in posts]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}'))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert [post(item).post_id for item in read(Path("-"))] == ["stdin/1", "stdin/2"]


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"id": 1}\n')
    os.close(writing)
    assert len(read(Path(f"/dev/fd/{reading}"), "pipe")) == 1
    os.close(reading)


BAD_LINES = [
    ('{"id": "1", "text": "half', "not JSON"),
    ("id,text,image", "not JSON"),
    ('["a"]', "not a JSON object"),
    ('{"text": "no id"}', "without an id"),
    ('{"id": "", "text": "no id"}', "without an id"),
    ('{"id": true}', "without an id"),
    ('{"id": "1", "text": 5}', "text"),
    ('{"id": "1", "text": NaN}', "not JSON"),
    ('{"id": "1", "image": 5}', "should be a path or an address"),
    ('{"id": "1", "image": "images/none.jpg"}', "is missing; put it there"),
    ('{"id": "1", "image": "images"}', "is not a file"),
    ('{"id": "1", "image": "../secret.txt"}', "outside the file's folder"),
    ('{"id": "1", "image": "../none.txt"}', "outside the file's folder"),
    ('{"id": "1", "image": "images/../../secret.txt"}', "outside the file's folder"),
    ('{"id": "1", "image": "/etc/hostname"}', "outside the file's folder"),
    ('{"id": "1", "image": "link.jpg"}', "outside the file's folder"),
    ('{"id": "1", "image": "loop.jpg"}', "is missing"),
    ('{"id": "1", "image": "file:///etc/hostname"}', "https://"),
    ('{"post_id": "p", "version": -1, "created_at": "2026-11-20T10:00:00Z"}', "version"),
    ('{"op": "delete", "post_id": "p"}', "version"),
    ('{"op": "explode", "post_id": "p"}', "explode"),
    ("[" * 5000, "not JSON"),
    (" " * (1024 * 1024 + 2) + "{}", "1048576 bytes"),
]


@pytest.mark.parametrize(("line", "said"), BAD_LINES, ids=lambda value: value[:40].strip() or "long")
def test_a_bad_line_is_named_before_anything_starts(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "folder"
    picture(folder)
    (folder / "link.jpg").symlink_to(tmp_path / "secret.txt")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    path = write(folder, {"id": "0"}, line)
    with pytest.raises(InputError) as caught:
        open_posts(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mixed_pictures_are_refused(tmp_path: Path) -> None:
    picture(tmp_path)
    images = [{"url": "images/1.jpg"}, {"url": "https://example.org/a.jpg"}]
    with pytest.raises(InputError, match="all paths or all addresses"):
        open_posts(write(tmp_path, {**FULL, "images": images}))


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    path = picture(tmp_path)
    (tmp_path / "again.jpg").symlink_to(path)
    assert read(write(tmp_path, {"id": 1, "image": "again.jpg"}))[0].local_images == (path.resolve(),)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    for path, said in [
        (tmp_path / "none.jsonl", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.jsonl", "no posts in it"),
        (tmp_path / "empty.jsonl" / "below", "cannot be read"),
    ]:
        with pytest.raises(InputError, match=said):
            open_posts(path)


def test_a_file_name_that_is_no_source(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": 1}, name="my posts.jsonl")
    with pytest.raises(InputError, match="--source"):
        open_posts(path)
    assert len(open_posts(path, "mine")) == 1


def test_a_file_that_changes_behind_our_back(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": 1}, {"id": 2})
    posts = open_posts(path)
    path.write_text('{"id": 1}\n{"id":')
    with pytest.raises(InputError, match=":2: not JSON"):
        list(posts)
