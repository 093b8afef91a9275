#!/usr/bin/env python3
"""Measure the task API, beside Python's http.server answering a GET of the same size.

    api.py --executor FILE [--requests N] [--rounds N]

Both servers answer the same client of this program, in turns, so that what else the machine does meets both. Exit
status 1 if a figure is over its budget. Times depend on the machine and are not judged; ratios hardly do."""
import argparse
import contextlib
import http.server
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import kernel
from agent import Agent
from executor import Executor
from report import spread, table

THREADS = 2
SETTLE = 1.5
SWITCHES = 12        # per request on a connection that is kept; 4 is the aim
STORM_KB = 200       # that anonymous memory may grow by in a storm
STORM = 10_000       # PATCHes
STORM_CONNECTIONS = 4
PIPELINE = 50
PATCH = b'{"progress": 10, "message": "a tenth"}'


# -- the other server ------------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each GET with the same JSON, as a user's own small server would."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1   # an answer is one write, as it should be
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
    """What the other server's process does: says its port and serves for ever."""
    Handler.body = b"{}".ljust(length)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextlib.contextmanager
def other_server(length):
    """Its pid and its port."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(length)], stdout=subprocess.PIPE, text=True,
                               start_new_session=True)  # as the executor has one: the kernel schedules by session
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# -- the client ------------------------------------------------------------------------------------------------

class Client:
    """A connection that asks and reads what is answered, with as little work of its own as possible."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request):
        """The body of the one answer to the request."""
        self.socket.sendall(request)
        answer = self.socket.recv(1 << 16)
        while True:
            head, found, body = answer.partition(b"\r\n\r\n")
            if found:
                if head.split(b" ", 2)[1] not in (b"200", b"204"):
                    raise RuntimeError(f"the answer was {answer}")
                lower = head.lower()
                at = lower.find(b"content-length: ")
                length = int(lower[at + 16:].split(b"\r\n", 1)[0]) if at >= 0 else 0
                if len(body) >= length:
                    return body
            more = self.socket.recv(1 << 16)
            if not more:
                raise RuntimeError(f"the connection ended after {answer}")
            answer += more

    def close(self):
        self.socket.close()


class Server:
    """One of the two: where it is, what to ask it for, and what was found."""

    def __init__(self, name, pid, port, path):
        self.name, self.pid, self.port = name, pid, port
        self.get = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self.found = {}     # figure -> the values of all rounds

    def note(self, figure, value):
        self.found.setdefault(figure, []).append(value)

    def measure(self, kind, requests, ask):
        """Ask so often, and note how long it took and how often the server's threads were switched."""
        latencies, switches, began = [], kernel.switches(self.pid), time.monotonic_ns()
        for _ in range(requests):
            before = time.monotonic_ns()
            ask()
            latencies.append(time.monotonic_ns() - before)
        took = time.monotonic_ns() - began
        self.note(f"{kind}: requests per second", requests / took * 1e9)
        self.note(f"{kind}: latency, median, us", statistics.median(latencies) / 1e3)
        self.note(f"{kind}: latency, p99, us", statistics.quantiles(latencies, n=100)[98] / 1e3)
        self.note(f"{kind}: context switches per request", (kernel.switches(self.pid) - switches) / requests)

    def round(self, requests):
        client = Client(self.port)
        client.ask(self.get)
        self.measure("kept connection", requests, lambda: client.ask(self.get))
        client.close()

        def afresh():
            client = Client(self.port)
            client.ask(self.get)
            client.close()
        self.measure("fresh connections", requests // 4, afresh)


def storm(server, path):
    """So many PATCHes over some connections with pipelines; how many were answered in a second."""
    patch = (f"PATCH {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(PATCH)}\r\n\r\n").encode() + PATCH
    errors = []

    def send():
        client = Client(server.port)
        try:
            with client.socket.makefile("rb") as answers:
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
        finally:
            client.close()
    threads = [threading.Thread(target=send) for _ in range(STORM_CONNECTIONS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return STORM / (time.monotonic() - began)


# -- the table -------------------------------------------------------------------------------------------------

def measure(program, folder, requests, rounds):
    """The rows of the table, and the figures over their budgets."""
    over, rows = [], []

    def judge(figure, value, budget):
        if value > budget:
            over.append(figure)
        return f"{budget}" + (value > budget) * " OVER"

    with Agent() as agent, Executor(agent, [program], folder) as executor:
        executor.session.wait_subscribe()
        executor.session.launch("sleep 1000")
        executor.session.wait_running()
        url = urllib.parse.urlsplit(kernel.environment(executor.command())["EXECUTOR_ENDPOINT"])
        ours = Server("cook-executor", executor.pid, url.port, url.path)
        length = len(Client(url.port).ask(ours.get))
        with other_server(length) as (pid, port):
            theirs = Server("http.server", pid, port, "/")
            for _ in range(rounds):
                for server in (ours, theirs):
                    server.round(requests)
            theirs_memory = kernel.memory(pid)["Anonymous"]
        for figure, values in ours.found.items():
            ratio = statistics.median(map(lambda pair: pair[0] / pair[1], zip(values, theirs.found[figure])))
            is_judged = figure == "kept connection: context switches per request"
            rows.append((figure, spread(values, 1), spread(theirs.found[figure], 1), f"{ratio:.2f}",
                         judge(figure, statistics.median(values), SWITCHES) if is_judged else ""))
        time.sleep(SETTLE)
        before = kernel.memory(executor.pid)["Anonymous"]
        rows.append(("anonymous memory after that, kB", before, theirs_memory, f"{before / theirs_memory:.2f}", ""))
        figure = f"{STORM} PATCHes, {STORM_CONNECTIONS} connections: per second"
        rows.append((figure, f"{storm(ours, url.path):.0f}", "", "", ""))
        time.sleep(SETTLE)
        after = kernel.memory(executor.pid)["Anonymous"]
        figure = "anonymous memory after the storm, kB"
        rows.append((figure, f"{after} ({after - before:+})", "", "", "+" + judge(figure, after - before, STORM_KB)))
        threads = len(kernel.threads(executor.pid))
        rows.append(("threads after the storm", threads, "", "", judge("threads after the storm", threads, THREADS)))
        executor.session.kill()
        executor.session.wait_terminal("TASK_KILLED")
        executor.ends()
    return rows, over


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve(int(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executor", required=True, help="the cook-executor to measure")
    parser.add_argument("--requests", type=int, default=2000, help="in a round, on the connection that is kept")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not os.access(arguments.executor, os.X_OK):
        sys.exit(f"{arguments.executor} is not an executable file")
    with tempfile.TemporaryDirectory(prefix="cook-bench-") as folder:
        program = shutil.copy(arguments.executor, os.path.join(folder, "cook-executor"))
        try:
            rows, over = measure(program, folder, arguments.requests, arguments.rounds)
        except (RuntimeError, TimeoutError) as error:
            sys.exit(str(error))
    table(("figure", "cook-executor", "http.server", "ratio", "budget"), rows)
    print(f"{time.strftime('%Y-%m-%d')}, {kernel.machine()}, {kernel.load()}; Python {sys.version.split()[0]}; "
          "medians [min, max] of the rounds, ratios of the same round", flush=True)
    if over:
        sys.exit(f"over budget: {', '.join(over)}")


if __name__ == "__main__":
    main()
