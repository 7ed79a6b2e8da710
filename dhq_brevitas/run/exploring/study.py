# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The study of an exploration: which designs are tried, by whom, and what came of them.

Optuna holds the trials in an SQL database and proposes designs (TPE with several objectives). A
design is recorded with all its parameters in one transaction, as a trial that is running. Whoever
works on a trial holds the lock of a file, which the operating system releases when the process
ends, however it ends: a running trial whose lock is free was left behind, and is taken up again,
under its number and with its parameters. (Heartbeats would find it only after a while, and Optuna's
own way to retry makes a second record of it.) So processes must share the folder, and the database;
then every trial exists once.
"""

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from dhq_brevitas.run.exploring.options import DIRECTIONS, SEARCHED
from dhq_brevitas.util.files import START_OVER, claim_folder, read_json, write_json

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

__all__ = ["Claim", "Exploration", "trial_record"]

Possible = Callable[[Mapping[str, Any]], bool]

KIND = "study"
FILE = "exploration.json"
DATABASE = "study.db"
#: Designs drawn for one that was not tried yet.
MAX_DRAWS = 200
#: Seconds to wait for a database that another process writes to.
BUSY_SECONDS = 60


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on: its number, design, and lock."""

    number: int
    design: dict[str, Any]
    lock: FileLock


def trial_record(folder: Path, number: int) -> Path:
    """The file with all that is known of a finished trial."""
    return folder / "trials" / f"{number}.json"


class Exploration:
    """The study in ``folder``, made if there is none.

    Args:
        folder: marked as one of an exploration, new or empty.
        settings: what all designs have in common; the same as when the study was made.
        space: values of each parameter of a design.
        objectives: what designs are judged by, of DIRECTIONS.
        first: designs to try before others.
        storage: SQLAlchemy's URL of a database; None: SQLite in the folder.

    ValueError for a folder of other files, or of a study with other settings; OSError for a
    database that cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        space: Mapping[str, Sequence[Any]],
        objectives: Sequence[str],
        first: Sequence[Mapping[str, Any]] = (),
        storage: str | None = None,
    ) -> None:
        self.lock = FileLock(claim_folder(folder, KIND))
        self.folder, self.space, self.first = folder, space, first
        self.objectives = {name: DIRECTIONS[name] for name in objectives}
        for name in ("floats", "trials", "locks"):
            (folder / name).mkdir(exist_ok=True)
        url = storage or f"sqlite:///{(folder / DATABASE).resolve()}"
        self.database = _shown(url)
        asked: dict[str, Any] = {name: list(space[name]) for name in SEARCHED}
        asked["objectives"] = list(objectives)
        # The folder may be moved, or have another path on another machine.
        asked["storage"] = self.database if storage else DATABASE
        self.settings = dict(settings)
        with self.lock, self._one_sentence():
            name = self._identify({**settings, **asked})
            self.study = _open(url, name, list(self.objectives.values()))

    def _identify(self, asked: Mapping[str, Any]) -> str:
        """The name of the study; ValueError if it is one of other things than are ``asked``."""
        file = self.folder / FILE
        known = read_json(file, START_OVER)
        if known is None:
            known = {"study": f"dhq-{uuid.uuid4().hex[:12]}", "asked": dict(asked)}
            write_json(file, known)
        for name, value in asked.items():
            old = known["asked"].get(name)
            if old != value:
                raise ValueError(
                    f"{self.folder} holds an exploration with {name}={old!r}, not {value!r}: "
                    "repeat its command, or choose another --out"
                )
        return str(known["study"])

    @contextlib.contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """OSError that names the database for whatever goes wrong with it."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, StorageInternalError, ImportError) as error:
            cause = error.__cause__ or error
            reason = " ".join(str(getattr(cause, "orig", None) or cause).split())[:200]
            raise OSError(
                f"the storage {self.database} cannot be used ({reason}): start its server, or give "
                "another --storage"
            ) from error

    def trials(self) -> list["FrozenTrial"]:
        """All of them, as the database has them now."""
        with self._one_sentence():
            return self.study.get_trials(deepcopy=False)

    def claim(self, most: int, seed: int, possible: Possible = lambda design: True) -> Claim | None:
        """A trial to work on: one left behind, else a new one while there are fewer than ``most``.

        ``possible``: whether there is such a design. None if nothing is left to do, but for what
        others do now.
        """
        from optuna.trial import TrialState

        with self.lock:
            trials = self.trials()
            for trial in trials:
                lock = self._free(trial.number) if trial.state == TrialState.RUNNING else None
                if lock is not None:
                    # It may have been finished between the list and the lock.
                    if self.trials()[trial.number].state == TrialState.RUNNING:
                        return Claim(trial.number, dict(trial.params), lock)
                    lock.release()
            design = self._draw(trials, seed, possible) if len(trials) < most else None
            if design is None:
                return None
            number = len(trials)
            lock = self._free(number)
            assert lock is not None, "trials are made under the lock of the folder"
            self._add(design)
            return Claim(number, design, lock)

    def _free(self, number: int) -> FileLock | None:
        """The lock of a trial, taken; None if another process has it."""
        lock = FileLock(self.folder / "locks" / str(number))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _draw(
        self, trials: Sequence["FrozenTrial"], seed: int, possible: Possible
    ) -> dict[str, Any] | None:
        """A design that was not tried: the first ones, then drawn in a copy of the study.

        None if none is found. It depends on the trials and the seed alone, so that a search that
        was interrupted goes on as if it had not been.
        """
        import optuna

        tried = [trial.params for trial in trials]
        for design in self.first:
            if design not in tried and possible(design):
                return dict(design)
        sampler = optuna.samplers.TPESampler(seed=seed + len(trials))
        copy = optuna.create_study(directions=list(self.objectives.values()), sampler=sampler)
        copy.add_trials(trials)
        distributions = self._distributions()
        for _ in range(MAX_DRAWS):
            design = copy.ask(distributions).params
            if design not in tried and possible(design):
                return design
        return None

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            name: IntDistribution(values[0], values[-1], step=values.step)
            if isinstance(values, range)
            else CategoricalDistribution(values)
            for name, values in self.space.items()
        }

    def _add(self, design: Mapping[str, Any]) -> None:
        from optuna.trial import TrialState, create_trial

        with self._one_sentence():
            self.study.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=dict(design),
                    distributions=self._distributions(),
                )
            )

    def tell(self, claim: Claim, record: Mapping[str, Any]) -> None:
        """Records what came of a trial, the file ahead of the database, and gives its lock back.

        ``record``: its objectives, and whatever else is known; or why it was ``given_up``.
        """
        from optuna.trial import TrialState

        write_json(trial_record(self.folder, claim.number), {"trial": claim.number, **record})
        with self._one_sentence():
            if record["given_up"]:
                self.study.tell(claim.number, state=TrialState.PRUNED)
            else:
                self.study.tell(claim.number, [record[name] for name in self.objectives])
        claim.lock.release()

    def records(self) -> list[dict[str, Any]]:
        """What is known of each finished trial, by number."""
        finished = [trial.number for trial in self.trials() if trial.state.is_finished()]
        found = [read_json(trial_record(self.folder, n), START_OVER) for n in finished]
        return [record for record in found if record is not None]

    def front(self) -> list[int]:
        """Numbers of the trials that no other one is at least as good as in everything."""
        with self._one_sentence():
            return [trial.number for trial in self.study.best_trials]


def _shown(url: str) -> str:
    """A URL without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        raise ValueError(
            f"--storage {url!r} is no URL of a database, as sqlite:////tmp/x.db and "
            "postgresql+psycopg://me@localhost/mine are"
        ) from None


def _open(url: str, name: str, directions: Sequence[Literal["maximize", "minimize"]]) -> "Study":
    import optuna
    from sqlalchemy.pool import NullPool

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Connections are closed after use, which is seldom.
    options: dict[str, Any] = {"poolclass": NullPool}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": BUSY_SECONDS}
    storage: BaseStorage = optuna.storages.RDBStorage(url, engine_kwargs=options)
    # Designs are drawn elsewhere: no sampler of this one is asked.
    return optuna.create_study(
        storage=storage,
        study_name=name,
        directions=directions,
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(),
    )
