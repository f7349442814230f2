"""What ./dev check-api demands of every answer beside what schemathesis knows.

A fault is an answer with a status of 500 or more, but for 503 with Retry-After: there is nothing that a client may send
which makes a service fail, and what cannot be known now is said in one way.
"""

import schemathesis


@schemathesis.check
def no_fault(ctx, response, case):
    """No 5xx but a 503 that says when to try again; a 429 says so too."""
    retry_after = response.headers.get("retry-after")
    if response.status_code in (429, 503) and not retry_after:
        raise AssertionError(f"{response.status_code} without Retry-After")
    if response.status_code >= 500 and response.status_code != 503:
        raise AssertionError(f"a fault: {response.status_code}")
