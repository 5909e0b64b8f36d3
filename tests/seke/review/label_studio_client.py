"""Run by the Python of Label Studio's own environment: starts it, imports tasks, answers, exports.

python label_studio_client.py FOLDER: the folder holds tasks.json and tasks.xml of `seke review export`; it
gets export.json (the full export), export_min.json, export.csv, and facts.json.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

# Label Studio takes about two minutes to make its database on a slow machine.
MOST_SECONDS = 420
TOKEN = "0123456789abcdef0123456789abcdef01234567"
MAIL = "reviewer@example.org"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, port):
    """Start Label Studio on loopback with a database of its own; nothing of it calls home."""
    environment = {
        **os.environ,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "COLLECT_ANALYTICS": "False",
        "collect_analytics": "0",
        "LATEST_VERSION_CHECK": "False",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    command = [str(Path(sys.executable).parent / "label-studio"), "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--username", MAIL, "--password", "only-on-loopback", "--user-token", TOKEN]
    log = (folder / "server.log").open("wb")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)


def wait_until_up(server, address, folder):
    for _ in range(MOST_SECONDS):
        if server.poll() is not None:
            raise SystemExit((folder / "server.log").read_text()[-2000:])
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(1)
    raise SystemExit("Label Studio did not start")


def review(folder, address):
    """Make a project of the config, import the tasks, answer the first and skip the second; export."""
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.label_interface import LabelInterface

    config, tasks = (folder / "tasks.xml").read_text(), json.loads((folder / "tasks.json").read_text())
    interface = LabelInterface(config)
    interface.validate()
    valid = [
        bool(interface.validate_prediction(prediction))
        for task in tasks
        for prediction in task.get("predictions", ())
    ]
    client = LabelStudio(base_url=address, api_key=TOKEN)
    project = client.projects.create(title="faces", label_config=config)
    imported = client.projects.import_tasks(id=project.id, request=tasks, return_task_ids=True)
    client.projects.update(id=project.id, model_version="seke", show_collab_predictions=True)
    listed = {task.id: task for task in client.tasks.list(project=project.id, fields="all")}
    shown = [i for i, task in listed.items() if task.data["shown"]]
    hidden = [i for i, task in listed.items() if not task.data["shown"]]
    first, skipped, blind = shown[0], shown[1], hidden[0]
    result = next(prediction["result"] for task in tasks for prediction in task.get("predictions", ()))
    client.annotations.create(id=first, result=result, lead_time=12.5, was_cancelled=False)
    client.annotations.create(id=skipped, result=[], lead_time=3.0, was_cancelled=True)
    nothing = {"from_name": "judged", "to_name": "picture", "type": "choices"}
    client.annotations.create(
        id=blind, result=[{**nothing, "value": {"choices": ["cannot be judged"]}}], lead_time=5.0
    )
    for kind, name in (("JSON", "export.json"), ("JSON_MIN", "export_min.json"), ("CSV", "export.csv")):
        request = urllib.request.Request(
            f"{address}/api/projects/{project.id}/export?exportType={kind}&download_all_tasks=true",
            headers={"Authorization": f"Token {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            (folder / name).write_bytes(reply.read())
    return {
        "imported": imported.task_count,
        "predictions": imported.prediction_count,
        "valid_predictions": valid,
        "answered": listed[first].data["item"],
        "skipped": listed[skipped].data["item"],
        "not_judged": listed[blind].data["item"],
    }


def main():
    folder = Path(sys.argv[1]).resolve()
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = start(folder, port)
    try:
        wait_until_up(server, address, folder)
        facts = review(folder, address)
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
    facts |= {name: version(name) for name in ("label-studio", "label-studio-sdk")}
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
