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


def write_artifacts(
    models_dir: Path, pickles: Mapping[str, bytes], metadata: ModelMetadata
) -> None:
    """Replace the model of a folder, the metadata last.

    All files are written beside the old ones before the first is replaced, so that a full disk
    leaves the old model whole. A reader between two replacements sees digests that do not
    match, and refuses.

    Args:
        models_dir: created if missing.
        pickles: file name -> bytes.
        metadata: with the digests of `pickles`.
    """
    contents = {**pickles, METADATA_FILE: metadata.model_dump_json(indent=2).encode() + b"\n"}
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models_dir, prefix=".new-") as staging:
        for name, content in contents.items():
            with Path(staging, name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for name in contents:
            Path(staging, name).replace(models_dir / name)


def read_artifacts(models_dir: Path) -> Artifacts:
    """Read the model of a folder, verifying each file before it is unpickled.

    Warns `LibraryDriftWarning` when it was trained with other library versions.

    Raises:
        ArtifactError: a file is missing, altered, unreadable or made for other code.
    """
    metadata, pickles = _read_all(models_dir)
    _warn_of_drift(metadata)
    return Artifacts(
        classifier=_unpickle(CLASSIFIER_FILE, pickles, metadata),
        preprocessor=_unpickle(PREPROCESSOR_FILE, pickles, metadata),
        metadata=metadata,
    )


def verify_artifacts(models_dir: Path) -> ModelMetadata:
    """Check that a folder's files are the model that its metadata describe; open none of them.

    Raises:
        ArtifactError: a file is missing, altered, unreadable or made for other code.
    """
    return _read_all(models_dir)[0]


def _read_all(models_dir: Path) -> tuple[ModelMetadata, dict[str, bytes]]:
    metadata = read_metadata(models_dir)
    return metadata, {
        name: _read_verified(models_dir / name, metadata)
        for name in (CLASSIFIER_FILE, PREPROCESSOR_FILE)
    }


def read_metadata(models_dir: Path) -> ModelMetadata:
    """Read what is said of a folder's model, without opening the model.

    Raises:
        ArtifactError: the file is missing, unreadable or made for other code.
    """
    path = models_dir / METADATA_FILE
    try:
        metadata = ModelMetadata.model_validate_json(_read(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ArtifactError(
            f"{path} does not describe a model of this version: {where}: {first['msg']}. {_REMEDY}"
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
    except FileNotFoundError:
        raise ArtifactError(f"There is no model: {path} is missing. {_REMEDY}") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error


def _read_verified(path: Path, metadata: ModelMetadata) -> bytes:
    content = _read(path)
    expected, found = metadata.artifacts.get(path.name), sha256(content)
    if found != expected:
        raise ArtifactError(
            f"{path} is not the file that {METADATA_FILE} describes: its sha256 is {found}, "
            f"expected {expected}. It was not opened. {_REMEDY}"
        )
    return content


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


def _unpickle(name: str, pickles: Mapping[str, bytes], metadata: ModelMetadata) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(pickles[name]))
    except Exception as error:  # an incompatible pickle may raise anything
        trained_with = ", ".join(f"{lib} {v}" for lib, v in metadata.library_versions.items())
        raise ArtifactError(
            f"{name} cannot be read with the installed libraries ({error!r}). It was written "
            f"with {trained_with}. Install those, or train again with `fulfillment train`."
        ) from error
