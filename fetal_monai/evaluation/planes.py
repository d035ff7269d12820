"""Planes against the truth: how often a classifier is right, how well its probabilities hold, what it mixes up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetal_monai import metrics
from fetal_monai.evaluation.table import Evaluation
from fetal_monai.measure.plane import NONE_OF_THESE, PLANES
from fetal_monai.transforms.classification_outputs import PLANE_COLUMNS

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["CalibratePlanes", "EvaluatePlanes", "describe_planes", "summarise_planes"]

COLUMNS = ["filename", "patient", "role", "plane_true", *PLANE_COLUMNS, "flags"]
BINS = 10  # of the calibration error


class EvaluatePlanes(Evaluation):
    """Compares planes with the truth; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan; attached after the ``ScanWriter`` it writes ``evaluation.csv`` and
    ``evaluation.json`` to ``output_dir`` when the run is over.

    Args:
        truth: items as :func:`fetal_monai.datasets.plane_items` gives them.
        run: the run whose failed scans count as unreadable; it must not be a resumed one.
    """

    def __init__(self, truth: Sequence[Mapping[str, Any]], run: ScanRun, output_dir: str) -> None:
        super().__init__(run, output_dir)
        self.truth = {Path(item["image"]).name: item for item in truth}

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        record, item = data["record"], self.truth[Path(data["record"].filename).name]
        row = {"filename": record.filename, "patient": item["subject"], "role": item["role"]}
        row |= {"plane_true": item["plane"], "flags": ";".join(record.all_flags)}
        row |= {name: record.measures[name] for name in PLANE_COLUMNS}
        row |= {"logits": data["logits"], "features": data["features"]}
        self.rows.append(row)
        return dict(data)

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        from fetal_monai.record import write_json

        self.write_rows(COLUMNS)
        summary = summarise_planes(self.rows) | {"unreadable": len(self.run.failures)}
        write_json(self.output_dir / "evaluation.json", summary)
        print(describe_planes(summary))  # noqa: T201  what the evaluation is run for
        return summary


class CalibratePlanes(EvaluatePlanes):
    """Writes the calibration: features of patients of the role ``train``, temperature and distances of ``calibration``.

    For the temperature each plane counts alike. Raises ValueError where either role has no picture.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        calibration_path: str,
        features_path: str,
        source: str = "",
    ) -> None:
        super().__init__(truth, run, output_dir)
        self.calibration_path, self.features_path, self.source = calibration_path, features_path, source

    def finish(self) -> dict[str, Any]:
        from fetal_monai.anomaly.plane_calibration import FeatureSpace, PlaneCalibration, fit_temperature

        train, held = ([row for row in self.rows if row["role"] == role] for role in ("train", "calibration"))
        if not (train and held):
            raise ValueError(
                f"{len(train)} pictures of the role train and {len(held)} of calibration; both need some: see fractions"
            )
        FeatureSpace.fit([row["features"] for row in train], _labels(train)).save(self.features_path)
        space = FeatureSpace.load(self.features_path)  # in single precision, as inference will see it
        labels = _labels(held)
        counts = np.bincount(labels, minlength=len(PLANES))
        temperature = fit_temperature([row["logits"] for row in held], labels, 1 / counts[labels])
        distances = tuple(sorted(space.distance(row["features"]) for row in held))
        PlaneCalibration(temperature, distances, self.source).save(self.calibration_path)
        print(f"temperature {temperature:.3f}, distances of {len(held)} pictures")  # noqa: T201
        return super().finish()


def summarise_planes(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of rows of an evaluation: accuracy with 95 % intervals by bootstrap over patients, by plane, confusion.

    ``none_of_these`` counts as wrong. ``calibration_error`` is that of the likeliest plane in ten bins (ECE, Guo 2017,
    arXiv 1706.04599), ``log_loss`` in nats. ``likeliest`` is the accuracy if the distance is not asked.
    """
    truth = [str(row["plane_true"]) for row in rows]
    told = [str(row["plane"]) for row in rows]
    table = np.array([[row[f"probability_{plane}"] for plane in PLANES] for row in rows]).reshape(
        -1, len(PLANES)
    )
    place = np.array([PLANES.index(plane) for plane in truth], dtype=int)
    right = np.array([a == b for a, b in zip(truth, told, strict=True)], dtype=float)
    order = table.argsort(axis=1, kind="stable")[:, ::-1]
    likeliest = (order[:, 0] == place).astype(float)
    second = (order[:, :2] == place[:, None]).any(axis=1).astype(float)
    patients = np.array([str(row["patient"]) for row in rows])
    summary: dict[str, Any] = {"n": len(rows), "patients": len(set(patients.tolist()))}
    for name, values in (("accuracy", right), ("likeliest", likeliest), ("top2", second)):
        summary[name] = float(values.mean()) if len(values) else math.nan
        summary[f"{name}_interval"] = metrics.bootstrap_interval(values, groups=patients)
    by_plane = {}
    for number, plane in enumerate(PLANES):
        of_plane, called = place == number, np.array([one == plane for one in told], dtype=bool)
        if of_plane.any() or called.any():
            by_plane[plane] = {
                "n": int(of_plane.sum()),
                "recall": float(right[of_plane].mean()) if of_plane.any() else math.nan,
                "precision": float(right[called].mean()) if called.any() else math.nan,
            }
    recalls = [entry["recall"] for entry in by_plane.values() if entry["n"]]
    summary["balanced_accuracy"] = float(np.mean(recalls)) if recalls else math.nan
    chance = table[np.arange(len(rows)), place] if len(rows) else np.empty(0)
    summary["log_loss"] = float(-np.log(np.maximum(chance, 1e-12)).mean()) if len(rows) else math.nan
    summary["calibration_error"] = _calibration_error(table.max(axis=1, initial=0.0), likeliest)
    summary[NONE_OF_THESE] = told.count(NONE_OF_THESE)
    summary["by_plane"] = by_plane
    names = (*PLANES, NONE_OF_THESE)
    summary["confusion"] = {
        plane: {
            name: count
            for name in names
            if (count := sum(a == plane and b == name for a, b in zip(truth, told, strict=True)))
        }
        for plane in by_plane
    }
    return summary


def describe_planes(summary: Mapping[str, Any]) -> str:
    """What :func:`summarise_planes` gave, in some lines for people."""
    lines = [
        f"{summary['n']} scans of {summary['patients']} patients, {summary.get('unreadable', 0)} unreadable"
    ]
    for name, words in (
        ("accuracy", "right"),
        ("likeliest", "right, distance not asked"),
        ("top2", "among the two likeliest"),
    ):
        low, high = summary[f"{name}_interval"]
        lines.append(f"{words}: {summary[name]:.3f} ({low:.3f} to {high:.3f})")
    lines.append(
        f"balanced accuracy {summary['balanced_accuracy']:.3f}, log loss {summary['log_loss']:.3f}, calibration error "
        f"{summary['calibration_error']:.3f}, {summary[NONE_OF_THESE]} none of these"
    )
    for plane, entry in summary["by_plane"].items():
        called = ", ".join(f"{name} {count}" for name, count in summary["confusion"][plane].items())
        lines.append(
            f"{plane}: n = {entry['n']}, recall {entry['recall']:.2f}, precision {entry['precision']:.2f}; "
            f"called {called}"
        )
    return "\n".join(lines)


def _labels(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.int_]:
    return np.array([PLANES.index(row["plane_true"]) for row in rows], dtype=int)


def _calibration_error(chance: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Mean distance of confidence and accuracy over bins of confidence, weighed by their pictures."""
    if not len(chance):
        return math.nan
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(chance[bins == one].mean() - right[bins == one].mean())) * float((bins == one).mean())
        for one in np.unique(bins)
    ]
    return float(sum(gaps))
