"""Who made an object, and under which names it goes: the bundle, its weights, and UIDs that follow from content."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fetal_monai

__all__ = ["Origin", "derived_uid"]

NAMESPACE = uuid.UUID("b1a0f3a6-6a0b-5a53-9d3c-0f1f5b8d2c11")  # of our UIDs


def derived_uid(*parts: str | bytes) -> str:
    """A UID under 2.25 (PS3.5 B.2) that these parts alone decide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"2.25.{uuid.uuid5(NAMESPACE, digest.hexdigest()).int}"


@dataclass(frozen=True)
class Origin:
    """The algorithm of a run: `key` stands for bundle version, weights and settings together."""

    bundle: str
    version: str
    weights_sha256: str
    key: str

    @classmethod
    def of_run(cls, info: Mapping[str, Any], key: str) -> Origin:
        """From what `run.json` says of a run, and the key of its journal."""
        return cls(info["bundle"], str(info["bundle_version"]), info["weights_sha256"], key)

    @property
    def equipment(self) -> dict[str, Any]:
        """Arguments of highdicom's constructors."""
        return {
            "manufacturer": "fetal_monai",
            "manufacturer_model_name": self.bundle,
            "software_versions": f"{self.version} (fetal_monai {fetal_monai.__version__})",
            "device_serial_number": self.weights_sha256[:16] or "no weights",
        }

    @property
    def parameters(self) -> dict[str, str]:
        """What the algorithm ran with."""
        return {"weights_sha256": self.weights_sha256, "fetal_monai": fetal_monai.__version__}

    @property
    def device_uid(self) -> str:
        return derived_uid(self.bundle, self.version, self.weights_sha256)
