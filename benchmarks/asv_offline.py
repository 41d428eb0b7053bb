"""Make asv's page work without a network: ``python benchmarks/asv_offline.py .asv/html``.

The page that ``asv publish`` writes loads its libraries from servers of others. They are fetched
here with npm, once, into .asv/npm, and put beside the page.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

NPM = Path(__file__).resolve().parents[1] / ".asv" / "npm"
# What asv 0.6 asks for. The table's plug-in is not on npm in that version.
PACKAGES = {
    "blueimp-md5": "2.19.0",
    "bootstrap": "3.1.1",
    "flot": "0.8.3",
    "flot-orderbars": "1.0.0",
    "jquery": "3.3.1",
    "stupid-table-plugin": "1.1.3",
}
_FLOT = {
    f"jquery.flot{part}.min.js": f"flot/jquery.flot{part}.js"
    for part in ("", ".time", ".selection", ".categories")
}
FILES = {
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    **_FLOT,
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
_TAG = re.compile(r'<(script|link)\b[^>]*?\b(?:src|href)="(https?://[^"]+)"[^>]*>')


class OfflineError(Exception):
    """The page cannot be made to work without a network; the message says why."""


def make_offline(html: Path, npm: Path = NPM) -> list[str]:
    """Put the libraries beside the page of a folder, and let it load them; return their names."""
    page = html / "index.html"
    if not page.is_file():
        raise OfflineError(f"{html} has no index.html; run asv publish first")
    _install(npm)
    copied: list[str] = []

    def local(tag: re.Match[str]) -> str:
        name = tag[2].rpartition("/")[2]
        if name not in FILES:
            raise OfflineError(f"the page loads {tag[2]}, which is not known here")
        (html / "vendor").mkdir(exist_ok=True)
        shutil.copy(npm / "node_modules" / FILES[name], html / "vendor" / name)
        copied.append(name)
        place = f"vendor/{name}"
        if tag[1] == "link":
            return f'<link rel="stylesheet" href="{place}">'
        return f'<script src="{place}" onerror="js_load_failure()">'

    page.write_text(_TAG.sub(local, page.read_text(encoding="utf-8")), encoding="utf-8")
    return copied


def _install(npm: Path) -> None:
    wanted = json.dumps({"private": True, "dependencies": PACKAGES}, indent=2)
    manifest = npm / "package.json"
    done = npm / "installed"
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return
    command = shutil.which("npm")
    if command is None:
        raise OfflineError("npm is not installed here, which fetches the page's libraries")
    npm.mkdir(parents=True, exist_ok=True)
    manifest.write_text(wanted, encoding="utf-8")
    arguments = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    ran = subprocess.run(
        [command, *arguments], cwd=npm, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        last = " ".join(ran.stderr.split())[-300:]
        raise OfflineError(f"npm could not fetch the page's libraries: {last}")
    done.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    try:
        names = make_offline(Path(sys.argv[1]))
    except (OfflineError, OSError) as error:
        sys.exit(f"asv_offline: {error}")
    print(f"{sys.argv[1]}: loads nothing from a network; {len(names)} files put into vendor/")
