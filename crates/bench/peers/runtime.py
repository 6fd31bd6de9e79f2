"""Runs a handler against a Runtime API, as AWS's own client for Python does: python runtime.py MODULE.

Only the parts that the benchmark needs, from AWS Lambda's guide, "Using the Lambda runtime API".
"""

import http.client
import importlib
import json
import os
import sys
import traceback


class Context:
    """The attributes that Powertools reads of a context."""

    function_name = "measured"
    memory_limit_in_mb = 1769

    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]


def main():
    handler = importlib.import_module(sys.argv[1]).lambda_handler
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    base = "/2018-06-01/runtime/invocation"
    while True:
        api.request("GET", f"{base}/next")
        response = api.getresponse()
        event = json.loads(response.read())
        context = Context(response.headers)
        try:
            end, result = "response", handler(event, context)
        except Exception as error:
            traceback.print_exc()
            end, result = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        body = json.dumps(result)
        headers = {"Content-Type": "application/json"}
        api.request("POST", f"{base}/{context.aws_request_id}/{end}", body, headers)
        api.getresponse().read()


main()
