"""Which weights a model runs with: those that came with its bundle, or the last that were trained here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetal_monai.files import write_json
from fetal_monai.label.served import Model

__all__ = ["SHIPPED", "WeightsStore"]

SHIPPED = "model.pt"


@dataclass(frozen=True)
class WeightsStore:
    """Trained weights in ``folder/<bundle>/0001.pt``, ``0002.pt`` …, none of them ever overwritten.

    Beside each stands a JSON that says how it came about. The bundle's own folder is only read.
    """

    folder: Path

    def shipped(self, model: Model) -> Path:
        return model.bundle.path / "models" / SHIPPED

    def names(self, model: Model) -> list[str]:
        """All there are, the current ones first, those of the bundle (``model.pt``) last."""
        trained = sorted((path.name for path in self._folder(model).glob("[0-9]*.pt")), reverse=True)
        return [*trained, SHIPPED]

    def path(self, model: Model, name: str | None = None) -> Path:
        """The current weights, or those of a name; ValueError if there are none of that name."""
        names = self.names(model)
        chosen = names[0] if name is None else name
        if chosen not in names:
            raise ValueError(
                f"there are no weights {chosen!r} of {model.name}; there are: {', '.join(names)}"
            )
        return self.shipped(model) if chosen == SHIPPED else self._folder(model) / chosen

    def is_trained_here(self, path: Path) -> bool:
        return self.folder.resolve() in path.resolve().parents

    def keep(self, model: Model, weights: Path, history: dict[str, Any]) -> Path:
        """Move new weights to their place, from which on they are the current ones; returns the path."""
        folder = self._folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.stem) for path in folder.glob("[0-9]*.pt")), default=0)
        path = folder / f"{number:04d}.pt"
        write_json(path.with_suffix(".json"), history)
        weights.replace(path)
        return path

    def history(self, model: Model) -> list[dict[str, Any]]:
        """How each of the trained weights came about, oldest first."""
        import json

        files = sorted(self._folder(model).glob("[0-9]*.json"))
        return [
            {"weights": f"{file.stem}.pt", **json.loads(file.read_text(encoding="utf-8"))} for file in files
        ]

    def _folder(self, model: Model) -> Path:
        return self.folder / model.name
