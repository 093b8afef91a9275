#!/usr/bin/env python3
"""Writes the C sources of stub libraries that libmesos needs and Debian 12 no longer has.

    stubs.py LIBMESOS --out FOLDER

The library was built on Ubuntu 16.04 as a Python 2.7 module, so it needs OpenSSL 1.0, libcurl with Ubuntu's symbol version, and
Python 2.7. The tests do not use them, but the dynamic loader needs every symbol. This writes ssl.c, crypto.c and curl.c, each with
a linker map of the symbol versions (.map), and python.c. A stub that is called ends the process with a message. A few harmless
initialisers return a constant, and the digests for executor tokens are forwarded to OpenSSL 3."""
import argparse
import collections
import os
import re
import subprocess

# Called when libprocess starts, even without TLS; the value is returned.
HARMLESS = {
    "RAND_poll": 1, "SSL_library_init": 1, "SSL_load_error_strings": 1, "OPENSSL_add_all_algorithms_noconf": 1,
    "CRYPTO_num_locks": 1, "CRYPTO_set_locking_callback": 0, "CRYPTO_set_id_callback": 0,
    "CRYPTO_set_dynlock_create_callback": 0, "CRYPTO_set_dynlock_lock_callback": 0,
    "CRYPTO_set_dynlock_destroy_callback": 0, "ERR_clear_error": 0, "ERR_get_error": 0, "ERR_peek_error": 0,
    "curl_global_init": 0, "curl_easy_init": 0, "curl_easy_cleanup": 0,
}
# Executor authentication (--jwt_secret_key) calls these; they have the same ABI in OpenSSL 3.
FORWARDED = {"HMAC", "EVP_sha1", "EVP_sha256", "SHA256"}
# Objects, not functions.
DATA = {"PyExc_Exception", "PyExc_TypeError", "_Py_NoneStruct"}

HEAD = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
static long missing(const char *name) {
  fprintf(stderr, "%s was called, but LIBRARY is only a stub here\\n", name);
  abort();
}
typedef long (*function)(long, long, long, long, long, long, long);
static function real(const char *name) {
  void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  void *found = library ? dlsym(library, name) : 0;
  if (!found) missing(name);
  return (function)found;
}
"""


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def version_nodes(library):
    """Symbol version -> the files that must define it, for example CURL_OPENSSL_3 -> {libcurl.so.4}."""
    nodes, file = collections.defaultdict(set), None
    for line in output("readelf", "-VW", library).split("Version needs section", 1)[1].splitlines():
        if found := re.search(r"File: (\S+)", line):
            file = found.group(1)
        if found := re.search(r"Name: (\S+)", line):
            nodes[found.group(1)].add(file)
    return nodes


def wanted_names(library):
    """Stub -> symbol version -> names; Python's symbols have no version."""
    wanted = {stub: collections.defaultdict(list) for stub in ("ssl", "crypto", "curl", "python")}
    for line in output("nm", "-D", "--undefined-only", library).splitlines():
        name, _, node = line.split()[-1].partition("@")
        node = node.lstrip("@")
        if node.startswith("OPENSSL_"):
            wanted["ssl" if re.match(r"SSL_|SSLv|TLSv", name) else "crypto"][node].append(name)
        elif node.startswith("CURL_"):
            wanted["curl"][node].append(name)
        elif re.match(r"_?Py", name):
            wanted["python"][""].append(name)
    return wanted


def definition(name):
    if name in DATA:
        return f"long {name}[64];"
    if name in FORWARDED:
        return (f"long {name}(long a, long b, long c, long d, long e, long f, long g) "
                f'{{ return real("{name}")(a, b, c, d, e, f, g); }}')
    if name in HARMLESS:
        return f"long {name}(void) {{ return {HARMLESS[name]}; }}"
    return f'long {name}(void) {{ return missing("{name}"); }}'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesos", help="the file of libmesos")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    files_of_node = version_nodes(arguments.mesos)
    for stub, nodes in wanted_names(arguments.mesos).items():
        names = sorted(name for some in nodes.values() for name in some)
        with open(os.path.join(arguments.out, stub + ".c"), "w") as source:
            source.write(HEAD.replace("LIBRARY", "lib" + stub))
            source.writelines(definition(name) + "\n" for name in names)
        if stub == "python":
            continue
        # The loader may require a version without any symbol in it, so each one must exist.
        named = {node for node, files in files_of_node.items() if any(f.startswith("lib" + stub) for f in files)}
        with open(os.path.join(arguments.out, stub + ".map"), "w") as linker_map:
            for node in sorted(named | set(nodes)):
                members = "".join(f"    {name};\n" for name in sorted(nodes.get(node, [])))
                linker_map.write(f"{node} {{\n" + (f"  global:\n{members}" if members else "") + "};\n")


if __name__ == "__main__":
    main()
