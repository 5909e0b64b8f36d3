"""A model in a folder behind `/v1/chat/completions`, one request at a time, to try the path.

    python examples/finetune/serve.py tuned --port 8000

For more than a few hundred pictures use vLLM or another server that batches.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


class Served:
    """A model that answers."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder).eval()

    def answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a request of chat completions; pictures come as data URLs."""
        turns, images = [], []
        for turn in asked["messages"]:
            parts = turn["content"]
            parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
            content = []
            for part in parts:
                if part["type"] == "image_url":
                    data = part["image_url"]["url"].partition(",")[2]
                    images.append(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
                    content.append({"type": "image"})
                else:
                    content.append(part)
            turns.append({"role": turn["role"], "content": content})
        text = self.processor.apply_chat_template(turns, add_generation_prompt=True)
        inputs = self.processor(text=text, images=images or None, return_tensors="pt")
        heat = float(asked.get("temperature") or 0)
        torch.manual_seed(int(asked.get("seed") or 0))
        options: dict[str, Any] = {"do_sample": heat > 0}
        options |= {"temperature": heat} if heat > 0 else {}
        most = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 256)
        asked_for = int(asked.get("n") or 1)
        start = inputs["input_ids"].shape[1]
        answers = []
        for _ in range(asked_for):
            with torch.inference_mode():
                tokens = self.model.generate(**inputs, max_new_tokens=most, **options)
            answers.append(tokens[0, start:])
        choices = [
            {
                "index": number,
                "finish_reason": "length" if len(answer) >= most else "stop",
                "message": {
                    "role": "assistant",
                    "content": self.processor.decode(answer, skip_special_tokens=True),
                },
            }
            for number, answer in enumerate(answers)
        ]
        spent = {"prompt_tokens": start, "completion_tokens": sum(map(len, answers))}
        spent["total_tokens"] = sum(spent.values())
        head = {"id": f"chatcmpl-{time.time_ns()}", "object": "chat.completion", "created": int(time.time())}
        return {**head, "model": self.name, "choices": choices, "usage": spent}


def handler(served: Served) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({"object": "list", "data": [{"id": served.name, "object": "model", "created": 0}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(served.answered(asked))

        def _reply(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--name", default="tuned")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    server = HTTPServer(("127.0.0.1", given.port), handler(Served(given.folder, given.name)))
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
