# SPDX-License-Identifier: BSD-2-Clause
#
# noah. `make help` lists the targets; docs/architecture.md says how the house is laid out.
SHELL := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
BUILD ?= build$(if $(SAN),/san-$(SAN))
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
TESTS ?=
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600
PART ?=
SOAK_PARTS := $(filter-out run,$(basename $(notdir $(wildcard tests/soak/[a-z]*))))
REQUESTS ?= 1000000

# V=1 shows the commands.
Q := $(if $(V),,@)

# All cores, unless the command line says -j itself (make 4.3 does not show it in MAKEFLAGS while reading this file).
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j% --jobs%,$(shell tr '\0' ' ' </proc/$$PPID/cmdline)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif
MAKEFLAGS += --no-print-directory

ifdef ARM64
CC := aarch64-linux-gnu-gcc
AR := aarch64-linux-gnu-ar
PACKAGES :=
LINKING := -static
else
PACKAGES := yaml-0.1 jansson libssl libcrypto libnghttp2 libzstd libbrotlienc zlib libcrypt
LINKING := -pie
endif
VERSION := $(shell cat VERSION)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough -Wunused-result
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-strict-aliasing -fno-omit-frame-pointer
ifeq ($(SAN),address)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -U_FORTIFY_SOURCE
else ifeq ($(SAN),thread)
SANITIZE := -fsanitize=thread -U_FORTIFY_SOURCE
else ifeq ($(SAN),fuzzer)
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -U_FORTIFY_SOURCE
else ifneq ($(SAN),)
$(error SAN is empty, address or thread)
endif
ifneq ($(SAN),)
# What gcc guesses about text sizes and uninitialised values is only sound in the plain build.
SANITIZE += -Wno-unknown-warning-option -Wno-format-truncation -Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-truncation
endif
OPTIMIZE ?= $(if $(SAN),-O1,-O2)
PACKAGE_CFLAGS := $(if $(PACKAGES),$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
LIBRARIES := $(if $(PACKAGES),$(shell pkg-config --libs $(PACKAGES) 2>/dev/null))
CPPFLAGS_ALL = -Isrc -D_GNU_SOURCE -DNOAH_VERSION='"$(VERSION)"' $(CPPFLAGS_ARM64) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 -g $(OPTIMIZE) $(WARNINGS) $(HARDENING) $(SANITIZE) -pthread $(CFLAGS) $(PACKAGE_CFLAGS)
LDFLAGS_ALL = $(LINKING) -Wl,-z,relro,-z,now -pthread $(SANITIZE) $(LDFLAGS)
COMPILE = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP

SOURCES := $(filter-out src/command/main.c,$(wildcard src/*/*.c))
ifdef ARM64
# Only what needs no library but libc; cmocka is a header of ours there.
SOURCES := $(filter-out src/tls/%,$(shell grep -LE '^\s*\#include <(yaml|jansson|openssl|nghttp2|zstd|brotli|zlib|crypt)[./]' $(SOURCES)))
CPPFLAGS_ARM64 := -Itests/arm64
endif
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/object/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(patsubst tests/fuzz/%.c,$(BUILD)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))

all: $(BUILD)/noah

# ---- what is built --------------------------------------------------------------------------------------------------

# From the objects, not the library: a linker passes over a second definition of a name in a library without a word.
$(BUILD)/noah: $(BUILD)/object/command/main.o $(OBJECTS)
	@$(if $(V),,echo "link    $@")
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBRARIES)

$(BUILD)/libnoah.a: $(OBJECTS)
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(BUILD)/object/%.o: src/%.c Makefile VERSION | packages
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) -c -o $@ $<

# One program for each tests/unit/test_NAME.c, linked with the library and cmocka.
$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libnoah.a
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -o $@ $< $(BUILD)/libnoah.a $(LIBRARIES) $(if $(ARM64),,-lcmocka -lbrotlidec)

# One fuzzer for each tests/fuzz/fuzz_NAME.c: with libFuzzer (SAN=fuzzer CC=clang), and with any compiler as a program that
# replays a corpus.
$(BUILD)/fuzz/%: tests/fuzz/%.c $(BUILD)/libnoah.a
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Wno-missing-prototypes -fsanitize=fuzzer -o $@ $< $(BUILD)/libnoah.a $(LIBRARIES)

$(BUILD)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(BUILD)/libnoah.a
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -Wno-missing-prototypes -o $@ $< tests/fuzz/replay.c $(BUILD)/libnoah.a $(LIBRARIES)

# What the bench needs: a cheap backend, the floor (a relay on noah's loop which parses nothing), and the parser alone.
$(BUILD)/bench/%: bench/%.c $(filter $(addprefix $(BUILD)/object/,base/% loop/% net/% proto/http%),$(OBJECTS))
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -o $@ $(filter-out %.h,$^) $(LIBRARIES)

# A strict server and hostile visitors: independent of the library.
CANONICAL := $(BUILD)/canonical/checker $(BUILD)/canonical/visitor
$(CANONICAL): $(BUILD)/canonical/%: $(wildcard tests/canonical/*.[ch]) Makefile | packages
	@mkdir -p $(@D); $(if $(V),,echo "compile $@")
	$(Q)$(COMPILE) $(LDFLAGS_ALL) -o $@ $(wildcard tests/canonical/$**.c) $(LIBRARIES)

unit: $(UNIT_TESTS)
# make arm64 ARM64=1 BUILD=build/arm64: what tests/run runs under qemu. Not here: tests of what needs a library, and of messages
# (descriptors that do not fit are not closed by qemu's recvmsg as they are by the kernel's).
ARM64_NAMES := base loop loop_turns net tunnel http_% mysql_response sql_classify board board_gate board_layout roles upstream cluster_values proxy_header \
	proxy_protocol guard
ARM64_TESTS := $(filter $(addprefix $(BUILD)/unit/test_,$(ARM64_NAMES)),$(UNIT_TESTS))
arm64: $(ARM64_TESTS)
fuzzers: $(FUZZERS)
replays: $(REPLAYS)
bench-programs: $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
canonical-programs: $(CANONICAL)

# Says what to do when the compiler or a library is missing; needs no package name here.
packages:
	@{ command -v $(CC) && command -v $(AR) $(if $(PACKAGES),&& pkg-config --exists $(PACKAGES)); } >/dev/null 2>&1 || \
		{ echo "What noah is built with is not all installed. Please run: tools/setup build" >&2; exit 1; }

# ---- what a person or the machine that checks every change calls ---------------------------------------------------

test:
	tools/setup test
	$(PYTHON) tests/run $(if $(SAN),--san $(SAN)) $(TESTS)

demo:
	tools/setup demo
	$(MAKE) all
	$(PYTHON) -m lab.demo

demo-check:
	tools/setup demo
	$(MAKE) all
	$(PYTHON) -m lab.demo --check

bench:
	tools/setup bench peers
	$(MAKE) all bench-programs
	$(PYTHON) bench/run $(BENCH)

lint:
	$(PYTHON) tools/lint

fuzz:
	tools/setup test
	$(PYTHON) tests/run --fuzz-seconds $(FUZZ_SECONDS) fuzz

soak:
	tools/setup bench
ifeq ($(PART),)
	$(PYTHON) tests/run --soak-seconds $(SOAK_SECONDS) soak
else ifeq ($(PART),canonical)
	$(MAKE) all canonical-programs
	$(PYTHON) tests/canonical/run --requests $(REQUESTS) $(if $(SEED),--seed $(SEED))
else
	$(MAKE) all
	$(PYTHON) $(or $(wildcard tests/soak/$(PART) tests/soak/$(PART).py),$(error PART is canonical$(foreach part,$(SOAK_PARTS), or $(part))))
endif

install: all
	install -D -m 755 $(BUILD)/noah $(DESTDIR)$(PREFIX)/sbin/noah
	install -D -m 644 docs/noah.8 $(DESTDIR)$(PREFIX)/share/man/man8/noah.8
	install -D -m 644 examples/site.yaml $(DESTDIR)$(PREFIX)/share/doc/noah/noah.yaml
	install -D -m 644 dist/noah.logrotate $(DESTDIR)$(PREFIX)/share/doc/noah/noah.logrotate
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' dist/noah.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/noah.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/noah.service
	@echo
	@echo "noah is installed. What is left to do as root, once:"
	@echo "  useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin noah"
	@echo "  install -d -m 755 /etc/noah    # and write /etc/noah/noah.yaml; $(PREFIX)/share/doc/noah/noah.yaml is a start"
	@echo "  noah check                     # says what is wrong with it, if anything"
	@echo "  systemctl enable --now noah"

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/noah $(DESTDIR)$(PREFIX)/share/man/man8/noah.8 \
		$(DESTDIR)$(PREFIX)/share/doc/noah/noah.yaml $(DESTDIR)$(PREFIX)/share/doc/noah/noah.logrotate \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/noah.service
	-rmdir $(DESTDIR)$(PREFIX)/share/doc/noah 2>/dev/null

clean:
	rm -rf build

help:
	@echo "make                   build/noah"
	@echo "make test              install what the tests need, build, run every test"
	@echo "make test TESTS='...'  only these: a folder, a file, file.py::test, or lint, fuzz, arm64, bench, soak"
	@echo "make demo              a small site made of five servers, on this machine; Ctrl-C removes it"
	@echo "make demo-check        the same without a person: breaks things, exits 0 when noah kept its word"
	@echo "make bench             noah beside HAProxy and nginx; BENCH='--only http --rounds 3' (bench/run --help)"
	@echo "make lint              includes, style, cppcheck, clang-tidy"
	@echo "make fuzz              every fuzzer for FUZZ_SECONDS (60)"
	@echo "make soak              mixed load with reloads and crashes for SOAK_SECONDS (600); nothing may grow"
	@echo "make soak PART=...     canonical: REQUESTS (1000000) hostile requests, what reaches the server is canonical;"
	@echo "                       $(SOAK_PARTS): one thing broken again and again"
	@echo "make unit              build the unit tests (build/unit/)"
	@echo "make install           DESTDIR=... PREFIX=/usr/local;  make uninstall"
	@echo "make clean             remove build/, also what the bench fetched"
	@echo
	@echo "SAN=address or SAN=thread builds with that sanitizer in build/san-...; CC=clang BUILD=build/clang another compiler"

-include $(wildcard $(addprefix $(BUILD)/,object/*/*.d unit/*.d fuzz/*.d replay/*.d bench/*.d))
.PHONY: all unit arm64 fuzzers replays bench-programs canonical-programs packages test demo demo-check bench lint fuzz soak install uninstall clean help
.SECONDARY:
