#!/usr/bin/env python3
"""Tests the source tree itself: what may include what, what may be named how, and what is dead.

Each check returns its complaints as "file:line: what is wrong and what to do"; none means passed.
Needs Python's standard library alone, and git only to leave untracked files out.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SELF = os.path.relpath(os.path.abspath(__file__), ROOT)

# Rooms, longest path first, so that node/base is not taken for node.
ROOMS = ("node/base", "node/launch", "node/shim", "node", "rootfs/mount", "rootfs", "cgroup",
         "server", "clients/cli", "tests", "proto", "deploy")

# What a room may include besides itself: a room, or one header of a room. "api" is node/v1 and google/rpc,
# "plan" is node/shim/v1, "records" is node/state/v1.
MAY_INCLUDE = {
    "node/base": (),
    "cgroup": ("node/base",),
    "rootfs/mount": ("node/base", "plan"),
    "rootfs": ("node/base", "rootfs/mount", "api", "plan"),
    # The compiled limits are a value that the cgroup driver is given.
    "node/launch": ("node/base", "cgroup/limits.h", "api", "plan"),
    "node/shim": ("node/base", "rootfs/mount", "cgroup", "plan"),
    "node": ("node/base", "node/launch", "rootfs", "cgroup", "api", "plan", "records"),
    # noded's main is also that of the child that unpacks layers.
    "server": ("node/base", "node", "rootfs/layer/child.h", "api"),
    "clients/cli": ("node/base", "api"),
    "tests": ROOMS + ("api", "plan", "records"),
}
GRPC_ROOMS = ("server", "clients/cli", "tests")

TOP_LEVEL = {".ci", ".clang-format", ".clang-tidy", ".gitignore", "CHANGELOG.md", "CMakeLists.txt",
             "CMakePresets.json", "LICENSE", "README.md", "cgroup", "clients", "deploy", "node",
             "proto", "rootfs", "server", "tests"}
ROOMS_WITH_README = ("node/base", "node/launch", "node/shim", "node", "rootfs/image", "rootfs/layer", "rootfs/mount",
                     "rootfs/oci", "rootfs/registry", "rootfs/store", "rootfs/volume", "rootfs", "cgroup", "server", "clients/cli", "tests", "proto",
                     "deploy")

# Put together here so that this file does not complain of itself.
BANNED_WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
BANNED_NAMES = ("util", "utils", "helper", "helpers", "common", "misc", "stuff")
MOST_LINES = 600
MOST_FUNCTION_LINES = 80


def tree_files():
    """Tracked files; all files where there is no git."""
    try:
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        names = [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
    if not names:
        for directory, subdirectories, files in os.walk(ROOT):
            subdirectories[:] = [d for d in subdirectories
                                 if d not in (".git", "build", ".cache", "node_modules", "__pycache__")]
            names += [os.path.relpath(os.path.join(directory, name), ROOT) for name in files]
    return sorted(name for name in names if os.path.isfile(os.path.join(ROOT, name)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


FILES = tree_files()
TEXT = {name: read(name) for name in FILES if not re.search(r"^tests/fuzz/corpus/|\.(png|der|bin)$", name)}
SOURCES = [name for name in TEXT if name.endswith((".cc", ".h"))]


def room_of(path):
    if path.startswith("node/v1/") or path.startswith("google/rpc/"):
        return "api"
    if path.startswith("node/shim/v1/"):
        return "plan"
    if path.startswith("node/state/v1/"):
        return "records"
    return next((room for room in ROOMS if path.startswith(room + "/")), None)


def includes(name):
    for number, line in enumerate(TEXT[name].splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def check_include_directions():
    for name in SOURCES:
        room = room_of(name)
        for number, _, path in includes(name):
            target = room_of(path)
            allowed = MAY_INCLUDE.get(room, ())
            if target and target != room and target not in allowed and path not in allowed:
                yield f"{name}:{number}: {room} may not include {path} of {target}"


def check_grpc_stays_at_the_edge():
    for name in SOURCES:
        if room_of(name) in GRPC_ROOMS:
            continue
        for number, _, path in includes(name):
            if path.startswith(("grpc/", "grpcpp/")) or path.endswith(".grpc.pb.h"):
                yield f"{name}:{number}: gRPC belongs in {', '.join(GRPC_ROOMS)}, not here: {path}"


def check_includes_exist():
    for name in SOURCES:
        for number, is_system, path in includes(name):
            if is_system or path.endswith(".pb.h"):
                continue
            if room_of(path) and path not in TEXT:
                yield f"{name}:{number}: no such file in the tree: {path}"


def check_every_source_is_compiled():
    for name in SOURCES:
        if not name.endswith(".cc") or re.match(r"tests/fuzz/fuzz_\w+\.cc$", name):
            continue
        directory = os.path.dirname(name)
        lists = []
        while True:
            lists.append((directory, os.path.join(directory, "CMakeLists.txt")))
            if not directory:
                break
            directory = os.path.dirname(directory)
        for directory, cmake_list in lists:
            relative = os.path.relpath(name, directory or ".")
            if re.search(r"(?<![\w/.])" + re.escape(relative) + r"(?!\w)", TEXT.get(cmake_list, "")):
                break
        else:
            yield f"{name}: no CMakeLists.txt names it: add it or delete it"


def check_every_header_is_included():
    used = {path for name in SOURCES for _, _, path in includes(name) if path != name}
    for name in SOURCES:
        if name.endswith(".h") and name not in used:
            yield f"{name}: nobody includes it"


def check_every_function_is_used():
    """A function that a header declares and that is named nowhere but there and where it is defined."""
    rpcs = {rpc for name, text in TEXT.items() if name.endswith(".proto")
            for rpc in re.findall(r"\brpc (\w+)\(", text)}
    words = {}
    for name in SOURCES:
        code = re.sub(r"//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"", "", TEXT[name])
        for word in re.findall(r"\b[A-Z]\w+\b", code):
            words[word] = words.get(word, 0) + 1
    for name in SOURCES:
        if not name.endswith(".h"):
            continue
        for number, line in enumerate(TEXT[name].splitlines(), 1):
            # A declaration: a type, then a name in the language's style for functions.
            match = re.match(r"\s*(?:[\w:<>,&*\[\] ]+[ &*>])([A-Z][a-z0-9]\w*)\(", re.sub(r"//.*", "", line))
            if not match or match.group(1) in rpcs or re.match(r"\s*(return|#|using)\b", line):
                continue
            # Called by the library whose class it overrides, or by GoogleTest.
            if "override" in line or match.group(1) in ("SetUpTestSuite", "TearDownTestSuite"):
                continue
            # One that is defined in its header is named once less.
            if words.get(match.group(1), 0) <= (1 if "{" in line else 2):
                yield f"{name}:{number}: {match.group(1)} is declared, and never called"


def check_banned_words():
    pattern = re.compile(r"\b(" + "|".join(BANNED_WORDS) + r")\b(?!X)")
    for name, text in TEXT.items():
        if name == "LICENSE":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = pattern.search(line)
            if match:
                yield f"{name}:{number}: {match.group(1)}: do it, or open an issue and leave no mark here"


def check_file_names():
    for name in FILES:
        for part in re.split(r"[/._-]", name.lower()):
            if part in BANNED_NAMES:
                yield f"{name}: '{part}' says nothing: name the file by what is in it"


def check_top_level():
    found = {name.split("/")[0] for name in FILES}
    for name in sorted(found - TOP_LEVEL):
        yield f"{name}: the top level is fixed: find its room"
    for name in sorted(TOP_LEVEL - found):
        yield f"{name}: missing at the top level"


def check_every_room_has_a_readme():
    for room in ROOMS_WITH_README:
        if room + "/README.md" not in TEXT:
            yield f"{room}/README.md: missing: say what belongs here, what does not, and who may include it"


def check_length_of_files():
    for name in SOURCES:
        lines = TEXT[name].count("\n")
        if lines > MOST_LINES:
            yield f"{name}: {lines} lines, at most {MOST_LINES}: split it"


def check_length_of_functions():
    for name in SOURCES:
        start = None
        for number, line in enumerate(TEXT[name].splitlines(), 1):
            if re.match(r"(?!namespace|class|struct|enum|extern)[A-Za-z].*\{$|  +.*\) (?:const )?\{$", line):
                start = start or number
            elif line.startswith("}"):
                if start and number - start > MOST_FUNCTION_LINES and line == "}":
                    yield f"{name}:{start}: {number - start} lines, at most {MOST_FUNCTION_LINES}: split it"
                start = None


def check_no_machine_paths():
    """Nothing names the place where it was checked out, nor anybody's home."""
    places = [r"/home/\w+/"]
    if ROOT.count("/") > 1:
        # Whole names only: in a checkout at /root/noded the guest's /root/noded-vm is no mistake.
        places.append(re.escape(ROOT) + r"(?![\w.-])")
    pattern = re.compile("|".join(places))
    for name, text in TEXT.items():
        for number, line in enumerate(text.splitlines(), 1):
            if name != SELF and pattern.search(line):
                yield f"{name}:{number}: a path of one machine: {line.strip()[:80]}"


def check_scripts_are_executable():
    for name, text in TEXT.items():
        if text.startswith("#!") and not os.access(os.path.join(ROOT, name), os.X_OK):
            yield f"{name}: has an interpreter line but is not executable"


def check_line_ends():
    for name, text in TEXT.items():
        if name.endswith((".txt", ".json", ".cc", ".h", ".proto", ".md", ".sh", ".py", ".bash")):
            if text and not text.endswith("\n"):
                yield f"{name}: no newline at the end"
            for number, line in enumerate(text.splitlines(), 1):
                if line != line.rstrip():
                    yield f"{name}:{number}: blanks at the end of the line"


def main():
    passed = failed = 0
    for check, function in list(globals().items()):
        if not check.startswith("check_"):
            continue
        complaints = list(function())
        title = check[len("check_"):].replace("_", " ")
        print(f"{'FAILED' if complaints else 'ok':6} {title}")
        for complaint in complaints:
            print(f"       {complaint}")
        failed += bool(complaints)
        passed += not complaints
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
