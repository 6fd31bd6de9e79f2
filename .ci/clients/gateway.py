"""Checks the signature of each request as API Gateway does, which the emulator does not, and passes the request on.

    gateway.py UPSTREAM

It prints its own address, and ends with its standard input. The keys are `test` and `test`. The emulator's module that
recomputes signatures shares no code with botocore and the AWS SDK for JavaScript.
"""

import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ministack.core import sigv4

UPSTREAM = sys.argv[1]
OF_ONE_CONNECTION = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def refusal(method: str, target: str, headers: dict[str, str], body: bytes) -> str | None:
    signature = sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple):
        return signature[1]
    if signature.service != "execute-api" or signature.access_key_id != "test":
        return "The credential is not of this service."
    path, _, query = target.partition("?")
    values = urllib.parse.parse_qs(query, keep_blank_values=True)
    failure = sigv4.request_time_failure(signature) or sigv4.header_signature_failure(
        signature, "test", method, path, values, headers, body, explain=True
    )
    return failure and failure[1]


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        refused = refusal(self.command, self.path, headers, body)
        if refused:
            print(refused, file=sys.stderr)
            return self.send(403, {"content-type": "application/json"}.items(), b'{"message":"Forbidden"}')
        passed_on = {name: value for name, value in headers.items() if name not in OF_ONE_CONNECTION}
        request = urllib.request.Request(UPSTREAM + self.path, body or None, passed_on, method=self.command)
        try:
            response = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            self.send(response.status, response.headers.items(), response.read())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond

    def send(self, status, headers, body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in OF_ONE_CONNECTION:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
