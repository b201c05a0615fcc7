"""Every error that mmsent raises on purpose.

MmsentError
├── SettingsError            a setting or command-line option cannot be used
├── InputError               a file, folder or value given by a person cannot be used
│   └── CheckpointError      a model checkpoint is missing, damaged or of another version
├── SetupError               this machine lacks something: a port, a permission, a package, a schema
├── InvalidMessageError      a Kafka record is not a post, a delete or a forget
├── ImageError               a picture cannot be had; `reason` is one of `posts.ImageErrorReason`
├── EngineError              the engine failed on a batch, or gave numbers that are not probabilities
├── StoreDataError           the database refuses these values; trying again changes nothing
└── UnavailableError         a system we depend on is down, slow or locked (retriable)
    ├── StoreUnavailableError     the database
    ├── BrokerUnavailableError    Kafka
    │   └── PartitionLostError    another worker owns the partition now
    └── LiveUnavailableError      Redis

`retriable` says whether the same call may succeed later without anyone changing anything;
`exit_code` is what a command ends with.
"""

from typing import ClassVar


class MmsentError(Exception):
    """Root of the tree. Its text is one line that says what is wrong and what to do next."""

    retriable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class SettingsError(MmsentError):
    exit_code = 2


class InputError(MmsentError):
    exit_code = 3


class CheckpointError(InputError):
    pass


class SetupError(MmsentError):
    exit_code = 4


class InvalidMessageError(MmsentError):
    """A record that is not a message of the contract; `stage` says how far it came."""

    def __init__(self, message: str, *, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class ImageError(MmsentError):
    """A picture that cannot be scored; the post goes on without it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class EngineError(MmsentError):
    pass


class StoreDataError(MmsentError):
    pass


class UnavailableError(MmsentError):
    retriable = True
    exit_code = 4


class StoreUnavailableError(UnavailableError):
    pass


class BrokerUnavailableError(UnavailableError):
    pass


class PartitionLostError(BrokerUnavailableError):
    pass


class LiveUnavailableError(UnavailableError):
    pass
