"""Issues tokens for the local stack, as an identity provider does.

GET  /.well-known/openid-configuration, /jwks.json   what API Gateway reads to verify tokens
POST /                                               the claims as JSON -> a signed token

The claims iss, aud, iat, nbf and exp have defaults. The first line of the output is the URL.
"""

import base64
import http.server
import json
import sys
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "aurora-sync"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def token(claims: dict) -> str:
    parts = [{"alg": "RS256", "typ": "JWT", "kid": "local"}, claims]
    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    signature = KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{encoded(signature)}"


class Handler(http.server.BaseHTTPRequestHandler):
    def respond(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        public = KEY.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "local"}
        documents = {
            "/.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json"},
            "/jwks.json": {"keys": [key | {"n": number(public.n), "e": number(public.e)}]},
        }
        document = documents.get(self.path)
        body = json.dumps(document or {}).encode()
        self.respond(200 if document else 404, body, "application/json")

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            claims = dict(json.loads(text))
        except ValueError:
            self.respond(400, b"The body is not a JSON object of claims.\n", "text/plain")
            return
        now = int(time.time())
        defaults = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        self.respond(200, token(defaults | claims).encode(), "text/plain")

    def log_message(self, *_: object) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
ISSUER = f"http://127.0.0.1:{server.server_port}"
print(ISSUER, flush=True)
sys.stdout.close()
server.serve_forever()
