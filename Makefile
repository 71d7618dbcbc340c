# SPDX-License-Identifier: GPL-2.0
# Everything starts here; "make help" lists it.

ifeq ($(KERNELRELEASE),)

top := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
KERNELDIR ?= /lib/modules/$(shell uname -r)/build
release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KERNELDIR)/include/generated/utsrelease.h)
KERNEL ?= debian-6.1
PREFIX ?= /usr
DESTDIR ?=
MINUTES ?= 20
STRICT ?=
export MINUTES STRICT

all: ## the module for the running kernel (or KERNELDIR=): vmo.ko
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR) modules
	cp module/vmo.ko vmo.ko

module: ## the module for a kernel of the tests (KERNEL=): build/KERNEL/module/vmo.ko
	@scripts/build-module $(KERNEL)

lib: ## libvmo, shared and static: build/lib
	@$(MAKE) --no-print-directory -C lib

vmoctl: ## the command line: build/vmoctl/vmoctl
	@$(MAKE) -s -C tools/vmoctl

install-vmoctl: ## the command line, its manual and its completion
	$(MAKE) -C tools/vmoctl install DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

uninstall-vmoctl: ## takes them away
	$(MAKE) -C tools/vmoctl uninstall DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

demo: ## boots a guest: a tour by vmoctl, then 1,000 verified snapshots of live memory
	@tools/demo/run

check: ## all selftests on stock Debian 6.1, in a guest
	@scripts/check-guest debian-6.1

check-debug: ## the same on 6.12 with KASAN, lockdep and the rest
	@scripts/check-guest debug-6.12

check-next: ## the same on sid's kernel (STRICT=1: no excuse)
	@scripts/check-guest next

check-engine: ## the engine in user space, and the protocol's model
	@scripts/check-engine

check-rules: ## every rule of docs/rules.tsv is named by a test that passed (check, check-engine)
	@scripts/check-rules

features: ## docs/features.md, of docs/features.tsv, docs/rules.tsv and the tests that ran
	@scripts/gen-features

mutants: ## drops one step after the other, and names the test that finds it
	@scripts/mutants

check-style: ## checkpatch, sparse, layers, symbols, headers
	@scripts/check-style

bench: ## guest instructions per operation, ours and the peers'
	@scripts/bench

bench-check: ## the same, compared with the committed table
	@scripts/bench --check

soak: ## long forms of the random tests (MINUTES=), noted in docs/reliability.md
	@scripts/soak

install: ## what "all" built, and its header (DESTDIR=, PREFIX=)
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) CONFIG_MODULE_SIG_ALL= \
		modules_install
	depmod $(if $(DESTDIR),-b $(DESTDIR)) $(release)
	install -D -m 644 uapi/linux/vmo.h $(DESTDIR)$(PREFIX)/include/linux/vmo.h

install-lib: ## libvmo, both headers, pages of the manual (DESTDIR=, PREFIX=, LIBDIR=)
	@$(MAKE) --no-print-directory -C lib install

uninstall-lib: ## takes them away, linux/vmo.h too
	@$(MAKE) --no-print-directory -C lib uninstall

uninstall: ## takes away what "install" put there
	rm -f $(DESTDIR)/lib/modules/$(release)/updates/module/vmo.ko* \
		$(DESTDIR)/lib/modules/$(release)/extra/module/vmo.ko*
	depmod $(if $(DESTDIR),-b $(DESTDIR)) $(release)
	rm -f $(DESTDIR)$(PREFIX)/include/linux/vmo.h

clean: ## build products; the cache of kernels stays
	rm -rf build vmo.ko
	find module \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' \) -delete
	rm -f Module.symvers modules.order module/modules.order .*.cmd

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

.PHONY: all vmoctl install-vmoctl uninstall-vmoctl module lib demo check check-debug check-next check-engine check-rules features \
	mutants check-style bench bench-check soak install uninstall install-lib uninstall-lib \
	clean help

endif
