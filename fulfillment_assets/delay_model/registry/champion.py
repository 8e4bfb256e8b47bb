"""The `model_champion` table: the one-row pointer at the version that scores, and its loaded model.

Nothing but a decision moves the pointer. Whoever scores asks a `Champion` for the scorer, and so
goes over to a new version without a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.artifacts import ModelFiles, read_files
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.polarity import check_label_polarity
from fulfillment_assets.delay_model.registry.decisions import Decision, record
from fulfillment_assets.delay_model.registry.errors import ChampionChangedError, UnfitModelError
from fulfillment_assets.delay_model.registry.versions import open_version, register
from fulfillment_assets.delay_model.scorer import DelayScorer

RETRY_SECONDS: Final = 30.0
"""How long a champion that could not be loaded is left alone before it is tried again."""

Transaction: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Opens the transaction in which a decision takes effect, for callers who add to it."""

_log = logging.getLogger(__name__)


def champion_version(connection: Connection) -> str | None:
    """The version that scores; None in a database that has no champion yet."""
    version: str | None = connection.scalar(sa.text("SELECT version FROM model_champion"))
    return version


def ensure_champion(engine: Engine, models_dir: Path) -> str:
    """The version that scores; in a database without one, the model of a folder becomes it.

    Processes that do so at once agree on one.

    Raises:
        ArtifactError: there is no champion, and the folder holds no model that can be used.
        UnfitModelError: the folder's model has its label inverted.
    """
    with engine.connect() as connection:
        version = champion_version(connection)
    if version is not None:
        return version
    first_champion(engine, read_files(models_dir))
    return ensure_champion(engine, models_dir)  # another process may have come first


def first_champion(
    engine: Engine,
    files: ModelFiles,
    *,
    by: str | None = None,
    transaction: Transaction | None = None,
) -> Decision | None:
    """Make a model the first champion; None if there is one already.

    Raises:
        ArtifactError: the files are not a model that can be used.
        UnfitModelError: its label is inverted.
    """
    scorer = DelayScorer.open(files)
    polarity = check_label_polarity(scorer)
    if not polarity.passed:
        raise UnfitModelError(
            f"The model {scorer.version} cannot become champion. {polarity.message}"
        )
    with (transaction or engine.begin)() as connection:
        connection.execute(sa.text("LOCK TABLE model_champion IN SHARE ROW EXCLUSIVE MODE"))
        if champion_version(connection) is not None:
            return None
        register(connection, files)
        connection.execute(
            sa.text("INSERT INTO model_champion (version) VALUES (:version)"),
            {"version": scorer.version},
        )
        reason = f"there was no champion; from {files.origin}"
        return record(connection, "first", scorer.version, champion=None, reason=reason, by=by)


def replace_champion(connection: Connection, champion: str, version: str) -> None:
    """Point at `version`, in one update, if `champion` is still the champion.

    Raises:
        ChampionChangedError: it is not.
    """
    moved = connection.execute(
        sa.text(
            "UPDATE model_champion SET version = :version, since = now() WHERE version = :champion"
        ),
        {"version": version, "champion": champion},
    )
    if moved.rowcount == 0:
        raise ChampionChangedError(
            f"The champion is no longer {champion} but {champion_version(connection)}: another "
            "decision came first, and this one changed nothing. Look at `fulfillment model list` "
            "and decide again."
        )


class Champion:
    """The loaded champion, shared by threads.

    Once a model is loaded, `scorer` never waits for another one to be: when the pointer has
    moved, a thread loads the new model aside and then replaces the old one at once. A scorer
    carries its own version, so whatever it scores says who scored it.
    """

    def __init__(self, engine: Engine, models_dir: Path) -> None:
        """Nothing is loaded yet.

        Args:
            engine: of the platform's database.
            models_dir: holds the model that becomes champion of a database without one.
        """
        self._engine = engine
        self._models_dir = models_dir
        self._serving: DelayScorer | None = None
        self._loading = threading.Lock()
        self._failed: tuple[str, float] | None = None

    def scorer(self) -> DelayScorer:
        """The champion's scorer; the former champion's while the new one is being loaded.

        Raises:
            DelayModelError: no model was loaded before, and this one cannot be.
        """
        version = self._pointed_at()
        serving = self._serving
        if serving is None:
            return self._load_first(version)
        if serving.version != version and not self._loading.locked() and self._may_try(version):
            threading.Thread(
                target=self._replace, args=(version,), name="champion", daemon=True
            ).start()
        return serving

    def _pointed_at(self) -> str:
        # No transaction for one read: it saves two round trips.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            version = champion_version(connection)
        return version or ensure_champion(self._engine, self._models_dir)

    def _load_first(self, version: str) -> DelayScorer:
        with self._loading:
            if self._serving is None:
                try:
                    self._serving = open_version(self._engine, version)
                except ArtifactError as error:
                    raise ArtifactError(
                        f"The champion {version} cannot be loaded: {error} `fulfillment model "
                        "rollback` goes back to the champion before it."
                    ) from error
            return self._serving

    def _replace(self, version: str) -> None:
        if not self._loading.acquire(blocking=False):
            return
        try:
            self._serving = open_version(self._engine, version)
        except Exception:  # whatever is wrong with it, the last good model goes on scoring
            self._failed = (version, time.monotonic())
            serving = self._serving.version if self._serving else None
            _log.exception("champion %s cannot be loaded; %s goes on scoring", version, serving)
        finally:
            self._loading.release()

    def _may_try(self, version: str) -> bool:
        if self._failed is None or self._failed[0] != version:
            return True
        return time.monotonic() - self._failed[1] > RETRY_SECONDS
