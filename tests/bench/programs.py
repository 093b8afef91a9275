"""The executors that are measured."""
import dataclasses
import os
import shlex
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, "build", "venv")
# Packages of the virtual environment that are not part of the executor.
TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "__pycache__")


@dataclasses.dataclass
class Program:
    name: str
    arguments: list   # the first one is a file
    size: int         # the number of bytes that an agent has to fetch


def this(file, folder):
    """The cook-executor under test; a copy, so that a build at the same time does not replace it."""
    file = shutil.copy(file, os.path.join(folder, "cook-executor"))
    return Program("cook-executor", [file], os.path.getsize(file))


def python():
    """The Python executor, installed by setup.sh. Its size is that of its packages, without the interpreter."""
    subprocess.run([os.path.join(HERE, "setup.sh")], check=True)
    libraries = os.path.join(VENV, "lib")
    size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(libraries) for name in names
               if not any(part.startswith(TOOLS) for part in os.path.join(folder, name)[len(libraries):].split(os.sep)))
    return Program("Python 0.1.19", [os.path.join(VENV, "bin", "cook-executor")], size)


def others(text):
    """Parses a list of NAME=COMMAND with shell quoting; the first word of a command is a file."""
    found = []
    for entry in shlex.split(text):
        name, _, command = entry.partition("=")
        arguments = shlex.split(command)
        if not name or not arguments or not os.access(arguments[0], os.X_OK):
            raise RuntimeError(f"{entry} is not NAME=COMMAND with an executable file")
        arguments[0] = os.path.abspath(arguments[0])
        found.append(Program(name, arguments, os.path.getsize(arguments[0])))
    return found
