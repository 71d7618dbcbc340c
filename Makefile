# SPDX-License-Identifier: GPL-2.0
# Everything starts here; "make help" lists it.

ifeq ($(KERNELRELEASE),)

top := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
KERNELDIR ?= /lib/modules/$(shell uname -r)/build
utsrelease = $(KERNELDIR)/include/generated/utsrelease.h
release = $(or $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(utsrelease) 2>/dev/null),$(shell uname -r))
KERNEL ?= debian-6.1
PREFIX ?= /usr
DESTDIR ?=
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
INSTALL_MOD_PATH ?= $(DESTDIR)
installed = $(INSTALL_MOD_PATH)/lib/modules
# Whoever installs into a directory of his own need not be root, whose PATH has depmod.
depmod = PATH="$$PATH:/usr/sbin:/sbin" depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) \
	$(release)
MINUTES ?= 20
STRICT ?=
export MINUTES STRICT

all: ## the module for the running kernel (or KERNELDIR=): vmo.ko
	@[ -e $(KERNELDIR)/Makefile ] || { \
		echo "no kernel headers in $(KERNELDIR): apt install linux-headers-$(release)," \
			"or say where they are (KERNELDIR=)" >&2; exit 1; }
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

check-style: ## checkpatch, sparse, layers, symbols, headers, install and uninstall
	@scripts/check-style

bench: ## guest instructions per operation, ours and the peers'
	@scripts/bench

bench-check: ## the same, compared with the committed table
	@scripts/bench --check

soak: ## long forms of the random tests (MINUTES=), noted in docs/reliability.md
	@scripts/soak

install: install-header ## what "all" built, linux/vmo.h and vmo(4) (DESTDIR=, INSTALL_MOD_PATH=, PREFIX=)
	@[ -e module/vmo.ko ] || { echo 'no module/vmo.ko: run "make" first' >&2; exit 1; }
	$(MAKE) -C $(KERNELDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) \
		CONFIG_MODULE_SIG_ALL= modules_install
	$(depmod)
	install -D -m 644 docs/man/vmo.4 $(DESTDIR)$(MANDIR)/man4/vmo.4

uninstall: ## takes them away; linux/vmo.h stays while libvmo is there
	for dir in $(INSTALL_MOD_DIR) updates extra; do \
		rm -f $(installed)/$(release)/$$dir/module/vmo.ko*; \
		rmdir -p --ignore-fail-on-non-empty $(installed)/$(release)/$$dir/module \
			2>/dev/null; \
	done; true
	$(depmod)
	rm -f $(DESTDIR)$(MANDIR)/man4/vmo.4
	@$(MAKE) --no-print-directory uninstall-header

headers := uapi/linux/vmo.h uapi/linux/vmo_netlink.h

install-header: # for "install" and "install-lib", which both need it
	install -d $(DESTDIR)$(INCLUDEDIR)/linux
	install -m 644 $(headers) $(DESTDIR)$(INCLUDEDIR)/linux

uninstall-header: # goes with the last of them
	@for user in $(installed)/*/*/module/vmo.ko* $(DESTDIR)$(INCLUDEDIR)/vmo.h; do \
		[ ! -e "$$user" ] || { echo "linux/vmo.h stays, for $$user"; exit 0; }; \
	done; rm -f $(headers:uapi/%=$(DESTDIR)$(INCLUDEDIR)/%)

install-lib: ## libvmo, both headers, pages of the manual (DESTDIR=, PREFIX=, LIBDIR=)
	@$(MAKE) --no-print-directory -C lib install

uninstall-lib: ## takes them away; linux/vmo.h stays while the module is there
	@$(MAKE) --no-print-directory -C lib uninstall

clean: ## build products; the cache of kernels stays
	rm -rf build vmo.ko
	find module \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' \) -delete
	rm -f Module.symvers modules.order module/modules.order .*.cmd

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

.PHONY: all module lib vmoctl demo check check-debug check-next check-engine check-rules features \
	mutants check-style bench bench-check soak install uninstall install-header \
	uninstall-header install-lib uninstall-lib install-vmoctl uninstall-vmoctl clean help

endif
