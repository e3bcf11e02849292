"""`compose.yaml`, as far as a computer without containers can tell: its server, started as it says, with PostgreSQL."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from folkrnn.tracking.serve import _postgresql, free_port, programs

ROOT = Path(__file__).parents[2]
GIVEN = {
    "POSTGRES_PASSWORD": "not asked for here",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "open-sesame-9731",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "0123456789abcdef",
}


def interpolated(value: Any, given: dict[str, str]) -> Any:
    """The value with `${NAME}`, `${NAME:-default}` and `${NAME:?what to do}` as compose writes them out."""
    if isinstance(value, dict):
        return {key: interpolated(item, given) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, given) for item in value]
    pattern = r"\$\{(\w+)(?::([-?])([^}]*))?\}"
    return re.sub(pattern, lambda m: given.get(m[1]) or (m[3] if m[2] == "-" else f"LACKING {m[1]}"), str(value))


def service(name: str, **given: str) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return interpolated(content["services"][name], GIVEN | given)


def test_the_images_have_the_versions_of_the_lock_file():
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    built = re.findall(r'"([\w-]+)(?:\[\w+\])?==([\d.]+)"', service("mlflow")["build"]["dockerfile_inline"])
    assert dict(built) == {name: locked[name] for name in ("mlflow", "psycopg2-binary")}


def test_what_env_has_to_hold_is_all_that_is_asked_for():
    text = "\n".join(str(service(name)) for name in ("postgresql", "mlflow"))
    assert "LACKING" not in text
    assert "127.0.0.1:5000:5000" in text


@pytest.mark.slow
def test_its_server_starts_by_its_own_command_is_healthy_and_asks_for_the_password(postgresql, open_folder, tmp_path):
    asked = service("mlflow")
    port = free_port(0)
    (tmp_path / "artifacts").mkdir()
    places = {"0.0.0.0": "127.0.0.1", "file:///artifacts": (tmp_path / "artifacts").as_uri(), "5000": str(port)}
    command = [re.sub("|".join(map(re.escape, places)), lambda m: places[m[0]], word) for word in asked["command"]]
    health = [word.replace("5000", str(port)) for word in asked["healthcheck"]["test"][1:]]
    sockets = open_folder / "sockets"
    sockets.mkdir()
    with _postgresql(programs(), open_folder, sockets) as uri, (tmp_path / "log").open("wb") as log:
        variables = {**os.environ, **asked["environment"], "MLFLOW_BACKEND_STORE_URI": uri}
        server = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 180
            while subprocess.run(health, capture_output=True, check=False).returncode:
                assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(1)
            search = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search"
            admin = ("admin", GIVEN["MLFLOW_AUTH_ADMIN_PASSWORD"])
            answers = [requests.post(search, json={"max_results": 1}, auth=who, timeout=20) for who in (None, admin)]
            assert [answer.status_code for answer in answers] == [401, 200]
            named = requests.post(
                search, json={"max_results": 1}, auth=admin, headers={"Host": "elsewhere.org"}, timeout=20
            )
            assert named.status_code == 403
        finally:
            os.killpg(server.pid, 15)
            server.wait(60)
