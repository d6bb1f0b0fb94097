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
    `-- MissingExtraError         a command needs a library that is not installed

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
