# What has to happen around cargo: system packages come before it.

SHELL := /bin/sh
# rustup puts cargo here, and a shell started before does not know of it.
export PATH := $(PATH):$(HOME)/.cargo/bin
space := $(subst x, ,x)
NODE := test://$(subst $(space),%20,$(CURDIR))/examples/node.xml

.PHONY: help setup run test lab-setup lab lab-shell lint bench

help: ## Lists the targets (default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-11s %s\n", $$1, $$2}' \
	    Makefile

setup: ## Installs the build libraries that are missing, and nothing else
	@.ci/setup build

run: setup ## Builds, and prints a plan for an example VM on an example host
	@cargo build --release --locked
	@cargo run --quiet --release --locked -- plan vm1 --connect '$(NODE)' \
	    --host examples/host.json --color always

test: setup ## Builds, and runs all tests that need nothing else
	cargo test --locked --all-features

lab-setup: setup ## Installs QEMU and libvirtd, for the tests that start VMs
	@.ci/setup lab

lab: lab-setup ## Runs vmtune in virtual machines that play hosts
	VMTUNE_LAB=require cargo test --locked --all-features --test lab

SHAPE ?= epyc-2s-4n
lab-shell: lab-setup ## A prompt in such a host: SHAPE=systemd, xeon-2s, ...
	@VMTUNE_LAB=require cargo test --quiet --locked --all-features \
	    --test lab -- shell $(SHAPE)

lint: setup ## Checks form, lints, documentation and licences
	cargo fmt --check
	cargo lint
	cargo lint-files
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	@.ci/deny

bench: setup ## Measures
	cargo bench --locked
