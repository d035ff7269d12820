from __future__ import annotations

import subprocess
import sys


def test_importing_is_quick_and_silent():
    code = (
        "import sys; import fetal_monai.measure.biometry, fetal_monai.measure.ellipse, "
        "fetal_monai.measure.growth, fetal_monai.measure.interval, fetal_monai.metrics, fetal_monai.enhance; "
        "heavy = {'torch', 'monai', 'scipy', 'skimage', 'matplotlib'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
