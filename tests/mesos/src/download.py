#!/usr/bin/env python3
"""Downloads one file of a project from the package index that pip is configured for, and checks its SHA-256.

    download.py PROJECT FILE SHA256 DESTINATION

pip itself does not download this kind of archive (a `bdist_dumb`, a plain tree of files)."""
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request

HEADERS = {"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5", "User-Agent": "cook-executor-tests"}


def pip_setting(name):
    """A setting of pip, from the environment or its configuration files; None if it is not set."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    for section in ("install", "download", "global"):
        got = subprocess.run([sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"],
                             capture_output=True, text=True)
        if got.returncode == 0 and got.stdout.strip():
            return got.stdout.strip()
    return None


def index_url():
    """The index that pip would use: the configured one, or the built-in default."""
    url = pip_setting("index-url")
    if not url:
        from pip._internal.models.index import PyPI
        url = PyPI.simple_url
    return url.rstrip("/") + "/"


def links(text, content_type):
    """File name -> URL, from a project's page in either format (JSON or HTML)."""
    if content_type.endswith("json"):
        return {f["filename"]: f["url"] for f in json.loads(text)["files"]}
    anchors = re.findall(r'<a[^>]*href="([^"]+)"[^>]*>([^<]+)</a>', text)
    return {name.strip(): address.replace("&amp;", "&") for address, name in anchors}


def main():
    project, filename, wanted, destination = sys.argv[1:5]
    cert = pip_setting("cert")
    context = ssl.create_default_context(cafile=cert if cert and os.path.exists(cert) else None)

    def get(url):
        return urllib.request.urlopen(urllib.request.Request(url, headers=HEADERS), timeout=180, context=context)

    with get(index_url() + re.sub(r"[-_.]+", "-", project).lower() + "/") as page:
        base, files = page.geturl(), links(page.read().decode(), page.headers.get_content_type())
    if filename not in files:
        sys.exit(f"{filename} is not among the {len(files)} files of {project}")

    digest = hashlib.sha256()
    address = urllib.parse.urljoin(base, files[filename]).split("#")[0]
    with get(address) as body, open(destination + ".part", "wb") as out:
        while chunk := body.read(1 << 20):
            digest.update(chunk)
            out.write(chunk)
    if digest.hexdigest() != wanted:
        sys.exit(f"{filename}: its SHA-256 is {digest.hexdigest()}, not {wanted}")
    os.rename(destination + ".part", destination)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:  # no connection, an HTTP error, a full disk
        sys.exit(f"cannot download {sys.argv[2]}: {error}")
