#!/usr/bin/python3 -I
"""A replacement for mesos-fetcher, because the original program is not part of the library.

The agent's own fetcher code runs it as the task's user, with a JSON FetcherInfo in MESOS_FETCHER_INFO; stdout and stderr are
files of the sandbox. It supports local paths, file:// and http(s) URLs, `executable`, `extract` (tar), `output_file` and the
agent's cache. It does not support Hadoop schemes or zip."""
import json
import os
import pwd
import shutil
import subprocess
import sys
import urllib.request

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


def say(text):
    print("fetcher:", text, file=sys.stderr, flush=True)


def download(address, destination):
    if address.startswith(("http://", "https://")):
        with urllib.request.urlopen(address, timeout=300) as body, open(destination, "wb") as out:
            shutil.copyfileobj(body, out)
        return
    path = address.removeprefix("file://localhost").removeprefix("file://")
    if not path.startswith("/"):
        raise ValueError("neither an absolute path nor a scheme this fetcher knows")
    shutil.copyfile(path, destination)
    shutil.copymode(path, destination)


def fetch(item, info):
    uri, sandbox = item["uri"], info["sandbox_directory"]
    action = item.get("action", "BYPASS_CACHE")
    destination = os.path.join(sandbox, uri.get("output_file") or os.path.basename(uri["value"]))
    if action == "BYPASS_CACHE":
        source = destination
    else:
        source = os.path.join(info["cache_directory"], item["cache_filename"])
    if action != "RETRIEVE_FROM_CACHE":
        download(uri["value"], source)
    if uri.get("extract", True) and not uri.get("executable") and source.endswith(ARCHIVES):
        subprocess.run(["tar", "-C", sandbox, "-xf", source], check=True, stdout=subprocess.DEVNULL)
        return
    if source != destination:
        shutil.copyfile(source, destination)
    if uri.get("executable"):
        os.chmod(destination, 0o755)


def become(user, cache):
    """Drops to the task's user, who must own the cache, as the original fetcher does."""
    entry = pwd.getpwnam(user)
    if os.geteuid() != 0 or entry.pw_uid == 0:
        return
    if cache and os.path.isdir(cache):
        os.chown(cache, entry.pw_uid, entry.pw_gid)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main():
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    cache = info.get("cache_directory")
    if cache:
        os.makedirs(cache, exist_ok=True)
    if info.get("user"):
        become(info["user"], cache)
    for item in info.get("items", []):
        try:
            fetch(item, info)
        except Exception as error:
            say(f"cannot fetch {item['uri'].get('value')!r}: {error}")
            return 1
        say(f"fetched {item['uri']['value']!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
