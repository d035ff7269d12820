"""Anomaly scores against the truth: false alarms among healthy heads, and what is told from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fetal_monai import metrics
from fetal_monai.anomaly.separation import auc, auc_interval
from fetal_monai.evaluation.anomaly_pictures import NORMAL, Find
from fetal_monai.evaluation.table import Evaluation, mean, sd
from fetal_monai.settings import as_mapping
from fetal_monai.transforms.anomaly_outputs import ANOMALY_COLUMNS, TERMS

if TYPE_CHECKING:
    from fetal_monai.run import ScanRun

__all__ = ["CalibrateAnomaly", "EvaluateAnomaly", "describe_anomalies", "head_in", "summarise_anomalies"]

COLUMNS = [
    "filename",
    "kind",
    "size_mm",
    "subject",
    "role",
    "folder",
    *ANOMALY_COLUMNS,
    "brightness",
    "flags",
]
SCORES = ("anomaly_score", *TERMS)
BRIGHTNESS = "brightness"  # mean gray value of the picture: what anybody could tell it by, no score


def head_in(finder: Any) -> Find:
    """Reads a picture and finds its head with a :class:`fetal_monai.head_finder.HeadFinder`.

    Spacing comes from the file, or a CSV in its folder.
    """
    from fetal_monai.scan import read_scan, read_spacing_csv, source_of
    from fetal_monai.transforms.anomaly_inputs import FindHeadd
    from fetal_monai.transforms.ultrasound import ToNetworkGridd

    grid, look = ToNetworkGridd("image", finder.pixels, finder.divisor), FindHeadd(finder)
    tables: dict[Path, Any] = {}

    def find(path: Path) -> Any:
        table = tables.setdefault(path.parent, read_spacing_csv(path.parent))
        item = look(grid({"image": read_scan(source_of(path), spacing_table=table)}))
        spacing = item["scan"].spacing_mm
        return (
            item["scan"].image,
            item["head"].ellipse,
            None if spacing is None else math.sqrt(math.prod(spacing)),
        )

    return find


class EvaluateAnomaly(Evaluation):
    """Keeps every score; last of the ``output`` transforms, and a handler of the evaluator.

    As a transform it adds a row for each scan; attached after the ``ScanWriter`` it writes ``evaluation.csv`` and
    ``evaluation.json`` to ``output_dir`` when the run is over.

    Args:
        truth: what :func:`fetal_monai.evaluation.anomaly_pictures.write_trial_pictures` gave.
        run: the run whose failed scans count as unreadable; it must not be a resumed one.
        false_alarm_rate: the p-value up to which a head counts as flagged.
        against: by kind, the kind that it is told from, where these are not the healthy heads.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        false_alarm_rate: float = 0.05,
        against: Mapping[str, str] | str | None = None,
    ) -> None:
        super().__init__(run, output_dir)
        self.truth = {Path(item["image"]).name: item for item in truth}
        self.false_alarm_rate, self.against = false_alarm_rate, as_mapping(against, "against")
        kinds = {item["kind"] for item in truth}
        unknown = sorted({*self.against, *self.against.values()} - kinds) if truth else []
        if unknown:
            raise ValueError(f"against names {unknown[0]!r}; there are {', '.join(sorted(kinds))}")

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        out = dict(data)
        record, item = out["record"], self.truth[Path(out["record"].filename).name]
        row = {name: item[name] for name in ("kind", "size_mm", "subject", "role", "folder")}
        row |= {name: record.measures[name] for name in ANOMALY_COLUMNS}
        row["brightness"] = float(np.mean(out["scan"].image))
        row |= {"filename": record.filename, "flags": ";".join(record.all_flags), "code": out["code"]}
        self.rows.append(row)
        return out

    def finish(self) -> dict[str, Any]:
        """Write the files and return what ``evaluation.json`` holds."""
        self.write_rows(COLUMNS)
        folders = sorted({row["folder"] for row in self.rows if row["folder"]})
        summary = self.write_summary(
            lambda rows: summarise_anomalies(rows, self.false_alarm_rate, self.against),
            {"folder": folders if len(folders) > 1 else []},
        )
        print(describe_anomalies(summary["all"], summary["unreadable"]))  # noqa: T201  what the evaluation is run for
        for folder, told in summary["by_folder"].items():
            print(f"{folder}: {describe_anomalies(told | {'kinds': []}, 0)}")  # noqa: T201
        return summary


class CalibrateAnomaly(EvaluateAnomaly):
    """Writes what is usual among healthy heads: their codes, and the score's terms.

    The Gaussian of the codes is that of the patients of the role ``train``, centre and spread of the terms in
    ``score_of``, each with its weight, come from ``validation``, and the p-value from ``calibration``.
    """

    def __init__(
        self,
        truth: Sequence[Mapping[str, Any]],
        run: ScanRun,
        output_dir: str,
        calibration_path: str,
        codes_path: str,
        score_of: Mapping[str, float],
        source: str = "",
    ) -> None:
        super().__init__(truth, run, output_dir)
        unknown = [name for name in score_of if name not in TERMS]
        if unknown or not score_of:
            raise ValueError(f"score_of is {list(score_of)}; give some of {', '.join(TERMS)}")
        self.calibration_path, self.codes_path = calibration_path, codes_path
        self.score_of, self.source = dict(score_of), source

    def finish(self) -> dict[str, Any]:
        from fetal_monai.anomaly.calibration import fit_score
        from fetal_monai.anomaly.reconstruction import Gaussian

        usual = Gaussian.fit([row["code"] for row in self.rows if row["role"] == "train"])
        usual.save(self.codes_path)
        stored = Gaussian.load(self.codes_path)  # in single precision, as inference will see it
        rows = [row for row in self.rows if row["role"] in ("validation", "calibration")]
        for row in self.rows:
            row["latent_distance"] = stored.distance(row["code"])
        calibration = fit_score(
            {name: np.array([row[name] for row in rows]) for name in self.score_of},
            np.array([row["role"] == "validation" for row in rows]),
            self.score_of,
            self.source,
        )
        calibration.save(self.calibration_path)
        for row in self.rows:
            row["anomaly_score"] = calibration.score(row)
            row["p_value"] = calibration.p_value(row["anomaly_score"])
        return super().finish()


def summarise_anomalies(
    rows: Sequence[Mapping[str, Any]],
    false_alarm_rate: float = 0.05,
    against: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Errors and false alarms of healthy heads, and for each kind and size how well every score tells it from them.

    ``against`` names, by kind, another kind to tell it from. Intervals are of 95 %, by bootstrap over the subjects.
    """
    against = against or {}
    normal = [row for row in rows if row["kind"] == NORMAL]
    alarms = np.array([row["p_value"] <= false_alarm_rate for row in normal], dtype=float)
    subjects = np.array([row["subject"] for row in normal])
    summary: dict[str, Any] = {
        "normal": {
            "n": len(normal),
            "subjects": len(set(subjects.tolist())),
            **{name: {"mean": mean(v := _column(normal, name)), "sd": sd(v)} for name in SCORES},
            "false_alarm_rate": float(alarms.mean()) if len(alarms) else math.nan,
            "false_alarm_interval": metrics.bootstrap_interval(alarms, groups=subjects),
        },
        "kinds": [],
    }
    groups = sorted({(row["kind"], row["size_mm"]) for row in rows if row["kind"] != NORMAL})
    for kind, size_mm in groups:
        found = [row for row in rows if (row["kind"], row["size_mm"]) == (kind, size_mm)]
        other = against.get(kind, NORMAL)
        usual = normal if other == NORMAL else [row for row in rows if row["kind"] == other]
        entry = {"kind": kind, "size_mm": size_mm, "n": len(found), "against": other, "n_against": len(usual)}
        entry["flagged"] = float(np.mean([row["p_value"] <= false_alarm_rate for row in found]))
        entry["auroc"] = {
            name: auc(_column(found, name), _column(usual, name)) for name in (*SCORES, BRIGHTNESS)
        }
        entry["auroc_interval"] = auc_interval(
            _column(found, SCORES[0]),
            _column(usual, SCORES[0]),
            [row["subject"] for row in found],
            [row["subject"] for row in usual],
        )
        summary["kinds"].append(entry)
    return summary


def describe_anomalies(summary: Mapping[str, Any], unreadable: int) -> str:
    """What :func:`summarise_anomalies` gave, in some lines for people."""
    normal = summary["normal"]
    low, high = normal["false_alarm_interval"]
    lines = [
        f"{normal['n']} healthy heads of {normal['subjects']} subjects, {unreadable} unreadable",
        f"MSE {normal['mse']['mean']:.5f} ± {normal['mse']['sd']:.5f}",
        f"false alarms {100 * normal['false_alarm_rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)",
    ]
    for entry in summary["kinds"]:
        size = f" {entry['size_mm']:g} mm" if entry["size_mm"] else ""
        low, high = entry["auroc_interval"]
        parts = "  ".join(f"{name} {entry['auroc'][name]:.3f}" for name in (*TERMS, BRIGHTNESS))
        kind = entry["kind"] + (f" against {entry['against']}" if entry["against"] != NORMAL else "")
        lines.append(
            f"{kind}{size} (n = {entry['n']}): AUROC {entry['auroc']['anomaly_score']:.3f} "
            f"({low:.3f} to {high:.3f}), flagged {100 * entry['flagged']:.0f} %; {parts}"
        )
    return "\n".join(lines)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)
