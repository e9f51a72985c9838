#!/usr/bin/env python3
"""Lets a placement bench ask vmtune for one VM after another.

usage: adapter.py --host XML --housekeeping LIST --running DIR --domain XML --request JSON

The host is an hwloc topology, DIR holds the definitions of the VMs that run,
the request names vCPUs, cells, guest threads and free virtual functions. The
tuned definition goes to standard output; 7 says that the VM was refused.
VMTUNE names the binary, VMTUNE_PRESET the preset, VMTUNE_LOCALITY how near to
its function a VM must be (the peers refuse what is not near: "require").
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

VMTUNE = os.environ.get("VMTUNE", "vmtune")
PRESET = os.environ.get("VMTUNE_PRESET", "balanced")
LOCALITY = os.environ.get("VMTUNE_LOCALITY", "require")

HOSTDEV = """    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x{0}' bus='0x{1}' slot='0x{2}' function='0x{3}'/>
      </source>
    </hostdev>
"""


def node_of(host):
    """Which package or group each PCI function hangs off."""
    places = {}

    def walk(element, place):
        for child in element.findall("object"):
            kind = child.get("type")
            here = place if kind in ("Bridge", "PCIDev", "OSDev") else child.get("gp_index")
            if kind == "PCIDev":
                places[child.get("pci_busid")] = place
            walk(child, here)
    walk(ET.parse(host).getroot(), None)
    return places


def policy(request, housekeeping):
    smt = "isolate" if request["policy"] == "isolate" else "siblings"
    return (f'preset = "{PRESET}"\n[cpu]\nhousekeeping = "{housekeeping}"\n'
            f'smt = "{smt}"\n[memory]\npages = "2M"\n[devices]\nlocality = "{LOCALITY}"\n'
            f'[vm.{request["name"]}]\ncells = {request["cells"]}\nthreads = {request["threads"]}\n')


def main():
    parser = argparse.ArgumentParser()
    for option in ("host", "housekeeping", "running", "domain", "request"):
        parser.add_argument("--" + option, required=True)
    args = parser.parse_args()
    request = json.load(open(args.request))
    base = open(args.domain).read()
    tries = [base]
    if request["nic"]:
        places, near = node_of(args.host), {}
        for function in request["free_vfs"]:
            near.setdefault(places.get(function), function)
        address = lambda f: re.match(r"(\w+):(\w+):(\w+)\.(\w)", f).groups()
        tries = [base.replace("<devices/>", "<devices>\n" + HOSTDEV.format(*address(f)) + "  </devices>")
                 for f in near.values()]
    best = None
    with tempfile.TemporaryDirectory() as folder:
        rules = os.path.join(folder, "policy.toml")
        open(rules, "w").write(policy(request, args.housekeeping))
        others = [o for path in sorted(glob.glob(args.running + "/*.xml")) for o in ("--domain", path)]
        for number, text in enumerate(tries):
            domain = os.path.join(folder, f"{number}.xml")
            plan = os.path.join(folder, f"{number}.json")
            open(domain, "w").write(text)
            run = [VMTUNE, "plan", request["name"], "--host", args.host, "--policy", rules, "--domain", domain, *others]
            done = subprocess.run(run + ["--format", "json"], capture_output=True, text=True)
            if done.returncode == 7:
                continue
            if done.returncode:
                sys.exit(f"vmtune plan ended with {done.returncode}: {done.stderr}")
            cost = json.loads(done.stdout)["vms"][0]["objective"]
            if best is None or cost < best[0]:
                best = cost, run
        if best is None:
            sys.exit(7)
        done = subprocess.run(best[1] + ["--format", "xml"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"vmtune plan ended with {done.returncode}: {done.stderr}")
        sys.stdout.write(done.stdout)


if __name__ == "__main__":
    main()
