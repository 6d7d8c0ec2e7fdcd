#!/usr/bin/env python3
"""Runs a program on an emulated Sapphire Rapids (AVX-512, VNNI, BF16, AMX) for machines without such a processor.

    tools/emulator/emulate.py --bochs FOLDER --kernel VMLINUZ [--file PATH]... [--env NAME=VALUE]... -- PROGRAM [ARGUMENT]...

FOLDER holds Bochs, an emulator of whole machines, built from its sources of 22 August 2026 (github.com/bochs-emu/Bochs, commit
783b58fd6) with bochs.patch, which adds what Linux needs to grant AMX (XFD, the size of XSAVES' area) and mends the saving of
tiles, the upper half of VCVTNE2PS2BF16 and the signs of TDPBSSD. Debian 12's Bochs knows no AMX. In its folder bochs/:

    patch -p1 < …/tools/emulator/bochs.patch
    ./configure --with-nogui --disable-docbook --enable-x86-64 --enable-avx --enable-evex --enable-amx --enable-protection-keys \\
        --enable-all-optimizations --enable-handlers-chaining --enable-trace-linking && make

VMLINUZ is boot/vmlinuz-* of Debian 12's package linux-image-*-cloud-amd64 (dpkg-deb -x). Also needed: busybox-static, isolinux,
xorriso.

The program, the shared libraries that it names and every --file (of a folder all it holds) stand at their own absolute paths
in a system in memory, and the program starts in the folder of this call. What it prints is printed; its exit status is
this one's, 125 where the machine stopped before. Starting takes 15 seconds; then some hundred million instructions a
second: for tests, never for timing.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

BEGIN = b"emulate: begin\n"
END = re.compile(rb"emulate: status (\d+)\n")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox stty -F /dev/ttyS0 raw
export PATH=/bin HOME=/tmp
cd {folder}
echo 'emulate: begin'
{command}
echo "emulate: status $?"
while :; do /bin/busybox sleep 60; done
"""

# FSRM is cleared (word 18, bit 4): without a MISC_ENABLE register Linux turns ERMS off but not FSRM, and its memmove then fails.
BOOT = """default linux
prompt 0
label linux
  kernel kernel
  append initrd=initrd console=ttyS0 quiet mitigations=off nokaslr clearcpuid=580 tsc=reliable
"""

MACHINE = """cpu: model={cpu}, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file={bochs}/bios/BIOS-bochs-latest
vgaromimage: file={bochs}/bios/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
ata0-master: type=cdrom, path={disc}, status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=file, dev={console}
display_library: nogui
log: {log}
panic: action=fatal
"""


def shared_libraries(program):
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", listing)


def stage(root, path):
    """Copies `path` to the same place under `root`, following links."""
    target = root + os.path.abspath(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(path):
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copy(path, target)


def quoted(words):
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


def make_disc(folder, arguments):
    """The path of a bootable disc image with the kernel and a system in memory that runs the command."""
    root = os.path.join(folder, "root")
    os.makedirs(root + "/bin")
    shutil.copy(shutil.which("busybox"), root + "/bin/busybox")
    os.symlink("busybox", root + "/bin/sh")
    program = os.path.abspath(arguments.command[0])
    for path in [program, *shared_libraries(program), *arguments.file]:
        stage(root, path)
    os.makedirs(root + os.getcwd(), exist_ok=True)
    command = quoted(["/bin/busybox", "env", *arguments.env, program, *arguments.command[1:]])
    with open(root + "/init", "w", encoding="utf-8") as init:
        init.write(INIT.format(folder=quoted([os.getcwd()]), command=command))
    os.chmod(root + "/init", 0o755)
    tree = os.path.join(folder, "tree")
    os.makedirs(tree)
    subprocess.run(f"find . | busybox cpio -o -H newc > {quoted([tree + '/initrd'])}", shell=True, cwd=root, check=True,
                   stderr=subprocess.DEVNULL)
    shutil.rmtree(root)
    shutil.copy(arguments.kernel, tree + "/kernel")
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", tree)
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", tree)
    with open(tree + "/isolinux.cfg", "w", encoding="utf-8") as config:
        config.write(BOOT)
    disc = os.path.join(folder, "disc.iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", disc, "-b", "isolinux.bin", "-c", "boot.cat",
                    "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", tree], check=True,
                   stderr=subprocess.DEVNULL)
    return disc


def follow(machine, console, deadline):
    """Prints what the command prints until its status stands there; that status, or None if the machine stopped before."""
    text = b""
    shown = None
    while True:
        running = machine.poll() is None
        if os.path.exists(console):
            with open(console, "rb") as source:
                source.seek(len(text))
                text += source.read()
        if shown is None and BEGIN in text:
            shown = text.index(BEGIN) + len(BEGIN)
        if shown is not None:
            end = END.search(text, shown)
            whole_lines = end.start() if end else max(shown, text.rfind(b"\n") + 1)
            sys.stdout.buffer.write(text[shown:whole_lines])
            sys.stdout.buffer.flush()
            shown = whole_lines
            if end:
                return int(end[1])
        if not running or b"Kernel panic" in text or time.monotonic() > deadline:
            sys.stderr.write(text[-2000:].decode(errors="replace"))
            return None
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bochs", required=True, metavar="FOLDER")
    parser.add_argument("--kernel", required=True, metavar="VMLINUZ")
    parser.add_argument("--cpu", default="sapphire_rapids", help="one of Bochs' models")
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--file", action="append", default=[], metavar="PATH")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.command[:1] == ["--"]:
        del arguments.command[0]
    if not arguments.command:
        parser.error("no program to run")
    with tempfile.TemporaryDirectory() as folder:
        console, log, settings = (os.path.join(folder, name) for name in ("console", "log", "settings"))
        with open(settings, "w", encoding="utf-8") as out:
            out.write(MACHINE.format(cpu=arguments.cpu, memory=arguments.memory, bochs=os.path.abspath(arguments.bochs),
                                     disc=make_disc(folder, arguments), console=console, log=log))
        with subprocess.Popen([os.path.join(arguments.bochs, "bochs"), "-q", "-f", settings], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as machine:
            try:
                status = follow(machine, console, time.monotonic() + arguments.timeout)
            finally:
                machine.kill()
        if status is None:
            sys.stderr.write("\nemulate: the machine stopped before the program did; the end of Bochs' log:\n")
            with open(log, encoding="utf-8", errors="replace") as lines:
                sys.stderr.writelines(lines.readlines()[-20:])
            return 125
        return status


if __name__ == "__main__":
    sys.exit(main())
