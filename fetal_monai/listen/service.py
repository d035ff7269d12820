"""The listener at work: taking images, handing on complete studies, measuring and sending, side by side."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fetal_monai.listen.arrivals import Arrivals
from fetal_monai.listen.cause import cause_of
from fetal_monai.listen.forward import Forwarding, Receiver
from fetal_monai.listen.measuring import Measuring
from fetal_monai.listen.receive import handlers, make_receiver
from fetal_monai.listen.spool import Spool

__all__ = ["Settings", "serve"]

LOG = logging.getLogger("fetal_monai.listen")
ROUND_S = 0.2
AFTER_ERROR_S = 5.0
MINUTE_S, HOUR_S = 60.0, 3600.0
FORGET_S = 365 * 24 * HOUR_S  # hashes of what was measured
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """How a listener works: `configs` and `values` are the bundle's, the rest is on the command line's help."""

    spool: Path
    port: int
    ae_title: str
    modality: str
    configs: Sequence[str]
    values: Mapping[str, Any] = field(default_factory=dict)
    allowed: Sequence[str] = ()
    receivers: Sequence[Receiver] = ()
    bind: str = LOOPBACK
    wait_s: float = 30.0
    keep_s: float = 24 * HOUR_S
    limit_s: float = HOUR_S
    give_up_s: float = 72 * HOUR_S
    captures: bool = True
    debug: bool = False


def serve(settings: Settings, stop: threading.Event) -> None:
    """Listen until `stop` is set. Raises ValueError or OSError if the folder or the port can't be had."""
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they quote what they read
    warnings.simplefilter("ignore")
    os.umask(0o077)
    spool = Spool(settings.spool)
    try:
        arrivals = Arrivals(settings.wait_s)
        measuring = Measuring(
            spool, settings.configs, settings.values, settings.captures, settings.limit_s, settings.debug
        )
        forwarding = Forwarding(spool, settings.receivers, settings.ae_title, settings.give_up_s)
        entity = make_receiver(settings.ae_title, settings.modality, settings.allowed)
        try:
            server = entity.start_server(
                (settings.bind, settings.port), block=False, evt_handlers=handlers(spool, arrivals)
            )
        except OSError as error:
            raise ValueError(f"port {settings.port} can't be had ({error.strerror}); give another") from error
        assert server is not None  # as it does not block
        port = server.server_address[1]
        LOG.info("%s listens on %s:%d, spool %s", settings.ae_title, settings.bind, port, settings.spool)
        try:
            measuring.start()
            _work(
                stop,
                (lambda: _hand_on(spool, arrivals), ROUND_S),
                (measuring.next, ROUND_S),
                (forwarding.round, ROUND_S),
                (lambda: _clear(spool, settings.keep_s), MINUTE_S if settings.keep_s else ROUND_S),
            )
        finally:
            server.shutdown()
            measuring.stop()
    finally:
        spool.close()


def _work(stop: threading.Event, *steps: tuple[Callable[[], Any], float]) -> None:
    """Each step again and again in a thread of its own, until `stop` is set; an error is no reason to end.

    What a step returns says whether it goes on at once; else it pauses, for the seconds beside it.
    """

    def repeat(step: Callable[[], Any], pause_s: float) -> None:
        while not stop.is_set():
            try:
                if not step():
                    stop.wait(pause_s)
            except Exception as error:
                LOG.error("%s; tried again in %.0f s", cause_of(error), AFTER_ERROR_S)
                stop.wait(AFTER_ERROR_S)

    for step, pause_s in steps:
        threading.Thread(target=repeat, args=(step, pause_s), daemon=True).start()
    while not stop.is_set():
        stop.wait(1)  # so that a signal is seen where waiting for ever hides it


def _hand_on(spool: Spool, arrivals: Arrivals) -> None:
    for study in arrivals.complete(spool.studies("receiving")):
        again = spool.folder("sent", study).exists()
        count = sum(map(len, spool.instances("receiving", study).values()))
        try:
            state = spool.complete(study)
        except (OSError, ValueError) as error:  # the others go on
            LOG.error("study %s: %s", study, cause_of(error))
            continue
        if state:
            arrivals.forget(study)
            what = "put aside, part of it was cleared" if state == "failed" else "to be measured"
            LOG.info("study %s: %d images came, %s%s", study, count, what, " again" if again else "")


def _clear(spool: Spool, keep_s: float) -> None:
    count = spool.clear(keep_s, max(FORGET_S, keep_s))
    if count:
        LOG.info("images and results of %d studies removed", count)
