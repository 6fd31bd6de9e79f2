"""Signs requests by AWS Signature Version 4, for an API with `Authorization=AWS_IAM`."""

import re
from collections.abc import Generator

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session


class SigV4(httpx.Auth):
    """Signs, with botocore's default credentials, for the region in the address of the API or else the default one."""

    requires_request_body = True

    def __init__(self, region: str | None = None, session: Session | None = None) -> None:
        self._region, self._session = region, session or Session()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        address = re.search(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.", request.url.host)
        region = self._region or (address[1] if address else self._session.get_config_variable("region"))
        if not region:
            raise ValueError("The region of the API is not known. Give it to SigV4, or set AWS_DEFAULT_REGION.")
        signed = AWSRequest(request.method, str(request.url), data=request.content)
        credentials = self._session.get_credentials()
        SigV4Auth(credentials and credentials.get_frozen_credentials(), "execute-api", region).add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request
