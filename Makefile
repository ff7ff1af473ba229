# SPDX-License-Identifier: MIT
#
# gmem's targets. Each folder builds itself; here stands what needs what.

KMOD := $(MAKE) --no-print-directory -C kmod
BUILD := $(MAKE) --no-print-directory -C
# No test of `make test-debug` begins later; how often `make test-rounds` runs a test.
MINUTES := 240
ROUNDS := 100
# What `make test-kernel` tries: of Debian 13, as `make test` has Debian 12's.
RELEASE = $(lastword $(shell sed -n 's/^Linux: //p' kmod/META))+deb13-amd64
# The VMM and its tests a second time, beside .cache/build.
ASAN := BUILD=$(CURDIR)/.cache/asan SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all'

.PHONY: help
help: ## list the targets
	@echo 'gmem: guest memory that outlives its VMM'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target what; do printf '  make %-14s %s\n' "$$target" "$$what"; done

# ---- what everything needs

.PHONY: setup kernel qemu guests
setup: ## install the Debian packages that are missing
	@scripts/setup
kernel: setup ## download and unpack Debian's 6.12 kernel into .cache
	@scripts/fetch-kernel
qemu: setup ## build the lab's QEMU: Debian's, with our patches (once, 7 minutes)
	@scripts/build-qemu
guests: setup ## make disks of Debian 12 and 13, which tests boot (once, 3 minutes)
	@scripts/build-guest bookworm trixie

# ---- builds

.PHONY: deb
deb: kernel ## build gmem's Debian packages into .cache/packages
	@scripts/fetch-kvm
	@packaging/build

.PHONY: kmod kmod-stock kmod-sev kmod-debug kmod-sev-debug kernel-debug lib vmm vmm-asan upstream tests
kmod: kernel ## build kvm.ko, kvm-amd.ko and kvm-intel.ko with gmem
	+@$(KMOD) ours
kmod-stock: kernel ## build the same modules with nothing of ours, to compare with
	+@$(KMOD) stock
kmod-sev: kernel ## build the lab's modules for SEV on a software PSP, never to be installed
	+@$(BUILD) lab/softpsp
kernel-debug: kernel ## build a kernel with KASAN, lockdep, fault injection (once, 15 minutes)
	+@$(KMOD) kernel-debug
kmod-debug: kernel-debug ## build the modules with gmem for the debug kernel
	+@$(KMOD) debug
kmod-sev-debug: kernel-debug ## build them for the debug kernel
	+@$(BUILD) lab/softpsp debug
upstream: kernel ## build KVM's own selftests from the kernel's source
	+@$(BUILD) tests/upstream
lib: setup ## build libgmem
	+@$(BUILD) lib
vmm: lib ## build the demonstration VMM
	+@$(BUILD) vmm
vmm-asan: kernel ## build it and its tests with address and undefined-behaviour sanitizers
	+@$(BUILD) vmm $(ASAN)
	+@$(BUILD) tests/vmm $(ASAN)
tests: lib upstream
	+@$(BUILD) tests

# ---- what is run

.PHONY: check test test-debug test-rounds test-intel test-debian test-cpus test-asan test-disk test-net
.PHONY: test-soak test-install test-kernels test-kernel demo bench bench-check bench-mainline shell
check: kernel ## checkpatch, sparse, W=1, shellcheck, patches
	@scripts/check
test: qemu kmod kmod-stock kmod-sev vmm tests deb ## run all tests
	@scripts/build-guest bookworm
	@tests/run
test-debug: qemu kmod-debug kmod-sev-debug vmm tests ## run the tests on the debug kernel
	@tests/run --kmod debug --within $(MINUTES)
test-rounds: qemu kmod vmm tests ## boot Linux, and run tests that failed once, a hundred times
	@lab/run --timeout 36000 -- tests/rounds $(ROUNDS) \
		x86_64/state_test x86_64/xapic_ipi_test x86_64/xen_shinfo_test
	@lab/run --timeout 36000 -- tests/boot/linux $(ROUNDS)
test-intel: kmod tests ## run all of tests/kvm and upstream on an Intel CPU, in Bochs
	@tests/run all-intel upstream-intel
test-asan: qemu kmod vmm-asan vmm tests ## run the VMM's tests in the lab, with sanitizers
	@tests/run --asan vmm boot
test-debian: qemu guests kmod vmm ## boot Debian 12 and 13 from a disk, on shared and private memory
	@lab/run --timeout 5400 -- tests/debian/boot \
		bookworm,shared bookworm,private trixie,shared trixie,private
test-cpus: qemu kmod vmm tests ## boot a Linux guest with 64 vCPUs
	@lab/run --timeout 1500 -- tests/boot/machine 64
test-disk: qemu kmod vmm tests ## run a Linux guest's disks by io_uring and by threads
	@lab/run --timeout 1500 -- tests/boot/disk 'io_uring threads'
test-net: qemu kmod vmm tests ## run the network of Linux guests: passt, a tap, a balloon
	@tests/run net
test-soak: qemu kmod vmm tests ## kill a Linux guest's VMM 200 times, at any instant (GMEM_CRASHES)
	@lab/run --timeout 7200 -- env GMEM_CRASHES="$${GMEM_CRASHES:-200}" tests/boot/crash soak
test-install: qemu deb ## install the packages on a fresh Debian 12, which then boots
	@scripts/build-host bookworm
	@tests/run install
test-kernels: kernel ## ask for every 6.12 kernel of Debian 12 and 13 whether the patches fit
	@scripts/fetch-kvm --all
	@tests/install/kernels
test-kernel: qemu deb tests ## build and boot one of them: RELEASE=6.12.118+deb13-amd64
	@scripts/build-host $(RELEASE)
	@tests/install/kernels $(RELEASE)
demo: qemu kmod vmm ## hand a running guest's memory to a second VMM and kill the first
	@vmm/demo/run
bench: qemu kmod kmod-stock lib ## measure against stock KVM
	@bench/run
bench-check: qemu kmod kmod-stock lib ## count instructions, and fail where floors are not reached
	@bench/run --check
bench-mainline: qemu kmod lib ## count instructions beside Debian's kernel 7.3 with its own KVM
	@bench/mainline
shell: qemu kmod ## a shell inside the lab
	@lab/shell

# ---- cleaning

.PHONY: clean distclean
clean: ## remove what was built, keep what was downloaded
	rm -rf .cache/build .cache/asan .cache/kmod .cache/upstream .cache/upstream.lock
distclean: ## remove downloads and the debug kernel too
	rm -rf .cache
