"""The speed of the task API, compared with Python's http.server for a GET of the same size.

Both servers are measured in turns with the same client, so that other load on the machine affects both."""
import contextlib
import http.server
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import kernel

STORM = 10_000   # PATCHes
STORM_CONNECTIONS = 4
PIPELINE = 50
PATCH = b'{"progress": 10, "message": "a tenth"}'


class Client:
    """A minimal HTTP client with one connection."""

    def __init__(self, endpoint):
        url = urllib.parse.urlsplit(endpoint)
        self.request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
        self.socket = socket.create_connection((url.hostname, url.port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self):
        """Sends a GET and returns the body of the response."""
        self.socket.sendall(self.request)
        answer = b""
        while True:
            more = self.socket.recv(1 << 16)
            if not more:
                raise RuntimeError(f"the connection ended after {answer}")
            answer += more
            head, found, body = answer.partition(b"\r\n\r\n")
            if not found:
                continue
            if head.split(b" ", 2)[1] != b"200":
                raise RuntimeError(f"the answer was {answer}")
            if len(body) >= int(re.search(rb"(?i)content-length: (\d+)", head)[1]):
                return body

    def close(self):
        self.socket.close()


def get(endpoint):
    """Sends one GET on a new connection."""
    client = Client(endpoint)
    client.get()
    client.close()


def storm(endpoint):
    """Sends STORM PATCHes, pipelined over several connections. Returns the number per second."""
    url, errors = urllib.parse.urlsplit(endpoint), []
    patch = (f"PATCH {url.path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(PATCH)}\r\n\r\n").encode() + PATCH

    def send():
        try:
            with contextlib.closing(Client(endpoint)) as client, client.socket.makefile("rb") as answers:
                for _ in range(STORM // STORM_CONNECTIONS // PIPELINE):
                    client.socket.sendall(patch * PIPELINE)
                    for _ in range(PIPELINE):
                        status = answers.readline()
                        if b" 204 " not in status:
                            raise RuntimeError(f"a PATCH was answered with {status}")
                        while answers.readline() not in (b"\r\n", b""):
                            pass
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=send) for _ in range(STORM_CONNECTIONS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return STORM / (time.monotonic() - began)


# -- the other server ------------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each GET with the same JSON."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1   # buffered, so that a response is one write
    body = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def serve(length):
    """The main function of the other server's process: prints its port and serves until it is killed."""
    Handler.body = b"{}".ljust(length)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextlib.contextmanager
def other_server(length):
    """Runs the other server; gives its pid and its endpoint."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(length)], stdout=subprocess.PIPE, text=True,
                               start_new_session=True)  # like the executor, because the kernel schedules by session
    try:
        yield process.pid, f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# -- both ------------------------------------------------------------------------------------------------------

FIGURES = (
    # figure, number of decimals
    ("GETs per second, connection kept", 0),
    ("median latency, connection kept, us", 0),
    ("99th percentile of latency, connection kept, us", 0),
    ("context switches per GET, connection kept", 2),
    ("GETs per second, fresh connections", 0),
    ("anonymous memory after that, kB", 0),
)


def sample(pid, endpoint, requests):
    """One value for each figure."""
    client, latencies = Client(endpoint), []
    client.get()
    switches, began = kernel.switches(pid), time.monotonic_ns()
    for _ in range(requests):
        before = time.monotonic_ns()
        client.get()
        latencies.append(time.monotonic_ns() - before)
    kept, switches = time.monotonic_ns() - began, kernel.switches(pid) - switches
    client.close()
    began, fresh = time.monotonic_ns(), requests // 4
    for _ in range(fresh):
        get(endpoint)
    took = time.monotonic_ns() - began
    return (requests / kept * 1e9, statistics.median(latencies) / 1e3, statistics.quantiles(latencies, n=100)[98] / 1e3,
            switches / requests, fresh / took * 1e9, kernel.memory(pid)["Anonymous"])


def compare(place, program, requests, rounds):
    """Rows (figure, our values, the other's values, decimals); values with the same index are from the same round."""
    ours, theirs = [], []
    with place.start(program, "sleep 1000") as run:
        run.running()
        endpoint = kernel.environment(run.command())["EXECUTOR_ENDPOINT"]
        with contextlib.closing(Client(endpoint)) as client:
            length = len(client.get())
        with other_server(length) as (pid, other):
            for _ in range(rounds):
                ours.append(sample(run.pid, endpoint, requests))
                theirs.append(sample(pid, other, requests))
        run.kill()
        run.terminal("TASK_KILLED")
        run.ends()
    return [(figure, *values, digits) for (figure, digits), *values in zip(FIGURES, zip(*ours), zip(*theirs))]


if __name__ == "__main__":
    serve(int(sys.argv[sys.argv.index("--serve") + 1]))
