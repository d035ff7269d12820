"""Plots for a bundle's documents: agreement with the truth, and the course of a training."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fetal_monai.files import atomic_path
from fetal_monai.report.labels import label, unit

__all__ = ["bland_altman", "learning_curves", "scores_by_age"]

INK, GRID, BLUE, AMBER = "#1f2937", "#e5e7eb", "#1d6fa5", "#b45309"
_SKIPPED = {"epoch", "seconds"}


def bland_altman(
    pred: ArrayLike,
    truth: ArrayLike,
    path: str | Path,
    *,
    name: str = "HC",
    unit: str = "mm",
    groups: Sequence[str] | None = None,
) -> None:
    """Draw difference (`pred` - `truth`) over mean, with the bias and the 95 % limits of agreement.

    `pred` and `truth` are (N,) in `unit`; pairs with a NaN are left out and counted in the title. `groups` (N,)
    colours the points. The file's suffix says PNG, SVG or PDF. ValueError for unequal lengths.
    """
    pred, truth = np.asarray(pred, dtype=float), np.asarray(truth, dtype=float)
    if pred.shape != truth.shape or pred.ndim != 1:
        raise ValueError(f"pred is {pred.shape} and truth {truth.shape}; both must be (N,)")
    known = np.isfinite(pred) & np.isfinite(truth)
    mean, difference = (pred[known] + truth[known]) / 2, pred[known] - truth[known]
    names = np.asarray(["" for _ in pred] if groups is None else list(groups))[known]
    figure, axes = _figure(7.2, 4.6)
    for number, group in enumerate(dict.fromkeys(names.tolist())):
        chosen = names == group
        marker = {"s": 26, "alpha": 0.75, "color": f"C{number}" if groups is not None else BLUE}
        axes.scatter(mean[chosen], difference[chosen], linewidths=0, label=group or None, **marker)
    if len(difference):
        bias = float(difference.mean())
        spread = 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else 0.0
        for value, text, style in [
            (bias, "bias", "-"),
            (bias + spread, "+1.96 SD", "--"),
            (bias - spread, "−1.96 SD", "--"),
        ]:
            axes.axhline(value, color=AMBER if text != "bias" else INK, linestyle=style, linewidth=1.2)
            axes.annotate(
                f"{text}  {value:+.2f}".replace("-", "−"),
                (1.01, value),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
                color=INK,
            )
    axes.axhline(0, color="#9ca3af", linewidth=0.8, zorder=0)
    left_out = int((~known).sum())
    axes.set_title(f"{name}: {len(difference)} scans" + (f", {left_out} without a value" if left_out else ""))
    axes.set_xlabel(f"Mean of prediction and truth, {unit}")
    axes.set_ylabel(f"Prediction − truth, {unit}")
    if groups is not None and len(names):
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=4)
    _save(figure, path)


def learning_curves(csv_path: str | Path, path: str | Path) -> None:
    """Draw every column of a training's CSV (a row each `epoch`) over epochs, losses together, others apart.

    Empty cells are gaps. ValueError if the CSV has no column `epoch` or no row.
    """
    with Path(csv_path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "epoch" not in rows[0]:
        raise ValueError(f"{csv_path} has no rows with a column 'epoch'")
    names = [name for name in rows[0] if name not in _SKIPPED]
    values = {name: np.array([_number(row[name]) for row in rows]) for name in [*names, "epoch"]}
    losses = [name for name in names if "loss" in name]
    panels = [losses] if losses else []
    panels += [[name] for name in names if name not in losses and np.isfinite(values[name]).any()]
    columns = min(3, max(1, len(panels)))
    figure, axes = _figure(4.0 * columns, 2.9 * math.ceil(len(panels) / columns), len(panels), columns)
    for panel, ax in zip(panels, np.atleast_1d(axes), strict=True):
        for name in panel:
            known = np.isfinite(values[name])
            ax.plot(values["epoch"][known], values[name][known], linewidth=1.5, label=_title(name))
        ax.set_title(_title(panel[0]) if len(panel) == 1 else "Loss", fontsize=10)
        ax.set_xlabel("Epoch")
        if len(panel) > 1:
            ax.legend(frameon=False, fontsize=8)
    _save(figure, path)


def scores_by_age(
    ga_weeks: ArrayLike,
    scores: Mapping[str, ArrayLike],
    path: str | Path,
    *,
    name: str = "Dice",
    groups: Sequence[str] | None = None,
) -> None:
    """Draw scores between 0 and 1 over gestational age, a panel for each name: `scores` are (N,), as `ga_weeks`.

    `groups` (N,), as datasets, colour the points. Where no age is known the scans stand in their order; where some
    are, those without are left out. ValueError for unequal lengths or no score.
    """
    ages = np.asarray(ga_weeks, dtype=float)
    columns = {key: np.asarray(values, dtype=float) for key, values in scores.items()}
    wrong = [key for key, values in columns.items() if values.shape != ages.shape]
    if not columns or wrong:
        raise ValueError(f"{wrong[0] if wrong else 'scores'}: give a score for each of {len(ages)} scans")
    aged = bool(np.isfinite(ages).any())
    places = ages if aged else np.arange(1.0, len(ages) + 1)
    names = np.asarray(["" for _ in ages] if groups is None else list(groups))
    wide = min(4, len(columns))
    figure, axes = _figure(
        max(4.0, 2.7 * wide), 2.6 * math.ceil(len(columns) / wide) + 0.4, len(columns), wide
    )
    low = min([0.5, *(float(v[np.isfinite(v)].min()) for v in columns.values() if np.isfinite(v).any())])
    for (key, values), ax in zip(columns.items(), np.atleast_1d(axes), strict=True):
        for number, group in enumerate(dict.fromkeys(names.tolist())):
            chosen = (names == group) & np.isfinite(places) & np.isfinite(values)
            ax.scatter(places[chosen], values[chosen], s=20, color=f"C{number}", linewidths=0, label=group)
        ax.set_title(_title(key), fontsize=10)
        ax.set_ylim(low - 0.03, 1.02)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("Gestational age, weeks" if aged else "Scan", fontsize=9)
        ax.set_ylabel(name, fontsize=9)
    if len(set(names.tolist())) > 1:
        handles = np.atleast_1d(axes)[0].get_legend_handles_labels()
        figure.legend(*handles, frameon=False, fontsize=9, loc="outside lower center", ncols=4)
    _save(figure, path)


def _number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _title(name: str) -> str:
    return f"{label(name)}, {unit(name)}" if unit(name) else label(name)


def _figure(width: float, height: float, panels: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure and its axes without pyplot, so that no window system and no global state is touched."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    rows = math.ceil(panels / columns)
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(panels)]
    for ax in axes:
        ax.grid(color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=9, colors=INK)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[0] if panels == 1 else axes


def _save(figure: Any, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
