# noah. `make help` lists the targets; docs/architecture.md says how the house is laid out.
#
#   make                 build/noah
#   make SAN=address     build/san-address/noah   (address + undefined behaviour; also: thread)
#   make CC=clang        any compiler; use another BUILD= folder to keep both
#   make test TESTS=tests/http   only these
SHELL := /bin/bash
CC ?= gcc
SAN ?=
BUILD ?= build$(if $(SAN),/san-$(SAN))
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3

PACKAGES := yaml-0.1 jansson libcrypto
VERSION := $(shell cat VERSION)

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wimplicit-fallthrough -Wunused-result
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-strict-aliasing -fno-omit-frame-pointer
ifeq ($(SAN),address)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -U_FORTIFY_SOURCE
else ifeq ($(SAN),thread)
SANITIZE := -fsanitize=thread -U_FORTIFY_SOURCE
else ifneq ($(SAN),)
$(error SAN is empty, address or thread)
endif
OPTIMIZE ?= $(if $(SAN),-O1,-O2)
CPPFLAGS_ALL = -Isrc -D_GNU_SOURCE -DNOAH_VERSION='"$(VERSION)"' $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 -g $(OPTIMIZE) $(WARNINGS) $(HARDENING) $(SANITIZE) -pthread $(CFLAGS) $(shell pkg-config --cflags $(PACKAGES))
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -pthread $(SANITIZE) $(LDFLAGS)
LIBRARIES = $(shell pkg-config --libs $(PACKAGES))

SOURCES := $(filter-out src/command/main.c,$(wildcard src/*/*.c))
OBJECTS := $(SOURCES:src/%.c=$(BUILD)/object/%.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/unit/%)

all: $(BUILD)/noah

$(BUILD)/noah: $(BUILD)/object/command/main.o $(BUILD)/libnoah.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBRARIES)

$(BUILD)/libnoah.a: $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/object/%.o: src/%.c Makefile VERSION
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# One program for each tests/unit/test_NAME.c, linked with the library and cmocka.
$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libnoah.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS_ALL) -o $@ $< $(BUILD)/libnoah.a $(LIBRARIES) -lcmocka

unit: $(UNIT_TESTS)

clean:
	rm -rf build

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all unit clean
