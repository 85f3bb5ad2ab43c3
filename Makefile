# SPDX-License-Identifier: BSD-2-Clause
# make                 build/release/fairlead
# make run | test      the demo; all tests, with their set-up
# BUILD=debug|asan|cov another kind of build, in build/$(BUILD)
.DEFAULT_GOAL := all
BUILD ?= release
BUILDDIR ?= build/$(BUILD)
FUZZ_SECONDS ?= 60

ifeq (,$(filter clean run test setup fmt fmt-check layers dist,$(MAKECMDGOALS)))
-include build/config.mk
build/config.mk:
	./configure
endif

WARNINGS := -Wall -Wextra -Wconversion -Wno-sign-conversion -Wno-sign-compare -Wshadow=local \
    -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2 -Wvla \
    -Wundef -Wimplicit-fallthrough
CPPFLAGS := -Isrc -Ibuild -D_GNU_SOURCE
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINK_HARDEN := -pie -Wl,-z,relro,-z,now

KIND_release := -O2 -g $(HARDEN)
KIND_debug := -O0 -g3 -Werror -DDEBUG_CHECKS
KIND_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DDEBUG_CHECKS
KIND_cov := -O0 -g --coverage
LINK_release := $(LINK_HARDEN) $(MALLOC_LIBS)
LINK_asan := -fsanitize=address,undefined
LINK_cov := --coverage

CFLAGS := -std=gnu17 -fno-strict-aliasing $(WARNINGS) $(KIND_$(BUILD)) $(LIB_CFLAGS) $(CC_OPT)
LDFLAGS := $(LINK_$(BUILD)) $(LD_OPT)

SRC := $(wildcard src/*.c src/*/*.c src/*/*/*.c)
OBJ := $(SRC:%.c=$(BUILDDIR)/%.o)
LIB_OBJ := $(filter-out $(BUILDDIR)/src/fairlead.o,$(OBJ))
UNIT := $(patsubst t/unit/%.c,$(BUILDDIR)/t/unit/%,$(wildcard t/unit/*.c))
FUZZ := $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard t/fuzz/fuzz_*.c))
BIN := $(BUILDDIR)/fairlead

.PHONY: all install run test unit e2e check fmt fmt-check tidy layers cov fuzz fuzz-replay bench \
    bench-profile dist clean setup
all: $(BIN)

$(BIN): $(BUILDDIR)/src/fairlead.o $(BUILDDIR)/libfairlead.a
	$(CC) -o $@ $^ $(LDFLAGS) $(LIBS) -lpthread

$(BUILDDIR)/libfairlead.a: $(LIB_OBJ)
	rm -f $@
	ar rcs $@ $^

$(BUILDDIR)/%.o: %.c build/config.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILDDIR)/t/unit/%: t/unit/%.c $(BUILDDIR)/libfairlead.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -o $@ $< $(BUILDDIR)/libfairlead.a \
	    $(LDFLAGS) $(LIBS) -lpthread

$(BUILDDIR)/t/fuzz/%: t/fuzz/fuzz_%.c t/fuzz/replay_main.c $(BUILDDIR)/libfairlead.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -MMD -MP -o $@ $(filter %.c,$^) \
	    $(BUILDDIR)/libfairlead.a $(LDFLAGS) $(LIBS) -lpthread

-include $(OBJ:.o=.d) $(UNIT:=.d)

unit: $(UNIT)
	@prove -e '' $(UNIT)

e2e: $(BIN)
	@FAIRLEAD_BIN=$(abspath $(BIN)) prove -j 2 $(wildcard t/*.t t/diff/*.t)

# Every seed and past crash through the plain build.
fuzz-replay: $(FUZZ:%=$(BUILDDIR)/t/fuzz/%)
	@for f in $(FUZZ); do $(BUILDDIR)/t/fuzz/$$f t/fuzz/corpus/$$f || exit 1; done

fuzz:
	@for f in $(FUZZ); do \
	    mkdir -p build/fuzz/$$f && \
	    clang -std=gnu17 -g -O1 -fsanitize=fuzzer,address,undefined $(CPPFLAGS) $(LIB_CFLAGS) \
	        -o build/fuzz/fuzz_$$f t/fuzz/fuzz_$$f.c $(filter-out src/fairlead.c,$(SRC)) $(LIBS) -lpthread && \
	    build/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) build/fuzz/$$f t/fuzz/corpus/$$f || exit 1; \
	done

layers:
	@t/layers

# Needs nothing but make and a shell: installs what is missing, builds, runs everything.
test:
	@contrib/setup-debian test
	@t/run-tests

run:
	@contrib/setup-debian build
	@./configure >/dev/null
	@$(MAKE) --no-print-directory all
	@contrib/demo/run $(BIN)

check: layers
	$(MAKE) BUILD=debug CC=gcc all unit
	$(MAKE) BUILD=debug CC=clang BUILDDIR=build/debug-clang all
	$(MAKE) BUILD=asan unit e2e fuzz-replay

fmt:
	clang-format -i $(wildcard src/*.[ch] src/*/*.[ch] src/*/*/*.[ch] t/unit/*.[ch] t/fuzz/*.c)
fmt-check:
	clang-format --dry-run -Werror $(wildcard src/*.[ch] src/*/*.[ch] src/*/*/*.[ch])
tidy:
	clang-tidy $(SRC) -- $(CPPFLAGS) -std=gnu17

cov:
	$(MAKE) BUILD=cov unit e2e
	cd build/cov && gcov -n $$(find . -name '*.gcda') | grep -A1 "File '.*src/" | paste - - -

bench: $(BIN)
	@t/bench/run --bin $(BIN) $(if $(ONLY),--only $(ONLY))
bench-profile: $(BIN)
	@t/bench/run --bin $(BIN) --profile $(if $(ONLY),--only $(ONLY))

install: $(BIN)
	install -D -m 755 $(BIN) $(DESTDIR)$(DESTDIR_SBIN)
	install -d $(DESTDIR)$(dir $(DESTDIR_CONF))
	test -e $(DESTDIR)$(DESTDIR_CONF) || install -m 644 conf/fairlead.conf $(DESTDIR)$(DESTDIR_CONF)
	install -m 644 conf/mime.types conf/proxy_params $(DESTDIR)$(dir $(DESTDIR_CONF))
	install -D -m 644 man/fairlead.8 $(DESTDIR)/usr/share/man/man8/fairlead.8
	install -D -m 644 man/fairlead.conf.5 $(DESTDIR)/usr/share/man/man5/fairlead.conf.5

dist:
	git archive --prefix=fairlead-0.1.0/ -o build/fairlead-0.1.0.tar.gz HEAD

clean:
	rm -rf build
