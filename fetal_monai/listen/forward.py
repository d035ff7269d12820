"""Results onward by C-STORE: to each receiver, again until it takes them or they are given up."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetal_monai.listen.cause import cause_of
from fetal_monai.listen.spool import Spool

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Forwarding", "Receiver", "parse_receiver", "send"]

LOG = logging.getLogger("fetal_monai.listen")
FIRST_S, LONGEST_S = 5.0, 600.0  # between two tries
REFUSALS = 3  # tries after which what a receiver refuses is given up
KINDS = {"_seg": "Segmentation", "_sr": "Structured Report", "_overlay": "Secondary Capture"}
TIMEOUT_S = 60


@dataclass(frozen=True)
class Receiver:
    """Where results go."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def parse_receiver(text: str) -> Receiver:
    """`AE@host:port`; raises ValueError, with an example, for all else."""
    match = re.fullmatch(r"([^\\@]{1,16})@(\[[0-9A-Fa-f:.]+\]|[^@:\s]+):(\d{1,5})", text.strip())
    if match is None or not 0 < int(match[3]) < 2**16 or not match[1].strip():
        raise ValueError(
            f"{text!r} is no receiver; write its AE title, host and port, such as PACS@10.0.0.5:104"
        )
    return Receiver(match[1].strip(), match[2].strip("[]"), int(match[3]))


def send(receiver: Receiver, ae_title: str, files: Sequence[Path]) -> tuple[set[Path], dict[Path, str]]:
    """Store files with a receiver: those that it took, and why it refused others for good.

    What is in neither could not be handed over this time. A warning counts as taken.
    """
    from pydicom import dcmread
    from pynetdicom import AE

    taken: set[Path] = set()
    refused: dict[Path, str] = {}
    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
    entity.connection_timeout = TIMEOUT_S / 4
    datasets = {path: dcmread(path) for path in files}
    for sop_class, syntax in {_kind(dataset) for dataset in datasets.values()}:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(receiver.host, receiver.port, ae_title=receiver.ae_title)
    if not association.is_established:
        return taken, refused
    agreed = {(one.abstract_syntax, one.transfer_syntax[0]) for one in association.accepted_contexts}
    try:
        for path, dataset in datasets.items():
            if _kind(dataset) not in agreed:
                refused[path] = f"{_name(path)}: its SOP class is not taken there"
                continue
            answer: Any = association.send_c_store(dataset)
            if "Status" not in answer:  # the association broke
                break
            status = int(answer.Status)
            if status == 0 or status >> 12 == 0xB:
                taken.add(path)
            elif status >> 8 != 0xA7:  # which is no room
                refused[path] = f"{_name(path)}: refused with status 0x{status:04X}"
    finally:
        if association.is_established:
            association.release()
    return taken, refused


class Forwarding:
    """Sends what is done to each receiver, and tries again later what it did not take.

    Args:
        spool: where it lies.
        receivers: all of them get all results.
        ae_title: the title to send as.
        give_up_s: how long after a study was done results are tried; then it is put aside, with them.
    """

    def __init__(
        self,
        spool: Spool,
        receivers: Sequence[Receiver],
        ae_title: str,
        give_up_s: float,
        first_s: float = FIRST_S,
    ) -> None:
        self.spool, self.receivers, self.ae_title = spool, list(receivers), ae_title
        self.give_up_s, self.first_s = give_up_s, first_s
        self._tries: dict[tuple[str, Receiver], tuple[int, float]] = {}  # how many, and when the next is due

    def round(self) -> None:
        """Send what is due."""
        for study in self.spool.studies("done"):
            try:
                told = {receiver: self._deliver(study, receiver) for receiver in self.receivers}
            except Exception as error:  # the others go on
                LOG.error("study %s: not sent (%s)", study, cause_of(error))
                self._tries |= {(study, one): (0, time.monotonic() + LONGEST_S) for one in self.receivers}
                continue
            if None in told.values():
                continue
            for receiver in self.receivers:
                self._tries.pop((study, receiver), None)
            problems = [f"{receiver}: {problem}" for receiver, problem in told.items() if problem]
            if problems:
                words = "\n".join(problems)
                self.spool.put_aside("done", study, f"results lie in out, but were not all taken:\n{words}")
                LOG.error("study %s: put aside, not all results were taken", study)
            else:
                self.spool.sent(study)
                LOG.info("study %s: finished", study)

    def _deliver(self, study: str, receiver: Receiver) -> str | None:
        """Nothing where a receiver has taken all, why it is given up, or None where it is to be tried again."""
        done = self.spool.folder("done", study)
        known = self.spool.taken(study, str(receiver))
        results = {path.relative_to(done / "out").as_posix(): path for path in self.spool.results(study)}
        missing = {name: path for name, path in results.items() if name not in known}
        tries, due = self._tries.get((study, receiver), (0, 0.0))
        if not missing:
            return ""
        if time.monotonic() < due:
            return None
        taken, refused = send(receiver, self.ae_title, list(missing.values()))
        if taken:
            names = {name for name, path in missing.items() if path in taken}
            self.spool.mark_taken(study, str(receiver), names)
            LOG.info("study %s: %d objects sent to %s", study, len(names), receiver)
        if len(taken) == len(missing):
            return ""
        is_final = len(taken) + len(refused) == len(missing)
        problem = "; ".join(sorted(refused.values())) if is_final else "not reached, or no answer"
        is_old = time.time() - done.stat().st_mtime > self.give_up_s
        if is_old or (is_final and tries + 1 >= REFUSALS):
            return problem
        wait_s = min(self.first_s * 2**tries, LONGEST_S)
        self._tries[study, receiver] = tries + 1, time.monotonic() + wait_s
        LOG.warning("study %s: %s: %s; again in %.0f s", study, receiver, problem, wait_s)
        return None


def _kind(dataset: Dataset) -> tuple[str, str]:
    return str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID)


def _name(path: Path) -> str:
    """What an object is, by its file's name; its path may be long."""
    return next((name for ending, name in KINDS.items() if path.stem.endswith(ending)), "object")
