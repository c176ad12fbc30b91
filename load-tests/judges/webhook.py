"""Verifies webhooks with the library `standardwebhooks` of PyPI.

Usage: webhook.py FILE, with a JSON list of {name, secret, headers, body}, the body in hex. Prints a
line of JSON for each: {name, verified, said}.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook


def judged(case):
    """What the library says of a request: verified, or its reason against."""
    try:
        body = bytes.fromhex(case["body"])
        event = Webhook(case["secret"]).verify(body, case["headers"])
    except Exception as refusal:  # whatever it is: the request is not taken
        return {"verified": False, "said": f"{type(refusal).__name__}: {refusal}"}
    return {"verified": True, "said": event["type"]}


with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
for case in cases:
    print(json.dumps({"name": case["name"], **judged(case)}))
