"""Every error that onlygood raises on purpose.

Their tree::

    OnlygoodError                 the root: catch this to catch them all
    |-- SettingError              an option or argument has a value that cannot be used
    |-- ImageError                one image cannot be read or cannot be used
    |   |-- ImageTooLargeError    more pixels or bytes than the limits allow
    |   `-- ImageFormatError      readable, but not of the kind that this model takes (bit depth, colour)
    |-- FolderError               a set of images cannot be used (missing, empty, nothing readable, too few)
    |   `-- NotAllGoodError       a folder of good images holds what looks like defects, masks or test images
    |-- BackboneError             a backbone file or its card cannot be used
    |-- ModelFileError            a model file cannot be used
    |   |-- ModelFormatError      not a model of ours, damaged, or with parts that we do not accept
    |   `-- ModelVersionError     written by a newer onlygood than this one
    |-- TrainingError             training cannot begin or go on (collapse, a loss that is not finite)
    |   `-- CheckpointError       a checkpoint cannot be resumed from
    |-- VerificationError         the file written gives other scores than those calibrated with
    |-- WriteError                a result cannot be written
    |-- LabelledSetError          labelled images cannot be used to measure with
    |-- MissingExtraError         a command needs a library that is not installed
    `-- StationError              a station cannot start, or cannot do what it was asked
        |-- SourceError           a camera, stream or folder is not there or was lost
        |-- OutputError           an output did not take a verdict
        |-- StoreError            the station's database or images cannot be read or written
        |-- NotFoundError         a name or number that the station does not have
        `-- BusyError             the queue is full: ask again later

Each message is one sentence: the subject, what is required, what was got, what to do.
"""


class OnlygoodError(Exception):
    """The root of all errors raised on purpose."""


class SettingError(OnlygoodError, ValueError):
    """An option or argument has a value that cannot be used."""


class ImageError(OnlygoodError):
    """One image cannot be read or cannot be used.

    Attributes:
        name: what an Inspector calls the image; None where the error comes from elsewhere.
    """

    name: str | None = None


class ImageTooLargeError(ImageError):
    """An image has more pixels or bytes than the limits allow."""


class ImageFormatError(ImageError):
    """An image is readable, but its bit depth or colour is not what the model takes."""


class FolderError(OnlygoodError):
    """A set of images is missing, empty, unreadable or too small."""


class NotAllGoodError(FolderError):
    """Below a folder that is to hold good images alone there is what looks like defects, masks or test images."""


class BackboneError(OnlygoodError):
    """A backbone file or its card cannot be used."""


class ModelFileError(OnlygoodError):
    """A model file cannot be used."""


class ModelFormatError(ModelFileError):
    """The file is not an onlygood model, is damaged, or holds parts that we do not accept."""


class ModelVersionError(ModelFileError):
    """The file was written by a newer onlygood than this one."""


class TrainingError(OnlygoodError):
    """Training cannot begin or go on."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, damaged, or of another fit."""


class VerificationError(OnlygoodError):
    """The file as written gives other scores than those it was calibrated with."""


class WriteError(OnlygoodError):
    """A result cannot be written."""


class LabelledSetError(OnlygoodError):
    """Labelled images (a folder of test images, a CSV file, masks) cannot be used to measure with."""


class MissingExtraError(OnlygoodError, ImportError):
    """A command needs a library that is not part of the base install."""


class StationError(OnlygoodError):
    """A station cannot start, or cannot do what it was asked."""


class SourceError(StationError):
    """A camera, stream or folder is not there or was lost."""


class OutputError(StationError):
    """An output did not take a verdict, or it is not known whether it did.

    Attributes:
        taken: of the inspections that were handed over, how many from the first on were taken for certain.
        retry_after_s: when the other side asks to be tried again, in seconds; None where it does not say.
    """

    def __init__(self, sentence: str, *, taken: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.taken = taken
        self.retry_after_s = retry_after_s


class StoreError(StationError):
    """The station's database or images cannot be read or written."""


class NotFoundError(StationError):
    """A model, inspection, job or source that the station does not have."""


class BusyError(StationError):
    """The queue is full.

    Attributes:
        retry_after_s: when to ask again, in seconds.
    """

    def __init__(self, sentence: str, *, retry_after_s: float) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
