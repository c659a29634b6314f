"""Add the compose file's missing secrets to a ``.env`` file: ``secrets_to_env.py .env``. Existing ones are kept."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

MAKE = {
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(24),  # part of a database URL: only letters and digits
    "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(18),
    "AIRFLOW_FERNET_KEY": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),  # cryptography's Fernet
    "AIRFLOW_SECRET_KEY": lambda: secrets.token_hex(32),
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_hex(32),
}


def main(path: Path) -> None:
    """Add missing secrets. The file is readable only by its owner."""
    text = path.read_text() if path.exists() else ""
    there = {line.partition("=")[0].strip() for line in text.splitlines()}
    added = [f"{name}={make()}\n" for name, make in MAKE.items() if name not in there]
    if text and not text.endswith("\n"):
        text += "\n"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text + "".join(added))
    print(f"{path}: {len(added)} secrets created, {len(MAKE) - len(added)} already present")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
