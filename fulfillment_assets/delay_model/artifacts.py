"""The stored model: three files that are written together and trusted only together.

`delay_classifier.joblib` and `preprocessor.joblib` are pickles, and a pickle runs code when it
is read: nothing is unpickled before its sha256 equals the one in `model_metadata.json`.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fulfillment_assets.delay_model.errors import ArtifactError, LibraryDriftWarning
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.orders.contract import FEATURES

CLASSIFIER_FILE: Final = "delay_classifier.joblib"
PREPROCESSOR_FILE: Final = "preprocessor.joblib"
METADATA_FILE: Final = "model_metadata.json"
FILES: Final = (CLASSIFIER_FILE, PREPROCESSOR_FILE, METADATA_FILE)
"""The metadata last: they vouch for the others."""

LIBRARIES: Final = ("joblib", "lightgbm", "numpy", "pandas", "scikit-learn")
"""Libraries whose version can change what a stored model is or says."""

_REMEDY: Final = "Restore the three files from version control, or run `fulfillment train`."


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The three files, read and verified."""

    classifier: Any
    preprocessor: Any
    metadata: ModelMetadata


def library_versions() -> dict[str, str]:
    """Installed versions of `LIBRARIES`."""
    return {name: version(name) for name in LIBRARIES}


def dump(fitted: Any) -> bytes:
    """The artefact's bytes of a fitted estimator, for `joblib.load`: equal for equal training.

    A pickle tells equal strings from one string that stands twice. Which of the two a process
    has depends on what it did before, so equal strings are made one here.
    """
    from joblib.numpy_pickle import NumpyPickler

    strings: dict[str, str] = {}

    class Pickler(NumpyPickler):  # type: ignore[misc]  # joblib has no types
        def save(self, obj: Any, *args: Any, **options: Any) -> None:
            one = strings.setdefault(obj, obj) if type(obj) is str else obj
            super().save(one, *args, **options)

    buffer = io.BytesIO()
    Pickler(buffer).dump(fitted)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The bytes of a model's three files, wherever they are kept.

    Attributes:
        origin: the folder, or what else they were read from; for error messages.
        contents: file name -> bytes.
    """

    origin: str
    contents: Mapping[str, bytes]

    def __getitem__(self, name: str) -> bytes:
        try:
            return self.contents[name]
        except KeyError:
            raise ArtifactError(
                f"There is no model: {self.where(name)} is missing. {_REMEDY}"
            ) from None

    def where(self, name: str) -> str:
        """A file's full name, for error messages."""
        return f"{self.origin}/{name}"


def write_files(models_dir: Path, files: ModelFiles) -> None:
    """Replace the model of a folder, the metadata last.

    All files are written beside the old ones before the first is replaced, so that a full disk
    leaves the old model whole. A reader between two replacements sees digests that do not
    match, and refuses.

    Args:
        models_dir: created if missing.
        files: the model.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".new-") as staging:
        for name in FILES:
            with Path(staging, name).open("wb") as file:
                file.write(files[name])
                file.flush()
                os.fsync(file.fileno())
        for name in FILES:
            Path(staging, name).replace(models_dir / name)


def read_files(models_dir: Path) -> ModelFiles:
    """Read the model of a folder; nothing is verified or opened yet.

    Raises:
        ArtifactError: a file cannot be read. One that is missing is told when it is asked for.
    """
    paths = (models_dir / name for name in FILES)
    return ModelFiles(str(models_dir), {p.name: _read(p) for p in paths if p.exists()})


def open_artifacts(files: ModelFiles) -> Artifacts:
    """Unpickle a model, verifying each file before.

    Warns `LibraryDriftWarning` when it was trained with other library versions.

    Raises:
        ArtifactError: a file is missing, altered, unreadable or made for other code.
    """
    metadata = verify_artifacts(files)
    _warn_of_drift(metadata)
    return Artifacts(
        classifier=_unpickle(CLASSIFIER_FILE, files, metadata),
        preprocessor=_unpickle(PREPROCESSOR_FILE, files, metadata),
        metadata=metadata,
    )


def verify_artifacts(files: ModelFiles) -> ModelMetadata:
    """Check that files are the model that their metadata describe; open none of them.

    Raises:
        ArtifactError: a file is missing, altered, unreadable or made for other code.
    """
    metadata = read_metadata(files)
    for name in (CLASSIFIER_FILE, PREPROCESSOR_FILE):
        _verify(name, files, metadata)
    return metadata


def read_metadata(files: ModelFiles) -> ModelMetadata:
    """Read what is said of a model, without opening the model.

    Raises:
        ArtifactError: the file is missing, unreadable or made for other code.
    """
    content, where = files[METADATA_FILE], files.where(METADATA_FILE)
    try:
        metadata = ModelMetadata.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ArtifactError(
            f"{where} does not describe a model of this version: {field}: {first['msg']}. {_REMEDY}"
        ) from error
    if metadata.features != FEATURES:
        raise ArtifactError(
            f"The model {metadata.version} takes the features {', '.join(metadata.features)}; "
            f"the order contract has {', '.join(FEATURES)}. Train again with `fulfillment train`."
        )
    return metadata


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error


def _verify(name: str, files: ModelFiles, metadata: ModelMetadata) -> None:
    expected, found = metadata.artifacts.get(name), sha256(files[name])
    if found != expected:
        raise ArtifactError(
            f"{files.where(name)} is not the file that {METADATA_FILE} describes: its sha256 is "
            f"{found}, expected {expected}. It was not opened. {_REMEDY}"
        )


def _warn_of_drift(metadata: ModelMetadata) -> None:
    installed = library_versions()
    drifted = [
        f"{name} {trained} (installed: {installed.get(name)})"
        for name, trained in metadata.library_versions.items()
        if installed.get(name) != trained
    ]
    if drifted:
        warnings.warn(
            f"The model {metadata.version} was trained with {', '.join(drifted)}.",
            LibraryDriftWarning,
            stacklevel=2,
        )


def _unpickle(name: str, files: ModelFiles, metadata: ModelMetadata) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(files[name]))
    except Exception as error:  # an incompatible pickle may raise anything
        trained_with = ", ".join(f"{lib} {v}" for lib, v in metadata.library_versions.items())
        raise ArtifactError(
            f"{name} cannot be read with the installed libraries ({error!r}). It was written "
            f"with {trained_with}. Install those, or train again with `fulfillment train`."
        ) from error
