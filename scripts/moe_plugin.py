"""Put gpt-oss' kernels beside a vLLM: `python scripts/moe_plugin.py SITE-PACKAGES`.

Copies `serving/moe` and writes what makes it an installed distribution with an entry point, so that
vLLM finds the plugin. Needs none of Footnote's libraries: the Dockerfile's target `vllm` runs it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME, VERSION = "footnote-moe", "0.1.0"
ENTRY = "[vllm.general_plugins]\nfootnote_moe = serving.moe.vllm_plugin:register\n"


def main() -> None:
    """Install into the folder that is named on the command line."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    files = install(Path(sys.argv[1]))
    print(f"footnote: {len(files)} files of {NAME} {VERSION} are in {sys.argv[1]}")


def install(folder: Path) -> list[Path]:
    """Copy the sources, write the distribution's description, and return what was written."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT / "serving" / "moe", folder / "serving" / "moe", ignore=skipped, dirs_exist_ok=True
    )
    shutil.copy(ROOT / "serving" / "__init__.py", folder / "serving" / "__init__.py")
    described = folder / f"{NAME.replace('-', '_')}-{VERSION}.dist-info"
    described.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nLicense: Apache-2.0\n"
    (described / "METADATA").write_text(metadata)
    (described / "entry_points.txt").write_text(ENTRY)
    (described / "INSTALLER").write_text("footnote\n")
    written = sorted(
        path for top in ("serving", described.name) for path in (folder / top).rglob("*")
    )
    files = [path for path in written if path.is_file()]
    record = [f"{path.relative_to(folder).as_posix()},," for path in files]
    (described / "RECORD").write_text("\n".join([*record, f"{described.name}/RECORD,,", ""]))
    return files


if __name__ == "__main__":
    main()
