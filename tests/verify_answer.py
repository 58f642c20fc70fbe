#!/usr/bin/env python3
"""Asks a licence server one question and verifies the signature of its answer.

The signature (RSA PKCS#1 v1.5 with SHA-256, Base64) is over the bytes of Licence-QueryID, which the caller makes up
for each question, followed by the bytes of the body. The public key comes from a file that was got over a way that is
trusted, or from the server itself (--trust-server), which tells only that body and signature belong together.

Needs: pip install cryptography
"""

import argparse
import base64
import sys
import urllib.error
import urllib.request
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

HEADERS = ("Licence-Signature", "Licence-QuerySignature")


def ask(url, query, account):
    """Status, headers and body of a GET; a refusal is an answer like any other."""
    request = urllib.request.Request(url, headers={"Licence-QueryID": query})
    if account:
        request.add_header("Authorization", "Basic " + base64.b64encode(account.encode()).decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers, refusal.read()


def verify(key, query, headers, body):
    """Raises InvalidSignature unless the answer is to this very question and signed by the key."""
    if headers.get("Licence-QueryID") != query:
        raise InvalidSignature("the answer is to another question")
    for name in HEADERS:
        signature = base64.b64decode(headers.get(name, ""), validate=True)
        key.verify(signature, query.encode("ascii") + body, padding.PKCS1v15(), hashes.SHA256())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="http://localhost:9099")
    parser.add_argument("path", help="/api/licences")
    parser.add_argument("--user", metavar="NAME:PASSWORD")
    known = parser.add_mutually_exclusive_group(required=True)
    known.add_argument("--key", metavar="FILE", help="the server's public key, PEM")
    known.add_argument("--trust-server", action="store_true", help="take the key from the server")
    arguments = parser.parse_args()

    if arguments.key:
        with open(arguments.key, "rb") as file:
            pem = file.read()
    else:
        pem = ask(arguments.server + "/api/publickey", str(uuid.uuid4()), None)[2]
    key = serialization.load_pem_public_key(pem)

    query = str(uuid.uuid4())
    status, headers, body = ask(arguments.server + arguments.path, query, arguments.user)
    try:
        verify(key, query, headers, body)
    except (InvalidSignature, ValueError) as error:
        print(f"{status}: the signature does not hold: {error or 'other bytes were signed'}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
