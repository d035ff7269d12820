"""Puts the bundles and the dataset manifest into built wheels; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "eval", "runs", ".*", "*.tmp*")


class BuildWithBundles(build_py):
    """In a wheel they lie inside the package, where `fetal_monai.bundles` and `fetal_monai.fetch` look."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "fetal_monai"
        for folder in ("_bundles", "_data"):
            shutil.rmtree(package / folder, ignore_errors=True)
        if (ROOT / "bundles").is_dir():
            shutil.copytree(ROOT / "bundles", package / "_bundles", ignore=NOT_SHIPPED)
        (package / "_data").mkdir(parents=True)
        shutil.copy(ROOT / "data" / "manifest.yaml", package / "_data")


setup(cmdclass={"build_py": BuildWithBundles})
