"""The Hugging Face hub in small: its answers to those who list a model and fetch its files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Models by name, each with its files; and every request that came."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, bytes]] = {}
        self.refusal: tuple[int, str] | None = None
        """(status, X-Error-Code) of every answer, if no other is wanted."""
        self.sizes: dict[str, int] = {}
        """What is said of files that is not true."""
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        self.url = ""

    @property
    def fetched(self) -> list[str]:
        """The names of the files that were sent."""
        return [
            r.rpartition("/")[2] for r in self.requests if r.startswith("GET") and "/resolve/" in r
        ]

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.refusal is not None:
            status, code = self.refusal
            return status, {"X-Error-Code": code} if code else {}, b""
        for name, files in self.models.items():
            if path.startswith(f"/api/models/{name}/revision/"):
                if path.rpartition("/")[2] not in ("main", COMMIT):
                    return 404, {"X-Error-Code": "RevisionNotFound"}, b""
                siblings = [
                    {"rfilename": file, "size": self.sizes.get(file, len(content))}
                    for file, content in files.items()
                ]
                return (
                    200,
                    {},
                    json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode(),
                )
            if path.startswith(f"/{name}/resolve/"):
                content = files[path.split("/", 5)[5]]
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                return 200, {"ETag": etag, "X-Repo-Commit": COMMIT}, content
        return 404, {"X-Error-Code": "RepoNotFound"}, b""


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub that answers on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if not path.startswith("/api/agent"):  # what the package asks for itself
                hub.requests.append(f"{self.command} {path}")
                hub.tokens.add(self.headers.get("Authorization"))
            status, headers, content = hub.answer(path)
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
