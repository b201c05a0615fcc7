"""Posts from a JSON Lines file, one message a line.

A line is a message of the contract (`post_id`, …) or the short form `{"id", "text", "image": path or URL}`.
Pictures that lie beside the file are named relative to its folder and may not lie outside of it.
"""

import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from mmsent.errors import InputError, InvalidMessageError
from mmsent.posts import DeletePost, ForgetAuthor, ImageRef, Post, Source, parse_message

Message = Post | DeletePost | ForgetAuthor
Reader = Callable[[], AbstractContextManager[IO[bytes]]]

MAX_LINE_BYTES = 1024 * 1024
_source = TypeAdapter[str](Source)


@dataclass(frozen=True)
class FilePost:
    """A message of a file.

    `local_images` stand in the order of `message.images`, one for each, when the pictures lie beside the
    file; it is empty when they are addresses, or when there are none.
    """

    message: Message
    local_images: tuple[Path, ...] = ()

    def with_addresses(self, address: Callable[[Path], str]) -> Message:
        """The message as others can read it: local pictures become what `address` says."""
        if not self.local_images or not isinstance(self.message, Post):
            return self.message
        images = tuple(
            image.model_copy(update={"url": address(path)})
            for image, path in zip(self.message.images, self.local_images, strict=True)
        )
        return self.message.model_copy(update={"images": images})


class PostFile:
    """A file whose every line was found good. Iterate it as often as you like."""

    def __init__(
        self, name: str, reader: Reader, folder: Path, source: str, now: Callable[[], datetime]
    ) -> None:
        self.name = name
        self.folder = folder
        self.source = source
        self.count = 0
        self.has_local_images = False
        self._reader = reader
        self._now = now
        self._last = datetime.min.replace(tzinfo=UTC)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[FilePost]:
        """Messages in the file's order; a short form is created at the moment it is read here.

        Raises:
            InputError: names the line that is not a message.
        """
        self._last = datetime.min.replace(tzinfo=UTC)
        with self._reader() as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if not line.strip() and len(line) <= MAX_LINE_BYTES:
                    continue
                try:
                    yield self._parse(line)
                except (InvalidMessageError, ValueError) as error:
                    raise InputError(f"{self.name}:{number}: {error}") from error

    def check(self) -> None:
        """Read every line once, so that nothing starts on a file that ends badly."""
        count, has_local_images = 0, False
        for post in self:
            count += 1
            has_local_images = has_local_images or bool(post.local_images)
        if count == 0:
            raise InputError(f"{self.name}: no posts in it; each line should be one JSON object")
        self.count, self.has_local_images = count, has_local_images

    def _parse(self, line: bytes) -> FilePost:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"longer than {MAX_LINE_BYTES} bytes; one post a line, please")
        try:
            fields = from_json(line, allow_inf_nan=False)
        except ValueError as error:
            raise ValueError(f"not JSON ({_reason(error)}); each line should be one JSON object") from error
        if not isinstance(fields, dict):
            raise ValueError("not a JSON object; each line should be one")  # noqa: TRY004  # of the file, not of us
        if "post_id" not in fields and fields.get("op") != "forget_author":
            fields = self._long_form(fields)
        message = parse_message(to_json({"op": "upsert", "source": self.source, **fields}))
        return FilePost(message, self._local_images(message) if isinstance(message, Post) else ())

    def _long_form(self, fields: dict[str, Any]) -> dict[str, Any]:
        post_id, text, image = fields.get("id"), fields.get("text"), fields.get("image")
        if isinstance(post_id, bool) or not isinstance(post_id, str | int) or post_id == "":
            raise ValueError('a post without an id; each line needs "id" (or "post_id")')
        if image is not None and not (isinstance(image, str) and image):
            raise ValueError('"image" should be a path or an address')
        named = str(post_id).startswith(("at://", "https://", "http://"))
        return {
            "op": "upsert",
            "post_id": str(post_id) if named else f"{self.source}/{post_id}",
            "version": 0,
            "source": self.source,
            "created_at": self._next_moment(),
            "text": "" if text is None else text,
            "images": [{"url": image}] if image else [],
        }

    def _next_moment(self) -> datetime:
        """Now, and later than the post before: the order of a file is the order of its times."""
        self._last = max(self._now(), self._last + timedelta(microseconds=1))
        return self._last

    def _local_images(self, post: Post) -> tuple[Path, ...]:
        paths = tuple(_local_path(image, self.folder) for image in post.images)
        local = tuple(path for path in paths if path is not None)
        if local and len(local) != len(paths):
            raise ValueError("pictures of one post should be all paths or all addresses")
        return local


def open_posts(
    path: Path, source: str | None = None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> PostFile:
    """Open a JSON Lines file (`-` is standard input) after every line of it was found good.

    Args:
        path: the file. Pictures of standard input lie relative to the current folder.
        source: goes before each short id as `<source>/<id>`; by default the file's name without its ending.
        now: the time that short forms are created at.

    Raises:
        InputError: no such file, or `file:line` of the first line that is not a message, whose picture is
            missing or lies outside the file's folder.
    """
    if str(path) == "-":
        name, reader, folder = "<stdin>", _spooled(sys.stdin.buffer), Path.cwd()
    else:
        name, reader, folder = str(path), _reader(path), path.parent.resolve()
    posts = PostFile(name, reader, folder, _source_name(path, source), now)
    posts.check()
    return posts


def _reader(path: Path) -> Reader:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name the JSON Lines file in it")
    try:
        with path.open("rb") as stream:
            if not stream.seekable():
                return _spooled(stream)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return lambda: path.open("rb")


def _spooled(stream: IO[bytes]) -> Reader:
    """What comes once, kept so that it can be read again; little of it stays in memory."""
    copy = tempfile.SpooledTemporaryFile(max_size=8 * MAX_LINE_BYTES)  # noqa: SIM115  # lives as long as we
    shutil.copyfileobj(stream, copy)

    @contextmanager
    def again() -> Iterator[IO[bytes]]:
        copy.seek(0)
        yield copy

    weakref.finalize(again, copy.close)
    return again


def _source_name(path: Path, source: str | None) -> str:
    name = source if source is not None else ("stdin" if str(path) == "-" else path.stem)
    try:
        return _source.validate_python(name)
    except ValidationError as error:
        raise InputError(
            f"{name!r} cannot be a source's name (letters, digits, '.', '_', '-', at most 64); "
            "choose one with --source"
        ) from error


def _local_path(image: ImageRef, folder: Path) -> Path | None:
    """Where the picture lies, all links followed, or None if it is an address.

    Raises:
        ValueError: missing, not a file, outside `folder`, or an address that is not http.
    """
    scheme, separator, _ = image.url.partition("://")
    if separator and scheme.isalnum():
        if scheme.lower() in {"http", "https"}:
            return None
        raise ValueError(f"picture {image.url!r}: an address should begin with https:// or http://")
    try:
        path = (folder / image.url).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        if not Path(os.path.normpath(folder / image.url)).is_relative_to(folder):
            raise ValueError(f"picture {image.url!r} lies outside the file's folder") from error
        raise ValueError(
            f"picture {image.url!r} is missing; put it there, or leave it out of the post"
        ) from error
    if not path.is_relative_to(folder):
        raise ValueError(f"picture {image.url!r} lies outside the file's folder")
    if not path.is_file():
        raise ValueError(f"picture {image.url!r} is not a file")
    return path


def _reason(error: ValueError) -> str:
    """pydantic's reason, without the line number of its own, which is always 1."""
    return str(error).replace("at line 1 column", "at column")
